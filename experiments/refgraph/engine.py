"""What the engine's own objects are called: the words of the book for what they are in memory.

Nothing here is needed for a graph to be found or true: it makes one readable. A test holds each
word against the engine.
"""

from __future__ import annotations

from collections.abc import Mapping

# A class and its slot -> the property that gives what is in it.
PROPERTIES: Mapping[str, Mapping[str, str]] = {
    "autodiff.variable.Variable": {"_array": "data", "_grad": "grad", "_source": "creator"},
    "autodiff.vertex.Vertex": {"kept": "saved", "_links": "outputs", "_sources": "sources"},
}

# Those of them that give several things; of one alone, the slot holds just that.
SEVERAL = frozenset({"inputs", "saved", "outputs", "sources"})

# Where a Function keeps what just some Functions have: its slots are as good as the Function's own.
MORE = "._more"

# What a Function that is itself the weak reference to its output is said to have it as.
ITSELF = ".outputs[0]"

# What all arrays of a shape and dtype share, and what is no part of any graph.
SHARED = frozenset({"autodiff.arrays.Form"})

# A mere link from one object to another, and what is but a part of the object that holds it.
LINKS = frozenset({"autodiff.memory.StrongLink"})
PARTS = frozenset({"autodiff.held.More", "autodiff.gradients.Output"})
FOLDED_CLASSES = LINKS | PARTS

# What a class of this name, or one made of it, is drawn as; a reader's own engine has these, too.
KINDS: Mapping[str, str] = {"Variable": "variable", "Function": "function", "Leaf": "leaf"}


def class_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def is_shared(cls: type) -> bool:
    """Whether objects of a class tell nothing of a graph, everything alike holding the same."""
    return class_name(cls) in SHARED


def property_for(cls: type, slot: str) -> str:
    """The name under which readers know what is in a slot; the slot's own where it has no other."""
    for base in cls.__mro__:
        if slot in (properties := PROPERTIES.get(class_name(base), {})):
            return properties[slot]
    return slot


def kind_of(cls: type) -> str | None:
    """Whether objects of a class are Variables, Functions or Leafs; None for others."""
    return next((KINDS[base.__name__] for base in cls.__mro__ if base.__name__ in KINDS), None)

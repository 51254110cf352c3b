"""What a computation graph keeps alive, and until when, as one value: the memory mode.

Each field is read in one place. Whether there is a graph is asked where the settings are looked up
(config.py); how a Function refers to its outputs and what it keeps, when it is recorded (graph.py);
what goes when its backward is done, in the backward pass (gradients.py).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from autodiff.variable import Variable

Link = Callable[[], "Variable | None"]  # called, gives the output, or None where it is gone


class StrongLink:
    """A reference to an output that, unlike a weak one, keeps it alive: with `creator`, a cycle."""

    __slots__ = ("output",)

    def __init__(self, output: Variable) -> None:
        self.output = output

    def __call__(self) -> Variable:
        return self.output


@dataclass(frozen=True)
class MemoryMode:
    """What a graph keeps alive, until when.

    Raises ValueError for a value that its field does not take.
    """

    enable_backprop: bool = True  # False: no graph at all
    output_refs: Literal["weak", "strong"] = "weak"  # Function -> output; strong makes a cycle
    kept: Literal["declared", "inputs"] = "declared"  # arrays a rule declares; or inputs, whole
    retain_grad: bool = False  # gradients of intermediate Variables outlive their use
    retain_graph: bool = False  # edges and kept arrays outlive backward

    def __post_init__(self) -> None:
        for name, allowed in AXES.items():
            value = getattr(self, name)
            if not any(
                value is valid or (type(value) is str and value == valid) for valid in allowed
            ):
                raise ValueError(
                    f"{name} = {value!r}: allowed are {' and '.join(map(repr, allowed))}"
                )

    def changed(self, **fields: Any) -> MemoryMode:
        """This mode with some of its fields changed; None leaves one as it is."""
        wanted = {
            name: value
            for name, value in fields.items()
            if value is not None and value is not getattr(self, name)
        }
        return replace(self, **wanted) if wanted else self

    @cached_property
    def retaining_graph(self) -> MemoryMode:
        """This mode, with edges and kept arrays that outlive backward."""
        return self.changed(retain_graph=True)

    @property
    def holds_outputs(self) -> bool:
        """Whether a Function's reference to its output keeps that alive."""
        return self.output_refs == "strong"

    @property
    def link(self) -> Callable[[Variable], Link]:
        """How a Function refers to its output: what is called with it and gives the reference."""
        return StrongLink if self.holds_outputs else weakref.ref

    @property
    def keeps_inputs(self) -> bool:
        """Whether a Function holds its inputs whole, or just the arrays that its rule declares."""
        return self.kept == "inputs"


AXES: Mapping[str, tuple[bool | str, ...]] = MappingProxyType(
    {
        "enable_backprop": (True, False),
        "output_refs": ("weak", "strong"),
        "kept": ("declared", "inputs"),
        "retain_grad": (False, True),
        "retain_graph": (False, True),
    }
)
assert tuple(AXES) == tuple(f.name for f in fields(MemoryMode))

# In the order in which a reader of the book meets them: the ladder.
MODES: Mapping[str, MemoryMode] = MappingProxyType(
    {
        "step16": MemoryMode(
            output_refs="strong", kept="inputs", retain_grad=True, retain_graph=True
        ),
        "step17": MemoryMode(kept="inputs", retain_grad=True, retain_graph=True),
        "step18": MemoryMode(kept="inputs", retain_graph=True),
        "lean": MemoryMode(),
        "no_grad": MemoryMode(enable_backprop=False),
    }
)

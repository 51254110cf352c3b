"""The computation graph alone: Variables and Functions, as the book draws it from step 25 on.

It is read from what the Functions keep, so that it is the whole graph in every mode, though a lean
one holds no Variable between two Functions: those are drawn all the same.
Source: steps 25 and 26 of the book.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.refgraph.model import Edge, Graph, Node
from experiments.refgraph.numbering import numbered

Spec = tuple[tuple[int, ...], Any]  # of an array: its shape and dtype

RELEASED = (
    "A backward has released this graph before here: what was computed from what is known no more."
)


@dataclass
class _Value:
    """A Variable of the graph, whether it is alive or not."""

    variable: Any = None
    creator: Any = None
    output: int = 0
    spec: Spec | None = None
    use: object = None  # of a constant: where it is used, since nothing else tells it from others


def computation(
    *variables: Any,
    names: bool | Mapping[str, Any] = True,
    shapes: bool = False,
    dtypes: bool = False,
    title: str = "",
    most: int | None = None,
) -> Graph:
    """The graph by which some Variables were computed, from the leaves to them.

    Of any order of derivative: a gradient under create_graph is a Variable like any other.
    names, shapes, dtypes: what a Variable's box says; a shape that nothing keeps is left out. Names
        are the Variables' own, or those of a mapping, for Variables that have none.
    most: how many boxes there may be; what is furthest from the results is left out.
    """
    walk = _Walk(most)
    for variable in variables:
        walk.add(walk.value_of(variable))
    walk.run()
    given = names if isinstance(names, Mapping) else {}
    called = {id(variable): name for name, variable in given.items()}
    boxes = _Boxes(names is not False, called, shapes, dtypes)
    nodes = {n: boxes.node(walk.what[n]) for n in walk.order}
    told, edges, _ = numbered(nodes, walk.edges)
    notes = [RELEASED] if walk.released else []
    return Graph(told, edges, title, len(walk.left_out), notes)


class _Walk:
    """From results back to leaves: Variables and Functions, each once."""

    def __init__(self, most: int | None) -> None:
        self.order: list[int] = []
        self.edges: list[Edge] = []
        self.released = False
        self.left_out: set[object] = set()
        self._most = most
        self._numbers: dict[object, int] = {}
        self.what: list[Any] = []
        self._ahead: list[int] = []  # Variables whose creator is still to be looked at

    def value_of(self, variable: Any) -> _Value:
        """A Variable that is alive, as a value of the graph."""
        creator = variable.creator
        output = 0
        for i, link in enumerate(_links(creator)):
            if _behind(link) is variable:
                output = i
        return _Value(variable, creator, output, _spec(variable))

    def add(self, value: _Value) -> int | None:
        """The number of a value; None where there is no room for it."""
        if value.creator is not None:
            key: object = (id(value.creator), value.output)
            if value.variable is None:
                links = _links(value.creator)
                value.variable = _behind(links[value.output]) if links else None
        else:
            key = value.use or id(value.variable)
        if value.spec is None:
            value.spec = _spec(value.variable)
        number = self._numbered(key, value)
        if number is not None and self.what[number] is value and value.creator is not None:
            self._ahead.append(number)
        elif number is not None and self.what[number].spec is None:
            self.what[number].spec = value.spec
        return number

    def _numbered(self, key: object, what: Any) -> int | None:
        if key not in self._numbers:
            if self._most is not None and len(self.order) >= self._most:
                self.left_out.add(key)
                return None
            self._numbers[key] = len(self.what)
            self.order.append(len(self.what))
            self.what.append(what)
        return self._numbers[key]

    def run(self) -> None:
        done: set[int] = set()
        position = 0
        while position < len(self._ahead):
            number = self._ahead[position]
            position += 1
            value = self.what[number]
            function = self._numbered(id(value.creator), value.creator)
            if function is None:
                continue
            several = len(_links(value.creator)) > 1
            label = f".outputs[{value.output}]" if several else ""
            self.edges.append(Edge(str(function), str(number), label))
            if function not in done:
                done.add(function)
                self._add_inputs(function, value)

    def _add_inputs(self, function: int, value: _Value) -> None:
        inputs = list(self._inputs(value))
        for i, one in enumerate(inputs):
            number = self.add(one)
            if number is not None:
                label = f".inputs[{i}]" if len(inputs) > 1 else ""
                self.edges.append(Edge(str(number), str(function), label))

    def _inputs(self, value: _Value) -> Iterator[_Value]:
        """What a Function was applied to."""
        function = value.creator
        try:
            inputs = function.inputs
            sources = getattr(function, "sources", None)
        except RuntimeError:  # released
            self.released = True
            return
        specs = getattr(function, "_specs", None)
        for i, variable in enumerate(inputs):
            spec = specs[0][i] if specs else value.spec if sources is not None else None
            source = sources[i] if sources is not None else None
            if source is None:
                constant = _Value(variable, None, use=(function, i))
                yield constant if sources is not None else self.value_of(variable)
            elif isinstance(source, tuple):
                yield _Value(None, source[0], source[1], _spec(variable) or spec)
            elif callable(getattr(source, "forward", None)):
                yield _Value(None, source, 0, _spec(variable) or spec)
            else:  # a Leaf, which gives its Variable
                leaf = source()
                yield _Value(variable if leaf is None else leaf, None, 0, _spec(variable) or spec)


@dataclass(frozen=True)
class _Boxes:
    """What the boxes say."""

    names: bool
    called: Mapping[int, str]  # names for Variables that have none, by their ids
    shapes: bool
    dtypes: bool

    def node(self, what: Any) -> Node:
        if not isinstance(what, _Value):
            kind = type(what).__name__
            return Node("", "function", kind, kind)
        told = []
        if what.spec is not None and self.shapes:
            told.append(str(tuple(what.spec[0])))
        if what.spec is not None and self.dtypes:
            told.append(str(np.dtype(what.spec[1])))
        return Node("", "variable", "Variable", self._name(what.variable), " ".join(told))

    def _name(self, variable: Any) -> str:
        if variable is None or not self.names:
            return ""
        return getattr(variable, "name", None) or self.called.get(id(variable), "")


def _links(function: Any) -> list[Any]:
    return list(getattr(function, "outputs", ()) or ())


def _behind(link: Any) -> Any:
    """The output that a Function refers to; None where it is gone."""
    return link() if callable(link) else link


def _spec(variable: Any) -> Spec | None:
    """The shape and dtype of a Variable's data, where that is kept."""
    try:
        data = variable.data
    except (AttributeError, RuntimeError):
        return None
    return None if data is None else (np.shape(data), np.asarray(data).dtype)

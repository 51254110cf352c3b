"""Who holds each array at this moment, in words: the nearest that is more than a container.

A Variable is passed on the way, too: `y.data in step` says more than that a Variable has it. What
only a collection would free is said to wait for one. Nothing is collected and no array made.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from types import FrameType, FunctionType
from typing import TypeAlias

import numpy as np

from autodiff import Variable
from experiments.census import Array, Heap, collector_off, owner
from experiments.references import FOLDED, FROM_OUTSIDE, Local, local_variables, title
from experiments.refgraph.engine import FOLDED_CLASSES, class_name
from experiments.refgraph.naming import NAMELESS, Labels, for_readers

WAITS = "in a cycle that waits for a collection"
MOST_NAMED = 2  # holders of one array
MOST_STEPS = 8  # from an array to what holds it

_HARNESS = "experiments.instruments"
_Hop: TypeAlias = tuple[object, object, int]  # what holds, what it holds, which of the same
_Way: TypeAlias = tuple[_Hop, ...]


def holders(wanted: Collection[int]) -> dict[int, str]:
    """The holders of the arrays whose data is at the addresses wanted."""
    with collector_off():
        variables, values = local_variables(_HARNESS)
        objects = [node for node in gc.get_objects() if node is not values]
        return _Holders(objects, variables, values).of(wanted)


def address(array: Array) -> int:
    """Where an array's data is."""
    found: int = array.__array_interface__["data"][0]
    return found


class _Holders:
    """All references between some objects, a list that it takes over, and what is in variables."""

    def __init__(
        self, objects: list[object], variables: Sequence[Local], values: Sequence[object]
    ) -> None:
        self._variables: dict[int, Local] = {}
        for variable in variables:
            self._variables.setdefault(variable.holds, variable)
        self._heap = Heap(objects)
        self._in_variables = [value for value in values if isinstance(value, np.ndarray)]
        self._holders: list[list[int]] = [[] for _ in self._heap.nodes]
        for number, targets in enumerate(self._heap.edges):
            for target in dict.fromkeys(targets):
                self._holders[target].append(number)
        self._numbers = {id(node): i for i, node in enumerate(self._heap.nodes)}
        self._garbage = self._heap.unreachable()
        self._labels = Labels()

    def of(self, wanted: Collection[int]) -> dict[int, str]:
        nodes = (node for node in self._heap.nodes if isinstance(node, np.ndarray))
        owners = {id(a): a for a in map(owner, [*nodes, *self._in_variables])}
        return {at: self._named(a) for a in owners.values() if (at := address(a)) in wanted}

    def _named(self, array: Array) -> str:
        found = Counter(self._climb(array, (), MOST_STEPS))
        names = list(found)[:MOST_NAMED]
        more = [f"{len(found) - len(names)} more"] if len(found) > len(names) else []
        waits = f", {WAITS}" if self._numbers.get(id(array)) in self._garbage else ""
        return (" and ".join([*names, *more]) or FROM_OUTSIDE) + waits

    def _climb(self, node: object, way: _Way, steps: int) -> Iterator[str]:
        """The names at the ends of all ways that lead up from an object, the nearest first."""
        if variable := self._variables.get(id(node)):
            function = variable.function.replace("<locals>.", "")
            yield f"{variable.name}{self._label(way)} in {function}"
        number = self._numbers.get(id(node))
        if number is None or not steps:
            return
        for holder in map(self._heap.nodes.__getitem__, self._holders[number]):
            if isinstance(holder, np.ndarray):
                yield from self._climb(holder, (), steps - 1)  # a view
            elif _is_passed(holder):
                yield from self._climb(holder, ((holder, node, 0), *way), steps - 1)
            elif not isinstance(holder, FrameType | FunctionType):
                label = self._label(((holder, node, 0), *way))
                yield f"{title(holder)}{'' if label == NAMELESS else label}"

    def _label(self, way: _Way) -> str:
        """The attributes on a way, by the names that readers know; containers are part of them."""
        parts: list[list[_Hop]] = []
        for hop in way:
            if not parts or not _is_container(hop[0]):
                parts.append([])
            parts[-1].append(hop)
        return "".join(for_readers(self._labels.of(p), p[0][0], p[-1][1]) for p in parts)


def _is_passed(holder: object) -> bool:
    """Whether a holder is but a part of what holds it in turn."""
    return isinstance(holder, Variable) or _is_container(holder)


def _is_container(holder: object) -> bool:
    return isinstance(holder, FOLDED) or class_name(type(holder)) in FOLDED_CLASSES

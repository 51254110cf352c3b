"""What only a collection would free, found without freeing it.

The collector decides by arithmetic: an object that has more references than the other objects hold
to it is referred to from outside, and so is everything that can be reached from there. The rest is
garbage. The same arithmetic here, over `gc.get_objects()` and `sys.getrefcount`, destroys
nothing: no weak reference dies and no finalizer runs. It goes further than the collector in two
ways: it follows NumPy arrays, which the collector does not track, from view to base; and it takes
the garbage apart into strongly connected components, the cycles.

Objects of before a `gc.freeze()` are not listed by the collector and count as outside.

Sources: the comments in CPython's Python/gc.c; R. Tarjan, "Depth-first search and linear graph
algorithms" (1972).
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

Edges = Sequence[Sequence[int]]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Shape:
    """Cycles that are alike: how many there are of these types, and what they hold in all.

    example: one of them, as whoever asked for the census wants it shown.
    """

    types: Mapping[str, int]
    count: int
    objects: int
    bytes: int
    least: int  # bytes that one of them holds, at least and at most
    most: int
    example: Any = None


@dataclass(frozen=True)
class Census:
    """What only a collection would free."""

    cycles: int
    objects: int  # those that the collector tracks, and will count
    bytes: int  # of arrays, each base buffer once
    shapes: Sequence[Shape]  # the most bytes first


def own_bytes(array: Array) -> int:
    """The bytes of an array's own data; none for a view."""
    return array.nbytes if array.flags.owndata else 0


def take_census(
    weigh: Callable[[Array], int] = own_bytes,
    show: Callable[[Heap, Sequence[int]], Any] | None = None,
) -> Census:
    """Find what only a collection would free, and free nothing.

    weigh: the bytes that an array counts for.
    show: what is to be kept of one cycle of each shape; nothing that holds any of its objects.
    """
    with collector_off():
        return _counted(Heap(gc.get_objects()), weigh, show)


def owner(array: Array) -> Array:
    """The array that a view is of, whatever stands between the two; of any other the array itself.

    Between a strided view and its array NumPy puts an object that is no array and has a base.
    """
    base: Any = array.base
    while base is not None:
        if isinstance(base, np.ndarray):
            array = base
        base = getattr(base, "base", None)
    return array


def arrays() -> list[Array]:
    """Every array that owns its data and is held by an object that the collector lists."""
    with collector_off():
        heap = Heap(gc.get_objects())
        return [node for node in heap.nodes if isinstance(node, np.ndarray) and node.base is None]


def array_bytes() -> int:
    """The bytes of all live arrays that tracemalloc has seen being made."""
    domain = np.lib.tracemalloc_domain
    traces = tracemalloc.take_snapshot().traces
    return sum(trace.size for trace in traces if trace.domain == domain)


class Heap:
    """Objects that the collector lists, with the arrays and plain containers that they hold.

    It is made of a list that it takes over. That is older than the Heap and than whatever works on
    it, so that none of these is in the list, and none in a cycle with it.

    nodes: the objects; the collector tracks the first `tracked` of them.
    edges: for each, the numbers of those that it refers to, as often as it does.
    outside: for each, how many references come from elsewhere: frames, C code, older objects.
    """

    def __init__(self, objects: list[object]) -> None:
        self.nodes = objects
        self.tracked = len(self.nodes)
        self.edges = _edges(self.nodes)
        self.nodes.append([])  # nothing but this list refers to it: what others have beyond counts
        counts = [sys.getrefcount(node) for node in self.nodes]
        self.nodes.pop()
        nobody = counts.pop()
        self.outside = [count - nobody for count in counts]
        for targets in self.edges:
            for target in targets:
                self.outside[target] -= 1

    def unreachable(self) -> set[int]:
        """The nodes that no reference from outside leads to."""
        roots = [i for i, count in enumerate(self.outside) if count > 0]
        return set(range(len(self.nodes))) - self.reachable(roots)

    def found_by_collector(self) -> set[int]:
        """Those of the unreachable nodes that the collector finds.

        It does not look into arrays: to it, the base of a view is held from outside. That may be an
        object of Python's own: as_strided, and so every sliding window, puts one between the two.
        """
        bases = [i for i in self._bases() if i < self.tracked]
        roots = [i for i, count in enumerate(self.outside) if count > 0]
        return set(range(self.tracked)) - self.reachable([*roots, *bases])

    def _bases(self) -> Iterator[int]:
        """The nodes that are the base of an array."""
        for node, targets in zip(self.nodes, self.edges, strict=True):
            if isinstance(node, np.ndarray) and node.base is not None:
                yield from (target for target in targets if self.nodes[target] is node.base)

    def reachable(self, roots: Iterable[int]) -> set[int]:
        """The roots, and all that they lead to."""
        found = set(roots)
        stack = list(found)
        while stack:
            fresh = set(self.edges[stack.pop()]) - found
            found |= fresh
            stack.extend(fresh)
        return found

    def is_cycle(self, component: Sequence[int]) -> bool:
        return len(component) > 1 or component[0] in self.edges[component[0]]


def _counted(
    heap: Heap,
    weigh: Callable[[Array], int],
    show: Callable[[Heap, Sequence[int]], Any] | None,
) -> Census:
    garbage = heap.unreachable()
    arrays = ((i, heap.nodes[i]) for i in garbage)
    weights = {i: weigh(array) for i, array in arrays if isinstance(array, np.ndarray)}
    cycles = [c for c in components(heap.edges, garbage) if heap.is_cycle(c)]
    return Census(
        cycles=len(cycles),
        objects=len(heap.found_by_collector()),
        bytes=sum(weights.values()),
        shapes=_shapes(heap, cycles, _bytes_of_each(heap, cycles, weights, garbage), show),
    )


def _edges(nodes: list[object]) -> list[list[int]]:
    """Who refers to whom, by number; what the collector does not track joins the nodes."""
    numbers = {id(node): i for i, node in enumerate(nodes)}
    edges = []
    for node in nodes:  # which grows meanwhile
        targets = []
        for referent in referents(node):
            number = numbers.get(id(referent))
            if number is None and is_untracked_holder(referent):
                number = numbers[id(referent)] = len(nodes)
                nodes.append(referent)
            if number is not None:
                targets.append(number)
        edges.append(targets)
    return edges


def referents(node: object) -> list[object]:
    """What an object refers to, a view to its base included.

    Of a module just its names: in CPython 3.12.1 the one behind asyncio tells of objects that are
    no more. What only a module's C code holds counts as held from outside, and so it is.
    """
    if isinstance(node, ModuleType):
        return [vars(node)]
    found = gc.get_referents(node)
    if isinstance(node, np.ndarray) and node.base is not None:
        found.append(node.base)
    return found


def is_untracked_holder(node: object) -> bool:
    """Whether an object is an array, or a container that the collector dropped as harmless."""
    return isinstance(node, np.ndarray | tuple | dict) and not gc.is_tracked(node)


def components(edges: Edges, among: set[int]) -> Iterator[list[int]]:
    """The strongly connected components of a part of a graph, each after those that it leads to."""
    met: dict[int, int] = {}  # node -> when it was first met
    earliest: dict[int, int] = {}  # node -> when the earliest was that it leads back to
    ahead: dict[int, Iterator[int]] = {}  # node -> those that it leads to and that remain to be met
    pending: list[int] = []  # met, and in no component yet
    finished: set[int] = set()
    for start in sorted(among):
        path = [] if start in met else [start]
        while path:
            node = path[-1]
            if node not in met:
                met[node] = earliest[node] = len(met)
                ahead[node] = iter(edges[node])
                pending.append(node)
            unmet = next((n for n in ahead[node] if n in among and n not in met), None)
            if unmet is not None:
                path.append(unmet)
                continue
            path.pop()
            back = [earliest[n] for n in edges[node] if n in among and n not in finished]
            earliest[node] = min([earliest[node], *back])
            if earliest[node] == met[node]:
                component = _popped_down_to(node, pending)
                finished.update(component)
                yield component


def _popped_down_to(last: int, stack: list[int]) -> list[int]:
    """What lies on a stack from its top to a certain item, taken off it."""
    popped = [stack.pop()]
    while popped[-1] != last:
        popped.append(stack.pop())
    return popped


def _bytes_of_each(
    heap: Heap, cycles: list[list[int]], weights: Mapping[int, int], garbage: set[int]
) -> list[int]:
    """The array bytes that each cycle holds: what two hold counts for the one further down."""
    in_cycle = {i for cycle in cycles for i in cycle}
    taken: set[int] = set()
    held = []
    for cycle in cycles:
        total = 0
        stack = list(cycle)
        while stack:
            node = stack.pop()
            total += weights.get(node, 0)
            fresh = (set(heap.edges[node]) & garbage) - in_cycle - taken
            taken |= fresh
            stack.extend(fresh)
        held.append(total)
    return held


def _shapes(
    heap: Heap,
    cycles: list[list[int]],
    held: list[int],
    show: Callable[[Heap, Sequence[int]], Any] | None,
) -> list[Shape]:
    """The cycles, those of the same types together."""
    alike: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for number, cycle in enumerate(cycles):
        names = Counter(type(heap.nodes[i]).__name__ for i in cycle)
        alike.setdefault(tuple(sorted(names.items())), []).append(number)
    shapes = [
        Shape(
            types=dict(types),
            count=len(numbers),
            objects=sum(len(cycles[n]) for n in numbers),
            bytes=sum(held[n] for n in numbers),
            least=min(held[n] for n in numbers),
            most=max(held[n] for n in numbers),
            example=show(heap, cycles[numbers[0]]) if show else None,
        )
        for types, numbers in alike.items()
    ]
    return sorted(shapes, key=lambda shape: (-shape.bytes, -shape.objects))


def type_counts() -> dict[str, int]:
    """How many objects of each type the collector lists, by their full names.

    Nothing is collected, by objgraph or otherwise, and so nothing destroyed that is to be counted.
    """
    with collector_off(), objgraph_on() as objgraph:
        counts: dict[str, int] = objgraph.typestats(shortnames=False)
    return counts


@contextmanager
def objgraph_on(
    referrers: Callable[[Any], list[object]] = gc.get_referrers,
) -> Iterator[ModuleType]:
    """objgraph, whose calls of gc.collect do nothing for a while.

    referrers: who refers to an object, as it shall see it.
    """
    import objgraph

    harmless = SimpleNamespace(
        collect=lambda *generation: 0,
        get_objects=gc.get_objects,
        get_referents=gc.get_referents,
        get_referrers=referrers,
    )
    objgraph.gc = harmless  # type: ignore[attr-defined]
    try:
        yield objgraph
    finally:
        objgraph.gc = gc  # type: ignore[attr-defined]


@contextmanager
def collector_off() -> Iterator[None]:
    """For a while, let no collection begin by itself."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()

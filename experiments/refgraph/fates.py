"""What dies with what: reference counts, by arithmetic.

An object is freed as soon as nothing refers to it. What refers to itself in a circle is not, and
waits for a collection once nothing else leads to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from experiments.census import components
from experiments.refgraph.model import Edge, Fate, Graph

T = TypeVar("T", bound=Hashable)

Holds = Mapping[T, Sequence[T]]  # each object, and what it refers to strongly, as often as it does


def fates(holds: Holds[T], outside: Mapping[T, int], names: Collection[T]) -> dict[T, Fate]:
    """What becomes of each object when all names let go of what they hold."""
    held = [target for name in names for target in holds.get(name, ())]
    standing = [n for n, count in outside.items() if count > 0 and n not in names]
    alive = reachable(holds, [*names, *standing])
    counts = _counts(holds, outside)
    for target in held:
        counts[target] -= 1
    freed = set(_cascade(holds, counts, dict.fromkeys(held), names))
    staying = reachable(holds, standing, names)
    found: dict[T, Fate] = {}
    for node in holds:
        if node not in alive:
            found[node] = "garbage"
        elif node in freed or node in names:
            found[node] = "freed"
        else:
            found[node] = "stays" if node in staying else "waits"
    return found


def dropping(graph: Graph, edge: Edge) -> tuple[list[str], list[str]]:
    """What dies when one reference is dropped: what is freed at once, and what then waits.

    Raises ValueError for a weak reference, which keeps nothing alive.
    """
    return Drops(graph).of(edge)


class Drops:
    """What dies with each reference of a graph; what is the same for all is found once."""

    def __init__(self, graph: Graph) -> None:
        self._ids = [node.id for node in graph.nodes]
        self._holds = strong(graph)
        self._names = names_of(graph)
        outside = {node.id: node.outside for node in graph.nodes}
        self._standing = [*self._names, *(n for n, count in outside.items() if count > 0)]
        self._counts = _counts(self._holds, outside)
        self._before = reachable(self._holds, self._standing)

    def of(self, edge: Edge) -> tuple[list[str], list[str]]:
        """What is freed at once, and what then waits, as `dropping` says."""
        if edge.weak:
            raise ValueError(f"{edge.label} is a weak reference: to drop it frees nothing")
        targets = [*self._holds[edge.source]]
        targets.remove(edge.target)
        holds = self._holds | {edge.source: targets}
        after = reachable(holds, self._standing, until=edge.target)
        if edge.target in after:  # and with it all that it leads to
            return [], []
        counts = self._counts.copy()
        counts[edge.target] -= 1
        freed = _cascade(self._holds, counts, [edge.target], self._names)
        left = self._before - after - set(freed)
        return freed, [i for i in self._ids if i in left]


def strong(graph: Graph) -> dict[str, list[str]]:
    """Each object of a graph, and what it refers to strongly, as often as it does."""
    holds: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        if not edge.weak:
            holds[edge.source].append(edge.target)
    return holds


def names_of(graph: Graph) -> set[str]:
    return {node.id for node in graph.nodes if node.kind == "name"}


def reachable(
    holds: Holds[T], roots: Iterable[T], but: Collection[T] = (), until: T | None = None
) -> set[T]:
    """The roots, and all that they lead to by other ways than some objects.

    until: an object at which the search may end, and what more there is be left out.
    """
    found = set(roots)
    stack = list(found)
    while stack and until not in found:
        for target in holds.get(stack.pop(), ()):
            if target not in found and target not in but:
                found.add(target)
                stack.append(target)
    return found


def _counts(holds: Holds[T], outside: Mapping[T, int]) -> Counter[T]:
    """How many references there are to each object."""
    counts = Counter(outside)
    for targets in holds.values():
        counts.update(targets)
    return counts


def _cascade(
    holds: Holds[T], counts: Counter[T], first: Iterable[T], lasting: Collection[T]
) -> list[T]:
    """What is freed, one after the other, of what has no reference left; `lasting` never is."""
    freed: dict[T, None] = {}
    pending = list(first)
    while pending:
        node = pending.pop()
        if counts[node] > 0 or node in freed or node in lasting:
            continue
        freed[node] = None
        for target in holds.get(node, ()):
            counts[target] -= 1
            pending.append(target)
    return list(freed)


# Cycles -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cycle:
    """Objects of which each leads to all others.

    bytes: of them and of what else lives no longer than they do; what two cycles hold counts for
        the one further down.
    """

    number: int
    ids: Sequence[str]
    bytes: int


def cycles(graph: Graph) -> list[Cycle]:
    """The cycles of a graph, by their numbers."""
    found: dict[int, list[str]] = {}
    for node in graph.nodes:
        if node.cycle is not None:
            found.setdefault(node.cycle, []).append(node.id)
    held = _held(graph, found)
    return [Cycle(number, found[number], held[number]) for number in sorted(found)]


def _held(graph: Graph, members: Mapping[int, Sequence[str]]) -> dict[int, int]:
    """The bytes that each cycle holds."""
    holds = strong(graph)
    nodes = {node.id: node for node in graph.nodes}
    in_cycle = {i for ids in members.values() for i in ids}
    taken: set[str] = set()
    held = {}
    for number in _furthest_down_first(holds, members):
        fate = nodes[members[number][0]].fate
        total = 0
        stack = list(members[number])
        while stack:
            node = stack.pop()
            total += nodes[node].bytes
            fresh = {t for t in holds[node] if nodes[t].fate == fate} - in_cycle - taken
            taken |= fresh
            stack.extend(fresh)
        held[number] = total
    return held


def _furthest_down_first(holds: Holds[str], members: Mapping[int, Sequence[str]]) -> list[int]:
    """The numbers of cycles, each after those that it leads to."""
    number_of = {i: number for number, ids in members.items() for i in ids}
    order = components_of(holds)
    return list(dict.fromkeys(number_of[c[0]] for c in order if c[0] in number_of))


def components_of(holds: Holds[T]) -> list[list[T]]:
    """The strongly connected components, each after those that it leads to."""
    keys = list(holds)
    numbers = {key: i for i, key in enumerate(keys)}
    edges = [[numbers[target] for target in holds[key]] for key in keys]
    return [[keys[i] for i in c] for c in components(edges, set(range(len(keys))))]


def in_cycles(holds: Holds[T]) -> list[list[T]]:
    """The components that are cycles."""
    return [c for c in components_of(holds) if len(c) > 1 or c[0] in holds[c[0]]]

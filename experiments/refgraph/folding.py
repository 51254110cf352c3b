"""Runs of alike units in a reference graph, each drawn as one box that opens.

A unit is one object or several in a row: an operation, the array that it keeps, its result. Units
are alike where their objects are, and where each reference of one has its match in the next: to the
object as far on as the units are apart, or to the very same object. What is not alike all along is
never folded.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from experiments.refgraph.fates import cycles
from experiments.refgraph.model import Edge, Fate, Graph, Node

LEAST_UNITS = 6  # fewer are as quickly read one by one
MOST_PERIODS = 16  # distances between like objects that are tried, the most frequent first
LONGEST_UNIT = 600
HELD = "bytes held by cycle"  # of the whole graph: with boxes in it they cannot be told
TIED = "in a cycle with"
GRAVEST: Sequence[Fate] = ("garbage", "waits", "stays", "freed")

Reference = tuple[str, bool, int]  # its label, whether it is weak, and the place of its other end
Run = list[list[int]]  # units, each the places of its objects


@dataclass(frozen=True)
class Fold:
    """A run of alike units; the objects of each unit by their ids, in the same order in each."""

    id: str
    units: Sequence[Sequence[str]]

    @property
    def ids(self) -> list[str]:
        return [i for unit in self.units for i in unit]


def folds(graph: Graph) -> list[Fold]:
    """The runs of alike units in a graph, none of which share an object."""
    if len(graph.nodes) < LEAST_UNITS:
        return []
    as_given = range(len(graph.nodes))
    best = _runs(graph, as_given)
    if 2 * _hidden(best) < len(graph.nodes):
        best = max(best, _runs(graph, _depth_first(graph)), key=_hidden)
    ids = [node.id for node in graph.nodes]
    best.sort(key=lambda units: min(min(unit) for unit in units))
    return [
        Fold(f"fold {i}", [[ids[place] for place in unit] for unit in units])
        for i, units in enumerate(best, start=1)
    ]


def closed(graph: Graph, folded: Sequence[Fold]) -> Graph:
    """The graph with a box for each fold; a box has the bytes of all that is in it."""
    box_of = _box_of(folded)
    nodes = {node.id: node for node in graph.nodes}
    boxes = {fold.id: _box(fold, nodes) for fold in folded}
    drawn = dict.fromkeys(box_of.get(node.id, node.id) for node in graph.nodes)
    held = {HELD: {cycle.number: cycle.bytes for cycle in cycles(graph)}} if folded else {}
    return replace(
        graph,
        facts={**graph.facts, **held},
        nodes=[boxes.get(i) or nodes[i] for i in drawn],
        edges=[edge for edge, _ in _between(graph, box_of)],
    )


def behind(graph: Graph, folded: Sequence[Fold]) -> dict[tuple[str, str, str, bool], list[Edge]]:
    """Of each reference of the closed graph, by its key, those of the graph that it stands for."""
    return {edge.key: alike for edge, alike in _between(graph, _box_of(folded))}


def _box_of(folded: Sequence[Fold]) -> dict[str, str]:
    return {i: fold.id for fold in folded for i in fold.ids}


def opened(graph: Graph, folded: Sequence[Fold], fold: Fold) -> tuple[Graph, list[Fold]]:
    """The graph with one fold open and all others closed, and the folds that are left in it.

    Of many units the first two and the last are shown, and a box for those between.
    """
    between = fold.units[2:-1]
    more = [Fold(f"{fold.id} more", between)] if len(between) >= LEAST_UNITS else []
    left = [*(f for f in folded if f.id != fold.id), *more]
    return closed(graph, left), left


# The boxes ----------------------------------------------------------------------------------------


def _box(fold: Fold, nodes: Mapping[str, Node]) -> Node:
    inside = [nodes[i] for i in fold.ids]
    unit = sorted((nodes[i] for i in fold.units[0]), key=lambda n: n.kind != "function")
    kinds = Counter(f"{n.title} {_plain(n.detail)}".strip() for n in unit)
    parts = [kind if count == 1 else f"{count} {kind}" for kind, count in kinds.items()]
    several = next(iter(kinds.values())) > 1
    first = f"{len(unit)} objects" if several else parts.pop(0)
    shown = parts if len(parts) <= 4 else [*parts[:3], f"and {len(parts) - 3} kinds more"]
    numbers = sorted({n.cycle for n in inside if n.cycle is not None})
    return Node(
        id=fold.id,
        kind="fold",
        type="fold",
        title=f"{len(fold.units):,} × {first}",
        detail="\n".join([*shown, *([f"{len(numbers):,} cycles"] if len(numbers) > 1 else [])]),
        bytes=sum(n.bytes for n in inside),
        cycle=numbers[0] if numbers else None,
        fate=next(fate for fate in GRAVEST if any(n.fate == fate for n in inside)),
        outside=sum(n.outside for n in inside),
        only=unit[0].only,
    )


def _between(graph: Graph, box_of: Mapping[str, str]) -> Iterator[tuple[Edge, list[Edge]]]:
    """The references that are left to draw; those alike from or to a box are one, with a count."""
    found: dict[tuple[str, str, str, bool, str], list[Edge]] = defaultdict(list)
    for edge in graph.edges:
        source, target = (box_of.get(i, i) for i in (edge.source, edge.target))
        boxed = source != edge.source or target != edge.target
        if not boxed:
            found[source, target, edge.label, edge.weak, edge.only].append(edge)
        elif source != target:
            found[source, target, _unnumbered(edge.label), edge.weak, edge.only].append(edge)
    for (source, target, label, _, _), alike in found.items():
        first = alike[0]
        same = all(edge.label == first.label for edge in alike)
        count = f" × {len(alike):,}" if len(alike) > 1 else ""
        name = (first.label if same else label) + count
        yield replace(first, source=source, target=target, label=name), alike


def _unnumbered(label: str) -> str:
    return re.sub(r"\[\d+\]", "[…]", label)


def _plain(detail: str) -> str:
    """What a box says of an object, without what counts on from one to the next."""
    return re.sub(r"\bgeneration \d+,? ?", "", detail)


# Finding ------------------------------------------------------------------------------------------


class _Places:
    """The objects of a graph in an order, and their references by place in it."""

    def __init__(self, graph: Graph, order: Sequence[int]) -> None:
        self.order = order
        nodes = [graph.nodes[i] for i in order]
        place = {node.id: i for i, node in enumerate(nodes)}
        self.out: list[list[Reference]] = [[] for _ in nodes]
        self.into: list[list[Reference]] = [[] for _ in nodes]
        for edge in graph.edges:
            source, target = place[edge.source], place[edge.target]
            self.out[source].append((f"{edge.label} {edge.only}", edge.weak, target))
            self.into[target].append((_unnumbered(edge.label), edge.weak, source))
        first_of: dict[int, int] = {}
        for i, node in enumerate(nodes):
            if node.cycle is not None:  # as if each object of a cycle referred to its first
                self.out[i].append((TIED, False, first_of.setdefault(node.cycle, i)))
        for references in (*self.out, *self.into):
            references.sort()
        numbers: dict[object, int] = {}
        self.looks = [numbers.setdefault(self._look(i, node), i) for i, node in enumerate(nodes)]

    def _look(self, i: int, node: Node) -> object:
        """What is the same of two objects that may be alike."""
        plain = replace(node, id="", detail=_plain(node.detail), cycle=None)
        labels = tuple((label, weak) for label, weak, _ in (*self.out[i], *self.into[i]))
        return plain, labels

    def match(self, i: int, period: int) -> list[bool] | None:
        """Of each reference of an object, whether its match in the next unit is as far on.

        None where the two are not alike. The other references are to one and the same object.
        """
        j = i + period
        if self.looks[i] != self.looks[j]:
            return None
        moved = []
        for mine, others in ((self.out[i], self.out[j]), (self.into[i], self.into[j])):
            for (_, _, a), (_, _, b) in zip(mine, others, strict=True):
                if b != a and b != a + period:
                    return None
                moved.append(b != a)
        return moved


def _runs(graph: Graph, order: Sequence[int]) -> list[Run]:
    """Runs of alike units that follow one another in an order: the longest first, none twice."""
    places = _Places(graph, order)
    found = [
        (stop - start + period, -period, start)
        for period in _periods(places.looks)
        for start, stop in _stretches(places, period)
    ]
    taken = bytearray(len(order))
    runs: list[Run] = []
    for length, minus, start in sorted(found, reverse=True):
        period, stop = -minus, start + length
        while start < stop and taken[start]:
            start += 1
        free = taken.find(1, start, stop)
        stop = stop if free < 0 else free
        if (stop - start) // period < LEAST_UNITS:
            continue
        start = _first_of_unit(places, start, stop, period)
        count = (stop - start) // period
        taken[start : start + count * period] = b"\1" * (count * period)
        runs.append(
            [[order[start + period * unit + i] for i in range(period)] for unit in range(count)]
        )
    return runs


def _hidden(runs: Sequence[Run]) -> int:
    """How many boxes fewer there are to draw."""
    return sum(len(units) * len(units[0]) - 1 for units in runs)


def _periods(looks: Sequence[int]) -> list[int]:
    """How far apart objects of one look are, the most frequent distances."""
    last: dict[int, int] = {}
    distances: Counter[int] = Counter()
    for i, look in enumerate(looks):
        if look in last:
            distances[i - last[look]] += 1
        last[look] = i
    # A unit with several objects of one look is as long as some of their distances together.
    often = [d for d, count in distances.most_common(MOST_PERIODS) if count >= LEAST_UNITS - 2]
    sums = {sum(often[i:j]) for i in range(len(often)) for j in range(i + 1, len(often) + 1)}
    return sorted(d for d in {*often, *sums} if d <= LONGEST_UNIT)[: 2 * MOST_PERIODS]


def _stretches(places: _Places, period: int) -> Iterator[tuple[int, int]]:
    """Where objects are alike to those one period on, and matched in the same way all along."""
    count = len(places.order)
    matches: list[list[bool] | None] = [None] * count
    start = 0
    for i in range(count - period + 1):
        found = places.match(i, period) if i < count - period else None
        before = matches[i - period] if i - period >= start else None
        if found is None or (before is not None and before != found):
            if i - start >= (LEAST_UNITS - 1) * period:
                yield start, i
            start = i + 1 if found is None else i - period + 1
        matches[i] = found


def _first_of_unit(places: _Places, start: int, stop: int, period: int) -> int:
    """Where the units of a run begin best: no cycle in two parts, then most references inside."""

    def inside(first: int) -> tuple[int, int]:
        unit = range(first, first + period)
        kept = [label for i in unit for label, _, target in places.out[i] if target in unit]
        return kept.count(TIED), len(kept)

    last = min(start + period - 1, stop - LEAST_UNITS * period)
    return max(range(start, last + 1), key=lambda first: (inside(first), -first))


def _depth_first(graph: Graph) -> list[int]:
    """The places of objects, each right before what it holds; what holds nothing comes first.

    It begins with what nothing else holds, so that each round of a loop is told from its own top.
    """
    place = {node.id: i for i, node in enumerate(graph.nodes)}
    whole = [i if n.cycle is None else -n.cycle for i, n in enumerate(graph.nodes)]
    out: list[list[tuple[str, int]]] = [[] for _ in graph.nodes]
    held = set()
    for edge in graph.edges:
        source, target = place[edge.source], place[edge.target]
        if not edge.weak:
            out[source].append((edge.label, target))
            if whole[source] != whole[target]:
                held.add(whole[target])
    met: dict[int, None] = {}
    kinds = [node.kind for node in graph.nodes]

    def turn(i: int) -> tuple[bool, bool, str]:
        return whole[i] in held, kinds[i] != "name", kinds[i]

    for root in sorted(range(len(out)), key=turn):
        pending = [root]
        while pending:
            i = pending.pop()
            if i not in met:
                met[i] = None
                ahead = sorted(out[i], key=lambda end: (bool(out[end[1]]), *end), reverse=True)
                pending += [target for _, target in ahead]
    return list(met)

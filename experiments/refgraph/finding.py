"""The reference graph of live objects: found, folded, weighed, named, and cut to size.

objgraph finds the way from a name to each root, so that it is in the graph however much is left
out; the census tells who refers to whom, since gc.get_referrers leaves out arrays in dicts, the
base of a view, what is frozen, and local variables.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from experiments.census import Heap, collector_off, objgraph_on
from experiments.references import everything
from experiments.refgraph import folding
from experiments.refgraph.engine import ITSELF
from experiments.refgraph.fates import fates, in_cycles
from experiments.refgraph.model import Edge, Fate, Graph, Node
from experiments.refgraph.naming import Labels, for_readers, kind, size
from experiments.refgraph.numbering import numbered
from experiments.refgraph.region import CONTENTS, Region
from experiments.refgraph.sketch import Link, Sketch
from experiments.refgraph.snapshot import Snapshot, is_weak, with_untracked

MOST = 400  # boxes, which is what a picture can show and a person look through
MOST_FOLDED = 50_000  # objects that may be in those boxes: more take tens of seconds to draw
SECONDS = 10.0
MOST_WAYS = 12  # roots of which the way from a name is looked for, where not all can be shown
FARTHEST = 1000  # objects between a root and the nearest name that leads to it

PACKAGE = "experiments.refgraph"


def of(
    *roots: object,
    names: Mapping[str, object] | None = None,
    most: int = MOST,
    seconds: float = SECONDS,
    title: str = "",
) -> Graph:
    """The live objects around some roots: what they lead to, and what holds that, up to a name.

    roots: objects of any kind of code.
    names: what some objects are called, in place of the variables and globals that hold them.
    most: how many boxes there may be, where runs of like objects are one. Where there are more,
        that many objects are shown, and what is furthest from the roots is left out.
    seconds: how long the search may take.
    """
    keywords = (names, most, seconds, title) != (None, MOST, SECONDS, "")
    with collector_off():
        return _around(roots, names, most, seconds, title, keywords)


def around(roots: Sequence[object], most: int = MOST) -> Graph:
    """The live objects around those of a list, which itself does not count."""
    with collector_off():
        return _around(roots, None, most, SECONDS, "")


def _around(
    roots: Sequence[object],
    names: Mapping[str, object] | None,
    most: int,
    seconds: float,
    title: str,
    by_keywords: bool = False,
) -> Graph:
    objects, variables = everything(PACKAGE)
    with_untracked(objects, [*roots, roots, names, *(names or {}).values()])
    snapshot = Snapshot(Heap(objects), variables, [id(roots), id(names)], _ids(names))
    if type(roots) is tuple and snapshot.disown_copies(roots) and by_keywords:
        for number in snapshot.numbers_of(roots):
            snapshot.heap.outside[number] -= _held_by_call()
    return drawn(Region(snapshot, snapshot.numbers_of(roots), seconds), most, title)


def _held_by_call() -> int:
    """How often this Python holds an argument meanwhile where `f(*arguments, k=1)` is called."""

    def counted(*given: object, **keywords: int) -> int:
        return sys.getrefcount(given[0])

    arguments = (object(),)
    return counted(*arguments, k=1) - counted(*arguments)


def among(
    objects: Sequence[object],
    *,
    names: Mapping[str, object] | None = None,
    most: int = MOST,
    title: str = "",
) -> Graph:
    """Some objects, with the containers and arrays that they hold, and nothing else.

    names: what some of them are called; each name stands for one reference from outside. Without
        it nothing has a name here.
    """
    with collector_off():
        own = [objects, names]
        snapshot = Snapshot(
            Heap(_with_contents(objects, own)), (), [*map(id, own)], _ids(names) or {}
        )
        return drawn(Region.within(snapshot, snapshot.numbers_of(objects)), most, title)


def of_cycle(heap: Heap, cycle: Iterable[int], most: int = MOST) -> Graph:
    """A cycle that the census found to be garbage, with its arrays; nothing is asked for a dict."""
    region = Region.within(Snapshot(heap, given={}), cycle)
    graph = drawn(region, most, asking=False, may_fold=False)
    return replace(graph, nodes=[replace(node, fate="garbage") for node in graph.nodes])


def _ids(names: Mapping[str, object] | None) -> dict[str, int] | None:
    return None if names is None else {name: id(held) for name, held in names.items()}


def _with_contents(objects: Iterable[object], own: Iterable[object]) -> list[object]:
    """The objects, what looks at them, and what is in their containers, down to arrays."""
    found = {id(one): one for one in (*objects, *own) if one is not None}
    pending: list[object] = list(objects)
    while pending:
        for one in gc.get_referents(pending.pop()):
            if id(one) not in found and (isinstance(one, CONTENTS) or is_weak(one)):
                found[id(one)] = one
                pending.append(one)
    return list(found.values())


# From what was found to what is drawn -------------------------------------------------------------


def drawn(
    region: Region,
    most: int,
    title: str = "",
    asking: bool = True,
    may_fold: bool = True,
) -> Graph:
    """The graph of a region: whole where `most` boxes show it, and otherwise cut to `most` objects.

    may_fold: whether a run of like objects counts as one box.
    """
    found = _Found(region, title, asking)
    count = len(found.holds)
    if count <= most:
        return found.graph(found.holds)
    if may_fold and count <= MOST_FOLDED:
        whole = found.graph(found.holds)
        if len(folding.closed(whole, folding.folds(whole)).nodes) <= most:
            return whole
    return found.graph(_nearest(found.sketch, region, found.cycles, most))


class _Found:
    """All that was found in a region, weighed as a whole, of which a part may be drawn.

    holds: each object and name, and what it refers to strongly.
    """

    def __init__(self, region: Region, title: str, asking: bool) -> None:
        self.sketch = sketch = Sketch(region)
        self._hurried = region.hurried
        self._title = title
        self._labels = Labels(asking)
        self._names = {n for n in (*sketch.names, *sketch.nodes) if sketch.is_name(n)}
        self.holds: dict[int, list[int]] = {n: [] for n in (*sketch.nodes, *sketch.names)}
        for link in sketch.links:
            if not link.weak:
                self.holds[link.source].append(link.target)
        self._fates = fates(self.holds, sketch.outside, self._names)
        self.cycles = in_cycles(self.holds)

    def graph(self, kept: Collection[int]) -> Graph:
        """The graph of what is kept; references from the rest count as from outside."""
        sketch, labels = self.sketch, self._labels
        nodes = {n: _node(sketch, n, self._fates[n], labels) for n in self.holds if n in kept}
        outside = dict(sketch.outside)
        for link in sketch.links:
            if not link.weak and link.source not in kept:
                outside[link.target] += 1
        for number in nodes.keys() - self._names:
            nodes[number] = replace(nodes[number], outside=outside[number])
        links = [k for k in sketch.links if k.source in kept and k.target in kept]
        told, edges, ids = numbered(nodes, [_edge(sketch, link, labels) for link in links])
        omitted = len(self.holds) - len(nodes)
        cycles = [[ids[n] for n in cycle if n in ids] for cycle in self.cycles]
        in_cycle = _numbers_of(cycles, [n.id for n in told])
        return Graph(
            nodes=[replace(node, cycle=in_cycle.get(node.id)) for node in told],
            edges=edges,
            title=self._title,
            omitted=omitted,
            notes=_notes(omitted, self._hurried),
        )


def _numbers_of(cycles: Sequence[Sequence[str]], order: Iterable[str]) -> dict[str, int]:
    """The number of the cycle that a node is part of, counted as they come."""
    of_which = {node: i for i, cycle in enumerate(cycles) for node in cycle}
    numbers: dict[int, int] = {}
    for node in order:
        if node in of_which:
            numbers.setdefault(of_which[node], len(numbers) + 1)
    return {node: numbers[cycle] for node, cycle in of_which.items()}


def _notes(omitted: int, hurried: bool) -> list[str]:
    notes = []
    if omitted:
        notes.append(
            f"{omitted:,} objects further away are left out; their references count as from "
            "outside."
        )
    if hurried:
        notes.append("Time was up before everything was found: there is more than is shown.")
    return notes


def _nearest(
    sketch: Sketch, region: Region, cycles: Iterable[Sequence[int]], most: int
) -> set[int]:
    """Which of the drawn are shown: the nearest to the roots, cycles whole, and their names."""
    beside: dict[int, list[int]] = {n: [] for n in (*sketch.nodes, *sketch.names)}
    for link in sketch.links:
        beside[link.source].append(link.target)
        beside[link.target].append(link.source)
    whole = {n: cycle for cycle in cycles for n in cycle}
    first = list(region.roots)[:MOST_WAYS]
    ways = [_way_from_name(region.snapshot, root) for root in first]
    kept: dict[int, None] = dict.fromkeys([n for way in ways for n in way if n in beside][:most])
    met, queue = set(kept), deque(kept)
    others = iter(sketch.nodes)
    while len(kept) < most:
        if not queue:
            queue.append(next(n for n in others if n not in met))
        number = queue.popleft()
        group = whole.get(number, [number])
        kept.update(dict.fromkeys(group if len(kept) + len(group) <= most else [number]))
        fresh = [n for member in (number, *group) for n in beside[member] if n not in met]
        met.update((number, *fresh))
        queue.extend(fresh)
    return set(kept)


def _way_from_name(snapshot: Snapshot, root: int) -> list[int]:
    """The shortest way from something that has a name to a root; the root alone without one."""

    def is_start(node: object) -> bool:
        return snapshot.is_named(snapshot.numbers[id(node)])

    def referrers(node: object) -> list[object]:
        holders = (
            snapshot.holders[snapshot.numbers[id(node)]] if id(node) in snapshot.numbers else []
        )
        return [snapshot.nodes[h] for h in holders if not snapshot.is_stop(h)]

    with objgraph_on(referrers) as objgraph:
        way = objgraph.find_backref_chain(snapshot.nodes[root], is_start, FARTHEST)
    return [snapshot.numbers[id(node)] for node in reversed(way)]


def _node(sketch: Sketch, number: int, fate: Fate, labels: Labels) -> Node:
    """A node whose id is still to come."""
    name = sketch.names.get(number) or sketch.snapshot.cells.get(number)
    if name is not None:
        return Node("", "name", name.detail, name.title, name.detail, fate=fate)
    it = sketch.snapshot.nodes[number]
    title, detail = labels.titles(it)
    return Node("", kind(it), type(it).__name__, title, detail, size(it), fate=fate)


def _edge(sketch: Sketch, link: Link, labels: Labels) -> Edge:
    """An edge between numbers, which are told as texts until there are ids."""
    ends = str(link.source), str(link.target)
    nodes = sketch.snapshot.nodes
    if sketch.is_name(link.source):
        name = sketch.names.get(link.source) or sketch.snapshot.cells[link.source]
        return Edge(*ends, name.title, link.weak)
    if not link.way:
        return Edge(*ends, ITSELF, link.weak, place="a weak reference by itself")
    place = labels.of([(nodes[a], nodes[b], nth) for a, b, nth in link.way])
    label = for_readers(place, nodes[link.source], nodes[link.target])
    return Edge(*ends, label, link.weak, place if place != label else "")

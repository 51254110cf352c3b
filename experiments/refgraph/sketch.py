"""The objects of a region as they are drawn: each container that belongs to one is part of it.

What is drawn of a container with one holder is the way through it: `.inputs[0]`, `.params['W']`.
One that two hold, or that has a name, is an object by itself, as a user's own list is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from experiments.references import FOLDED
from experiments.refgraph.engine import FOLDED_CLASSES, class_name
from experiments.refgraph.region import Region
from experiments.refgraph.snapshot import Name

GIVEN = "this call", "argument"  # the name of what only the call holds that asks for the graph

Hop = tuple[int, int, int]  # who refers to whom, and the how manieth of its references to it


@dataclass(frozen=True)
class Link:
    """A reference that is drawn, and each reference on its way.

    A name's has no way, nor has that of a Function which is itself a weak reference.
    """

    source: int
    target: int
    way: Sequence[Hop]
    weak: bool = False


class Sketch:
    """What is drawn of a region, by number.

    nodes: the objects, in the order in which they were met.
    names: the names that hold them, by numbers that no object has.
    outside: of each object, how many references come from what is not drawn.
    """

    def __init__(self, region: Region) -> None:
        self.snapshot = region.snapshot
        self._region = region
        self._folded = self._foldable()
        self.nodes = [n for n in region.numbers if n not in self._folded]
        self._drawn = set(self.nodes)
        self.names: dict[int, Name] = {}
        self.links: list[Link] = []
        for number in self.nodes:
            self.links += self._links(number)
        self._add_names()
        self.outside = {number: self._outside(number) for number in self.nodes}

    def is_name(self, number: int) -> bool:
        return number in self.names or number in self.snapshot.cells

    def _foldable(self) -> set[int]:
        """The containers that belong to one object, which is not part of them in turn."""
        belongs = {
            n: self.snapshot.holders[n][0] for n in self._region.numbers if self._has_one_holder(n)
        }
        folded: set[int] = set()
        for number in belongs:
            way = [number]
            while way[-1] in belongs and len(set(way)) == len(way):
                way.append(belongs[way[-1]])
            if len(set(way)) == len(way):
                folded.add(number)
        return folded

    def _has_one_holder(self, number: int) -> bool:
        snapshot = self.snapshot
        node, holders = snapshot.nodes[number], snapshot.holders[number]
        return (
            (type(node) in FOLDED or class_name(type(node)) in FOLDED_CLASSES)
            and len(holders) == 1
            and holders[0] in self._region.numbers
            and snapshot.heap.outside[number] <= 0
            and number not in self._region.roots
            and number not in snapshot.cells
        )

    def _links(self, number: int) -> Iterator[Link]:
        """The references of an object, and of the containers that belong to it."""
        pending: list[tuple[int, tuple[Hop, ...]]] = [(number, ())]
        itself = self.snapshot.referent(number)
        while pending:
            holder, way = pending.pop()
            met: Counter[int] = Counter()
            for target in self.snapshot.edges[holder]:
                hops = (*way, (holder, target, met[target]))
                met[target] += 1
                behind = self.snapshot.referent(target)
                if target in self._folded:
                    pending.append((target, hops))
                elif target in self._drawn:
                    yield Link(number, target, hops)
                    itself = None if target == itself else itself  # held, too: that counts
                elif behind in self._drawn:
                    assert behind is not None
                    yield Link(number, behind, hops, weak=True)
        if itself in self._drawn:
            assert itself is not None
            yield Link(number, itself, (), weak=True)

    def _add_names(self) -> None:
        """Add the names that hold what is drawn; what nothing holds was given to this call."""
        held = {link.target for link in self.links if not link.weak}
        for number in self.nodes:
            if number in self.snapshot.cells:
                continue
            names = self.snapshot.names_of(number)
            if not names and number not in held and not self._outside(number):
                names = [Name(*GIVEN, number)]
            for name in names:
                entry = len(self.snapshot.nodes) + len(self.names)
                self.names[entry] = name
                self.links.append(Link(entry, number, ()))

    def _outside(self, number: int) -> int:
        """How many references to an object come from what is not drawn."""
        snapshot = self.snapshot
        drawn = self._region.numbers
        others = sum(
            holder not in drawn and holder not in snapshot.own
            for holder in snapshot.holders[number]
        )
        names = sum(name.holds == number for name in snapshot.names_of(number))
        return max(0, snapshot.heap.outside[number] + others - names)

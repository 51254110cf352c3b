"""Which array to drop: of those held, that which is cheapest to miss.

An array is the cheaper to miss the less it takes to compute it again, with those around it that
are gone already, the more bytes it has, and the longer it has not been used.
Source: Kirisame et al. 2021 (arXiv 2006.09616), the heuristic with equivalence classes.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from itertools import count
from sys import getrefcount
from typing import Any

import numpy as np

from autodiff.keepers.values import Value

_numbers = count()
_FAR = 32  # how many applications to look back over for arrays that rules read


class Application:
    """What is noted of a Making: what it costs, how far it is from the leaves, what it shares.

    shared: the position of the input in whose memory its results lie; None: they have their own.
    """

    __slots__ = ("cost", "depth", "shared")

    def __init__(self, cost: int, depth: int, shared: int | None) -> None:
        self.cost, self.depth, self.shared = cost, depth, shared


class Gap:
    """Arrays that are gone, each computed from another of them, and what they cost together."""

    __slots__ = ("cost", "_into")

    def __init__(self, cost: int) -> None:
        self.cost = cost
        self._into: Gap | None = None

    def whole(self) -> Gap:
        """The gap that this one is a part of by now."""
        gap = self
        while gap._into is not None:
            if gap._into._into is not None:
                gap._into = gap._into._into
            gap = gap._into
        return gap

    def join(self, other: Gap) -> None:
        """Become a part of another."""
        if self is not other:
            other.cost += self.cost
            self._into = other


class Reading:
    """What is noted of a Value that rules read.

    number: the order in which they were first read. cost: to compute it from those `before` it,
    which rules read as well; `after` are those that it is before. used: when it last was.
    gap: what it is part of while it is gone.
    """

    __slots__ = ("number", "size", "used", "cost", "before", "after", "gap", "__weakref__")

    def __init__(self, value: Value, size: int, now: int) -> None:
        self.number = next(_numbers)
        self.size, self.used = size, now
        self.gap: Gap | None = None
        self.cost, self.before = _way_back(value)
        self.after: list[weakref.ref[Reading]] = []
        if self.before:
            link = weakref.ref(self)
            for near in self.before:
                near.after.append(link)

    def price(self, now: int) -> float:
        """What it is to miss it: the heuristic, whose least is dropped first."""
        cost = self.cost
        for gap in self._gaps():
            cost += gap.cost
        return cost / (self.size * (now - self.used + 1))

    def _gaps(self) -> Iterable[Gap]:
        """Those that begin or end here."""
        found = [near.gap.whole() for near in self.before if near.gap is not None]
        for link in self.after:
            if (near := link()) is not None and near.gap is not None:
                found.append(near.gap.whole())
        return found if len(found) < 2 else set(found)

    def goes(self) -> None:
        """It is dropped: the gaps around it become one."""
        gap = Gap(self.cost)
        for other in self._gaps():
            other.join(gap)
        self.gap = gap

    def comes(self, now: int) -> None:
        """It is there, computed again, or is not wanted any more."""
        self.used = now
        if self.gap is not None:
            self.gap.whole().cost -= self.cost
            self.gap = None


def holder(value: Value) -> Value:
    """The Value in whose memory this one lies: itself, unless it is a view."""
    while not lasts(value) and value.making.note.shared is not None:  # type: ignore[union-attr]
        value = value.making.inputs[value.making.note.shared]  # type: ignore[union-attr]
    return value


def lasts(value: Value) -> bool:
    """Whether it stays, because it is not known how to compute it."""
    return value.making is None or value.making.note is None


def depth(value: Value) -> int:
    """How many applications lie between it and the leaves."""
    return 0 if lasts(value) else value.making.note.depth  # type: ignore[union-attr]


def _way_back(value: Value) -> tuple[int, list[Reading]]:
    """What it costs to compute a Value from those before it that rules read, and these."""
    cost = 0
    before: list[Reading] = []
    seen = {value}
    makings: list[Any] = [value.making]
    for making in makings:
        cost += making.note.cost
        for x in making.inputs:
            if type(x) is not Value or x.making is None or x.making.note is None or x in seen:
                continue
            seen.add(x)
            if x.note is not None:
                before.append(x.note)
            elif len(makings) < _FAR:
                makings.append(x.making)
    return cost, before


def alone_in_holding(value: Value) -> bool:
    """Whether nobody else holds its array, so that dropping it frees memory."""
    return getrefcount(value.held) == _ONE


_example = Value(np.empty(0))
_ONE = getrefcount(_example.held)  # what the interpreter counts for an array that a Value holds

"""How arrays stand on top of each other over time, so that the top edge is the bytes alive.

Each array is a band from its birth to its death: the older ones at the bottom, and a band moves
down when one below it dies. A screen has fewer pixels than a trial has events, so that time is seen
at some events only, the *columns*, and arrays too small or too short to be seen are put together, a
band for each role on top of all others. Both leave the height at every column exact.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FEWEST_COLUMNS = 40  # there are never fewer for want of room
TOGETHER = -1  # in the place of an array's number: a band of several

Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Arrays:
    """Arrays by their size in bytes, role, and the events at which each was born and died."""

    sizes: Integers
    roles: Integers
    born: Integers
    died: Integers  # later than any event where an array has not


@dataclass(frozen=True)
class Tiles:
    """Rectangles without a gap or an overlap: of which row, between which columns and heights."""

    row: Integers
    left: Integers
    right: Integers
    bottom: Integers
    top: Integers


@dataclass(frozen=True)
class Stack:
    """What is drawn of some arrays: rectangles from one event and height to another.

    array: whose band a rectangle is part of; TOGETHER where it is of several of one role.
    columns: the events at which the heights are what was alive; each lasts until the next.
    """

    columns: Integers
    array: Integers
    role: Integers
    left: Integers
    right: Integers
    bottom: Integers
    top: Integers

    @property
    def apart(self) -> Integers:
        """The arrays that have a band of their own."""
        return np.unique(self.array[self.array != TOGETHER])


def stacked(
    arrays: Arrays,
    columns: Sequence[int],
    totals: Sequence[Sequence[int]],
    *,
    least_bytes: float = 0.0,
    beyond: float = -1.0,
    most: int = 3_000,
) -> Stack:
    """Stack arrays so that at every column the height of each role is its total there.

    columns: events in order. totals: for each role the bytes alive after each of these, of whatever
        arrays, so that more may have lived than are told of.
    least_bytes: the size of an array that can be seen. beyond: bytes x events of life that an array
        has to exceed for a band of its own. most: how many rectangles there may be; arrays of the
        same bytes x life are drawn alike, and columns are left out only where nothing else helps.
    """
    at, alive = np.asarray(columns, np.int64), np.asarray(totals, np.int64)
    while True:
        picture = _Picture(arrays, at, alive, least_bytes, beyond)
        fits = bisect_right(range(len(picture.areas) + 1), most, key=picture.count)
        if fits or len(at) < 2 * FEWEST_COLUMNS:
            return picture.stack(max(0, fits - 1))
        half = fewer(alive.sum(axis=0), len(at) // 2)
        at, alive = at[half], alive[:, half]


class _Picture:
    """The arrays that can be seen at some columns, and what is left of each role without them."""

    def __init__(
        self, arrays: Arrays, columns: Integers, totals: Integers, least_bytes: float, beyond: float
    ) -> None:
        self.arrays, self.columns, self.totals = arrays, columns, totals
        self.first = np.searchsorted(columns, arrays.born)
        self.last = np.searchsorted(columns, arrays.died)
        start, end = columns[0], columns[-1] + 1
        lives = np.minimum(arrays.died, end) - np.maximum(arrays.born, start)
        self.area = arrays.sizes * lives
        is_seen = (self.last > self.first) & (arrays.sizes >= max(least_bytes, 1))
        self.seen = np.flatnonzero(is_seen & (self.area > beyond))
        self.areas = np.unique(self.area[self.seen])[::-1]

    def chosen(self, n: int) -> Integers:
        """The arrays of the n largest areas, in the order of their birth."""
        found = self.seen[self.area[self.seen] >= self.areas[n - 1]] if n else self.seen[:0]
        return found[np.argsort(self.arrays.born[found], kind="stable")]

    def heights(self, chosen: Integers) -> Integers:
        """A row of bytes at each column for each array apart, and one for the rest of each role."""
        places = np.arange(len(self.columns))
        is_alive = (self.first[chosen, None] <= places) & (places < self.last[chosen, None])
        apart = is_alive * self.arrays.sizes[chosen, None]
        rest = self.totals.copy()
        np.subtract.at(rest, self.arrays.roles[chosen], apart)
        return np.concatenate([apart, rest])

    def count(self, n: int) -> int:
        """How many rectangles there are with the n largest areas apart."""
        return int(_beginnings(self.heights(self.chosen(n))).sum())

    def stack(self, n: int) -> Stack:
        chosen = self.chosen(n)
        found = tiles(self.heights(chosen))
        roles = np.concatenate([self.arrays.roles[chosen], np.arange(len(self.totals))])
        numbers = np.concatenate([chosen, np.full(len(self.totals), TOGETHER)])
        edges = np.append(self.columns, self.columns[-1] + 1)
        return Stack(
            columns=self.columns,
            array=numbers[found.row],
            role=roles[found.row],
            left=edges[found.left],
            right=edges[found.right],
            bottom=found.bottom,
            top=found.top,
        )


def tiles(heights: Integers) -> Tiles:
    """Rows of heights on top of each other, the first at the bottom, in the fewest rectangles.

    heights: rows x columns, none below 0.
    """
    tops = heights.cumsum(axis=0)
    begins = _beginnings(heights)
    ends = heights > 0
    ends[:, :-1] &= begins[:, 1:] | (heights[:, 1:] == 0)
    row, left = np.nonzero(begins)
    top = tops[row, left]
    return Tiles(row, left, np.nonzero(ends)[1] + 1, top - heights[row, left], top)


def _beginnings(heights: Integers) -> npt.NDArray[np.bool_]:
    """Where a row stands at another height than in the column before, or begins to be there."""
    tops = heights.cumsum(axis=0)
    begins = heights > 0
    same_height = heights[:, 1:] == heights[:, :-1]
    begins[:, 1:] &= ~(same_height & (tops[:, 1:] == tops[:, :-1]))
    return begins


def fewer(curve: npt.ArrayLike, most: int) -> Integers:
    """At most so many places of a curve: the lowest and highest of each stretch, and both ends."""
    found = np.asarray(curve, np.int64)
    if len(found) <= most:
        return np.arange(len(found))
    kept = {0, len(found) - 1}
    for part in np.array_split(np.arange(len(found)), (most - 2) // 2):
        kept |= {int(part[found[part].argmin()]), int(part[found[part].argmax()])}
    return np.array(sorted(kept))

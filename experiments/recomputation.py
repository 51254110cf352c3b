"""What memory was bought, and what was paid for it: the points of a sweep, beside theory.

A graph is a workload with the parameters that say what it computes. A point is one way to hold less
of it: the parameters that say how memory is bought, and how much of it there is to be.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import inf
from typing import Any, Protocol

from experiments.bounds import (
    Layers,
    Saves,
    chain_floor,
    least_arrays_at_all,
    least_evaluations,
    uniform_segments,
)
from experiments.estimates import Estimate, Subject, by_subject, of_reading, ratio
from experiments.trial import Record

STUDY = "recomputation"
HOW = ("recompute", "segments", "arrays", "budget", "packer")  # the parameters that say how
PLAIN, REFUSED, NEEDED = "none", "refused", "least_bytes"
COMPUTED = (PLAIN, "segments", "binomial", "budget")  # what computes, and packs nothing
FLOAT_BYTES = 8
SAVES: Mapping[object, Saves] = {"sin": "input", "tanh": "output"}  # of the kinds of deep_chain

# The single numbers of which NumPy makes arrays, such as the loss: what a budget may be overstepped
# by and be kept. The same as the calibration allows of a peak.
NUMBERS_BYTES = 64


def is_point(record: Record) -> bool:
    """Whether a record is of a sweep over ways to buy memory."""
    return record.trial.study == STUDY and HOW[0] in record.trial.parameters


@dataclass(frozen=True)
class Point:
    """One way to hold less of a graph, and what it came to."""

    subject: Subject
    way: str  # "none", how it was computed again, or what packed it
    segments: int | None
    budget: int | None  # in bytes
    refused: bool  # whether the engine said that the budget cannot be met
    needed: float | None  # where it did, the bytes that would do, as far as it knew
    peak: Estimate | None  # of arrays alone, in bytes
    requested: Estimate | None  # the peak of all that was asked for, in bytes
    held: Estimate | None  # in arrays, after forward, in bytes
    first: float | None  # how many operations were evaluated, and how many of them again
    again: float | None
    seconds: Estimate | None
    results: Mapping[str, float]

    @property
    def took(self) -> Estimate | None:
        """What it took: the peak of arrays; where arrays are packed, of all that was asked for."""
        return self.peak if self.way in COMPUTED else self.requested

    @property
    def within(self) -> bool | None:
        """Whether the arrays stayed within the budget; None where there is nothing to say."""
        if self.budget is None or self.peak is None or self.refused:
            return None
        return self.peak.high <= self.budget + NUMBERS_BYTES


class Theory(Protocol):
    """What is the best that can be done for a graph, in bytes and forward evaluations."""

    says: str  # what the best is

    @property
    def operations(self) -> int:
        """How many operations there are."""

    @property
    def floor(self) -> int:
        """The least peak where nothing is computed again."""

    @property
    def least(self) -> int:
        """The least peak of all, at any cost."""

    def evaluations(self, budget: float) -> int | None:
        """The fewest within a budget; None where no schedule can do it."""

    def optimal(self) -> list[tuple[int, int]]:
        """The peaks from which on fewer evaluations do, and how many."""

    def segmented(self) -> list[tuple[int, int, int]]:
        """Of segments of one length: how many of them, the peak, the evaluations.

        Only those that no other number beats, from the lowest peak on.
        """


@dataclass(frozen=True)
class ChainTheory:
    """Of a chain, all of whose operations and arrays are alike, the best is known exactly."""

    operations: int
    saves: Saves
    array_bytes: int

    says = ""

    @property
    def floor(self) -> int:
        return chain_floor(self.operations, self.array_bytes, saves=self.saves)

    @property
    def least(self) -> int:
        return self.array_bytes * least_arrays_at_all(self.operations, saves=self.saves)

    def evaluations(self, budget: float) -> int | None:
        if budget < self.least:
            return None
        arrays = int(budget // self.array_bytes)
        return least_evaluations(self.operations, arrays, saves=self.saves)

    def optimal(self) -> list[tuple[int, int]]:
        peaks = range(self.least, self.floor + 1, self.array_bytes)
        return [(peak, self.evaluations(peak) or 0) for peak in peaks]

    def segmented(self) -> list[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = []
        length = self.operations
        divisors = [n for n in range(1, length + 1) if length % n == 0]
        cut = [(n, *uniform_segments(length, n, saves=self.saves)) for n in divisors]
        for segments, arrays, evaluations in sorted(cut, key=lambda one: one[1:]):
            if not found or evaluations < found[-1][2]:
                found.append((segments, arrays * self.array_bytes, evaluations))
        return found


class LayersTheory:
    """Of a network of layers, the best of schedules that hold on to what they hold is known."""

    says = "The best is that of schedules that hold what they hold until backward has come to it."

    def __init__(self, widths: Sequence[int], batch: int) -> None:
        """widths: of the input and of each layer, in numbers of 8 bytes."""
        weights = [a * b * FLOAT_BYTES for a, b in pairwise(widths)]
        values = [batch * width * FLOAT_BYTES for width in widths]
        self._layers = Layers(values, weights)
        self._most = 3 * (sum(values) + sum(weights))

    @property
    def operations(self) -> int:
        return self._layers.length

    @cached_property
    def floor(self) -> int:
        return self._first(self.operations)

    @cached_property
    def least(self) -> int:
        return self._first(inf)

    def evaluations(self, budget: float) -> int | None:
        return self._layers.least_evaluations(int(budget))

    def optimal(self) -> list[tuple[int, int]]:
        found = [(self.least, self.evaluations(self.least) or 0)]
        while found[-1][1] > self.operations:
            peak = self._first(found[-1][1] - 1)
            found.append((peak, self.evaluations(peak) or 0))
        return found

    def segmented(self) -> list[tuple[int, int, int]]:
        return []  # they are of no one size

    def _first(self, evaluations: float) -> int:
        """The least peak from which on so many evaluations do."""
        peaks = range(0, self._most, self._layers.grain)

        def does(peak: int) -> bool:
            found = self.evaluations(peak)
            return found is not None and found <= evaluations

        return peaks[bisect_left(peaks, True, key=does)]


@dataclass(frozen=True)
class Graph:
    """A workload, and every point at which it was measured."""

    subject: Subject
    points: Sequence[Point]
    log_floor: Estimate | None  # L*, counted where nothing was computed again

    @cached_property
    def parameters(self) -> dict[str, Any]:
        return dict(self.subject.parameters)

    @cached_property
    def plain(self) -> Point | None:
        """The point at which nothing was bought."""
        return next((point for point in self.points if point.way == PLAIN), None)

    @property
    def array_bytes(self) -> int | None:
        """The bytes of each array, where all are alike."""
        return self.parameters["size"] * FLOAT_BYTES if "size" in self.parameters else None

    @cached_property
    def theory(self) -> Theory | None:
        """What is known of its best; None where nothing is."""
        given = self.parameters
        if self.subject.workload == "deep_chain" and self.array_bytes and given["kind"] in SAVES:
            return ChainTheory(given["length"], SAVES[given["kind"]], self.array_bytes)
        if self.subject.workload == "uneven_layers":
            widths = [int(width) * given["unit"] for width in given["widths"].split("-")]
            return LayersTheory(widths, given["batch"])
        return None

    @property
    def floor(self) -> float | None:
        """The least peak where nothing is computed again, in bytes: L*."""
        if self.theory:
            return self.theory.floor
        return self.log_floor.median if self.log_floor else None

    @cached_property
    def operations(self) -> float | None:
        """How many operations are evaluated where none is evaluated again.

        Of a chain its own alone, and not what makes a loss of it.
        """
        if self.theory:
            return self.theory.operations
        return self.plain.first if self.plain else None

    def evaluations(self, point: Point) -> float | None:
        """How many evaluations a point came to, of those operations."""
        if point.again is None or point.refused or self.operations is None:
            return None
        return self.operations + point.again

    def times_evaluated(self, point: Point) -> float | None:
        """How many times as many evaluations as where nothing is computed again."""
        found = self.evaluations(point)
        return found / self.operations if found is not None and self.operations else None

    def times_as_long(self, point: Point) -> Estimate | None:
        if not (self.plain and self.plain.seconds and point.seconds) or point.refused:
            return None
        return ratio(point.seconds, self.plain.seconds)

    def optimum(self, point: Point) -> int | None:
        """The fewest evaluations within a point's budget, or within its peak where it has none."""
        if self.theory is None or point.way not in COMPUTED:
            return None
        if point.budget is not None:
            return self.theory.evaluations(point.budget)
        return self.theory.evaluations(point.peak.median) if point.peak else None

    def off(self, point: Point) -> float | None:
        """How far the results lie from those of no purchase, at most, as a share of these."""
        if self.plain is None or point.refused or not point.results:
            return None
        pairs = [(point.results.get(name), value) for name, value in self.plain.results.items()]
        apart = [abs(found - value) / abs(value) for found, value in pairs if found and value]
        return max(apart, default=0.0)


def graphs(records: Iterable[Record]) -> list[Graph]:
    """Every graph of a sweep, in the order of its first record."""
    groups: dict[Subject, list[Subject]] = {}
    by_point = by_subject(record for record in records if is_point(record))
    for found in by_point:
        groups.setdefault(_without_how(found), []).append(found)
    return [
        Graph(
            subject,
            sorted((_point(s, by_point[s]) for s in subjects), key=_order),
            _only(of_reading([r for s in subjects for r in by_point[s]], "floor_bytes")),
        )
        for subject, subjects in groups.items()
    ]


def _without_how(subject: Subject) -> Subject:
    kept = tuple((name, value) for name, value in subject.parameters if name not in HOW)
    return Subject(subject.workload, kept)


def _order(point: Point) -> tuple[bool, str, float]:
    return point.way != PLAIN, point.way, point.budget or point.segments or 0


def _point(subject: Subject, records: Sequence[Record]) -> Point:
    given = dict(subject.parameters)
    packer = given.get("packer", PLAIN)
    way = given["recompute"] if packer == PLAIN else packer

    def read(reading: str) -> Estimate | None:
        return _only(of_reading(records, reading))

    first, again = read("evaluations_count"), read("recomputed_count")
    results = next((r.results for r in records if r.outcome == "ok"), {})
    return Point(
        subject,
        way,
        segments=given["segments"] if way == "segments" else None,
        budget=_budget(given) if way in ("binomial", "budget") else None,
        refused=REFUSED in results,
        needed=results.get(NEEDED),
        peak=read("peak_array_bytes"),
        requested=read("peak_bytes"),
        held=read("live_after_forward_array_bytes"),
        first=first.median - again.median if first and again else None,
        again=again.median if again else None,
        seconds=read("wall_seconds"),
        results=results,
    )


def _budget(given: Mapping[str, Any]) -> int:
    """A point's budget in bytes, which is given in bytes or in arrays."""
    return int(
        given["budget"] if "budget" in given else given["arrays"] * given["size"] * FLOAT_BYTES
    )


def _only(found: Mapping[Any, Estimate]) -> Estimate | None:
    return next(iter(found.values()), None)

"""Medians, ranges and ratios of readings, grouped by what was measured.

A subject is a workload with its parameters, an arm is what was done differently to it (memory mode
and collector), a case is one of both. Repeats of a case are summed up as an estimate: median,
lowest, highest and how many. The noise of memory readings is one-sided, so that a mean with a
standard deviation would say less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any

from experiments.intervals import (
    WITHIN,
    Interval,
    Verdict,
    processes,
    ratio_of_times,
    verdict,
)
from experiments.trial import Collector, Record

# What tracemalloc's total is exact to when it is calibrated: 4 KiB and a thousandth, taken tenfold.
NOTHING_BYTES = 4096
ALIKE_SHARE = 0.01

# What these read of a trial is the same in every process, unless the collector may choose when.
DETERMINISTIC = (
    "traced",
    "cycles",
    "operations",
    "evaluations",
    "arrays",
    "lifetimes",
    "objects",
)
EXACT = ("_bytes", "_count")  # how such a reading's name ends


@dataclass(frozen=True)
class Subject:
    """A workload with its parameters: what every arm is given alike."""

    workload: str
    parameters: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Arm:
    """What was done differently: the memory mode, and what the collector was allowed."""

    mode: str
    collector: Collector = "off"


@dataclass(frozen=True)
class Estimate:
    """The repeats of one reading, summed up."""

    median: float
    low: float
    high: float
    n: int

    @property
    def spread(self) -> float:
        """How far the highest lies over the lowest."""
        return self.high - self.low


@dataclass(frozen=True)
class TimesAsLong:
    """How many times as long one arm takes as another, and whether that is sure."""

    ratio: float  # of the medians
    over: Interval | None  # None where there are too few processes to say
    verdict: Verdict


@dataclass(frozen=True)
class Varying:
    """A reading that should be the same in every process and was not."""

    subject: Subject
    arm: Arm
    instrument: str
    reading: str
    values: Sequence[float]  # of each process, in the order of the repeats


ByCase = dict[Subject, dict[Arm, Estimate]]


def subject(record: Record) -> Subject:
    """What the record's trial worked on."""
    return Subject(record.trial.workload, tuple(sorted(record.trial.parameters.items())))


def arm(record: Record) -> Arm:
    """How the record's trial worked."""
    return _arm(record.trial.mode, record.trial.collector)


# Asked of every record for every figure, and there are few.
_arm = lru_cache(maxsize=None)(Arm)


def by_subject(records: Iterable[Record]) -> dict[Subject, list[Record]]:
    """The records of each subject, in the order in which subjects first appear."""
    groups: dict[Subject, list[Record]] = {}
    for record in records:
        groups.setdefault(subject(record), []).append(record)
    return groups


def by_arm(records: Iterable[Record]) -> dict[Arm, list[Record]]:
    """The records of each arm, in the order in which arms first appear."""
    groups: dict[Arm, list[Record]] = {}
    for record in records:
        groups.setdefault(arm(record), []).append(record)
    return groups


def estimate(values: Iterable[float]) -> Estimate:
    """Median, lowest, highest and number of the values.

    Raises ValueError where there are none.
    """
    found = sorted(values)
    if not found:
        raise ValueError("an estimate needs at least one value, and there is none")
    return Estimate(median(found), found[0], found[-1], len(found))


def of_reading(records: Iterable[Record], reading: str) -> dict[Arm, Estimate]:
    """A reading's estimate in each arm that has it; trials that did not end well are left out."""
    values: dict[Arm, list[float]] = {}
    for record in records:
        if record.outcome == "ok" and reading in record.readings:
            values.setdefault(arm(record), []).append(record.readings[reading])
    return {a: estimate(found) for a, found in values.items()}


def by_case(records: Iterable[Record], reading: str) -> ByCase:
    """A reading's estimate in each subject and arm that has it."""
    groups = {s: of_reading(found, reading) for s, found in by_subject(records).items()}
    return {s: arms for s, arms in groups.items() if arms}


def why_unavailable(records: Iterable[Record], reading: str) -> dict[Arm, str]:
    """Why an arm lacks a reading, as its records say."""
    return {arm(r): r.unavailable[reading] for r in records if reading in r.unavailable}


def ratio(of: Estimate, to: Estimate) -> Estimate | None:
    """How many times `to` goes into `of`: of the medians, between the two furthest extremes.

    None where `to` is not above zero throughout: nothing is a multiple of nothing.
    """
    if to.low <= 0:
        return None
    return Estimate(of.median / to.median, of.low / to.high, of.high / to.low, min(of.n, to.n))


def times_as_long(
    records: Sequence[Record], reading: str, of: Arm, to: Arm, *, error: float | None = None
) -> TimesAsLong | None:
    """How many times as long a subject takes in an arm as in another; None without both times.

    error: the clock's, in seconds; None where it was not calibrated.
    """
    found = of_reading(records, reading)
    both = ratio(found[of], found[to]) if of in found and to in found else None
    if both is None:
        return None
    over = ratio_of_times(
        [processes((r for r in records if arm(r) == of), reading)],
        [processes((r for r in records if arm(r) == to), reading)],
    )
    gap = found[of].median - found[to].median
    return TimesAsLong(both.median, over, verdict(over, gap, error=error))


def floor_of(records: Iterable[Record], where: Arm) -> Estimate | None:
    """The floor L* of a subject in an arm's mode: it is counted, so that no collector matters."""
    found = of_reading(records, "floor_bytes")
    return next((floor for a, floor in found.items() if a.mode == where.mode), None)


def over_floor(records: Sequence[Record]) -> dict[Arm, Estimate]:
    """How many times the floor each arm of a subject peaked at, where both are known."""
    peaks = of_reading(records, "peak_bytes")
    floors = {a: floor for a in peaks if (floor := floor_of(records, a))}
    return {a: over for a, floor in floors.items() if (over := ratio(peaks[a], floor))}


def pairs(cases: ByCase, before: Arm, after: Arm) -> dict[Subject, tuple[Estimate, Estimate]]:
    """Both arms' estimates for each subject that has both."""
    return {s: (a[before], a[after]) for s, a in cases.items() if before in a and after in a}


def differ(one: Estimate, other: Estimate, *, nothing: float = 0.0) -> bool:
    """Whether two estimates differ: ranges apart, and medians by more than 1 % and `nothing`."""
    apart = one.high < other.low or other.high < one.low
    gap = abs(one.median - other.median)
    return apart and gap > max(nothing, ALIKE_SHARE * max(abs(one.median), abs(other.median)))


def deterministic(records: Iterable[Record]) -> list[Varying]:
    """The values of each reading that should not vary over processes, where there are several."""
    values: dict[tuple[Subject, Arm, str, int, str], list[float]] = {}
    for r in sorted(records, key=lambda r: r.trial.repeat):
        t = r.trial
        if r.outcome != "ok" or t.instrument not in DETERMINISTIC or t.collector == "on":
            continue
        for reading in (name for name in r.readings if name.endswith(EXACT)):
            where = (subject(r), arm(r), t.instrument, t.seed, reading)
            values.setdefault(where, []).append(r.readings[reading])
    return [
        Varying(s, a, instrument, reading, found)
        for (s, a, instrument, _, reading), found in values.items()
        if len(found) > 1
    ]


def varying(records: Iterable[Record]) -> list[Varying]:
    """Each deterministic reading whose range over processes is above zero: a finding by itself."""
    return [found for found in deterministic(records) if min(found.values) < max(found.values)]


def verdict_of_ranges(
    one: Estimate, other: Estimate, *, error: float = 0.0, within: float = WITHIN
) -> Verdict:
    """Whether two figures differ whose ranges over processes are all that they may be.

    error: the instrument's, in their unit. within: the share up to which they are equivalent.
    """
    apart = one.high < other.low or other.high < one.low
    if apart and abs(one.median - other.median) > error:
        return "differs"
    furthest = max(one.high - other.low, other.high - one.low)
    if furthest <= max(error, within * max(0.0, min(one.low, other.low))):
        return "equivalent"
    return "inconclusive"


def collector_of(cases: ByCase) -> Collector:
    """The collector's setting to compare modes under: off where it was off, else the first met."""
    settings = [a.collector for arms in cases.values() for a in arms]
    return settings[0] if settings and "off" not in settings else "off"


def towering(heights: Mapping[Arm, float], times: float = 5.0) -> list[Arm]:
    """The arms so much higher than the others, two at least, that these can hardly be seen."""
    ranked = sorted(heights, key=lambda a: heights[a], reverse=True)
    for n in range(1, len(ranked) - 1):
        if heights[ranked[n - 1]] > times * heights[ranked[n]]:
            return ranked[:n]
    return []

"""Two runs set side by side, the one before and the one after: what differs, and what got worse.

Figures are lined up by workload, parameters, mode, collector and reading. More of anything that is
read is worse. What is exact (bytes, counts) is judged by its ranges over processes. Times come from
two moments, at which the machine may have been of two speeds: the same fixed work, timed in the
calibration of each run, is the yardstick that takes this out, and its own doubt goes into the
interval. Many times are compared at once, so each interval is wide enough for all of them to hold
together (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from statistics import median

from experiments.calibration import Calibration, calibrated
from experiments.environment import differences
from experiments.estimates import (
    NOTHING_BYTES,
    Arm,
    Estimate,
    Subject,
    Varying,
    arm,
    estimate,
    subject,
    varying,
    verdict_of_ranges,
)
from experiments.intervals import (
    CONFIDENCE,
    FEWEST,
    Interval,
    Process,
    Verdict,
    confidence_of,
    processes,
    ratio_of_times,
    verdict,
)
from experiments.trial import CALIBRATION, Record, Trial

YARDSTICK = "fixed_work"  # the workload of the calibration that measures the machine's speed
OF_THE_SAMPLER = "largest_gap_seconds"  # how well was measured, and nothing of the workload

BEFORE, AFTER = "A", "B"


class NothingInCommon(ValueError):
    """The two runs have no case that both tried."""


@dataclass(frozen=True)
class Case:
    """What was measured, and with what: trials of one case are repeats of each other."""

    subject: Subject
    arm: Arm
    instrument: str


@dataclass(frozen=True)
class Figure:
    """One reading of a case in both runs."""

    case: Case
    reading: str
    before: Estimate
    after: Estimate
    ratio: float | None  # of the medians; None where a part of nothing would be asked for
    over: Interval | None  # where the ratio lies; None where that cannot be told
    raw: Interval | None  # of times: before the yardstick's correction, where there was one
    error: float | None  # the instrument's, in the reading's unit; None where not calibrated
    verdict: Verdict
    worse: bool  # beyond the threshold

    @property
    def is_time(self) -> bool:
        return _is_time(self.reading)


@dataclass(frozen=True)
class Result:
    """A number that was computed in both runs, and not the same to the last bit."""

    subject: Subject
    mode: str
    name: str
    before: Sequence[float]
    after: Sequence[float]


@dataclass(frozen=True)
class Yardstick:
    """The machine's speed in both runs, by the time of the same work."""

    ratios: Mapping[str, float]  # reading -> how many times as long the work took in the later run
    n: tuple[int, int]  # processes


@dataclass(frozen=True)
class Comparison:
    """All that tells two runs apart."""

    environments: Sequence[str]  # a sentence for each difference
    commits: tuple[str, str] | None  # where they are two
    figures: Sequence[Figure]
    failed: Sequence[Record]  # of the later run, where the earlier one's trials ended well
    mended: Sequence[Record]  # the other way round
    only_before: Sequence[Case]
    only_after: Sequence[Case]
    results: Sequence[Result]
    results_compared: int
    varying: Mapping[str, Sequence[Varying]]  # run -> its deterministic readings that vary
    uncalibrated: Mapping[str, Sequence[str]]  # run -> its instruments beyond their bounds
    yardstick: Yardstick | None
    times: int  # how many times are compared at once
    confidence: float  # of the interval of each of them
    together: float  # of all of them at once, at least; what their processes can bear

    @property
    def worse(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.worse]

    @property
    def got_worse(self) -> bool:
        return bool(self.worse or self.failed)


def compare(
    before: Iterable[Record],
    after: Iterable[Record],
    *,
    threshold: float = 0.05,
    time_threshold: float = 0.10,
) -> Comparison:
    """What differs between two runs, and which of it got worse by more than a threshold.

    threshold, time_threshold: shares, of bytes and counts and of times.
    Raises NothingInCommon where no case was tried in both.
    """
    sides = _Side(before), _Side(after)
    one, other = sides
    common = sorted((case for case in one.cases if case in other.cases), key=_place)
    if not common:
        raise NothingInCommon("no workload, mode and instrument is in both of them")
    yardstick = _yardstick(*sides)
    pairs = list(_pairs(one, other, common))
    times = sum(_can_tell(one.estimate(*p), other.estimate(*p)) for p in pairs if _is_time(p[1]))
    confidence = 1 - (1 - CONFIDENCE) / max(1, times)
    judge = _Judge(one, other, yardstick, threshold, time_threshold, confidence)
    figures = [judge.figure(case, reading) for case, reading in pairs]
    compared = _results(one, other, common)
    return Comparison(
        environments=_environments(one, other, common),
        commits=_commits(one, other),
        figures=figures,
        failed=_failed(one, other),
        mended=_failed(other, one),
        only_before=[case for case in one.cases if case not in other.cases],
        only_after=[case for case in other.cases if case not in one.cases],
        results=[r for r in compared if set(r.before) != set(r.after)],
        results_compared=len(compared),
        varying={name: varying(side.records) for name, side in zip("AB", sides, strict=True)},
        uncalibrated={
            name: [c.instrument for c in side.calibrations.values() if c.failures]
            for name, side in zip("AB", sides, strict=True)
        },
        yardstick=yardstick,
        times=times,
        confidence=confidence,
        together=_together(figures, yardstick, confidence),
    )


class _Side:
    """One of the two runs."""

    def __init__(self, records: Iterable[Record]) -> None:
        everything = list(records)
        self.calibrations: Mapping[str, Calibration] = calibrated(everything)
        self.records = [r for r in everything if r.trial.study != CALIBRATION]
        self.yardstick = [
            r
            for r in everything
            if r.trial.study == CALIBRATION
            and (r.trial.workload, r.trial.instrument) == (YARDSTICK, "clock")
        ]
        self.cases: dict[Case, list[Record]] = {}
        for r in self.records:
            case = Case(subject(r), arm(r), r.trial.instrument)
            self.cases.setdefault(case, []).append(r)

    def ended(self, case: Case) -> list[Record]:
        return [r for r in self.cases[case] if r.outcome == "ok"]

    def estimate(self, case: Case, reading: str) -> Estimate:
        return estimate(r.readings[reading] for r in self.ended(case) if reading in r.readings)

    def readings(self, case: Case) -> dict[str, None]:
        return dict.fromkeys(name for r in self.ended(case) for name in r.readings)


def _place(case: Case) -> tuple[str, ...]:
    """Where a case stands among the others."""
    s, a = case.subject, case.arm
    return s.workload, str(s.parameters), a.mode, a.collector, case.instrument


# Figures ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Judge:
    """Sets the figures of two runs side by side, by the same rules for each."""

    before: _Side
    after: _Side
    yardstick: Yardstick | None
    threshold: float
    time_threshold: float
    confidence: float

    def figure(self, case: Case, reading: str) -> Figure:
        one, other = self.before.estimate(case, reading), self.after.estimate(case, reading)
        error = self._error(case.instrument, reading)
        figure = Figure(
            case=case,
            reading=reading,
            before=one,
            after=other,
            ratio=_ratio(one.median, other.median),
            over=None,
            raw=None,
            error=error,
            verdict="inconclusive",
            worse=False,
        )
        if figure.is_time and one.low > 0:
            return self._timed(figure)
        return self._exact(figure)  # a time of nothing, such as pauses that never were, too

    def _exact(self, figure: Figure) -> Figure:
        """Bytes and counts: they are what they are, and vary no further than they did."""
        one, other = figure.before, figure.after
        nothing = NOTHING_BYTES if figure.reading.endswith("_bytes") else 0.0
        error = nothing if figure.error is None else figure.error
        found = verdict_of_ranges(one, other, error=error, within=self.threshold)
        low, high = _ratio(one.high, other.low), _ratio(one.low, other.high)
        over = None if low is None or high is None else Interval(low, high, 1.0)
        beyond = other.low > one.high + self.threshold * max(0.0, one.high)
        return replace(figure, over=over, verdict=found, worse=found == "differs" and beyond)

    def _timed(self, figure: Figure) -> Figure:
        """Times: by an interval, with the machine's speed taken out where it is known."""
        one, other = (
            processes(side.ended(figure.case), figure.reading) for side in (self.before, self.after)
        )
        raw = ratio_of_times([other], [one], confidence=self.confidence)
        over, speed = raw, 1.0
        if self.yardstick is not None and raw is not None:
            work = _work_of(figure.reading)
            was, now = (processes(s.yardstick, work) for s in (self.before, self.after))
            over = ratio_of_times([other, was], [one, now], confidence=self.confidence)
            speed = self.yardstick.ratios[work]
        gap = figure.after.median / speed - figure.before.median
        found = verdict(over, gap, error=figure.error, within=self.time_threshold)
        return replace(
            figure,
            ratio=None if figure.ratio is None else figure.ratio / speed,
            over=over,
            raw=raw if self.yardstick else None,
            verdict=found,
            worse=found == "differs" and over is not None and over.low > 1 + self.time_threshold,
        )

    def _error(self, instrument: str, reading: str) -> float | None:
        """The larger error of the two runs' instruments."""
        calibrations = (s.calibrations.get(instrument) for s in (self.before, self.after))
        errors = [c.error(reading) for c in calibrations if c]
        return max((error for error in errors if error is not None), default=None)


def _pairs(one: _Side, other: _Side, common: Iterable[Case]) -> Iterable[tuple[Case, str]]:
    """Every case and reading that both runs have."""
    for case in common:
        theirs = other.readings(case)
        for reading in one.readings(case):
            if reading in theirs and reading != OF_THE_SAMPLER:
                yield case, reading


def _ratio(before: float, after: float) -> float | None:
    """How many times as much there is after; None where less than nothing is in it."""
    if before < 0 or after < 0:
        return None
    if before == 0:
        return inf if after else 1.0
    return after / before


def _is_time(reading: str) -> bool:
    return reading.endswith("_seconds")


def _can_tell(one: Estimate, other: Estimate) -> bool:
    """Whether two times have a ratio with an interval."""
    return min(one.n, other.n) >= FEWEST and one.low > 0


# The machine --------------------------------------------------------------------------------------


def _yardstick(one: _Side, other: _Side) -> Yardstick | None:
    """How the machine's speed changed; None where it was measured too seldom in one of the runs."""
    ratios, numbers = {}, (0, 0)
    for reading in ("wall_seconds", "cpu_seconds"):
        was, now = (processes(side.yardstick, reading) for side in (one, other))
        numbers = len(was), len(now)
        if min(numbers) < FEWEST or not _median(was):
            return None
        ratios[reading] = _median(now) / _median(was)
    return Yardstick(ratios, numbers)


def _work_of(reading: str) -> str:
    """The reading of the fixed work that a time is set against: all but one are of the wall."""
    return "cpu_seconds" if reading == "cpu_seconds" else "wall_seconds"


def _median(group: Sequence[Process]) -> float:
    return median(process.total for process in group)


def _together(figures: Iterable[Figure], yardstick: Yardstick | None, confidence: float) -> float:
    """The confidence that all intervals of times hold: each may fail, and the yardstick once."""
    doubt = sum(1 - f.over.confidence for f in figures if f.is_time and f.over)
    if yardstick is not None and confidence_of(*yardstick.n) < confidence:
        doubt += 1 - confidence_of(*yardstick.n)
    return max(0.0, 1 - doubt)


def _environments(one: _Side, other: _Side, common: Iterable[Case]) -> list[str]:
    """Each difference between the environments of trials that are set side by side."""
    met: dict[str, None] = {}
    for case in common:
        was, now = one.cases[case][0].environment, other.cases[case][0].environment
        met |= dict.fromkeys(differences(was, now, (f"in {BEFORE}", f"in {AFTER}")))
    return list(met)


def _commits(one: _Side, other: _Side) -> tuple[str, str] | None:
    """The commits of two runs, where they are two."""
    was, now = (
        ", ".join(sorted({_commit(r) for r in side.records if r.environment.get("commit")}))
        for side in (one, other)
    )
    return (was, now) if was != now else None


def _commit(record: Record) -> str:
    changed = " with changes" if record.environment.get("changed") else ""
    return f"{str(record.environment['commit'])[:10]}{changed}"


# Endings and results ------------------------------------------------------------------------------


def _failed(one: _Side, other: _Side) -> list[Record]:
    """The trials of the other run that did not end well, and had nothing to fear from the one."""
    ended = {_repeat(r.trial): r.outcome == "ok" for r in one.records}
    return [
        r
        for case, found in other.cases.items()
        for r in found
        if r.outcome != "ok" and ended.get(_repeat(r.trial), _all_ended(one, case))
    ]


def _repeat(trial: Trial) -> tuple[object, ...]:
    """What tells a trial from others of its run, whichever study asked for it."""
    parameters = tuple(sorted(trial.parameters.items()))
    how = trial.mode, trial.instrument, trial.collector
    return trial.workload, parameters, *how, trial.repeat, trial.seed


def _all_ended(side: _Side, case: Case) -> bool:
    found = side.cases.get(case, [])
    return bool(found) and all(r.outcome == "ok" for r in found)


def _results(one: _Side, other: _Side, common: Iterable[Case]) -> list[Result]:
    """Every number that both runs computed of the same workload, mode and seed."""
    was, now = _computed(one, common), _computed(other, common)
    return [
        Result(s, mode, name, sorted(was[where]), sorted(now[where]))
        for where in was
        if where in now
        for s, mode, _, name in [where]
    ]


def _computed(
    side: _Side, common: Iterable[Case]
) -> dict[tuple[Subject, str, int, str], set[float]]:
    found: dict[tuple[Subject, str, int, str], set[float]] = {}
    for case in common:
        for r in side.ended(case):
            for name, value in r.results.items():
                where = case.subject, case.arm.mode, r.trial.seed, name
                found.setdefault(where, set()).add(value)
    return found

"""How far an instrument is to be trusted: its readings of known truths, beside the truths.

A straight line is fitted through what it read of what was there, reading = a + b x truth, and the
worst error is kept. Each reading has a bound; an instrument with an error beyond it is not
calibrated, and what it read of anything else is to be believed accordingly.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from experiments.trial import CALIBRATION, Record

KIB = 2**10
BLANK, TRANSIENT = "blank", "transient"  # truths that are looked at by themselves, too
HOLDER = "FORGOTTEN"  # the name of the list in which the truth of that name holds its array
KEPT = "experiments.truths.Kept"  # the type of which there are more and more in another
NAMED, TYPE = "named_holders_count", "kept_objects_count"  # counted in what an instrument names
SEEN = 0.95  # of a peak: a sample that high has seen it

# What a reading counts, the narrower kind first: an error found in one reading of a kind holds for
# every other of it.
_KINDS = ("array_bytes", "resident_bytes", "bytes", "seconds", "count")


# The bounds ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bound:
    """How far a reading may lie from its truth, and why so far."""

    fixed: float = 0.0  # in the reading's unit
    share: float = 0.0  # of the truth
    each: float = 0.0  # for every array
    source: str = ""

    def at(self, truth: float, arrays: float) -> float:
        """The largest error that is allowed where so much, in so many arrays, was there."""
        return self.fixed + self.share * abs(truth) + self.each * arrays

    def in_words(self, reading: str) -> str:
        """`exact`, or what it is made up of, such as `4 KiB + 0.1 %`."""
        parts = [
            _amount(self.fixed, reading) if self.fixed else "",
            f"{100 * self.share:g} %" if self.share else "",
            f"{_amount(self.each, reading)} an array" if self.each else "",
        ]
        return " + ".join(filter(None, parts)) or "exact"


EXACT = Bound(source="it is counted, and not estimated")
REQUESTED = Bound(
    4 * KIB,
    share=0.001,
    source="the headers of arrays, and the frames, lists and numbers around them",
)
FEW = Bound(8, source="what the trial itself, and NumPy in a context variable, make anew or drop")
NUMBERS = Bound(64, source="the single numbers of which NumPy makes arrays within an operation")
TAKEN = Bound(
    16 * KIB,
    share=0.001,
    source="as for requested bytes; and what the interpreter keeps of freed objects and frames for "
    "reuse, which nobody can tell from outside from what is in use",
)
PAGES = Bound(
    128 * KIB,
    each=4 * KIB,
    source="32 pages, which the kernel may have counted on one processor and not yet in the total "
    "(percpu_counter_batch, Linux lib/percpu_counter.c), and a page for each array's own mapping",
)
TIMED = Bound(
    0.005,
    share=0.01,
    source="a time slice of the scheduler, for which a process may be kept from its clock",
)


@dataclass(frozen=True)
class Gate:
    """A reading, the truth to set beside it, where that is known, and how far off it may be."""

    instrument: str
    reading: str
    what: str
    truth: str  # the result of the truths that holds it; of the blank it is 0
    of: Sequence[str]  # the truths' names
    bound: Bound


_HELD = (BLANK, "held")
_ARRAYS = (*_HELD, "untouched", "views", TRANSIENT)
_PEAKS = (*_HELD, "untouched", TRANSIENT)
_CYCLES = (BLANK, "cycles")
_FORGOTTEN = (BLANK, "forgotten")
_LEFT = (*_CYCLES, "forgotten")
_CHAINS = (BLANK, "squares")
_AGAIN = (*_CHAINS, "squares_again")
_GROWING = (BLANK, "growing")
_TIMES = (BLANK, "known_time")

GATES: Sequence[Gate] = (
    Gate("traced", "live_after_forward_array_bytes", "arrays held", "live_bytes", _ARRAYS, EXACT),
    Gate("traced", "left_array_bytes", "arrays left behind", "left_bytes", _LEFT, EXACT),
    Gate(
        "traced",
        "left_after_collection_array_bytes",
        "arrays never freed",
        "kept_bytes",
        _LEFT,
        EXACT,
    ),
    Gate(
        "traced",
        "live_after_forward_bytes",
        "all that is held",
        "live_bytes",
        (*_ARRAYS, "small_objects"),
        REQUESTED,
    ),
    Gate("traced", "peak_bytes", "peaks", "live_bytes", (*_PEAKS, "small_objects"), REQUESTED),
    Gate(
        "resident",
        "live_after_forward_resident_bytes",
        "pages held",
        "resident_bytes",
        _PEAKS,
        PAGES,
    ),
    Gate("resident", "peak_resident_bytes", "peaks", "resident_bytes", _PEAKS, PAGES),
    Gate("cycles", "cycle_count", "cycles", "cycles_count", _CYCLES, EXACT),
    Gate("cycles", "cycle_objects_count", "objects in cycles", "objects_count", _CYCLES, EXACT),
    Gate("cycles", "cycle_bytes", "arrays held by cycles", "left_bytes", _CYCLES, EXACT),
    Gate("cycles", "collected_objects_count", "objects collected", "objects_count", _CYCLES, EXACT),
    Gate("collector", "collector_runs_count", "runs", "runs_count", _CYCLES, EXACT),
    Gate("collector", "collector_collected_count", "objects freed", "freed_count", _CYCLES, EXACT),
    Gate("operations", "floor_bytes", "floor of a chain", "floor_bytes", _CHAINS, EXACT),
    Gate("operations", "operation_count", "operations", "operations_count", _CHAINS, EXACT),
    Gate("evaluations", "evaluations_count", "evaluations", "evaluations_count", _AGAIN, EXACT),
    Gate("evaluations", "recomputed_count", "computed again", "recomputed_count", _AGAIN, EXACT),
    Gate("arrays", "peak_array_bytes", "peaks", "live_bytes", (*_ARRAYS, "squares"), NUMBERS),
    Gate(
        "lifetimes",
        "timeline_live_after_forward_bytes",
        "arrays held",
        "live_bytes",
        (*_HELD, "views"),
        EXACT,
    ),
    Gate("lifetimes", "timeline_peak_bytes", "peaks", "live_bytes", (*_HELD, "squares"), NUMBERS),
    Gate("lifetimes", "timeline_left_bytes", "arrays left behind", "left_bytes", _LEFT, EXACT),
    Gate("objects", TYPE, "objects of a type", "grown_count", _GROWING, EXACT),
    Gate("objects", "tracked_objects_count", "objects of all types", "grown_count", _GROWING, FEW),
    Gate(
        "objects",
        "grown_objects_per_step_count",
        "objects a step",
        "grown_per_step_count",
        ("growing",),
        EXACT,
    ),
    Gate("objects", NAMED, "holders named", "holders_count", _FORGOTTEN, EXACT),
    Gate("lines", "largest_line_bytes", "growth at a line", "resident_bytes", _HELD, PAGES),
    Gate("native", "native_peak_bytes", "peaks", "live_bytes", _PEAKS, TAKEN),
    Gate("clock", "wall_seconds", "elapsed time", "wall_seconds", _TIMES, TIMED),
    Gate("clock", "cpu_seconds", "processor time", "cpu_seconds", _TIMES, TIMED),
)


# What came of it ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """The straight line through the readings of known truths: reading = a + b x truth."""

    a: float  # what is read where nothing is, in the reading's unit
    b: float
    worst: float  # the largest distance between a reading and its truth
    n: int


@dataclass(frozen=True)
class Check:
    """What an instrument's readings of one kind came to."""

    gate: Gate
    fit: Fit | None  # None where nothing was read
    blank: float | None  # what it read where there was nothing
    failures: Sequence[str] = ()
    unavailable: str = ""  # why there is no such reading here


@dataclass(frozen=True)
class Calibration:
    """What the known truths say of one instrument, in one run."""

    instrument: str
    fits: Mapping[str, Fit] = field(default_factory=dict)  # by reading
    seen: Mapping[float, float] = field(default_factory=dict)  # life of a peak, seconds -> share
    failures: Sequence[str] = ()  # a sentence for each bound that was broken
    unavailable: Mapping[str, str] = field(default_factory=dict)  # reading -> why there is none
    checks: Sequence[Check] = ()

    @property
    def passed(self) -> bool:
        """Whether something was read, and everything within its bounds."""
        return bool(self.fits) and not self.failures

    def error(self, reading: str) -> float | None:
        """The worst absolute error in a reading, or in those of its kind.

        None where nothing of its kind was calibrated.
        """
        if reading in self.fits:
            return self.fits[reading].worst
        kind = _kind(reading)
        worst = [fit.worst for name, fit in self.fits.items() if _kind(name) == kind]
        return max(worst, default=None)


def calibrated(records: Iterable[Record]) -> Mapping[str, Calibration]:
    """What the records' known truths say, by instrument; other records are passed over."""
    shown: dict[str, list[Record]] = {}
    for record in records:
        if record.trial.study == CALIBRATION:
            shown.setdefault(record.trial.instrument, []).append(record)
    return {instrument: _calibration(instrument, found) for instrument, found in shown.items()}


def _calibration(instrument: str, records: Sequence[Record]) -> Calibration:
    checks = [_check(gate, records) for gate in GATES if gate.instrument == instrument]
    return Calibration(
        instrument,
        fits={check.gate.reading: check.fit for check in checks if check.fit},
        seen=_seen(records),
        failures=list(dict.fromkeys(failure for check in checks for failure in check.failures)),
        unavailable={c.gate.reading: c.unavailable for c in checks if c.unavailable},
        checks=checks,
    )


def _check(gate: Gate, records: Sequence[Record]) -> Check:
    """One gate: each reading beside its truth, and what there should have been and is not."""
    mine = [record for record in records if record.trial.workload in gate.of]
    ended = [record for record in mine if record.outcome == "ok"]
    read = [(record, value) for record in ended if (value := _read(gate, record)) is not None]
    reasons = [r.unavailable[gate.reading] for r in ended if gate.reading in r.unavailable]
    pairs = [(_truth(gate, record), value) for record, value in read]
    blanks = [abs(value) for record, value in read if record.trial.workload == BLANK]
    return Check(
        gate,
        fit=fitted(pairs) if pairs else None,
        blank=max(blanks, default=None),
        failures=[
            *_not_shown(gate, mine),
            *(said for record in mine if (said := _fault(gate, record))),
        ],
        unavailable=reasons[0] if reasons and not read else "",
    )


def fitted(pairs: Sequence[tuple[float, float]]) -> Fit:
    """The line of least squares through pairs of truth and reading.

    Through truths that are all alike goes no one line: a and b are NaN then.
    """
    truths, readings = zip(*pairs, strict=True)
    a = b = math.nan
    if len(set(truths)) > 1:
        b, a = statistics.linear_regression(truths, readings)
    worst = max(abs(reading - truth) for truth, reading in pairs)
    return Fit(a, b, worst, len(pairs))


def _read(gate: Gate, record: Record) -> float | None:
    """What the instrument read, or what there is in its details."""
    details = record.details
    if gate.reading == TYPE and "types" in details:
        return float(details["types"].get(KEPT, 0))
    if gate.reading == NAMED and "holders" in details:
        return float(sum(h["count"] for h in details["holders"]["left"] if HOLDER in h["why"]))
    return record.readings.get(gate.reading)


def _truth(gate: Gate, record: Record) -> float:
    return 0.0 if record.trial.workload == BLANK else record.results[gate.truth]


def _not_shown(gate: Gate, records: Sequence[Record]) -> list[str]:
    """A sentence for each truth of which there is no trial at all."""
    there = {record.trial.workload for record in records}
    return [
        f"`{gate.instrument}` was never shown `{name}`: there is no trial of it."
        for name in gate.of
        if name not in there
    ]


def _fault(gate: Gate, record: Record) -> str:
    """What is wrong with a reading, in a sentence; empty where nothing is."""
    where = f"`{gate.instrument}` on {_shown(record)}"
    if record.outcome != "ok":
        said = record.error.strip().partition("\n")[0]
        return f"{where}: the trial {_ENDED[record.outcome]}. {said}".strip()
    if gate.reading in record.unavailable:
        return ""
    reading, truth = _read(gate, record), _truth(gate, record)
    if reading is None:
        return f"{where}: it gave no {gate.reading}."
    allowed = gate.bound.at(truth, record.results.get("arrays_count", 0.0))
    error = abs(reading - truth)
    if error <= allowed:
        return ""
    there, read, off, most = (_amount(v, gate.reading) for v in (truth, reading, error, allowed))
    return (
        f"{where}: {gate.reading} read {read} of {there}, which is {off} off; allowed are {most}."
    )


_ENDED = {"failed": "failed", "timed out": "took too long", "killed": "was killed"}


def _shown(record: Record) -> str:
    """The truth of a trial, with its parameters: `held (count 16, size 65,536)`."""
    trial = record.trial
    told = [f"{name} {value:,}" for name, value in trial.parameters.items() if name != "mode"]
    told += [f"collector {trial.collector}"] if trial.collector != "off" else []
    return f"`{trial.workload}`" + (f" ({', '.join(told)})" if told else "")


# Peaks that come and go ---------------------------------------------------------------------------


def _seen(records: Sequence[Record]) -> dict[float, float]:
    """The share of transient peaks that the curve saw, by how long they lasted."""
    found: dict[float, list[bool]] = {}
    for record in records:
        curve = record.details.get("curve")
        if record.trial.workload == TRANSIENT and record.outcome == "ok" and curve:
            life = float(record.trial.parameters["milliseconds"]) / 1000
            found.setdefault(life, []).extend(_peaks_seen(record))
    return {life: sum(each) / len(each) for life, each in sorted(found.items()) if each}


def _peaks_seen(record: Record) -> list[bool]:
    """Of each round of a trial, whether a sample in it came up to the peak."""
    least = SEEN * record.results["resident_bytes"]
    ends = [at for at, phase in record.details["phases"] if phase in ("built", "step")]
    high = [at for at, held in record.details["curve"] if held >= least]
    return [any(start <= at < end for at in high) for start, end in pairwise(ends)]


# In words -----------------------------------------------------------------------------------------


def _kind(reading: str) -> str:
    """What a reading counts, by the end of its name."""
    return next((kind for kind in _KINDS if reading.endswith(kind)), reading)


def _amount(value: float, reading: str) -> str:
    """A value in the unit that the reading's name ends in, to the last digit that matters."""
    if reading.endswith("_bytes"):
        kib, rest = divmod(value, KIB)
        return f"{kib:,.0f} KiB" if kib and not rest and kib < KIB else f"{value:,.0f} B"
    if reading.endswith("_seconds"):
        return f"{1000 * value:.3g} ms"
    return f"{value:,.0f}"

"""The resident memory of a trial's process over time, sampled from outside by memory_profiler.

The runner samples while the trial runs (`sample`), and puts the curve into its record when the
process has ended (`joined`).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from experiments.heartbeat import Mark, read_pulse
from experiments.instruments import MOMENTS
from experiments.trial import Record

INTERVAL = 0.002  # seconds, as asked; the gaps that came of it are recorded
SLICE = 0.1  # seconds of sampling between two looks at whether the process still runs
MOST_POINTS = 400  # of a curve in a record
MOST_MARKS = 200
PAGE = 4096

PEAK, SAMPLED_PEAK = "peak_resident_bytes", "sampled_peak_resident_bytes"
LARGEST_GAP = "largest_gap_seconds"
_TOO_SHORT = "the trial was over before the first sample of it"


class Sample(NamedTuple):
    """How much of a process was resident, and when (seconds of time.time)."""

    seconds: float
    bytes: int


def sample(heartbeat: Path, is_running: Callable[[], bool]) -> list[Sample]:
    """Sample the resident set of the process of a heartbeat until it has ended.

    In slices, and by the process's number: that way memory_profiler starts no process of its own,
    and a process that hangs does not take the sampler with it. To a stream, because what it holds
    outlives the error with which memory_profiler meets the end of the process.
    """
    import psutil
    from memory_profiler import memory_usage

    stream = io.StringIO()
    while is_running():
        pid = read_pulse(heartbeat).pid
        if pid is None:
            time.sleep(INTERVAL)
            continue
        try:
            memory_usage(
                proc=pid,
                interval=INTERVAL,
                timeout=SLICE,
                include_children=False,
                backend="psutil",
                stream=stream,
            )
        except (psutil.Error, TypeError):  # TypeError: it was not allowed to look
            break
    samples = [_read(line) for line in stream.getvalue().splitlines()]
    return [one for one in samples if one.bytes > 0]  # a process that has just ended reads as 0


def _read(line: str) -> Sample:
    """The sample of a line: MEM, the resident set in MiB, and the time. It is of whole pages."""
    _, mib, seconds = line.split()
    return Sample(float(seconds), round(float(mib) * 2**20 / PAGE) * PAGE)


def joined(record: Record, samples: Sequence[Sample], marks: Sequence[Mark]) -> Record:
    """The record with the curve that was sampled meanwhile.

    marks: when the trial reached which phase, by the same clock. A trial that ended badly keeps its
    curve, as far as it came, and gets no readings of it.
    """
    start = next((number for number, mark in enumerate(marks) if mark.stage == "baseline"), None)
    since = [] if start is None else list(marks[start:])
    within = [one for one in samples if since and one.seconds >= since[0].seconds]
    if not within:
        return _without(record, "the process came to no baseline" if not since else _TOO_SHORT)
    baseline = record.details.get("baseline_resident_bytes", within[0].bytes)
    origin = since[0].seconds
    curve = [Sample(one.seconds - origin, one.bytes - baseline) for one in within]
    phases = [Mark(mark.seconds - origin, mark.stage) for mark in since]
    readings = _readings_of(curve, phases) if record.outcome == "ok" else {}
    details = {
        **record.details,
        "curve": [[round(seconds, 6), size] for seconds, size in thinned(curve)],
        "phases": [[round(seconds, 6), phase] for seconds, phase in _spread(phases)],
    }
    if (peak := record.readings.get(PEAK)) is not None:
        sampled = readings.get(SAMPLED_PEAK, 0.0)
        details["peak_missed"] = _is_missed(peak, sampled)
        readings[PEAK] = max(peak, sampled)  # the kernel's own may lag by some pages: see Resident
    record = replace(record, readings={**record.readings, **readings}, details=details)
    is_missing = record.outcome == "ok" and SAMPLED_PEAK not in readings
    return _without(record, _TOO_SHORT) if is_missing else record


def _without(record: Record, reason: str) -> Record:
    """The record, saying why it has no readings of a curve."""
    missing = dict.fromkeys((SAMPLED_PEAK, LARGEST_GAP), reason)
    return replace(record, unavailable={**record.unavailable, **missing})


def _readings_of(curve: Sequence[Sample], phases: Sequence[Mark]) -> dict[str, float]:
    """The highest sample of the measured part, and the longest time in it without one."""
    at = {phase: seconds for seconds, phase in phases}
    measured = [one for one in curve if at["built"] <= one.seconds <= at["dropped"]]
    if not measured:
        return {}
    times = [at["built"], *(one.seconds for one in measured), at["dropped"]]
    return {
        SAMPLED_PEAK: max(one.bytes for one in measured),
        LARGEST_GAP: max(b - a for a, b in pairwise(times)),
    }


def _is_missed(peak: float, sampled: float) -> bool:
    """Whether the samples' highest lies further under the kernel's than pages and noise explain."""
    return peak - sampled > max(16 * PAGE, 0.05 * peak)


def thinned(curve: Sequence[Sample], most: int = MOST_POINTS) -> list[Sample]:
    """At most so many points, evenly taken, with every stretch's highest among them."""
    stretch = -(-len(curve) // most)
    stretches = [curve[i : i + stretch] for i in range(0, len(curve), stretch)]
    return [max(part, key=lambda one: one.bytes) for part in stretches]


def _spread(phases: Sequence[Mark]) -> list[Mark]:
    """Every phase where they are few; else all but the workload's moments, and some of those."""
    moments = [mark for mark in phases if mark.stage in MOMENTS]
    stride = -(-len(moments) // MOST_MARKS)
    kept = set(moments[::stride]) if moments else set()
    return [mark for mark in phases if mark in kept or mark.stage not in MOMENTS]

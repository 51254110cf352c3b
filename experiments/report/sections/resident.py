"""Memory as the operating system sees it, over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from experiments.estimates import Arm, subject
from experiments.report.blocks import Block, Origin, Section, Table, Text
from experiments.report.charts.traces import (
    Axis,
    Trace,
    by_collector,
    charts_of,
    first_traces,
    nothing,
)
from experiments.report.wording.accuracy import COLUMN, UNCALIBRATED, Calibrations
from experiments.report.wording.cells import cells_of
from experiments.report.wording.looks import PHASES, arms_of
from experiments.report.wording.words import (
    arm_text,
    between_text,
    bytes_text,
    count_text,
    second_unit,
    seconds_text,
    share_collector,
)
from experiments.trial import Record

TITLE = "Resident memory over time"
READINGS = {
    "peak_resident_bytes": "peak, as the kernel saw it",
    "sampled_peak_resident_bytes": "peak, as the samples saw it",
    "live_after_forward_resident_bytes": "after forward",
    "live_after_backward_resident_bytes": "after backward",
    "left_resident_bytes": "left behind",
    "unique_left_bytes": "left behind, this process's own pages",
    "left_after_collection_resident_bytes": "left after a collection",
    "largest_gap_seconds": "longest time between samples",
}


def resident(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """The resident set over time, the phases on it, and whether the samples missed the peak."""
    arms = arms_of(records, "resident")
    if not arms:
        return nothing(TITLE, "resident")
    traces = first_traces(records, "resident", "curve", _read)
    blocks: list[Block] = [
        chart
        for group in by_collector(traces).values()
        for chart in charts_of(TITLE, group, SECONDS, _table(records, group, calibrations))
    ]
    alone = share_collector(arms)
    without = [a for a in arms if a not in traces]
    if without:
        names = ", ".join(f"`{arm_text(a, alone=alone)}`" for a in without)
        blocks += [
            Text(f"There is no curve of {names}.", "note"),
            _table(records, without, calibrations),
        ]
    blocks += [
        Text(
            f"The samples of `{arm_text(a, alone=alone)}` missed its peak: {t.limit[1]}.", "warning"
        )
        for a, t in traces.items()
        if t.limit
    ]
    return Section(TITLE, blocks, lead=f"{LEAD}{_samples(traces.values())}.")


LEAD = "What the operating system had to give, sampled from outside the process"


def _samples(traces: Iterable[Trace]) -> str:
    """How many samples the lines are drawn from: of few, little can be seen."""
    numbers = sorted(len(trace.x) for trace in traces)
    return f", {between_text(numbers, count_text)} times a trial" if numbers else ""


def _read(record: Record) -> Trace:
    """The samples, and each phase where the line between two of them is at that time."""
    x = [float(at) for at, _ in record.details["curve"]]
    y = [float(held) for _, held in record.details["curve"]]
    phases = [
        (float(at), float(np.interp(at, x, y)), str(phase))
        for at, phase in record.details.get("phases", [])
        if phase in PHASES
    ]
    return Trace(x, y, phases, _missed(record))


def _missed(record: Record) -> tuple[float, str] | None:
    """The kernel's peak, where the samples lie well under it."""
    if not record.details.get("peak_missed"):
        return None
    peak = record.readings["peak_resident_bytes"]
    sampled = record.readings.get("sampled_peak_resident_bytes", 0.0)
    return peak, f"they saw {bytes_text(sampled)}, the kernel {bytes_text(peak)}"


def _scaled(longest: float) -> tuple[float, str]:
    multiplier, unit = second_unit(longest)
    return multiplier, f"time since the start, {unit}"


SECONDS = Axis(says=seconds_text, scaled=_scaled, named="time since the start, seconds", marked=12)


def _table(records: Sequence[Record], arms: Iterable[Arm], calibrations: Calibrations) -> Table:
    rows, origins = [], []
    for a in arms:
        for reading, words in READINGS.items():
            origins.append(Origin(subject(records[0]), a, "resident"))
            found = cells_of(records, a, "resident", reading, calibrations)
            rows.append([a.mode, words, found.median, found.spread, found.error, found.n])
    columns = ["Mode", "Figure", "Median", "Lowest to highest", COLUMN, "Trials"]
    caption = "Resident memory, above what was there at the start"
    return Table(caption, columns, rows, 2, folded=True, origins=origins)

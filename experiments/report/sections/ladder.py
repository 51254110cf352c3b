"""What each mode holds: at most, when the gradients are there, and when all should be gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bokeh.plotting import figure

from experiments.estimates import Arm, Estimate, arm, floor_of, of_reading, subject, towering
from experiments.report.blocks import Chart, Columns, Origin, Section, Table, Text, not_measured
from experiments.report.charts import Mark, bars
from experiments.report.wording.absence import briefly, why_absent
from experiments.report.wording.accuracy import COLUMN, UNCALIBRATED, Calibrations, error_text
from experiments.report.wording.cells import columns_of
from experiments.report.wording.looks import arms_of, in_order, mode_look
from experiments.report.wording.phases import over_phases
from experiments.report.wording.words import (
    NONE,
    arm_text,
    axis_title,
    byte_unit,
    bytes_text,
    collector_text,
    count_text,
    listed,
    range_text,
    repeats_text,
    row_text,
    share_collector,
)
from experiments.trial import Record

FIGURES = {
    "peak_bytes": "peak",
    "live_after_forward_bytes": "live after forward",
    "live_after_backward_bytes": "live after backward",
    "left_bytes": "left behind",
    "left_after_collection_bytes": "left after a collection",
}
TITLE = "What each mode holds"

Estimates = Mapping[str, Mapping[Arm, Estimate]]


def ladder(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """Peak, live after backward and left behind, mode by mode, and the floor beside them."""
    arms = arms_of(records, "traced")
    if not arms:
        return not_measured(TITLE, "traced")
    found = {reading: of_reading(records, reading) for reading in FIGURES}
    floors = {a: floor for a in arms if (floor := floor_of(records, a))}
    alone = share_collector(arms)
    table = _table(records, arms, found, floors, calibrations)
    if not found["peak_bytes"]:
        return Section(TITLE, [Text("No trial ended well enough to tell.", "note"), table])
    tall = towering({a: e.high for a, e in found["peak_bytes"].items()})
    others = [a for a in arms if a not in tall]
    whole = Chart(
        title="Memory held, mode by mode",
        says=_says(arms, found["peak_bytes"], floors),
        draw=lambda: _draw(records, arms, found, floors, alone=alone),
        table=None if tall else table,
        data=lambda: _data(arms, found, floors),
    )
    if not tall:
        return Section(TITLE, [whole])
    names = listed(f"`{arm_text(a, alone=alone)}`" for a in in_order(tall))
    closer = Chart(
        title="Memory held, the lower modes",
        says=f"Closer: the same without {names}, on a scale of its own.",
        draw=lambda: _draw(records, others, found, floors, alone=alone),
        table=table,
        data=lambda: _data(others, found, floors),
    )
    return Section(TITLE, [whole, closer])


def _says(
    arms: Sequence[Arm], peaks: Mapping[Arm, Estimate], floors: Mapping[Arm, Estimate]
) -> str:
    alone = share_collector(arms)
    ranked = sorted((a for a in arms if a in peaks), key=lambda a: peaks[a].median)
    lowest, highest = (
        f"{bytes_text(peaks[a].median)} (`{arm_text(a, alone=alone)}`)"
        for a in (ranked[0], ranked[-1])
    )
    words = [f"Peaks from {lowest} to {highest}." if len(ranked) > 1 else f"The peak is {lowest}."]
    if alone:
        words.append(f"{collector_text(arms[0].collector).capitalize()}.")
    words.append(repeats_text(peaks.values()))
    if not floors:
        words.append("The floor was not measured.")
    return " ".join(words)


def _draw(
    records: Sequence[Record],
    arms: Sequence[Arm],
    found: Estimates,
    floors: Mapping[Arm, Estimate],
    *,
    alone: bool,
) -> figure:
    readings = _charted(found)
    drawn = [*(found[r].get(a) for r in readings for a in arms), *(floors.get(a) for a in arms)]
    per, unit = byte_unit(max((e.high for e in drawn if e), default=0.0))

    def mark(reading: str, a: Arm) -> Mark:
        estimate = found[reading].get(a)
        missing = briefly(why_absent(records, a, reading, "traced"))
        return Mark.of(
            row_text(a, alone=alone), mode_look(a.mode), estimate, per, bytes_text, missing
        )

    return bars(
        [row_text(a, alone=alone) for a in arms],
        {FIGURES[reading]: [mark(reading, a) for a in arms] for reading in readings},
        [
            Mark.of(row_text(a, alone=alone), mode_look(a.mode), floors[a], per, bytes_text)
            for a in arms
            if a in floors
        ],
        x_title=f"memory above the start, {unit}",
        y_title=axis_title(alone=alone),
    )


def _data(arms: Sequence[Arm], found: Estimates, floors: Mapping[Arm, Estimate]) -> Columns:
    """The bars, their ranges and the floors, in bytes."""
    drawn = [
        (a, name, estimate)
        for a in arms
        for name, estimates in (
            *((FIGURES[reading], found[reading]) for reading in _charted(found)),
            ("floor L*", floors),
        )
        if (estimate := estimates.get(a))
    ]
    return columns_of(drawn, "figure", "bytes")


def _charted(found: Estimates) -> list[str]:
    """What the chart shows: where nobody goes backward, what the forward left stands for it."""
    gradients = bool(found["live_after_backward_bytes"])
    live = "live_after_backward_bytes" if gradients else "live_after_forward_bytes"
    return ["peak_bytes", live, "left_bytes"]


def _table(
    records: Sequence[Record],
    arms: Sequence[Arm],
    found: Estimates,
    floors: Mapping[Arm, Estimate],
    calibrations: Calibrations,
) -> Table:
    alone = share_collector(arms)
    rows = []
    origins: list[Origin | None] = []
    for a in arms:
        name = arm_text(a, alone=alone)
        origins += [Origin(subject(records[0]), a, "traced")] * len(FIGURES)
        origins.append(_floor_origin(records, a))
        for reading, words in FIGURES.items():
            arrays = of_reading(records, reading.replace("_bytes", "_array_bytes")).get(a)
            missing = why_absent(records, a, reading, "traced")
            phases = over_phases(records, a, "traced")
            error = error_text(calibrations, "traced", reading)
            cells = _cells(found[reading].get(a), error, arrays, missing, phases)
            rows.append([name, words, *cells])
        missing = why_absent(records, a, "floor_bytes", "operations")
        error = error_text(calibrations, "operations", "floor_bytes")
        rows.append([name, "floor L*", *_cells(floors.get(a), error, None, missing)])
    columns = ["Mode", "Figure", "Median", "Lowest to highest", COLUMN, "Arrays alone", "Trials"]
    caption = "Memory held, above what was there at the start"
    return Table(caption, columns, rows, 2, folded=True, origins=origins)


def _floor_origin(records: Sequence[Record], a: Arm) -> Origin | None:
    """The case that a floor was counted in: of the same mode, whatever the collector did."""
    counted = (r for r in records if r.trial.instrument == "operations" and r.trial.mode == a.mode)
    return next((Origin(subject(r), arm(r), "operations") for r in counted), None)


def _cells(
    found: Estimate | None, error: str, arrays: Estimate | None, missing: str, phases: str = ""
) -> list[str]:
    alone = bytes_text(arrays.median) if arrays else NONE
    if found is None:
        return [missing, NONE, NONE, alone, NONE]
    spread = range_text(found, bytes_text) + phases
    return [bytes_text(found.median), spread, error, alone, count_text(found.n)]

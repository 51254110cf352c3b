"""What each mode costs in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bokeh.plotting import figure

from experiments.estimates import Arm, Estimate, arm, of_reading, ratio
from experiments.report.absence import briefly, why_absent
from experiments.report.accuracy import UNCALIBRATED, Calibrations
from experiments.report.blocks import Chart, Section, Table, Text
from experiments.report.charts import Mark, points
from experiments.report.looks import in_order, mode_look
from experiments.report.words import (
    NONE,
    arm_text,
    axis_title,
    count_text,
    range_text,
    repeats_text,
    row_text,
    second_unit,
    seconds_text,
    share_collector,
    times_text,
)
from experiments.trial import Record

TITLE = "Time"
YARDSTICK = "lean"  # the default mode
READINGS = {
    "wall_seconds": "elapsed",
    "cpu_seconds": "of the processor",
    "forward_seconds": "forward",
    "backward_seconds": "backward",
}


def pace(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """How long each mode takes, and how much longer than the default mode."""
    arms = in_order(arm(r) for r in records if r.trial.instrument == "clock")
    if not arms:
        return Section(TITLE, [Text("Not measured: this run has no `clock` trial of it.", "note")])
    found = {reading: of_reading(records, reading) for reading in READINGS}
    walls = found["wall_seconds"]
    table = _table(records, arms, found)
    if not walls:
        return Section(TITLE, [Text("No trial ended well enough to tell.", "note"), table])
    chart = Chart(
        title="Time, mode by mode",
        says=f"Elapsed time with its range. {repeats_text(walls.values())}",
        draw=lambda: _draw(records, arms, walls),
        table=table,
    )
    return Section(TITLE, [chart])


def _draw(records: Sequence[Record], arms: Sequence[Arm], walls: Mapping[Arm, Estimate]) -> figure:
    multiplier, unit = second_unit(max((e.high for e in walls.values()), default=0.0))
    alone = share_collector(arms)

    def mark(a: Arm) -> Mark:
        missing = briefly(why_absent(records, a, "wall_seconds", "clock"))
        name = row_text(a, alone=alone)
        return Mark.of(name, mode_look(a.mode), walls.get(a), 1 / multiplier, seconds_text, missing)

    modes = list(dict.fromkeys(a.mode for a in arms))
    return points(
        [row_text(a, alone=alone) for a in arms],
        {mode: [mark(a) for a in arms if a.mode == mode] for mode in modes},
        x_title=f"elapsed time, {unit}",
        y_title=axis_title(alone=alone),
    )


def _table(
    records: Sequence[Record], arms: Sequence[Arm], found: Mapping[str, Mapping[Arm, Estimate]]
) -> Table:
    alone = share_collector(arms)
    rows = []
    for a in arms:
        for reading, words in READINGS.items():
            name, estimate = arm_text(a, alone=alone), found[reading].get(a)
            if estimate is None:
                rows.append(
                    [name, words, why_absent(records, a, reading, "clock"), NONE, NONE, NONE]
                )
                continue
            against = found[reading].get(Arm(YARDSTICK, a.collector))
            cells = [seconds_text(estimate.median), range_text(estimate, seconds_text)]
            rows.append(
                [name, words, *cells, _ratio_text(estimate, against), count_text(estimate.n)]
            )
    columns = ["Mode", "Time", "Median", "Lowest to highest", f"Over `{YARDSTICK}`", "Trials"]
    return Table("Time from the start to the last reference", columns, rows, 2, folded=True)


def _ratio_text(found: Estimate, against: Estimate | None) -> str:
    """The ratio of the medians, between the two furthest extremes."""
    over = ratio(found, against) if against else None
    if over is None:
        return NONE
    span = f" ({times_text(over.low)} to {times_text(over.high)})" if over.n > 1 else ""
    return times_text(over.median) + span

"""What each mode costs in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bokeh.plotting import figure

from experiments.estimates import (
    Arm,
    Estimate,
    TimesAsLong,
    of_reading,
    subject,
    times_as_long,
)
from experiments.intervals import CONFIDENCE, FEWEST
from experiments.report.blocks import Chart, Columns, Origin, Section, Table, Text, not_measured
from experiments.report.charts import Mark, points
from experiments.report.wording.absence import briefly, why_absent
from experiments.report.wording.accuracy import (
    COLUMN,
    UNCALIBRATED,
    Calibrations,
    error_of,
    error_text,
)
from experiments.report.wording.cells import columns_of
from experiments.report.wording.looks import arms_of, mode_look
from experiments.report.wording.times import DEFAULT_MODE, beside_default
from experiments.report.wording.words import (
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
    share_text,
    times_text,
    verdict_text,
)
from experiments.trial import Record

TITLE = "Time"
READINGS = {
    "wall_seconds": "elapsed",
    "cpu_seconds": "of the processor",
    "forward_seconds": "forward",
    "backward_seconds": "backward",
}


def pace(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """How long each mode takes, and how much longer than the default mode."""
    arms = arms_of(records, "clock")
    if not arms:
        return not_measured(TITLE, "clock")
    found = {reading: of_reading(records, reading) for reading in READINGS}
    walls = found["wall_seconds"]
    table = _table(records, arms, found, calibrations)
    if not walls:
        return Section(TITLE, [Text("No trial ended well enough to tell.", "note"), table])
    chart = Chart(
        title="Time, mode by mode",
        says=f"Elapsed time with its range. {repeats_text(walls.values())}",
        draw=lambda: _draw(records, arms, walls),
        table=table,
        data=lambda: _data(arms, found),
    )
    beside = " ".join(beside_default(records, calibrations))
    return Section(TITLE, [*([Text(beside)] if beside else []), chart])


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


def _data(arms: Sequence[Arm], found: Mapping[str, Mapping[Arm, Estimate]]) -> Columns:
    """Every time of every mode, with its range, in seconds."""
    drawn = [
        (a, words, found[reading][a])
        for a in arms
        for reading, words in READINGS.items()
        if a in found[reading]
    ]
    return columns_of(drawn, "time", "seconds")


def _table(
    records: Sequence[Record],
    arms: Sequence[Arm],
    found: Mapping[str, Mapping[Arm, Estimate]],
    calibrations: Calibrations,
) -> Table:
    alone = share_collector(arms)
    rows = []
    for a in arms:
        for reading, words in READINGS.items():
            name, estimate = arm_text(a, alone=alone), found[reading].get(a)
            if estimate is None:
                missing = why_absent(records, a, reading, "clock")
                rows.append([name, words, missing, *[NONE] * 5])
                continue
            cells = [
                seconds_text(estimate.median),
                range_text(estimate, seconds_text),
                error_text(calibrations, "clock", reading),
                *_beside(_over_default(records, reading, a, calibrations)),
                count_text(estimate.n),
            ]
            rows.append([name, words, *cells])
    over = f"Over `{DEFAULT_MODE}`, and its interval"
    figures = ["Median", "Lowest to highest", COLUMN, over, "Verdict", "Trials"]
    columns = ["Mode", "Time", *figures]
    origins = [Origin(subject(records[0]), a, "clock") for a in arms for _ in READINGS]
    return Table(CAPTION, columns, rows, 2, prose=("Verdict",), folded=True, origins=origins)


CAPTION = (
    "Time from the start to the last reference; the interval of a ratio is that of "
    f"{share_text(CONFIDENCE)}, where its processes can bear that"
)


def _over_default(
    records: Sequence[Record], reading: str, a: Arm, calibrations: Calibrations
) -> TimesAsLong | None:
    """How many times as long the default mode's time an arm's is; None for that mode itself."""
    if a.mode == DEFAULT_MODE:
        return None
    error = error_of(calibrations, "clock", reading)
    return times_as_long(records, reading, a, Arm(DEFAULT_MODE, a.collector), error=error)


def _beside(found: TimesAsLong | None) -> list[str]:
    """The ratio with its interval, and the verdict on it."""
    if found is None:
        return [NONE, NONE]
    if found.over is None:
        return [times_text(found.ratio), f"inconclusive: fewer than {FEWEST} processes"]
    lower = "" if found.over.confidence == CONFIDENCE else f", {share_text(found.over.confidence)}"
    span = f"{times_text(found.over.low)} to {times_text(found.over.high)}{lower}"
    return [f"{times_text(found.ratio)} ({span})", verdict_text(found.verdict)]

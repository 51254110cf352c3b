"""What the collector did while the work ran, and how long the work stood still for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bokeh.plotting import figure

from experiments.estimates import Arm, Estimate, arm, of_reading, subject
from experiments.report.blocks import (
    Block,
    Chart,
    Columns,
    Origin,
    Section,
    Table,
    not_measured,
)
from experiments.report.charts import Mark, Pause, pauses, points
from experiments.report.wording.accuracy import UNCALIBRATED, Calibrations
from experiments.report.wording.cells import COLUMNS, cells_of
from experiments.report.wording.looks import arms_of, mode_look
from experiments.report.wording.words import (
    arm_text,
    axis_title,
    count_text,
    counted,
    repeats_text,
    row_text,
    second_unit,
    seconds_text,
    share_collector,
)
from experiments.trial import Record

TITLE = "What the collector did"
RUNS, FREED = "collector_runs_count", "collector_collected_count"
PAUSES = "collector_pause_seconds"
READINGS = {
    RUNS: "runs",
    FREED: "objects freed",
    PAUSES: "pauses in all",
    "longest_pause_seconds": "longest pause",
}
LEAD = (
    "Its runs while the work went on, and the time that the work stood still for them. Until it "
    "comes, whatever is in cycles waits; when it comes is a matter of how many objects were made."
)


def collector(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """The collector's runs, what they freed and how long they took; by generation, folded."""
    arms = arms_of(records, "collector")
    if not arms:
        return not_measured(TITLE, "collector")
    table = _table(records, arms, calibrations)
    blocks: list[Block] = [*_charts(records, arms, table), *([] if _ran(records) else [table])]
    if (by_generation := _generations(records, arms)).rows:
        blocks.append(by_generation)
    return Section(TITLE, blocks, lead=LEAD)


def _ran(records: Sequence[Record]) -> dict[Arm, Estimate]:
    """The pauses in all of the arms that the collector ran in."""
    runs = of_reading(records, RUNS)
    pauses = of_reading(records, PAUSES)
    return {a: found for a, found in pauses.items() if a in runs and runs[a].high}


def _charts(records: Sequence[Record], arms: Sequence[Arm], table: Table) -> list[Chart]:
    """How long each mode stood still, over its trials; and run by run, in the first of them."""
    if not (ran := _ran(records)):
        return []
    shown = [a for a in arms if a in ran]
    alone = share_collector(arms)
    charts = [
        Chart(
            title="The collector's pauses, mode by mode",
            says=f"All pauses of a trial together. {repeats_text(ran.values())} "
            "From one trial to the next, the collector begins at another place.",
            draw=lambda: _draw(ran, shown, alone=alone),
            table=table,
            data=lambda: _data(records, arms),
        )
    ]
    if runs := _runs(records, shown):
        charts.append(
            Chart(
                title="The collector's runs, one by one",
                says="Each run of the first trial that had one: as high as the work stood still.",
                draw=lambda: _draw_runs(runs, alone=alone),
                table=_table_of_runs(records, runs, alone=alone),
                data=lambda: _data_of_runs(runs),
            )
        )
    return charts


def _draw(ran: Mapping[Arm, Estimate], arms: Sequence[Arm], *, alone: bool) -> figure:
    multiplier, unit = second_unit(max(found.high for found in ran.values()))

    def mark(a: Arm) -> Mark:
        name = row_text(a, alone=alone)
        return Mark.of(name, mode_look(a.mode), ran[a], 1 / multiplier, seconds_text)

    modes = dict.fromkeys(a.mode for a in arms)
    return points(
        [row_text(a, alone=alone) for a in arms],
        {mode: [mark(a) for a in arms if a.mode == mode] for mode in modes},
        x_title=f"all pauses of a trial, {unit}",
        y_title=axis_title(alone=alone),
    )


def _data(records: Sequence[Record], arms: Sequence[Arm]) -> Columns:
    """The figures of every trial."""
    trials = [
        r
        for a in arms
        for r in records
        if arm(r) == a and r.trial.instrument == "collector" and RUNS in r.readings
    ]
    units = {RUNS: "runs", FREED: "objects freed", PAUSES: "pauses, seconds"}
    return {
        "mode": [r.trial.mode for r in trials],
        "collector": [r.trial.collector for r in trials],
        "repeat": [r.trial.repeat for r in trials],
        **{name: [r.readings.get(reading) for r in trials] for reading, name in units.items()},
    }


@dataclass(frozen=True)
class Run:
    """A run of the collector while the work went on."""

    seconds: float  # since the workload was built
    pause: float
    generation: int
    freed: int


def _runs(records: Sequence[Record], arms: Sequence[Arm]) -> dict[Arm, list[Run]]:
    """The runs of each arm's first trial that had one and kept them apart."""
    found: dict[Arm, list[Run]] = {}
    for r in records:
        kept = r.details.get("runs") if r.trial.instrument == "collector" else None
        if kept and kept["seconds"] and r.outcome == "ok":
            names = ("seconds", "pause_seconds", "generation", "collected_count")
            runs = [Run(*row) for row in zip(*(kept[name] for name in names), strict=True)]
            found.setdefault(arm(r), runs)
    return {a: found[a] for a in arms if a in found}


def _draw_runs(runs: Mapping[Arm, Sequence[Run]], *, alone: bool) -> figure:
    every = [run for of in runs.values() for run in of]
    stretch, x_unit = second_unit(max(run.seconds for run in every))
    multiplier, unit = second_unit(max(run.pause for run in every))

    def pause(run: Run) -> Pause:
        freed = f"{counted(run.freed, 'object')} freed, of generation {run.generation}"
        about = f"after {seconds_text(run.seconds)}: {seconds_text(run.pause)}, {freed}"
        return Pause(run.seconds * stretch, run.pause * multiplier, about)

    return pauses(
        {
            arm_text(a, alone=alone): (mode_look(a.mode), [*map(pause, of)])
            for a, of in runs.items()
        },
        x_title=f"time since the start, {x_unit}",
        y_title=f"pause, {unit}",
    )


def _table_of_runs(
    records: Sequence[Record], runs: Mapping[Arm, Sequence[Run]], *, alone: bool
) -> Table:
    rows = [
        [
            arm_text(a, alone=alone),
            seconds_text(run.seconds),
            seconds_text(run.pause),
            count_text(run.generation),
            count_text(run.freed),
        ]
        for a, of in runs.items()
        for run in of
    ]
    columns = ["Mode", "After", "Pause", "Generation", "Objects freed"]
    origins = [Origin(subject(records[0]), a, "collector") for a, of in runs.items() for _ in of]
    return Table("The collector's runs, one by one", columns, rows, folded=True, origins=origins)


def _data_of_runs(runs: Mapping[Arm, Sequence[Run]]) -> Columns:
    every = [(a, run) for a, of in runs.items() for run in of]
    return {
        "mode": [a.mode for a, _ in every],
        "collector": [a.collector for a, _ in every],
        "since the start, seconds": [run.seconds for _, run in every],
        "pause, seconds": [run.pause for _, run in every],
        "generation": [run.generation for _, run in every],
        "objects freed": [run.freed for _, run in every],
    }


def _table(records: Sequence[Record], arms: Sequence[Arm], calibrations: Calibrations) -> Table:
    alone = share_collector(arms)
    runs = of_reading(records, RUNS)
    at_rest = [a for a in arms if a in runs and not runs[a].high]
    rows = []
    origins = []
    for a in (a for a in arms if a not in at_rest[1:]):
        name = ", ".join(arm_text(one, alone=alone) for one in (at_rest if a in at_rest else [a]))
        for reading, words in (READINGS if a not in at_rest else {RUNS: READINGS[RUNS]}).items():
            rows.append([name, words, *cells_of(records, a, "collector", reading, calibrations)])
            one = None if a in at_rest[:1] and len(at_rest) > 1 else a
            origins.append(Origin(subject(records[0]), one, "collector"))
    columns = ["Mode", "Figure", *COLUMNS]
    return Table("The collector while the work ran", columns, rows, 2, origins=origins)


def _generations(records: Sequence[Record], arms: Sequence[Arm]) -> Table:
    """The first trial of each arm, and of the generations those that the collector ran for."""
    alone = share_collector(arms)
    rows = []
    for a in arms:
        found = [
            r.details["collections"]
            for r in records
            if arm(r) == a and r.outcome == "ok" and "collections" in r.details
        ]
        name = arm_text(a, alone=alone)
        for row in found[0] if found else []:
            if row["runs_count"]:
                counts = [row[f"{what}_count"] for what in ("runs", "collected")]
                cells = [count_text(row["generation"]), *map(count_text, counts)]
                rows.append([name, *cells, seconds_text(row["pause_seconds"])])
    columns = ["Mode", "Generation", "Runs", "Objects freed", "Pauses in all"]
    return Table("Generation by generation, in the first trial", columns, rows, 2, folded=True)

"""What the collector did while the work ran, and how long the work stood still for it."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.estimates import Arm, arm, of_reading
from experiments.report.accuracy import UNCALIBRATED, Calibrations
from experiments.report.blocks import Block, Section, Table, Text
from experiments.report.cells import COLUMNS, cells_of
from experiments.report.looks import in_order
from experiments.report.words import (
    arm_text,
    count_text,
    seconds_text,
    share_collector,
)
from experiments.trial import Record

TITLE = "What the collector did"
RUNS = "collector_runs_count"
READINGS = {
    RUNS: "runs",
    "collector_collected_count": "objects freed",
    "collector_pause_seconds": "pauses in all",
    "longest_pause_seconds": "longest pause",
}
LEAD = (
    "Its runs while the work went on, and the time that the work stood still for them. Until it "
    "comes, whatever is in cycles waits; when it comes is a matter of how many objects were made."
)


def collector(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """The collector's runs, what they freed and how long they took; by generation, folded."""
    arms = in_order(arm(r) for r in records if r.trial.instrument == "collector")
    if not arms:
        words = "Not measured: this run has no `collector` trial of it."
        return Section(TITLE, [Text(words, "note")])
    blocks: list[Block] = [_table(records, arms, calibrations)]
    if (by_generation := _generations(records, arms)).rows:
        blocks.append(by_generation)
    return Section(TITLE, blocks, lead=LEAD)


def _table(records: Sequence[Record], arms: Sequence[Arm], calibrations: Calibrations) -> Table:
    alone = share_collector(arms)
    runs = of_reading(records, RUNS)
    at_rest = [a for a in arms if a in runs and not runs[a].high]
    rows = []
    for a in (a for a in arms if a not in at_rest[1:]):
        name = ", ".join(arm_text(one, alone=alone) for one in (at_rest if a in at_rest else [a]))
        for reading, words in (READINGS if a not in at_rest else {RUNS: READINGS[RUNS]}).items():
            rows.append([name, words, *cells_of(records, a, "collector", reading, calibrations)])
    columns = ["Mode", "Figure", *COLUMNS]
    return Table("The collector while the work ran", columns, rows, 2)


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

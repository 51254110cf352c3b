"""Line by line: where in its step the resident memory grew, and what such a table cannot say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.estimates import Arm, arm, of_reading, subject
from experiments.report.blocks import Block, Origin, Section, Table, Text, not_measured
from experiments.report.wording.accuracy import UNCALIBRATED, Calibrations
from experiments.report.wording.cells import COLUMNS, cells_of
from experiments.report.wording.looks import arms_of
from experiments.report.wording.words import (
    NBSP,
    NONE,
    arm_text,
    bytes_text,
    count_text,
    share_collector,
)
from experiments.trial import Record

TITLE = "Line by line"
LARGEST = "largest_line_bytes"
LEAD = "The workload's own step, and by how much the process's resident memory grew at each line."
CAVEATS = (
    "To be read with care. What a line makes and frees again before it ends does not show, nor "
    "does memory that was asked for and not touched, nor what goes into memory that was freed "
    "before and is found again, as small arrays do. What a function does stands at the line that "
    "calls it, and what came between two calls of the function that is shown, such as the freeing "
    "of what it held, at the line that names it. A loop's line stands for all its turns; growth "
    "adds up over the lines, and is net: it is no peak. Tracing takes some pages itself. The exact "
    "figures are those of `traced`."
)


def lines(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """The line at which each mode grew most, and its whole table, folded."""
    arms = arms_of(records, "lines")
    if not arms:
        return not_measured(TITLE, "lines")
    alone = share_collector(arms)
    blocks: list[Block] = [Text(CAVEATS, "note"), _largest(records, arms, calibrations)]
    blocks += [
        _listing(rows, arm_text(a, alone=alone)) for a in arms if (rows := _rows(records, a))
    ]
    return Section(TITLE, blocks, lead=LEAD)


def _rows(records: Sequence[Record], a: Arm) -> Sequence[Mapping[str, Any]]:
    """The lines of the first trial of an arm that has them."""
    mine = (r for r in records if arm(r) == a and r.trial.instrument == "lines")
    return next((r.details["lines"] for r in mine if "lines" in r.details), [])


def _largest(records: Sequence[Record], arms: Sequence[Arm], calibrations: Calibrations) -> Table:
    alone = share_collector(arms)
    rows = []
    for a in arms:
        found = cells_of(records, a, "lines", LARGEST, calibrations)
        listed = _rows(records, a) if a in of_reading(records, LARGEST) else []
        most = max(listed, key=lambda row: row["increment_bytes"] or 0, default=None)
        line = f"`{most['source'].strip()}`" if most else NONE
        rows.append([arm_text(a, alone=alone), line, *found])
    columns = ["Mode", "Line", *COLUMNS]
    origins = [Origin(subject(records[0]), a, "lines") for a in arms]
    return Table("The line that grew most", columns, rows, prose=("Line",), origins=origins)


def _listing(rows: Sequence[Mapping[str, Any]], name: str) -> Table:
    """The step's source with its figures; a line that was not passed has none."""
    columns = ["Line", "Source", "Turns", "Grew by", "At most after it"]
    cells = [
        [
            count_text(row["line"]),
            _indented(row["source"]),
            count_text(row["occurrences"]) if row["occurrences"] else NONE,
            NONE if row["increment_bytes"] is None else bytes_text(row["increment_bytes"]),
            NONE if row["resident_bytes"] is None else bytes_text(row["resident_bytes"]),
        ]
        for row in rows
    ]
    return Table(
        f"Every line of the step in {name}", columns, cells, prose=("Source",), folded=True
    )


def _indented(source: str) -> str:
    """A line of code that keeps its indentation in a table."""
    code = source.lstrip()
    return f"{NBSP * (len(source) - len(code))}`{code}`" if code else ""

"""What all allocators together had given out at the highest point, and who had asked for it."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.estimates import Arm, arm, of_reading
from experiments.report.absence import why_absent
from experiments.report.accuracy import COLUMN, UNCALIBRATED, Calibrations, error_text
from experiments.report.blocks import Section, Table, Text
from experiments.report.looks import in_order
from experiments.report.phases import over_phases
from experiments.report.words import (
    NONE,
    arm_text,
    bytes_text,
    count_text,
    range_text,
    share_collector,
)
from experiments.trial import Record

TITLE = "Every allocator"
LEAD = (
    "The most that Python, NumPy and C libraries had asked for at once, as memray counts it. A "
    "flame graph shows who had."
)


def native(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """The high-water mark, mode by mode, with the flame graph of each."""
    arms = in_order(arm(r) for r in records if r.trial.instrument == "native")
    if not arms:
        return Section(TITLE, [Text("Not measured: this run has no `native` trial of it.", "note")])
    alone = share_collector(arms)
    peaks = of_reading(records, "native_peak_bytes")
    rows = []
    for a in arms:
        found, name = peaks.get(a), arm_text(a, alone=alone)
        if found is None:
            missing = why_absent(records, a, "native_peak_bytes", "native")
            rows.append([name, missing, NONE, NONE, NONE, _graphs(records, a)])
            continue
        spread = range_text(found, bytes_text) + over_phases(records, a, "native")
        error = error_text(calibrations, "native", "native_peak_bytes")
        cells = [bytes_text(found.median), error, spread, count_text(found.n)]
        rows.append([name, *cells, _graphs(records, a)])
    columns = ["Mode", "Median", COLUMN, "Lowest to highest", "Trials", "Who had it"]
    table = Table("Peak over all allocators", columns, rows, prose=("Who had it",))
    return Section(TITLE, [table], lead=LEAD)


def _graphs(records: Sequence[Record], a: Arm) -> str:
    """A link to the flame graph of the arm's first trial that has one."""
    mine = (r for r in records if arm(r) == a and r.trial.instrument == "native")
    paths = (r.details["flame_graph"] for r in mine if "flame_graph" in r.details)
    path = next(paths, None)
    return f"[flame graph]({path})" if path else NONE

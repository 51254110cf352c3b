"""What all allocators together had given out at the highest point, and who had asked for it."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.estimates import Arm, arm, subject
from experiments.report.blocks import Origin, Section, Table, not_measured
from experiments.report.wording.accuracy import UNCALIBRATED, Calibrations
from experiments.report.wording.cells import COLUMNS, cells_of
from experiments.report.wording.looks import arms_of
from experiments.report.wording.words import (
    NONE,
    arm_text,
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
    arms = arms_of(records, "native")
    if not arms:
        return not_measured(TITLE, "native")
    alone = share_collector(arms)
    rows, origins = [], []
    for a in arms:
        origins.append(Origin(subject(records[0]), a, "native"))
        peak = cells_of(records, a, "native", "native_peak_bytes", calibrations)
        rows.append([arm_text(a, alone=alone), *peak, _graphs(records, a)])
    columns = ["Mode", *COLUMNS, "Who had it"]
    table = Table("Peak over all allocators", columns, rows, prose=("Who had it",), origins=origins)
    return Section(TITLE, [table], lead=LEAD)


def _graphs(records: Sequence[Record], a: Arm) -> str:
    """A link to the flame graph of the arm's first trial that has one."""
    mine = (r for r in records if arm(r) == a and r.trial.instrument == "native")
    paths = (r.details["flame_graph"] for r in mine if "flame_graph" in r.details)
    path = next(paths, None)
    return f"[flame graph]({path})" if path else NONE

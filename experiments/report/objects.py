"""Which objects became more from step to step, and who holds the largest arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.estimates import Arm, arm
from experiments.report.accuracy import UNCALIBRATED, Calibrations
from experiments.report.blocks import Block, Section, Table, Text
from experiments.report.cells import COLUMNS, cells_of
from experiments.report.looks import in_order
from experiments.report.words import (
    NONE,
    TIMES,
    arm_text,
    bytes_text,
    count_text,
    share_collector,
)
from experiments.trial import Record

TITLE = "What became more, and who holds it"
LEAD = (
    "Objects by type, counted at each step. A type that grows at every step is what a leak looks "
    "like. What holds an array is told link by link, from something with a name to the array."
)
FIGURES = {
    "grown_objects_per_step_count": "more at each step",
    "tracked_objects_count": "left at the end",
}
WHEN = {"alive": "after the last step", "left": "left at the end"}
TYPES = 12


def objects(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """How many objects there were more of, of which types, and who holds the largest arrays."""
    arms = in_order(arm(r) for r in records if r.trial.instrument == "objects")
    if not arms:
        return Section(
            TITLE, [Text("Not measured: this run has no `objects` trial of it.", "note")]
        )
    blocks: list[Block] = [_figures(records, arms, calibrations), *_growth(records, arms)]
    blocks += [*_holders(records, arms), *_types(records, arms)]
    return Section(TITLE, blocks, lead=LEAD)


def details(records: Sequence[Record], where: Arm, name: str) -> Any:
    """A detail of the first trial of an arm that ended well and has it; None without one."""
    found = (
        r.details[name]
        for r in records
        if arm(r) == where
        and r.outcome == "ok"
        and r.trial.instrument == "objects"
        and name in r.details
    )
    return next(found, None)


def _figures(records: Sequence[Record], arms: Sequence[Arm], calibrations: Calibrations) -> Table:
    alone = share_collector(arms)
    rows = []
    for a in arms:
        for reading, words in FIGURES.items():
            found = cells_of(records, a, "objects", reading, calibrations)
            rows.append([arm_text(a, alone=alone), words, *found])
    columns = ["Mode", "Figure", *COLUMNS]
    return Table("Objects that the collector lists", columns, rows, 2)


def _growth(records: Sequence[Record], arms: Sequence[Arm]) -> list[Block]:
    """The types that grew at every step."""
    alone = share_collector(arms)
    rows = [
        [
            arm_text(a, alone=alone),
            row["type"],
            count_text(row["each_step"]),
            count_text(row["in_all"]),
        ]
        for a in arms
        for row in details(records, a, "growth") or ()
    ]
    if not rows:
        return [Text("No type of object became more at every step.", "good")]
    caption = "Types that became more at every step: by how many (median), and in all"
    columns = ["Mode", "Type", "Each step", "In all"]
    return [Table(caption, columns, rows, 2, folded=len(rows) > TYPES)]


def _holders(records: Sequence[Record], arms: Sequence[Arm]) -> list[Block]:
    alone = share_collector(arms)
    rows = [
        [arm_text(a, alone=alone), when, array, why]
        for a in arms
        for name, when in WHEN.items()
        for array, why in held(records, a, name)
    ]
    if not rows:
        return [Text("No array of the workload was alive after its last step.", "good")]
    columns = ["Mode", "When", "Arrays", "Held by"]
    caption = "The largest arrays, and who holds them"
    return [Table(caption, columns, rows, 2, prose=("Arrays", "Held by"), folded=len(rows) > TYPES)]


def held(records: Sequence[Record], where: Arm, when: str) -> list[tuple[str, str]]:
    """The largest arrays at a time and who holds them, those that are alike together.

    when: "alive", after the last step, or "left", at the end.
    """
    found = (details(records, where, "holders") or {}).get(when, [])
    return [
        (f"{count_text(n)} {TIMES} " * (n > 1) + _array(array), array["why"])
        for array in found
        for n in [array["count"]]
    ]


def _array(found: Mapping[str, Any]) -> str:
    """`7.81 KiB (1000, <f8)`."""
    shape = " x ".join(map(str, found["shape"])) or "a scalar"
    return f"{bytes_text(found['bytes'])} ({shape}, {found['dtype']})"


def _types(records: Sequence[Record], arms: Sequence[Arm]) -> list[Block]:
    """Which types of object there were more of at the end than at the start."""
    left = {a: Counter[str](found) for a in arms if (found := details(records, a, "types"))}
    ranked = sum(left.values(), Counter[str]()).most_common(TYPES)
    if not ranked:
        return []
    alone = share_collector(left)
    columns = ["Type", *(arm_text(a, alone=alone) for a in left)]
    rows = [
        [name, *(count_text(n[name]) if n[name] else NONE for n in left.values())]
        for name, _ in ranked
    ]
    caption = "Types of which there were more objects at the end than at the start"
    return [Table(caption, columns, rows, folded=True)]

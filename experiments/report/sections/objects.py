"""Which objects became more from step to step, and who holds the largest arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.plotting import figure

from experiments.estimates import Arm, arm, subject
from experiments.report.blocks import (
    Block,
    Chart,
    Columns,
    Origin,
    Section,
    Table,
    Text,
    not_measured,
)
from experiments.report.charts import Line, Mark, counts, lines
from experiments.report.wording.accuracy import UNCALIBRATED, Calibrations
from experiments.report.wording.cells import COLUMNS, cells_of
from experiments.report.wording.looks import arms_of, mode_look
from experiments.report.wording.words import (
    NONE,
    TIMES,
    arm_text,
    bytes_text,
    count_text,
    listed,
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
TYPES, SHOWN = 12, 8  # in the table; on the chart


def objects(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """How many objects there were more of, of which types, and who holds the largest arrays."""
    arms = arms_of(records, "objects")
    if not arms:
        return not_measured(TITLE, "objects")
    figures = _figures(records, arms, calibrations)
    blocks: list[Block] = [*_over_steps(records, arms, figures), *_growth(records, arms)]
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
    origins = [Origin(subject(records[0]), a, "objects") for a in arms for _ in FIGURES]
    for a in arms:
        for reading, words in FIGURES.items():
            found = cells_of(records, a, "objects", reading, calibrations)
            rows.append([arm_text(a, alone=alone), words, *found])
    columns = ["Mode", "Figure", *COLUMNS]
    return Table("Objects that the collector lists", columns, rows, 2, folded=True, origins=origins)


def _over_steps(records: Sequence[Record], arms: Sequence[Arm], table: Table) -> list[Block]:
    """How many objects there were at each step; the table alone where no record has it."""
    found = {a: steps for a in arms if (steps := details(records, a, "step_objects"))}
    if max(map(len, found.values()), default=0) < 2:  # one point is no line
        return [table]
    alone = share_collector(found)

    def line(a: Arm, steps: Sequence[int]) -> Line:
        rounds = list(range(1, len(steps) + 1))
        abouts = [
            f"round {count_text(n)}: {_more(at)}" for n, at in zip(rounds, steps, strict=True)
        ]
        return Line(arm_text(a, alone=alone), mode_look(a.mode), rounds, steps, abouts)

    chart = Chart(
        title="Objects, round by round",
        says="A line that climbs is objects that nobody lets go of. The types that became more at "
        "every step are named below.",
        draw=lambda: lines(
            [line(a, steps) for a, steps in found.items()],
            x_title="rounds",
            y_title="objects above the start",
            whole=True,
        ),
        table=table,
        data=lambda: _step_data(found),
    )
    return [chart]


def _more(objects: int) -> str:
    return f"{count_text(objects)} objects more than at the start"


def _step_data(found: Mapping[Arm, Sequence[int]]) -> Columns:
    points = [(a, n, at) for a, steps in found.items() for n, at in enumerate(steps, start=1)]
    return {
        "mode": [a.mode for a, _, _ in points],
        "collector": [a.collector for a, _, _ in points],
        "round": [n for _, n, _ in points],
        "objects more than at the start": [at for _, _, at in points],
    }


def _growth(records: Sequence[Record], arms: Sequence[Arm]) -> list[Block]:
    """The types that grew at every step."""
    alone = share_collector(arms)
    grown = [(a, row) for a in arms for row in details(records, a, "growth") or ()]
    rows = [
        [
            arm_text(a, alone=alone),
            row["type"],
            count_text(row["each_step"]),
            count_text(row["in_all"]),
        ]
        for a, row in grown
    ]
    if not rows:
        return [Text("No type of object became more at every step.", "good")]
    caption = "Types that became more at every step: by how many (median), and in all"
    columns = ["Mode", "Type", "Each step", "In all"]
    origins = [Origin(subject(records[0]), a, "objects") for a, _ in grown]
    return [Table(caption, columns, rows, 2, folded=len(rows) > TYPES, origins=origins)]


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
    table = Table(TYPES_CAPTION, columns, rows, folded=True)
    shown = [name for name, _ in ranked[:SHOWN]]
    chart = Chart(
        title="Objects by type, left at the end",
        says=_says_of_types(left, shown),
        draw=lambda: _draw_types(left, shown),
        table=table,
    )
    return [chart]


TYPES_CAPTION = "Types of which there were more objects at the end than at the start"


def _says_of_types(left: Mapping[Arm, Counter[str]], names: Sequence[str]) -> str:
    """Which types are shown, and which modes left none of them."""
    alone = share_collector(left)
    without = [a for a, n in left.items() if not any(n[name] for name in names)]
    every = len(names) == len(sum(left.values(), Counter[str]()))
    most = "" if every else f": the {len(names)} that there were most of"
    none = listed(f"`{arm_text(a, alone=alone)}`" for a in without)
    return f"{TYPES_CAPTION}{most}." + (f" None of them in {none}." if without else "")


def _draw_types(left: Mapping[Arm, Counter[str]], names: Sequence[str]) -> figure:
    """A row for each type, under the last part of its name."""
    alone = share_collector(left)
    rows = {name: _short(name, names) for name in names}

    def mark(a: Arm, name: str) -> Mark:
        n = left[a][name]
        return Mark(rows[name], mode_look(a.mode), n, n, n, count_text(n), name)

    return counts(
        list(rows.values()),
        {
            arm_text(a, alone=alone): found
            for a, n in left.items()
            if (found := [mark(a, name) for name in names if n[name]])
        },
        x_title="objects left behind",
        y_title="type",
    )


def _short(name: str, names: Sequence[str]) -> str:
    """`Square` of `autodiff.functions.Square`; the whole name, where two would be alike."""
    last = name.rpartition(".")[2]
    return name if sum(other.rpartition(".")[2] == last for other in names) > 1 else last

"""How far each mode peaks over the least that had to be held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from bokeh.plotting import figure

from experiments.bounds import chain_floor
from experiments.estimates import (
    Arm,
    Estimate,
    Subject,
    by_subject,
    floor_of,
    of_reading,
    over_floor,
)
from experiments.report.blocks import Chart, Origin, Section, Table, Text
from experiments.report.charts import Mark, multiples
from experiments.report.wording.absence import why_absent
from experiments.report.wording.accuracy import COLUMN, UNCALIBRATED, Calibrations, error_text
from experiments.report.wording.looks import arms_of, in_order, mode_look
from experiments.report.wording.words import (
    NONE,
    TIMES,
    arm_text,
    between_text,
    bytes_text,
    count_text,
    range_text,
    share_collector,
    short,
    subject_names,
    times_text,
)
from experiments.trial import Record

TITLE = "Peak over the floor"
FLOAT_BYTES = 8
DRAWN = 24  # workloads that there is room for on a chart
SAVES: dict[object, Literal["input", "output"]] = {  # what the rule of a chain's operation reads
    "square": "input",
    "sin": "input",
    "sqrt": "output",
    "tanh": "output",
}


def floors(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """Peak / L* on every workload and in every mode, and the exact floor where a formula has it."""
    groups = by_subject(records)
    names = subject_names(list(groups))
    found = {s: over for s, group in groups.items() if (over := over_floor(group))}
    if not found:
        words = (
            "Not measured: this needs trials of `traced` and of `operations` on the same workload."
        )
        return Section(TITLE, [Text(words, "note")])
    highest = sorted(found, key=lambda s: max(e.median for e in found[s].values()), reverse=True)
    drawn = {s: over for s, over in found.items() if s in highest[:DRAWN]}
    only = f" Drawn are the {DRAWN} workloads that go furthest." if len(found) > DRAWN else ""
    chart = Chart(
        title="Peak over the floor",
        says=SAYS + only,
        draw=lambda: _draw(drawn, names),
        table=_table(groups, found, names, calibrations),
    )
    return Section(
        TITLE, [Text(in_words(found)), chart, *_chains(groups, names, calibrations)], lead=LEAD
    )


LEAD = (
    "The floor L* is the most that is alive at once if every array goes right after its last use, "
    "in the order in which the work was done: no mode that does the same work can peak lower."
)


SAYS = (
    f"1 {TIMES} is the floor itself. Beyond it lies what was kept or copied without need, and "
    "Python's own objects: the floor counts arrays only. A graph that no backward follows lies "
    "over it whole, since nothing reads it."
)


def in_words(found: Mapping[Subject, Mapping[Arm, Estimate]]) -> str:
    """How far over the floor each mode peaked, in a sentence."""
    modes = dict.fromkeys(a.mode for a in in_order(a for arms in found.values() for a in arms))
    said = []
    for mode in modes:
        over = [e.median for arms in found.values() for a, e in arms.items() if a.mode == mode]
        said.append(f"`{mode}` {between_text(over, short)}")
    return f"From the lowest workload to the highest, peak / L* is: {'; '.join(said)}."


def _draw(found: Mapping[Subject, Mapping[Arm, Estimate]], names: Mapping[Subject, str]) -> figure:
    arms = in_order(a for over in found.values() for a in over)
    alone = share_collector(arms)
    marks = {
        arm_text(a, alone=alone): [
            Mark.of(names[s], mode_look(a.mode), over[a], 1.0, times_text)
            for s, over in found.items()
            if a in over
        ]
        for a in arms
    }
    return multiples(
        [names[s] for s in found],
        marks,
        once="floor L*",
        x_title="peak / L*, times, log scale",
        y_title="workload",
    )


def _table(
    groups: Mapping[Subject, Sequence[Record]],
    found: Mapping[Subject, Mapping[Arm, Estimate]],
    names: Mapping[Subject, str],
    calibrations: Calibrations,
) -> Table:
    rows, origins = [], []
    for s, group in groups.items():
        arms = arms_of(group, "traced")
        alone = share_collector(arms)
        for a in arms:
            cells = _cells(group, a, found.get(s, {}).get(a), calibrations)
            rows.append([names[s], arm_text(a, alone=alone), *cells])
            origins.append(Origin(s, a, "traced"))
    figures = ["Peak", COLUMN, "Floor L*", "Peak / L*", "Lowest to highest", "Trials"]
    columns = ["Workload", "Mode", *figures]
    caption = "Peak, with the error of the instrument, beside the floor"
    return Table(caption, columns, rows, 2, folded=True, origins=origins)


def _cells(
    group: Sequence[Record], a: Arm, over: Estimate | None, calibrations: Calibrations
) -> list[str]:
    peak, floor = of_reading(group, "peak_bytes").get(a), floor_of(group, a)
    no_peak = why_absent(group, a, "peak_bytes", "traced")
    no_floor = why_absent(group, a, "floor_bytes", "operations")
    return [
        bytes_text(peak.median) if peak else no_peak,
        error_text(calibrations, "traced", "peak_bytes") if peak else NONE,
        bytes_text(floor.median) if floor else no_floor,
        times_text(over.median) if over else NONE,
        range_text(over, times_text) if over else NONE,
        count_text(peak.n) if peak else NONE,
    ]


def _chains(
    groups: Mapping[Subject, Sequence[Record]],
    names: Mapping[Subject, str],
    calibrations: Calibrations,
) -> list[Table]:
    """Chains beside their floor in closed form, and how many arrays they peak over it."""
    rows, origins = [], []
    for s, group in groups.items():
        chain = dict(s.parameters)
        if s.workload != "chain" or chain.get("kind") not in SAVES:
            continue
        array_bytes = chain["size"] * FLOAT_BYTES
        saves = SAVES[chain["kind"]]
        floor = chain_floor(chain["length"], array_bytes, saves=saves, result="held")
        for a, peak in of_reading([r for r in group if _goes_back(r)], "peak_bytes").items():
            more = (peak.median - floor) / array_bytes
            error = error_text(calibrations, "traced", "peak_bytes")
            spread = range_text(peak, bytes_text)
            cells = [bytes_text(peak.median), error, spread, count_text(peak.n)]
            rows.append([names[s], a.mode, *cells, bytes_text(floor), f"{short(more)} arrays"])
            origins.append(Origin(s, a, "traced"))
    if not rows:
        return []
    figures = ["Peak", COLUMN, "Lowest to highest", "Trials", "Floor (N + 3) S", "Peak over it"]
    columns = ["Workload", "Mode", *figures]
    return [Table(CHAINS, columns, rows, 2, origins=origins)]


def _goes_back(record: Record) -> bool:
    return bool(record.memory_mode.get("enable_backprop", True))


CHAINS = (
    "Chains of N operations on arrays of S bytes, forward and backward, the result held: "
    "the least peak in closed form, without what a rule itself needs in passing"
)

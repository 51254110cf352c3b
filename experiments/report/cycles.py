"""What reference cycles keep until a collection frees them, and what the collector then costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.estimates import Arm, arm, of_reading
from experiments.report.absence import why_absent
from experiments.report.accuracy import UNCALIBRATED, Calibrations
from experiments.report.blocks import Block, Section, Table, Text
from experiments.report.looks import in_order
from experiments.report.words import (
    NONE,
    TIMES,
    arm_text,
    count_text,
    format_of,
    listed,
    range_text,
    share_collector,
)
from experiments.trial import Record

TITLE = "What waits for the collector"
FOUND = {
    "cycle_count": "Cycles",
    "cycle_objects_count": "Objects",
    "cycle_bytes": "Arrays held",
    "collected_objects_count": "Collected",
}
COLLECTOR = {
    "collector_runs_count": "Runs during the work",
    "collector_collected_count": "Objects they freed",
    "collector_pause_seconds": "Pauses in all",
}
CAPTION = "Cycles that nothing outside refers to; what the collection called then freed, in objects"
SHAPES = 3  # as many are named, the commonest first
TYPES = 12


def cycles(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """How many cycles, of which shape, holding how much; the collector's runs and pauses."""
    arms = in_order(arm(r) for r in records if r.trial.instrument == "cycles")
    if not arms:
        return Section(TITLE, [Text("Not measured: this run has no `cycles` trial of it.", "note")])
    blocks: list[Block] = [_left(records, arms), _collector(records, arms)]
    blocks += [*_types(records, arms), *_disagreements(records, arms)]
    lead = "What was there when the last reference had been dropped, and only a collection frees."
    return Section(TITLE, blocks, lead=lead)


def _left(records: Sequence[Record], arms: Sequence[Arm]) -> Table:
    columns = ["Mode", "Collector", *FOUND.values(), "Shapes"]
    rows = _merged({a: [*_cells(records, a, FOUND), _shapes(records, a)] for a in arms})
    return Table(CAPTION, columns, rows, 2, prose=("Shapes",))


def _collector(records: Sequence[Record], arms: Sequence[Arm]) -> Table:
    columns = ["Mode", "Collector", *COLLECTOR.values()]
    rows = _merged({a: _cells(records, a, COLLECTOR) for a in arms})
    return Table("The collector while the work ran", columns, rows, 2, folded=True)


def _merged(cells: Mapping[Arm, Sequence[str]]) -> list[list[str]]:
    """A row for each arm, but one for all settings, and for all modes, with the same figures."""
    settings: dict[tuple[str, ...], list[str]] = {}
    for a, found in cells.items():
        settings.setdefault((a.mode, *found), []).append(a.collector)
    modes: dict[tuple[str, ...], list[str]] = {}
    for (mode, *figures), collector in settings.items():
        modes.setdefault((listed(collector), *figures), []).append(mode)
    return [[", ".join(names), *row] for row, names in modes.items()]


def _cells(records: Sequence[Record], a: Arm, readings: Mapping[str, str]) -> list[str]:
    cells = []
    for reading in readings:
        formatted = format_of(reading)
        found = of_reading(records, reading).get(a)
        if found is None:
            cells.append(why_absent(records, a, reading, "cycles"))
        elif found.spread == 0:
            cells.append(formatted(found.median))
        else:
            cells.append(f"{formatted(found.median)} ({range_text(found, formatted)})")
    return cells


def _details(records: Sequence[Record], a: Arm, name: str) -> list[Any]:
    """A detail of each trial of the arm that ended well and has it."""
    return [
        r.details[name]
        for r in records
        if arm(r) == a
        and r.outcome == "ok"
        and r.trial.instrument == "cycles"
        and name in r.details
    ]


def _shapes(records: Sequence[Record], a: Arm) -> str:
    """`30 x {Function, Variable}`: how many cycles are made of what."""
    found = _details(records, a, "shapes")
    if not found or not found[0]:
        return NONE
    ranked = sorted(found[0], key=lambda shape: -shape["count"])
    named = "; ".join(_shape(shape) for shape in ranked[:SHAPES])
    more = f"; and {len(ranked) - SHAPES} more" if len(ranked) > SHAPES else ""
    return f"{named}{more}" + (
        "" if all(f == found[0] for f in found) else " (others in other trials)"
    )


def _shape(shape: Mapping[str, Any]) -> str:
    types = sorted(shape["types"].items(), key=lambda item: (-item[1], item[0]))
    members = ", ".join(name if n == 1 else f"{count_text(n)} {name}" for name, n in types)
    return f"{count_text(shape['count'])} {TIMES} {{{members}}}"


def _types(records: Sequence[Record], arms: Sequence[Arm]) -> list[Table]:
    """Which types of object had become more when the last reference was dropped."""
    grown = {a: Counter(found[0]) for a in arms if (found := _details(records, a, "types"))}
    ranked = sum(grown.values(), Counter[str]()).most_common(TYPES)
    if not ranked:
        return []
    alone = share_collector(grown)
    columns = ["Type", *(arm_text(a, alone=alone) for a in grown)]
    rows = [[name, *(count_text(n[name]) for n in grown.values())] for name, _ in ranked]
    return [
        Table(
            "Types of which there were more objects than at the start", columns, rows, folded=True
        )
    ]


def _disagreements(records: Sequence[Record], arms: Sequence[Arm]) -> list[Text]:
    """Where the objects found and those that the collection freed are not as many."""
    texts = []
    for a in arms:
        checks = [c for c in _details(records, a, "cross_check") if not c.get("agree", True)]
        if checks:
            found = count_text(checks[0]["census_objects_count"])
            freed = count_text(checks[0]["collected_objects_count"])
            name = arm_text(a, alone=share_collector(arms))
            words = f"In `{name}`, {found} objects were found, and the collection freed {freed}."
            texts.append(Text(words, "warning"))
    return texts

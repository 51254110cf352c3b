"""What reference cycles keep until a collection frees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.estimates import Arm, arm, of_reading
from experiments.report.absence import why_absent
from experiments.report.accuracy import COLUMN, UNCALIBRATED, Calibrations, error_text
from experiments.report.blocks import Block, Section, Table, Text
from experiments.report.looks import in_order
from experiments.report.words import (
    NONE,
    TIMES,
    arm_text,
    between_text,
    bytes_text,
    count_text,
    counted,
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
}
LEAD = "What was there when the last reference had been dropped, and only a collection frees."
CAPTION = "Cycles that nothing outside refers to"
SHAPES = 3  # as many are named, those that hold the most first


def cycles(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """How many cycles, of which shape, holding how much; whether the cross-checks bore it out."""
    arms = in_order(arm(r) for r in records if r.trial.instrument == "cycles")
    if not arms:
        return Section(TITLE, [Text("Not measured: this run has no `cycles` trial of it.", "note")])
    blocks: list[Block] = [_table(records, arms, calibrations)]
    blocks += [*_checks(records, arms), *_kept(records, arms)]
    return Section(TITLE, blocks, lead=LEAD)


def _table(records: Sequence[Record], arms: Sequence[Arm], calibrations: Calibrations) -> Table:
    columns = ["Mode", "Collector", *FOUND.values(), COLUMN, "Trials", "Shapes"]
    errors = dict.fromkeys(error_text(calibrations, "cycles", reading) for reading in FOUND)
    error = ", ".join(errors)
    rows = _merged(
        {
            a: [*_cells(records, a), error, count_text(len(_of(records, a))), _shapes(records, a)]
            for a in arms
        }
    )
    return Table(CAPTION, columns, rows, 2, prose=("Shapes",))


def _merged(cells: Mapping[Arm, Sequence[str]]) -> list[list[str]]:
    """A row for each arm, but one for all settings, and for all modes, with the same figures."""
    settings: dict[tuple[str, ...], list[str]] = {}
    for a, found in cells.items():
        settings.setdefault((a.mode, *found), []).append(a.collector)
    modes: dict[tuple[str, ...], list[str]] = {}
    for (mode, *figures), collector in settings.items():
        modes.setdefault((listed(collector), *figures), []).append(mode)
    return [[", ".join(names), *row] for row, names in modes.items()]


def _cells(records: Sequence[Record], a: Arm) -> list[str]:
    cells = []
    for reading in FOUND:
        formatted = format_of(reading)
        found = of_reading(records, reading).get(a)
        if found is None:
            cells.append(why_absent(records, a, reading, "cycles"))
        elif found.spread == 0:
            cells.append(formatted(found.median))
        else:
            cells.append(f"{formatted(found.median)} ({range_text(found, formatted)})")
    return cells


def _of(records: Sequence[Record], a: Arm) -> list[Record]:
    """The trials of the arm that took a census and ended well."""
    return [
        r for r in records if arm(r) == a and r.outcome == "ok" and r.trial.instrument == "cycles"
    ]


def _shapes(records: Sequence[Record], a: Arm) -> str:
    """`30 x {Function, Variable}, 78.1 KiB each`: how many cycles are made of what."""
    found = [r.details["shapes"] for r in _of(records, a) if "shapes" in r.details]
    if not found or not found[0]:
        return NONE
    named = "; ".join(_shape(shape) for shape in found[0][:SHAPES])
    more = f"; and {len(found[0]) - SHAPES} more" if len(found[0]) > SHAPES else ""
    others = "" if all(one == found[0] for one in found) else " (others in other trials)"
    return f"{named}{more}{others}"


def _shape(shape: Mapping[str, Any]) -> str:
    types = sorted(shape["types"].items(), key=lambda item: (-item[1], item[0]))
    members = ", ".join(name if n == 1 else f"{count_text(n)} {name}" for name, n in types)
    each = between_text(shape["each_bytes"], bytes_text)
    holding = f", {each}{' each' if shape['count'] > 1 else ''}" if shape["bytes"] else ""
    return f"{count_text(shape['count'])} {TIMES} {{{members}}}{holding}"


def _checks(records: Sequence[Record], arms: Sequence[Arm]) -> list[Text]:
    """In how many trials the collection bore the census out, and what those say that it did not."""
    held = sum("cross_check" in r.details for a in arms for r in _of(records, a))
    failed = [r for r in records if r.trial.instrument == "cycles" and r.outcome != "ok"]
    texts = [Text(HELD.format(counted(held, "trial")))] if held else []
    alone = share_collector(arms)
    for r in failed:
        name = arm_text(arm(r), alone=alone)
        said = r.error.partition("\n")[0] or r.outcome
        texts.append(Text(f"A trial of `{name}` gave no figure. {said}", "warning"))
    return texts


HELD = (
    "Cross-checked in {}: the collection that was called then freed as many objects as were found, "
    "and NumPy gave back as many bytes, to the last one."
)


def _kept(records: Sequence[Record], arms: Sequence[Arm]) -> list[Text]:
    """Where arrays outlived that collection, too."""
    texts = []
    for a in arms:
        checks = [r.details.get("cross_check", {}) for r in _of(records, a)]
        kept = max((check.get("kept_array_bytes", 0) for check in checks), default=0)
        if kept:
            name = arm_text(a, alone=share_collector(arms))
            words = f"In `{name}`, {bytes_text(kept)} of arrays outlived the collection. {KEPT}"
            texts.append(Text(words, "note"))
    return texts


KEPT = (
    "Somebody still refers to them, or a cycle runs through an array of dtype object, which no "
    "collection finds."
)

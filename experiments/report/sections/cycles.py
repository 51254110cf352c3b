"""What reference cycles keep until a collection frees them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from experiments.estimates import Arm, Subject, arm, of_reading, subject
from experiments.refgraph.model import Graph
from experiments.refgraph.rendering import NotDrawn, svg
from experiments.report.blocks import Block, Origin, Picture, Section, Table, Text, not_measured
from experiments.report.wording.absence import why_absent
from experiments.report.wording.accuracy import COLUMN, UNCALIBRATED, Calibrations, error_text
from experiments.report.wording.looks import arms_of
from experiments.report.wording.words import (
    NONE,
    TIMES,
    arm_text,
    between_text,
    bytes_text,
    count_text,
    counted,
    format_of,
    listed,
    parameters_text,
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
    arms = arms_of(records, "cycles")
    if not arms:
        return not_measured(TITLE, "cycles")
    blocks: list[Block] = [_table(records, arms, calibrations)]
    blocks += [*_checks(records, arms), *_kept(records, arms), *_pictures(records, arms)]
    return Section(TITLE, blocks, lead=LEAD)


def _table(records: Sequence[Record], arms: Sequence[Arm], calibrations: Calibrations) -> Table:
    columns = ["Mode", "Collector", *FOUND.values(), COLUMN, "Trials", "Shapes"]
    errors = dict.fromkeys(error_text(calibrations, "cycles", reading) for reading in FOUND)
    error = ", ".join(errors)
    merged = _merged(
        {
            a: [*_cells(records, a), error, count_text(len(_of(records, a))), _shapes(records, a)]
            for a in arms
        }
    )
    s = subject(records[0])
    origins = [Origin(s, whose[0] if len(whose) == 1 else None, "cycles") for _, whose in merged]
    rows = [row for row, _ in merged]
    return Table(CAPTION, columns, rows, 2, prose=("Shapes",), origins=origins)


def _merged(cells: Mapping[Arm, Sequence[str]]) -> list[tuple[list[str], list[Arm]]]:
    """A row for each arm, but one for all settings, and for all modes, with the same figures.

    With each row the arms that it is of.
    """
    settings: dict[tuple[str, ...], list[Arm]] = {}
    for a, found in cells.items():
        settings.setdefault((a.mode, *found), []).append(a)
    modes: dict[tuple[str, ...], list[Arm]] = {}
    for (_, *figures), arms in settings.items():
        alike = (listed(a.collector for a in arms), *figures)
        modes.setdefault(alike, []).extend(arms)
    return [
        ([", ".join(dict.fromkeys(a.mode for a in arms)), *row], arms)
        for row, arms in modes.items()
    ]


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
    members = _types(shape["types"].items())
    each = between_text(shape["each_bytes"], bytes_text)
    holding = f", {each}{' each' if shape['count'] > 1 else ''}" if shape["bytes"] else ""
    return f"{count_text(shape['count'])} {TIMES} {{{members}}}{holding}"


def _types(members: Iterable[tuple[str, int]]) -> str:
    """`2 Variable, Square`: the types that are most often in a cycle first."""
    ranked = sorted(members, key=lambda item: (-item[1], item[0]))
    return ", ".join(name if n == 1 else f"{count_text(n)} {name}" for name, n in ranked)


def _pictures(records: Sequence[Record], arms: Sequence[Arm]) -> list[Picture]:
    """One cycle of each shape, whatever the modes that it was found in; the largest first."""
    found: dict[Members, list[tuple[Arm, Mapping[str, Any]]]] = {}
    for a in arms:
        for shape in next((r.details["shapes"] for r in _of(records, a) if _shown(r)), []):
            found.setdefault(_members(shape), []).append((a, shape))
    drawn = [of for of in found.values() if any("example" in shape for _, shape in of)]
    drawn.sort(key=lambda of: -max(shape["bytes"] for _, shape in of))
    return [_picture(subject(records[0]), n, of) for n, of in enumerate(drawn[:SHAPES], start=1)]


SHARED = (
    "Where arrays are counted, each counts once and those of before the start do not; a drawing "
    "shows every array that its cycle refers to."
)
Members = tuple[tuple[str, int], ...]


def _shown(record: Record) -> bool:
    """Whether the record has an example of each shape; those of earlier versions have none."""
    return any("example" in shape for shape in record.details.get("shapes", ()))


def _members(shape: Mapping[str, Any]) -> Members:
    return tuple(sorted(shape["types"].items()))


def _picture(s: Subject, n: int, of: Sequence[tuple[Arm, Mapping[str, Any]]]) -> Picture:
    """The example of a shape, with how many there were of it in each mode."""
    example = next(shape["example"] for _, shape in of if "example" in shape)
    graph = Graph.from_json(example)
    where = listed(f"`{a.mode}` ({_shape(shape)})" for a, shape in of)
    omitted = f" {counted(graph.omitted, 'object')} left out." if graph.omitted else ""
    prefix = re.sub(r"[^a-z0-9]+", "-", f"cycle-{s.workload}-{parameters_text(s)}-{n}-".lower())
    return Picture(
        title=f"A cycle of {_types(_members(of[0][1]))}",
        says=f"One cycle of this shape, and the arrays that it holds. Found in {where}.{omitted}"
        + (f" {SHARED}" if n == 1 else ""),
        svg=lambda: _svg(graph, prefix),
        table=_edges(graph),
    )


def _svg(graph: Graph, prefix: str) -> str:
    """The drawing; where there is none, why."""
    try:
        return svg(graph, prefix=prefix)
    except NotDrawn as error:
        return f'<p class="note">{escape(str(error))} The table has what it would show.</p>'


def _edges(graph: Graph) -> Table:
    """Every reference of a graph: from what, by what, to what."""
    nodes = {node.id: f"{node.title} {node.detail}".strip() for node in graph.nodes}
    rows = [
        [
            nodes[edge.source],
            f"`{edge.label}`",
            nodes[edge.target],
            "weak" if edge.weak else "strong",
        ]
        for edge in graph.edges
    ]
    columns = ["From", "By", "To", "Reference"]
    return Table("The references of this cycle", columns, rows, prose=columns[1:], folded=True)


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

"""What is alive, array by array: for what it was made, and what the peak is made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bokeh.plotting import figure

from experiments.estimates import Arm, arm
from experiments.report.accuracy import COLUMN, UNCALIBRATED, Calibrations
from experiments.report.blocks import Block, Chart, Section, Table, Text
from experiments.report.cells import cells_of
from experiments.report.charts import Bands, PhaseMark, areas
from experiments.report.looks import PHASES, ROLES, in_order
from experiments.report.traces import ENDS
from experiments.report.words import (
    GAP,
    NBSP,
    NONE,
    arm_text,
    byte_unit,
    bytes_text,
    count_text,
    listed,
    seconds_text,
    share_collector,
)
from experiments.trial import Record

TITLE = "What is alive, and what for"
READINGS = {
    "timeline_peak_bytes": "peak",
    "timeline_live_after_forward_bytes": "live after forward",
    "timeline_live_after_backward_bytes": "live after backward",
    "timeline_left_bytes": "left behind",
    "temporary_bytes": "most temporaries at once",
    "array_count": "arrays made",
}
LARGEST = 3  # operations that are named
MARKED = 12  # phases that can be told apart on a chart

Detail = Mapping[str, Any]


def lifetimes(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """The live bytes of arrays by role, event by event, mode by mode, and the peak taken apart."""
    arms = in_order(arm(r) for r in records if r.trial.instrument == "lifetimes")
    if not arms:
        words = "Not measured: this run has no `lifetimes` trial of it."
        return Section(TITLE, [Text(words, "note")])
    details = {a: detail for a in arms if (detail := _detail(records, a))}
    alone = share_collector(arms)
    blocks: list[Block] = []
    for a, detail in details.items():
        blocks += _charts(arm_text(a, alone=alone), detail)
    if details:
        blocks.append(_peaks(details, alone=alone))
    blocks.append(_figures(records, arms, calibrations))
    return Section(TITLE, blocks, lead=LEAD + _key(details.values()))


LEAD = (
    "The memory of arrays alone, at every birth and every death of one, with what each was made "
    "for. Events are counted and not seconds, so that what is short can be seen as well."
)


def _key(details: Collection[Detail]) -> str:
    """What each role that is drawn means, and each mark."""
    drawn = {role for detail in details for role in detail["curve"]["roles"]}
    said = [f"`{role}`: {look.said}" for role, look in ROLES.items() if role in drawn]
    curves = [(d, curve) for d in details for curve in (d["curve"], d["closer"]) if curve]
    marked = {phase for detail, curve in curves for _, phase, _ in _marked(detail, curve)}
    signs = [f"{sign}{NBSP}{means}" for p, (_, sign, means) in PHASES.items() if p in marked]
    return f" {'; '.join(said)}. Marked: {', '.join(signs)}." if said else ""


def _detail(records: Sequence[Record], where: Arm) -> Detail | None:
    """The timeline of the first trial of an arm that ended well."""
    found = (
        r.details["timeline"]
        for r in records
        if arm(r) == where and r.trial.instrument == "lifetimes" and r.outcome == "ok"
        if "timeline" in r.details
    )
    return next(found, None)


def _charts(name: str, detail: Detail) -> list[Chart]:
    """The whole trial, and, where that is too long to see all of it, the round of the peak."""
    title = f"{TITLE}, {name}"
    whole = Chart(title, says=_says(name, detail), draw=lambda: _draw(detail, detail["curve"]))
    closer = detail["closer"]
    if closer is None:
        return [whole]
    says = f"Closer: the round of `{name}` that its peak is in."
    return [whole, Chart(f"{title}, closer", says, lambda: _draw(detail, closer))]


def _says(name: str, detail: Detail) -> str:
    """Where the peak is, and the shares of it."""
    peak = detail["peak"]
    roles = sorted(peak["roles"].items(), key=lambda item: -item[1])
    shares = [f"{role} {_share(size, peak['bytes'])}" for role, size in roles]
    made_of = f", of which {listed(shares)}" if shares else ""
    return (
        f"`{name}`: {bytes_text(peak['bytes'])} at the peak, {_when(detail)} (event "
        f"{count_text(peak['event'])} of {count_text(detail['events'])}){made_of}."
    )


def _share(size: float, whole: float) -> str:
    share = 100 * size / whole
    return f"{share:.0f}{GAP}%" if share >= 1 else f"under 1{GAP}%"


def _when(detail: Detail) -> str:
    """On the way to which phase the peak was."""
    event, phases = detail["peak"]["event"], detail["phases"]
    for at, phase in zip(phases["event"], phases["phase"], strict=True):
        if at >= event and phase != "baseline":
            return WAYS[phase]
    return "at the end"


WAYS = {
    "built": "when the workload stood",
    "forward": "on the way forward",
    "backward": "on the way backward",
    "step": "at the end of a round",
    "dropped": "after the last round",
    "collected": "in the collection",
}


def _marked(detail: Detail, curve: Detail) -> list[tuple[int, str, int]]:
    """The phases that are marked, each with its event and what was alive; all, or the ends."""
    columns = (detail["phases"][name] for name in ("event", "phase", "bytes"))
    first, last = curve["event"][0], curve["event"][-1]
    rows = zip(*columns, strict=True)
    passed = [row for row in rows if row[1] in PHASES and first <= row[0] <= last]
    return [row for row in passed if len(passed) <= MARKED or row[1] in ENDS]


def _draw(detail: Detail, curve: Detail) -> figure:
    peak = detail["peak"]
    per, unit = byte_unit(peak["bytes"])
    return areas(
        Bands(
            x=curve["event"],
            bands={
                role: [round(size / per, 4) for size in curve["roles"][role]]
                for role in ROLES
                if role in curve["roles"]
            },
            looks=ROLES,
            marks=[
                PhaseMark(event, held / per, phase, f"{PHASES[phase][2]}: {bytes_text(held)}")
                for event, phase, held in _marked(detail, curve)
            ],
            peak=(peak["event"], peak["bytes"] / per, f"peak {bytes_text(peak['bytes'])}"),
        ),
        unit=unit,
        x_title="births and deaths of arrays",
        y_title=f"arrays alive, {unit}",
    )


def _peaks(details: Mapping[Arm, Detail], *, alone: bool) -> Table:
    """The bytes of each role at the peak, and the operations that made most of them."""
    drawn = [role for role in ROLES if any(role in d["peak"]["roles"] for d in details.values())]
    rows = []
    for a, detail in details.items():
        peak = detail["peak"]
        most = sorted(peak["operations"].items(), key=lambda item: -item[1])[:LARGEST]
        largest = [f"{operation} {bytes_text(size)}" for operation, size in most]
        sizes = [bytes_text(peak["roles"][r]) if r in peak["roles"] else NONE for r in drawn]
        cells = [bytes_text(peak["bytes"]), seconds_text(peak["seconds"]), *sizes]
        rows.append([arm_text(a, alone=alone), *cells, ", ".join(largest) or NONE])
    columns = ["Mode", "Peak", "After", *drawn, "Made by, most of all"]
    return Table("The peak of arrays, and what it is made of", columns, rows, prose=columns[-1:])


def _figures(records: Sequence[Record], arms: Sequence[Arm], calibrations: Calibrations) -> Table:
    alone = share_collector(arms)
    rows = []
    for a in arms:
        name = arm_text(a, alone=alone)
        for reading, words in READINGS.items():
            found = cells_of(records, a, "lifetimes", reading, calibrations)
            rows.append([name, words, found.median, found.spread, found.error, found.n])
    columns = ["Mode", "Figure", "Median", "Lowest to highest", COLUMN, "Trials"]
    return Table("The memory of arrays, from birth to death", columns, rows, 2, folded=True)

"""What is alive, array by array: from when to when, for what, and what the peak is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bokeh.models import LayoutDOM

from experiments.estimates import Arm, arm, floor_of, subject
from experiments.report.blocks import Block, Chart, Origin, Section, Table, not_measured
from experiments.report.blocks import Columns as CsvColumns
from experiments.report.charts.bands import PEAK, timelines
from experiments.report.charts.panels import Columns, Timeline
from experiments.report.charts.stacking import fewer
from experiments.report.wording.accuracy import COLUMN, UNCALIBRATED, Calibrations
from experiments.report.wording.cells import cells_of
from experiments.report.wording.looks import PHASES, ROLES, arms_of
from experiments.report.wording.words import (
    GAP,
    NBSP,
    NONE,
    arm_text,
    bytes_text,
    collector_text,
    count_text,
    seconds_text,
    share_collector,
    times_text,
)
from experiments.trial import Record

TITLE = "Live arrays over time"
INSTRUMENT = "lifetimes"
READINGS = {
    "timeline_peak_bytes": "peak",
    "timeline_live_after_forward_bytes": "live after forward",
    "timeline_live_after_backward_bytes": "live after backward",
    "timeline_left_bytes": "left behind",
    "temporary_bytes": "most temporaries at once",
    "array_count": "arrays made",
}
LARGEST = 3  # operations that are named
COPIED = 150  # places on a curve
LISTED = 6  # arrays of each timeline that its table has


@dataclass(frozen=True)
class Shown:
    """A timeline among others, the floor of what it did, and where it comes from."""

    name: str
    timeline: Timeline
    floor: float | None
    origin: Origin


def lifetimes(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """Every array from its birth to its death, mode beside mode, and the peak taken apart."""
    arms = arms_of(records, INSTRUMENT)
    if not arms:
        return not_measured(TITLE, INSTRUMENT)
    alone = share_collector(arms)
    found = {a: shown for a in arms if (shown := shown_of(records, a, a.mode))}
    blocks: list[Block] = []
    for setting in dict.fromkeys(a.collector for a in found):
        group = [shown for a, shown in found.items() if a.collector == setting]
        name = collector_text(setting)
        says = f"{name.capitalize()}; the first trial of each mode, all on the same scales."
        blocks.append(whole(f"{TITLE}, {name}", says, group))
        long = [shown for shown in group if shown.timeline.is_long]
        blocks += [_closer(f"{TITLE}, {name}, closer", long)] * bool(long)
    if found:
        blocks.append(_peaks({arm_text(a, alone=alone): shown for a, shown in found.items()}))
    blocks.append(_figures(records, arms, calibrations))
    return Section(TITLE, blocks, lead=LEAD + key(list(found.values())) if found else "")


LEAD = (
    "Every array is a band from its birth to its death, the newest on top; a band moves down when "
    "one below it dies. So the top edge is the memory of all arrays, to the byte. Time is counted "
    "in births and deaths and not in seconds, so that what is short can be seen as well. Arrays "
    "too small or too short for the screen are drawn together, one band for each role."
)


def shown_of(records: Sequence[Record], where: Arm, name: str) -> Shown | None:
    """The timeline of the first trial of an arm that ended well, under a name."""
    for r in records:
        is_it = arm(r) == where and r.trial.instrument == INSTRUMENT and r.outcome == "ok"
        if is_it and "timeline" in r.details:
            floor = floor_of(records, where)
            origin = Origin(subject(r), where, INSTRUMENT)
            timeline = Timeline(r.details["timeline"])
            return Shown(name, timeline, floor.median if floor else None, origin)
    return None


# The charts ---------------------------------------------------------------------------------------


def whole(title: str, says: str, group: Sequence[Shown]) -> Chart:
    """Whole trials on one time axis and one scale."""
    return Chart(
        title=title,
        says=says,
        draw=lambda: _draw(group, closer=False),
        table=_largest(group),
        data=lambda: _data(group, closer=False),
        a_key=True,
    )


def _closer(title: str, group: Sequence[Shown]) -> Chart:
    """Of trials that are too long to see all the rounds of their peaks."""
    return Chart(
        title=title,
        says="Closer: of each the one round that its peak is in, on a scale of its own.",
        draw=lambda: _draw(group, closer=True),
        data=lambda: _data(group, closer=True),
        a_key=True,
    )


def _draw(group: Sequence[Shown], *, closer: bool) -> LayoutDOM:
    tops = [max(shown.timeline.peak.bytes, shown.floor or 0, 1) for shown in group]
    panels = [
        shown.timeline.panel(
            _heading(shown),
            shown.timeline.views[closer],
            top if closer else max(tops),
            shown.floor,
        )
        for shown, top in zip(group, tops, strict=True)
    ]
    since = "since the round began" if closer else "since the start"
    return timelines(panels, ROLES, x_title=f"births and deaths {since}", same_scale=not closer)


def _heading(shown: Shown) -> str:
    """`step16: peak 54.0 MiB, 6.50 x L*`."""
    peak = shown.timeline.peak.bytes
    over = f", {times_text(peak / shown.floor)} L*" if shown.floor else ""
    return f"{shown.name}: peak {bytes_text(peak)}{over}"


def key(group: Sequence[Shown]) -> str:
    """What the roles mean that are drawn, and the marks."""
    drawn = {role for shown in group for role in shown.timeline.detail["curve"]["roles"]}
    roles = [f"`{role}`: {look.said}" for role, look in ROLES.items() if role in drawn]
    marked = {p.phase for shown in group for p in shown.timeline.phases}
    signs = [f"{sign}{NBSP}{means}" for p, (_, sign, means) in PHASES.items() if p in marked]
    floor = ["dashed the floor L*"] if any(shown.floor for shown in group) else []
    return f" {'; '.join(roles)}. Marked: {', '.join([*signs, PEAK, *floor])}."


def _data(group: Sequence[Shown], *, closer: bool) -> CsvColumns:
    """The bytes of each role over time, at so many places that no peak is lost."""
    columns: dict[str, list[object]] = {}
    names = ["trial", "event", "time, seconds", *(f"{role}, bytes" for role in ROLES)]
    for shown in group:
        curve = shown.timeline.views[closer]
        places = fewer(curve["bytes"], COPIED)
        roles = [curve["roles"].get(role, [0] * len(curve["event"])) for role in ROLES]
        found = [curve["event"], curve["seconds"], *roles]
        columns.setdefault(names[0], []).extend([shown.name] * len(places))
        for name, column in zip(names[1:], found, strict=True):
            columns.setdefault(name, []).extend(column[place] for place in places)
    return columns


def _largest(group: Sequence[Shown]) -> Table:
    """The arrays of each timeline that took most, in bytes x life."""
    rows, origins = [], []
    for shown in group:
        timeline = shown.timeline
        for number in timeline.largest(LISTED):
            [life] = timeline.lives([number])
            size = bytes_text(int(timeline.arrays.sizes[number]))
            ends = [_place(life.born), _place(life.died) if life.died else "still alive"]
            rows.append([shown.name, life.what, size, *ends, life.held or NONE])
            origins.append(shown.origin)
    columns = ["Trial", "Array", "Bytes", "Born", "Died", "Held"]
    prose = ["Array", "Born", "Died", "Held"]
    caption = "The arrays of the most bytes times life"
    return Table(caption, columns, rows, prose=prose, folded=True, origins=origins)


def _place(place: tuple[int, float, str]) -> str:
    event, _, words = place
    return f"{words} (event {count_text(event)})"


# The tables ---------------------------------------------------------------------------------------


def _peaks(found: Mapping[str, Shown]) -> Table:
    """The bytes of each role at the peak, and the operations that made most of them."""
    peaks: dict[str, Columns] = {name: s.timeline.detail["peak"] for name, s in found.items()}
    drawn = [role for role in ROLES if any(role in peak["roles"] for peak in peaks.values())]
    rows = []
    for name, peak in peaks.items():
        most = sorted(peak["operations"].items(), key=lambda item: -item[1])[:LARGEST]
        largest = [f"{operation} {bytes_text(size)}" for operation, size in most]
        when = f"{found[name].timeline.way(peak['event'])}, {seconds_text(peak['seconds'])}"
        sizes = [
            f"{bytes_text(size)} ({_share(size, peak['bytes'])})" if size else NONE
            for size in (peak["roles"].get(role, 0) for role in drawn)
        ]
        rows.append([name, bytes_text(peak["bytes"]), *sizes, when, ", ".join(largest) or NONE])
    columns = ["Mode", "Peak", *drawn, "When", "Made by, most of all"]
    origins = [shown.origin for shown in found.values()]
    caption = "The peak of arrays, and what it is made of"
    return Table(caption, columns, rows, prose=columns[-2:], origins=origins)


def _share(size: float, whole: float) -> str:
    share = 100 * size / whole
    return f"{share:.0f}{GAP}%" if share >= 1 else f"under 1{GAP}%"


def _figures(records: Sequence[Record], arms: Sequence[Arm], calibrations: Calibrations) -> Table:
    alone = share_collector(arms)
    rows, origins = [], []
    for a in arms:
        name = arm_text(a, alone=alone)
        for reading, words in READINGS.items():
            found = cells_of(records, a, INSTRUMENT, reading, calibrations)
            rows.append([name, words, found.median, found.spread, found.error, found.n])
            origins.append(Origin(subject(records[0]), a, INSTRUMENT))
    columns = ["Mode", "Figure", "Median", "Lowest to highest", COLUMN, "Trials"]
    caption = "The memory of arrays, from birth to death"
    return Table(caption, columns, rows, 2, folded=True, origins=origins)

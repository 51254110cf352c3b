"""Charts of points at places: time against memory, and the collector's pauses as they came."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, FixedTicker, Range1d, glyphs
from bokeh.plotting import figure

from experiments.report.charts.frames import (
    DASHED,
    FONT,
    INK,
    PAPER,
    Glyphs,
    around,
    fit_shown,
    hide_with,
    item,
    legend,
    point_at,
    start_at_zero,
    whisker,
)
from experiments.report.wording.looks import ModeLook

NARROW, HIGH = 190, 280  # between the axes, in pixels: as wide as a phone leaves it
ROOM = 0.16  # above the highest and, on a logarithmic scale, below the lowest
LETTER, LINE = 6.4, 15  # the room of a letter of a label, in pixels
Align: TypeAlias = Literal["left", "center", "right"]
Way: TypeAlias = tuple[float, float, Align]  # a name's offsets from its point, and its alignment
Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom

# Tried in this order.
WAYS: tuple[Way, ...] = (
    (0.0, -18.0, "center"),
    (0.0, 18.0, "center"),
    (13.0, 0.0, "left"),
    (-13.0, 0.0, "right"),
    (9.0, -18.0, "left"),
    (-9.0, -18.0, "right"),
    (9.0, 18.0, "left"),
    (-9.0, 18.0, "right"),
    (0.0, -33.0, "center"),
    (0.0, 33.0, "center"),
)


@dataclass(frozen=True)
class Place:
    """A mode where it stands: x with its interval, y with its range."""

    name: str
    look: ModeLook
    x: tuple[float, float, float]  # where it is, from, to
    y: tuple[float, float, float]
    about: Sequence[str]  # lines for the pointer: of x, of y, and what else is to be said
    hollow: bool = False  # whether it does other work than the others, and so is not ranked


@dataclass(frozen=True)
class Pause:
    """A run of the collector: when, for how long, and what it did."""

    x: float
    y: float
    about: str


def against(
    places: Sequence[Place],
    best: Sequence[tuple[float, float]],
    floors: Mapping[str, float],
    *,
    x_title: str,
    y_title: str,
    ticks: Mapping[float, str] | None = None,
) -> figure:
    """Points with intervals in both directions, the best joined, and floors as lines across.

    best: the places of the best trade-offs, from the left on. floors: whose each is -> its height.
    ticks: where the upright axis is logarithmic, its marks and what they say.
    """
    chart = around(HIGH, x_title, y_title, log_y=ticks is not None)
    start_at_zero(chart, [place.x[2] for place in places])
    _upright(chart, [*(y for p in places for y in p.y), *floors.values()], ticks)
    items, entries, pointed = [], [], []
    if best:
        entries.append(item("best trade-off", _best(chart, best)))
    beside = _beside(places, list(floors.values()), log_y=ticks is not None)
    for place, way in zip(places, beside, strict=True):
        drawn = _place(chart, place, way)
        items.append(item(place.name, drawn))
        pointed.append(drawn)
    if floors:
        drawn = _floors(chart, floors, max(place.x[2] for place in places))
        entries.append(item("floor L*", drawn))
        pointed.append(drawn)
    point_at(chart, pointed, "@name", "@first", "@second", "@third")
    legend(chart, [*items, *entries])
    return chart


def _upright(chart: figure, heights: Sequence[float], ticks: Mapping[float, str] | None) -> None:
    """The range of the upright axis, with room for a name above the highest."""
    if ticks is None:
        chart.y_range = Range1d(start=0, end=max(heights) * (1 + ROOM) or 1.0)
    else:
        above = [height for height in heights if height > 0]
        room = max((max(above) / min(above)) ** ROOM, 1.5)
        chart.y_range = Range1d(start=min(above) / room, end=max(above) * room)
        chart.yaxis.ticker = FixedTicker(ticks=list(ticks))
        chart.yaxis.major_label_overrides = dict(zip(ticks, ticks.values(), strict=True))


def _best(chart: figure, best: Sequence[tuple[float, float]]) -> Glyphs:
    """A ring around each of the best, and where they are several a line through them."""
    source = ColumnDataSource({"x": [x for x, _ in best], "y": [y for _, y in best]})
    ring = glyphs.Scatter(x="x", y="y", size=21, fill_color=None, line_color=INK, line_width=1.5)
    rings = chart.add_glyph(source, ring)
    # In steps: between two modes there is none that has some of both.
    joined = glyphs.Step(x="x", y="y", mode="after", line_color=INK, line_width=4, line_alpha=0.4)
    line = chart.add_glyph(source, joined)
    hide_with(rings, [line])
    for drawn in (rings, line):
        drawn.tags = ["ink"]
    return rings


def _place(chart: figure, place: Place, way: Way) -> Glyphs:
    """A point, its intervals and its name beside it."""
    dx, dy, align = way
    first, second, third = (*place.about, "", "", "")[:3]
    source = ColumnDataSource(
        {
            "value": [place.x[0]],
            "low": [place.x[1]],
            "high": [place.x[2]],
            "y": [place.y[0]],
            "least": [place.y[1]],
            "most": [place.y[2]],
            "name": [place.name],
            "first": [first],
            "second": [second],
            "third": [third],
        }
    )
    mark = glyphs.Scatter(
        x="value",
        y="y",
        size=12,
        marker=value(place.look.marker),
        fill_color=place.look.colour,
        fill_alpha=0.0 if place.hollow else 0.9,
        line_color=place.look.colour,
        line_width=2,
    )
    drawn = chart.add_glyph(source, mark)
    name = glyphs.Text(
        x="value",
        y="y",
        text="name",
        x_offset=dx,
        y_offset=dy,
        text_align=value(align),
        text_baseline="middle",
        text_color=INK,
        text_font=value(FONT),
        text_font_size="12px",
        background_fill_color=PAPER,
        background_fill_alpha=0.75,
    )
    named = chart.add_glyph(source, name)
    named.tags = ["ink"]
    across = [whisker(chart, source, "width")] if place.x[2] > place.x[1] else []
    upright = [whisker(chart, source, "height")] if place.y[2] > place.y[1] else []
    hide_with(drawn, [named, *across, *upright])
    return drawn


def _beside(places: Sequence[Place], floors: Sequence[float], *, log_y: bool) -> list[Way]:
    """Where each name stands beside its point, so that nothing lies on top of another.

    By the room of the narrowest chart: on a wider one all lies further apart.
    """

    def up(height: float) -> float:
        return math.log(max(height, 1e-12)) if log_y else height

    most = max(place.x[2] for place in places) or 1.0
    heights = [up(height) for height in (*(p.y[0] for p in places), *floors)]
    low, high = min(heights) if log_y else 0.0, max(heights)

    def across(x: float) -> float:
        return x / most * NARROW

    def down(height: float) -> float:
        return (1 - (up(height) - low) / (high - low or 1.0)) * HIGH / (1 + 2 * ROOM)

    at = [(across(place.x[0]), down(place.y[0])) for place in places]
    taken: list[Box] = [(x - 9, y - 9, x + 9, y + 9) for x, y in at]
    taken += [
        (across(p.x[1]), y - 4, across(p.x[2]), y + 4) for p, (_, y) in zip(places, at, strict=True)
    ]
    taken += [(0.0, down(floor) - 2, math.inf, down(floor) + 2) for floor in floors]
    found = []
    for place, (x, y) in zip(places, at, strict=True):
        boxes = [(way, _box(x, y, LETTER * len(place.name), way)) for way in WAYS]
        # Where there is no room at all, above: a name on an interval can still be read.
        free = ((way, box) for way, box in boxes if box[0] > 0 and _free(box, taken))
        way, box = next(free, boxes[0])
        taken.append(box)
        found.append(way)
    return found


def _box(x: float, y: float, width: float, way: Way) -> Box:
    """The room that a name takes."""
    dx, dy, align = way
    left = x + dx - {"left": 0.0, "center": 0.5, "right": 1.0}[align] * width
    return left, y + dy - LINE / 2, left + width, y + dy + LINE / 2


def _free(box: Box, taken: Sequence[Box]) -> bool:
    left, top, right, bottom = box
    return not any(
        left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
        for other in taken
    )


def _floors(chart: figure, floors: Mapping[str, float], most: float) -> Glyphs:
    """The least that had to be held, across the chart."""
    source = ColumnDataSource(
        {
            "x0": [0.0] * len(floors),
            "x1": [2 * most] * len(floors),
            "y": list(floors.values()),
            "name": ["floor L*"] * len(floors),
            "first": list(floors),
            "second": [""] * len(floors),
            "third": [""] * len(floors),
        }
    )
    across = glyphs.Segment(x0="x0", x1="x1", y0="y", y1="y", **DASHED)
    drawn = chart.add_glyph(source, across)
    drawn.tags = ["ink"]
    return drawn


def pauses(
    found: Mapping[str, tuple[ModeLook, Sequence[Pause]]], *, x_title: str, y_title: str
) -> figure:
    """Runs of the collector as they came: a stem as high as the work stood still for it."""
    chart = around(180, x_title, y_title)
    first = next(run.x for _, runs in found.values() for run in runs)
    fit_shown(chart, first, 0.08)  # points on zero are whole
    items, pointed = [], []
    for name, (look, runs) in found.items():
        source = ColumnDataSource(
            {
                "x": [run.x for run in runs],
                "y": [run.y for run in runs],
                "name": [name] * len(runs),
                "about": [run.about for run in runs],
            }
        )
        stem = glyphs.Segment(
            x0="x", x1="x", y0=value(0.0), y1="y", line_color=look.colour, line_width=2
        )
        stems = chart.add_glyph(source, stem)
        mark = glyphs.Scatter(
            x="x",
            y="y",
            size=9,
            marker=value(look.marker),
            fill_color=look.colour,
            fill_alpha=0.85,
            line_color=look.colour,
        )
        drawn = chart.add_glyph(source, mark)
        hide_with(drawn, [stems])
        items.append(item(name, drawn))
        pointed.append(drawn)
    point_at(chart, pointed, "@name", "@about")
    legend(chart, items)
    return chart

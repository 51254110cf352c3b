"""Charts of what memory costs: measured points, the curves of theory, budgets, what cannot be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, FixedTicker, Range1d, glyphs
from bokeh.models.annotations import BoxAnnotation, LegendItem
from bokeh.plotting import figure

from experiments.report.charts.frames import (
    DASHED,
    GREY,
    INK,
    NAN,
    Glyphs,
    around,
    hide_with,
    item,
    legend,
    point_at,
    whisker,
)
from experiments.report.wording.looks import ModeLook

HIGH = 300
BUDGET, NOT_MET = "its budget", "refused"
# Where a mark may stand on an axis, those that are taken first before the others.
TICKS = (
    *(1, 10, 100, 1000),
    *(2, 5, 20, 50, 200, 500, 2000, 5000),
    *(0.5, 1.5, 3, 7, 15, 30, 70, 150, 300, 700),
    *(0.7, 1.2, 4, 8, 12, 25, 40, 6, 9, 14, 1.1, 1.3),
)
APART = 1 / 9  # of the axis, at least, from one mark to the next


@dataclass(frozen=True)
class Spot:
    """A point: what it took and what it cost, from the lowest to the highest."""

    x: float
    y: tuple[float, float, float]  # where it is, from, to
    about: Sequence[str]
    budget: float | None = None  # in the unit of x


@dataclass(frozen=True)
class Spots:
    """All points of one way."""

    name: str
    look: ModeLook
    spots: Sequence[Spot]


@dataclass(frozen=True)
class Curve:
    """What theory says, at places that are joined: in steps where there is nothing between them."""

    name: str
    dash: str
    x: Sequence[float]
    y: Sequence[float]
    abouts: Sequence[str]
    stepped: bool = False


@dataclass(frozen=True)
class Refused:
    """A budget that was not to be met."""

    x: float
    about: str


def prices(
    found: Sequence[Spots],
    curves: Sequence[Curve] = (),
    *,
    limits: Mapping[str, tuple[float, str]] | None = None,
    refused: Sequence[Refused] = (),
    impossible: float | None = None,
    x_title: str,
    y_title: str,
) -> figure:
    """Points by what they took and what that cost, on logarithmic scales; theory as lines.

    limits: lines upright, by name: where, and what there is to say. impossible: up to where no
    schedule whatever can do it.
    """
    chart = around(HIGH, x_title, y_title, log=True, log_y=True)
    across, up = _reach(found, curves, limits or {}, refused)
    chart.x_range = Range1d(start=across[0], end=across[1])
    chart.y_range = Range1d(start=up[0], end=up[1])
    _ticks(chart.xaxis, across)
    _ticks(chart.yaxis, up)
    if impossible is not None:
        box = BoxAnnotation(right=impossible, fill_color=GREY, fill_alpha=0.12, line_color=None)
        chart.add_layout(box)
    lines = {curve.name: _curve(chart, curve) for curve in curves}
    for name, (place, about) in (limits or {}).items():
        lines[name] = _limit(chart, name, place, about, up)
    entries = [item(name, drawn) for name, drawn in lines.items()]
    pointed: list[Glyphs] = []
    items, budgets = [], []
    for spots in found:
        budget = _budgets(chart, spots)
        drawn = _spots(chart, spots, budget)
        budgets += budget
        items.append(item(spots.name, drawn))
        pointed.append(drawn)
    if budgets:
        entries.append(_sample_of_budgets(chart, budgets))
    if refused:
        drawn = _refused(chart, refused, up)
        entries.append(item(NOT_MET, drawn))
        pointed.append(drawn)
    point_at(chart, [*pointed, *lines.values()], "@name", "@first", "@second", "@third")
    legend(chart, [*items, *entries])
    return chart


def _reach(
    found: Sequence[Spots],
    curves: Sequence[Curve],
    limits: Mapping[str, tuple[float, str]],
    refused: Sequence[Refused],
) -> tuple[tuple[float, float], tuple[float, float]]:
    """From where to where both axes go; a curve is cut off well above the highest point."""
    spots = [spot for one in found for spot in one.spots]
    xs = [
        *(spot.x for spot in spots),
        *(spot.budget for spot in spots if spot.budget),
        *(x for curve in curves for x in curve.x),
        *(place for place, _ in limits.values()),
        *(one.x for one in refused),
    ]
    highest = max((spot.y[2] for spot in spots), default=1.0)
    lowest = min((spot.y[1] for spot in spots), default=1.0)
    room = max((highest / lowest) ** 0.12, 1.08)
    return (min(xs) / 1.12, max(xs) * 1.12), (min(lowest, 1.0) / room, highest * room**2)


def _ticks(axis: Any, reach: tuple[float, float]) -> None:
    """Marks that say their numbers, not powers of ten."""
    apart = (reach[1] / reach[0]) ** APART
    few: list[float] = []
    for tick in TICKS:
        if reach[0] <= tick <= reach[1] and all(
            max(tick, other) / min(tick, other) >= apart for other in few
        ):
            few.append(tick)
    axis.ticker = FixedTicker(ticks=sorted(few))
    axis.major_label_overrides = {tick: f"{tick:g}" for tick in few}


def _source(x: Sequence[float], y: Sequence[float], name: str, about: Any) -> ColumnDataSource:
    lines = [(*said, "", "", "")[:3] for said in about]
    first, second, third = zip(*lines, strict=True) if lines else ((), (), ())
    return ColumnDataSource(
        {
            "x": list(x),
            "y": list(y),
            "name": [name] * len(lines),
            "first": list(first),
            "second": list(second),
            "third": list(third),
        }
    )


def _curve(chart: figure, curve: Curve) -> Glyphs:
    source = _source(curve.x, curve.y, curve.name, [(about,) for about in curve.abouts])
    style: dict[str, Any] = {"line_color": INK, "line_width": 2, "line_dash": curve.dash}
    joined = (
        glyphs.Step(x="x", y="y", mode="after", **style)
        if curve.stepped
        else glyphs.Line(x="x", y="y", **style)
    )
    drawn = chart.add_glyph(source, joined)
    drawn.tags = ["ink"]
    return drawn


def _limit(chart: figure, name: str, place: float, about: str, up: tuple[float, float]) -> Glyphs:
    source = _source([place], [up[0]], name, [(about,)])
    source.add([up[1]], "top")
    style = {**DASHED, "line_dash": [2, 4] if "least" in name else [6, 3]}
    drawn = chart.add_glyph(source, glyphs.Segment(x0="x", x1="x", y0="y", y1="top", **style))
    drawn.tags = ["ink"]
    return drawn


def _spots(chart: figure, spots: Spots, budgets: Sequence[Glyphs]) -> Glyphs:
    found = spots.spots
    source = _source(
        [spot.x for spot in found],
        [spot.y[0] for spot in found],
        spots.name,
        [spot.about for spot in found],
    )
    source.add([spot.x for spot in found], "value")
    source.add([spot.y[1] for spot in found], "least")
    source.add([spot.y[2] for spot in found], "most")
    colour = spots.look.colour
    mark = glyphs.Scatter(
        x="x",
        y="y",
        size=11,
        marker=value(spots.look.marker),
        fill_color=colour,
        fill_alpha=0.8,
        line_color=colour,
        line_width=1.5,
    )
    drawn = chart.add_glyph(source, mark)
    varies = any(spot.y[2] > spot.y[1] for spot in found)
    hide_with(drawn, [*budgets, *([whisker(chart, source, "height")] if varies else [])])
    return drawn


def _budgets(chart: figure, spots: Spots) -> list[Glyphs]:
    """From each peak to the budget that it was to stay within, with a bar at its end."""
    some = [spot for spot in spots.spots if spot.budget is not None]
    if not some:
        return []
    source = ColumnDataSource(
        {
            "x": [spot.x for spot in some],
            "budget": [spot.budget for spot in some],
            "y": [spot.y[0] for spot in some],
        }
    )
    colour = spots.look.colour
    way = glyphs.Segment(x0="x", x1="budget", y0="y", y1="y", line_color=colour, line_width=1.2)
    bar = glyphs.Scatter(
        x="budget", y="y", marker=value("dash"), angle=math.pi / 2, size=16, line_color=colour
    )
    return [chart.add_glyph(source, glyph) for glyph in (way, bar)]


def _sample_of_budgets(chart: figure, budgets: Sequence[Glyphs]) -> LegendItem:
    """What a budget looks like, in grey: each has the colour of its way."""
    nowhere = ColumnDataSource({"x": [NAN], "y": [NAN]})
    bar = glyphs.Scatter(
        x="x", y="y", marker=value("dash"), angle=math.pi / 2, size=14, line_color=GREY
    )
    sample = chart.add_glyph(nowhere, bar)
    hide_with(sample, budgets)
    return item(BUDGET, sample)


def _refused(chart: figure, refused: Sequence[Refused], up: tuple[float, float]) -> Glyphs:
    """A cross at the bottom for each budget that was not to be met."""
    bottom = up[0] * (up[1] / up[0]) ** 0.03
    source = _source(
        [one.x for one in refused],
        [bottom] * len(refused),
        NOT_MET,
        [(one.about,) for one in refused],
    )
    cross = glyphs.Scatter(x="x", y="y", marker=value("x"), size=11, line_color=INK, line_width=2)
    drawn = chart.add_glyph(source, cross)
    drawn.tags = ["ink"]
    return drawn

"""Charts of lines over time, with a marker for each phase that is marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.core.properties import value
from bokeh.models import BasicTicker, ColumnDataSource, glyphs
from bokeh.models.annotations import LegendItem
from bokeh.plotting import figure

from experiments.report.charts.frames import (
    GREY,
    NAN,
    Glyphs,
    around,
    fit_shown,
    hide_with,
    item,
    legend,
    point_at,
)
from experiments.report.wording.looks import PHASES, ModeLook


@dataclass(frozen=True)
class PhaseMark:
    """A phase on a line."""

    x: float
    y: float
    phase: str
    about: str


@dataclass(frozen=True)
class Line:
    """A line over time and the phases on it."""

    name: str
    look: ModeLook
    x: Sequence[float]
    y: Sequence[float]
    abouts: Sequence[str]
    marks: Sequence[PhaseMark] = ()
    limit: tuple[float, str] | None = None  # a height that the line should have reached, and why


LIMIT = "missed peak"  # what a limit is, in the legend
STAR = "asterisk"


def lines(found: Sequence[Line], *, x_title: str, y_title: str, whole: bool = False) -> figure:
    """Lines over time, with a marker for each phase that is marked."""
    chart = around(240, x_title, y_title)
    chart.xaxis.ticker = BasicTicker(min_interval=1 if whole else 0)
    fit_shown(chart, found[0].x[0], 0.06)
    items: dict[str, LegendItem] = {}
    pointed: list[Glyphs] = []
    limits: list[Glyphs] = []
    for line in sorted(found, key=lambda line: line.look.dash != "solid"):  # none hides another
        drawn = _line(chart, line, line.x, line.y, line.abouts, line.look.dash, 2.2)
        parts = [_phases(chart, line)] if line.marks else []
        limit = _limit(chart, line, line.limit) if line.limit else []
        hide_with(drawn, [*parts, *limit])
        limits += limit
        items[line.name] = item(line.name, drawn)
        pointed += [drawn, *parts, *limit]
    point_at(chart, pointed, "@name", "@about")
    entries = [items[line.name] for line in found]
    legend(chart, [*entries, *([_missed(chart, limits)] if limits else [])])
    return chart


def _line(
    chart: figure,
    line: Line,
    x: Sequence[float],
    y: Sequence[float],
    abouts: Sequence[str],
    dash: str,
    width: float,
) -> Glyphs:
    source = ColumnDataSource({"x": x, "y": y, "about": abouts, "name": [line.name] * len(x)})
    style: dict[str, Any] = {"line_dash": dash, "line_width": width}
    drawn = glyphs.Line(x="x", y="y", line_color=line.look.colour, **style)
    return chart.add_glyph(source, drawn)


def _missed(chart: figure, limits: Sequence[Glyphs]) -> LegendItem:
    """What a limit looks like, in grey: each has the colour of its mode."""
    nowhere = ColumnDataSource({"x": [NAN], "y": [NAN]})
    dots = glyphs.Line(x="x", y="y", line_color=GREY, line_dash="dotted", line_width=1.8)
    star = glyphs.Scatter(x="x", y="y", marker=value(STAR), size=11, line_color=GREY)
    samples: list[Glyphs] = [chart.add_glyph(nowhere, glyph) for glyph in (dots, star)]
    hide_with(samples[0], limits)
    return LegendItem(label=value(LIMIT), renderers=samples)


def _limit(chart: figure, line: Line, limit: tuple[float, str]) -> list[Glyphs]:
    """How high a line should have come: across all its time, since nobody knows when it was."""
    height, said = limit
    first, last = min(line.x), max(line.x)
    places = [first, (first + last) / 2, last]
    across = _line(chart, line, places, [height] * 3, [said] * 3, "dotted", 1.8)
    star = glyphs.Scatter(
        x="x", y="y", marker=value(STAR), size=11, line_color=line.look.colour, line_width=1.8
    )
    middle = ColumnDataSource(
        {"x": places[1:2], "y": [height], "about": [said], "name": [line.name]}
    )
    return [across, chart.add_glyph(middle, star)]


def _phases(chart: figure, line: Line) -> Glyphs:
    source = ColumnDataSource(
        {
            "x": [mark.x for mark in line.marks],
            "y": [mark.y for mark in line.marks],
            "marker": [PHASES[mark.phase][0] for mark in line.marks],
            "about": [mark.about for mark in line.marks],
            "name": [line.name] * len(line.marks),
        }
    )
    colour = line.look.colour
    marks = glyphs.Scatter(
        x="x", y="y", marker="marker", size=8, fill_color=colour, line_color=colour
    )
    return chart.add_glyph(source, marks)

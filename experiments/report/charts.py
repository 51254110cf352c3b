"""The charts, drawn with Bokeh. A chart shows figures that its section has worked out.

A chart has no ground of its own, and what is drawn in ink carries the tag `ink`: page.js colours it
for light, for dark and for print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bokeh.core.properties import value
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    DataRange1d,
    FixedTicker,
    HoverTool,
    NumeralTickFormatter,
    Range1d,
    glyphs,
)
from bokeh.models.annotations import Legend, LegendItem, TeeHead, Whisker
from bokeh.models.renderers import GlyphRenderer, Renderer
from bokeh.plotting import figure
from bokeh.transform import stack

from experiments.estimates import Estimate
from experiments.report.looks import PHASES, ModeLook, RoleLook
from experiments.report.words import Format, counted, range_text

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
GREY = "#8C8C8C"
INK, FAINT, PAPER = "#777777", "#B0B0B044", "#FFFFFF"  # until the page has coloured them
DASHED: dict[str, Any] = {"line_width": 2, "line_dash": [5, 3], "line_color": INK}
NAN = float("nan")
Glyphs: TypeAlias = "GlyphRenderer[Any]"
ROW_PIXELS = 26


@dataclass(frozen=True)
class Mark:
    """A figure on a row: a bar or a point, its range, and what is written about it."""

    row: str
    look: ModeLook
    value: float | None  # None: there is none, and `text` says so
    low: float
    high: float
    text: str
    about: str  # range and number of trials, for the pointer

    @classmethod
    def of(
        cls,
        row: str,
        look: ModeLook,
        found: Estimate | None,
        per: float,
        formatted: Format,
        missing: str = "",
    ) -> Mark:
        """An estimate on a row, `per` to the unit of the axis, or a word where there is none."""
        if found is None:
            return cls(row, look, None, 0.0, 0.0, missing, "")
        about = f"{range_text(found, formatted)}, {counted(found.n, 'trial')}"
        values = (found.median / per, found.low / per, found.high / per)
        return cls(row, look, *values, formatted(found.median), about)


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


@dataclass(frozen=True)
class Bands:
    """What stands on top of each other over time, each band by its name; and one place in it."""

    x: Sequence[float]
    bands: Mapping[str, Sequence[float]]
    looks: Mapping[str, RoleLook]
    marks: Sequence[PhaseMark]
    peak: tuple[float, float, str]  # x, height, and what is said of it


def bars(
    rows: Sequence[str],
    measures: Mapping[str, Sequence[Mark]],
    floors: Sequence[Mark],
    *,
    x_title: str,
    y_title: str,
) -> figure:
    """A row for each arm, on it a bar for each measure, and the floor as a line across the rows."""
    chart = _rows(rows, 16 + 15 * len(measures), x_title, y_title)
    thickness = 0.78 / len(measures)
    items, figures = [], []
    pointed: list[Glyphs] = []
    for place, (measure, marks) in enumerate(measures.items()):
        offset = (place - (len(measures) - 1) / 2) * thickness
        source = _source(marks, rows, offset, measure)
        size, fill = thickness * 0.86, _fill(place, len(measures))
        drawn = chart.add_glyph(
            source, glyphs.HBar(y="y", right="value", height=size, **fill("colour"))
        )
        # In the legend a measure is grey, as each bar has the colour of its mode.
        sample = chart.add_glyph(
            ColumnDataSource({"y": [NAN], "value": [NAN]}),
            glyphs.HBar(y="y", right="value", height=size, **fill(GREY)),
        )
        _hide_with(sample, [drawn, *_ranges(chart, marks, rows, offset)])
        items.append(_item(measure, sample))
        pointed.append(drawn)
        figures.append((sample, source))
    if floors:
        pointed.append(_floor(chart, floors, rows))
        items.append(_item("floor L*", pointed[-1]))
    for sample, source in figures:  # last, so that they stand on all the rest
        _hide_with(sample, [_figures(chart, source, 6)])
    _point_at(chart, pointed, "@row", "@measure: @text", "@about")
    _start_at_zero(chart, [m.high for marks in (*measures.values(), floors) for m in marks])
    _legend(chart, items)
    return chart


def points(
    rows: Sequence[str], marks: Mapping[str, Sequence[Mark]], *, x_title: str, y_title: str
) -> figure:
    """A point with its range on each row; each name in `marks` is a shape, and in the legend."""
    chart = _rows(rows, ROW_PIXELS, x_title, y_title)
    items, pointed = [], []
    for name, found in marks.items():
        drawn, source = _points(chart, rows, name, found, 0.0)
        _hide_with(drawn, [_figures(chart, source, 12)])
        items.append(_item(name, drawn))
        pointed.append(drawn)
    _point_at(chart, pointed, "@row", "@text", "@about")
    _start_at_zero(chart, [m.high for found in marks.values() for m in found])
    _legend(chart, items)
    return chart


def multiples(
    rows: Sequence[str],
    marks: Mapping[str, Sequence[Mark]],
    *,
    once: str,
    x_title: str,
    y_title: str,
) -> figure:
    """Several points on each row, one under the other, as multiples of a line that stands at 1."""
    chart = _rows(rows, 10 + 9 * len(marks), x_title, y_title, log=True)
    chart.xaxis.formatter = NumeralTickFormatter(format="0,0.[0]")
    ends = ColumnDataSource({"x": [1.0, 1.0], "y": [-0.5, len(rows) - 0.5]})
    line = chart.add_glyph(ends, glyphs.Line(x="x", y="y", **DASHED))
    line.tags = ["ink"]
    items, pointed = [_item(once, line)], []
    for place, (name, found) in enumerate(marks.items()):
        offset = (place - (len(marks) - 1) / 2) * 0.74 / len(marks)
        drawn, _ = _points(chart, rows, name, found, offset)
        items.append(_item(name, drawn))
        pointed.append(drawn)
    _point_at(chart, pointed, "@row", "@measure: @text", "@about")
    values = [1.0, *(m.high for found in marks.values() for m in found)]
    chart.x_range = Range1d(start=min(values) / 1.15, end=max(values) * 1.3)
    _legend(chart, items)
    return chart


def lines(found: Sequence[Line], *, x_title: str, y_title: str, whole: bool = False) -> figure:
    """Lines over time, with a marker for each phase that is marked."""
    chart = _frame(330, x_title, y_title)
    chart.xaxis.ticker = BasicTicker(min_interval=1 if whole else 0)
    # Of the lines that are not hidden, and zero.
    chart.y_range = DataRange1d(only_visible=True, range_padding=0.06)
    zero = ColumnDataSource({"x": [found[0].x[0]], "y": [0.0]})
    chart.add_glyph(zero, glyphs.Scatter(x="x", y="y", size=0, line_color=None))
    items, pointed = {}, []
    for line in sorted(found, key=lambda line: line.look.dash != "solid"):  # none hides another
        drawn = _line(chart, line, line.x, line.y, line.abouts, line.look.dash, 2.2)
        parts = [_phases(chart, line)] if line.marks else []
        if line.limit:
            height, said = line.limit
            ends = [min(line.x), max(line.x)]
            parts.append(_line(chart, line, ends, [height] * 2, [said] * 2, "dotted", 1.5))
        _hide_with(drawn, parts)
        items[line.name] = _item(line.name, drawn)
        pointed += [drawn, *parts]
    _point_at(chart, pointed, "@name", "@about")
    _legend(chart, [items[line.name] for line in found])
    return chart


def areas(found: Bands, *, unit: str, x_title: str, y_title: str) -> figure:
    """Bands on top of each other, in steps: nothing is between one event and the next."""
    chart = _frame(270, x_title, y_title)
    total = [sum(band[n] for band in found.bands.values()) for n in range(len(found.x))]
    source = ColumnDataSource({"x": found.x, "total": total, **found.bands})
    below: list[str] = []
    items = []
    for name in found.bands:
        look = found.looks[name]
        band = glyphs.VAreaStep(
            x="x",
            y1=stack(*below) if below else value(0.0),
            y2=stack(*below, name),
            step_mode="after",
            fill_color=look.colour,
            fill_alpha=0.9,
            hatch_pattern=look.hatch,
            hatch_color=INK,
            hatch_alpha=0.5,
            hatch_scale=8,
            hatch_weight=0.8,
        )
        items.append(_item(name, chart.add_glyph(source, band)))
        below.append(name)
    outline = glyphs.Step(x="x", y="total", mode="after", line_color=INK, line_width=1)
    drawn = chart.add_glyph(source, outline)
    drawn.tags = ["ink"]
    said = [(name, f"@{{{name}}}{{0.000}} {unit}") for name in reversed(below)]
    tooltips = [("event", "@x{0}"), ("alive", f"@total{{0.000}} {unit}"), *said]
    chart.add_tools(HoverTool(renderers=[drawn], tooltips=tooltips, mode="vline"))
    chart.y_range = Range1d(start=0, end=1.18 * max(total) or 1.0)
    phases = Line("", ModeLook(INK, "solid", ""), [], [], [], found.marks)
    _point_at(chart, [_phases(chart, phases)], "@about")
    _peak(chart, *found.peak)
    _legend(chart, items)
    return chart


def _peak(chart: figure, x: float, height: float, said: str) -> None:
    """The place where most is, with what is said of it above."""
    source = ColumnDataSource({"x": [x], "y": [height], "text": [said]})
    across = glyphs.Segment(x0="x", x1="x", y0=value(0.0), y1="y", **DASHED)
    chart.add_glyph(source, across).tags = ["ink"]
    words = glyphs.Text(
        x="x",
        y="y",
        text="text",
        y_offset=-5,
        text_align="center",
        text_color=INK,
        text_font=value(FONT),
        text_font_size="12px",
        background_fill_color=PAPER,
        background_fill_alpha=0.75,
    )
    chart.add_glyph(source, words).tags = ["ink"]


def _frame(height: int, x_title: str, y_title: str, *, log: bool = False) -> figure:
    """An empty chart: no ground, thin lines, titles on both axes."""
    chart = figure(
        height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_type="log" if log else "linear",
        x_axis_label=x_title,
        y_axis_label=y_title,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border_right=12,
    )
    for axis in chart.axis:
        axis.axis_line_color = None
        axis.major_tick_line_color = None
        axis.minor_tick_line_color = None
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.axis_label_text_font = axis.major_label_text_font = FONT
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
    for grid in chart.grid:
        grid.grid_line_color = FAINT
    return chart


def _rows(
    rows: Sequence[str], pixels: int, x_title: str, y_title: str, *, log: bool = False
) -> figure:
    """A frame with a row for each name, from the top down."""
    chart = _frame(84 + pixels * len(rows), x_title, y_title, log=log)
    places = range(len(rows))
    chart.y_range = Range1d(start=len(rows) - 0.45, end=-0.55)
    chart.yaxis.ticker = FixedTicker(ticks=list(places))
    chart.yaxis.major_label_overrides = dict(zip(places, rows, strict=True))
    chart.yaxis.major_label_text_font_size = "13px"
    chart.ygrid.grid_line_color = None
    return chart


def _source(
    marks: Sequence[Mark], rows: Sequence[str], offset: float, measure: str
) -> ColumnDataSource:
    return ColumnDataSource(
        {
            "y": [rows.index(m.row) + offset for m in marks],
            "row": [m.row for m in marks],
            "measure": [measure] * len(marks),
            "value": [NAN if m.value is None else m.value for m in marks],
            "low": [m.low for m in marks],
            "high": [m.high for m in marks],
            "text": [m.text for m in marks],
            "about": [m.about for m in marks],
            "colour": [m.look.colour for m in marks],
        }
    )


def _points(
    chart: figure, rows: Sequence[str], name: str, found: Sequence[Mark], offset: float
) -> tuple[Glyphs, ColumnDataSource]:
    """The points of one name, and their ranges."""
    source = _source(found, rows, offset, name)
    points = glyphs.Scatter(
        x="value",
        y="y",
        size=11,
        marker=value(found[0].look.marker),
        fill_color="colour",
        fill_alpha=0.85,
        line_color="colour",
    )
    drawn = chart.add_glyph(source, points)
    _hide_with(drawn, _ranges(chart, found, rows, offset))
    return drawn, source


def _figures(chart: figure, source: ColumnDataSource, x_offset: int) -> Glyphs:
    """Each mark's figure in words, right of it; where there is none, that it is missing."""
    words = glyphs.Text(
        x="high",
        y="y",
        text="text",
        x_offset=x_offset,
        text_baseline="middle",
        text_color=INK,
        text_font=value(FONT),
        text_font_size="11px",
        background_fill_color=PAPER,
        background_fill_alpha=0.75,
    )
    drawn = chart.add_glyph(source, words)
    drawn.tags = ["ink"]
    return drawn


def _ranges(
    chart: figure, marks: Sequence[Mark], rows: Sequence[str], offset: float
) -> list[Renderer]:
    """From the lowest to the highest of the repeats, where they are not alike."""
    wide = [m for m in marks if m.high > m.low]
    if not wide:
        return []
    head: dict[str, Any] = {"size": 7, "line_color": INK, "tags": ["ink"]}
    whisker = Whisker(
        source=_source(wide, rows, offset, ""),
        base="y",
        lower="low",
        upper="high",
        dimension="width",
        line_color=INK,
        line_width=1.5,
        lower_head=TeeHead(**head),
        upper_head=TeeHead(**head),
        tags=["ink"],
    )
    chart.add_layout(whisker)
    return [whisker]


class _fill:
    """How a bar is filled: the first measure tinted, the last solid, those between hatched."""

    def __init__(self, place: int, places: int) -> None:
        self.alpha = 1.0 if place == places - 1 else 0.38 if place == 0 else 0.12
        self.pattern = " " if place in (0, places - 1) else "/"

    def __call__(self, colour: str) -> dict[str, Any]:
        return {
            "fill_color": colour,
            "fill_alpha": self.alpha,
            "line_color": colour,
            "line_width": 1,
            "hatch_pattern": self.pattern,
            "hatch_color": colour,
            "hatch_alpha": 0.9,
            "hatch_scale": 6,
            "hatch_weight": 1.5,
        }


def _floor(chart: figure, floors: Sequence[Mark], rows: Sequence[str]) -> Glyphs:
    """The least that had to be held, across the row of each arm."""
    source = _source(floors, rows, 0.0, "floor L*")
    source.add([rows.index(m.row) - 0.5 for m in floors], "top")
    source.add([rows.index(m.row) + 0.5 for m in floors], "bottom")
    across = glyphs.Segment(x0="value", x1="value", y0="top", y1="bottom", **DASHED)
    drawn = chart.add_glyph(source, across)
    drawn.tags = ["ink"]
    return drawn


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


def _hide_with(shown: Renderer, parts: Sequence[Renderer]) -> None:
    """What the legend hides together."""
    for part in parts:
        shown.js_link("visible", part, "visible")


def _point_at(chart: figure, drawn: Sequence[Glyphs], *said: str) -> None:
    """What the pointer is told of a mark, a line for each."""
    tooltips = [("", line) for line in said]
    chart.add_tools(HoverTool(renderers=list(drawn), tooltips=tooltips, line_policy="nearest"))


def _start_at_zero(chart: figure, highest: Sequence[float]) -> None:
    """From zero to the highest; page.js adds room for its figure, as much as the window leaves."""
    most = max(highest, default=0.0) or 1.0
    chart.x_range = Range1d(start=0, end=1.25 * most, tags=["room", most])


def _item(label: str, drawn: Glyphs) -> LegendItem:
    return LegendItem(label=value(label), renderers=[drawn])


def _legend(chart: figure, items: Sequence[LegendItem]) -> None:
    """Above the chart; a click hides what it names and shows it again."""
    style: dict[str, Any] = {"padding": 0, "margin": 4, "spacing": 14, "label_standoff": 5}
    legend = Legend(
        location="top_left",
        orientation="horizontal",
        click_policy="hide",
        background_fill_color=None,
        border_line_color=None,
        label_text_color=INK,
        label_text_font=FONT,
        label_text_font_size="12px",
        glyph_width=22,
        glyph_height=16,
        inactive_fill_color=GREY,
        inactive_fill_alpha=0.25,
        **style,
    )
    legend.items = list(items)
    chart.add_layout(legend, "above")

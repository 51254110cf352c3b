"""Charts of rows: a row for each arm or each workload, and on it bars or points with ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.core.properties import value
from bokeh.models import (
    ColumnDataSource,
    FixedTicker,
    NumeralTickFormatter,
    Range1d,
    glyphs,
)
from bokeh.models.renderers import Renderer
from bokeh.plotting import figure

from experiments.estimates import Estimate
from experiments.report.charts.frames import (
    DASHED,
    FONT,
    GREY,
    INK,
    NAN,
    PAPER,
    Glyphs,
    around,
    hide_with,
    item,
    legend,
    point_at,
    start_at_zero,
    whisker,
)
from experiments.report.wording.looks import ModeLook
from experiments.report.wording.words import Format, counted, range_text

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
        hide_with(sample, [drawn, *_ranges(chart, marks, rows, offset)])
        items.append(item(measure, sample))
        pointed.append(drawn)
        figures.append((sample, source))
    if floors:
        pointed.append(_floor(chart, floors, rows))
        items.append(item("floor L*", pointed[-1]))
    for sample, source in figures:  # last, so that they stand on all the rest
        hide_with(sample, [_figures(chart, source, 6)])
    point_at(chart, pointed, "@row", "@measure: @text", "@about")
    start_at_zero(chart, [m.high for marks in (*measures.values(), floors) for m in marks])
    legend(chart, items)
    return chart


def points(
    rows: Sequence[str],
    marks: Mapping[str, Sequence[Mark]],
    *,
    x_title: str,
    y_title: str,
) -> figure:
    """A point with its range on each row; each name in `marks` is a shape, and in the legend."""
    chart = _rows(rows, ROW_PIXELS, x_title, y_title)
    items, pointed = [], []
    for name, found in marks.items():
        drawn, source = _points(chart, rows, name, found, 0.0)
        hide_with(drawn, [_figures(chart, source, 12)])
        items.append(item(name, drawn))
        pointed.append(drawn)
    point_at(chart, pointed, "@row", "@text", "@about")
    start_at_zero(chart, [m.high for found in marks.values() for m in found], before=0.03)
    legend(chart, items)
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
    items, pointed = [item(once, line)], []
    for place, (name, found) in enumerate(marks.items()):
        offset = (place - (len(marks) - 1) / 2) * 0.74 / len(marks)
        drawn, _ = _points(chart, rows, name, found, offset)
        items.append(item(name, drawn))
        pointed.append(drawn)
    point_at(chart, pointed, "@row", "@measure: @text", "@about")
    values = [1.0, *(m.high for found in marks.values() for m in found)]
    chart.x_range = Range1d(start=min(values) / 1.15, end=max(values) * 1.3)
    legend(chart, items)
    return chart


def counts(
    rows: Sequence[str],
    marks: Mapping[str, Sequence[Mark]],
    *,
    x_title: str,
    y_title: str,
) -> figure:
    """Several points on each row, one under the other, from zero on."""
    chart = _rows(rows, 12 + 7 * len(marks), x_title, y_title)
    items, pointed = [], []
    for place, (name, found) in enumerate(marks.items()):
        offset = (place - (len(marks) - 1) / 2) * 0.7 / len(marks)
        drawn, _ = _points(chart, rows, name, found, offset)
        items.append(item(name, drawn))
        pointed.append(drawn)
    point_at(chart, pointed, "@row", "@measure: @text", "@about")
    start_at_zero(chart, [m.high for found in marks.values() for m in found], before=0.03)
    legend(chart, items)
    return chart


def _rows(
    rows: Sequence[str], pixels: int, x_title: str, y_title: str, *, log: bool = False
) -> figure:
    """A frame with a row for each name, from the top down."""
    chart = around(pixels * len(rows), x_title, y_title, log=log)
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
    hide_with(drawn, _ranges(chart, found, rows, offset))
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
    return [whisker(chart, _source(wide, rows, offset, ""), "width")] if wide else []


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

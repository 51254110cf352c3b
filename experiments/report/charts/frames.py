"""What all charts have in common: the frame, the axes, the legend, and words for the pointer.

A chart has no ground of its own, and what is drawn in ink carries the tag `ink`: drawing.js colours
it for light, for dark and for print.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool, Range1d, glyphs
from bokeh.models.annotations import Legend, LegendItem, TeeHead, Whisker
from bokeh.models.renderers import GlyphRenderer, Renderer
from bokeh.plotting import figure

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
GREY = "#8C8C8C"
INK, FAINT, PAPER = "#777777", "#B0B0B044", "#FFFFFF"  # until the page has coloured them
DASHED: dict[str, Any] = {"line_width": 2, "line_dash": [5, 3], "line_color": INK}
NAN = float("nan")
Glyphs: TypeAlias = "GlyphRenderer[Any]"


def around(
    pixels: int, x_title: str, y_title: str, *, log: bool = False, log_y: bool = False
) -> figure:
    """An empty chart with so much between its axes, whatever a legend in columns takes above."""
    chart = frame(None, x_title, y_title, log=log, log_y=log_y)
    chart.frame_height = pixels
    return chart


def frame(
    height: int | None,
    x_title: str | None,
    y_title: str,
    *,
    log: bool = False,
    log_y: bool = False,
) -> figure:
    """An empty chart: no ground, thin lines, titles on both axes."""
    chart = figure(
        height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        x_axis_type="log" if log else "linear",
        y_axis_type="log" if log_y else "linear",
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


def legend(chart: figure, items: Sequence[LegendItem]) -> None:
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


def item(label: str, drawn: Glyphs) -> LegendItem:
    return LegendItem(label=value(label), renderers=[drawn])


def hide_with(shown: Renderer, parts: Sequence[Renderer]) -> None:
    """What the legend hides together."""
    for part in parts:
        shown.js_link("visible", part, "visible")


def point_at(chart: figure, drawn: Sequence[Glyphs], *said: str) -> None:
    """What the pointer is told of a mark, a line for each."""
    tooltips = [("", line) for line in said]
    chart.add_tools(HoverTool(renderers=list(drawn), tooltips=tooltips, line_policy="nearest"))


def whisker(
    chart: figure, source: ColumnDataSource, dimension: Literal["width", "height"]
) -> Whisker:
    """From `low` to `high` at each `y`; upright, from `least` to `most` at each `value`."""
    head: dict[str, Any] = {"size": 7, "line_color": INK, "tags": ["ink"]}
    across = dimension == "width"
    drawn = Whisker(
        source=source,
        base="y" if across else "value",
        lower="low" if across else "least",
        upper="high" if across else "most",
        dimension=dimension,
        line_color=INK,
        line_width=1.5,
        lower_head=TeeHead(**head),
        upper_head=TeeHead(**head),
        tags=["ink"],
    )
    chart.add_layout(drawn)
    return drawn


def fit_shown(chart: figure, x: float, padding: float) -> None:
    """Fit the upright axis to what is not hidden, and to zero, which is there when all is hidden.

    x: where there is something.
    """
    chart.y_range = DataRange1d(only_visible=True, range_padding=padding)
    zero = ColumnDataSource({"x": [x], "y": [0.0]})
    chart.add_glyph(zero, glyphs.Scatter(x="x", y="y", size=0, line_color=None))


def start_at_zero(chart: figure, highest: Sequence[float], *, before: float = 0.0) -> None:
    """From zero to the highest; drawing.js adds room for its figure, as much as the window leaves.

    before: the share of it that there is left of zero, so that a point on it is whole.
    """
    most = max(highest, default=0.0) or 1.0
    chart.x_range = Range1d(start=-before * most, end=1.25 * most, tags=["room", most])

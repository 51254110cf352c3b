"""The timelines of arrays, drawn with Bokeh: panels under each other on one time axis.

Every rectangle is a row of numbers, and what the pointer is told of an array is put together in the
browser from numbers and shared words: thousands of sentences would not fit on a page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from bokeh.core.properties import value
from bokeh.layouts import column
from bokeh.models import (
    CDSView,
    Column,
    ColumnDataSource,
    CrosshairTool,
    CustomJSHover,
    FixedTicker,
    GroupFilter,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    Range1d,
    glyphs,
)
from bokeh.models.annotations import LegendItem, Span, Title
from bokeh.models.renderers import DataRenderer, GlyphRenderer
from bokeh.plotting import figure

from experiments.report.charts.frames import DASHED, FONT, INK, NAN, PAPER, frame, legend
from experiments.report.charts.stacking import TOGETHER, Stack
from experiments.report.wording.looks import PHASES, RoleLook
from experiments.report.wording.words import byte_unit, bytes_text

PANEL_PIXELS = 104  # of a panel, without its title and its axis
TITLE_PIXELS, AROUND_PIXELS = 28, 74  # at least: above a panel; legend and axis
ROOM = 1.15  # times the highest: what is written there
LEFT_PIXELS = 68  # for labels, so that all panels begin at the same place
BORDERS = (LEFT_PIXELS, 24, 8)
TICKS = 4
DARKER = 0.86
PEAK = "★\u00a0peak"

Glyphs: TypeAlias = "GlyphRenderer[Any]"


@dataclass(frozen=True)
class Life:
    """What the pointer is told of an array; a place in time is its event, its seconds and words."""

    what: str
    held: str
    born: tuple[int, float, str]
    died: tuple[int, float, str] | None


@dataclass(frozen=True)
class Passed:
    """A phase that a trial reached."""

    event: int
    bytes: int
    phase: str


@dataclass(frozen=True)
class Panel:
    """The timeline of a trial, or of one round of it."""

    title: str
    stack: Stack
    lives: Mapping[int, Life]  # of the arrays that have a band of their own
    phases: Sequence[Passed]
    peak: Passed
    floor: float | None

    @property
    def highest(self) -> float:
        return max(self.peak.bytes, self.floor or 0, 1)

    @property
    def start(self) -> int:
        return int(self.stack.columns[0])

    @property
    def events(self) -> int:
        return int(self.stack.columns[-1]) + 1 - self.start


def timelines(
    panels: Sequence[Panel], roles: Mapping[str, RoleLook], *, x_title: str, same_scale: bool
) -> Column:
    """A panel for each timeline; a click on a role hides it in all of them.

    roles: in the order of their numbers in the stacks. same_scale: whether all panels have the
    scale of the highest, or each its own.
    """
    drawn = [number for number in range(len(roles)) if any(number in p.stack.role for p in panels)]
    quads = {number: _quad(list(roles.values())[number]) for number in drawn}
    x_range = Range1d(start=0, end=max(panel.events for panel in panels))
    highest = max(panel.highest for panel in panels)
    sources = [_rectangles(panel) for panel in panels]
    bands: dict[int, list[Glyphs]] = {number: [] for number in drawn}
    charts = []
    for place, (panel, source) in enumerate(zip(panels, sources, strict=True)):
        is_last = place == len(panels) - 1
        top = highest if same_scale else panel.highest
        chart = _panel(panel, top, x_range, x_title if is_last else "")
        for number, quad in quads.items():
            if number in panel.stack.role:
                view = CDSView(filter=GroupFilter(column_name="role", group=number))
                bands[number].append(chart.add_glyph(source, quad, view=view, name=str(place)))
            elif not place:  # the legend stands here, and shows what a role looks like
                bands[number].append(chart.add_glyph(_nothing(), quad))
        _marks(chart, panel)
        charts.append(chart)
    _tell(charts, bands, _told(panels, sources, list(roles)))
    names = list(roles)
    items = [LegendItem(label=value(names[n]), renderers=list(bands[n])) for n in reversed(drawn)]
    legend(charts[0], items)
    height = len(charts) * (PANEL_PIXELS + TITLE_PIXELS) + AROUND_PIXELS
    return column(*charts, sizing_mode="stretch_width", min_height=height, spacing=0)


def _quad(look: RoleLook) -> glyphs.Quad:
    """Rectangles of a role, in two shades, so that arrays on top of each other are told apart."""
    shades = LinearColorMapper(palette=[look.colour, _darker(look.colour)], low=0, high=1)
    return glyphs.Quad(
        left="left",
        right="right",
        bottom="bottom",
        top="top",
        fill_color={"field": "shade", "transform": shades},
        line_color={"field": "shade", "transform": shades},  # or else a gap shows between two
        line_width=0.5,
        hatch_pattern=look.hatch,
        hatch_color=INK,
        hatch_alpha=0.5,
        hatch_scale=8,
        hatch_weight=0.8,
    )


def _darker(colour: str) -> str:
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(DARKER * part):02x}" for part in parts)


def _panel(panel: Panel, top: float, x_range: Range1d, x_title: str) -> figure:
    """An empty panel; only the last says what its time is counted in."""
    per, unit = byte_unit(top)
    chart = frame(PANEL_PIXELS, x_title or None, f"alive, {unit}")
    chart.height, chart.frame_height = None, PANEL_PIXELS  # alike, whatever stands above or below
    chart.x_range, chart.y_range = x_range, Range1d(start=0, end=ROOM * top)
    chart.min_border_left, chart.min_border_right, chart.min_border_bottom = BORDERS
    ticks = [tick * per for tick in _ticks(top / per)]
    chart.yaxis.ticker = FixedTicker(ticks=ticks)
    chart.yaxis.major_label_overrides = {tick: f"{tick / per:g}" for tick in ticks}
    chart.xaxis.formatter = NumeralTickFormatter(format="0,0")
    chart.xaxis.visible = bool(x_title)
    title: dict[str, Any] = {
        "text_font_size": "13px",
        "text_font_style": "normal",
        "offset": 8 - LEFT_PIXELS,
    }
    chart.title = Title(text=panel.title, text_color=INK, text_font=FONT, tags=["ink"], **title)
    return chart


def _ticks(top: float) -> list[float]:
    """Round numbers from zero up to the top."""
    step = next(
        step * 10.0**power
        for power in range(-3, 4)
        for step in (1, 2, 5)
        if top / (step * 10.0**power) <= TICKS
    )
    return [step * n for n in range(int(top / step) + 1)]


def _rectangles(panel: Panel) -> ColumnDataSource:
    """The rectangles of a panel, in the fewest bytes; `n` numbers the arrays from 0 on."""
    stack = panel.stack
    numbers = np.searchsorted(stack.apart, stack.array)
    is_apart = stack.array != TOGETHER
    return ColumnDataSource(
        {
            "left": _packed(stack.left - panel.start),
            "right": _packed(stack.right - panel.start),
            "bottom": _packed(stack.bottom),
            "top": _packed(stack.top),
            "n": _packed(np.where(is_apart, numbers, TOGETHER)),
            "role": _packed(stack.role),
            "shade": _packed(np.where(is_apart, _shades(stack)[numbers], 0)),
        }
    )


def _nothing() -> ColumnDataSource:
    """A rectangle that is nowhere."""
    return ColumnDataSource({name: [NAN] for name in ("left", "right", "bottom", "top", "shade")})


def _shades(stack: Stack) -> npt.NDArray[np.int64]:
    """0 and 1 by turns for the arrays of each role that have a band of their own."""
    roles = dict(zip(stack.array.tolist(), stack.role.tolist(), strict=True))
    seen: Counter[int] = Counter()
    shades = []
    for array in stack.apart.tolist():
        shades.append(seen[roles[array]] % 2)
        seen[roles[array]] += 1
    return np.array([*shades, 0], np.int64)


def _packed(numbers: npt.ArrayLike) -> npt.NDArray[Any]:
    """Whole numbers in the smallest type that holds them and that a browser knows."""
    found = np.asarray(numbers)
    low, high = (int(found.min()), int(found.max())) if found.size else (0, 0)
    for kind in (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return found.astype(kind)
    return found.astype(np.float64)


def _marks(chart: figure, panel: Panel) -> None:
    """The floor, the peak and the phases."""
    end = panel.events
    if panel.floor is not None:
        source = ColumnDataSource({"x": [end], "y": [panel.floor], "text": [floor_text(panel)]})
        across = glyphs.Segment(x0=value(0), x1="x", y0="y", y1="y", **DASHED)
        chart.add_glyph(source, across).tags = ["ink"]
        words = glyphs.Text(
            x="x",
            y="y",
            text="text",
            y_offset=-2,
            text_align="right",
            text_color=INK,
            text_font=value(FONT),
            text_font_size="11px",
            background_fill_color=PAPER,
            background_fill_alpha=0.7,
        )
        chart.add_glyph(source, words).tags = ["ink"]
    about = [f"{PHASES[p.phase][2]}: {bytes_text(p.bytes)} alive" for p in panel.phases]
    phases = ColumnDataSource(
        {
            "x": [p.event - panel.start for p in panel.phases] + [panel.peak.event - panel.start],
            "y": [p.bytes for p in panel.phases] + [panel.peak.bytes],
            "marker": [PHASES[p.phase][0] for p in panel.phases] + ["star"],
            "about": [*about, f"peak: {bytes_text(panel.peak.bytes)} alive"],
        }
    )
    signs = glyphs.Scatter(x="x", y="y", marker="marker", size=7, fill_color=PAPER, line_color=INK)
    drawn = chart.add_glyph(phases, signs)
    drawn.tags = ["ink"]
    chart.add_tools(HoverTool(renderers=[drawn], tooltips=[("", "@about")]))


def floor_text(panel: Panel) -> str:
    return f"floor L* {bytes_text(panel.floor)}" if panel.floor is not None else ""


# What the pointer is told -------------------------------------------------------------------------


def _tell(
    charts: Sequence[figure], bands: Mapping[int, Sequence[Glyphs]], told: CustomJSHover
) -> None:
    """Let the pointer ask in every panel, and show in all of them where it is."""
    across = Span(dimension="height", line_width=1, line_dash="dotted", line_color=INK)
    for chart in charts:
        mine: list[DataRenderer] = [
            r for drawn in bands.values() for r in drawn if r in chart.renderers and r.name
        ]
        chart.add_tools(
            HoverTool(renderers=mine, tooltips=TOOLTIP, formatters={"@n": told}),
            CrosshairTool(overlay=across),
        )


TOOLTIP = """<div style="max-width: 22rem">
<b>@n{what}</b><div>@n{size}</div><div>@n{born}</div><div>@n{died}</div><div>@n{held}</div>
</div>"""


def _told(
    panels: Sequence[Panel], sources: Sequence[ColumnDataSource], roles: list[str]
) -> CustomJSHover:
    """The words for every rectangle, by the numbers of its panel, of its own and of its array."""
    words: dict[str, int] = {}
    arrays = [_columns([p.lives[int(n)] for n in p.stack.apart], words) for p in panels]
    return CustomJSHover(
        args={"panels": list(sources), "arrays": arrays, "roles": roles, "words": list(words)},
        code=TOLD,
    )


def _columns(lives: Sequence[Life], words: dict[str, int]) -> dict[str, npt.NDArray[Any]]:
    """The lives of some arrays as numbers; words are numbers in one list."""

    def numbered(texts: Sequence[str]) -> npt.NDArray[Any]:
        return _packed([words.setdefault(text, len(words)) for text in texts])

    ends = [life.died or (-1, 0.0, "") for life in lives]
    return {
        "what": numbered([life.what for life in lives]),
        "held": numbered([life.held for life in lives]),
        "born": _packed([life.born[0] for life in lives]),
        "after": np.array([life.born[1] for life in lives], np.float32),
        "come": numbered([life.born[2] for life in lives]),
        "died": _packed([end[0] for end in ends]),
        "until": np.array([end[1] for end in ends], np.float32),
        "gone": numbered([end[2] for end in ends]),
    }


TOLD = """
const number = Number(special_vars.name), i = special_vars.index;
const {n, role, bottom, top} = panels[number].data, lives = arrays[number], k = n[i];
const rounded = (x) => (x >= 100 ? x.toFixed(0) : x.toPrecision(3));
const at = (event, seconds, words) => {
  const ms = seconds * 1000;
  const time = ms >= 1000 ? rounded(seconds) + " s" : rounded(ms) + " ms";
  return `${words}, event ${event}, about ${time}`;
};
switch (format) {
  case "what":
    return k < 0 ? `${roles[role[i]]}, drawn together` : words[lives.what[k]];
  case "size": {
    let size = top[i] - bottom[i], unit = 0;
    while (size >= 1000 && unit < 3) { size /= 1024; unit++; }
    const said = (unit ? rounded(size) : size) + " " + ["B", "KiB", "MiB", "GiB"][unit];
    return k < 0 ? `${said} of arrays too small or too short to draw apart` : said;
  }
  case "born":
    return k < 0 ? "" : "born " + at(lives.born[k], lives.after[k], words[lives.come[k]]);
  case "died":
    if (k < 0) return "";
    if (lives.died[k] < 0) return "still alive at the end";
    return "died " + at(lives.died[k], lives.until[k], words[lives.gone[k]]);
  default:
    return k < 0 ? "" : words[lives.held[k]];
}
"""

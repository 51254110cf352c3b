"""Lines of memory over time, mode beside mode, with the phases on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bokeh.plotting import figure

from experiments.estimates import Arm, arm, towering
from experiments.report.blocks import Chart, Columns, Section, Table, Text
from experiments.report.charts import LIMIT, Line, PhaseMark, lines
from experiments.report.wording.looks import PHASES, in_order, mode_look
from experiments.report.wording.words import NBSP, byte_unit, bytes_text, collector_text, listed
from experiments.trial import Collector, Record

POINTS = 600  # to a line: as many as a screen can show
ENDS = ("built", "dropped", "collected")


@dataclass(frozen=True)
class Trace:
    """One trial's memory over time, in bytes, and the phases on the way."""

    x: Sequence[float]
    y: Sequence[float]
    phases: Sequence[tuple[float, float, str]]  # x, y, phase
    limit: tuple[float, str] | None = None  # a height that it should have reached, and why

    @property
    def height(self) -> float:
        """The highest that is drawn of it."""
        return max([*self.y, self.limit[0] if self.limit else 0.0])

    def marked(self, most: int) -> Sequence[tuple[float, float, str]]:
        """The phases that are marked on it: only the ends where all would be more than `most`."""
        few = len(self.phases) <= most
        return [phase for phase in self.phases if few or phase[2] in ENDS]


@dataclass(frozen=True)
class Axis:
    """What the time of a trace is counted in."""

    says: Callable[[float], str]
    scaled: Callable[[float], tuple[float, str]]  # the longest -> how to draw it, and the title
    named: str  # as a column of figures
    marked: int  # so many phases can be told apart on a line
    whole: bool = False  # whether there is nothing between 1 and 2


def first_traces(
    records: Sequence[Record], instrument: str, detail: str, read: Callable[[Record], Trace]
) -> dict[Arm, Trace]:
    """The first trial of each arm that ended well and has the detail."""
    first: dict[Arm, Trace] = {}
    for r in records:
        known = r.outcome == "ok" and r.trial.instrument == instrument and r.details.get(detail)
        if known and arm(r) not in first:
            first[arm(r)] = read(r)
    return {a: first[a] for a in in_order(first)}


def nothing(title: str, instrument: str) -> Section:
    """The section where there is no trace."""
    words = f"Not measured: this run has no `{instrument}` trial of it that ended well."
    return Section(title, [Text(words, "note")])


def by_collector(traces: Mapping[Arm, Trace]) -> dict[Collector, dict[Arm, Trace]]:
    """A chart for each setting of the collector: more lines than modes cannot be told apart."""
    groups: dict[Collector, dict[Arm, Trace]] = {}
    for a, trace in traces.items():
        groups.setdefault(a.collector, {})[a] = trace
    return groups


def charts_of(title: str, traces: Mapping[Arm, Trace], axis: Axis, table: Table) -> list[Chart]:
    """The traces of one setting of the collector; the lower ones closer, where some tower."""
    setting = collector_text(next(iter(traces)).collector)
    key = _key(list(traces.values()), axis)
    tall = towering({a: trace.height for a, trace in traces.items()})
    whole = Chart(
        title=f"{title}, {setting}",
        says=f"{setting.capitalize()}; the first trial of each mode. {key}".rstrip(),
        draw=lambda: _draw(traces, axis),
        table=None if tall else table,
        data=lambda: _data(traces, axis),
        a_key=True,
    )
    if not tall:
        return [whole]
    others = {a: trace for a, trace in traces.items() if a not in tall}
    names = listed(f"`{a.mode}`" for a in in_order(tall))
    closer = Chart(
        title=f"{title}, {setting}, the lower modes",
        says=f"Closer: the same without {names}, on a scale of its own.",
        draw=lambda: _draw(others, axis),
        table=table,
        data=lambda: _data(others, axis),
        a_key=True,
    )
    return [whole, closer]


def _data(traces: Mapping[Arm, Trace], axis: Axis) -> Columns:
    """Every point of every line, as it was read."""
    points = [
        (a.mode, at, held) for a, t in traces.items() for at, held in zip(t.x, t.y, strict=True)
    ]
    modes, times, live = zip(*points, strict=True)
    return {"mode": modes, axis.named: times, "memory above the start, bytes": live}


def _key(traces: Sequence[Trace], axis: Axis) -> str:
    """What the markers mean."""
    marked = {phase for trace in traces for _, _, phase in trace.marked(axis.marked)}
    signs = [f"{sign}{NBSP}{said}" for p, (_, sign, said) in PHASES.items() if p in marked]
    if any(trace.limit for trace in traces):
        signs.append(f"✱{NBSP}{LIMIT}, which no sample saw, on a dotted line as high as it was")
    return f"Marked: {', '.join(signs)}." if signs else ""


def _draw(traces: Mapping[Arm, Trace], axis: Axis) -> figure:
    per, unit = byte_unit(max(trace.height for trace in traces.values()))
    stretch, x_title = axis.scaled(max(trace.x[-1] for trace in traces.values()))

    def said(at: float, held: float) -> str:
        return f"{axis.says(at)}: {bytes_text(held)}"

    def line(a: Arm, trace: Trace) -> Line:
        x, y = thinned(trace.x, trace.y)
        return Line(
            name=a.mode,
            look=mode_look(a.mode),
            x=[at * stretch for at in x],
            y=[held / per for held in y],
            abouts=[said(at, held) for at, held in zip(x, y, strict=True)],
            marks=[
                PhaseMark(at * stretch, held / per, phase, f"{PHASES[phase][2]}, {said(at, held)}")
                for at, held, phase in trace.marked(axis.marked)
            ],
            limit=(trace.limit[0] / per, trace.limit[1]) if trace.limit else None,
        )

    return lines(
        [line(a, trace) for a, trace in traces.items()],
        x_title=x_title,
        y_title=f"memory above the start, {unit}",
        whole=axis.whole,
    )


def thinned(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most `POINTS` points of a line: the lowest and highest of each stretch, and both ends."""
    if len(x) <= POINTS:
        return list(x), list(y)
    stretch = -(-2 * len(x) // (POINTS - 2))
    kept = {0, len(x) - 1}
    for start in range(0, len(x), stretch):
        places = range(start, min(start + stretch, len(x)))
        kept |= {min(places, key=y.__getitem__), max(places, key=y.__getitem__)}
    return [x[n] for n in sorted(kept)], [y[n] for n in sorted(kept)]

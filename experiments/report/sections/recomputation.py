"""Memory against recomputation: what was measured, beside the best that theory allows."""

from __future__ import annotations

from collections.abc import Sequence

from bokeh.plotting import figure

from experiments.estimates import Estimate
from experiments.recomputation import COMPUTED, PLAIN, Graph, Point, graphs
from experiments.report.blocks import Block, Chart, Columns, Origin, Section, Table, Text
from experiments.report.charts.prices import Curve, Refused, Spot, Spots, prices
from experiments.report.wording.accuracy import UNCALIBRATED, Calibrations, error_text
from experiments.report.wording.looks import OTHERS, WAYS, WAYS_SAID, WORKLOADS
from experiments.report.wording.recomputing import (
    against_theory,
    amount_text,
    budgets_kept,
    names_of,
    same_gradients,
)
from experiments.report.wording.words import (
    MIB,
    NONE,
    bytes_text,
    count_text,
    counted,
    parameters_text,
    seconds_text,
    times_text,
)
from experiments.trial import Record

TITLE = "Memory against recomputation"
LEAD = (
    "What is not kept is computed again when backward comes to it. Further left needs less memory, "
    "further up more evaluations; under the line of the optimum is only what packs arrays. All "
    "scales are logarithmic."
)
INSTRUMENTS = ("arrays", "evaluations", "traced", "clock")


def recomputation(
    records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED
) -> Section | None:
    """A chart for each graph of a sweep, and a table of its points; None where there is none."""
    found = graphs(records)
    if not found:
        return None
    names = names_of(found)
    within = [_section(graph, names[graph.subject], calibrations) for graph in found]
    lead = f"{LEAD} {budgets_kept(found)} {same_gradients(found)}"
    return Section(TITLE, within, lead=lead, listed=True)


def _section(graph: Graph, name: str, calibrations: Calibrations) -> Section:
    table = _table(graph, name)
    ways = dict.fromkeys(point.way for point in graph.points)
    blocks: list[Block] = []
    if _spots(graph, "evaluations"):
        blocks.append(
            Chart(
                title=f"Evaluations and memory, {name}",
                says=f"{_says(graph)} {_how_sure(calibrations)}",
                draw=lambda: _draw(graph, "evaluations"),
                table=table,
                data=lambda: _data(graph),
            )
        )
    else:
        blocks += [Text("Not measured: this needs trials of `arrays` and `evaluations`.", "note")]
        blocks += [table]
    if _spots(graph, "time"):
        blocks.append(
            Chart(
                title=f"Time and memory, {name}",
                says=_says_of_time(graph),
                draw=lambda: _draw(graph, "time"),
                data=lambda: _data(graph),
            )
        )
    parameters = parameters_text(graph.subject)
    key = "; ".join(f"`{way}`: {WAYS_SAID[way]}" for way in ways if way in WAYS_SAID)
    lead = f"{WORKLOADS.get(graph.subject.workload, '')} Here with {parameters}. {key}."
    return Section(name, blocks, lead=lead.strip())


def _says(graph: Graph) -> str:
    """What there is to see: how near to the optimum, and what no schedule can do."""
    said = [budgets_kept([graph])]
    if graph.theory:
        said.append(f"{against_theory([graph])} {graph.theory.says}".strip())
        least = amount_text(graph.theory.least, graph.array_bytes)
        said.append(f"With less than {least} none can do it: the grey part.")
    else:
        said.append("What the best would be is not known for this graph.")
    if any(point.way not in COMPUTED for point in graph.points):
        said.append("Of packers, which hold more than arrays, the peak of all is drawn.")
    return " ".join(said)


def _how_sure(calibrations: Calibrations) -> str:
    errors = {
        "peak of arrays": ("arrays", "peak_array_bytes"),
        "evaluations": ("evaluations", "evaluations_count"),
    }
    said = (f"{what}, {error_text(calibrations, *which)}" for what, which in errors.items())
    return f"Instrument error: {'; '.join(said)}."


def _says_of_time(graph: Graph) -> str:
    plain = graph.plain
    assert plain is not None and plain.seconds is not None
    once = f"1 is {seconds_text(plain.seconds.median)}, with nothing computed again"
    return f"The same, by the time that it takes: {once}. Bars go from the lowest to the highest."


# Drawing ------------------------------------------------------------------------------------------


def _draw(graph: Graph, measure: str) -> figure:
    unit = graph.array_bytes or MIB
    theory = graph.theory if measure == "evaluations" else None
    limits = {}
    if graph.floor:
        about = f"{amount_text(graph.floor, graph.array_bytes)} with nothing computed again"
        limits["floor L*"] = (graph.floor / unit, about)
    if theory:
        about = f"{amount_text(theory.least, graph.array_bytes)}, at any cost"
        limits["least of all"] = (theory.least / unit, about)
    refused = [
        Refused(point.budget / unit, _refusal(graph, point))
        for point in graph.points
        if point.refused and point.budget
    ]
    evaluated = "forward evaluations, times as many"
    return prices(
        _spots(graph, measure),
        _curves(graph) if theory else [],
        limits=limits,
        refused=refused,
        impossible=theory.least / unit if theory else None,
        x_title="peak, in arrays" if graph.array_bytes else "peak of arrays, MiB",
        y_title=evaluated if measure == "evaluations" else "elapsed time, times as long",
    )


def _refusal(graph: Graph, point: Point) -> str:
    """`budget: 3 arrays; 4 arrays would do, as far as it knew`."""
    said = f"{point.way}: {_asked(graph, point)}"
    if point.needed is None:
        return said
    return f"{said}; it knew of {amount_text(point.needed, graph.array_bytes)} that would do"


def _spots(graph: Graph, measure: str) -> list[Spots]:
    """The points that have a peak and a price, by their way."""
    unit = graph.array_bytes or MIB
    by_way: dict[str, list[Spot]] = {}
    for point in graph.points:
        price = _price(graph, point, measure)
        if price and point.took:
            spot = Spot(
                point.took.median / unit,
                (price.median, price.low, price.high),
                _about(graph, point),
                None if point.budget is None else point.budget / unit,
            )
            by_way.setdefault(point.way, []).append(spot)
    return [Spots(way, WAYS.get(way, OTHERS[0]), spots) for way, spots in by_way.items()]


def _price(graph: Graph, point: Point, measure: str) -> Estimate | None:
    if measure == "time":
        return graph.times_as_long(point)
    times = graph.times_evaluated(point)
    return None if times is None else Estimate(times, times, times, 1)


def _about(graph: Graph, point: Point) -> list[str]:
    """For the pointer: what was asked and what it took, evaluations, time."""
    assert point.took is not None
    peak = f"peak {amount_text(point.took.median, graph.array_bytes)}"
    asked = _asked(graph, point)
    evaluated, best = graph.evaluations(point), graph.optimum(point)
    many = "" if evaluated is None else counted(int(evaluated), "evaluation")
    optimum = f", the optimum {count_text(best)}" if many and best is not None else ""
    longer = graph.times_as_long(point)
    time = f"{times_text(longer.median)} the time" if longer else ""
    return [f"{asked}, {peak}" if asked != NONE else peak, many + optimum, time]


def _curves(graph: Graph) -> list[Curve]:
    """The best at every peak, and what segments of one length come to."""
    assert graph.theory is not None
    best, cut = graph.theory.optimal(), graph.theory.segmented()
    curves = [_curve(graph, "optimum", "solid", best)]
    if cut:
        abouts = [f"{counted(segments, 'segment')}: " for segments, _, _ in cut]
        curves.append(_curve(graph, "uniform segments", "dotted", [c[1:] for c in cut], abouts))
    return curves


def _curve(
    graph: Graph,
    name: str,
    dash: str,
    found: Sequence[tuple[int, int]],
    abouts: Sequence[str] = (),
) -> Curve:
    """Peaks in bytes and evaluations, as the chart has them."""
    assert graph.theory is not None
    unit, whole = graph.array_bytes or MIB, graph.theory.operations
    said = [
        f"{amount_text(peak, graph.array_bytes)}, {counted(n, 'evaluation')}" for peak, n in found
    ]
    return Curve(
        name,
        dash,
        [peak / unit for peak, _ in found],
        [n / whole for _, n in found],
        [about + words for about, words in zip(abouts or [""] * len(said), said, strict=True)],
        stepped=True,
    )


# The table ----------------------------------------------------------------------------------------


def _asked(graph: Graph, point: Point) -> str:
    if point.budget is not None:
        return amount_text(point.budget, graph.array_bytes)
    return NONE if point.segments is None else counted(point.segments, "segment")


def _table(graph: Graph, name: str) -> Table:
    rows = [[point.way, _asked(graph, point), *_cells(graph, point)] for point in graph.points]
    columns = [
        "Bought by",
        "Asked for",
        "Peak of arrays",
        "Within",
        "Evaluations",
        "Fewest possible",
        "More",
        "Gradients",
        "Elapsed time",
        "Held",
        "Peak of all",
    ]
    caption = f"{name}: what was asked for, what it took and what it cost"
    origins = [Origin(point.subject) for point in graph.points]
    return Table(caption, columns, rows, 2, origins=origins, data=lambda: _data(graph))


def _cells(graph: Graph, point: Point) -> list[str]:
    if point.refused:
        best = graph.optimum(point)
        return ["refused", *[NONE] * 2, NONE if best is None else count_text(best), *[NONE] * 5]
    evaluated, best = graph.evaluations(point), graph.optimum(point)
    more = NONE if evaluated is None or best is None else count_text(evaluated - best)
    return [
        amount_text(point.peak.median, graph.array_bytes) if point.peak else NONE,
        {None: NONE, True: "yes", False: "**no**"}[point.within],
        NONE if evaluated is None else count_text(evaluated),
        NONE if best is None else count_text(best),
        more,
        _gradients(graph, point),
        seconds_text(point.seconds.median) if point.seconds else NONE,
        amount_text(point.held.median, graph.array_bytes) if point.held else NONE,
        bytes_text(point.requested.median) if point.requested else NONE,
    ]


def _gradients(graph: Graph, point: Point) -> str:
    """Whether they are those of no purchase, by their sums."""
    off = graph.off(point)
    if point.way == PLAIN or off is None:
        return NONE
    return "the same" if off == 0 else f"sum {off:.1e} off"


def _data(graph: Graph) -> Columns:
    """Every point with its figures, in bytes, counts and seconds."""

    def median(found: Estimate | None) -> float | None:
        return found.median if found else None

    points = graph.points
    return {
        "bought by": [point.way for point in points],
        "segments": [point.segments for point in points],
        "budget, bytes": [point.budget for point in points],
        "refused": ["yes" if point.refused else "no" for point in points],
        "known to do, bytes": [point.needed for point in points],
        "peak of arrays, bytes": [median(point.peak) for point in points],
        "peak of all, bytes": [median(point.requested) for point in points],
        "arrays held after forward, bytes": [median(point.held) for point in points],
        "evaluations": [graph.evaluations(point) for point in points],
        "fewest possible evaluations": [graph.optimum(point) for point in points],
        "elapsed, seconds": [median(point.seconds) for point in points],
        "elapsed lowest, seconds": [point.seconds and point.seconds.low for point in points],
        "elapsed highest, seconds": [point.seconds and point.seconds.high for point in points],
        "gradients off, share of their sum": [graph.off(point) for point in points],
    }

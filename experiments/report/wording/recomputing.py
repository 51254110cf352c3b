"""What holding less costs, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from experiments.estimates import Subject
from experiments.recomputation import PLAIN, Graph, Point, graphs
from experiments.report.wording.words import (
    between_text,
    bytes_text,
    count_text,
    counted,
    listed,
    share_text,
    subject_names,
    times_text,
)
from experiments.trial import Record

QUESTION = "What does it cost to hold less of a graph than its gradients need?"


def names_of(found: Sequence[Graph]) -> dict[Subject, str]:
    """A name for each graph: its workload, and whatever tells it from its namesakes."""
    return subject_names([graph.subject for graph in found])


def amount_text(amount: float, array_bytes: int | None) -> str:
    """Bytes, or arrays where all are alike: `21 arrays`."""
    if array_bytes is None:
        return bytes_text(amount)
    arrays = round(amount / array_bytes, 2)
    return f"{count_text(arrays)} {'array' if arrays == 1 else 'arrays'}"


def budgets_kept(found: Sequence[Graph]) -> str:
    """How many budgets were kept, how many refused, how many overstepped and by how much."""
    given = [point for graph in found for point in graph.points if point.budget is not None]
    if not given:
        return "Whether budgets are kept cannot be told: none was given."
    refused = sum(point.refused for point in given)
    known = [point for point in given if point.within is not None]
    broken = [point for point in known if not point.within]
    if not broken and len(known) == len(given):
        return f"Every budget was kept: {_every(len(given), 'peak')} stayed within."
    said = [f"{count_text(len(known) - len(broken))} kept"]
    if refused:
        said.append(f"{count_text(refused)} refused as too small")
    if broken:
        said.append(f"{count_text(len(broken))} overstepped, by {_beyond(broken)} at most")
    if unknown := len(given) - refused - len(known):
        said.append(f"{count_text(unknown)} not measured")
    return f"Of {counted(len(given), 'budget')}: {listed(said)}."


def _beyond(broken: Sequence[Point]) -> str:
    most = max(p.peak.high / p.budget - 1 for p in broken if p.peak and p.budget)
    return share_text(float(f"{most:.2g}"))


def against_theory(found: Sequence[Graph]) -> str:
    """How many times the least number of evaluations each way needed, where that is known."""
    over: dict[str, list[float]] = {}
    for graph in found:
        for point in graph.points:
            best, evaluated = graph.optimum(point), graph.evaluations(point)
            if best and evaluated is not None and point.again:
                over.setdefault(point.way, []).append(evaluated / best)
    if not over:
        return "How near it comes to the optimum cannot be told: none is known here."
    said = [_over(way, times) for way, times in over.items()]
    return f"Of the fewest evaluations that theory allows within the same memory, {listed(said)}."


def _over(way: str, times: Sequence[float]) -> str:
    if set(times) == {1.0}:
        return f"`{way}` needed exactly as many at {_every(len(times), 'point')}"
    exact = sum(one == 1.0 for one in times)
    most = f" ({count_text(exact)} of {count_text(len(times))} exactly)" if exact else ""
    return f"`{way}` needed {between_text(times, times_text)}{most}"


def _every(n: int, what: str) -> str:
    return f"the one {what}" if n == 1 else f"all {count_text(n)} {what}s"


def halved(found: Sequence[Graph]) -> str:
    """The cheapest way that was measured to half the peak, on each graph."""
    said, names = [], names_of(found)
    for graph in found:
        if cheapest := _cheapest(graph, 0.5):
            point, evaluated = cheapest
            time = graph.times_as_long(point)
            longer = f" and {times_text(time.median)} the time" if time else ""
            many = f"{times_text(evaluated)} the evaluations{longer}"
            said.append(f"on `{names[graph.subject]}` {many} (`{point.way}`)")
    if not said:
        return "What half of the peak costs cannot be told: no point came so low."
    return f"Half of the peak, at most, cost {'; '.join(said)}."


def _cheapest(graph: Graph, share: float) -> tuple[Point, float] | None:
    """The point of fewest evaluations among those that compute again and peak as low."""
    plain = graph.plain
    if plain is None or plain.peak is None:
        return None
    low = [
        (evaluated, point)
        for point in graph.points
        if point.way != PLAIN
        and point.again
        and point.peak
        and point.peak.median <= share * plain.peak.median
        and (evaluated := graph.times_evaluated(point)) is not None
    ]
    if not low:
        return None
    evaluated, point = min(low, key=lambda one: one[0])
    return point, evaluated


def same_gradients(found: Iterable[Graph]) -> str:
    """Whether all points computed the same, and how far those lie off that did not."""
    every = [
        (point, off)
        for graph in found
        for point in graph.points
        if point.way != PLAIN and (off := graph.off(point)) is not None
    ]
    if not every:
        return "Whether all of them compute the same cannot be told."
    apart: dict[str, float] = {}
    for point, off in every:
        if off:
            apart[point.way] = max(off, apart.get(point.way, 0.0))
    if not apart:
        return f"All {count_text(len(every))} gave the same gradients to the last bit."
    said = listed(f"`{way}` (sums up to {off:.1e} off)" for way, off in apart.items())
    return f"All gave the same gradients to the last bit, but for {said}."


def kept(records: Sequence[Record]) -> str:
    return budgets_kept(graphs(records))


def optimal(records: Sequence[Record]) -> str:
    return against_theory(graphs(records))


def half(records: Sequence[Record]) -> str:
    return halved(graphs(records))


SENTENCES = (kept, optimal, half)

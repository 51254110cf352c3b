"""What is alive at each moment that a workload names, round by round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from experiments.estimates import Arm, by_arm, estimate, subject
from experiments.report.blocks import Origin, Section, Table
from experiments.report.charts.traces import (
    Axis,
    Trace,
    by_collector,
    charts_of,
    first_traces,
    nothing,
)
from experiments.report.wording.accuracy import COLUMN, UNCALIBRATED, Calibrations, error_text
from experiments.report.wording.words import NONE, bytes_text, count_text
from experiments.trial import Record

TITLE = "Live memory, round by round"
WITHIN_ROUND = {
    "forward": 1 / 3,
    "backward": 2 / 3,
    "step": 1.0,
    "dropped": 1 / 3,
    "collected": 2 / 3,
}


def moments(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """The bytes that stand at each moment: what climbs from round to round stays."""
    traces = first_traces(records, "traced", "steps", _read)
    if not traces:
        return nothing(TITLE, "traced")
    charts = [
        chart
        for group in by_collector(traces).values()
        for chart in charts_of(TITLE, group, ROUNDS, _table(records, group, calibrations))
    ]
    return Section(
        TITLE, charts, lead="A line that climbs from round to round is memory that stays."
    )


def _read(record: Record) -> Trace:
    """Each moment at its place in its round, so that modes line up that name fewer of them."""
    phases, rounds = [], 0
    for phase, live in _phases(record):
        phases.append((rounds + WITHIN_ROUND.get(phase, 0.0), live, phase))
        rounds += phase == "step"
    return Trace([x for x, _, _ in phases], [y for _, y, _ in phases], phases)


def _phases(record: Record) -> Iterator[tuple[str, float]]:
    """The phases in their order, and the bytes that were alive then."""
    yield "built", record.readings.get("built_bytes", 0.0)
    for step in record.details["steps"]:
        yield step["phase"], step["live_bytes"]
    yield "dropped", record.readings["left_bytes"]
    if "left_after_collection_bytes" in record.readings:
        yield "collected", record.readings["left_after_collection_bytes"]


def _round_text(at: float) -> str:
    return f"round {count_text(max(1, -(-at // 1)))}"


ROUNDS = Axis(
    says=_round_text,
    scaled=lambda longest: (1.0, "rounds"),
    named="rounds",
    marked=40,
    whole=True,
)


def _table(
    records: Sequence[Record], traces: Mapping[Arm, Trace], calibrations: Calibrations
) -> Table:
    """The first and the last round, and the ends: by these it can be seen whether it climbs."""
    rows = []
    for a, trace in traces.items():
        live: dict[str, list[float]] = {}
        for _, held, phase in trace.phases:
            live.setdefault(phase, []).append(held)
        rounds = live.get("step", [])
        shown = [rounds[:1], rounds[-1:], live.get("dropped", []), live.get("collected", [])]
        cells = [bytes_text(found[0]) if found else NONE for found in shown]
        error = error_text(calibrations, "traced", "left_bytes")
        rows.append([a.mode, count_text(len(rounds)), *cells, error, *_over_trials(records, a)])
    columns = [
        "Mode",
        "Rounds",
        "After the first",
        "After the last",
        "Last reference dropped",
        "Collected",
        COLUMN,
        "Largest range at any moment",
        "Trials",
    ]
    caption = "Live memory in the first and the last round of the first trial"
    origins = [Origin(subject(records[0]), a, "traced") for a in traces]
    return Table(caption, columns, rows, folded=True, origins=origins)


def _over_trials(records: Sequence[Record], a: Arm) -> list[str]:
    """How far the trials of an arm lie apart, where they do so most, and how many there are."""
    trials = [
        [live for _, live in _phases(r)]
        for r in by_arm(records)[a]
        if r.outcome == "ok" and r.trial.instrument == "traced" and r.details.get("steps")
    ]
    if len(trials) == 1:
        return ["one trial", count_text(1)]
    largest = max(estimate(live).spread for live in zip(*trials, strict=False))
    return [bytes_text(largest) if largest else "all equal", count_text(len(trials))]

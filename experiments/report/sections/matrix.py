"""Python beside Python: the figures of every environment that a folder has records of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.plotting import figure

from experiments.calibration import calibrated
from experiments.environment import IDENTITY
from experiments.estimates import Arm, Estimate, Subject, by_subject, of_reading
from experiments.report.blocks import Block, Chart, Section, Table, Text
from experiments.report.charts import Mark, bars
from experiments.report.sections.calibration import ordinary
from experiments.report.wording.accuracy import NOT_CALIBRATED, Calibrations, error_text
from experiments.report.wording.looks import in_order, mode_look
from experiments.report.wording.words import (
    NONE,
    byte_unit,
    bytes_text,
    count_text,
    counted,
    format_of,
    listed,
    range_text,
    subject_names,
    value_text,
)
from experiments.trial import Collector, Record

TITLE = "Python beside Python"


@dataclass(frozen=True)
class Place:
    """An environment, what it is called beside the others, and what was found in it."""

    name: str
    environment: Mapping[str, Any]
    records: Sequence[Record]  # without those of known truths
    calibrations: Calibrations


# The columns of a workload's table: the instrument that reads it, the reading, and the collector's
# state in which it is taken.
FIGURES: Mapping[str, tuple[str, str, Collector]] = {
    "Peak, collector off": ("traced", "peak_bytes", "off"),
    "Peak, collector on": ("traced", "peak_bytes", "on"),
    "Left behind": ("traced", "left_bytes", "off"),
    "Cycles": ("cycles", "cycle_count", "off"),
    "Runs of the collector": ("collector", "collector_runs_count", "on"),
    "Its pauses": ("collector", "collector_pause_seconds", "on"),
    "Time": ("clock", "wall_seconds", "on"),
}
PEAKS = ("Peak, collector off", "Peak, collector on")


def shown(environments: Sequence[Sequence[Record]]) -> Sequence[Record]:
    """The environment that all other sections show: the last of those in which most ended well."""
    if not environments:
        return []
    return max(reversed(environments), key=lambda records: sum(r.outcome == "ok" for r in records))


def matrix(environments: Sequence[Sequence[Record]]) -> Section:
    """What each mode holds in each environment, workload by workload.

    environments: the records of each.
    """
    places = named(environments)
    whole = shown(environments)[0].environment
    here = next(p.name for p in places if p.environment is whole)
    about: list[Block] = [
        Text(
            f"This folder holds records of {counted(len(places), 'environment')}: "
            f"{listed(p.name for p in places)}. All other sections show {here}, the last "
            "of those in which most trials ended well.",
            "note",
        ),
        _environments(places),
        *_errors(places),
    ]
    together = [record for place in places for record in place.records]
    names = subject_names(list(by_subject(together)))
    of_workloads = [Section(names[s], _workload(s, places)) for s in names]
    return Section(TITLE, [Section("Which they are", about), *of_workloads], listed=True)


def named(environments: Sequence[Sequence[Record]]) -> list[Place]:
    """The environments, each with the fewest words that tell it from the others."""
    where = [records[0].environment for records in environments]
    varying = [n for n in IDENTITY if len({value_text(e.get(n)) for e in where}) > 1]
    telling = ["python"]
    for name in varying:
        if len({_called(e, telling) for e in where}) == len(where):
            break
        if name not in telling:
            telling.append(name)
    order = sorted(range(len(where)), key=lambda n: _version(where[n].get("python")))
    return [
        Place(
            _called(where[n], telling),
            where[n],
            ordinary(environments[n]),
            calibrated(environments[n]),
        )
        for n in order
    ]


def _called(environment: Mapping[str, Any], telling: Sequence[str]) -> str:
    words = {"python": "Python", "numpy": "NumPy"}
    parts = (f"{words.get(n, n.replace('_', ' '))} {_value(environment, n)}" for n in telling)
    return ", ".join(parts)


def _value(environment: Mapping[str, Any], name: str) -> str:
    return value_text(environment.get(name))


def _version(text: object) -> list[int]:
    """A version's numbers, for their order."""
    return [int(part) for part in str(text).split(".") if part.isdigit()]


def _environments(places: Sequence[Place]) -> Table:
    """What the environments differ in, and how the collector is set in each."""
    varying = [
        n
        for n in IDENTITY
        if n not in ("python", "numpy", "gc_thresholds", "script", "pins")
        and len({_value(p.environment, n) for p in places}) > 1
    ]
    names = ["python", "numpy", "gc_thresholds", *varying]
    titles = {
        "python": "Python",
        "numpy": "NumPy",
        "gc_thresholds": "Collector thresholds",
        "blas": "BLAS",
        "libc": "C library",
        "cpu": "Processor",
    }
    rows = [
        [*(_value(p.environment, n) for n in names), count_text(len(p.records)), _failed(p)]
        for p in places
    ]
    columns = [titles.get(n, n.replace("_", " ").capitalize()) for n in names]
    return Table(
        "The environments, and what differs between them",
        [*columns, "Trials", "Not ended well"],
        rows,
        2,
        prose=tuple(columns[2:]),
    )


def _failed(place: Place) -> str:
    return count_text(sum(r.outcome != "ok" for r in place.records))


def _errors(places: Sequence[Place]) -> list[Table]:
    """How far each figure is to be trusted in each environment; none where none was calibrated."""
    rows = [
        [p.name, *(error_text(p.calibrations, *FIGURES[title][:2]) for title in FIGURES)]
        for p in places
    ]
    if all(cell == NOT_CALIBRATED for row in rows for cell in row[1:]):
        return []
    return [Table("The instruments' error in each of them", ["Where", *FIGURES], rows)]


# A workload ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A mode in an environment, and its figures by the titles of their columns."""

    mode: str
    place: str
    numpy: str
    figures: Mapping[str, Estimate]

    @property
    def name(self) -> str:
        return f"{self.mode}, {self.place}"


def _workload(subject: Subject, places: Sequence[Place]) -> list[Block]:
    rows = rows_of(subject, places)
    table = _table(rows)
    if not any(title in row.figures for row in rows for title in PEAKS):
        return [table]
    phases = max((e.n for r in rows if (e := r.figures.get(PEAKS[1]))), default=0)
    met = f" With it on, {counted(phases, 'trial')} met it in as many phases." if phases else ""
    return [
        Chart(
            title="Peaks, mode by mode and Python by Python",
            says=f"Peaks with the collector off and on: median, lowest and highest.{met}",
            draw=lambda: _draw(rows),
            table=table,
        )
    ]


def rows_of(subject: Subject, places: Sequence[Place]) -> list[Row]:
    """Every mode in every environment, the environments of a mode beside each other."""
    found = [(place, by_subject(place.records).get(subject, [])) for place in places]
    modes = in_order(Arm(r.trial.mode) for _, records in found for r in records)
    return [
        Row(arm.mode, place.name, _value(place.environment, "numpy"), _figures(records, arm.mode))
        for arm in modes
        for place, records in found
        if any(r.trial.mode == arm.mode for r in records)
    ]


def _figures(records: Sequence[Record], mode: str) -> dict[str, Estimate]:
    figures = {}
    for title, (instrument, reading, collector) in FIGURES.items():
        found = of_reading([r for r in records if r.trial.instrument == instrument], reading)
        by_state = {a.collector: e for a, e in found.items() if a.mode == mode}
        if estimate := by_state.get(collector):
            figures[title] = estimate
    return figures


def _table(rows: Sequence[Row]) -> Table:
    titles = [title for title in FIGURES if any(title in row.figures for row in rows)]
    cells = [
        [row.mode, row.place, row.numpy, *(_cell(row, title) for title in titles)] for row in rows
    ]
    columns = ["Mode", "Where", "NumPy", *titles]
    return Table("The same figures, in every environment", columns, cells, 3)


def _cell(row: Row, title: str) -> str:
    """A median, with its range where the trials were not all equal."""
    found = row.figures.get(title)
    if found is None:
        return NONE
    _, reading, _ = FIGURES[title]
    formatted = format_of(reading)
    span = f" ({range_text(found, formatted)})" if found.spread else ""
    return formatted(found.median) + span


def _draw(rows: Sequence[Row]) -> figure:
    drawn = [row.figures[title] for row in rows for title in PEAKS if title in row.figures]
    per, unit = byte_unit(max(e.high for e in drawn))
    titles = [title for title in PEAKS if any(title in row.figures for row in rows)]

    def mark(row: Row, title: str) -> Mark:
        look = mode_look(row.mode)
        return Mark.of(row.name, look, row.figures.get(title), per, bytes_text, "not measured")

    return bars(
        [row.name for row in rows],
        {title.lower(): [mark(row, title) for row in rows] for title in titles},
        [],
        x_title=f"peak above the start, {unit}",
        y_title="memory mode, Python",
    )

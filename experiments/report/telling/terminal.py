"""What a run says in the terminal when it ends."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from experiments.calibration import calibrated
from experiments.estimates import Arm, arm, by_subject, of_reading, over_floor
from experiments.recomputation import is_point
from experiments.report.reading import in_reading_order
from experiments.report.sections.calibration import COLUMNS as TRUST
from experiments.report.sections.calibration import (
    STAMP,
    absences,
    doubts,
    failures,
    in_words,
    ordinary,
    rows,
)
from experiments.report.sections.results import equal_in_words
from experiments.report.sections.script import of_script
from experiments.report.telling.copying import unmarked
from experiments.report.wording.accuracy import Calibrations
from experiments.report.wording.answers import answers
from experiments.report.wording.looks import in_order
from experiments.report.wording.phases import phases
from experiments.report.wording.times import beside_default
from experiments.report.wording.words import (
    NO_RECORDS,
    NONE,
    bytes_text,
    count_text,
    format_of,
    share_collector,
    subject_names,
    tally,
    times_text,
)
from experiments.trial import Record

TRUST_IN_WORDS = {"Instrument": 10, "Reads": 10, "Bound": 8, "Verdict": 12}  # and how wide at least
COLUMNS = {
    "peak_bytes": "peak",
    "live_after_backward_bytes": "live",
    "left_bytes": "left",
    "cycle_count": "cycles",
    "wall_seconds": "time",
}


def summary(records: Sequence[Record]) -> RenderableType:
    """A line for each workload and mode, what a sweep found, then how the trials ended."""
    ordered = in_reading_order(ordinary(records))
    calibrations = calibrated(records)
    if not ordered:
        return Text(NO_RECORDS.replace("`", ""))
    failed = any(r.outcome != "ok" for r in ordered)
    others = [r for r in ordered if not is_point(r)]
    bought = answers([r for r in ordered if is_point(r)])
    return Group(
        *([_table(others)] if others else []),
        *_over_phases(others),
        *(Text(unmarked(said), style="bold") for answer in bought for said in answer.sentences),
        Text(tally(ordered), style="yellow" if failed else "green"),
        *([Text(unmarked(equal))] if (equal := equal_in_words(ordered)) else []),
        *(Text(unmarked(said)) for said in beside_default(others, calibrations)),
        *(Text(unmarked(said), style="bold") for said in of_script(ordered)),
        *_doubts(calibrations),
    )


def _doubts(calibrations: Calibrations) -> list[Text]:
    """Which instruments are not to be trusted."""
    return [Text(unmarked(said), style="red") for said in doubts(calibrations, list(calibrations))]


def trust(records: Sequence[Record]) -> RenderableType:
    """How far each instrument is to be trusted, by its readings of known truths."""
    calibrations = calibrated(records)
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for name in TRUST:
        if name in TRUST_IN_WORDS:
            table.add_column(name.lower(), min_width=TRUST_IN_WORDS[name])
        else:
            table.add_column(name.lower().removeprefix("worst "), justify="right", no_wrap=True)
    for row in rows(calibrations):
        table.add_row(*map(unmarked, row), style="red" if STAMP in row[-1] else None)
    wrong, absent = failures(calibrations), absences(calibrations)
    return Group(
        table,
        *(Text(unmarked(said)) for said in in_words(calibrations)),
        *(Text(unmarked(said), style="yellow") for said in absent),
        *(Text(unmarked(said), style="red") for said in wrong),
    )


def _table(records: Sequence[Record]) -> Table:
    groups = by_subject(records)
    names = subject_names(list(groups))
    floors = {s: over for s, group in groups.items() if (over := over_floor(group))}
    several = any(not share_collector(_rows(group)) for group in groups.values())
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for title in ("workload", "mode", *(["collector"] if several else [])):
        table.add_column(title, no_wrap=True)
    read = [r for r in COLUMNS if any(r in record.readings for record in records)]
    for title in (*(COLUMNS[r] for r in read), *(["/ floor"] if floors else [])):
        table.add_column(title, justify="right", no_wrap=True)
    for s, group in groups.items():
        for n, a in enumerate(_rows(group)):
            cells = [_figure(group, reading, a) for reading in read]
            if floors:
                cells.append(times_text(floors[s][a].median) if a in floors.get(s, {}) else NONE)
            setting = [a.collector] if several else []
            table.add_row("" if n else names[s], a.mode, *setting, *cells)
        table.add_section()
    return table


def _over_phases(records: Sequence[Record]) -> list[Table]:
    """How high memory rose with the collector on, whose coming is a matter of chance."""
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    for title in ("collector on: peak of", "mode"):
        table.add_column(title, no_wrap=True)
    for title in ("lowest", "median", "highest", "phases"):
        table.add_column(title, justify="right", no_wrap=True)
    groups = by_subject(records)
    names = subject_names(list(groups))
    for s, group in groups.items():
        peaks = of_reading(group, "peak_bytes")
        for a in in_order(a for a in peaks if a.collector == "on"):
            figures = (peaks[a].low, peaks[a].median, peaks[a].high)
            met = count_text(phases(group, a, "traced"))
            table.add_row(names[s], a.mode, *map(bytes_text, figures), met)
    return [table] if table.rows else []


def _rows(records: Sequence[Record]) -> list[Arm]:
    """The arms of the instrument that the peaks come from, or all where it was not used."""
    traced = [arm(r) for r in records if r.trial.instrument == "traced"]
    return in_order(traced or [arm(r) for r in records])


def _figure(records: Sequence[Record], reading: str, where: Arm) -> str:
    """A figure of the arm; where another instrument had one setting of the collector, of that."""
    found = of_reading(records, reading)
    same_mode = [e for a, e in found.items() if a.mode == where.mode]
    figure = found.get(where) or (same_mode[0] if len(same_mode) == 1 else None)
    return format_of(reading)(figure.median) if figure else NONE

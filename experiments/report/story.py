"""What the report of a run tells, whoever draws it: a page, a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.calibration import calibrated
from experiments.report.blocks import Section
from experiments.report.reading import by_environment, numbered
from experiments.report.sections.calibration import calibration, doubts, ordinary
from experiments.report.sections.matrix import matrix, shown
from experiments.report.sections.order import sections
from experiments.report.sections.records import Numbered
from experiments.report.sections.records import records as lines_of
from experiments.report.wording.answers import Answer, answers
from experiments.trial import Record


@dataclass(frozen=True)
class Story:
    """Questions and answers first, then the sections."""

    asked: Sequence[Answer]
    sections: Sequence[Section]
    records: Sequence[Record]  # that are told of, without those of known truths
    doubted: Sequence[str] = ()  # of which instruments the figures are in doubt, in sentences


def story(folder: Path, workload: str | None = None) -> Story:
    """What is told of the folder's records; of several environments one is told whole.

    workload: the only one that is told of; None for all.

    Raises FileNotFoundError where the folder holds no run, RecordError, naming file, line and
    field, where a line of its records is none, and ValueError where none is of the workload.
    """
    every = numbered(folder)
    found = every if workload is None else _of(workload, every)
    environments = by_environment([record for _, record in found])
    everything = shown(environments)
    calibrations = calibrated(everything)
    records = ordinary(everything)
    everywhere = [record for here in environments for record in ordinary(here)]
    told = sections(records, calibrations) if records else []
    if calibrations and not records:
        told = [calibration(calibrations, [])]
    if len(environments) > 1:
        told = [matrix(environments), *told]
    if everything:
        mine = {id(record) for record in everything}
        told = [*told, lines_of([line for line in found if id(line[1]) in mine])]
    return Story(
        answers(records, everywhere, calibrations),
        told,
        records,
        doubts(calibrations, list(calibrations)) if records else [],
    )


def _of(workload: str, found: Numbered) -> Numbered:
    """The records of a workload, and those of known truths."""
    there = {record.trial.workload for record in ordinary(record for _, record in found)}
    if workload not in there:
        names = ", ".join(sorted(there)) or "none"
        raise ValueError(f"workload: {workload!r} is none of this run; it has {names}")
    apart = there - {workload}
    return [line for line in found if line[1].trial.workload not in apart]

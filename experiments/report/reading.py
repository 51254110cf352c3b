"""A run's records, from its folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from experiments.environment import identity
from experiments.report.wording.looks import MODES, WORKLOADS
from experiments.trial import Record, RecordError

RECORDS = "records.jsonl"


def read(folder: Path) -> list[Record]:
    """The run's records in the report's order, of all its environments.

    Raises what `numbered` does.
    """
    return [record for _, record in numbered(folder)]


def numbered(folder: Path) -> list[tuple[int, Record]]:
    """The run's records in the report's order, each with the number of its line in the file.

    Of a trial that ran twice in one environment it is the later one. Raises FileNotFoundError
    where the folder holds no run, and RecordError, naming file, line and field, where a line is no
    record.
    """
    path = folder / RECORDS
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: there is no such file; name the folder of a run, which holds one"
        )
    latest = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = Record.from_line(line)
            except RecordError as error:
                raise RecordError(
                    f"{path}, line {number}: {error}. Take the line out to report the other trials."
                ) from None
            latest[record.trial.key, _environment(record)] = number, record
    return sorted(latest.values(), key=lambda found: _place(found[1]))


def by_environment(records: Sequence[Record]) -> list[list[Record]]:
    """The records of each environment, in the order in which those appear.

    A script's digest tells no two of them apart: a folder holds one version of a script.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(_environment(record), []).append(record)
    return list(groups.values())


def _environment(record: Record) -> str:
    return json.dumps({**identity(record.environment), "script": None}, sort_keys=True)


def in_reading_order(records: Iterable[Record]) -> list[Record]:
    """Records by workload, mode and repeat, however they were run."""
    return sorted(records, key=_place)


def _place(record: Record) -> tuple[object, ...]:
    trial = record.trial
    workloads, modes = list(WORKLOADS), list(MODES)
    return (
        workloads.index(trial.workload) if trial.workload in workloads else len(workloads),
        trial.workload,
        [(name, str(type(value)), value) for name, value in sorted(trial.parameters.items())],
        modes.index(trial.mode) if trial.mode in modes else len(modes),
        trial.mode,
        trial.instrument,
        trial.collector,
        trial.seed,
        trial.repeat,
    )

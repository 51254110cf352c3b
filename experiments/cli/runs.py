"""Which folder a run is in that was named on the command line."""

from __future__ import annotations

from pathlib import Path

from experiments import runner
from experiments.cli.choices import choices
from experiments.cli.endings import REPORTS, UsageError


def folder_of(run: str) -> Path:
    """The folder of a run, given by itself or as a name under reports/."""
    records = runner.RECORDS
    folders = [folder for folder in (Path(run), REPORTS / run) if (folder / records).is_file()]
    if not folders:
        there = sorted(path.parent.name for path in REPORTS.glob(f"*/{records}"))
        raise UsageError(f"{run!r} is no run: it has no {records}. {choices('run', there, run)}")
    return folders[0]

"""`experiments report`: build the report of a run again."""

from __future__ import annotations

from pathlib import Path

from experiments import report, runner
from experiments.cli.choices import choices
from experiments.cli.endings import OK, REPORTS, UsageError


def report_(run: str, /) -> int:
    """Build the report of a run again, from its records alone.

    Parameters
    ----------
    run
        The folder of the run, or its name under reports/.
    """
    records = runner.RECORDS
    folders = [folder for folder in (Path(run), REPORTS / run) if (folder / records).is_file()]
    if not folders:
        there = sorted(path.parent.name for path in REPORTS.glob(f"*/{records}"))
        raise UsageError(f"{run!r} is no run: it has no {records}. {choices('run', there, run)}")
    print(report.write(folders[0]))
    return OK

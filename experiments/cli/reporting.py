"""`experiments report`: build the report of a run again."""

from __future__ import annotations

from experiments import report
from experiments.cli.endings import OK, UsageError
from experiments.cli.runs import folder_of


def report_(run: str, /) -> int:
    """Build the report of a run again, from its records alone.

    Parameters
    ----------
    run
        The folder of the run, or its name under reports/.
    """
    folder = folder_of(run)
    try:
        print(report.write(folder))
    except OSError as error:
        raise UsageError(
            f"The report of {folder} could not be written: {error}. What was there is as it was."
        ) from None
    return OK

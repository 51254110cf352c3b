"""`experiments report`: build the report of a run again."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from experiments import report
from experiments.cli.endings import OK, UsageError
from experiments.cli.runs import folder_of


def report_(
    run: str,
    /,
    *,
    text: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    open_: Annotated[bool, Parameter(name=["--open"], negative="", show_default=False)] = False,
) -> int:
    """Build the report of a run again, from its records alone.

    Parameters
    ----------
    run
        The folder of the run, or its name under reports/.
    text
        Print the report as text instead, and write nothing.
    open_
        Open the page in a browser.
    """
    folder = folder_of(run)
    if text:
        console = Console(highlight=False)
        for told in report.text(folder):
            console.print(told)
        return OK
    page = _written(folder)
    print(page)
    if open_:
        webbrowser.open(page.resolve().as_uri())
    return OK


def _written(folder: Path) -> Path:
    try:
        return report.write(folder)
    except OSError as error:
        raise UsageError(
            f"The report of {folder} could not be written: {error}. What was there is as it was."
        ) from None

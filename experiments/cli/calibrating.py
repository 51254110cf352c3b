"""`experiments calibrate`: set the instruments beside known truths."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from experiments import report
from experiments.calibration import calibrated
from experiments.cli.choices import all_named
from experiments.cli.endings import OK, REPORTS, SOME_FAILED
from experiments.cli.running import Conditions, measure, ready
from experiments.instruments import INSTRUMENTS
from experiments.trial import Record
from experiments.truths import calibration_trials

WIDTH = 160  # characters of a line that no terminal breaks

HELP = (
    "For example:\n\n"
    "  experiments calibrate                      every instrument: half a minute\n"
    "  experiments calibrate -i traced --quick    one of them, with fewer truths\n\n"
    "Exit code: 0 all within their bounds; 1 some not, the table says which;\n"
    "2 the command was not understood; 130 broken off.\n"
)


def calibrate(
    *,
    instrument: Annotated[
        list[str] | None, Parameter(name=["--instrument", "-i"], negative="")
    ] = None,
    quick: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
) -> int:
    """Set the instruments beside known truths: how far is each to be trusted, here and now?

    `experiments run` does the same for the instruments that it uses, before anything else.

    Parameters
    ----------
    instrument
        What to calibrate; give it several times for several instruments.
    quick
        Fewer truths, though every bound is put to the test.
    output
        The folder of the run; one that holds a run broken off goes on with it.
    """
    instruments = all_named("instrument", INSTRUMENTS, instrument or INSTRUMENTS)
    trials = calibration_trials(instruments, quick=quick)
    folder = output or REPORTS / f"calibration-{datetime.now():%Y-%m-%d-%H%M%S}"
    ready(folder, trials)
    records = measure(trials, folder, Conditions(timeout=120.0))
    page = report.write(folder)
    _show(records)
    print(page)
    failed = any(found.failures for found in calibrated(records).values())
    return SOME_FAILED if failed else OK


def _show(records: Sequence[Record]) -> None:
    """The table and its sentences; in a pipe or a file each row of it on one line."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    console.print(report.trust(records))

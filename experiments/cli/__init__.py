"""The command `experiments`: list what there is, run studies, report, calibrate and compare."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from cyclopts import App, CycloptsError, CycloptsPanel
from rich.console import Console

from experiments.cli import benching, calibrating, comparing, graphing, running
from experiments.cli.endings import OK, USAGE, BrokenOff, UsageError
from experiments.cli.listing import list_
from experiments.cli.reporting import report_
from experiments.studies import Study
from experiments.trial import RecordError

app = App(
    name="experiments",
    help="What does a graph keep alive, until when, and what does it cost to keep less?\n\n"
    "Workloads run under every memory mode, each trial in a process of its own, and a report shows "
    "what was measured.",
    help_epilogue="Begin with:\n\n"
    "  experiments run --quick      a first look: two or three minutes\n"
    "  experiments list             what there is to choose from\n"
    "  experiments run --help       how to choose\n"
    "  experiments compare A B      did anything get worse from one run to another?\n"
    "  experiments graph WORKLOAD   who holds whom, as a picture\n"
    "  experiments bench --alone    how fast is the engine, beside NumPy by hand?\n",
    help_format="plaintext",
    version_flags=[],
)
app.command(list_, name="list")
app.command(running.run, help_epilogue=running.HELP)
app.command(report_, name="report")
app.command(comparing.compare_, name="compare", help_epilogue=comparing.HELP)
app.command(graphing.graph_, name="graph", help_epilogue=graphing.HELP)
app.command(calibrating.calibrate, help_epilogue=calibrating.HELP)
app.command(benching.bench, help_epilogue=benching.HELP)


def run_as_script(study: Study) -> None:
    """Run a study whose file was started by itself, with the options of `experiments run`."""
    sys.exit(main(["run", study.name, *sys.argv[1:]]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; gives the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    complaints = Console(stderr=True, highlight=False)
    try:
        return app(given, result_action="return_value", exit_on_error=False) or OK
    except CycloptsError:  # which it has shown by itself
        return USAGE
    except (UsageError, RecordError) as error:
        complaints.print(CycloptsPanel(error))
        return USAGE
    except BrokenOff as stop:
        resume = given if _has_output(given) else [*given, "--output", str(stop.folder)]
        complaints.print(f"{stop} To go on:", style="bold", markup=False)
        complaints.print(f"  {shlex.join([*_command(), *resume])}", markup=False, soft_wrap=True)
        return stop.code


def _has_output(arguments: Iterable[str]) -> bool:
    return any(re.match(r"--output\b|-o", argument) for argument in arguments)


def _command() -> list[str]:
    """How this program was called, as one would type it here."""
    program = Path(sys.argv[0])
    if program.suffix == ".py":
        return [_typed(Path(sys.executable)), "-m", "experiments"]
    return [_typed(program)]


def _typed(program: Path) -> str:
    """The shortest name that starts a program from here."""
    if program.is_relative_to(Path.cwd()):
        return os.path.relpath(program)
    return program.name if shutil.which(program.name) == str(program) else str(program)

"""`experiments bench`: the engine beside NumPy by hand, and beside its peers."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Annotated

from cyclopts import Parameter, validators
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.bench import running, table
from experiments.bench.engines import FLOOR, OURS, PEERS, installed
from experiments.bench.measuring import Job, Measurement
from experiments.bench.problems import PROBLEMS
from experiments.cli.choices import all_named
from experiments.cli.endings import INTERRUPTED, OK, SOME_FAILED, UsageError
from experiments.cli.progress import say
from experiments.environment import of_process, of_project

ROUNDS, QUICK_ROUNDS = 5, 2
MEASUREMENTS = "bench.jsonl"
WIDTH = 200  # characters of a line that no terminal breaks
PATIENCE = 2.0  # seconds before anything is said of how far it is, where no bar is drawn
BETWEEN = 15.0  # and from then on between two lines

_LINE = 78  # characters, so that no terminal breaks it
_PROBLEMS = [
    fill(problem.says, _LINE, initial_indent=f"  {name:<16} ", subsequent_indent=" " * 19)
    for name, problem in PROBLEMS.items()
]

HELP = (
    "Problems:\n\n"
    + "\n".join(_PROBLEMS)
    + """

For example:

  experiments bench                          everything: half an hour or more
  experiments bench --quick                  a first look: some minutes
  experiments bench --alone                  without peers
  experiments bench chain wide --peer torch  two problems, one peer
  experiments bench -o reports/bench         keep every measurement
  experiments bench --json bench.json        the figures for a program

pip install '.[peers]' brings autograd, mygrad and torch (where torch would
bring a graphics processor's libraries, install its plain build first); pip
install dezero brings the rest. With pip install memray, peaks of torch are
measured, too, whose arrays tracemalloc does not see.

Every measurement has a process of its own, and begins by comparing the
gradients of that engine with those by hand. Instructions are counted where
valgrind is installed. The last table has the figures that say most: what each
is to be, what it is, and what the best peer has.

Exit code: 0 this project's engine did everything; 1 it did not, the lines
below the tables say what; 2 the command was not understood; 130 broken off,
with tables of what there is.
"""
)


def bench(
    *problem: str,
    peer: Annotated[list[str] | None, Parameter(name=["--peer", "-p"], negative="")] = None,
    alone: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    rounds: Annotated[int | None, Parameter(validator=validators.Number(gt=0))] = None,
    quick: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    timeout: Annotated[float, Parameter(validator=validators.Number(gt=0))] = running.TIMEOUT,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json_: Annotated[Path | None, Parameter(name=["--json"])] = None,
) -> int:
    """Measure the engine beside NumPy by hand, and beside the peers that are installed.

    Parameters
    ----------
    problem
        What to compute; without any, all of them.
    peer
        Another engine; give it several times for several. Without it, all that are installed.
    alone
        No peers: this engine and the floor.
    rounds
        How often each time is taken; 5 if not given, 2 with --quick.
    quick
        Two rounds, smaller sizes, and no counting of instructions.
    timeout
        Seconds after which a measurement is ended.
    output
        A folder to keep every measurement in as it comes: bench.jsonl, a line of JSON for each.
    json_
        A file for the figures, and all that they are made of.
    """
    problems = all_named("problem", PROBLEMS, problem or PROBLEMS)
    peers = _peers(peer, alone)
    absent = {} if alone or peer else {p: _how_to_get(p) for p in PEERS if not installed(p)}
    jobs = running.planned(
        problems,
        [FLOOR, OURS, *peers],
        rounds or (QUICK_ROUNDS if quick else ROUNDS),
        quick=quick,
    )
    kept = _new_file(output)
    _ready("--json", json_)
    measurements, broken_off = _measured(jobs, timeout, kept)
    _show(measurements, absent)
    if json_:
        where = {**of_process(), **of_project()}
        found = table.as_json(measurements, absent, where)
        json_.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if broken_off:
        return INTERRUPTED
    failed = any(m.job.engine in (FLOOR, OURS) and m.outcome != "ok" for m in measurements)
    return SOME_FAILED if failed else OK


def _peers(asked: list[str] | None, alone: bool) -> list[str]:
    """Those to measure. Raises UsageError where one was asked for that is not there."""
    if alone and asked:
        raise UsageError("--alone is without peers, and --peer names one: give one of the two.")
    if alone:
        return []
    named = all_named("peer", PEERS, asked or ())
    for peer in named:
        if not installed(peer):
            raise UsageError(f"--peer {peer}: {_how_to_get(peer)}")
    return named or [peer for peer in PEERS if installed(peer)]


def _how_to_get(peer: str) -> str:
    return f"not installed here; pip install {peer} brings it."


def _new_file(folder: Path | None) -> Path | None:
    """The file for measurements in a folder. Raises UsageError where it cannot be begun."""
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MEASUREMENTS).open("x").close()
    except FileExistsError:
        raise UsageError(
            f"--output: {folder / MEASUREMENTS} is there already, and measurements of two runs "
            "are no repeats of each other. Give another folder."
        ) from None
    except OSError as error:
        raise UsageError(
            f"--output: nothing can be written to {folder}: {error.strerror}."
        ) from None
    return folder / MEASUREMENTS


def _ready(option: str, file: Path | None) -> None:
    """See to it that a file can be written in the end: not after half an hour."""
    if file is None:
        return
    try:
        file.open("a").close()
    except OSError as error:
        raise UsageError(f"{option}: {file} cannot be written: {error.strerror}.") from None


def _measured(
    jobs: Sequence[Job], timeout: float, kept: Path | None
) -> tuple[list[Measurement], bool]:
    """Do the jobs, showing how far they are; and whether they were broken off."""
    measurements: list[Measurement] = []
    with _HowFar(jobs) as how_far:
        try:
            for measurement in running.done(jobs, timeout, how_far.start):
                measurements.append(measurement)
                if kept:
                    with kept.open("a", encoding="utf-8") as file:
                        file.write(measurement.to_line())
        except KeyboardInterrupt:
            say(f"Broken off after {len(measurements)} of {len(jobs)} measurements.")
            return measurements, True
    return measurements, False


class _HowFar:
    """On stderr: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=len(jobs))
        self._said = time.monotonic() + PATIENCE - BETWEEN

    def __enter__(self) -> _HowFar:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def start(self, job: Job) -> None:
        done = self._jobs.index(job)
        text = f"{job.problem}, {PROBLEMS[job.problem].label(job.size)}, {job.kind}: {job.engine}"
        self._bar.update(self._task, completed=done, description=f"{text:<46}")
        if self._bar.disable and time.monotonic() - self._said > BETWEEN:
            self._said = time.monotonic()
            say(f"{done} of {len(self._jobs)} measurements: {text}, round {job.round + 1}")


def _show(measurements: Sequence[Measurement], absent: dict[str, str]) -> None:
    """The tables; in a pipe or a file each row of them on one line."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH, soft_wrap=True)
    console.print(table.shown(measurements, console.width))
    if running.valgrind() is None:
        console.print("Instructions are not counted: valgrind is not installed here.")
    for peer, why in absent.items():
        console.print(f"{peer}: {why}", markup=False)

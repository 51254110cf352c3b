"""The command `experiments`: list what there is, run a study, build its report again."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, CycloptsPanel, Parameter, validators
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from autodiff import MODES
from experiments import report, runner
from experiments.instruments import INSTRUMENTS
from experiments.studies import DEFAULT_STUDY, Study, studies
from experiments.trial import Collector, Record, RecordError, Trial, Value
from experiments.workloads import WORKLOADS

REPORTS = Path("reports")
LINES = 20  # of progress, where there is no terminal to draw a bar on
TRIAL_WIDTH = 46  # so that the bar does not jump from one trial to the next

OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class UsageError(Exception):
    """What the caller asked for cannot be done; says what can."""


class BrokenOff(Exception):
    """The run has stopped before its end; its folder holds what it had finished."""

    def __init__(self, why: str, folder: Path, code: int) -> None:
        super().__init__(why)
        self.folder = folder
        self.code = code


app = App(
    name="experiments",
    help="What does a graph keep alive, until when, and what does it cost to keep less?\n\n"
    "Workloads run under every memory mode, each trial in a process of its own, and a report shows "
    "what was measured.",
    help_epilogue="Begin with:\n\n"
    "  experiments run --quick      a first look: about a minute\n"
    "  experiments list             what there is to choose from\n"
    "  experiments run --help       how to choose\n",
    help_format="plaintext",
    version_flags=[],
)


@app.command(name="list")
def list_() -> int:
    """List workloads, modes, instruments and studies, a line each."""
    console = Console(highlight=False, soft_wrap=True)
    for title, entries in (
        ("Workloads, with their parameters", {n: _workload_line(n) for n in WORKLOADS}),
        ("Modes, from the one that keeps most", {n: _mode_line(n) for n in MODES}),
        ("Instruments", {n: _first_line(i.__doc__) for n, i in INSTRUMENTS.items()}),
        ("Studies", {n: _study_line(s) for n, s in studies().items()}),
    ):
        console.print(title, style="bold cyan")
        width = max(map(len, entries))
        for name, line in entries.items():
            console.print(f"  {name:<{width}}  {line}", markup=False)
        console.print()
    return OK


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _workload_line(name: str) -> str:
    workload = WORKLOADS[name]
    parameters = ", ".join(f"{p}={_text(value)}" for p, value in workload.defaults.items())
    return f"{workload.summary} ({parameters})"


def _mode_line(name: str) -> str:
    return ", ".join(f"{field}={_text(value)}" for field, value in asdict(MODES[name]).items())


def _study_line(study: Study) -> str:
    return study.question + (" (the default)" if study.name == DEFAULT_STUDY else "")


def _text(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


@app.command(
    help_epilogue="For example:\n\n"
    "  experiments run                            the whole ladder: a few minutes\n"
    "  experiments run cycles --quick             one question, and a first look\n"
    "  experiments run -w chain -m step18 -m lean one workload under two modes\n"
    "  experiments run -w chain -s chain.length=200 -s chain.kind=tanh\n"
    "  experiments run -i clock --repeats 20      only times, narrower intervals\n"
    "  experiments run --output reports/mine      go on with a run broken off\n\n"
    "Exit code: 0 all trials went well; 1 some did not, the report says which;\n"
    "2 the command was not understood; 130 broken off.\n"
)
def run(
    study: str = DEFAULT_STUDY,
    /,
    *,
    workload: Annotated[list[str] | None, Parameter(name=["--workload", "-w"], negative="")] = None,
    mode: Annotated[list[str] | None, Parameter(name=["--mode", "-m"], negative="")] = None,
    instrument: Annotated[
        list[str] | None, Parameter(name=["--instrument", "-i"], negative="")
    ] = None,
    collector: Annotated[
        list[Collector] | None, Parameter(name=["--collector", "-c"], negative="")
    ] = None,
    set_: Annotated[list[str] | None, Parameter(name=["--set", "-s"], negative="")] = None,
    repeats: Annotated[int | None, Parameter(validator=validators.Number(gt=0))] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    quick: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    timeout: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 120.0,
    memory_limit: str | None = None,
) -> int:
    """Run a study and write its report.

    A study has its own workloads, modes, instruments and repeats; what is given here replaces them.

    Parameters
    ----------
    study
        The question to ask; `experiments list` shows all of them.
    workload
        What to run; give it several times for several workloads.
    mode
        A memory mode; several times for several.
    instrument
        What to measure with; several times for several.
    collector
        The garbage collector's state; several times for several.
    set_
        A parameter of a workload, as in chain.length=50; several times for several.
    repeats
        Trials of each kind; without it, as many as each instrument needs.
    output
        The folder of the run; one that holds a run broken off goes on with it.
    quick
        One trial of each kind, and smaller workloads.
    timeout
        Seconds after which a trial is ended.
    memory_limit
        Memory that a trial may have, such as 512MB or 2GiB.
    """
    chosen = studies()[_named("study", studies(), study)]
    workloads = _all_named("workload", WORKLOADS, workload or chosen.workloads)
    trials = chosen.trials(
        workloads=workloads,
        modes=_all_named("mode", MODES, mode or chosen.modes),
        instruments=_all_named("instrument", INSTRUMENTS, instrument or chosen.instruments),
        collectors=list(dict.fromkeys(collector or ())),
        repeats=repeats,
        parameters=_parameters(set_ or (), workloads),
        quick=quick,
    )
    limit = None if memory_limit is None else _bytes(memory_limit)
    folder = output or REPORTS / f"{study}-{datetime.now():%Y-%m-%d-%H%M%S}"
    progress = _Progress(len(trials), done=_ready(folder, trials))
    return _conclude(_measure(trials, folder, timeout, limit, progress), folder)


@app.command(name="report")
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
        raise UsageError(f"{run!r} is no run: it has no {records}. {_choices('run', there, run)}")
    print(report.write(folders[0]))
    return OK


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


def _named(kind: str, known: Collection[str], name: str) -> str:
    """The name itself, if there is something of that kind by that name."""
    if name not in known:
        raise UsageError(f"There is no {kind} {name!r}. {_choices(kind, known, name)}")
    return name


def _all_named(kind: str, known: Collection[str], names: Iterable[str]) -> list[str]:
    """The names, each once."""
    return [_named(kind, known, name) for name in dict.fromkeys(names)]


def _choices(kind: str, known: Collection[str], name: str) -> str:
    """What there is of a kind, and what of it is nearest to a name."""
    if not known:
        return f"There is no {kind} yet."
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    return f"{guess}There are: {', '.join(known)}."


def _parameters(settings: Sequence[str], workloads: Collection[str]) -> dict[str, dict[str, Value]]:
    """Workload -> its parameters, out of settings such as chain.length=50."""
    parameters: dict[str, dict[str, Value]] = {}
    for setting in settings:
        found = re.fullmatch(r"(\w+)\.(\w+)=(.*)", setting)
        if not found:
            raise UsageError(
                f"--set {setting!r} is not of the form WORKLOAD.PARAMETER=VALUE, as in "
                "chain.length=50."
            )
        workload, parameter, text = found.groups()
        chosen = WORKLOADS[_named("workload", WORKLOADS, workload)]
        _named(f"parameter of {workload}", chosen.defaults, parameter)
        if workload not in workloads:
            raise UsageError(
                f"--set {setting!r}: {workload} is not part of this run. Add -w {workload}, or set "
                f"parameters of: {', '.join(workloads)}."
            )
        try:
            parameters.setdefault(workload, {})[parameter] = chosen.read(parameter, text)
        except ValueError as error:
            raise UsageError(f"--set {workload}.{parameter}: {error}.") from None
    return parameters


def _bytes(text: str) -> int:
    """The bytes that an amount such as 512MB or 2GiB means."""
    units = {"": 1, **{f"{p}B": 1000**n for n, p in enumerate(("", "K", "M", "G"))}}
    units |= {f"{p}IB": 1024**n for n, p in enumerate(("", "K", "M", "G"))}
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(\w*)", text.strip().upper())
    if not found or found[2] not in units or not float(found[1]):
        raise UsageError(
            f"--memory-limit {text!r} is no amount of memory; give bytes, or an amount with a "
            "unit, as in 512MB or 2GiB."
        )
    return int(float(found[1]) * units[found[2]])


def _ready(folder: Path, trials: Sequence[Trial]) -> int:
    """See to it that the run can be written to its folder; how many of its trials are there.

    Raises UsageError where it cannot, or where the folder holds trials that are not of this run.
    """
    try:
        with runner.RecordsFile(folder / runner.RECORDS, _say) as file:
            there = [record.trial for record in file.records]
    except OSError as error:
        raise UsageError(
            f"Nothing can be written to {folder}: {error.strerror}. Give another folder by "
            "--output."
        ) from None
    planned = {trial.key for trial in trials}
    strange = [trial for trial in there if trial.key not in planned]
    if strange:
        raise UsageError(
            f"{folder} holds another run: {len(strange)} of its trials are not of this one (the "
            f"first is {_trial_text(strange[0])} of the study {strange[0].study}). To go on with "
            "it, give the study and the options that it began with; for a new run, give another "
            "folder."
        )
    return len(there)


def _say(sentence: str) -> None:
    Console(stderr=True, highlight=False).print(sentence, markup=False, soft_wrap=True)


def _trial_text(trial: Trial) -> str:
    collector = "" if trial.collector == "off" else f", collector {trial.collector}"
    where = f"{trial.workload}, {trial.mode}, {trial.instrument}{collector}"
    return f"{where}, repeat {trial.repeat + 1}"


def _measure(
    trials: Sequence[Trial],
    folder: Path,
    timeout: float,
    memory_limit: int | None,
    progress: _Progress,
) -> list[Record]:
    try:
        with progress:
            return runner.run(
                trials,
                folder,
                timeout=timeout,
                memory_limit=memory_limit,
                on_start=progress.start,
                on_record=progress.advance,
                on_notice=progress.say,
            )
    except runner.Interrupted as stop:
        why = f"Broken off after {stop.done} of {stop.total} trials; what was done is kept."
        raise BrokenOff(why, folder, INTERRUPTED) from None
    except OSError as error:
        why = f"{error}. This run cannot go on for now; what was done is kept."
        raise BrokenOff(why, folder, SOME_FAILED) from None


class _Progress:
    """How far a run is, on stderr: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int, done: int) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.total, self.done = total, done
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("", total=total, completed=done)

    def __enter__(self) -> _Progress:
        if not self.bar.disable:
            self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if not self.bar.disable:
            self.bar.stop()

    def start(self, trial: Trial) -> None:
        self.bar.update(self.task, description=f"{_trial_text(trial):<{TRIAL_WIDTH}}")

    def advance(self, record: Record) -> None:
        self.done += 1
        self.bar.update(self.task, completed=self.done)
        text = _trial_text(record.trial)
        if record.outcome != "ok":
            self.say(f"{record.outcome}: {text}: {_first_line(record.error)}")
        elif self.bar.disable and self.done * LINES % self.total < LINES:
            self.say(f"{self.done} of {self.total} trials: {text}")

    def say(self, sentence: str) -> None:
        self.console.print(sentence, markup=False, soft_wrap=True)


def _conclude(records: Sequence[Record], folder: Path) -> int:
    """Write the report; show what was found, where the report is, and whether all went well."""
    page = report.write(folder)
    Console(highlight=False).print(report.summary(records))
    print(page)
    return OK if all(record.outcome == "ok" for record in records) else SOME_FAILED

"""`experiments run`: run a study and write its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators
from rich.console import Console

from autodiff import MODES
from experiments import executors, report, runner
from experiments.cli import scripting
from experiments.cli.choices import all_named, amount, named, parameters
from experiments.cli.endings import (
    INTERRUPTED,
    OK,
    REPORTS,
    SOME_FAILED,
    BrokenOff,
    UsageError,
)
from experiments.cli.progress import Progress, say, trial_text
from experiments.instruments import INSTRUMENTS
from experiments.studies import DEFAULT_STUDY, studies
from experiments.trial import CALIBRATION, Collector, Record, Trial
from experiments.truths import calibration_trials
from experiments.workloads import WORKLOADS

SCRIPTS = "script"  # the study of the user's own code

HELP = (
    "For example:\n\n"
    "  experiments run                            the whole ladder: a few minutes\n"
    "  experiments run cycles --quick             one question, and a first look\n"
    "  experiments run -w chain -m step18 -m lean one workload under two modes\n"
    "  experiments run -w chain -s chain.length=200 -s chain.kind=tanh\n"
    "  experiments run -i clock --repeats 20      only times, narrower intervals\n"
    "  experiments run --output reports/mine      go on with a run broken off\n"
    "  experiments run --script mine.py:train     a function of your own\n"
    "  experiments run --jobs 4                   four trials side by side\n"
    "  experiments run --executor dask --jobs 4   the same, on four Dask workers\n"
    "  experiments run -o reports/mine --join     the same study on another Python\n\n"
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
    jobs: Annotated[int, Parameter(validator=validators.Number(gt=0))]
    | Literal["auto"]
    | None = None,
    executor: str | None = None,
    join: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    calibration: bool = True,
    script: str | None = None,
    rounds: Annotated[int | None, Parameter(validator=validators.Number(gt=0))] = None,
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
    jobs
        Trials to run side by side; auto for as many as there are processors. One at a time where
        an instrument needs that. Without it 1, and as many as there is room for on Dask.
    executor
        Where trials run: dask for workers on this machine, dask:ADDRESS for a cluster. Without it,
        here.
    join
        Keep these records beside those of other environments in the same folder.
    calibration
        Whether to show each instrument known truths first: how far is it to be trusted?
    script
        A file of yours, FILE.py or FILE.py:FUNCTION, to measure in place of a workload. Without a
        function it is `main`, or the file itself run as a script. The function takes nothing, or
        one parameter `probe` to call with "forward", "backward" or "step" at these moments; one
        that begins with `rng` builds, and returns step(probe). It is called once before as a
        rehearsal, so that what is made once and kept is no growth, and what it returns is dropped.
    rounds
        How often each trial calls a --script, with a step after each; 5 if not given.
    """
    study = _of_script(study, script, workload, rounds)
    chosen = studies()[named("study", studies(), study)]
    workloads = (
        all_named("workload", WORKLOADS, workload or chosen.workloads)
        if script is None
        else [scripting.named(script)]
    )
    settings = parameters(set_ or (), workloads)
    if script is not None:
        settings[workloads[0]] = scripting.parameters(workloads[0], rounds, timeout)
    trials = chosen.trials(
        workloads=workloads,
        modes=all_named("mode", MODES, mode or chosen.modes),
        instruments=all_named("instrument", INSTRUMENTS, instrument or chosen.instruments),
        collectors=list(dict.fromkeys(collector or ())),
        repeats=repeats,
        parameters=settings,
        quick=quick,
    )
    if calibration:
        used = {trial.instrument for trial in trials}
        trials = [*calibration_trials(used, quick=quick), *trials]
    limit = None if memory_limit is None else amount("--memory-limit", memory_limit)
    folder = output or REPORTS / f"{study}-{datetime.now():%Y-%m-%d-%H%M%S}"
    conditions = Conditions(
        timeout, limit, executor, executors.available() if jobs == "auto" else jobs, join
    )
    ready(folder, trials)
    return _conclude(measure(trials, folder, conditions), folder)


def _of_script(
    study: str, script: str | None, workload: list[str] | None, rounds: int | None
) -> str:
    """The study to run, which with --script is that of the user's own code."""
    if script is None:
        if study == SCRIPTS:
            raise UsageError(
                f"The study {SCRIPTS} measures a file of yours: name it, as in --script FILE.py or "
                "--script FILE.py:FUNCTION."
            )
        if rounds is not None:
            raise UsageError("--rounds is for --script; other workloads have it as a parameter.")
        return study
    if workload or study not in (DEFAULT_STUDY, SCRIPTS):
        what = "-w" if workload else f"the study {study}"
        raise UsageError(f"--script measures a file of yours, and {what} something else: give one.")
    return SCRIPTS


@dataclass(frozen=True)
class Conditions:
    """Where and how trials run, apart from what they are."""

    timeout: float
    memory_limit: int | None = None
    executor: str | None = None
    jobs: int | None = None
    join: bool = False


def ready(folder: Path, trials: Sequence[Trial]) -> None:
    """See to it that the run can be written to its folder.

    Raises UsageError where it cannot, or where the folder holds trials that are not of this run.
    """
    try:
        with runner.RecordsFile(folder / runner.RECORDS, say) as file:
            there = [record.trial for record in file.records]
    except runner.Locked as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(
            f"Nothing can be written to {folder}: {error.strerror}. Give another folder by "
            "--output."
        ) from None
    planned = {trial.key for trial in trials}
    strange = [trial for trial in there if trial.key not in planned and trial.study != CALIBRATION]
    if strange:
        raise UsageError(
            f"{folder} holds another run: {len(strange)} of its trials are not of this one (the "
            f"first is {trial_text(strange[0])} of the study {strange[0].study}). To go on with "
            "it, give the study and the options that it began with; for a new run, give another "
            "folder."
        )


def measure(trials: Sequence[Trial], folder: Path, conditions: Conditions) -> list[Record]:
    """Run the trials, and show how far they are. Raises UsageError where they cannot begin."""
    progress = Progress(len(trials))
    try:
        with executors.opened(conditions.executor, conditions.jobs) as engine, progress:
            return runner.run(
                trials,
                folder,
                timeout=conditions.timeout,
                memory_limit=conditions.memory_limit,
                engine=engine,
                join=conditions.join,
                on_plan=progress.plan,
                on_start=progress.start,
                on_record=progress.advance,
                on_notice=progress.say,
            )
    except runner.Interrupted as stop:
        why = f"Broken off after {stop.done} of {stop.total} trials; what was done is kept."
        raise BrokenOff(why, folder, INTERRUPTED) from None
    except (runner.Locked, runner.OtherEnvironment) as error:
        raise UsageError(str(error)) from None
    except executors.ExecutorError as error:
        if not progress.begun:
            raise UsageError(str(error)) from None
        why = f"{error}. This run cannot go on for now; what was done is kept."
        raise BrokenOff(why, folder, SOME_FAILED) from None
    except OSError as error:
        why = f"{error}. This run cannot go on for now; what was done is kept."
        raise BrokenOff(why, folder, SOME_FAILED) from None


def _conclude(records: Sequence[Record], folder: Path) -> int:
    """Write the report; show what was found, where the report is, and whether all went well."""
    try:
        page = report.write(folder)
    except OSError as error:
        why = f"The report could not be written: {error}. All records are kept."
        raise BrokenOff(why, folder, SOME_FAILED) from None
    Console(highlight=False).print(report.summary(records))
    print(page)
    return OK if all(record.outcome == "ok" for record in records) else SOME_FAILED

"""One trial, in this process: a Trial on standard input, its Record on standard output.

    python -m experiments.child '{"heartbeat": PATH, "memory_limit": BYTES, "leash": true,
                                  "folder": PATH, "asked": {}}'

The options, each of which may be left out: heartbeat, the file for the stages that the trial
reaches; memory_limit, how much address space it may have on top of what importing needs; leash: end
when standard input closes, which it does when the runner dies; folder: where its instrument may
leave files; asked: what is wanted of its instrument beyond what it does by itself.

Two records are written. The first stands for the case that the process is killed: it has what is
known before the trial begins. The second is the trial's.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import math
import os
import signal
import sys
import threading
import traceback
from array import array
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from autodiff import MODES, using_mode
from experiments import environment, scripts
from experiments.heartbeat import Heartbeat
from experiments.instruments import INSTRUMENTS, MOMENTS, PICTURES, Disagreement, Instrument
from experiments.trial import COLLECTOR_PHASES, Record, Trial
from experiments.truths import TRUTHS
from experiments.workloads import WORKLOADS, Step, Workload

T = TypeVar("T")

MOST_FRAMES = 8  # of a traceback in a record
STRIDE = 7  # from one repeat's phase of the collector to the next's: a few repeats lie far apart


class TrialError(Exception):
    """A trial cannot be run as it was asked for, or its workload broke the rules; says why."""


# The trial --------------------------------------------------------------------------------------


class Moments:
    """The probe of a trial: passes each moment on to the heartbeat and to the instrument.

    Keeps count in memory that was set aside, so that no instrument sees it do so.
    """

    def __init__(self, trial: Trial, heartbeat: Heartbeat, instrument: Instrument) -> None:
        self.passed = array("q", bytes(8 * len(MOMENTS)))
        self._collect = trial.collector == "each step"
        self._heartbeat = heartbeat
        self._instrument = instrument

    def __call__(self, moment: str) -> None:
        """The workload reaches one of its moments."""
        if moment not in MOMENTS:
            raise TrialError(f"probe({moment!r}): the moments are {', '.join(MOMENTS)}")
        number = MOMENTS.index(moment)
        self.passed[number] += 1
        allowed = self._instrument.rehearsed
        if allowed and self.passed[number] > allowed[moment]:
            raise TrialError(
                f"the workload came to {moment!r} more often than the {allowed[moment]} times "
                "in its rehearsal: it must do the same each time"
            )
        if moment == "step" and self._collect:
            gc.collect()
        self.reach(moment)

    def wrapped(self, step: Step) -> Step:
        return self._instrument.wrapped(step)

    def reach(self, phase: str) -> None:
        self._heartbeat.beat(phase)
        self._instrument.at(phase)

    @property
    def counts(self) -> dict[str, int]:
        return dict(zip(MOMENTS, self.passed, strict=True))


class Rehearsal(Instrument):
    """Stands in for the instrument while the workload is warmed up."""

    def at(self, phase: str) -> None:
        """Look at nothing."""


def measure(
    trial: Trial,
    heartbeat: Heartbeat,
    folder: Path | None = None,
    asked: Mapping[str, Any] | None = None,
) -> Record:
    """Run a trial, and return what its instrument found.

    First comes a full rehearsal with the same parameters, so that whatever is made once and kept
    (caches, imports, BLAS buffers) is there before the baseline. What it left is collected and
    everything that remains is frozen: the collector does not look at it again. What importing made
    is frozen before, since to look through it takes longer than many a trial.
    """
    gc.freeze()
    workload = find_workload(trial.workload)
    instrument = find("instrument", trial.instrument, {**INSTRUMENTS, **PICTURES})()
    instrument.folder, instrument.asked = folder, asked or {}
    with using_mode(trial.mode):
        if trial.collector != "on":
            gc.disable()
        heartbeat.beat("warm-up")
        rehearsal = Moments(trial, heartbeat, Rehearsal())
        heartbeat.note_resident()
        names: list[str] = []
        values = array("d")
        perform(workload, trial, rehearsal, names, values)
        gc.collect()
        gc.collect()
        gc.freeze()
        instrument.rehearsed = rehearsal.counts
        phase = nearer_to_a_collection(trial)
        heartbeat.note_resident()
        moments = Moments(trial, heartbeat, instrument)
        moments.reach("baseline")
        perform(workload, trial, moments, names, values)
        gc.disable()  # from here on the trial itself says when
        moments.reach("dropped")
        gc.collect()
        moments.reach("collected")
        instrument.close()
        del phase  # not before: what goes meanwhile would be taken for the workload's
    if moments.counts != rehearsal.counts:
        raise TrialError(
            f"the workload passed {moments.counts}, and {rehearsal.counts} in its rehearsal: it "
            "must do the same each time"
        )
    return Record(
        trial,
        outcome="ok",
        readings=instrument.readings,
        unavailable=instrument.unavailable,
        results=dict(zip(names, values, strict=True)),
        details=instrument.details,
    )


def perform(
    workload: Workload, trial: Trial, moments: Moments, names: list[str], values: array[float]
) -> None:
    """Build a workload and take its step; when this returns, nothing of it is left but numbers.

    They go into memory that stands already, except in the rehearsal, which sets it aside.
    """
    step = moments.wrapped(workload.start(trial.seed, trial.parameters))
    moments.reach("built")
    results = step(moments)
    if not names:
        names.extend(results)
        values.extend([0.0] * len(names))
    if list(results) != names:
        raise TrialError(f"the workload computed {list(results)}, and {names} in its rehearsal")
    for number, name in enumerate(names):
        values[number] = float(results[name])
        if not math.isfinite(values[number]):
            raise TrialError(f"the workload computed {name} = {values[number]}, which is no figure")


def nearer_to_a_collection(trial: Trial) -> list[object]:
    """Objects that bring the collector's next run nearer, by a part of its first threshold.

    What is left alive when it runs depends on when that is. Repeats of a trial with the collector
    on therefore meet it in phases of its own, spread evenly: repeats that are all alike would hide
    how far the figures reach.
    """
    if trial.collector != "on":
        return []
    phase = trial.repeat * STRIDE % COLLECTOR_PHASES
    return [[] for _ in range(gc.get_threshold()[0] * phase // COLLECTOR_PHASES)]


# What a trial names -------------------------------------------------------------------------------


def find(what: str, name: str, known: Mapping[str, T]) -> T:
    """The thing of a name. Raises TrialError, which says what there is, where there is none."""
    if name not in known:
        raise TrialError(f"no {what} is named {name!r}; there are {', '.join(known)}")
    return known[name]


def find_workload(name: str) -> Workload:
    """The workload of a name; of `FILE.py:FUNCTION`, what that function of that file makes."""
    if scripts.is_script(name):
        return scripts.find(name)
    return TRUTHS.get(name) or find("workload", name, WORKLOADS)


# When it goes wrong -------------------------------------------------------------------------------


def explained(error: BaseException, memory_limit: int | None) -> str:
    """What happened, for a record: the error, and where in the workload it came from."""
    if isinstance(error, TrialError | scripts.ScriptError | Disagreement | environment.NotPinned):
        return str(error)
    said = "".join(traceback.format_exception_only(error)).strip()
    if isinstance(error, MemoryError) and memory_limit is not None:
        said = (
            f"The trial ran out of its memory limit of {memory_limit:,} bytes on top of what "
            f"importing needs.\n{said}"
        )
    frames = traceback.extract_tb(error.__traceback__)
    ours = {__file__, sys.modules[Workload.__module__].__file__, scripts.__file__}
    theirs = [frame for frame in frames if frame.filename not in ours]
    shown = theirs if len(theirs) <= MOST_FRAMES else [*theirs[:3], *theirs[3 - MOST_FRAMES :]]
    return said + "\n" + "".join(traceback.format_list(shown)).rstrip()


def limit_memory(limit: int) -> str | None:
    """Let this process have no more than so many bytes of address space beyond what it has.

    Returns why not, where the platform cannot.
    """
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + limit, hard))
    except (ImportError, OSError, ValueError) as error:
        return f"address space cannot be limited here ({error})"
    return None


def lift_limit() -> None:
    """Let this process have as much address space as it may: to report, a failed one needs some."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


# The process --------------------------------------------------------------------------------------


def private(standard: int, instead: int) -> int:
    """A standard stream under a number that nothing else knows; `instead` takes its place."""
    mine = os.dup(standard)
    os.dup2(instead, standard)
    return mine


def read_line(file: int) -> str:
    """One line, and no byte beyond it."""
    line = bytearray()
    while (byte := os.read(file, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode()


def end_with(file: int) -> None:
    """End this process at once when a file that nothing is written to closes."""

    def wait() -> None:
        while os.read(file, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def attempt(trial: Trial, options: Mapping[str, Any], write: Callable[[Record], None]) -> Record:
    """The record of a trial, whatever becomes of it; `write` is given one for the worst case."""
    heartbeat = Heartbeat(options.get("heartbeat"))
    limit, folder = options.get("memory_limit"), options.get("folder")
    known = Record(trial, "killed", environment=environment.of_process())
    try:
        mode = find("memory mode", trial.mode, MODES)
        known = replace(known, memory_mode=asdict(mode))
        environment.check_pins()
        write(known)
        np.ones((64, 64)) @ np.ones((64, 64))  # OpenBLAS takes 32 MB of addresses at its first use
        no_limit = None if limit is None else limit_memory(limit)
        asked = options.get("asked")
        found = measure(trial, heartbeat, Path(folder) if folder else None, asked)
        missing = {} if no_limit is None else {"memory_limit_bytes": no_limit}
        return replace(
            found,
            unavailable={**found.unavailable, **missing},
            memory_mode=known.memory_mode,
            environment=known.environment,
            phase=heartbeat.stage,
        )
    except BaseException as error:
        if limit is not None:
            lift_limit()
        failed = replace(known, outcome="failed", phase=heartbeat.stage)
        return replace(failed, error=explained(error, limit))


def main() -> None:
    options = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    commands = private(0, os.open(os.devnull, os.O_RDONLY))
    records = os.fdopen(private(1, 2), "w", encoding="utf-8")

    def write(record: Record) -> None:
        records.write(record.to_line())
        records.flush()

    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(signal.SIGUSR1)  # where it is, should it take too long
    trial = Trial.from_line(read_line(commands))
    if options.get("leash"):
        end_with(commands)
    write(attempt(trial, options, write))
    os._exit(0)  # nothing is left to do, and to take a big graph apart takes time


if __name__ == "__main__":
    main()

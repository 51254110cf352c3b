"""Measurements, each in a process of its own, the engines taking turns.

Rounds go over all problems, and in each of them the engines follow one another at once: what the
machine does meanwhile meets all of them. Figures that no clock is needed for are taken once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from experiments import environment, launcher
from experiments.bench.measuring import Job, Measurement, repetitions
from experiments.bench.problems import PROBLEMS

TIMEOUT = 120.0  # seconds for one measurement
GRACE = 10.0  # seconds for the launcher to end one that is over its time
SLOWER = 20  # times, that a process is under valgrind
LAST_WORDS = 300  # characters of what a process wrote before it ended without a measurement

# Where time is measured, memory that a process once had stays with it. To get the same pages from
# the system again and again can take longer than to compute what comes to lie in them, and whether
# that happens is decided by the order in which arrays are freed.
TIMED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}

LAUNCHER = launcher.__file__


def planned(
    problems: Sequence[str], engines: Sequence[str], rounds: int, *, quick: bool
) -> list[Job]:
    """The jobs, in the order in which they are to be done.

    quick: smaller sizes, and no instructions, which take longest. Without valgrind none either.
    """
    counting = not quick and valgrind() is not None
    jobs = []
    for number in range(rounds):
        for problem in (PROBLEMS[name] for name in problems):
            for kind in problem.measured:
                if (kind != "time" and number) or (kind == "instructions" and not counting):
                    continue
                sizes = problem.quick if quick else problem.sizes
                if kind in ("graph", "instructions"):
                    sizes = (problem.counted_at,)
                jobs += [
                    Job(problem.name, engine, size, kind, number)
                    for size in sizes
                    for engine in engines
                ]
    return jobs


def done(
    jobs: Sequence[Job], timeout: float, on_start: Callable[[Job], None]
) -> Iterator[Measurement]:
    """Do the jobs one after the other, but for those that would fail as one before did."""
    failed: list[Measurement] = []
    for job in jobs:
        if any(dooms(measurement, job) for measurement in failed):
            continue
        on_start(job)
        measurement = measured(job, timeout)
        if measurement.outcome != "ok":
            failed.append(measurement)
        yield measurement


def dooms(failure: Measurement, job: Job) -> bool:
    """Whether what became of one job will become of another, too."""
    if failure.job.engine != job.engine:
        return False
    if not failure.version and failure.why.startswith("does not import"):
        return True
    same = (failure.job.problem, failure.job.kind) == (job.problem, job.kind)
    return same and (failure.outcome in ("missing", "wrong") or failure.job.size <= job.size)


def measured(job: Job, timeout: float = TIMEOUT) -> Measurement:
    """A job done in a process of its own, whatever becomes of it."""
    return instructions(job, timeout) if job.kind == "instructions" else _in_process(job, timeout)


def _in_process(job: Job, timeout: float, through: Sequence[str] = ()) -> Measurement:
    """through: the command of a program that runs the process and watches it."""
    child = [*through, sys.executable, "-m", "experiments.bench.measuring"]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        answer, messages = Path(folder, "answer"), Path(folder, "messages")
        with messages.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", LAUNCHER, str(timeout), answer, *child],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=_surroundings(job),
                start_new_session=True,  # Ctrl-C is for this process, which then ends that one
            )
        leash, process.stdin = process.stdin, None  # it stays open: the measurement ends with it
        assert leash is not None
        try:
            with leash:
                with suppress(BrokenPipeError):  # of one that has ended already: it says why
                    leash.write(job.to_line().encode())
                    leash.flush()
                said, _ = process.communicate(timeout=timeout + GRACE)
        except BaseException:
            process.terminate()  # and the launcher ends what it started
            process.communicate(timeout=GRACE)
            raise
        if b'"timed_out": true' in said:
            return Measurement(job, "timed out", why=f"took longer than {timeout:g} s")
        lines = answer.read_text(encoding="utf-8") if answer.exists() else ""
        if lines.endswith("\n"):
            return Measurement.from_line(lines)
        words = messages.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:]
        why = words.strip().rpartition("\n")[2] or "its process ended without a word"
        return Measurement(job, "failed", why=why)


def _surroundings(job: Job) -> dict[str, str]:
    """The environment of a process: a trial's, but that it keeps its memory where it is timed."""
    return environment.pinned(os.environ) | (TIMED if job.kind == "time" else {})


# Instructions -------------------------------------------------------------------------------------


def valgrind() -> str | None:
    """The program that counts instructions, where it is installed."""
    return shutil.which("valgrind")


def instructions(job: Job, timeout: float) -> Measurement:
    """The instructions that one operation takes, forward and backward: counted, not timed."""
    program = valgrind()
    if program is None:
        return Measurement(
            job, "missing", why="instructions are counted where valgrind is installed"
        )
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        through = [
            program,
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ]
        measurement = _in_process(job, SLOWER * timeout, [*through, f"--log-file={folder}/%p"])
        if measurement.outcome != "ok":
            return measurement
        few, many = (_counted(Path(folder, f"{int(n)}")) for n in measurement.figures.values())
    if few is None or many is None:
        return Measurement(job, "failed", why="valgrind did not say how many instructions")
    problem = PROBLEMS[job.problem]
    less, more = repetitions(problem, job.size)
    each = (many - few) / ((more - less) * problem.operations(job.size))
    return replace(measurement, figures={"operation_instructions_count": each})


def _counted(log: Path) -> int | None:
    """The instructions of one process, as valgrind says them in the end."""
    found = re.search(r"I\s+refs:\s+([\d,]+)", log.read_text() if log.exists() else "")
    return int(found[1].replace(",", "")) if found else None

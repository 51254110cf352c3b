"""One measurement, in this process: a Job on standard input, its Measurement on standard output.

    python -m experiments.bench.measuring

It ends when standard input closes, which it does when the process dies that wants to know.
Whatever is measured is checked first: the engine's gradients against those by hand, at the very
size, every element of them. That is the rehearsal, too.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np

from experiments.bench import weighing
from experiments.bench.engines import FLOOR, load
from experiments.bench.engines.engine import Array, Engine, Missing, Work
from experiments.bench.problems import PROBLEMS, Kind, Problem

CLOSE = {"float64": 1e-9, "float32": 1e-4}  # how far a gradient may be off, as a share of itself
BATCH = 0.02  # seconds of processor time at least, for one reading of the clock
ENOUGH = 0.4  # seconds of processor time that a measurement goes on for
FEWEST, MOST = 3, 10  # batches; one is enough that takes longer than LONG
LONG = 5.0
FEW, COUNTED = 2, 12_000  # repetitions, and operations in those beyond them, to be counted

Outcome = Literal["ok", "wrong", "missing", "failed", "timed out"]


@dataclass(frozen=True)
class Job:
    """One measurement to take."""

    problem: str
    engine: str
    size: int
    kind: Kind
    round: int = 0

    def to_line(self) -> str:
        """The job as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Job:
        """The job that a line holds."""
        return cls(**json.loads(line))


@dataclass(frozen=True)
class Measurement:
    """What became of a job. A figure's name ends in its unit, as a record's does."""

    job: Job
    outcome: Outcome
    figures: Mapping[str, float] = field(default_factory=dict)
    why: str = ""  # there are no figures, or not all
    version: str = ""  # of the engine
    dtypes: str = ""  # of its gradients, where they are not those of what they are gradients of

    def to_line(self) -> str:
        """The measurement as one line of JSON."""
        return json.dumps(asdict(self), allow_nan=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Measurement:
        """The measurement that a line holds."""
        found = json.loads(line)
        return cls(**{**found, "job": Job(**found["job"])})


class Wrong(Exception):
    """An engine's gradients are not those by hand; says which and by how much."""


# The gradients ------------------------------------------------------------------------------------


def check(found: Sequence[Array], wanted: Sequence[Array]) -> str:
    """See that gradients are those by hand; gives their types, where these are other ones.

    Every element counts: it may be off by a small share of itself, or of the root mean square of
    its array, where it is so much smaller that rounding of the larger ones shows in it.

    Raises Wrong.
    """
    if len(found) != len(wanted):
        raise Wrong(f"{len(found)} gradients, and {len(wanted)} by hand")
    for number, (mine, right) in enumerate(zip(found, wanted, strict=True), start=1):
        which = f"gradient {number} of {len(wanted)}"
        if mine.shape != right.shape:
            raise Wrong(f"{which} has shape {mine.shape}, by hand {right.shape}")
        exact = right.astype(np.float64)
        scale = np.maximum(np.abs(exact), np.sqrt(np.mean(exact**2)))
        off = np.abs(mine.astype(np.float64) - exact)
        if not np.all(off <= CLOSE[right.dtype.name] * scale):  # what is not a number is wrong, too
            share = float(np.max(off / np.where(scale > 0, scale, 1.0)))
            raise Wrong(f"{which} is off by up to {share:.2g} of its size")
    types = [mine.dtype.name for mine in found]
    alike = types == [right.dtype.name for right in wanted]
    return "" if alike else ", ".join(dict.fromkeys(types))


def rehearse(problem: Problem, size: int, work: Work) -> str:
    """Do the work once, and check it; gives what `check` gives."""
    by_hand = problem.prepared(None, size)
    wanted = by_hand.gradients(by_hand.backward(by_hand.forward()))
    return check(work.gradients(work.backward(work.forward())), wanted)


# What is measured ---------------------------------------------------------------------------------


def seconds(work: Work) -> dict[str, float]:
    """Processor time of forward and backward and of letting go, the least of several batches.

    What disturbs a process makes it slower and never faster: the least is the nearest to its own.
    """

    def batch(n: int) -> float:
        forward, backward = work.forward, work.backward
        begun = time.process_time()
        for _ in range(n):
            backward(forward())
        return (time.process_time() - begun) / n

    return {"seconds": _least(batch)}


def seconds_of_phases(work: Work) -> dict[str, float]:
    """The same, and of forward and backward each for itself: the clock is read in between."""
    parts: list[list[float]] = []

    def batch(n: int) -> float:
        forward, backward, clock = work.forward, work.backward, time.process_time
        there = back = whole = 0.0
        for _ in range(n):
            start = clock()
            held = forward()
            recorded = clock()
            found = backward(held)
            done = clock()
            del held, found
            there, back, whole = (
                there + recorded - start,
                back + done - recorded,
                whole + clock() - start,
            )
        parts.append([there / n, back / n])
        return whole / n

    whole = _least(batch)
    there, back = np.min(parts, axis=0)
    return {"seconds": whole, "forward_seconds": float(there), "backward_seconds": float(back)}


def _least(batch: Callable[[int], float]) -> float:
    """The least of what batches take for one repetition each."""
    first = batch(1)
    if first > LONG:
        return first
    n = max(1, round(BATCH / max(first, 1e-6)))
    times: list[float] = []
    while len(times) < FEWEST or (len(times) < MOST and sum(times) * n < ENOUGH):
        times.append(batch(n))
    return min(times)


def repetitions(problem: Problem, size: int) -> tuple[int, int]:
    """How often to do the work, and how much more often, to see what lies between the two."""
    return FEW, FEW + max(1, COUNTED // problem.operations(size))


def in_a_copy(work: Work, times: int) -> int:
    """Do the work some times in a copy of this process, whose number this is.

    Two copies of one process differ in nothing but in what they do: somebody who counts their
    instructions can subtract all that went before.
    """
    process = os.fork()
    if not process:
        for _ in range(times):
            work.backward(work.forward())
        os._exit(0)
    os.waitpid(process, 0)
    return process


# The process --------------------------------------------------------------------------------------


def measure(job: Job, engine: Engine | None) -> Measurement:
    """Check an engine (None: by hand) at a problem, and measure it."""
    problem = PROBLEMS[job.problem]
    version = np.__version__ if engine is None else engine.version
    work = problem.prepared(engine, job.size)
    try:
        dtypes = rehearse(problem, job.size, work)
        gc.collect()
        gc.freeze()  # an engine's own modules are no part of what the collector goes through
        figures, why = _figures(job, problem, engine, work)
    except Missing as lack:
        return Measurement(job, "missing", why=str(lack), version=version)
    except Wrong as error:
        return Measurement(job, "wrong", why=f"wrong gradients: {error}", version=version)
    return Measurement(job, "ok", figures, why, version, dtypes)


def _figures(
    job: Job, problem: Problem, engine: Engine | None, work: Work
) -> tuple[dict[str, float], str]:
    """The figures, and why there are none, or other ones than of other engines."""
    if job.kind == "time":
        return (seconds_of_phases if problem.grows else seconds)(work), ""
    if job.kind == "instructions":
        few, many = repetitions(problem, job.size)
        return {"few_process": in_a_copy(work, few), "many_process": in_a_copy(work, many)}, ""
    work = problem.prepared(engine, job.size)  # whose leaves have no gradients yet
    if engine is not None and not engine.traced:
        if job.kind == "peak":
            return weighing.peaks_out_of_sight(work, large=problem.array_bytes is not None)
        return {}, weighing.OUT_OF_SIGHT
    if job.kind == "peak":
        return weighing.peaks(work), ""
    if job.kind == "loop":
        return weighing.loop(lambda: problem.prepared(engine, job.size)), ""
    longer = problem.prepared(engine, 2 * job.size)
    rehearse(problem, 2 * job.size, longer)
    more = problem.operations(2 * job.size) - problem.operations(job.size)
    return weighing.graph(work, longer, more), ""


def attempt(job: Job) -> Measurement:
    """Measure, whatever becomes of it: an engine that fails has a measurement that says why."""
    try:
        engine = None if job.engine == FLOOR else load(job.engine)
    except Exception as error:
        return Measurement(job, "failed", why=f"does not import: {_said(error)}")
    try:
        return measure(job, engine)
    except Exception as error:
        return Measurement(job, "failed", why=_said(error))


def _said(error: Exception) -> str:
    """An exception in one line."""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _end_with(leash: int) -> None:
    """End this process at once when a file that nothing more is written to closes."""

    def wait() -> None:
        while os.read(leash, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what an engine prints is no measurement
    job = Job.from_line(sys.stdin.readline())
    _end_with(sys.stdin.fileno())
    answers.write(attempt(job).to_line())
    answers.flush()
    os._exit(0)  # to take a large graph apart, or a large package, takes time and shows nothing


if __name__ == "__main__":
    main()

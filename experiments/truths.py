"""Workloads whose figures are known before anything measures them, and the trials of each.

A truth is a workload like any other, but what it returns as results is what an instrument should
read of it: so many bytes alive, so many cycles, so many seconds. It works that out from what it
did, apart from every instrument. `experiments.calibration` sets the readings beside it.
"""

from __future__ import annotations

import gc
import sys
import time
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from autodiff import Variable, checkpoint, square
from experiments.bounds import chain_floor
from experiments.trial import CALIBRATION, Collector, Trial, Value
from experiments.workloads import Probe, Step, Workload

KIB, MIB = 2**10, 2**20
GAP = 0.005  # seconds of quiet after a peak, so that no late sample is taken for the next one's

Array = npt.NDArray[Any]

TRUTHS: dict[str, Workload] = {}


def truth(build: Callable[..., Step]) -> Callable[..., Step]:
    """Register a truth under its function's name."""
    TRUTHS[build.__name__] = Workload(build.__name__, build)
    return build


def touched(size: int) -> Array:
    """An array of so many bytes, each of them written, and no other array in passing."""
    array = np.empty(size, dtype=np.uint8)
    return np.invert(array, out=array)


@truth
def blank(rng: np.random.Generator) -> Step:
    """Nothing at all: what is read of it is the limit of blank."""

    def step(probe: Probe) -> dict[str, float]:
        probe("forward")
        probe("step")
        return {"nothing_count": 0.0}

    return step


@truth
def held(rng: np.random.Generator, *, count: int = 1, size: int = MIB) -> Step:
    """Arrays that are written and held: all of their bytes are there, and gone afterwards."""

    def step(probe: Probe) -> dict[str, float]:
        arrays = [touched(size) for _ in range(count)]
        probe("forward")
        total = sum(array.nbytes for array in arrays)
        del arrays
        probe("step")
        return {"live_bytes": total, "resident_bytes": total, "arrays_count": count}

    return step


@truth
def untouched(rng: np.random.Generator, *, size: int = 16 * MIB) -> Step:
    """Arrays that are asked for and never written: requested memory, and none in RAM."""

    def step(probe: Probe) -> dict[str, float]:
        arrays = [np.zeros(size // 2, dtype=np.uint8), np.empty(size // 2, dtype=np.uint8)]
        probe("forward")
        total = sum(array.nbytes for array in arrays)
        del arrays
        probe("step")
        return {"live_bytes": total, "resident_bytes": 0.0, "arrays_count": 2}

    return step


@truth
def views(rng: np.random.Generator, *, count: int = 10, size: int = MIB) -> Step:
    """Many views of one array: their bytes are the array's, and count once."""

    def step(probe: Probe) -> dict[str, float]:
        base = touched(size)
        arrays = [base[number:] for number in range(count)]
        probe("forward")
        total = base.nbytes
        del base, arrays
        probe("step")
        return {"live_bytes": total, "resident_bytes": total, "arrays_count": 1}

    return step


@truth
def small_objects(rng: np.random.Generator, *, count: int = 1_000_000) -> Step:
    """Many small numbers in a list: as many bytes as the interpreter says of each."""

    def step(probe: Probe) -> dict[str, float]:
        numbers = [float(number) for number in range(count)]
        probe("forward")
        total = sys.getsizeof(numbers) + sum(map(sys.getsizeof, numbers))
        del numbers
        probe("step")
        return {"live_bytes": total, "arrays_count": 0.0}

    return step


@truth
def transient(
    rng: np.random.Generator,
    *,
    milliseconds: int = 5,
    size: int = 32 * MIB,
    rounds: int = 1,
) -> Step:
    """A large array that stands for some milliseconds and is gone: a peak that is easily missed."""

    def step(probe: Probe) -> dict[str, float]:
        for _ in range(rounds):
            array = touched(size)
            probe("forward")
            spin(milliseconds / 1000)
            del array
            time.sleep(GAP)
            probe("step")
        return {"live_bytes": size, "resident_bytes": size, "arrays_count": 1}

    return step


class Ring:
    """Half of a cycle of two."""

    __slots__ = ("__weakref__", "array", "other")

    array: Array
    other: Ring


def make_cycle(size: int) -> Ring:
    """A cycle of two objects that hold one array between them, each through a view of its own."""
    one, two = Ring(), Ring()
    one.other, two.other = two, one
    array = touched(size)
    one.array, two.array = array[:], array[1:]
    return one


@truth
def cycles(rng: np.random.Generator, *, count: int = 100, size: int = 128 * KIB) -> Step:
    """Cycles of two objects and one array, dropped as they are made: the collector's to find.

    Where the collector is on it frees some meanwhile. How many are left, weak references tell, and
    how often it ran the interpreter's own statistics.
    """

    def step(probe: Probe) -> dict[str, float]:
        ran = runs_so_far()
        alive = [weakref.ref(make_cycle(size)) for _ in range(count - MORE)]
        while is_near_a_collection():  # what comes after this must not set one off
            alive.append(weakref.ref(make_cycle(size)))
        alive += [weakref.ref(make_cycle(size)) for _ in range(MORE)]
        probe("forward")
        ran = runs_so_far() - ran
        left = sum(ring() is not None for ring in alive)
        probe("step")
        return {
            "cycles_count": left,
            "objects_count": 2 * left,
            "left_bytes": size * left,
            "kept_bytes": 0.0,
            "runs_count": ran,
            "freed_count": 2 * (len(alive) - left),
            "arrays_count": left,
        }

    return step


def runs_so_far() -> int:
    """How often the collector has run in this process."""
    return sum(generation["collections"] for generation in gc.get_stats())


def is_near_a_collection() -> bool:
    """Whether more than half of the objects that set off the collector are there."""
    return gc.isenabled() and gc.get_count()[0] > gc.get_threshold()[0] // 2


MORE = 50  # cycles, of three objects each, that are left to the collector whether it is on or off

FORGOTTEN: list[Any] = []  # the list of a module, in which things are forgotten


@truth
def forgotten(rng: np.random.Generator, *, size: int = MIB) -> Step:
    """An array in a list of a module, which no collection frees: a leak, if a reachable one."""
    FORGOTTEN.clear()  # what the rehearsal forgot

    def step(probe: Probe) -> dict[str, float]:
        FORGOTTEN.append(touched(size))
        probe("forward")
        probe("step")
        return {"left_bytes": size, "kept_bytes": size, "arrays_count": 1, "holders_count": 1}

    return step


class Kept:
    """An object to be counted."""

    __slots__ = ("array",)


@truth
def growing(rng: np.random.Generator, *, count: int = 100, rounds: int = 5) -> Step:
    """So many more objects of a class in every round, in a list of a module."""
    FORGOTTEN.clear()

    def step(probe: Probe) -> dict[str, float]:
        for _ in range(rounds):
            FORGOTTEN.extend(Kept() for _ in range(count))
            probe("forward")
            probe("step")
        return {"grown_count": count * rounds, "grown_per_step_count": count}

    return step


@truth
def squares(rng: np.random.Generator, *, length: int = 10, size: int = 512 * KIB) -> Step:
    """A chain of squares on arrays of so many bytes, whose least peak is known in closed form."""
    x = Variable(np.ones(size // 8))

    def step(probe: Probe) -> dict[str, float]:
        x.cleargrad()
        y = squared(x, length)
        probe("forward")
        y.backward()
        probe("backward")
        probe("step")
        return {
            "floor_bytes": chain_floor(length, size, saves="input"),
            "live_bytes": chain_floor(length, size, saves="input", result="held"),
            "operations_count": length,
            "evaluations_count": length,
            "recomputed_count": 0.0,
            "arrays_count": length + 3,
        }

    return step


@truth
def squares_again(rng: np.random.Generator, *, length: int = 10, size: int = MIB) -> Step:
    """A chain of squares under a checkpoint: each of them is computed, and in backward again."""

    def step(probe: Probe) -> dict[str, float]:
        x = Variable(np.ones(size // 8))
        y = checkpoint(lambda x: squared(x, length), x)
        probe("forward")
        y.backward()
        probe("backward")
        probe("step")
        return {"evaluations_count": 2 * length, "recomputed_count": length}

    return step


def squared(x: Variable, times: int) -> Variable:
    """x, squared so many times."""
    for _ in range(times):
        x = square(x)
    return x


@truth
def known_time(rng: np.random.Generator, *, milliseconds: int = 100) -> Step:
    """Work that goes on until a given time is over."""

    def step(probe: Probe) -> dict[str, float]:
        cpu = time.thread_time()
        wall = spin(milliseconds / 1000)
        cpu = time.thread_time() - cpu
        probe("forward")
        probe("step")
        return {"wall_seconds": wall, "cpu_seconds": cpu}

    return step


def spin(seconds: float) -> float:
    """Work until so many seconds are over; how many it came to."""
    start = now = time.perf_counter()
    while now - start < seconds:
        now = time.perf_counter()
    return now - start


@truth
def fixed_work(rng: np.random.Generator, *, rounds: int = 2_000_000) -> Step:
    """A loop of the interpreter's that is the same everywhere: how fast is this machine today?

    It has no truth. Two runs' times are set beside each other by it.
    """

    def step(probe: Probe) -> dict[str, float]:
        total = 0
        for number in range(rounds):
            total += number & 7
        probe("forward")
        probe("step")
        return {"total_count": total}

    return step


# The trials ---------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """A truth to measure with an instrument."""

    workload: str
    parameters: Mapping[str, Value] = {}
    collector: Collector = "off"
    repeats: int = 1
    is_quick: bool = True  # whether a quick calibration has it, too


SIZES: Sequence[Plan] = (
    Plan("blank"),
    Plan("held", {"count": 16, "size": 64 * KIB}),
    Plan("held", {"count": 4, "size": MIB}, is_quick=False),
    Plan("held", {"count": 1, "size": 16 * MIB}, is_quick=False),
    Plan("held", {"count": 1, "size": 64 * MIB}, is_quick=False),
)
COLLECTED = Plan("cycles", {"count": 3000, "size": KIB}, "on")

# What each instrument claims to see, and what it claims to be blind to.
PLANS: Mapping[str, Sequence[Plan]] = {
    "traced": (
        *SIZES,
        Plan("untouched"),
        Plan("views"),
        Plan("small_objects", {"count": 100_000}),
        Plan("small_objects", is_quick=False),
        Plan("transient"),
        Plan("cycles"),
        COLLECTED._replace(is_quick=False),
        Plan("forgotten"),
    ),
    "resident": (
        *SIZES,
        Plan("untouched"),
        Plan("transient", {"milliseconds": 5, "rounds": 8}),
        Plan("transient", {"milliseconds": 20, "rounds": 8}),
        Plan("transient", {"milliseconds": 100, "rounds": 4}),
    ),
    "cycles": (Plan("blank"), Plan("cycles"), COLLECTED),
    "collector": (Plan("blank"), COLLECTED),
    "objects": (
        Plan("blank"),
        Plan("growing"),
        Plan("growing", {"count": 250, "rounds": 3}),
        Plan("forgotten"),
    ),
    "operations": (
        Plan("blank"),
        Plan("squares"),
        Plan("squares", {"length": 30}, is_quick=False),
    ),
    "evaluations": (
        Plan("blank"),
        Plan("squares"),
        Plan("squares_again"),
        Plan("squares_again", {"length": 30}, is_quick=False),
    ),
    "arrays": (
        *SIZES,
        Plan("untouched"),
        Plan("views"),
        Plan("transient"),
        Plan("squares"),
        Plan("squares", {"length": 30}, is_quick=False),
    ),
    "lifetimes": (
        *SIZES,
        Plan("views"),
        Plan("cycles"),
        Plan("forgotten"),
        Plan("squares"),
        Plan("squares", {"length": 30}, is_quick=False),
    ),
    "clock": (
        Plan("blank"),
        Plan("known_time", {"milliseconds": 20}),
        Plan("known_time", {"milliseconds": 200}, is_quick=False),
        Plan("fixed_work", repeats=5),
    ),
    "lines": SIZES,
    "native": (*SIZES[:2], Plan("untouched"), Plan("transient")),
}


def calibration_trials(instruments: Collection[str], *, quick: bool = False) -> list[Trial]:
    """The trials of known truths that calibrate these instruments, in the order to run them.

    quick: fewer of them, though every bound is still put to the test.
    """
    return [
        Trial(
            study=CALIBRATION,
            workload=plan.workload,
            parameters={**TRUTHS[plan.workload].defaults, **plan.parameters},
            mode="lean",
            instrument=instrument,
            collector=plan.collector,
            repeat=repeat,
        )
        for instrument, plans in PLANS.items()
        if instrument in instruments
        for plan in plans
        if plan.is_quick or not quick
        for repeat in range(plan.repeats)
    ]

"""Workloads of known truth, and of known faults. A trial names one as `specimens.py:FUNCTION`."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from autodiff import Variable, square

FORGOTTEN = []


class Node:
    """A Python object that can be in a cycle."""


def named(function):
    """How a trial names a workload of this file."""
    return f"{Path(__file__).resolve()}:{function.__name__}"


def blank(rng, *, rounds=300):
    """Nothing, with many moments in it."""

    def step(probe):
        for _ in range(rounds):
            probe("forward")
            probe("backward")
            probe("step")
        return {}

    return step


def held(rng, *, count=3, size=1_000, touched=True, seconds=0.0):
    """So many arrays of so many bytes, held from forward to the end."""
    make = np.ones if touched else np.zeros

    def step(probe):
        arrays = [make(size, dtype=np.uint8) for _ in range(count)]
        probe("forward")
        time.sleep(seconds)
        probe("step")
        return {"count": len(arrays)}

    return step


def growing(rng, *, rounds=10, size=1_000):
    """One more array of so many bytes each round."""

    def step(probe):
        arrays = []
        for _ in range(rounds):
            arrays.append(np.ones(size, dtype=np.uint8))
            probe("forward")
            probe("step")
        return {}

    return step


def transient(rng, *, size=32_000_000, seconds=0.005, rounds=1):
    """A peak of so many bytes for so long, between two moments."""

    def step(probe):
        for _ in range(rounds):
            probe("forward")
            peak = np.ones(size, dtype=np.uint8)
            time.sleep(seconds)
            del peak
            probe("step")
        return {}

    return step


def building(rng, *, size=32_000_000):
    """A peak of so many bytes before the measurement starts."""
    np.ones(size, dtype=np.uint8)

    def step(probe):
        probe("forward")
        return {}

    return step


def churning(rng, *, count=5_000):
    """Many small objects, made and freed, of the kinds that the interpreter keeps for reuse."""

    def step(probe):
        objects = [[float(i), (i, i)] for i in range(count)]
        probe("forward")
        return {"count": len(objects)}

    return step


def cycles(rng, *, count=50, size=10_000):
    """So many cycles of two objects, each with an array of so many bytes, all dropped at once."""

    def step(probe):
        for _ in range(count):
            a, b = Node(), Node()
            a.other, b.other, a.data = b, a, np.ones(size, dtype=np.uint8)
        probe("forward")
        probe("step")
        return {}

    return step


def forgetful(rng, *, size=1_000_000):
    """An array that a module keeps."""

    def step(probe):
        FORGOTTEN[:] = [np.ones(size, dtype=np.uint8)]
        probe("step")
        return {}

    return step


def talkative(rng):
    """A print and a read, which must reach neither the record nor the trial."""

    def step(probe):
        print("nonsense")
        os.write(1, b"more nonsense\n")
        return {"read_bytes": len(sys.stdin.read())}

    return step


def raising(rng):
    def step(probe):
        probe("forward")
        return {"quotient": 1 / 0}

    return step


def exiting(rng):
    def step(probe):
        sys.exit("enough")

    return step


def vanishing(rng, *, status=3):
    def step(probe):
        probe("forward")
        print("last words", file=sys.stderr, flush=True)
        os._exit(status)

    return step


def hungry(rng, *, size=1_000_000_000):
    """More than a memory limit allows, though not in the rehearsal."""

    def step(probe):
        probe("forward")
        return {"size": np.ones(size, dtype=np.uint8).size}

    return step


def signalled(rng, *, number=int(signal.SIGKILL)):
    """Ended by a signal after its rehearsal."""
    rehearsed = bool(FORGOTTEN)
    FORGOTTEN.append("rehearsed")

    def step(probe):
        probe("forward")
        if rehearsed:
            os.kill(os.getpid(), number)
        return {}

    return step


def crashing(rng):
    def step(probe):
        ctypes.string_at(0)

    return step


def hanging(rng, *, pid_file=""):
    """For ever, with a process of its own that does nothing for ever, too."""

    def step(probe):
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        if pid_file:
            Path(pid_file).write_text(f"{os.getpid()} {helper.pid}")
        probe("forward")
        while True:
            time.sleep(0.01)

    return step


def fickle(rng):
    """Not the same twice."""
    rounds = len(FORGOTTEN) + 1
    FORGOTTEN.append("rehearsed")

    def step(probe):
        for _ in range(rounds):
            probe("step")
        return {}

    return step


def infinite(rng):
    def step(probe):
        return {"loss": float("inf")}

    return step


def lost(rng):
    def step(probe):
        probe("backwards")

    return step


def diamond(rng, *, size=1_000):
    """One value used twice: its gradient is a sum."""
    x = Variable(np.ones(size))

    def step(probe):
        x.cleargrad()
        y = square(x)
        z = square(y) * y
        probe("forward")
        z.backward()
        probe("backward")
        return {"gx": float(x.grad.sum())}

    return step


def collecting(rng):
    """Whether the collector is on, and what a collection at a step leaves."""

    def step(probe):
        found = gc.isenabled()
        for _ in range(3):
            node = Node()
            node.self = node
            node.data = np.ones(1_000_000, dtype=np.uint8)
            del node
            probe("step")
        return {"enabled": found}

    return step


def _kilobytes(name):
    """A figure of this process's status."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) * 1024


def doomed(rng, *, end, size=100_000_000, witness=""):
    """So many bytes touched, and then an end that leaves nobody to say so.

    It notes in a file what was resident when it began, and at the most.
    """
    rehearsed = bool(FORGOTTEN)
    FORGOTTEN.append("rehearsed")
    before = _kilobytes("VmRSS:") if witness else 0

    def step(probe):
        if not rehearsed:
            probe("forward")
            return {}
        data = np.ones(size, dtype=np.uint8)
        if witness:
            Path(witness).write_text(f"{before} {_kilobytes('VmHWM:')}")
        probe("forward")
        if end == "raise":
            raise RuntimeError("enough")
        if end == "hang":
            time.sleep(600)
        if end == "memory limit":
            return {"size": np.ones(100 * size, dtype=np.uint8).size}
        os.kill(os.getpid(), {"SIGKILL": signal.SIGKILL, "SIGSEGV": signal.SIGSEGV}[end])
        return {"size": data.size}

    return step


def witnessed(rng, *, folder, seconds=0.0):
    """Says in a folder that it was begun, and by which process."""
    begun = bool(FORGOTTEN)
    FORGOTTEN.append("rehearsed")

    def step(probe):
        if not begun:
            with (Path(folder) / "begun").open("a") as file:
                file.write(f"{os.getpid()} {os.getppid()}\n")
        else:
            time.sleep(seconds)
        probe("step")
        return {}

    return step

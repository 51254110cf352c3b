"""The stages that a trial has reached, in a file that outlives its process.

A mark is sixteen bytes, made in memory set aside before: to write one allocates nothing, so that no
instrument sees it.
"""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import NamedTuple

from experiments.instruments import PHASES

STAGES = ("started", "warm-up", *PHASES)
_RESIDENT = -1  # in a stage's place: the mark holds bytes, and no seconds
_MARK = struct.Struct("<dq")


class Mark(NamedTuple):
    """A stage, and when it was reached, in seconds of the wall clock (time.time)."""

    seconds: float
    stage: str


class Heartbeat:
    """Writes marks. Without a path it only remembers the last stage."""

    def __init__(self, path: str | None = None) -> None:
        self.stage = ""
        self._mark = bytearray(_MARK.size)
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND)
        self._write(os.getpid())
        self.beat("started")

    def beat(self, stage: str) -> None:
        """The trial reaches a stage."""
        self.stage = stage
        self._write(STAGES.index(stage))

    def note_resident(self) -> None:
        """Leave word of how much of the process is resident, where the platform says so."""
        try:
            with open("/proc/self/statm", encoding="ascii") as file:
                pages = int(file.read().split()[1])
        except OSError:
            return
        self._put(pages * os.sysconf("SC_PAGE_SIZE"), _RESIDENT)

    def _write(self, number: int) -> None:
        self._put(time.time(), number)

    def _put(self, value: float, number: int) -> None:
        _MARK.pack_into(self._mark, 0, value, number)
        if self._file is not None:
            os.write(self._file, self._mark)


class Pulse(NamedTuple):
    """What a heartbeat's file says: whose it is, and how far that process has come."""

    pid: int | None
    marks: list[Mark]
    resident: int | None = None  # bytes, before the workload began, the highest of what was noted

    @property
    def phase(self) -> str:
        """The last phase, and in a warm-up that it is one; empty before everything."""
        if not self.marks:
            return ""
        last = self.marks[-1].stage
        stages = [mark.stage for mark in self.marks]
        rehearsing = "warm-up" in stages and "baseline" not in stages and last != "warm-up"
        return f"warm-up: {last}" if rehearsing else last


def read_pulse(path: Path) -> Pulse:
    """What a heartbeat has left so far."""
    written = path.read_bytes() if path.exists() else b""
    whole = len(written) - len(written) % _MARK.size
    beats = list(_MARK.iter_unpack(written[:whole]))
    if not beats:
        return Pulse(None, [])
    marks = [Mark(seconds, STAGES[number]) for seconds, number in beats[1:] if number != _RESIDENT]
    noted = [int(value) for value, number in beats[1:] if number == _RESIDENT]
    return Pulse(beats[0][1], marks, max(noted, default=None))

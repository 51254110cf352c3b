"""What measures. One instrument per trial: instruments disturb each other.

An instrument is told of the phases of its trial as they pass, in this order:

    baseline                    nothing of the workload exists yet
    built                       parameters and data stand; the measurement starts
    forward, backward, step     the workload's own moments, as often as it has them
    dropped                     the last reference to anything of the workload is gone
    collected                   and the collector has been called

and reads then. Its class says what it sees, what it is blind to, what it costs, and its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class Instrument:
    name: ClassVar[str]

    def __init__(self) -> None:
        self.readings: dict[str, float] = {}
        self.unavailable: dict[str, str] = {}  # reading -> why this platform has none
        self.details: dict[str, Any] = {}

    def at(self, phase: str) -> None:
        """Look, at this moment of the trial."""
        raise NotImplementedError(f"{type(self).__name__}.at")

    def close(self) -> None:
        """Stop measuring and put the last readings in place."""


INSTRUMENTS: Mapping[str, type[Instrument]] = {}

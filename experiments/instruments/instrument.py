"""What every instrument has in common, and the phases that it is told of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

MOMENTS = ("forward", "backward", "step")  # the workload's own, as often as it has them
PHASES = ("baseline", "built", *MOMENTS, "dropped", "collected")


Step = Callable[[Callable[[str], None]], Mapping[str, float]]  # as a workload gives it


class Disagreement(Exception):
    """An instrument found the same thing in two ways, and they do not agree: says both."""


class Instrument:
    name: ClassVar[str]
    alone: ClassVar[bool] = False  # whether a trial beside its own would change what it reads

    def __init__(self) -> None:
        self.readings: dict[str, float] = {}
        self.unavailable: dict[str, str] = {}  # reading -> why this platform has none
        self.details: dict[str, Any] = {}
        self.rehearsed: Mapping[str, int] = {}  # moment -> how often the workload will pass it
        self.asked: Mapping[str, Any] = {}  # what whoever runs the trial wants of this instrument
        self.folder: Path | None = None  # for files that a reader is to find beside the records

    def wrapped(self, step: Step) -> Step:
        """The workload's step, as this instrument has to see it run."""
        return step

    def at(self, phase: str) -> None:
        """Look, at this moment of the trial."""
        raise NotImplementedError(f"{type(self).__name__}.at")

    def close(self) -> None:
        """Stop measuring and put the last readings in place.

        Raises Disagreement where a cross-check fails: the trial has failed then.
        """

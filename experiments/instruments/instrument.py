"""What every instrument has in common, and the phases that it is told of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

MOMENTS = ("forward", "backward", "step")  # the workload's own, as often as it has them
PHASES = ("baseline", "built", *MOMENTS, "dropped", "collected")


class Instrument:
    name: ClassVar[str]

    def __init__(self) -> None:
        self.readings: dict[str, float] = {}
        self.unavailable: dict[str, str] = {}  # reading -> why this platform has none
        self.details: dict[str, Any] = {}
        self.rehearsed: Mapping[str, int] = {}  # moment -> how often the workload will pass it

    def at(self, phase: str) -> None:
        """Look, at this moment of the trial."""
        raise NotImplementedError(f"{type(self).__name__}.at")

    def close(self) -> None:
        """Stop measuring and put the last readings in place."""

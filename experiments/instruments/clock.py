"""Time, and nothing but time."""

from __future__ import annotations

import time

from experiments.instruments.instrument import Instrument


class Clock(Instrument):
    """How long the workload takes, on the wall and on the processor.

    Sees: all time from `built` until the last reference is gone, freeing included; the share of
    forward and of backward in it, summed over the steps.
    Blind to: why. On a machine with other work the wall clock counts that, too.
    Cost: some microseconds for each moment, the heartbeat's among them.
    Source: time.perf_counter and time.process_time.
    """

    name = "clock"
    alone = True

    def __init__(self) -> None:
        super().__init__()
        self._built = self._built_cpu = self._last = 0.0

    def at(self, phase: str) -> None:
        now, cpu = time.perf_counter(), time.process_time()
        if phase == "built":
            self._built, self._built_cpu = now, cpu
        elif phase in ("forward", "backward"):
            name = f"{phase}_seconds"
            self.readings[name] = self.readings.get(name, 0.0) + now - self._last
        elif phase == "dropped":
            self.readings["wall_seconds"] = now - self._built
            self.readings["cpu_seconds"] = cpu - self._built_cpu
        self._last = time.perf_counter()

"""Time, and nothing but time."""

from __future__ import annotations

import itertools
import time
from array import array

from experiments.instruments.instrument import Instrument

MOST_ROUNDS = 100  # of which the time is kept, spread evenly


class Clock(Instrument):
    """How long the workload takes, on the wall and on the processor.

    Sees: all time from `built` until the last reference is gone, freeing included; the share of
    forward and of backward in it, summed over the steps; each round by itself, of many a hundred.
    Blind to: why. On a machine with other work the wall clock counts that, too.
    Cost: some microseconds for each moment, the heartbeat's among them.
    Source: time.perf_counter and time.process_time.
    """

    name = "clock"
    alone = True

    def __init__(self) -> None:
        super().__init__()
        self._built = self._built_cpu = self._last = 0.0
        self._steps = array("d")  # when each round was over
        self._passed = 0

    def at(self, phase: str) -> None:
        now, cpu = time.perf_counter(), time.process_time()
        if phase == "baseline":
            self._steps = array("d", bytes(8 * self.rehearsed.get("step", 0)))
        elif phase == "built":
            self._built, self._built_cpu = now, cpu
        elif phase in ("forward", "backward"):
            name = f"{phase}_seconds"
            self.readings[name] = self.readings.get(name, 0.0) + now - self._last
        elif phase == "step":
            self._steps[self._passed] = now
            self._passed += 1
        elif phase == "dropped":
            self.readings["wall_seconds"] = now - self._built
            self.readings["cpu_seconds"] = cpu - self._built_cpu
        self._last = time.perf_counter()

    def close(self) -> None:
        """Keep the wall seconds of each round: from one `step` to the next, the first from `built`.

        Of many rounds some are kept, at even distances, and how many there were.
        """
        over = [self._built, *self._steps[: self._passed]]
        rounds = [end - start for start, end in itertools.pairwise(over)]
        kept = min(len(rounds), MOST_ROUNDS)
        self.details["rounds_seconds"] = [rounds[n * len(rounds) // kept] for n in range(kept)]
        self.details["rounds_count"] = len(rounds)

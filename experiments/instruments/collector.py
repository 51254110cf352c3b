"""What the collector does while the work runs, and how long it stops it."""

from __future__ import annotations

import gc
import time
from array import array

from experiments.instruments.instrument import Instrument

READINGS = (
    "collector_runs_count",
    "collector_collected_count",
    "collector_pause_seconds",
    "longest_pause_seconds",
)
MOST_RUNS = 500  # that stand in a record one by one
_SILENT = "this interpreter's collector does not say when it runs"


class Collector(Instrument):
    """The collector's runs while the work runs: how many, for how long, and what they freed.

    Sees: each run of the collector from `built` until the last reference is gone, those that are
    asked for included, by generation; when it was, how long the program stood still for it, and how
    many objects it freed. Of the first runs each by itself.
    Blind to: how many bytes it freed; what a run costs the work after it, whose data it may have
    pushed out of the processor's caches. Generations mean something else in every version of
    Python: they can be compared only within one.
    Cost: two calls for each run.
    Source: gc.callbacks.
    """

    name = "collector"
    alone = True  # pauses are times

    def __init__(self) -> None:
        super().__init__()
        self._began = self._longest = 0.0
        self._runs: dict[int, int] = {}  # by generation, as the next two
        self._collected: dict[int, int] = {}
        self._pauses: dict[int, float] = {}
        self._seen = array("d")  # of each run four numbers; no object that the collector tracks
        for generation in range(len(gc.get_count())):  # what is noted later takes no new object
            self._note(generation, 0, 0, 0.0)

    def at(self, phase: str) -> None:
        if phase == "built":
            self._listen()
        elif phase == "dropped":
            self._sum_up()

    def _listen(self) -> None:
        if hasattr(gc, "callbacks"):
            self._built = time.perf_counter()
            gc.callbacks.append(self._on_run)
        else:
            self.unavailable.update(dict.fromkeys(READINGS, _SILENT))

    def _on_run(self, stage: str, info: dict[str, int]) -> None:
        """Note a run of the collector: called as it starts and as it stops."""
        now = time.perf_counter()
        if stage == "start":
            self._began = now
        else:
            self._note(info["generation"], 1, info["collected"], now - self._began)
            if len(self._seen) < 4 * MOST_RUNS:
                self._seen.append(self._began - self._built)
                self._seen.append(now - self._began)
                self._seen.append(info["generation"])
                self._seen.append(info["collected"])

    def _note(self, generation: int, runs: int, collected: int, pause: float) -> None:
        self._runs[generation] = self._runs.get(generation, 0) + runs
        self._collected[generation] = self._collected.get(generation, 0) + collected
        self._pauses[generation] = self._pauses.get(generation, 0.0) + pause
        self._longest = max(self._longest, pause)

    def _sum_up(self) -> None:
        if self.unavailable:
            return
        gc.callbacks.remove(self._on_run)
        found = (self._runs, self._collected, self._pauses)
        figures = (*(sum(one.values()) for one in found), self._longest)
        self.readings.update(zip(READINGS, figures, strict=True))
        self.details["collections"] = [
            {
                "generation": generation,
                "runs_count": self._runs[generation],
                "collected_count": self._collected[generation],
                "pause_seconds": self._pauses[generation],
            }
            for generation in sorted(self._runs)
        ]
        at, pauses, generations, collected = (self._seen[place::4].tolist() for place in range(4))
        self.details["runs"] = {
            "seconds": at,
            "pause_seconds": pauses,
            "generation": list(map(int, generations)),
            "collected_count": list(map(int, collected)),
        }

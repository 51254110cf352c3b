"""What is left to the collector: the cycles, what they hold, and what it does about them."""

from __future__ import annotations

import gc
import time
from dataclasses import asdict
from typing import Any

from experiments.census import take_census, types_grown
from experiments.instruments.instrument import Instrument

_GENERATIONS = 3


class Cycles(Instrument):
    """The cycles that are left when the last reference is gone, and the collector's runs before.

    Sees: every cycle that only a collection frees, by shape, with the array bytes that it holds,
    found without freeing anything; which types became more; each run of the collector, how long
    the program stood still for it and how many objects it freed.
    Blind to: cycles through arrays of dtype object and through C objects that hide what they refer
    to, as is the collector, which never frees these; bytes of anything but arrays.
    Cost: a call for each run of the collector; after the last reference is gone, some microseconds
    for each object. Taken together with a peak it would change when the collector runs.
    Source: experiments.census; objgraph; gc.callbacks.
    """

    name = "cycles"

    def __init__(self) -> None:
        super().__init__()
        self._types: dict[str, int] = {}
        self._began = 0.0
        self._runs = [{"runs": 0, "collected": 0, "pause": 0.0} for _ in range(_GENERATIONS)]
        types_grown({})  # the first call imports objgraph

    def at(self, phase: str) -> None:
        if phase == "built":
            types_grown(self._types)
            gc.callbacks.append(self._on_run)
        elif phase == "dropped":
            gc.callbacks.remove(self._on_run)
            self._sum_up_runs()
            self.details["types"] = types_grown(self._types)
            self._count()
            gc.callbacks.append(self._on_last_run)
        elif phase == "collected":
            gc.callbacks.remove(self._on_last_run)

    def _on_run(self, stage: str, info: dict[str, int]) -> None:
        """Note a run of the collector: called as it starts and as it stops."""
        if stage == "start":
            self._began = time.perf_counter()
            return
        run = self._runs[info["generation"]]
        run["pause"] += time.perf_counter() - self._began
        run["runs"] += 1
        run["collected"] += info["collected"]

    def _on_last_run(self, stage: str, info: dict[str, int]) -> None:
        """Note the run that the trial itself asks for, after the last reference is gone."""
        if stage == "stop":
            self.readings["collected_objects_count"] = info["collected"]

    def _sum_up_runs(self) -> None:
        self.readings["collector_runs_count"] = sum(run["runs"] for run in self._runs)
        self.readings["collector_collected_count"] = sum(run["collected"] for run in self._runs)
        self.readings["collector_pause_seconds"] = sum(run["pause"] for run in self._runs)
        self.details["collections"] = [
            {
                "generation": generation,
                "runs_count": run["runs"],
                "collected_count": run["collected"],
                "pause_seconds": run["pause"],
            }
            for generation, run in enumerate(self._runs)
        ]

    def _count(self) -> None:
        census = take_census()
        self.readings["cycle_count"] = census.cycles
        self.readings["cycle_objects_count"] = census.objects
        self.readings["cycle_bytes"] = census.bytes
        self.details["shapes"] = [_row(asdict(shape)) for shape in census.shapes]

    def close(self) -> None:
        """Set the census beside what the collector freed: two ways to count the same objects."""
        counted = self.readings["cycle_objects_count"]
        freed = self.readings["collected_objects_count"]
        self.details["cross_check"] = {
            "census_objects_count": counted,
            "collected_objects_count": freed,
            "agree": counted == freed,
        }


def _row(shape: dict[str, Any]) -> dict[str, Any]:
    """A shape as a record holds it: the types that are most often in it first."""
    types = sorted(shape["types"].items(), key=lambda item: -item[1])
    return {**shape, "types": dict(types)}

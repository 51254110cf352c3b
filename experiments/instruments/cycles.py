"""What is left to the collector: the cycles, and what they hold."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Sequence
from typing import Any

from experiments.census import Array, Heap, Shape, array_bytes, take_census
from experiments.instruments.instrument import Disagreement, Instrument
from experiments.refgraph.finding import of_cycle

MOST_DRAWN = 40  # objects of a cycle and what it holds


class Cycles(Instrument):
    """The cycles that are left when the last reference is gone, each shape by itself.

    Sees: every cycle that only a collection frees, by shape, with the bytes of the arrays that it
    holds, found without freeing anything. Then the collector is called, and both figures have to be
    borne out: the objects by what it says that it freed, the bytes, to the last one, by what
    tracemalloc says that NumPy gave back meanwhile. A trial in which they are not has failed.
    Blind to: cycles through an array of dtype object, and through C objects that hide what they
    refer to. The collector is blind to these as well and never frees them, so that the cross-checks
    cannot notice either; what they hold stands under `kept_array_bytes`, beside what somebody has
    forgotten. Bytes of anything but arrays; arrays of before the baseline.
    Cost: that of tracemalloc while the work runs; after the last reference is gone some
    microseconds for each object, and two walks over all live blocks. One cycle of each shape is
    kept as a graph to be drawn, of names and numbers alone.
    Source: experiments.census; gc.callbacks; tracemalloc, numpy.lib.tracemalloc_domain.
    """

    name = "cycles"

    def at(self, phase: str) -> None:
        if phase == "baseline":
            tracemalloc.start()
            array_bytes()  # what its first call makes and keeps is not of the workload
            tracemalloc.clear_traces()
        elif phase == "dropped":
            self._count()
            self._standing = array_bytes()
            gc.callbacks.append(self._on_run)
        elif phase == "collected":
            gc.callbacks.remove(self._on_run)
            self._kept = array_bytes()

    def _count(self) -> None:
        census = take_census(traced_bytes, _example)
        self.readings["cycle_count"] = census.cycles
        self.readings["cycle_objects_count"] = census.objects
        self.readings["cycle_bytes"] = census.bytes
        self.details["shapes"] = [_row(shape) for shape in census.shapes]

    def _on_run(self, stage: str, info: dict[str, int]) -> None:
        """Note the run that the trial itself asks for, after the last reference is gone."""
        if stage == "stop":
            self.readings["collected_objects_count"] = info["collected"]

    def close(self) -> None:
        """Set the census beside what the collection freed: two ways to count, twice."""
        tracemalloc.stop()
        objects = int(self.readings["cycle_objects_count"])
        collected = int(self.readings["collected_objects_count"])
        size, freed = int(self.readings["cycle_bytes"]), self._standing - self._kept
        self.details["cross_check"] = {
            "census_objects_count": objects,
            "collected_objects_count": collected,
            "census_array_bytes": size,
            "freed_array_bytes": freed,
            "kept_array_bytes": self._kept,
        }
        if objects != collected:
            raise Disagreement(
                f"The census found {objects:,} objects that only a collection frees, and the "
                f"collection freed {collected:,}. A finalizer that brings objects back, or an "
                "object of C code that hides what it refers to, can be the reason."
            )
        if size != freed:
            raise Disagreement(
                f"The census found {size:,} bytes of arrays that only a collection frees, and "
                f"NumPy gave back {freed:,} as it ran. A finalizer that frees or makes arrays, or "
                "arrays held by way of an array of dtype object or of C code, can be the reason."
            )


def traced_bytes(array: Array) -> int:
    """The bytes that tracemalloc knows an array by: none for a view, or from before it started."""
    if not array.flags.owndata or tracemalloc.get_object_traceback(array) is None:
        return 0
    return max(array.nbytes, 1)  # NumPy asks for a byte where an array has none


def _row(shape: Shape) -> dict[str, Any]:
    """A shape as a record holds it: the types that are most often in it first."""
    return {
        "types": dict(sorted(shape.types.items(), key=lambda item: -item[1])),
        "count": shape.count,
        "objects": shape.objects,
        "bytes": shape.bytes,
        "each_bytes": [shape.least, shape.most],
        "example": shape.example,
    }


def _example(heap: Heap, cycle: Sequence[int]) -> dict[str, Any]:
    """One cycle as a graph to be drawn, with the arrays that it holds."""
    return of_cycle(heap, cycle, MOST_DRAWN).to_json()

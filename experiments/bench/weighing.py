"""What a work takes of memory: peaks, the weight of a graph, and what a loop leaves behind."""

from __future__ import annotations

import gc
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from experiments.bench.engines.engine import Work

OUT_OF_SIGHT = "its arrays are out of tracemalloc's sight"
LOOPS = 10  # rounds of the loop in which nothing should grow


def peaks(work: Work) -> dict[str, float]:
    """The most that tracemalloc sees in use above what stood before: forward, and both."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    held = work.forward()
    forward = tracemalloc.get_traced_memory()[1] - before
    found = work.backward(held)
    both = tracemalloc.get_traced_memory()[1] - before
    del held, found
    tracemalloc.stop()
    return {"forward_peak_bytes": forward, "peak_bytes": both}


def peaks_out_of_sight(work: Work, large: bool) -> tuple[dict[str, float], str]:
    """The same of arrays that tracemalloc does not see, and by what; none where nothing sees them.

    large: each array has pages of its own.
    """
    if find_spec("memray") is not None:
        return native_peaks(work), f"{OUT_OF_SIGHT}: these peaks are memray's"
    if large and sys.platform == "linux":
        return resident_peaks(work), f"{OUT_OF_SIGHT}: these peaks are the resident set's"
    return {}, f"{OUT_OF_SIGHT}; pip install memray measures its peaks"


def native_peaks(work: Work) -> dict[str, float]:
    """The same by memray, which sees each call of an allocator, whoever makes it."""

    def both() -> Any:
        return work.backward(work.forward())

    forward = _native_peak(work.forward)
    return {"forward_peak_bytes": forward, "peak_bytes": _native_peak(both)}


def _native_peak(step: Callable[[], Any]) -> int:
    import memray

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder, "allocations.bin")
        with memray.Tracker(file, trace_python_allocators=True):
            kept = step()
        del kept
        with memray.FileReader(file) as reader:
            highest = list(reader.get_high_watermark_allocation_records(merge_threads=True))
    return sum(record.size for record in highest)


def resident_peaks(work: Work) -> dict[str, float]:
    """The same by the resident set, for arrays so large that each has pages of its own.

    Needs Linux, and a process whose freed memory goes back at once. Source: proc(5), clear_refs.
    """
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far is the present
    held = work.forward()
    forward = _resident("VmHWM") - before
    found = work.backward(held)
    both = _resident("VmHWM") - before
    del held, found
    return {"forward_peak_bytes": forward, "peak_bytes": both}


def _resident(which: str) -> int:
    """VmRSS, what is resident now; VmHWM, the most that was."""
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if which in line)


def graph(short: Work, long: Work, operations: int) -> dict[str, float]:
    """What one more recorded operation takes, its array included: of two lengths, the difference.

    Of objects those that the collector tracks, when it has had the chance to leave out what it can.
    """
    weights = []
    for work in (short, short, long):  # the first, for what is made once and kept
        gc.collect()
        objects = len(gc.get_objects())
        tracemalloc.start()
        held = work.forward()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        gc.collect()
        weights.append((size, len(gc.get_objects()) - objects))
        del held
    _, (size, objects), (more_size, more_objects) = weights
    return {
        "operation_bytes": (more_size - size) / operations,
        "operation_objects_count": (more_objects - objects) / operations,
    }


def loop(begin: Callable[[], Work]) -> dict[str, float]:
    """What a loop leaves behind that makes everything anew in each round, without the collector.

    Growth is what is alive after the last round and was not after the first, for one round.
    """
    figures: dict[str, float] = {}
    for name, whole in (("forward", False), ("both", True)):
        gc.collect()
        gc.disable()
        tracemalloc.start()
        alive = []
        for _ in range(LOOPS):
            work = begin()
            held = work.forward()
            if whole:
                work.backward(held)
            alive.append(tracemalloc.get_traced_memory()[0])
        del work, held
        tracemalloc.stop()
        figures[f"{name}_growth_bytes"] = (alive[-1] - alive[0]) / (LOOPS - 1)
        figures[f"{name}_garbage_count"] = gc.collect()
        gc.enable()
    return figures

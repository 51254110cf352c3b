"""Requested bytes, exact, NumPy's arrays apart."""

from __future__ import annotations

import gc
import tracemalloc
from array import array

from experiments.census import array_bytes
from experiments.instruments.instrument import MOMENTS, PHASES, Instrument

# Where the bytes of arrays alone are read: the last time that the trial is in such a phase.
_LIVE = {
    "built": "built",
    "forward": "live_after_forward",
    "backward": "live_after_backward",
    "dropped": "left",
    "collected": "left_after_collection",
}


class Traced(Instrument):
    """Every byte that Python and NumPy ask for: live at each phase, and the peaks between them.

    Sees: each allocation through Python's allocators, to the byte, whether or not it is ever
    touched; the data of arrays apart, by the domain that NumPy reports them in.
    Blind to: what C libraries allocate for themselves (OpenBLAS's buffers); what the operating
    system pays. Peaks have no domain, so that of arrays alone cannot be had.
    Cost: 4 to 7 times the time for small operations, none for large arrays; for each of five
    phases a walk over all live blocks. It keeps its notes in memory set aside before the baseline.
    Source: tracemalloc; numpy.lib.tracemalloc_domain.
    """

    name = "traced"

    def at(self, phase: str) -> None:
        if phase == "baseline":
            self._start()
            return
        if phase == "dropped":
            _empty_free_lists()
        live, peak = tracemalloc.get_traced_memory()
        row = self._rows[0]
        self._rows[0] += 1
        self._phases[row] = code = PHASES.index(phase)
        self._live[row], self._peak[row] = live, peak
        self._passed[code] += 1
        if phase in _LIVE and self._passed[code] == self.rehearsed.get(phase, 1):
            self._arrays[code] = array_bytes()
        tracemalloc.reset_peak()

    def _start(self) -> None:
        """Set the memory for all notes aside, try each call once, and start."""
        rows = sum(self.rehearsed.values()) + len(PHASES)
        self._rows = array("q", [0])
        self._phases, self._live, self._peak = (array("q", bytes(8 * rows)) for _ in range(3))
        self._passed, self._arrays = (array("q", bytes(8 * len(PHASES))) for _ in range(2))
        tracemalloc.start()
        array_bytes()
        tracemalloc.reset_peak()
        tracemalloc.clear_traces()

    def close(self) -> None:
        tracemalloc.stop()
        phases = [PHASES[code] for code in self._phases[: self._rows[0]]]
        rows = list(zip(phases, self._live, self._peak, strict=False))
        for phase, live, _ in rows:
            if reading := _LIVE.get(phase):
                self.readings[f"{reading}_bytes"] = live
                self.readings[f"{reading}_array_bytes"] = self._arrays[PHASES.index(phase)]
        self.readings["peak_bytes"] = max(
            peak for phase, _, peak in rows if phase not in ("built", "collected")
        )
        self.details["steps"] = [
            {"phase": phase, "live_bytes": live, "peak_bytes": peak}
            for phase, live, peak in rows
            if phase in MOMENTS
        ]


def _empty_free_lists() -> None:
    """Let the interpreter give back the freed objects that it keeps for reuse, and nothing else.

    A full collection does that. What it would collect is out of its sight meanwhile: frozen.
    """
    gc.freeze()
    gc.collect()
    gc.unfreeze()

"""What the operating system pays: resident memory at each phase, and its peak.

The curve over time is not taken here but from outside, by experiments.sampler, in the runner.
"""

from __future__ import annotations

import sys

from experiments.instruments.instrument import Instrument

_AFTER = {"forward": "live_after_forward", "backward": "live_after_backward"}
_NO_TRIM = "this C library, or this version of psutil, has no call to trim the heap"
_NO_HIGH_WATER = "only Linux lets a process reset its peak (/proc/self/clear_refs)"


class Resident(Instrument):
    """Memory in RAM, as the operating system counts it, over the trial's own baseline.

    Sees: pages that were touched, whoever asked for them; the highest value by the kernel's own
    count (VmHWM), which no short peak escapes; the curve over time, by samples from outside; pages
    that no other process shares (USS).
    Blind to: memory that was asked for and not touched; what the allocator holds back or finds
    again after it was freed, which it shows late or not at all. The kernel brings VmHWM up to date
    from counters of each processor, and may be some ten pages for each short; where a reading or a
    sample was higher, that is the peak. The curve misses peaks that are shorter than the gaps
    between its samples; `peak_missed` says where it did.
    Cost: none to memory; some ten microseconds at each phase.
    Source: proc(5); psutil; memory_profiler's memory_usage on a process that it did not start.
    """

    name = "resident"
    alone = True  # an interpreter that starts turns pages of this one into shared ones

    def __init__(self) -> None:
        super().__init__()
        import psutil

        self._psutil = psutil
        self._process = psutil.Process()
        self._highest = 0
        self._resident()
        self._unique()

    def at(self, phase: str) -> None:
        if phase == "baseline":
            return_free_memory()  # what the rehearsal freed
            self._unique_at_baseline = self._unique()
            self._baseline = self._resident()
            self.details["baseline_resident_bytes"] = self._baseline
        elif phase == "built":
            self._forget_high_water()
        elif phase in _AFTER:
            self.readings[f"{_AFTER[phase]}_resident_bytes"] = self._resident() - self._baseline
        elif phase == "dropped":
            self._read_high_water()
            self.readings["left_resident_bytes"] = self._resident() - self._baseline
            self._read_unique()
        elif phase == "collected":
            left = self._resident() - self._baseline
            self.readings["left_after_collection_resident_bytes"] = left
            if return_free_memory():
                kept = self._resident() - self._baseline
                self.readings["left_after_trim_resident_bytes"] = kept
            else:
                self.unavailable["left_after_trim_resident_bytes"] = _NO_TRIM

    def _resident(self) -> int:
        """What is resident now; the highest of these is a peak, too, if a late one."""
        resident = int(self._process.memory_info().rss)
        self._highest = max(self._highest, resident)
        return resident

    def _unique(self) -> int | None:
        try:
            return int(self._process.memory_full_info().uss)
        except (AttributeError, self._psutil.Error):
            return None

    def _read_unique(self) -> None:
        unique = self._unique()
        if unique is None or self._unique_at_baseline is None:
            self.unavailable["unique_left_bytes"] = "the system does not say which pages are shared"
        else:
            self.readings["unique_left_bytes"] = unique - self._unique_at_baseline

    def _forget_high_water(self) -> None:
        """Let the peak start again from here. Source: proc(5), clear_refs, value 5."""
        self._highest = 0
        try:
            with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
                file.write("5")
        except OSError as error:
            linux = sys.platform == "linux"
            self.unavailable["peak_resident_bytes"] = str(error) if linux else _NO_HIGH_WATER

    def _read_high_water(self) -> None:
        """The kernel's peak, which it keeps to some pages: never less than was read meanwhile."""
        if "peak_resident_bytes" not in self.unavailable:
            peak = max(_high_water(), self._highest)
            self.readings["peak_resident_bytes"] = peak - self._baseline


def return_free_memory() -> bool:
    """Give freed memory back to the system: found again later, it would look like none at all.

    Returns whether that can be done here.
    """
    import psutil

    try:
        psutil.heap_trim()
    except (AttributeError, NotImplementedError, OSError):
        return False
    return True


def _high_water() -> int:
    """The highest that this process's resident set has been."""
    with open("/proc/self/status", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmHWM"].split()[0]) * 1024

"""The most that arrays came to at once, whatever Python's own objects took."""

from __future__ import annotations

import tracemalloc

from experiments.census import array_bytes
from experiments.instruments.births import births_and_deaths
from experiments.instruments.instrument import Disagreement, Instrument


class Arrays(Instrument):
    """The bytes of all arrays, at their highest and at the end: what a budget of arrays is about.

    Sees: the memory of every array, to the byte, whenever NumPy asks for it or gives it back; the
    engine is left alone, so that it may give an array up whose last holder it is. What is alive
    when all is dropped must be tracemalloc's to the last byte, or the trial has failed.
    Blind to: whatever is not an array's; arrays of before the baseline; arrays made in a thread of
    the workload's. Of when the peak was, and of what, nothing is said: `lifetimes` knows.
    Cost: some microseconds for each array, and tracemalloc's.
    Source: NumPy's PyDataMem_SetHandler (NEP 49); tracemalloc.
    """

    name = "arrays"

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[int, int] = {}  # by address
        self._live = self._peak = 0
        self._missing = ""
        try:
            self._allocations = births_and_deaths(self._born, self._died)
        except NotImplementedError as error:
            self._missing = str(error)

    def at(self, phase: str) -> None:
        if self._missing:
            return
        if phase == "baseline":
            tracemalloc.start()
            array_bytes()  # what its first call makes and keeps is not of the workload
            tracemalloc.clear_traces()
            self._allocations.start()
        elif phase == "built":
            self._peak = self._live
        elif phase == "dropped":
            self._allocations.stop()
            self._check()

    def close(self) -> None:
        if self._missing:
            self.unavailable["peak_array_bytes"] = self._missing
            return
        tracemalloc.stop()
        self.readings["peak_array_bytes"] = self._peak

    def _born(self, address: int, size: int) -> None:
        self._sizes[address] = size
        self._live += size
        self._peak = max(self._peak, self._live)

    def _died(self, address: int) -> None:
        self._live -= self._sizes.pop(address, 0)

    def _check(self) -> None:
        """Raises Disagreement where tracemalloc finds another sum."""
        if (traced := array_bytes()) != self._live:
            raise Disagreement(
                f"when all is dropped, the arrays alive come to {self._live} bytes as they were "
                f"asked for and given back and to {traced} by tracemalloc: a thread, which has a "
                "context of its own, may have made some"
            )

"""Every allocation that reaches an allocator, whoever asks for it."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.instruments.instrument import Instrument, Step

if TYPE_CHECKING:  # it is an extra
    from memray import Tracker

PEAK = "native_peak_bytes"
BUILDING, WORK, FLAME_GRAPH = "building.bin", "allocations.bin", "flame_graph.html"
_MISSING = "memray is not installed: pip install 'autodiff-lab[native]' (Linux and macOS)"


class Native(Instrument):
    """The most bytes that Python, NumPy and C libraries had asked for at once, and who had.

    Sees: each call of malloc, mmap and Python's own allocators, with the stack that made it; what
    C libraries such as OpenBLAS take for themselves; all that stands at the highest point as a
    flame graph, which opens without a network.
    Blind to: what the operating system pays, and whether memory is ever touched; what was there
    before the baseline, and when it goes. What building leaves counts as standing throughout, even
    where the work replaces it.
    Cost: 3 to 4 times the time for small operations, none for large arrays; a record on disk of
    each allocation, which is whole up to there if the process is killed.
    Source: memray.
    """

    name = "native"

    def __init__(self) -> None:
        super().__init__()
        self._building: Tracker | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._there = importlib.util.find_spec("memray") is not None
        if not self._there:
            self.unavailable[PEAK] = _MISSING
            return
        import memray

        self._memray = memray

    def wrapped(self, step: Step) -> Step:
        """The step within a tracker: memray draws the calls below the one that starts it."""
        if not self._there:
            return step

        def tracked(probe: Callable[[str], None]) -> Mapping[str, float]:
            with self._tracker(WORK):
                results = step(probe)
            return results

        return tracked

    def at(self, phase: str) -> None:
        if not self._there:
            return
        if phase == "baseline":
            self._building = self._tracker(BUILDING)
            self._building.__enter__()
        elif phase == "built" and self._building:
            self._building.__exit__(None, None, None)

    def _tracker(self, name: str) -> Tracker:
        """What writes to a file whatever is allocated, as it happens."""
        return self._memray.Tracker(
            destination=self._memray.FileDestination(self._path(name), overwrite=True),
            file_format=self._memray.FileFormat.ALL_ALLOCATIONS,
            trace_python_allocators=True,  # or small objects count by the arena, or not at all
        )

    def _path(self, name: str) -> Path:
        """A file in the trial's folder; where it has none, in one that goes with this object."""
        if self.folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="native-")
            self.folder = Path(self._temporary.name)
        return self.folder / name

    def close(self) -> None:
        if not self._there:
            return
        with self._memray.FileReader(self._path(BUILDING)) as reader:
            left = reader.get_leaked_allocation_records(merge_threads=True)
            standing = sum(record.size for record in left)
        with self._memray.FileReader(self._path(WORK)) as reader:
            highest = reader.get_high_watermark_allocation_records(merge_threads=True)
            self.readings[PEAK] = standing + sum(record.size for record in highest)
        if self._temporary is None:
            self._draw()
        for name in (BUILDING, WORK):
            self._path(name).unlink()

    def _draw(self) -> None:
        """Leave a flame graph of the highest point in the trial's folder."""
        from memray.commands import main

        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = main(
                [
                    *("flamegraph", "--no-web", "--force"),
                    *("--output", str(self._path(FLAME_GRAPH)), str(self._path(WORK))),
                ]
            )
        if status == 0:
            self.details["flame_graph"] = FLAME_GRAPH
        else:
            self.unavailable["flame_graph_count"] = f"memray drew none: {said.getvalue().strip()}"

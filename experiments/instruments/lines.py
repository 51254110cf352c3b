"""Which lines of the workload's step the resident memory grows at."""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from experiments.instruments.instrument import Instrument, Step
from experiments.instruments.resident import return_free_memory

LARGEST = "largest_line_bytes"
_NO_SOURCE = "the workload's step has no source code that can be read"


class Lines(Instrument):
    """The step's own source, and by how much the resident memory grew at each line.

    Sees: the pages that the process has in memory after each line, against those after the line
    that ran before it; over all turns of all lines this adds up to what the whole step grew by.
    (memory_profiler by itself counts from the highest that the line before ever came to, by which
    nothing in a loop adds up.) It is one run, in this process, of the step alone.
    Blind to: what a line makes and frees again before it ends; memory asked for and not touched;
    which line of a function that the step calls it was: that stands at the line that calls; other
    threads. Memory that the allocator holds back shows at no line when it is freed, and at none
    when it is taken again: only pinned as here does it go back to the system at once.
    Cost: ten to a hundred times the time of small operations; what tracing itself takes stands
    among the lines. Any other tracer (a debugger, coverage) is set aside while the step runs.
    Source: memory_profiler's LineProfiler, which sets sys.settrace; psutil.
    """

    name = "lines"

    def __init__(self) -> None:
        super().__init__()
        import psutil
        from memory_profiler import LineProfiler

        self._process = psutil.Process()
        self._profiler = LineProfiler(backend="psutil", include_children=False)
        self._profiler.code_map.trace = self._note
        self._code: CodeType | None = None
        self._baseline = self._last = self._resident()
        self._noted: dict[int, tuple[int, int, int]] = {}  # line -> grown, highest, occurrences

    def wrapped(self, step: Step) -> Step:
        """The step, traced line by line; of one that wraps a function, that function's lines."""
        self._code = _code_of(inspect.unwrap(step))
        if self._code is None:
            self.unavailable[LARGEST] = _NO_SOURCE
            return step
        self._profiler.code_map.add(self._code)

        def traced(probe: Callable[[str], None]) -> Mapping[str, float]:
            tracer = sys.gettrace()
            sys.settrace(None)  # two at a time would each see what the other does
            try:
                with self._profiler:
                    return step(probe)
            finally:
                sys.settrace(tracer)

        return traced

    def at(self, phase: str) -> None:
        if phase == "baseline":
            return_free_memory()  # what the rehearsal freed
            self._baseline = self._resident()
        elif phase == "built":
            self._last = self._resident()

    def _resident(self) -> int:
        return int(self._process.memory_info().rss)

    def _note(self, code: CodeType, line: int, line_before: int | None) -> None:
        """Note what was there after a line, and what that is more than at the last note."""
        resident = self._resident()
        grown, highest, occurrences = self._noted.get(line, (0, resident, 0))
        grown += resident - self._last
        self._noted[line] = grown, max(highest, resident), occurrences + 1
        self._last = resident

    def close(self) -> None:
        if self._code is None:
            return
        self.details["lines"] = rows = [
            self._row(line, source) for line, source in _source(self._code)
        ]
        grown = [row["increment_bytes"] for row in rows if row["occurrences"]]
        if grown:
            self.readings[LARGEST] = max(grown)
        else:
            self.unavailable[LARGEST] = "no line of the step was passed"

    def _row(self, line: int, source: str) -> dict[str, Any]:
        """A line, what it grew by in all its turns, and the most that was there after one."""
        grown, highest, occurrences = self._noted.get(line, (None, None, 0))
        return {
            "line": line,
            "source": source,
            "occurrences": occurrences,
            "increment_bytes": grown,
            "resident_bytes": None if highest is None else highest - self._baseline,
        }


def _source(code: CodeType) -> Iterator[tuple[int, str]]:
    """The lines of a function, with their numbers in its file."""
    lines, _ = inspect.getsourcelines(code)
    for number, line in enumerate(lines, start=code.co_firstlineno):
        yield number, line.rstrip()


def _code_of(function: object) -> CodeType | None:
    """The code of a function whose source can be read from a file: memory_profiler asks for one."""
    if not isinstance(function, FunctionType) or not Path(function.__code__.co_filename).is_file():
        return None
    linecache.checkcache(function.__code__.co_filename)
    try:
        inspect.getsourcelines(function.__code__)
    except OSError:
        return None
    return function.__code__

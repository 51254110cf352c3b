"""The birth and death of every array, and what was alive when most was."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from autodiff import Function, Variable
from experiments.census import array_bytes
from experiments.instruments.applications import Applications, Method
from experiments.instruments.births import births_and_deaths
from experiments.instruments.holders import holders
from experiments.instruments.instrument import Disagreement, Instrument
from experiments.instruments.timeline import Log, Timeline

# Where the log is checked, the last time that the trial is there, and the reading taken there.
_CHECKED = {
    "built": "",
    "forward": "timeline_live_after_forward_bytes",
    "backward": "timeline_live_after_backward_bytes",
    "dropped": "timeline_left_bytes",
    "collected": "",
}


class Lifetimes(Instrument):
    """Every array from its birth to its death: which operation made it, what for, and until when.

    Sees: the memory of every array, to the byte and in order, at the moment when NumPy asks for it
    and gives it back: those too that come and go within one operation. Views have none of their
    own. Each has a role: a parameter (or data) was made before the measurement starts; an
    activation by an operation, and outlived it; an output, too, and no operation took it; a
    gradient by a gradient rule or elsewhere in a backward pass, and outlived the rule; a temporary
    did not outlive the operation or rule that made it. There is a sixth for what is none of these,
    made by the workload itself while it runs, such as a batch or an update: an input. At five
    phases the bytes alive must be tracemalloc's to the last one, or the trial has failed. Who holds
    an array is looked for the first and the last time that each phase is reached, so in the first
    round and in the last, among the thousand largest; not while the collector is on, whose runs
    that would move.
    Blind to: whatever is not an array's; arrays of before the baseline; arrays made in a thread of
    the workload's, since the allocator is in force in one context and its copies: tracemalloc sees
    these, so that such a trial fails. An operation that runs within a gradient rule (to recompute,
    or under create_graph) makes activations; what `grad` adds up outside of the rules is taken for
    an input, since only `backward` can be told from the workload's own code.
    Cost: some five microseconds for each birth and for each death, ten for each operation, and
    tracemalloc's, which is why it measures no time; for who holds what, a walk over the trial's own
    objects at up to nine phases. The seconds of the timeline are without what such a pause took.
    Source: NumPy's PyDataMem_SetHandler (NEP 49); autodiff.Function and Variable.backward, wrapped
    while the trial runs; tracemalloc.
    """

    name = "lifetimes"

    def __init__(self) -> None:
        super().__init__()
        self._log = Log()
        self._passed: Counter[str] = Counter()
        self._missing = ""
        self._applications = Applications(self._apply, self._run)
        try:
            self._allocations = births_and_deaths(self._log.born_at, self._log.died_at)
        except NotImplementedError as error:
            self._missing = str(error)

    def at(self, phase: str) -> None:
        if self._missing:
            return
        if phase == "baseline":
            self._start()
        self._log.reached(phase)
        self._passed[phase] += 1
        began = self._log.now()
        is_last = self._passed[phase] == self.rehearsed.get(phase, 1)
        if phase in _CHECKED and is_last:
            self._check(phase)
        if phase != "baseline" and (is_last or self._passed[phase] == 1) and not gc.isenabled():
            self._look()
        self._log.paused += self._log.now() - began
        if phase == "built":
            self._applications.watch()
            self._applications.watch_backward(self._pass)
        elif phase == "dropped":
            self._applications.restore()

    def _start(self) -> None:
        tracemalloc.start()
        array_bytes()  # what its first call makes and keeps is not of the workload
        tracemalloc.clear_traces()
        self._log.begin()
        self._allocations.start()

    def _check(self, phase: str) -> None:
        """Take the reading of a phase. Raises Disagreement where tracemalloc finds another sum."""
        logged, traced = self._log.live, array_bytes()
        if logged != traced:
            raise Disagreement(
                f"at {phase!r} the arrays alive come to {logged} bytes by the log of their births "
                f"and deaths and to {traced} by tracemalloc: either a thread, which has a context "
                "of its own, has made some, or NumPy has told tracemalloc of one that it never got"
            )
        if reading := _CHECKED[phase]:
            self.readings[reading] = logged

    def _look(self) -> None:
        """Note who holds the arrays that are alive."""
        alive = self._log.largest()
        self._log.hold({alive[at]: words for at, words in holders(alive.keys()).items()})

    # The engine at work ---------------------------------------------------------------------------

    def _apply(self, call: Method, function: Function, inputs: tuple[Any, ...]) -> Any:
        log = self._log
        for data in _arrays(inputs):
            log.taken(data)
        before = log.enter(type(function).__name__, "forward")
        try:
            outputs = call(function, *inputs)
        finally:
            log.leave(before)
        for data in _arrays(outputs if isinstance(outputs, list) else [outputs]):
            log.given(data)
        return outputs

    def _run(self, rule: Method, function: Function, gys: tuple[Any, ...]) -> Any:
        log = self._log
        before = log.enter(type(function).__name__, "rule")
        try:
            gxs = rule(function, *gys)
        finally:
            log.leave(before)
        for data in _arrays([*gys, *(gxs if isinstance(gxs, tuple | list) else [gxs])]):
            log.seen(data)
        return gxs

    def _pass(self, run: Callable[[], None], _create_graph: bool) -> None:
        before = self._log.enter("backward pass", "pass")
        try:
            run()
        finally:
            self._log.leave(before)

    # The end --------------------------------------------------------------------------------------

    def close(self) -> None:
        if self._missing:
            names = ("peak_bytes", *(r.removeprefix("timeline_") for r in _CHECKED.values() if r))
            for reading in (*(f"timeline_{name}" for name in names), *_COUNTED):
                self.unavailable[reading] = self._missing
            return
        self._allocations.stop()
        tracemalloc.stop()
        timeline = Timeline(self._log)
        self.readings["timeline_peak_bytes"] = timeline.peak_bytes
        self.readings["array_count"] = len(self._log.sizes)
        self.readings["temporary_bytes"] = timeline.temporary_bytes
        self.details["timeline"] = timeline.detail()


_COUNTED = ("array_count", "temporary_bytes")


def _arrays(values: Iterable[Any]) -> list[npt.NDArray[Any]]:
    """The arrays among arrays, Variables and numbers."""
    found = (x.data if isinstance(x, Variable) else x for x in values)
    return [data for data in found if isinstance(data, np.ndarray)]

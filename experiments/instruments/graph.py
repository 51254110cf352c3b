"""The reference graph of what a workload holds, at each phase of its trial."""

from __future__ import annotations

import gc
import json
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from autodiff import Variable
from experiments.instruments.instrument import MOMENTS, Instrument
from experiments.references import FOLDED, values_of_frame
from experiments.refgraph.computation import computation
from experiments.refgraph.engine import FOLDED_CLASSES, class_name, kind_of
from experiments.refgraph.finding import MOST, around
from experiments.refgraph.snapshot import CARRIERS

HARNESS = Path(__file__).parent.parent
WORKLOADS = HARNESS / "workloads"
INSTALLED = ("stdlib", "purelib", "platlib")


class ReferenceGraph(Instrument):
    """Who holds whom among the objects of the workload, phase by phase, as a graph to be drawn.

    Sees: all that came since the baseline and that the step's variables lead to; the Variables,
    Functions and objects of the user's classes that nothing leads to any more; and who holds these.
    A moment that comes more than once is looked at when it comes for the last time, so that what
    earlier rounds left behind is in the picture, too.
    Blind to: what C code holds, which counts as held from outside.
    Cost: a walk over all objects at each phase. It measures nothing that this could disturb, frees
    nothing, and keeps the collector from running while it looks.
    Asked: `at`, phases, of which the first that comes is the only one to look at; `most`, how many
    boxes a graph may have; `computation`, with what to draw the computation graph alone.
    Source: experiments.refgraph.
    """

    name = "graph"

    def __init__(self) -> None:
        super().__init__()
        self._passed = dict.fromkeys(MOMENTS, 0)
        self._graphs: dict[str, str] = {}  # as text: a record of many small parts takes its time

    def at(self, phase: str) -> None:
        if phase in MOMENTS:
            self._passed[phase] += 1
            if self._passed[phase] < self.rehearsed.get(phase, 0):
                return
        if phase != "baseline" and self._wanted() in (None, phase):
            self._graphs[phase] = json.dumps(self._taken())

    def _wanted(self) -> str | None:
        """The one phase to look at; None for all."""
        phases = self.asked.get("at", ())
        return next((p for p in phases if p not in MOMENTS or self.rehearsed.get(p)), None)

    def _taken(self) -> dict[str, Any]:
        """The graph at this moment, as JSON has it."""
        most = self.asked.get("most", MOST)
        drawing = self.asked.get("computation")
        if drawing is None:
            return around(list(_roots()), most).to_json()
        named = _variables()
        wanted = {**drawing, "names": drawing["names"] and named}
        return computation(*named.values(), most=most, **wanted).to_json()

    def close(self) -> None:
        self.details["graphs"] = self._graphs
        self.details["rounds"] = self._passed


def _roots() -> Iterator[object]:
    """What the step's variables hold, then whatever else is there of the workload."""
    met: set[int] = set()
    for one in [*_in_variables(), *_since_baseline()]:
        if id(one) not in met:
            met.add(id(one))
            yield one


def _since_baseline() -> list[object]:
    """The objects of the workload that the collector lists: those of before are frozen."""
    known: dict[type, bool] = {}
    found = []
    for one in gc.get_objects():
        cls = type(one)
        if cls not in known:
            known[cls] = kind_of(cls) is not None or _is_of_user(cls)
        if known[cls]:
            found.append(one)
    return found


def _in_variables() -> list[object]:
    """The arrays and objects that the variables of the step's functions hold, or lists in them."""
    found = []
    for frame in _frames_of_step():
        pending = [value for _, value in sorted(values_of_frame(frame).items(), reverse=True)]
        met: set[int] = set()
        while pending:
            value = pending.pop()
            if isinstance(value, FOLDED) and id(value) not in met:
                met.add(id(value))
                pending += reversed(gc.get_referents(value))
            elif isinstance(value, np.ndarray) or _is_shown(value):
                found.append(value)
    return found


def _is_shown(value: object) -> bool:
    cls = type(value)
    return kind_of(cls) is not None or (_is_of_user(cls) and not isinstance(value, CARRIERS))


def _frames_of_step() -> Sequence[FrameType]:
    """The functions of the user's that run: the harness called them, and they its probe."""
    frames = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if _is_file_of_user(frame.f_code.co_filename):
            frames.append(frame)
        frame = frame.f_back
    return frames


def _is_of_user(cls: type) -> bool:
    """Whether a class is the user's, and not the harness' or a package's."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if not file or issubclass(cls, type) or class_name(cls) in FOLDED_CLASSES:
        return False
    return _is_file_of_user(file)


def _is_file_of_user(file: str) -> bool:
    """Whether a file is of neither the harness nor Python nor an installed package."""
    path = Path(file)
    if file.startswith("<frozen") or path.is_relative_to(HARNESS):
        return path.is_relative_to(WORKLOADS)
    return not any(path.is_relative_to(sysconfig.get_path(name)) for name in INSTALLED)


def _variables() -> dict[str, Variable]:
    """The Variables that the step knows by name, and their gradients that are Variables."""
    found: dict[str, Variable] = {}
    for frame in _frames_of_step():
        for name, value in sorted(values_of_frame(frame).items()):
            if isinstance(value, Variable):
                found.setdefault(name, value)
                if value.grad_var is not None:
                    found.setdefault(f"{name}.grad_var", value.grad_var)
    return found

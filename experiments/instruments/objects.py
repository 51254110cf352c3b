"""Which objects become more, and who holds the largest arrays."""

from __future__ import annotations

import json
import re
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from statistics import median
from typing import Any

from experiments.census import Array, type_counts
from experiments.instruments.instrument import Instrument
from experiments.references import Held, take_references

MOST_TYPES = 30  # in a record
MOST_ARRAYS = 40  # that are looked at, the largest first
MOST_HOLDERS = 8  # in a record: arrays that are alike, and held alike, count as one

_PLACE = re.compile(r"\[\d+\]")


class Objects(Instrument):
    """Which types of object become more, step by step, and why the largest arrays are alive.

    Sees: how many objects of each type the collector lists, at each step and when the last
    reference is gone; a type that grows at every step is what a leak looks like. Of the largest
    arrays that are alive after the last step, and of those that are left at the end, who holds
    them: link by link from a module, a class or a function that runs, or by the cycle that waits
    for a collection. Growth is the median from step to step, so that what is made once is none.
    Blind to: objects that the collector does not list, such as numbers, texts and arrays, but for
    the arrays that it names; objects and arrays of before the baseline; what is held by C code.
    Cost: some milliseconds for each step and, three times, a walk over all objects. It collects
    nothing, and keeps the collector from running while it looks.
    Source: objgraph (typestats, find_backref_chain) on the references that experiments.census sees.
    """

    name = "objects"

    def __init__(self) -> None:
        super().__init__()
        self._old: dict[int, weakref.ref[Array]] = {}
        self._counted: list[str] = []  # at each step; all notes are texts, which nobody counts
        self._alive = self._left_arrays = "[]"
        self._steps = 0

    def at(self, phase: str) -> None:
        if phase == "baseline":
            self._old = {id(array): weakref.ref(array) for array in take_references().arrays()}
            self._holders()  # what the first call makes and keeps is not of the workload
            self._before = json.dumps(type_counts())
        elif phase == "step":
            self._steps += 1
            self._counted.append(json.dumps(type_counts()))
            if self._steps == self.rehearsed.get("step"):
                self._alive = self._holders()
        elif phase == "dropped":
            self._left = json.dumps(type_counts())
            self._left_arrays = self._holders()

    def _holders(self) -> str:
        """The largest of the arrays that have come since the baseline, and who holds them."""
        references = take_references()
        new = [a for a in references.arrays() if not self._was_there(a) and a.nbytes]
        return json.dumps(alike(references.held(new[:MOST_ARRAYS]))[:MOST_HOLDERS])

    def _was_there(self, array: Array) -> bool:
        known = self._old.get(id(array))
        return known is not None and known() is array

    def close(self) -> None:
        """Compare what was counted."""
        before, left = (Counter[str](json.loads(text)) for text in (self._before, self._left))
        steps = [Counter[str](json.loads(text)) for text in self._counted]
        more = left - before
        self.readings["tracked_objects_count"] = left.total() - before.total()
        self.details["types"] = dict(more.most_common(MOST_TYPES))
        self.details["growth"] = growth(steps)
        self.details["step_objects"] = [step.total() - before.total() for step in steps]
        self.details["holders"] = {
            "alive": json.loads(self._alive),
            "left": json.loads(self._left_arrays),
        }
        if len(steps) > 1:
            totals = [step.total() for step in steps]
            grown = median(b - a for a, b in pairwise(totals))
            self.readings["grown_objects_per_step_count"] = grown
        else:
            self.unavailable["grown_objects_per_step_count"] = (
                "growth shows from step to step, and the workload has one step"
            )


def alike(arrays: Sequence[Held]) -> list[dict[str, Any]]:
    """Arrays of one kind that are held alike, but for their place in a list, as one row."""
    groups: dict[Held, list[Held]] = {}
    for held in arrays:
        anywhere = replace(held, why=_PLACE.sub("[…]", held.why))
        groups.setdefault(anywhere, []).append(held)
    return [
        {**asdict(group[0] if len(set(group)) == 1 else anywhere), "count": len(group)}
        for anywhere, group in groups.items()
    ]


def growth(steps: Sequence[Mapping[str, int]]) -> list[dict[str, Any]]:
    """The types of which there were more objects at every step than at the one before."""
    names = dict.fromkeys(name for step in steps for name in step)
    grown: list[dict[str, Any]] = []
    for name in names:
        more = [b.get(name, 0) - a.get(name, 0) for a, b in pairwise(steps)]
        if more and min(more) > 0:
            grown.append({"type": name, "each_step": median(more), "in_all": sum(more)})
    return sorted(grown, key=lambda row: row["in_all"], reverse=True)[:MOST_TYPES]

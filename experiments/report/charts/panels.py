"""What a record tells of arrays over time, as a panel of a chart shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from experiments.report.charts.bands import PANEL_PIXELS, Life, Panel, Passed
from experiments.report.charts.stacking import Arrays, stacked
from experiments.report.charts.traces import ENDS
from experiments.report.wording.looks import PHASES
from experiments.report.wording.words import GAP, TIMES, count_text

MARKED = 40  # phases that can be told apart on a panel
NOT_BY_AN_OPERATION = "made outside of operations"
NOT_SEEN = "who held it was not looked for while it was alive"

WAYS = {
    "built": "when the workload was built",
    "forward": "on the way forward",
    "backward": "on the way backward",
    "step": "at the end of a round",
    "dropped": "after the last round",
    "collected": "in the collection",
}

Columns = Mapping[str, Any]


class Timeline:
    """The detail of a record of `lifetimes`, with what follows from it."""

    def __init__(self, detail: Columns) -> None:
        self.detail = detail
        phases = detail["phases"]
        self.phases = [Passed(*row) for row in rows(phases, "event", "bytes", "phase")]

    @property
    def peak(self) -> Passed:
        peak = self.detail["peak"]
        return Passed(peak["event"], peak["bytes"], self.way(peak["event"]))

    @property
    def is_long(self) -> bool:
        """Whether there is more than a screen can show at once."""
        return self.detail["closer"] is not None

    @property
    def views(self) -> tuple[Columns, Columns]:
        """The curve of the whole trial, and that of the round that the peak is in."""
        whole: Columns = self.detail["curve"]
        return whole, self.detail["closer"] or whole

    def way(self, event: int) -> str:
        """On the way to which phase an event was, and in which round of how many."""
        after = (p.phase for p in self.phases if p.event >= event and p.phase in WAYS)
        phase = next(after, "")
        ends = [p.event for p in self.phases if p.phase == "step"]
        number = sum(end < event for end in ends) + 1
        where = f", round {number} of {len(ends)}" if 1 < len(ends) >= number else ""
        return WAYS.get(phase, "at the end") + (where if phase in ("forward", "backward") else "")

    @cached_property
    def arrays(self) -> Arrays:
        columns = self.detail["arrays"]
        never = self.detail["events"] + 1
        died = [never if event is None else event for event in columns["died"]]
        known = (columns["bytes"], columns["role"], columns["born"], died)
        return Arrays(*(np.array(column, np.int64) for column in known))

    def panel(self, title: str, curve: Columns, top: float, floor: float | None) -> Panel:
        """The panel of one of the views, `top` bytes high."""
        names = self.detail["roles"]
        totals = [curve["roles"].get(role, [0] * len(curve["event"])) for role in names]
        stack = stacked(
            self.arrays,
            curve["event"],
            totals,
            least_bytes=top / PANEL_PIXELS,
            beyond=self._beyond(curve),
        )
        first, last = int(stack.columns[0]), int(stack.columns[-1])
        return Panel(
            title=title,
            stack=stack,
            lives=dict(zip(stack.apart.tolist(), self.lives(stack.apart.tolist()), strict=True)),
            phases=self._marked(first, last),
            peak=self.peak,
            floor=floor,
        )

    def _beyond(self, curve: Columns) -> float:
        """Bytes x life up to which the record does not tell of every array in a view."""
        if "beyond" in curve:
            return float(curve["beyond"])
        if not self.detail["rest"]["count"]:
            return -1.0
        arrays = self.arrays
        return float((arrays.sizes * (arrays.died - arrays.born)).min())

    def _marked(self, first: int, last: int) -> list[Passed]:
        """The phases that are marked: all, or the ends where they are too many."""
        passed = [p for p in self.phases if p.phase in PHASES and first <= p.event <= last]
        return [p for p in passed if len(passed) <= MARKED or p.phase in ENDS]

    # Array by array -------------------------------------------------------------------------------

    def lives(self, numbers: Sequence[int]) -> list[Life]:
        """What there is to say of some arrays."""
        events, seconds = (self.detail["curve"][name] for name in ("event", "seconds"))

        def place(event: int) -> tuple[int, float, str]:
            return event, float(np.interp(event, events, seconds)), self.way(event)

        died = self.detail["arrays"]["died"]
        return [
            Life(
                what=self.what(n),
                held=self.held(n),
                born=place(int(self.arrays.born[n])),
                died=None if died[n] is None else place(died[n]),
            )
            for n in numbers
        ]

    def largest(self, most: int) -> list[int]:
        """The arrays that took most, in bytes x life, in that order."""
        area = self.arrays.sizes * (self.arrays.died - self.arrays.born)
        found: list[int] = np.argsort(-area, kind="stable")[:most].tolist()
        return found

    def what(self, number: int) -> str:
        """`Square, activation: 10 000 float64`."""
        operation, role, shape = self._kind(number)
        maker = NOT_BY_AN_OPERATION if operation is None else self.detail["operations"][operation]
        shaped = "" if shape is None else f": {shape_text(*self.detail['shapes'][shape])}"
        return f"{maker}, {self.detail['roles'][role]}{shaped}"

    def _kind(self, number: int) -> tuple[Any, ...]:
        return tuple(self.detail["arrays"][name][number] for name in ("operation", "role", "shape"))

    def held(self, number: int) -> str:
        """Who held an array at the phases at which that was looked for."""
        if "held" not in self.detail:
            return ""
        if number in self._holders:
            return f"held by {self._holders[number]}"
        alike = self._alike.get(self._kind(number), set())
        return f"one like it was held by {next(iter(alike))}" if len(alike) == 1 else NOT_SEEN

    @cached_property
    def _holders(self) -> dict[int, str]:
        """The holders of each array, one after the other."""
        told: dict[int, list[tuple[str, str]]] = {}
        for phase, array, holder in rows(self.detail["held"], "phase", "array", "holder"):
            name, so_far = self.detail["holders"][holder], told.setdefault(array, [])
            if not so_far or so_far[-1][1] != name:
                so_far.append((PHASES[self.phases[phase].phase][2], name))
        return {array: story(found) for array, found in told.items()}

    @cached_property
    def _alike(self) -> dict[tuple[Any, ...], set[str]]:
        found: dict[tuple[Any, ...], set[str]] = {}
        for number, holder in self._holders.items():
            found.setdefault(self._kind(number), set()).add(holder)
        return found


def story(held: Sequence[tuple[str, str]]) -> str:
    """Who held an array, and, where that changed, who did at which phase."""
    if len(held) == 1:
        return held[0][1]
    return "; then ".join(f"{holder} ({phase})" for phase, holder in held)


def shape_text(shape: Sequence[int], dtype: str) -> str:
    """`600 × 128 float64`; of a single number `float64`."""
    sizes = f"{GAP}{TIMES}{GAP}".join(map(count_text, shape))
    return f"{sizes} {dtype}".strip()


def rows(columns: Columns, *names: str) -> list[tuple[Any, ...]]:
    """The rows of some columns."""
    return list(zip(*(columns[name] for name in names), strict=True))

"""A log of births and deaths, and what a record keeps of it: the exact curve of live bytes.

Time is counted in events: after event 0 nothing has happened, after event k the k-th birth or death
has. The detail that a record keeps is made of columns:

    phases      event, seconds, phase, bytes: when the trial reached each phase, and what was alive
    curve       event, seconds, bytes, and roles: bytes by role; thinned, no peak lost
    closer      the same of the round that the peak is in; None where the curve is not thinned
    peak        event, seconds, bytes, roles and operations: what was alive when most was
    arrays      bytes, born, died (events; None: not yet), role, operation, shape: numbers in the
                lists `roles`, `operations` and `shapes`, or None where nothing is known. Those of
                the most bytes x life, and those of the most in the closer round, in the order of
                their birth.
    rest        count, event, bytes: how many other arrays there were, and their curve, thinned
    held        phase, array, holder: who held an array from a phase on that was looked at (a row
                of `phases`), until another row says otherwise; numbers in `arrays` and in the list
                `holders`, which is in words
    beyond      in `curve` and in `closer`: the bytes x life in it that an array has to exceed for
                the record to tell of it; those of less may be among the rest

The operation of a gradient is that whose rule gave it: `Mul backward`.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from experiments.census import owner

MOST_ARRAYS = 700  # in a record; more bands than that no screen can show
MOST_CLOSER = 300  # of the closer round
MOST_HELD = 1_000  # arrays whose holders are looked for at a phase, the largest and oldest
POINTS = 600  # to a curve, for the same reason

ROLES = ("parameter", "input", "activation", "output", "gradient", "temporary")
PARAMETER, INPUT, ACTIVATION, OUTPUT, GRADIENT, TEMPORARY = range(len(ROLES))

_ROUND_ENDS = ("built", "step", "dropped")

Work: TypeAlias = Literal["forward", "rule", "pass"]  # what a piece of work is
Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass
class Log:
    """Every birth and death, in order, and what was at work then.

    It is kept in arrays of numbers that are not NumPy's: these are not what is measured, and the
    collector does not look at them.
    """

    sizes: array[int] = field(default_factory=lambda: array("q"))  # of each buffer
    born: array[int] = field(default_factory=lambda: array("q"))
    died: array[int] = field(default_factory=lambda: array("q"))  # -1: not yet
    makers: array[int] = field(default_factory=lambda: array("q"))  # the work; -1: none
    seconds: array[float] = field(default_factory=lambda: array("d"))  # after each event
    names: list[str] = field(default_factory=list)  # of each piece of work
    works: list[Work] = field(default_factory=list)
    ended: array[int] = field(default_factory=lambda: array("q"))
    phases: list[tuple[int, float, str, int]] = field(default_factory=list)
    shapes: dict[int, int] = field(default_factory=dict)  # buffer -> number of its shape
    known_shapes: dict[tuple[tuple[int, ...], str], int] = field(default_factory=dict)
    results: set[int] = field(default_factory=set)  # buffers of results that nobody took
    live: int = 0
    held: list[tuple[int, int, int]] = field(default_factory=list)  # phase, buffer, holder
    holders: dict[str, int] = field(default_factory=dict)
    paused: float = 0.0  # seconds that were not the workload's
    _now: int = -1
    _living: dict[int, int] = field(default_factory=dict)  # address -> buffer

    def now(self) -> float:
        return time.perf_counter() - self.paused

    def begin(self) -> None:
        self.seconds.append(self.now())

    def born_at(self, address: int, size: int) -> None:
        self._living[address] = len(self.sizes)
        self.sizes.append(size)
        self.born.append(len(self.seconds))
        self.died.append(-1)
        self.makers.append(self._now)
        self.live += size
        self.seconds.append(self.now())

    def died_at(self, address: int) -> None:
        buffer = self._living.pop(address)
        self.died[buffer] = len(self.seconds)
        self.live -= self.sizes[buffer]
        self.seconds.append(self.now())

    def reached(self, phase: str) -> None:
        self.phases.append((len(self.seconds) - 1, self.now(), phase, self.live))

    def enter(self, name: str, work: Work) -> int:
        """Begin a piece of work; gives what `leave` is to be told."""
        before, self._now = self._now, len(self.names)
        self.names.append(name)
        self.works.append(work)
        self.ended.append(-1)
        return before

    def leave(self, before: int) -> None:
        """End the piece of work; the one that it was a part of goes on."""
        self.ended[self._now] = len(self.seconds) - 1
        self._now = before

    def largest(self) -> dict[int, int]:
        """The largest buffers that are alive, the oldest first: their addresses and numbers."""
        found = sorted(self._living.items(), key=lambda item: (-self.sizes[item[1]], item[1]))
        return dict(found[:MOST_HELD])

    def hold(self, holders: Mapping[int, str]) -> None:
        """At the phase that was reached last, the holders of buffers are these."""
        for buffer, words in sorted(holders.items()):
            holder = self.holders.setdefault(words, len(self.holders))
            self.held.append((len(self.phases) - 1, buffer, holder))

    def taken(self, data: npt.NDArray[Any]) -> None:
        """An operation takes this data."""
        self.results.discard(self.seen(data))

    def given(self, data: npt.NDArray[Any]) -> None:
        """An operation has this data for a result."""
        if (buffer := self.seen(data)) >= 0:
            self.results.add(buffer)

    def seen(self, data: npt.NDArray[Any]) -> int:
        """The buffer of some data, whose shape is known from now on; -1 where the log has none."""
        data = owner(data)
        buffer = self._living.get(data.__array_interface__["data"][0], -1)
        if buffer >= 0 and buffer not in self.shapes:
            shape = data.shape, data.dtype.name
            self.shapes[buffer] = self.known_shapes.setdefault(shape, len(self.known_shapes))
        return buffer


class Timeline:
    """What a finished log says."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.events = len(log.seconds)
        self.sizes, self.born = np.array(log.sizes, np.int64), np.array(log.born, np.int64)
        died = np.array(log.died, np.int64)
        self.died = np.where(died < 0, self.events, died)  # after the last event
        self.marks = {phase: event for event, _, phase, _ in log.phases}  # the last of each
        self.roles = np.array([self._role(b) for b in range(len(log.sizes))], np.int64)
        self.curves = np.array([self._curve(self.roles == role) for role in range(len(ROLES))])
        self.bytes: Integers = self.curves.sum(axis=0)
        self.peak = self._highest(self.bytes)

    @property
    def peak_bytes(self) -> int:
        return int(self.bytes[self.peak])

    @property
    def temporary_bytes(self) -> int:
        """The most that temporaries came to at once."""
        curve = self.curves[TEMPORARY]
        return int(curve[self._highest(curve)])

    def _highest(self, curve: Integers) -> int:
        """The event after which a curve is highest, while the work was done."""
        start, end = self.marks.get("built", 0), self.marks.get("dropped", self.events - 1)
        return start + int(np.argmax(curve[start : end + 1]))

    def _role(self, buffer: int) -> int:
        log, maker = self.log, self.log.makers[buffer]
        if self.born[buffer] <= self.marks.get("built", 0):
            return PARAMETER
        if maker < 0:
            return INPUT
        if log.works[maker] == "pass":
            return GRADIENT
        if self.died[buffer] <= log.ended[maker]:
            return TEMPORARY
        if log.works[maker] == "rule":
            return GRADIENT
        return OUTPUT if buffer in log.results else ACTIVATION

    def _curve(self, chosen: npt.NDArray[np.bool_]) -> Integers:
        """The live bytes of chosen buffers after each event."""
        changes = np.zeros(self.events + 1, np.int64)
        np.add.at(changes, self.born[chosen], self.sizes[chosen])
        np.subtract.at(changes, self.died[chosen], self.sizes[chosen])
        return np.cumsum(changes[: self.events])

    def _operation(self, buffer: int) -> str | None:
        maker = self.log.makers[buffer]
        if maker < 0:
            return None
        return self.log.names[maker] + (" backward" if self.log.works[maker] == "rule" else "")

    # As a record keeps it -------------------------------------------------------------------------

    def detail(self) -> dict[str, Any]:
        """The columns that a record keeps."""
        operations = [self._operation(b) for b in range(len(self.sizes))]
        names = list(dict.fromkeys(name for name in operations if name))
        around = self._around_peak()
        whole, closer = self._area(0, self.events), self._area(around.start, around.stop)
        kept = np.union1d(_most(whole, MOST_ARRAYS), _most(closer, MOST_CLOSER))
        rest = np.setdiff1d(np.arange(len(self.sizes)), kept)
        return {
            "events": self.events - 1,
            "roles": list(ROLES),
            "operations": names,
            "shapes": [[list(shape), dtype] for shape, dtype in self.log.known_shapes],
            "phases": self._phases(),
            "curve": {**self._columns(thinned(self.bytes)), "beyond": _most_of(whole[rest])},
            "closer": self._closer(around, _most_of(closer[rest])),
            "peak": self._at_peak(operations),
            "arrays": {
                "bytes": self.sizes[kept].tolist(),
                "born": self.born[kept].tolist(),
                "died": [int(d) if d < self.events else None for d in self.died[kept]],
                "role": self.roles[kept].tolist(),
                "operation": [names.index(o) if (o := operations[b]) else None for b in kept],
                "shape": [self.log.shapes.get(int(b)) for b in kept],
            },
            "rest": self._rest(rest),
            **self._held(kept),
        }

    def _area(self, start: int, end: int) -> Integers:
        """The bytes x life of each array between two events."""
        lives = np.minimum(self.died, end) - np.maximum(self.born, start)
        area: Integers = self.sizes * np.maximum(lives, 0)
        return area

    def _held(self, kept: Integers) -> dict[str, Any]:
        """Who held the arrays that are kept, whenever that was another than before."""
        numbers = {int(buffer): number for number, buffer in enumerate(kept)}
        words = list(self.log.holders)
        said: dict[str, int] = {}
        last: dict[int, int] = {}
        rows = []
        for phase, buffer, holder in self.log.held:
            if buffer in numbers and last.get(buffer) != holder:
                last[buffer] = holder
                said.setdefault(words[holder], len(said))
                rows.append((phase, numbers[buffer], said[words[holder]]))
        columns = zip(*rows, strict=True) if rows else ((), (), ())
        held = dict(zip(("phase", "array", "holder"), map(list, columns), strict=True))
        return {"held": held, "holders": list(said)}

    def _since_start(self, seconds: float) -> float:
        return round(seconds - self.log.seconds[0], 7)

    def _phases(self) -> dict[str, list[Any]]:
        rows = [(e, self._since_start(s), phase, live) for e, s, phase, live in self.log.phases]
        columns = zip(*rows, strict=True)
        return dict(zip(("event", "seconds", "phase", "bytes"), map(list, columns), strict=True))

    def _around_peak(self) -> range:
        """The events of the round that the peak is in, from where the one before ends."""
        ends = [event for event, _, phase, _ in self.log.phases if phase in _ROUND_ENDS]
        start = max((event for event in ends if event < self.peak), default=0)
        end = min((event for event in ends if event >= self.peak), default=self.events - 1)
        return range(start, end + 1)

    def _closer(self, around: range, beyond: int) -> dict[str, Any] | None:
        if self.events <= POINTS:
            return None
        places = thinned(self.bytes[around.start : around.stop])
        columns = self._columns([around.start + place for place in places])
        return {**columns, "beyond": beyond}

    def _columns(self, places: Sequence[int]) -> dict[str, Any]:
        return {
            "event": places,
            "seconds": [self._since_start(self.log.seconds[place]) for place in places],
            "bytes": self.bytes[places].tolist(),
            "roles": {
                role: curve[places].tolist()
                for role, curve in zip(ROLES, self.curves, strict=True)
                if curve.any()
            },
        }

    def _at_peak(self, operations: Sequence[str | None]) -> dict[str, Any]:
        alive = np.flatnonzero((self.born <= self.peak) & (self.died > self.peak))
        by_operation: Counter[str] = Counter()
        for buffer in alive.tolist():
            if name := operations[buffer]:
                by_operation[name] += int(self.sizes[buffer])
        return {
            "event": self.peak,
            "seconds": self._since_start(self.log.seconds[self.peak]),
            "bytes": self.peak_bytes,
            "roles": {
                role: int(curve[self.peak])
                for role, curve in zip(ROLES, self.curves, strict=True)
                if curve[self.peak]
            },
            "operations": dict(by_operation.most_common()),
        }

    def _rest(self, rest: Integers) -> dict[str, Any]:
        """The arrays that are not kept one by one."""
        if not len(rest):
            return {"count": 0, "event": [], "bytes": []}
        chosen = np.zeros(len(self.sizes), bool)
        chosen[rest] = True
        curve = self._curve(chosen)
        places = thinned(curve)
        return {"count": len(rest), "event": places, "bytes": curve[places].tolist()}


def _most(area: Integers, most: int) -> Integers:
    """The numbers of the largest."""
    return np.argsort(-area, kind="stable")[:most]


def _most_of(area: Integers) -> int:
    """The largest of all; -1 where there is none."""
    return int(area.max(initial=-1))


def thinned(curve: Integers) -> list[int]:
    """At most `POINTS` places: the lowest and highest of each stretch, and both ends."""
    if len(curve) <= POINTS:
        return list(range(len(curve)))
    stretch = -(-2 * len(curve) // (POINTS - 2))
    kept = {0, len(curve) - 1}
    for start in range(0, len(curve), stretch):
        part = curve[start : start + stretch]
        kept |= {start + int(part.argmin()), start + int(part.argmax())}
    return sorted(kept)

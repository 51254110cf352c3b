"""The operation log, for the floor that any engine is under: no figure of the run itself."""

from __future__ import annotations

import tracemalloc
import weakref
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff import Function, Variable
from experiments import census
from experiments.bounds import (
    NEW,
    SCATTERED,
    Application,
    OperationLog,
    Rule,
    Value,
    liveness_floor,
)
from experiments.instruments.applications import Applications, Method
from experiments.instruments.instrument import Instrument


class Operations(Instrument):
    """Which arrays each operation takes, gives and declares that its rule reads, in order.

    Sees: every application of a Function and every run of a gradient rule; of that, the least peak
    that the same operations in the same order could have (experiments.bounds.liveness_floor), over
    what stood when the workload was built.
    Blind to: what NumPy calls outside of Functions allocate, an optimizer's updates among them, and
    the temporaries inside of an operation: the floor lies under them.
    Cost: several times the time of small operations; that is why it measures nothing else.
    Source: the public class autodiff.Function, wrapped while the trial runs.
    """

    name = "operations"

    def __init__(self) -> None:
        super().__init__()
        self.log = OperationLog()
        self._names: Counter[str] = Counter()
        self._numbers = _Numbers()
        self._values: dict[tuple[int, int], int] = {}  # numbers of values
        self._applications: dict[int, Application] = {}  # by the Function's id
        self._watched = Applications(self._apply, self._run)

    def at(self, phase: str) -> None:
        if phase == "baseline":
            tracemalloc.start()  # by which an array of before the baseline is told from a later one
        elif phase == "built":
            self.log.standing.update(self._buffer(array) for array in census.arrays())
            self._watched.watch()
        elif phase == "dropped":
            self._watched.restore()
            tracemalloc.stop()

    def close(self) -> None:
        applications = [e for e in self.log.events if isinstance(e, Application)]
        self.readings["operation_count"] = len(applications)
        self.readings["floor_bytes"] = liveness_floor(self.log)
        self.details["operations"] = dict(self._names.most_common())

    def _apply(self, call: Method, function: Function, inputs: tuple[Any, ...]) -> Any:
        result = call(function, *inputs)
        self._applied(function, inputs, result if isinstance(result, list) else [result])
        return result

    def _run(self, rule: Method, function: Function, gys: tuple[Any, ...]) -> Any:
        reads = function.saved
        gxs = rule(function, *gys)
        self._ran(function, reads, gys, gxs if isinstance(gxs, tuple | list) else (gxs,))
        return gxs

    def _applied(self, function: Function, inputs: tuple[Any, ...], outputs: list[Any]) -> None:
        application = Application(
            [self._value(x) for x in inputs], [self._value(y) for y in outputs]
        )
        self._applications[id(function)] = application
        self._names[type(function).__name__] += 1
        self.log.events.append(application)

    def _ran(
        self, function: Function, reads: Sequence[Any], gys: Sequence[Any], gxs: Sequence[Any]
    ) -> None:
        application = self._applications[id(function)]
        gradients = [
            self._gradient(gx, wanted) if wants else None
            for gx, wanted, wants in zip(gxs, application.inputs, function.wanted, strict=True)
        ]
        arrays = [array for array in map(_array, reads) if array is not None]
        buffers = [self._buffer(array) for array in arrays]
        given = [None if array is None else self._buffer(array) for array in map(_array, gys)]
        self.log.events.append(Rule(application, buffers, gradients, given))

    def _gradient(self, gx: Any, value: Value) -> int | None:
        """The buffer of a gradient: NEW where the engine has still to make the one that counts."""
        array = _array(gx)
        if array is None:
            return None if gx is None else NEW if np.isscalar(gx) else SCATTERED
        return self._buffer(array) if array.nbytes == value.bytes else NEW

    def _value(self, x: Any) -> Value:
        array = _array(x)
        if array is None:  # a plain number takes no buffer
            number = self._numbers.fresh()
            self.log.sizes[number] = 0
            return Value(self._values.setdefault((number, 0), len(self._values) + 1), number, 0)
        return Value(self._of_value(x, array), self._buffer(array), array.nbytes)

    def _of_value(self, x: Any, array: np.ndarray[Any, Any]) -> int:
        """The number of a value: of this array, as its creator's.

        A rule that is to be differentiated gets new Variables on what was kept: other objects, and
        the same values.
        """
        creator = x.creator if isinstance(x, Variable) else None
        made_by = 0 if creator is None else self._numbers.of(creator)
        key = self._numbers.of(array), made_by
        return self._values.setdefault(key, len(self._values) + 1)

    def _buffer(self, array: np.ndarray[Any, Any]) -> int:
        """The number of the memory that an array lies in; memory of before the baseline is free."""
        array = census.owner(array)
        number = self._numbers.of(array)
        if number not in self.log.sizes:
            is_older = tracemalloc.get_object_traceback(array) is None
            self.log.sizes[number] = 0 if is_older else array.nbytes
        return number


class _Numbers:
    """A number for every object, never given twice and keeping none alive."""

    def __init__(self) -> None:
        self._next = 0
        self._known: dict[int, tuple[weakref.ref[Any], int]] = {}

    def of(self, thing: Any) -> int:
        known = self._known.get(id(thing))
        if known is not None and known[0]() is thing:
            return known[1]
        number = self.fresh()
        self._known[id(thing)] = weakref.ref(thing), number
        return number

    def fresh(self) -> int:
        self._next += 1
        return self._next


def _array(x: Any) -> np.ndarray[Any, Any] | None:
    """The array of a Variable, or the array itself; None for a number and anything else."""
    data = x.data if isinstance(x, Variable) else x
    return data if isinstance(data, np.ndarray) else None

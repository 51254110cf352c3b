"""A budget: what the arrays of graphs may come to in bytes, kept ones being computed again.

A Pool, the keeper of one `with using_config("budget", BYTES)`, counts every array that its graphs
touch. Before one is made it drops kept arrays until there is room; a rule that reads one that was
dropped has it computed again, from the nearest arrays that are there.
An array that somebody else makes counts from the first operation that it is given to. Weights stand
before: a Layer that is called has all its own counted, and `count_in_budget` does it for anybody.
For what functions make beside operations they ask room (`make_room`).
Source: Kirisame et al. 2021 (Dynamic Tensor Rematerialization, arXiv 2006.09616).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from autodiff.arrays import Array
from autodiff.config import KEEPERS, settings
from autodiff.gradients import Scattered
from autodiff.graph import Function
from autodiff.held import alone
from autodiff.keepers.eviction import Application, Reading, alone_in_holding, depth, holder, lasts
from autodiff.keepers.footprint import Footprint, buffer_of
from autodiff.keepers.footprints import footprint_of
from autodiff.keepers.ledger import Ledger, owner
from autodiff.keepers.values import Making, Value, values_kept
from autodiff.keeping import BudgetError, Keeper, Kept
from autodiff.variable import Variable

GIVEN, RESULTS, GRADIENTS = "leaves and constants", "results", "gradients"
ADVICE = (
    "give a larger budget, take a smaller batch, hold fewer results, or use checkpoint_sequential, "
    "which plans ahead"
)


class Pool(Keeper):
    """What the graphs of one budget hold.

    ledger: what stands, which is shared with the budgets that this one is nested in.
    """

    __slots__ = ("budget", "ledger", "_held", "_passing", "_now", "__weakref__")

    def __init__(self, budget: int, ledger: Ledger) -> None:
        self.budget = budget
        self.ledger = ledger
        # What may be dropped, in the order in which it was first held: so runs repeat exactly.
        self._held: WeakValueDictionary[int, Value] = WeakValueDictionary()
        self._passing: deque[Value] = deque()  # what no rule reads, computed on the way to others
        self._now = 0  # counts operations and rules

    # While a graph is recorded --------------------------------------------------------------------

    def prepare(self, function: Function, arrays: Sequence[Any]) -> None:
        self._now += 1
        for x in arrays:
            if isinstance(x, np.ndarray):
                self.ledger.met(x, GIVEN)
        self.clear(footprint_of(function).of_forward(function, arrays), type(function).__name__)

    def constants(self, results: Sequence[Array]) -> None:
        self.count(results, RESULTS, "an operation")

    def keep(self, function: Function, arrays: Sequence[Any], results: Sequence[Array]) -> None:
        values = values_kept(function, arrays, results)
        making = function.making
        assert making is not None
        for x, array in zip(making.inputs, arrays, strict=True):
            if type(x) is Value and x.making is not None and x.making.note is None:
                x.hold(array)
        footprint = footprint_of(function)
        making.note = _application(making, footprint, arrays, results)
        read = [self._read(x) for x in dict.fromkeys(values) if type(x) is Value]
        room = footprint.of_rule(function, arrays, results)
        name = type(function).__name__
        function.kept = Budgeted(self, values, [x for x in read if x is not None], room, name)
        self.count(results, RESULTS, name)

    def _read(self, value: Value) -> Value | None:
        """Hold what a rule will read; the Value that is held for it, None where one lasts."""
        held = holder(value)
        array = held.found()
        if array is None:  # the view that was given is all that there is of it
            held, array = value, value.found()
        if lasts(held):
            return None
        assert array is not None
        held.readers += 1
        self._hold(held, array)
        return held

    def _hold(self, value: Value, array: Array) -> None:
        if value.note is None:
            value.note = Reading(value, owner(array).nbytes, self._now)
        if value.held is not array:
            value.hold(array)
            value.note.comes(self._now)
        value.note.used = self._now
        self._held[value.note.number] = value

    # Room -----------------------------------------------------------------------------------------

    def given(self, arrays: Iterable[Array]) -> None:
        for array in arrays:
            self.ledger.met(array, GIVEN)
        self.clear(0, "what was counted last")

    def make_room(self, size: int) -> None:
        self.clear(size, "what is no operation")

    def made(self, array: Array) -> None:
        self.count((array,), GRADIENTS, "the backward pass")

    def count(self, arrays: Iterable[Array], role: str, who: str) -> None:
        """Count what was made; raise BudgetError where it was more than was foreseen."""
        for array in arrays:
            self.ledger.met(array, role)
        if self.ledger.standing > self.budget:
            raise self._error(0, who)

    def clear(self, size: int, who: str) -> None:
        """Drop arrays until so many bytes more may stand; raise BudgetError where they cannot."""
        while self.ledger.standing + size > self.budget:
            if self._passing:
                _drop_unread(self._passing.popleft())
                continue
            value = self._cheapest()
            if value is None:
                raise self._error(size, who)
            value.drop()
            value.note.goes()
            del self._held[value.note.number]

    def _cheapest(self) -> Value | None:
        """That which costs least to miss, of those whose memory would be free."""
        best, least = None, 0.0
        for value in self._held.values():
            if alone_in_holding(value):
                price = value.note.price(self._now)
                if best is None or price < least:
                    best, least = value, price
        return best

    def _error(self, size: int, who: str) -> BudgetError:
        roles = sorted(self.ledger.by_role().items())
        standing = ", ".join(f"{count} of {role}" for role, count in roles if count) or "none"
        needs = f"{who} needs {size} bytes, which beside those" if size else f"{who}, with all"
        what = f"{needs} that cannot be dropped now ({standing})"
        return BudgetError(self.budget, self.ledger.standing + size, what, ADVICE)

    # While rules run ------------------------------------------------------------------------------

    def forget(self, value: Value) -> None:
        """No rule reads it any more."""
        self._held.pop(value.note.number, None)

    def tick(self) -> None:
        self._now += 1

    def found(self, value: Any) -> Array | None:
        """The array of a Value, if anybody has it."""
        array: Array | None = value.found() if type(value) is Value else None
        if array is not None and value.note is not None:
            value.note.used = self._now
        return array

    def arrays_of(self, values: Sequence[Any]) -> list[Any]:
        """The arrays of Values, at the same time; what is no Value as it is."""
        frames = [Frame(values)]
        try:
            while True:
                frame = frames[-1]
                missing = frame.gather(self)
                if missing is not None:
                    assert missing.making is not None
                    frames.append(Frame(missing.making.inputs, missing.making, missing.number))
                elif frame.making is None:
                    return frame.arrays
                else:
                    frames.pop()
                    frames[-1].take(self._again(frame.making, frame.arrays)[frame.number])
        finally:
            while self._passing:
                _drop_unread(self._passing.popleft())

    def _again(self, making: Making, arrays: list[Any]) -> Sequence[Array]:
        """Repeat an application, and hold what it gives."""
        operation = making.operation
        self._now += 1
        name = type(operation).__name__
        self.clear(footprint_of(operation).of_forward(operation, arrays), f"{name}, again,")
        results = operation.results(arrays)
        self.count(results, RESULTS, name)
        for value, array in zip(making.outputs(), results, strict=True):
            if value is None:
                continue
            if value.readers:
                self._hold(value, array)
            else:
                value.hold(array)
                self._passing.append(value)
        return results


class Budgeted(Kept):
    """What a Function keeps, as Values, of which some may be gone.

    read: those in whose memory they lie. room: the bytes that the rule allocates.
    """

    __slots__ = ("pool", "values", "read", "room", "name")

    def __init__(
        self, pool: Pool, values: tuple[Any, ...], read: list[Value], room: int, name: str
    ) -> None:
        self.pool, self.values, self.read, self.room, self.name = pool, values, read, room, name

    @property
    def keeper(self) -> Pool:  # type: ignore[override]
        return self.pool

    def arrays(self) -> Any:
        if len(self.values) == 1 and (array := self.pool.found(self.values[0])) is not None:
            return array
        return alone(tuple(self.pool.arrays_of(self.values)))

    def begin(self, gy: Any) -> Any:
        pool = self.pool
        pool.tick()
        pool.count(_arrays_in(gy), GRADIENTS, self.name)
        arrays = self.arrays()
        # Operations of a rule on Variables ask for themselves, but not what is plain NumPy in it.
        buffer = 0 if isinstance(gy, Variable) or not self.room else buffer_of(gy)
        pool.clear(self.room + buffer, f"the rule of {self.name}")
        return arrays

    def end(self, gxs: Any) -> None:
        self.pool.count(_arrays_in(gxs), GRADIENTS, f"the rule of {self.name}")

    def let_go(self) -> None:
        for value in self.read:
            value.readers -= 1
            if not value.readers:
                value.drop()
                value.note.comes(0)
                self.pool.forget(value)


class Frame:
    """An application that is to be repeated, and the arrays for it that are here already.

    The input that is farthest from the leaves is got first: so nothing waits for it meanwhile.
    """

    __slots__ = ("making", "number", "inputs", "arrays", "_order")

    def __init__(
        self, inputs: Sequence[Any], making: Making | None = None, number: int = 0
    ) -> None:
        self.inputs, self.making, self.number = inputs, making, number
        self.arrays = list(inputs)
        self._order = [i for i, x in enumerate(inputs) if isinstance(x, Value)]
        if len(self._order) > 1:
            self._order.sort(key=lambda i: depth(inputs[i]))

    def gather(self, pool: Pool) -> Value | None:
        """Take the arrays that anybody has; the first Value of which nobody has it."""
        while self._order:
            value = self.inputs[self._order[-1]]
            array = pool.found(value)
            if array is None:
                return value  # type: ignore[no-any-return]
            self.take(array)
        return None

    def take(self, array: Array) -> None:
        self.arrays[self._order.pop()] = array


def _application(
    making: Making, footprint: Footprint, arrays: Sequence[Any], results: Sequence[Array]
) -> Application:
    deep = 1 + max([depth(x) for x in making.inputs if type(x) is Value], default=0)
    for y in results:
        whole = y if y.base is None else owner(y)
        for position, x in enumerate(arrays):
            if type(x) is np.ndarray and (x is whole or (x.base is not None and owner(x) is whole)):
                return Application(0, deep, position)
    size = sum([y.nbytes for y in results])
    return Application(footprint.work_of(making.operation, arrays, size), deep, None)


def _drop_unread(value: Value) -> None:
    if not value.readers:
        value.drop()


def _arrays_in(gradients: Any) -> Iterable[Array]:
    """The arrays of what a rule is given or gives."""
    if type(gradients) is np.ndarray:
        return (gradients,)
    found = gradients if isinstance(gradients, list) else (gradients,)
    return [
        x if isinstance(x, np.ndarray) else x.gy if isinstance(x, Scattered) else x.data
        for x in found
        if x is not None
    ]


def _pool(budget: Any) -> Pool:
    """A new pool, within that of the budget in force."""
    if isinstance(budget, bool) or not isinstance(budget, (int, np.integer)):
        raise TypeError(
            f"budget = {budget!r}: a whole number of bytes, or None, not {type(budget).__name__}"
        )
    if budget <= 0:
        raise ValueError(f"budget = {budget!r}: a number of bytes above 0, or None for no budget")
    outer = settings().keeper
    return Pool(int(budget), outer.ledger if isinstance(outer, Pool) else Ledger())


KEEPERS["budget"] = _pool


def count_in_budget(*things: Any) -> None:
    """Count arrays in the budget in force, if there is one, from now on.

    things: Variables, arrays, or what has `params()`, as layers do, which call this themselves.
    Without it an array that was made elsewhere counts from the first operation that it is given to:
    weights that stand from the beginning are beside the budget until it is their turn.
    Raises BudgetError where what cannot be dropped comes to more than the budget.
    """
    keeper = settings().keeper
    if keeper is not None:
        keeper.given([array for thing in things for array in _arrays_of(thing)])


def make_room(size: int) -> None:
    """Have the budget in force, if there is one, drop kept arrays until there are so many bytes.

    For functions that make large arrays beside operations, as dropout makes masks. One of them that
    is given to an operation counts from there on; others are gone by then. What nobody asks room
    for is beside the budget. Raises BudgetError where there cannot be so much room.
    """
    keeper = settings().keeper
    if keeper is not None:
        keeper.make_room(size)


def _arrays_of(thing: Any) -> Iterable[Array]:
    """The arrays of a Variable or of what has parameters; an array is its own."""
    if isinstance(thing, np.ndarray):
        yield thing
    elif not isinstance(thing, Variable):
        yield from (x.data for x in thing.params() if x.data is not None)
    elif thing.data is not None:
        yield thing.data

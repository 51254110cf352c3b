"""What of a chain's arrays is held, and how the rest is computed again when backward reads it.

    Function -- kept --> Later -- recomputation --> Recomputation -- parts --> Part -- Values
                           `- part ------------------------------------------> of its stage

Which values are held is for subclasses to say, by what they hold on the first way and by turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autodiff.arrays import Array
from autodiff.gradients import Output, function_of
from autodiff.graph import Function
from autodiff.held import alone
from autodiff.keepers.chains import Stage
from autodiff.keepers.ledger import owner
from autodiff.keepers.replay import Account, computed
from autodiff.keepers.schedules import Step, Turn
from autodiff.keepers.values import Value, values_kept
from autodiff.keeping import Keeper, Kept
from autodiff.variable import Variable, source_of


class Part:
    """A stage of the chain, as it was recorded.

    reads: for each of its Functions the Values that its rule reads. main: the Functions between its
    input and its result, through which backward passes together. ready: those of them whose arrays
    are here. result: x_i. reads_result: whether a rule reads that. standing: Functions that are not
    released.
    """

    __slots__ = ("main", "number", "reads", "reads_result", "ready", "result", "standing")

    def __init__(self) -> None:
        self.number = 0  # until the stage ends
        self.reads: list[tuple[Value, ...]] = []
        self.main: list[int] = []
        self.ready: set[int] = set()
        self.result: Value | None = None
        self.reads_result = False
        self.standing = 0

    def values(self) -> list[Value]:
        """All that the rules of its main Functions read."""
        return list(dict.fromkeys(x for number in self.main for x in self.reads[number]))


class Later(Kept):
    """What a Function in a chain keeps: Values, here or to be computed again."""

    __slots__ = ("number", "part", "recomputation", "values")

    def __init__(
        self, recomputation: Recomputation, part: Part, number: int, values: tuple[Any, ...]
    ) -> None:
        self.recomputation = recomputation
        self.part, self.number, self.values = part, number, values

    def arrays(self) -> Any:
        found = computed([x for x in self.values if isinstance(x, Value)])
        return alone(tuple([found[x] if isinstance(x, Value) else x for x in self.values]))

    def begin(self, gy: Any) -> Any:
        if self.recomputation.is_recorded and self.number in self.part.main:
            self.recomputation.due(self.part, self.number)
        return self.arrays()

    def end(self, gxs: Any) -> None:
        if self.recomputation.is_recorded:
            self.recomputation.done(self.part, self.number)

    def let_go(self) -> None:
        self.end(None)
        part = self.part
        part.standing -= 1
        if not part.standing and self.recomputation.is_recorded:
            part.result, part.reads, part.main = None, [], []


class Recomputation(Keeper):
    """The keeper of a chain: it records the stages, holds some values, and computes the others.

    start: the array of x_0, which is held throughout. is_recorded: whether the chain has come to
    its end. A stage may run a backward of its own before; its rules find what they read themselves.
    """

    is_recorded = False

    def __init__(self, start: Array) -> None:
        self.parts: list[Part] = []
        self._part = Part()
        self.begin_at(start)

    def begin_at(self, start: Array) -> None:
        """Begin the chain here: no gradient goes to what was before it."""
        for part in (*self.parts, self._part):  # whose rules, if any runs, find for themselves
            part.ready, part.main = set(), []
        self.start = Value(start)
        self.parts = []
        self.stages: list[Stage] = []
        self.held: set[int] = set()  # the numbers of values
        self._claims: dict[Value, tuple[Array, int]] = {}  # what is held, and for how many reasons
        self._given = 0  # the number of a value that stays for the rule that made it
        self._turns: list[Turn] = []  # of the pass that is under way, the last stage's first
        self._at = 0  # the stage that the pass has come to
        self._begin_stage(self.start)

    def _begin_stage(self, given: Value) -> None:
        self._account, self._part = Account(given), Part()

    # For subclasses to say ------------------------------------------------------------------------

    def keeps_reads(self) -> bool:
        """Whether on the first way what rules read is held until the end of the stage at least."""
        raise NotImplementedError

    def turns(self) -> list[Turn]:
        """What to hold in a backward that begins with x_0 alone."""
        raise NotImplementedError

    # On the first way -----------------------------------------------------------------------------

    def keep(self, function: Function, arrays: Sequence[Any], results: Sequence[Array]) -> None:
        """Take in an operation that has been recorded."""
        values = values_kept(function, arrays, results)
        application = self._account.add(function, values, arrays, results)
        part, number = self._part, len(self._part.reads)
        part.reads.append(tuple([x for x in application.reads if x is not self.start]))
        part.standing += 1
        function.kept = Later(self, part, number, values)
        if self.keeps_reads():
            self._make_ready(part, number)

    def end_stage(self, y: Variable, is_last: bool) -> bool:
        """End a stage, whose result this is; whether there is one.

        A result in the memory of the stage's input ends none, unless it is the last. One that has
        no gradient, or was not made here, begins the chain anew.
        """
        value, given = _value_of(y), self._account.given.found()
        shared = given is not None and owner(y.data) is owner(given)
        if value is None or (shared and not is_last):
            if not shared:
                self.begin_at(y.data)
            return False
        account, part = self._account, self._part
        part.number, part.result = len(self.parts) + 1, value
        numbers = {making: number for number, making in enumerate(account.applications)}
        part.main = [numbers[application.making] for application in account.main(value)]
        for number in part.ready - set(part.main):
            self._release(part, number)
        part.reads_result = value in part.values()
        self.parts.append(part)
        self.stages.append(account.stage(value, y.data))
        self._begin_stage(self.start if is_last else value)  # the last one holds all before it
        return True

    def follow(self, turns: list[Turn]) -> None:
        """The first way is done: follow these turns in the first backward."""
        self.is_recorded = True
        self._turns, self._at = turns, len(self.parts) + 1

    # What is held ---------------------------------------------------------------------------------

    def hold(self, number: int) -> None:
        """Hold a value that is here."""
        result = self.parts[number - 1].result
        if number not in self.held and result is not None:
            self.held.add(number)
            self._claim(result)

    def let_go(self, number: int) -> None:
        """Hold a value no more."""
        result = self.parts[number - 1].result if number in self.held else None
        self.held.discard(number)
        if result is not None:
            self._disclaim(result)

    def release_reads(self, number: int) -> None:
        """Hold no more, for its rules, what those of a stage read."""
        part = self.parts[number - 1]
        for function in list(part.ready):
            self._release(part, function)

    def _make_ready(self, part: Part, number: int) -> None:
        part.ready.add(number)
        for value in part.reads[number]:
            self._claim(value)

    def _release(self, part: Part, number: int) -> None:
        part.ready.discard(number)
        for value in part.reads[number]:
            self._disclaim(value)

    def _claim(self, value: Value) -> None:
        array, reasons = self._claims.get(value, (value.found(), 0))
        assert array is not None
        self._claims[value] = array, reasons + 1

    def _disclaim(self, value: Value) -> None:
        array, reasons = self._claims.pop(value)
        if reasons > 1:
            self._claims[value] = array, reasons - 1

    # In backward ----------------------------------------------------------------------------------

    def due(self, part: Part, number: int) -> None:
        """A rule is about to run: make ready what it reads; it alone holds its stage's result."""
        if number not in part.ready:
            self.restore(part)
        self._leave(part.number - 1)

    def restore(self, part: Part) -> None:
        """Make ready what the rules of a stage read, and hold values on the way to it."""
        end, count = part.number, len(self.parts)
        if end >= self._at:
            self._begin_pass()
        self._leave(end)
        for passed in range(self._at - 1, end - 1, -1):
            turn = self._turns[count - passed]
            if passed == end and not turn.keeps:
                self._leave(end - 1)
            for step in turn.steps:
                if step.value < end:
                    self._compute(step)
        self._at = end
        self._make_all_ready(part)

    def done(self, part: Part, number: int) -> None:
        """A rule has run, or will not: what it alone read goes."""
        if number not in part.ready:
            return
        end = part.number
        if end > 1 and part.ready == {number}:
            self._pass_on(end - 1)
        self._release(part, number)
        if end and not part.ready:
            self._at = min(self._at, end)
            self._leave(end - 1)
            if end > 1 and not self._stays(end - 1):
                self.let_go(end - 1)

    def _begin_pass(self) -> None:
        self._claims.clear()
        self.held.clear()
        self._given = 0
        for part in self.parts:
            part.ready.clear()
        self.follow(self.turns())

    def _compute(self, step: Step) -> None:
        """Compute a value again and hold it."""
        part = self.parts[step.value - 1]
        if part.result is None or step.value in self.held:
            return
        fresh = computed([part.result, *(part.values() if step.whole else ())])
        self.hold(step.value)
        if step.whole:
            self._make_all_ready(part)
        del fresh

    def _make_all_ready(self, part: Part) -> None:
        fresh = computed(part.values())
        for number in part.main:
            if number not in part.ready:
                self._make_ready(part, number)
        del fresh

    def _pass_on(self, number: int) -> None:
        """Hold a value that was on its way for the rule that made it."""
        part, before = self.parts[number - 1], self._given
        if self._stays(number) and part.result in self._claims and not part.ready:
            self._given = number
            self._claim(part.result)
            self._forget(before)

    def _stays(self, number: int) -> bool:
        """Whether a value, when the stage that took it is done, stays for the one that made it."""
        keeps = not self._turns or self._turns[len(self.parts) - number].keeps
        return keeps and self.parts[number - 1].reads_result

    def _leave(self, number: int) -> None:
        """Hold no more what only stages after x_number read."""
        for value in [value for value in self.held if value > number]:
            self.let_go(value)
        if self._given > number:
            self._forget(self._given)
            self._given = 0

    def _forget(self, given: int) -> None:
        result = self.parts[given - 1].result if given else None
        if result is not None:
            self._disclaim(result)


def _value_of(y: Variable) -> Value | None:
    """The Value of a result, where it is known how to make it."""
    source = source_of(y) if y.requires_grad else None
    function = function_of(source)
    making = None if function is None else function.making
    if making is None:
        return None
    return making.output(source.number if type(source) is Output else 0, y.data)

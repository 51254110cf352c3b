"""A chain of functions of which the graph holds little, and computes the rest again in backward.

Each function is called once. Backward repeats the operations that it applied, on arrays, so that
whatever else it does (drawing a random mask, counting a batch) happens once. An operation's forward
must give the same for the same arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np

from autodiff.arrays import Array
from autodiff.config import settings, using_config
from autodiff.graph import Function
from autodiff.keepers.chains import Chain, Stage
from autodiff.keepers.footprints import footprint_of
from autodiff.keepers.ledger import Ledger, owner
from autodiff.keepers.recomputation import Recomputation
from autodiff.keepers.schedules import Schedule, Step, Turn
from autodiff.keeping import BudgetError
from autodiff.variable import Operand, Variable, as_constant

Functions: TypeAlias = Iterable[Callable[[Any], Variable]]


class InSegments(Recomputation):
    """So many segments of as many functions each; the longer ones first, where that does not go up.

    What is held is the input of each, and all that the last one reads. Backward computes each of
    the others again once, whole. Source: Chen et al. 2016 (arXiv 1604.06174).
    """

    def __init__(self, start: Array, functions: int, segments: int) -> None:
        super().__init__(start)
        length, longer = divmod(functions, segments)
        self._ends = {(i + 1) * length + min(i + 1, longer) for i in range(segments - 1)}
        self._in_last = segments == 1
        self._due = False  # an end was passed that is no stage's
        self._bounds: list[int] = []  # the numbers of the values between segments

    def keeps_reads(self) -> bool:
        return self._in_last

    def passed(self, functions: int, y: Variable, is_last: bool) -> None:
        """So many functions have been called, and the last of them gave y."""
        self._due |= functions in self._ends
        self._in_last |= functions == max(self._ends, default=0)
        ended = self.end_stage(y, is_last)
        if not self.parts:
            self._bounds.clear()
        elif ended and self._due and not is_last:
            self._due = False
            self._bounds.append(len(self.parts))
            self.hold(len(self.parts))
        if is_last:
            self.follow([Turn([], keeps=True) for _ in self._last()] + self._before())

    def turns(self) -> list[Turn]:
        turns = self._turns_of(self._last())
        if turns:
            turns[0].steps[:0] = [Step(value) for value in self._bounds]
        return turns + self._before()

    def _last(self) -> range:
        """The stages of the last segment."""
        return range(self._bounds[-1] if self._bounds else 0, len(self.parts))

    def _before(self) -> list[Turn]:
        """The turns of all segments but the last, from the last one on."""
        starts = [0, *self._bounds]
        turns: list[Turn] = []
        for i in range(len(self._bounds), 0, -1):
            turns += self._turns_of(range(starts[i - 1], starts[i]))
        return turns

    def _turns_of(self, segment: range) -> list[Turn]:
        """A segment's turns: when its last stage is next, all of it is computed again."""
        turns = [Turn([], keeps=True) for _ in segment]
        if turns:
            turns[0].steps.extend(Step(value, whole=True) for value in segment[1:])
        return turns


class WithinBudget(Recomputation):
    """What can be held within a budget, with the fewest evaluations.

    What the stages to come need is not known on the first way. So all is held until the budget is
    full. Then the stages to come are taken to be like those before: what the best plan for these
    would not hold goes, and it is followed for as long as they are. When all stages are known, the
    best way back from what is held is found. Where they are all alike, that is the optimum.
    """

    def __init__(self, start: Array, functions: int, budget: int, result_held: bool) -> None:
        self._functions, self._budget, self._result_held = functions, budget, result_held
        self._input = start
        super().__init__(start)
        size = owner(start).nbytes
        if size > budget:
            raise BudgetError(budget, size, "the input alone", ADVICE)

    def begin_at(self, start: Array) -> None:
        super().begin_at(start)
        self._ledger = Ledger()  # of what the chain has made and somebody holds
        for array in (start, self._input):
            self._ledger.met(array, "inputs")
        self._whole: set[int] = set()  # stages of which all is held that their rules read
        self._asked = 0  # bytes for what a function makes by itself and gives to an operation
        self._reading = 0  # the last one whose rules read anything; that is held until the next
        self._expected: Stage | None = None  # what the plan takes the stages to come to be like
        self._targets: dict[int, bool] = {}  # the values of theirs that it holds; stages whole?

    def keeps_reads(self) -> bool:
        return True

    def prepare(self, function: Function, arrays: Sequence[Any]) -> None:
        """Make room for what an operation will make: a stage may be larger than was expected."""
        given = [x for x in arrays if isinstance(x, np.ndarray) and x not in self._ledger]
        fresh = min(sum(x.nbytes for x in given), self._asked)
        self._asked = 0
        self._most_with(footprint_of(function).of_forward(function, arrays) + fresh)

    def make_room(self, size: int) -> None:
        self._asked = size
        most = self._most_with(size)
        if most > self._budget:
            raise BudgetError(self._budget, most, "what a function makes by itself", ADVICE)

    def _most_with(self, size: int) -> int:
        """What stands with so many bytes more, as much as need be having been dropped for them."""
        made = sum(stage.made for stage in self.stages) + self._account.made()
        while self._ledger.standing + made + size > self._budget and self._dropped_last():
            pass
        return self._ledger.standing + made + size

    def constants(self, results: Sequence[Array]) -> None:
        for y in results:
            self._ledger.met(y, "constants")

    def keep(self, function: Function, arrays: Sequence[Any], results: Sequence[Array]) -> None:
        super().keep(function, arrays, results)
        for y in results:
            self._ledger.met(y, "results")

    def _dropped_last(self) -> bool:
        """Drop what was held last, and is computed again from nearest by; whether there was any."""
        if self._reading not in (0, *self._whole):
            self.release_reads(self._reading)
            self._reading = 0
        elif self._whole:
            number = max(self._whole)
            self._whole.discard(number)
            if number != self._reading:
                self.release_reads(number)
        elif self.held:
            self.let_go(max(self.held))
        else:
            return False
        return True

    def passed(self, functions: int, y: Variable, is_last: bool) -> None:
        """So many functions have been called, and the last of them gave y."""
        if self.end_stage(y, is_last):
            self._check(is_last)
            self._take_in(self._functions - functions)
        if is_last:
            self.follow(self._way_back())

    def turns(self) -> list[Turn]:
        return self._schedule(self.stages).in_backward() or self._holding_nothing()

    def _take_in(self, remaining: int) -> None:
        """Decide what stays of a stage that has just ended."""
        number, stage = len(self.stages), self.stages[-1]
        if (stage if remaining else self._as_last(stage)).reads:
            if self._reading not in (0, *self._whole):
                self.release_reads(self._reading)
            self._reading = number
        if not remaining:
            return
        if stage != self._expected:
            self._expected = None
        elif number in self._targets:
            self._hold(number, self._targets[number])
        if self._expected is None:
            self._hold(number, whole=True)
            if not self._fits(remaining):
                self._plan_ahead(remaining)

    def _hold(self, number: int, whole: bool) -> None:
        self.hold(number)
        if whole and (number == 1 or number - 1 in self.held):
            self._whole.add(number)

    def _keep(self, steps: Sequence[Step]) -> None:
        """Of what is held, hold on to this."""
        for number in self.held - {step.value for step in steps}:
            self.let_go(number)
        for number in self._whole - {step.value for step in steps if step.whole}:
            self._whole.discard(number)
            if number != self._reading:
                self.release_reads(number)

    def _bytes(self) -> int:
        """Of all that is held, with constants that stand."""
        values = sum(self.stages[number - 1].result for number in self.held)
        inside = sum(self.stages[number - 1].inside for number in self._whole)
        made = sum(stage.made for stage in self.stages)
        return self._standing() + owner(self._start()).nbytes + values + inside + made

    def _start(self) -> Array:
        assert self.start.held is not None
        return self.start.held

    def _standing(self) -> int:
        """Bytes of the first function's input, where the chain begins later than there."""
        return 0 if self._start() is self._input else owner(self._input).nbytes

    def _typical(self) -> Stage:
        """What the stages to come are taken to be like: those before, on average."""
        first, *others = self.stages
        return first if all(stage == first for stage in others) else mean(self.stages)

    def _fits(self, remaining: int) -> bool:
        """Whether the backward of a stage to come has room beside all that is held."""
        stage = self._typical()
        needed = stage.result + stage.forward + stage.result * self._result_held
        if remaining == 1:
            stage = self._as_last(stage)
        on_way = self.stages[-1].result * stage.reads_input
        needed = max(needed, on_way + stage.backward + stage.result * self._result_held)
        return self._bytes() + needed + stage.made <= self._budget

    def _as_last(self, stage: Stage) -> Stage:
        """A stage as the last one: the caller may hold the result, which then stands anyway."""
        if not (self._result_held and stage.reads_result):
            return stage
        return replace(stage, reads_result=False, backward=stage.backward - stage.result)

    def _plan_ahead(self, remaining: int) -> None:
        """Take the stages to come to be typical, and hold what is best then."""
        number, typical = len(self.stages), self._typical()
        ahead = set(range(number + 1, number + remaining))
        schedule = self._schedule([*self.stages, *[typical] * remaining])
        last = schedule.chain.last_reading()
        steps = None
        if last:
            steps = schedule.on_first_way(self.held | ahead, self._whole | ahead, last)
        self._expected, self._targets = typical, {step.value: step.whole for step in steps or ()}
        self._keep(steps or ())

    def _way_back(self) -> list[Turn]:
        """The first backward's turns; what they have no use for is held no more."""
        if not self.stages:
            return []
        schedule, last = self._schedule(self.stages), self._reading
        steps: list[Step] | None
        steps = [Step(value, value in self._whole) for value in sorted(self.held) if value < last]
        everything = len(steps) == last - 1 and all(step.whole for step in steps)
        turns = None
        if everything or schedule.chain.alike(0, last):
            turns = schedule.in_backward(steps, last)
        if turns is None and last:
            steps = schedule.on_first_way(self.held, self._whole, last)
            turns = None if steps is None else schedule.in_backward(steps, last)
        if turns is None:
            steps, self._reading = [], 0
            turns = schedule.in_backward() or self._holding_nothing()
            if last:
                self.release_reads(last)
        self._keep(steps or [])
        return turns

    def _holding_nothing(self) -> list[Turn]:
        return [Turn([], keeps=False) for _ in self.stages]

    def _schedule(self, stages: Sequence[Stage]) -> Schedule:
        """What plans the chain; its own arrays are to have room beside those that are held."""
        chain, budget = self._chain(stages)
        room = max(self._budget - self._ledger.standing, 0)
        return Schedule(chain, budget, cells=room // 32)

    def _chain(self, stages: Sequence[Stage]) -> tuple[Chain, int]:
        """The chain of these stages, and the budget for it."""
        budget = self._budget - self._standing() - stages[-1].result * self._result_held
        stages = [*stages[:-1], self._as_last(stages[-1])]
        return Chain(stages, owner(self._start()).nbytes), budget

    def _check(self, is_last: bool) -> None:
        """Raise BudgetError where the stages so far need more than the budget."""
        number = len(self.stages)
        if number > 3 and not is_last and self.stages[-1] == self.stages[-2]:
            return  # which needs no more than that one did
        chain, budget = Chain(self.stages, owner(self._start()).nbytes), self._budget
        if is_last:
            chain, budget = self._chain(self.stages)
        least = chain.least() + self._budget - budget
        if least > self._budget:
            of = "all" if is_last else "the first"
            what = f"the backward of {f'{of} {number} stages' if number > 1 else 'one stage'}"
            raise BudgetError(self._budget, least, what, ADVICE)


ADVICE = (
    "raise it, cut the stage that takes most into several functions, or take fewer rows at a time"
)


def mean(stages: Sequence[Stage]) -> Stage:
    """A stage that is like these on average, and reads all that any of them does."""

    def of(name: str) -> int:
        total: float = sum(getattr(stage, name) for stage in stages)
        return math.ceil(total / len(stages))

    return Stage(
        cost=of("cost"),
        result=of("result"),
        gradient=of("gradient"),
        forward=of("forward"),
        backward=of("backward"),
        reads_input=any(stage.reads_input for stage in stages),
        reads_result=any(stage.reads_result for stage in stages),
        inside=of("inside"),
        again=of("again"),
        made=of("made"),
        left=of("left"),
    )


def checkpoint_sequential(
    functions: Functions,
    x: Operand,
    *,
    segments: int | None = None,
    budget: int | None = None,
    result: Literal["dropped", "held"] = "dropped",
) -> Variable:
    """functions[-1](...functions[0](x)), of which backward computes again what is not held.

    segments: how many parts to cut the chain into; the input of each is held, and each but the last
        is computed again whole (Chen et al. 2016).
    budget: the bytes that the chain's arrays may take: x, values held or on their way, gradients
        with those of parameters, and, where it is known of an operation, what it makes for a
        moment. Stages that are alike are computed again as seldom as that allows (Griewank and
        Walther 2000), others as seldom as was known when each of them was passed.
    result: whether the caller holds the result while backward runs; if so, the budget counts it.
    Exactly one of segments and budget is given. Every function is called once; just the forwards of
    operations are computed again. What functions make beside operations counts where they ask room
    for it (`make_room`, as nn's layers do); what a chain inside a stage holds is not counted.
    Raises BudgetError where a budget cannot be met.
    """
    stages = _checked(functions, segments, budget, result)
    y = as_constant(x)
    if settings().recording is None:
        for function in stages:
            y = function(y)
        return y
    recomputation: InSegments | WithinBudget
    if segments is not None:
        recomputation = InSegments(y.data, len(stages), segments)
    else:
        assert budget is not None
        recomputation = WithinBudget(y.data, len(stages), budget, result == "held")
    # Whatever the mode: what Functions hold here is what was asked for.
    with (
        using_config("output_refs", "weak"),
        using_config("kept", "declared"),
        using_config("keeper", recomputation),
    ):
        for number, function in enumerate(stages, 1):
            y = function(y)
            if not isinstance(y, Variable):
                raise TypeError(
                    f"function {number} of the chain gives {type(y).__name__}, and not a Variable"
                )
            recomputation.passed(number, y, number == len(stages))
    return y


def _checked(
    functions: Functions, segments: Any, budget: Any, result: Any
) -> list[Callable[[Any], Variable]]:
    """The functions, the arguments being right."""
    stages = list(functions)
    if not stages:
        raise ValueError("a chain has one function at least")
    for number, function in enumerate(stages, 1):
        if not callable(function):
            raise TypeError(
                f"function {number} of the chain is {type(function).__name__}, which is no function"
            )
    if (segments is None) == (budget is None):
        raise ValueError("give either segments (how many) or budget (in bytes), and not both")
    if budget is not None and (type(budget) is not int or budget < 1):
        raise ValueError(f"budget = {budget!r}: allowed is a number of bytes, a positive int")
    if segments is not None and (type(segments) is not int or not 1 <= segments <= len(stages)):
        raise ValueError(
            f"segments = {segments!r}: allowed are 1 to {len(stages)}, as many as functions"
        )
    if result not in ("dropped", "held"):
        raise ValueError(f"result = {result!r}: allowed are 'dropped' and 'held'")
    return stages

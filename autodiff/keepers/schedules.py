"""When to compute a chain's values again, so that backward needs little memory: optimal schedules.

Sources: A. Griewank and A. Walther, "Algorithm 799: revolve" (2000), for stages that are alike;
O. Beaumont et al., "Optimal checkpointing for heterogeneous chains" (2019), for others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from math import comb, inf
from typing import Any, NamedTuple

import numpy as np

from autodiff.keepers.chains import Chain


def evaluations(length: int, held: int) -> int:
    """The least number of stages to compute again where all stages are alike and read their input.

    length: how many stages stand after a value that is held. held: how many values may be held at
    once, that one included. Backward itself computes nothing of a stage whose input is there.
    Raises ValueError for a chain of no stages, and where nothing may be held.
    """
    r = _sweeps(length, held)
    return r * length - comb(held + r, held + 1)


def place(length: int, held: int) -> int:
    """How many stages on to hold the next value, for the least number of evaluations.

    Of several places that are as good it is the furthest. 0: none, since no more may be held.
    """
    if length == 1 or held == 1:
        return 0
    r = _sweeps(length, held)
    return min(comb(held + r - 1, held), length - comb(held + r - 2, held - 1), length - 1)


def _sweeps(length: int, held: int) -> int:
    """How often the stage that is computed most often is: the least r, C(held + r, r) >= length."""
    if length < 1 or held < 1:
        raise ValueError(f"a chain has 1 stage and holds 1 value at least, not {length} and {held}")
    r = 0
    while comb(held + r, held) < length:
        r += 1
    return r


class Step(NamedTuple):
    """What to do before the backward of a stage: compute a value from the last held, and hold it.

    whole: hold what the backward of the stage before it reads, too.
    """

    value: int
    whole: bool = False


class Turn(NamedTuple):
    """What to do when the backward of a stage is next.

    steps: what to hold, one after the other. keeps: its result, which is there, stays for it;
    otherwise that is dropped before.
    """

    steps: list[Step]
    keeps: bool


class Plan:
    """The best values to hold in a chain whose stages are of any cost and size.

    budget: the bytes that there are for all: values that are held or on their way, gradients, what
    a stage's backward reads and makes. It is cut into at most `levels` parts, and sizes are rounded
    up to whole ones: with fewer parts a plan is found sooner and in less memory, and may be a
    little dearer than need be. What is held stays until the backward of the stage that takes it.
    """

    def __init__(self, chain: Chain, budget: int, levels: int = 400) -> None:
        self.chain = chain
        self._unit, self._slack = 1, 0
        if budget > levels:  # so that the largest value is of whole parts
            largest = max(*chain.sizes, 1)
            self._unit = -(-largest // max(1, levels * largest // budget))
            self._slack = budget // 10_000
        self.free = budget // self._unit
        n, parts = len(chain), self._parts
        self._sizes = [parts(size) for size in chain.sizes]
        self._inside = [0, *(parts(stage.inside) for stage in chain.stages)]
        self._backward = [0, *(parts(chain.differentiating(i)) for i in range(1, n + 1))]
        self._given = [0, *(self._sizes[i] * chain.stage(i).reads_result for i in range(1, n + 1))]
        moving = [[*[0] * start, *chain.moving(start)] for start in range(n)]
        self._moving = np.array([[parts(most) for most in row] for row in moving])
        self._waiting = np.array([0, *(parts(chain.waiting(i)) for i in range(1, n + 1))])
        self._costs = np.cumsum([0.0, *(stage.cost for stage in chain.stages)])
        # By whether x_end is there, start, end, and free parts, x_start's included: the least cost.
        self._table = np.full((2, n + 1, n + 1, self.free + 1), inf, np.float32)
        for i, size in enumerate(self._sizes):
            self._table[:, i, i, size:] = 0
        for end in range(1, n + 1):
            for start in range(end - 1, -1, -1):
                for given in (False, True):
                    self._table[int(given), start, end] = self._row(start, end, given)

    def _parts(self, size: int) -> int:
        """A size in whole parts, rounded up, but for what is lost in the size of the graph."""
        return max(0, -(-(size - self._slack) // self._unit))

    def cost(self, start: int, end: int, free: int, given: bool = False) -> float:
        """The cost of all that is computed again in the backward from x_end to x_start.

        x_start is held. free: the bytes left of the budget beside other values that are held, so
        x_start's included. given: whether x_end is there. Infinite where free is too little.
        """
        at = min(free // self._unit, self.free)
        return float(self._table[int(given), start, end, at]) if at >= 0 else inf

    def next(self, start: int, end: int, free: int, given: bool = False) -> Step | None:
        """What to hold next; None where it is best to hold no more."""
        at = min(free // self._unit, self.free)
        best, step = self._direct(start, end, given)[at], None
        whole = self._whole(start, end, given)
        if whole is not None and whole[at] < best:
            best, step = whole[at], Step(start + 1, whole=True)
        held = self._held(start, end, given)
        if len(held) and held[:, at].min() < best:
            step = Step(start + 1 + int(held[:, at].argmin()))
        return step

    def _row(self, start: int, end: int, given: bool) -> Any:
        if given and not self._given[end]:
            return self._table[0, start, end]
        rows = [self._direct(start, end, given)]
        if given:
            rows.append(self._table[0, start, end])  # x_end may be dropped
        if (whole := self._whole(start, end, given)) is not None:
            rows.append(whole)
        rows.extend(self._held(start, end, given))
        return np.minimum.reduce(rows)

    def _direct(self, start: int, end: int, given: bool) -> Any:
        """The costs where no more is held before the last stage's backward."""
        stage = self.chain.stage(end)
        to = max(start, self.chain.to(end, given))
        cost = self._costs[to] - self._costs[start]
        if stage.reads_input:
            cost += stage.cost if stage.reads_result and not given else stage.again
        on_way = self._sizes[end - 1] if stage.reads_input and end - 1 > start else 0
        needed = on_way + self._backward[end]
        if to > start:
            there = self._given[end] if given else 0
            needed = max(needed, int(self._moving[start, to] + self._waiting[end]) + there)
        return self._from(start, needed, cost + self._table[int(on_way > 0), start, end - 1])

    def _whole(self, start: int, end: int, given: bool) -> Any:
        """The costs where all that the first stage's backward reads is held from now on."""
        first = start + 1
        if first == end or not self._inside[first]:
            return None
        stage, inside = self.chain.stage(first), self._inside[first]
        there = self._given[end] if given else 0
        needed = inside + self._parts(stage.forward) + int(self._waiting[end]) + there
        rest = self._shifted(self._table[int(given), first, end], self._sizes[start] + inside)
        return self._from(start, max(needed, self._backward[first]), stage.cost + rest)

    def _held(self, start: int, end: int, given: bool) -> Any:
        """The costs where x_(start + 1), x_(start + 2), ... are held next, in a row each."""
        values = slice(start + 1, end)
        there = self._given[end] if given else 0
        after = self._shifted(self._table[int(given), values, end], self._sizes[start])
        before = self._table[1, start, values]
        advance = (self._costs[values] - self._costs[start])[:, np.newaxis]
        needed = self._moving[start, values] + self._waiting[end] + there
        return self._from(start, needed[:, np.newaxis], after + before + advance.astype(np.float32))

    def _from(self, start: int, needed: Any, costs: Any) -> Any:
        """Costs by free parts, infinite where those are fewer than x_start and what is needed."""
        return np.where(np.arange(self.free + 1) < self._sizes[start] + needed, inf, costs)

    def _shifted(self, costs: Any, size: int) -> Any:
        """Costs by free parts, with so many of these taken."""
        moved = np.full_like(costs, inf)
        if size <= self.free:
            moved[..., size:] = costs[..., : self.free + 1 - size]
        return moved

    def way(self, values: set[int], whole: set[int], last: int) -> list[Step] | None:
        """What to hold on the first way, when the values cost nothing; None: the budget is short.

        values: those that may be held. whole: the stages that may be held whole. last: the last
        stage whose backward reads anything, which will then be there.
        """
        costs: dict[int, Any] = {}
        for start in (*sorted(values, reverse=True), 0):
            costs[start] = np.minimum.reduce([c for _, c in self._ways(start, costs, whole, last)])
        free, start = self.free, 0
        steps: list[Step] = []
        while costs[start][free] < inf:
            options = [(c[free], step) for step, c in self._ways(start, costs, whole, last)]
            _, step = min(options, key=lambda option: option[0])
            if step is None:
                return steps
            steps.append(step)
            free -= self._sizes[start] + (self._inside[step.value] if step.whole else 0)
            start = step.value
        return None

    def _ways(
        self, start: int, costs: dict[int, Any], whole: set[int], last: int
    ) -> Iterator[tuple[Step | None, Any]]:
        """What may be held after x_start on the first way, with the costs of all backward."""
        on_way = self._sizes[last - 1] * self.chain.stage(last).reads_input * (last - 1 > start)
        before = self._table[int(on_way > 0), start, last - 1]
        yield None, self._from(start, on_way + self._backward[last], before)
        for value in costs:
            if value > start:
                after = self._shifted(costs[value], self._sizes[start])
                yield Step(value), after + self._table[1, start, value]
        if (first := start + 1) in whole and first in costs and self._inside[first]:
            after = self._shifted(costs[first], self._sizes[start] + self._inside[first])
            yield Step(first, whole=True), self._from(start, self._backward[first], after)


_ANSWERS: dict[tuple[Any, ...], Any] = {}


class Schedule:
    """What to hold of a chain, and when: in closed form where its stages are alike, else by a Plan.

    cells: how many numbers a Plan may take, which so long stand beside the chain's own arrays.
    """

    def __init__(self, chain: Chain, budget: int, cells: int = 2_000_000) -> None:
        self.chain, self.budget = chain, budget
        self._slack = budget // 1000  # which the graph's own objects weigh more than
        self._levels = min(max(cells // (2 * (len(chain) + 1) ** 2), 40), 400)

    @cached_property
    def plan(self) -> Plan:
        return Plan(self.chain, self.budget, self._levels)

    def _remembered(self, asked: tuple[Any, ...], answer: Callable[[], Any]) -> Any:
        """An answer that takes a Plan, from one training step to the next."""
        chain = self.chain
        key = (chain.stages, chain.sizes[0], self.budget, self._levels, *asked)
        if key not in _ANSWERS:
            if len(_ANSWERS) >= 200:
                _ANSWERS.clear()
            _ANSWERS[key] = answer()
        return _ANSWERS[key]

    def on_first_way(self, values: set[int], whole: set[int], last: int) -> list[Step] | None:
        """What to hold on the first way through the chain; None where the budget is short.

        values: those that may be held. whole: the stages that may be held whole. last: the last
        stage whose backward reads anything, which then will be there.
        """
        if self.chain.alike(0, last):
            stage = self.chain.stage(last)
            free = self.budget - self.chain.sizes[0]
            slots = self.chain.slots(0, last, free)
            steps: list[Step] = []
            start = 0
            while at := place(last - start + stage.reads_result, max(slots - len(steps), 1)):
                start += at
                if start >= self.chain.to(last):
                    break
                steps.append(Step(start))
            if {step.value for step in steps} <= values:
                return steps
        asked = (frozenset(values), frozenset(whole), last)
        way: list[Step] | None
        way = self._remembered(asked, lambda: self.plan.way(values, whole, last))
        return way

    def in_backward(self, held: Sequence[Step] = (), last: int = 0) -> list[Turn] | None:
        """The turns of the stages, the last one's first; None where the budget is short.

        held: what is held when it begins, beside x_0. last: the stage all of whose backward's
        arrays are there, and after which none reads anything; 0: there is none.
        """
        turns: list[Turn] | None
        if self.chain.alike(0, len(self.chain)):
            return self._turns(held, last)
        turns = self._remembered((tuple(held), last), lambda: self._turns(held, last))
        return turns

    def _turns(self, held: Sequence[Step], last: int) -> list[Turn] | None:
        values = [0, *(step.value for step in held)]
        whole = {step.value for step in held if step.whole}
        chain = self.chain
        free = self.budget - sum(chain.sizes[v] for v in values)
        free -= sum(chain.stage(i).inside for i in whole)
        turns: list[Turn] = []
        given = False
        for end in range(len(chain), 0, -1):
            if values[-1] == end:
                values.pop()
                free += chain.sizes[end]
                given = chain.stage(end).reads_result
            if end in whole:
                whole.discard(end)
                free += chain.stage(end).inside
                if chain.differentiating(end) > free + self._slack:
                    return None
                turns.append(Turn([], keeps=True))
                given = False
                continue
            there = end >= last > 0
            given = given and self._pays(values[-1], end, free)
            turns.append(Turn([], given))
            while not there and (step := self._next(values[-1], end, free, given)) is not None:
                turns[-1].steps.append(step)
                free -= chain.sizes[step.value]
                if step.whole:
                    free -= chain.stage(step.value).inside
                    whole.add(step.value)
                values.append(step.value)
            start = values[-1]
            if there and end > last:
                needed = chain.differentiating(end) + self._hands(start, last)
            elif there:
                reads = chain.stage(end).reads_input
                on_way = chain.sizes[end - 1] if reads and end - 1 > start else 0
                needed = on_way + chain.differentiating(end)
            else:
                needed = chain.needed(start, end, list(chain.moving(start, end)), given)
            if needed > free + self._slack:
                return None
            passed = chain.stage(end).reads_input and end - 1 > start and end <= (last or end)
            given = passed and chain.stage(end - 1).reads_result
        return turns

    def _hands(self, start: int, last: int) -> int:
        """The bytes of what the backward of the last stage that reads anything finds there."""
        stage, before = self.chain.stage(last), self.chain.sizes[last - 1]
        found = before if stage.reads_input and last - 1 > start else 0
        return found + stage.inside + stage.result * stage.reads_result

    def _pays(self, start: int, end: int, free: int) -> bool:
        """Whether it pays to keep x_end, which is there, for the backward of its stage."""
        if not self.chain.stage(end).reads_input or self.chain.alike(start, end):
            return True
        free += self.chain.sizes[start]
        return self.plan.cost(start, end, free, True) < self.plan.cost(start, end, free)

    def _next(self, start: int, end: int, free: int, given: bool) -> Step | None:
        """What to hold next on the way to a stage's backward; None: no more before it."""
        chain = self.chain
        if chain.to(end, given) <= start:
            return None
        if not chain.alike(start, end):
            return self.plan.next(start, end, free + chain.sizes[start], given)
        length = end - start + chain.stage(end).reads_result
        value = start + place(length, max(chain.slots(start, end, free), 1))
        return Step(value) if start < value < chain.to(end) else None

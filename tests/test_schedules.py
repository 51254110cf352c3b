"""Schedules: the closed form against dynamic programming, and plans against exhaustive search."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from functools import cache
from itertools import count, product
from math import inf
from typing import NamedTuple

import pytest

from autodiff.keepers.chains import Chain, Stage
from autodiff.keepers.schedules import Plan, Schedule, Step, Turn, evaluations, place

pytestmark = pytest.mark.forward  # arithmetic alone


def plain(size: int, reads: str = "input") -> Stage:
    """One operation on arrays of one size, whose rule reads its input or its result."""
    of_input = reads == "input"
    return Stage(1, size, size, size, (2 if of_input else 3) * size, of_input, not of_input)


# Stages that are alike ----------------------------------------------------------------------------


@cache
def searched(length: int, held: int) -> int:
    if held == 1:
        return length * (length - 1) // 2
    return min(
        (j + searched(length - j, held - 1) + searched(j, held) for j in range(1, length)),
        default=0,
    )


@cache
def followed(length: int, held: int) -> int:
    at = place(length, held)
    if not at:
        return length * (length - 1) // 2
    return at + followed(length - at, held - 1) + followed(at, held)


@pytest.mark.parametrize("held", range(1, 9))
def test_the_closed_form_is_the_optimum_and_its_places_reach_it(held: int) -> None:
    for length in range(1, 60):
        assert evaluations(length, held) == searched(length, held) == followed(length, held)


def test_the_table_of_griewank_and_walther_for_100_stages() -> None:
    most = (4, 5, 6, 8, 10, 13, 16, 21, 30, 52, 102)
    found = [evaluations(100, m - 3) + 1 for m in most]
    assert found == [4951, 846, 491, 317, 256, 223, 186, 181, 172, 150, 100]


@pytest.mark.parametrize(("length", "held"), [(0, 1), (1, 0)])
def test_no_stages_or_nothing_held_is_an_error(length: int, held: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        evaluations(length, held)


@pytest.mark.parametrize("size", [1, 7])
def test_a_plan_for_stages_that_are_alike_is_the_closed_form(size: int) -> None:
    """In M arrays: t(N, M - 3) where their rules read inputs, t(N + 1, M - 3) - N where results."""
    for length in range(1, 16):
        for most in range(4, 14):
            inputs = Plan(Chain([plain(size)] * length, size), most * size)
            assert inputs.cost(0, length, most * size) == evaluations(length, most - 3)
            results = Plan(Chain([plain(size, "result")] * length, size), most * size)
            again = results.cost(0, length, most * size)
            assert again == evaluations(length + 1, most - 3)


# Stages of any cost and size ----------------------------------------------------------------------


def drawn_chain(drawn: random.Random, longest: int) -> Chain:
    stages, size = [], drawn.randint(1, 4)
    first = size
    for _ in range(drawn.randint(1, longest)):
        result = drawn.randint(1, 4)
        inside = drawn.choice([0, 0, 1, 3])
        reads_result = drawn.random() < 0.4
        cost = drawn.randint(1, 5)
        forward = result + drawn.choice([0, 0, 2])
        backward = 2 * result + size if reads_result else result + size
        backward = max(backward, reads_result * (forward + result)) + inside
        stages.append(
            Stage(
                cost=cost,
                result=result,
                gradient=result,
                forward=forward,
                backward=backward + drawn.choice([0, 0, 1]),
                reads_input=inside > 0 or drawn.random() < 0.6,
                reads_result=reads_result,
                inside=inside,
                again=drawn.randint(1, cost) if inside else 0,
                made=drawn.choice([0, 0, 1]),
                left=drawn.choice([0, 0, 1]),
            )
        )
        size = result
    return Chain(stages, first)


class State(NamedTuple):
    """The values held, the stages held whole, the value on its way (0: none), whose turn it is."""

    held: frozenset[int]
    whole: frozenset[int]
    on_way: int
    end: int


def exhaustive(chain: Chain, budget: int) -> float:
    """The least cost over all schedules, by Dijkstra's search.

    What is held stays until the backward of the stage that takes it.
    """
    start = State(frozenset(), frozenset(), 0, len(chain))
    costs, number = {start: 0.0}, count()
    queue = [(0.0, next(number), start)]
    while queue:
        cost, _, state = heapq.heappop(queue)
        if state.end == 0:
            return cost
        for more, ahead in moves(chain, budget, state):
            if cost + more < costs.get(ahead, inf):
                costs[ahead] = cost + more
                heapq.heappush(queue, (cost + more, next(number), ahead))
    return inf


def moves(chain: Chain, budget: int, state: State) -> list[tuple[float, State]]:
    held, whole, on_way, end = state
    ahead: list[tuple[float, State]] = []
    there = chain.sizes[0] + sum(chain.sizes[v] for v in held)
    there += sum(chain.stage(i).inside for i in whole)
    if on_way:
        ahead += [(0, State(held, whole, 0, end)), (0, State(held | {on_way}, whole, 0, end))]
    if end in held:
        ahead.append((0, State(held - {end}, whole, on_way, end)))
    stage = chain.stage(end)
    # The backward of the last stage, whose account has its result and what is inside.
    others = there - chain.sizes[end] * (end in held) - stage.inside * (end in whole)
    others += chain.sizes[on_way] if 0 < on_way < end else 0
    computes = stage.reads_result and end not in held and on_way != end
    if end - 1 in (0, on_way, *held) or end in whole or not (stage.reads_input or computes):
        again = 0 if end in whole else stage.again
        again = stage.cost if computes else again
        if others + chain.differentiating(end) <= budget and not (computes and end in whole):
            passed = on_way if on_way < end else 0
            after = State(held - {end}, whole - {end}, passed, end - 1)
            ahead.append((again, after))
    for v in {0, on_way, *held}:
        if v >= end:
            continue
        carried = chain.sizes[v] if v == on_way and v else 0
        needed = there + carried + chain.waiting(end)
        first = chain.stage(v + 1)
        if needed + first.forward <= budget:
            ahead.append((first.cost, State(held, whole, v + 1, end)))
        on_hold = v != on_way or v == 0  # only what is held has a stage held whole after it
        if not on_hold or not first.inside or v + 1 == end:
            continue
        if needed + first.forward + first.inside <= budget:
            ahead.append((first.cost, State(held | {v + 1}, whole | {v + 1}, 0, end)))
    return ahead


@pytest.mark.parametrize("seed", range(10))
def test_a_plan_is_as_good_as_any_schedule_that_keeps_what_it_holds(seed: int) -> None:
    drawn = random.Random(seed)
    for _ in range(30):
        chain = drawn_chain(drawn, longest=5)
        budget = drawn.randint(4, 22)
        plan = Plan(chain, budget)
        assert plan.cost(0, len(chain), budget) == exhaustive(chain, budget), (chain.stages, budget)


@pytest.mark.parametrize("seed", range(5))
def test_the_least_bytes_are_just_enough(seed: int) -> None:
    drawn = random.Random(seed)
    for _ in range(40):
        chain = drawn_chain(drawn, longest=7)
        least = chain.least()
        assert Plan(chain, least).cost(0, len(chain), least) < inf


def test_rounding_up_never_breaks_the_budget_and_costs_little() -> None:
    chain = Chain([plain(1_000_003)] * 30, 1_000_003)
    budget = 9_500_000
    fine, coarse = Plan(chain, budget, levels=2_000), Plan(chain, budget, levels=60)
    assert fine.cost(0, 30, budget) == evaluations(30, 6)
    assert evaluations(30, 6) <= coarse.cost(0, 30, budget) <= evaluations(30, 5)


def test_a_chain_of_no_stages_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1 stage"):
        Chain([], 1)


# Schedules, run -----------------------------------------------------------------------------------


def run(chain: Chain, first: list[Step], turns: list[Turn], last: int) -> tuple[float, int]:
    """What is computed again and the highest number of bytes, as a schedule is followed to the end.

    first: what is held when backward begins, with all that stage `last` reads; 0: with nothing.
    """
    held = {0} | {step.value for step in first}
    whole = {step.value for step in first if step.whole}
    there: set[int] = set()  # values beside those held
    if last:
        whole.add(last)
        there |= {last - 1} if chain.stage(last).reads_input else set()
        there |= {last} if chain.stage(last).reads_result else set()
    cost, most = 0.0, 0

    def stands(but: int = -1) -> int:
        values = sum(chain.sizes[v] for v in held | there if v != but)
        return values + sum(chain.stage(i).inside for i in whole)

    def compute(to: int, waiting: int) -> None:
        nonlocal cost, most
        at = max(v for v in held | there if v <= to)
        while at < to:
            at += 1
            before = chain.sizes[at - 1] if at - 1 not in held | there else 0
            most = max(most, stands() + before + chain.stage(at).forward + waiting)
            cost += chain.stage(at).cost

    for end in range(len(chain), 0, -1):
        stage = chain.stage(end)
        turn = turns[len(chain) - end]
        if not turn.keeps and end not in whole:
            held.discard(end)
            there.discard(end)
        for step in turn.steps:
            compute(step.value, chain.waiting(end))
            held.add(step.value)
            if step.whole:
                whole.add(step.value)
                most = max(most, stands() + chain.waiting(end))
        if end not in whole:
            result = end in held | there
            if stage.reads_input:
                compute(end - 1, chain.waiting(end))
                there.add(end - 1)
                cost += stage.cost if stage.reads_result and not result else stage.again
            elif stage.reads_result and not result:
                compute(end, chain.waiting(end))
        held.discard(end)
        there.discard(end)
        whole.discard(end)
        assert not stage.reads_input or end - 1 in held | there
        most = max(most, stands() + chain.differentiating(end))
        if end - 1 in there and not (end > 1 and chain.stage(end - 1).reads_result):
            there.discard(end - 1)
        if end > 1 and end - 1 in held and not chain.stage(end - 1).reads_result:
            held.discard(end - 1)
    return cost, most


@pytest.mark.parametrize("reads", ["input", "result"])
def test_stages_that_are_alike_are_taken_as_the_closed_form_says(reads: str) -> None:
    """N and what is computed again are t(N, M - 3) + 1 or t(N + 1, M - 3), within M arrays."""
    size = 1000
    for length in (1, 2, 3, 10, 30, 100):
        chain = Chain([plain(size, reads)] * length, size)
        for most in range(4, length + 4):
            schedule = Schedule(chain, most * size)
            first = schedule.on_first_way(set(range(1, length)), set(), length)
            assert first is not None
            turns = schedule.in_backward(first, length)
            assert turns is not None
            cost, highest = run(chain, first, turns, length)
            assert highest <= most * size
            if reads == "input":
                assert length + cost == evaluations(length, most - 3) + 1, (length, most)
            else:
                assert length + cost == evaluations(length + 1, most - 3), (length, most)
            again = schedule.in_backward()
            assert again is not None
            cost, highest = run(chain, [], again, 0)
            assert highest <= most * size
            assert cost == evaluations(length + (reads == "result"), most - 3)
            assert "plan" not in vars(schedule)


@pytest.mark.parametrize("seed", range(10))
def test_a_schedule_keeps_to_its_budget_and_costs_what_the_plan_says(seed: int) -> None:
    drawn = random.Random(seed)
    for _ in range(30):
        chain = drawn_chain(drawn, longest=8)
        budget = chain.least() + drawn.randint(0, 12)
        schedule = Schedule(chain, budget)
        turns = schedule.in_backward()
        assert turns is not None
        cost, highest = run(chain, [], turns, 0)
        assert highest <= budget
        assert cost == schedule.plan.cost(0, len(chain), budget)


@pytest.mark.parametrize("seed", range(10))
def test_the_first_way_holds_what_is_best_for_what_follows(seed: int) -> None:
    drawn = random.Random(seed)
    for _ in range(20):
        chain = drawn_chain(drawn, longest=6)
        n = len(chain)
        reading = [i for i in range(1, n + 1) if chain.to(i) or chain.stage(i).reads_input]
        budget = chain.least() + drawn.randint(0, 12)
        schedule = Schedule(chain, budget)
        last = max(reading, default=0)
        if not last:
            continue
        values, whole = set(range(1, last)), set(range(1, last))
        first = schedule.on_first_way(values, whole, last)
        assert first is not None
        turns = schedule.in_backward(first, last)
        costs = []
        for held in every_choice(chain, last):
            way = schedule.in_backward(held, last)
            if way is not None:
                costs.append(run(chain, held, way, last)[0])
        if turns is None:
            continue
        cost, highest = run(chain, first, turns, last)
        assert highest <= budget
        assert cost == min(costs)


def every_choice(chain: Chain, last: int) -> Iterator[list[Step]]:
    """All that can be held on the first way to stage `last`."""
    for kinds in product((0, 1, 2), repeat=last - 1):
        steps = [Step(i + 1, kind == 2) for i, kind in enumerate(kinds) if kind]
        held = {0, *(step.value for step in steps)}
        if all(chain.stage(s.value).inside and s.value - 1 in held for s in steps if s.whole):
            yield steps

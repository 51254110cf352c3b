"""The floors: closed forms against the liveness of logs, and logs against counting by hand."""

from __future__ import annotations

import heapq
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.bounds import (
    NEW,
    SCATTERED,
    Application,
    Layers,
    OperationLog,
    Rule,
    Value,
    chain_floor,
    least_arrays,
    least_arrays_at_all,
    least_evaluations,
    liveness_floor,
    uniform_segments,
)

S = 1000


class Script:
    """Writes an operation log, as short as a sum on paper."""

    def __init__(self):
        self.log = OperationLog()

    def value(self, size=S, *, standing=False, of=None):
        """A new value, in a buffer of its own or in that of another value."""
        number = len(self.log.sizes) + 1
        self.log.sizes[number] = size if of is None else 0
        if standing:
            self.log.standing.add(number)
        return Value(number, number if of is None else of.buffer, size)

    def apply(self, inputs, outputs):
        self.log.events.append(Application(inputs, outputs))
        return self.log.events[-1]

    def rule(self, application, reads=(), gradients=None, given=()):
        gradients = [NEW] * len(application.inputs) if gradients is None else gradients
        buffers = [value.buffer for value in reads]
        self.log.events.append(Rule(application, buffers, gradients, given))

    @property
    def floor(self):
        return liveness_floor(self.log)


def chain(length, saves):
    """Forward and backward over a chain, from an input that stands all the time."""
    script = Script()
    x = script.value(standing=True)
    done = []
    for _ in range(length):
        y = script.value()
        done.append((script.apply([x], [y]), x if saves == "input" else y))
        x = y
    for application, read in reversed(done):
        script.rule(application, [read])
    return script


@given(st.integers(1, 40), st.sampled_from(["input", "output"]))
def test_the_liveness_of_a_chain_is_its_closed_form(length, saves):
    assert chain(length, saves).floor == chain_floor(length, S, saves=saves)


@pytest.mark.parametrize(
    ("saves", "result", "temporaries", "arrays"),
    [
        ("input", "dropped", 0, 12),
        ("input", "held", 0, 13),
        ("output", "dropped", 0, 13),
        ("output", "held", 0, 13),
        ("input", "dropped", 1, 13),
        ("output", "held", 1, 14),
    ],
)
def test_the_closed_form_of_ten_operations(saves, result, temporaries, arrays):
    floor = chain_floor(10, S, saves=saves, result=result, temporaries=temporaries)
    assert floor == arrays * S


def test_a_chain_of_nothing_has_no_floor():
    with pytest.raises(ValueError, match="at least 1 operation, not 0"):
        chain_floor(0, S, saves="input")


def test_nothing_needs_nothing():
    assert liveness_floor(OperationLog()) == 0


def test_what_stands_counts_whether_it_is_used_or_not():
    script = Script()
    script.value(300, standing=True)
    assert script.floor == 300


@given(st.integers(2, 20))
def test_forward_alone_needs_two_arrays_beside_what_stands(length):
    script = Script()
    x = script.value(standing=True)
    for _ in range(length):
        y = script.value()
        script.apply([x], [y])
        x = y
    assert script.floor == 3 * S


def test_a_view_takes_no_memory():
    script = Script()
    x = script.value(standing=True)
    y = script.value(of=x)
    script.apply([x], [y])
    z = script.value()
    script.apply([y], [z])
    assert script.floor == 2 * S


def test_a_buffer_is_needed_as_long_as_any_view_of_it():
    script = Script()
    x = script.value(standing=True)
    y = script.value()
    script.apply([x], [y])
    part = script.value(of=y)
    script.apply([y], [part])
    a = script.value()
    script.apply([x], [a])
    b = script.value()
    script.apply([a], [b])  # x, a, b, and y: its part is used below
    script.apply([part, b], [script.value()])
    assert script.floor == 4 * S


def test_two_contributions_to_a_gradient_are_one_array():
    """z = f(y) + g(y): rules of both add to the gradient of y, in place."""
    script = Script()
    x = script.value(standing=True)
    y, a, b, z = (script.value() for _ in range(4))
    first = script.apply([x], [y])
    left, right = script.apply([y], [a]), script.apply([y], [b])
    both = script.apply([a, b], [z])
    script.rule(both)
    script.rule(left)
    script.rule(right)
    script.rule(first)
    # At `both`: x, and the gradients of z, a, b. At `right`: x, those of b and y. No rule reads.
    assert script.floor == 4 * S


def test_what_is_added_to_a_gradient_is_there_beside_it():
    """z = f(y) + g(y): the rule that runs last gives an array for the gradient of y that stands."""
    script = Script()
    x = script.value(standing=True)
    y, a, b, z = script.value(10 * S, of=x), *(script.value(of=x) for _ in "abz")
    left, right = script.apply([y], [a]), script.apply([y], [b])
    both = script.apply([a, b], [z])
    script.rule(both)
    script.rule(left)
    script.rule(right)
    assert script.floor == (1 + 10 + 10 + 1) * S  # at `right`: x, two of y, the gradient of b


def test_a_few_elements_are_added_to_a_gradient_without_an_array():
    """z = y[0] + y[1]: only the first that comes to y takes an array of its size."""
    script = Script()
    x = script.value(10 * S, standing=True)
    a, b, z = script.value(of=x), script.value(of=x), script.value(of=x)
    first, second = script.apply([x], [a]), script.apply([x], [b])
    both = script.apply([a, b], [z])
    script.rule(both)
    script.rule(first, gradients=[SCATTERED])
    script.rule(second, gradients=[SCATTERED])
    assert script.floor == (10 + 10 + 1 + 1) * S  # x, its gradient, and those of a and b


def test_a_sum_that_is_passed_on_as_it_is_is_one_array():
    """z = y + y, y = x + w: the log meets the sum of two gradients when y's rule gets it."""
    script = Script()
    x, w = script.value(standing=True), script.value(standing=True)
    y, z, ones = script.value(10 * S, of=x), script.value(of=x), script.value(0)
    first, twice = script.apply([x, w], [y]), script.apply([y, y], [z])
    total = script.value(10 * S).buffer
    script.rule(twice, gradients=[ones.buffer, ones.buffer])
    script.rule(first, gradients=[total, total], given=[total])
    assert script.floor == (2 + 1 + 10) * S  # at `twice`: x, w, the gradient of z, and y's


def test_a_gradient_that_is_passed_on_as_it_is_is_one_array():
    """z = f(a + b): the sum hands on the gradient that it gets, to both."""
    script = Script()
    a, b = script.value(standing=True), script.value(standing=True)
    y, z, gy = (script.value() for _ in range(3))
    both = script.apply([a, b], [y])
    last = script.apply([y], [z])
    script.rule(last, gradients=[gy.buffer])
    script.rule(both, gradients=[gy.buffer, gy.buffer])
    assert script.floor == 4 * S  # a, b, and two of y, z and their gradients


def test_a_gradient_that_is_passed_on_twice_to_one_value_is_a_sum():
    """w = g(a + a): the sum's gradient comes to a twice, and twice of it is another array."""
    script = Script()
    x, w, gz = script.value(standing=True), script.value(), script.value(10 * S)
    a, z = script.value(10 * S, of=x), script.value(10 * S, of=x)
    f, both, g = script.apply([x], [a]), script.apply([a, a], [z]), script.apply([z], [w])
    script.rule(g, gradients=[gz.buffer])
    script.rule(both, gradients=[gz.buffer, gz.buffer])
    script.rule(f)
    assert script.floor == (1 + 10 + 10) * S


def test_a_gradient_is_needed_between_the_rules_that_add_to_it():
    """d = join(f(y), g(h(y))): f's rule adds to the gradient of y, then g's runs, then h's adds."""
    script = Script()
    x = script.value(standing=True)
    y, a, c, d = (script.value() for _ in range(4))
    b = script.value(10 * S, of=x)  # itself it takes no memory, and its gradient much
    first = script.apply([x], [y])
    f, h = script.apply([y], [a]), script.apply([y], [b])
    g = script.apply([b], [c])
    join = script.apply([a, c], [d])
    for application in (join, f, g, h, first):
        script.rule(application)
    assert script.floor == (1 + 1 + 10 + 1) * S  # at g: x, and the gradients of c, b and y


def test_the_gradient_of_a_leaf_is_needed_until_the_pass_ends():
    script = Script()
    x, w = script.value(10 * S, standing=True), script.value(standing=True)
    a, z = script.value(10 * S, of=x), script.value()
    first = script.apply([x], [a])
    last = script.apply([a, w], [z])
    script.rule(last)
    script.rule(first)
    assert script.floor == (10 + 1 + 10 + 10 + 1) * S  # x, w, and gradients of a, x, and still w


def test_the_gradient_of_a_leaf_is_not_needed_in_the_next_pass():
    script = Script()
    x, w = script.value(standing=True), script.value(standing=True)
    one, other = script.apply([x], [script.value()]), script.apply([w], [script.value()])
    script.rule(one)
    script.rule(other)
    assert script.floor == 4 * S


def test_the_gradients_of_one_pass_are_gone_in_the_next():
    script = Script()
    w = script.value(standing=True)
    floors = []
    for _ in range(3):
        y = script.value()
        application = script.apply([w], [y])
        script.rule(application, [w])
        floors.append(script.floor)
    assert floors == [3 * S] * 3


def test_an_input_that_wants_no_gradient_gets_none():
    script = Script()
    x, w = script.value(standing=True), script.value(standing=True)
    y = script.value()
    application = script.apply([x, w], [y])
    script.rule(application, gradients=[None, NEW])
    assert script.floor == 4 * S  # x, w, the gradients of y and of w


# Chains of which values are computed again --------------------------------------------------------

KINDS = [("input", "dropped"), ("output", "dropped"), ("input", "held"), ("output", "held")]


def searched(length, arrays, saves, result):
    """The fewest evaluations of any schedule at all, by shortest path; None where there is none.

    A state is which values are held, whether the result has been computed, and which gradient is
    there. Each step computes a value from the one before it (which costs 1), lets go of one, makes
    the seed, or runs the next gradient rule.
    """
    start = (frozenset([0]), False, None)
    queue, best, order = [(0, 0, start)], {start: 0}, itertools.count(1)
    while queue:
        cost, _, state = heapq.heappop(queue)
        if cost > best[state]:
            continue
        if state[2] == 0:
            return cost
        for more, after in steps(state, length, arrays, saves, result):
            if cost + more < best.get(after, cost + more + 1):
                best[after] = cost + more
                heapq.heappush(queue, (cost + more, next(order), after))
    return None


def steps(state, length, arrays, saves, result):
    held, done, gradient = state
    used = len(held) + (gradient is not None)
    for value in held:
        if value < length and value + 1 not in held and used < arrays:
            yield 1, (held | {value + 1}, done or value + 1 == length, gradient)
        if value and not (result == "held" and value == length):
            yield 0, (held - {value}, done, gradient)
    if done and gradient is None and used < arrays:
        yield 0, (held, done, length)
    read = {"input": -1, "output": 0}[saves]
    if gradient and gradient + read in held and used < arrays:
        yield 0, (held, done, gradient - 1)


@pytest.mark.parametrize(("saves", "result"), KINDS)
@pytest.mark.parametrize("length", range(1, 8))
def test_no_schedule_at_all_evaluates_less_than_the_closed_form_and_one_does_as_little(
    length, saves, result
):
    fewest = least_arrays_at_all(length, saves=saves, result=result)
    assert searched(length, fewest - 1, saves, result) is None
    for arrays in range(fewest, length + 5):
        found = searched(length, arrays, saves, result)
        assert least_evaluations(length, arrays, saves=saves, result=result) == found


@pytest.mark.parametrize(("saves", "result"), KINDS)
def test_with_too_few_arrays_there_is_no_number(saves, result):
    fewest = least_arrays_at_all(9, saves=saves, result=result)
    with pytest.raises(ValueError, match=f"needs {fewest} arrays at least, not {fewest - 1}"):
        least_evaluations(9, fewest - 1, saves=saves, result=result)


HUNDRED = {4: 4951, 5: 846, 6: 491, 8: 317, 10: 256, 13: 223, 16: 186, 21: 181, 30: 172, 52: 150}


@pytest.mark.parametrize(("arrays", "evaluations"), [*HUNDRED.items(), (102, 100)])
def test_the_evaluations_of_a_hundred_operations(arrays, evaluations):
    assert least_evaluations(100, arrays, saves="input") == evaluations


@given(st.integers(1, 60), st.sampled_from(KINDS))
def test_who_computes_nothing_again_needs_the_floor_without_recomputation(length, kind):
    saves, result = kind
    floor = chain_floor(length, 1, saves=saves, result=result)
    assert least_arrays(length, length, saves=saves, result=result) == floor


@given(st.integers(1, 60), st.integers(0, 300), st.sampled_from(KINDS))
def test_the_least_arrays_are_the_first_with_so_few_evaluations(length, more, kind):
    saves, result = kind
    arrays = least_arrays(length, length + more, saves=saves, result=result)
    assert least_evaluations(length, arrays, saves=saves, result=result) <= length + more
    if arrays > least_arrays_at_all(length, saves=saves, result=result):
        before = least_evaluations(length, arrays - 1, saves=saves, result=result)
        assert before > length + more


def test_twice_the_evaluations_buy_a_hundred_operations_fifteen_arrays():
    """And not 16, which is what it takes to compute no value more than twice."""
    assert least_arrays(100, 200, saves="input") == 15
    assert [least_evaluations(100, arrays, saves="input") for arrays in (14, 15)] == [210, 196]


def test_fewer_evaluations_than_operations_are_too_few():
    with pytest.raises(ValueError, match="10 operations evaluates 10, not 9"):
        least_arrays(10, 9, saves="input")


def played(length, segments, saves, result):
    """The peak and the evaluations of a chain in segments, played step by step."""
    each = length // segments
    held, gradients, evaluations, peak = {0}, 0, 0, 0

    def compute(value, keep):
        nonlocal evaluations, peak
        assert value - 1 in held
        held.add(value)
        evaluations += 1
        peak = max(peak, len(held) + gradients)
        if not keep:
            held.discard(value - 1)

    for value in range(1, length + 1):
        compute(value, keep=(value - 1) % each == 0 or value > length - each)
    if saves == "input" and result == "dropped":
        held.discard(length)
    gradients = 1
    for value in range(length, 0, -1):  # the rule of what computed it
        read = value - 1 if saves == "input" else value
        if read not in held:
            first = (value - 1) // each * each
            for again in range(first + 1, read + 1):
                compute(again, keep=True)
        peak = max(peak, len(held) + 2)
        held -= {value - 1 if saves == "input" else value} - {0, *([length] * (result == "held"))}
    return peak, evaluations


@pytest.mark.parametrize(("saves", "result"), KINDS)
@pytest.mark.parametrize(("length", "segments"), [(1, 1), (12, 3), (12, 12), (20, 4), (100, 10)])
def test_segments_played_step_by_step_come_to_their_formula(length, segments, saves, result):
    found = uniform_segments(length, segments, saves=saves, result=result)
    assert found == played(length, segments, saves, result)


def test_segments_of_one_length_are_a_divisor():
    with pytest.raises(ValueError, match="10 operations are not cut into 3 segments"):
        uniform_segments(10, 3, saves="input")


@pytest.mark.parametrize(("saves", "result"), KINDS)
def test_segments_are_never_better_than_the_optimum(saves, result):
    for segments in (1, 2, 4, 5, 10, 20, 25, 50, 100):
        found = uniform_segments(100, segments, saves=saves, result=result)
        best = least_evaluations(100, found.arrays, saves=saves, result=result)
        assert found.evaluations >= best


# Layers of unequal size ---------------------------------------------------------------------------


def searched_layers(values, weights, budget):
    """The fewest evaluations of any schedule of a network of layers, by shortest path.

    Values are numbered x_0, z_1, x_1, ...: an even number is an x. A state is which are held, the
    gradient that is there, and whether the result has been computed.
    """
    n = len(weights)
    last = 2 * n

    def size(value):
        return values[(value + 1) // 2]

    def used(held, gradient):
        left = sum(weights) + sum(w for i, w in enumerate(weights, 1) if gradient < 2 * i - 1)
        return sum(map(size, held)) + (size(gradient) if gradient <= last else 0) + left

    start = (frozenset([0]), False, last + 1)  # no gradient yet
    queue, best, order = [(0, 0, start)], {start: 0}, itertools.count(1)
    while queue:
        cost, _, state = heapq.heappop(queue)
        held, done, gradient = state
        if gradient == 0:
            return cost
        after = []
        for value in held:
            if value < last and value + 1 not in held:
                wanted = held | {value + 1}
                if used(wanted, gradient) <= budget:
                    after.append((1, (wanted, done or value + 1 == last, gradient)))
            if value:
                after.append((0, (held - {value}, done, gradient)))
        if done and gradient > last and used(held, last) <= budget:
            after.append((0, (held, done, last)))
        if 0 < gradient <= last and (gradient if gradient % 2 == 0 else gradient - 1) in held:
            made = size(gradient - 1) if gradient > 1 else 0
            left = weights[gradient // 2] if gradient % 2 else 0
            if used(held, gradient) + made + left <= budget:
                after.append((0, (held, done, gradient - 1)))
        for more, found in after:
            if cost + more < best.get(found, cost + more + 1):
                best[found] = cost + more
                heapq.heappush(queue, (cost + more, next(order), found))
    return None


@pytest.mark.parametrize(
    ("values", "weights"),
    [
        ([1, 1], [1]),
        ([3, 1, 4], [1, 2]),
        ([2, 5, 1, 3], [1, 1, 1]),
        ([2, 1, 4, 2, 6], [1, 2, 2, 3]),
        ([1, 6, 1, 1, 5], [1, 1, 1, 1]),
        ([4, 4, 4, 4, 4], [0, 0, 0, 0]),
        ([9, 1, 2], [1, 1]),
    ],
)
def test_layers_need_what_the_best_of_all_schedules_needs(values, weights):
    layers = Layers(values, weights)
    most = 3 * (sum(values) + sum(weights))
    found = [layers.least_evaluations(budget) for budget in range(most)]
    assert found == [searched_layers(values, weights, budget) for budget in range(most)]
    assert found[-1] == layers.length
    assert found[0] is None


def test_layers_have_a_value_before_and_behind_each():
    with pytest.raises(ValueError, match="3 values are not those of 3 layers"):
        Layers([1, 2, 3], [1, 1, 1])


def test_to_let_go_early_of_what_is_held_may_be_better_than_any_plan_of_layers():
    """Which is why the fewest evaluations of layers are those of such schedules alone."""
    values, weights = [3, 3, 5, 5], [0, 3, 2]
    assert Layers(values, weights).least_evaluations(27) == 12
    assert searched_layers(values, weights, 27) == 10

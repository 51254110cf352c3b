"""The floors: closed forms against the liveness of logs, and logs against counting by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.bounds import (
    NEW,
    Application,
    OperationLog,
    Rule,
    Value,
    chain_floor,
    liveness_floor,
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

    def rule(self, application, reads=(), gradients=None):
        gradients = [NEW] * len(application.inputs) if gradients is None else gradients
        self.log.events.append(Rule(application, [value.buffer for value in reads], gradients))

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

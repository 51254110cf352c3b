"""The operation log: the floor that it gives, and that it sees every rule."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from instrumented import led_through, measured

from autodiff import (
    MODES,
    Function,
    Variable,
    add,
    linear,
    logsumexp,
    matmul,
    square,
    using_mode,
)
from autodiff.functions.elementwise import Square
from experiments.bounds import NEW, Rule, chain_floor
from experiments.instruments.operations import Operations

GRAPH_MODES = [name for name, mode in MODES.items() if mode.enable_backprop]
SAVES = {"square": "input", "sin": "input", "sqrt": "output", "tanh": "output"}


@pytest.mark.parametrize(("kind", "saves"), SAVES.items())
def test_the_floor_of_a_chain_is_its_closed_form(kind, saves):
    readings = measured("chain", "operations", kind=kind, length=10, size=20_000).readings
    assert readings["operation_count"] == 10
    assert readings["floor_bytes"] == chain_floor(10, 160_000, saves=saves)


@pytest.mark.parametrize("mode", GRAPH_MODES)
def test_the_floor_is_the_same_in_every_mode(mode):
    readings = measured("chain", "operations", mode, length=10, size=20_000).readings
    assert readings["floor_bytes"] == chain_floor(10, 160_000, saves="input")


def test_the_floor_of_a_diamond():
    record = measured("diamond", "operations", size=1_000)
    assert record.details["operations"] == {"Square": 2, "Mul": 1}
    # x stands; the rule of Mul reads y**2 and y, takes the gradient of z and gives two.
    assert record.readings["floor_bytes"] == 6 * 8_000


@pytest.mark.parametrize("mode", MODES)
def test_no_peak_lies_under_its_floor(mode):
    sizes = {"size": 2_000, "length": 12}
    floor = measured("chain", "operations", mode, **sizes).readings["floor_bytes"]
    assert measured("chain", "traced", mode, **sizes).readings["peak_bytes"] >= floor


DRAWN = [
    lambda x0, x1: x0 + x1,
    lambda x0, x1: x0 + x0,
    lambda x0, x1: x0 * x1,
    lambda x0, x1: square(x0),
    lambda x0, x1: -x0[::-1],
]


def drawn_graph(seed, x0, x1):
    """A number computed from two Variables by operations drawn at random; of seed 0 sums alone."""
    if seed == 0:
        twice = x0 + x0
        return (twice + twice).sum()
    rng = np.random.default_rng(seed)
    values = [x0, x1, x0]
    for kind in rng.integers(len(DRAWN), size=8):
        chosen, other, place = rng.integers(3, size=3)
        values[place] = DRAWN[kind](values[chosen], values[other])
    values[0] = values[0] + values[1]
    return (values.pop(0) + values.pop()).sum()


@pytest.mark.parametrize("seed", range(12))
def test_no_graph_peaks_under_its_floor(seed, small_heap):
    """Whatever the rules hand on, add up or leave as views."""
    xs = [Variable(np.linspace(0.1, 0.2, 20_000)) for _ in "ab"]

    def work():
        drawn_graph(seed, *xs).backward()
        for x in xs:
            x.cleargrad()

    with using_mode("lean"):
        floor = logged(work).readings["floor_bytes"]
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert 0 < floor <= peak


def test_lean_reaches_the_floor_of_a_chain():
    peak = measured("chain", "traced", length=10, size=100_000).readings["peak_bytes"]
    floor = chain_floor(10, 800_000, saves="input", result="held")
    assert floor <= peak < floor + 100_000


def rules_run(work):
    return sum(isinstance(event, Rule) for event in logged(work).log.events)


@pytest.mark.parametrize(
    ("operation", "shapes"),
    [
        (square, [(3,)]),
        (add, [(3,), (3,)]),
        (matmul, [(2, 3), (3, 4)]),
        (linear, [(2, 3), (3, 4), (4,)]),
        (logsumexp, [(2, 3)]),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
@pytest.mark.usefixtures("small_heap")
def test_every_rule_is_seen_whichever_way_the_engine_takes_to_it(operation, shapes):
    xs = [Variable(np.ones(shape)) for shape in shapes]
    assert rules_run(lambda: operation(*xs).backward()) == 1


@pytest.mark.parametrize("order", [1, 2, 3])
def test_what_is_differentiated_again_is_the_same_value(order):
    """Of tanh, no array is alive that the floor does not know, however often it is derived."""
    sizes = {"order": order, "size": 1_000}
    floor = measured("tanh_derivatives", "operations", **sizes).readings["floor_bytes"]
    peak = measured("tanh_derivatives", "lifetimes", **sizes).readings["timeline_peak_bytes"]
    assert floor <= peak <= floor + 64  # of scalars


class Kept(Square):
    """An operation that inherits its gradient rule."""


def logged(work):
    """The instrument after a piece of work in this process."""
    return led_through(Operations(), work)


def test_operations_puts_the_engine_back(small_heap):
    before = [dict(vars(kind)) for kind in (Function, Square, Kept)]
    seen = []

    def work():
        Kept()(square(Variable(np.ones(10)))).backward()
        seen.extend(dict(vars(kind)) for kind in (Function, Square, Kept))

    instrument = logged(work)
    assert [dict(vars(kind)) for kind in (Function, Square, Kept)] == before
    assert [a != b for a, b in zip(seen, before, strict=True)] == [True, True, True]
    assert instrument.details["operations"] == {"Square": 1, "Kept": 1}


def test_what_was_there_before_the_trial_is_free(small_heap):
    old = np.ones(1_000)
    assert logged(lambda: square(Variable(old))).readings["floor_bytes"] == 8_000
    assert logged(lambda: square(Variable(np.ones(1_000)))).readings["floor_bytes"] == 16_000


def test_a_gradient_that_the_engine_sums_is_not_the_rules(small_heap):
    """Of x + b, b broadcast, the rule gives one gradient for both: that of b is another array."""

    def work():
        y = Variable(np.ones(1_000)) + Variable(np.ones(1))
        y.backward()

    (rule,) = [event for event in logged(work).log.events if isinstance(event, Rule)]
    of_x, of_b = rule.gradients
    assert of_x != NEW
    assert of_b == NEW


def test_a_rule_is_logged_once_however_it_is_inherited(small_heap):
    class Louder(Square):
        def backward(self, gy):
            return super().backward(gy) * 2

    def work():
        Louder()(square(Variable(np.ones(10)))).backward()

    rules = [event for event in logged(work).log.events if isinstance(event, Rule)]
    assert len(rules) == 2

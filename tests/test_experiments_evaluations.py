"""Evaluations are counted one by one: of every kind of forward, the first time and again."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from instrumented import led_through

from autodiff import (
    Function,
    Variable,
    checkpoint,
    checkpoint_sequential,
    exp,
    grad,
    sin,
    square,
    tanh,
    using_config,
    using_mode,
)
from autodiff.functions.elementwise import Sin, Square
from experiments.instruments.evaluations import Evaluations


def counted(work):
    """The instrument after a piece of work in this process."""
    return led_through(Evaluations(), work)


def readings(work):
    found = counted(work).readings
    return found["evaluations_count"], found["recomputed_count"]


def x():
    return Variable(np.linspace(0.1, 1.0, 5))


def test_nothing_evaluates_nothing():
    assert readings(lambda: None) == (0, 0)


@pytest.mark.parametrize("mode", ["step16", "lean", "no_grad"])
def test_every_operation_is_evaluated_once(mode):
    def work():
        with using_mode(mode):
            y = (tanh(sin(x())) * 2.0 + x()).sum()
            if mode != "no_grad":
                y.backward()

    assert readings(work) == (5, 0)


def test_a_checkpoint_evaluates_what_is_under_it_twice_and_is_not_counted_itself():
    def work():
        y = checkpoint(lambda x: square(sin(x)), exp(x()))
        square(y).backward()

    instrument = counted(work)
    assert instrument.readings == {"evaluations_count": 6, "recomputed_count": 2}
    assert instrument.details["evaluations"] == {
        "Square": {"first": 2, "again": 1},
        "Sin": {"first": 1, "again": 1},
        "Exp": {"first": 1, "again": 0},
    }


def test_a_checkpoint_in_a_checkpoint_evaluates_what_is_under_both_three_times():
    def inner(x):
        return checkpoint(sin, x)

    assert readings(lambda: checkpoint(lambda x: square(inner(x)), x()).backward()) == (5, 3)


def test_within_a_budget_and_in_segments_each_evaluation_is_counted():
    def segments():
        checkpoint_sequential([sin] * 12, x(), segments=3).backward()

    def budget():
        with using_config("budget", 8 * 5 * 8):
            y = x()
            for _ in range(12):
                y = sin(y)
            y.backward()

    assert readings(segments) == (12 + 2 * 3, 2 * 3)
    found, again = readings(budget)
    assert found - again == 12
    assert again > 0


def test_a_gradient_s_own_graph_is_computed_for_the_first_time():
    """The gradient of sin is gy * cos(x): two operations more."""
    assert readings(lambda: sin(x()).backward(create_graph=True)) == (3, 0)
    assert readings(lambda: sin(x()).backward(None, None, True)) == (3, 0)

    def by_grad():
        a = x()
        grad(sin(a), [a], create_graph=True)

    assert readings(by_grad) == (3, 0)


def test_what_is_evaluated_and_not_applied_is_computed_again_whoever_asks():
    def work():
        Sin()(x())
        Sin().forward(np.ones(3))

    assert readings(work) == (2, 1)


class Own(Function):
    """An operation as the slides have it."""

    def forward(self, x):
        return x * 2

    def backward(self, gy):
        return gy * 2


class Louder(Own):
    """One that calls the forward that it inherits from."""

    def forward(self, x):
        return super().forward(x) * 2


class Plain(Own):
    """One that inherits all."""


def test_a_forward_is_counted_once_however_it_is_inherited():
    def work():
        Own()(x())
        Louder()(x())
        Plain()(x())

    assert readings(work) == (3, 0)


def test_a_kind_of_operation_made_while_it_runs_is_counted():
    def work():
        class Late(Own):
            saves = ()
            forward = np.negative

        Late()(x())

    assert readings(work) == (1, 0)


def test_results_are_what_they_are_and_the_engine_is_put_back():
    kinds = (Function, Own, Louder, Plain, Square, Sin)
    before = [dict(vars(kind)) for kind in kinds]
    seen = []

    def work():
        a = x()
        for kind in kinds[1:]:
            a = kind()(a)
        np.testing.assert_array_equal(a.data, np.sin(np.square(x().data * 16)))
        seen.extend(inspect.getattr_static(kind, "forward") for kind in kinds)

    counted(work)
    assert [dict(vars(kind)) for kind in kinds] == before
    assert sum(a is not vars(kind).get("forward") for a, kind in zip(seen, kinds, strict=True)) == 5

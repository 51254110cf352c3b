"""Values and Makings: what a graph keeps, dropped and computed again.

That each operation can be repeated is a property of its row in operations.py.
"""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
from keepers import Nothing

from autodiff import Function, Variable, exp, grad, sin, square, using_config

# Modes that keep inputs whole hold every array by its Variable, and so have nothing to compute.
lean = pytest.mark.usefixtures("in_lean")
SIZE = 100_000  # elements; with it objects do not count


def chained(x: Variable, length: int) -> Variable:
    y = x
    for _ in range(length):
        y = sin(y)
    return y


@lean
def test_what_nobody_holds_costs_no_bytes() -> None:
    x = Variable(np.linspace(0.1, 2.0, SIZE))
    tracemalloc.start()
    with using_config("keeper", Nothing()):
        y = chained(x, 10)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert x.data.nbytes < held < 1.1 * x.data.nbytes  # y alone
    assert y.creator is not None


def test_it_is_computed_again_as_it_was() -> None:
    x = Variable(np.linspace(0.1, 2.0, 7))
    plain = grad(chained(x, 5) * x, [x])[0]
    with using_config("keeper", Nothing()):
        y = chained(x, 5) * x
    assert plain is not None
    assert np.array_equal(grad(y, [x])[0], plain)  # type: ignore[arg-type]


def test_what_a_gradient_of_a_gradient_reads_is_computed_again_too() -> None:
    def third(x: Variable) -> object:
        y = exp(sin(x)) * x
        for _ in range(2):
            (y,) = grad(y, [x], create_graph=True)  # type: ignore[assignment]
        return grad(y, [x])[0]

    x = Variable(np.linspace(0.1, 2.0, 7))
    plain = third(x)
    with using_config("keeper", Nothing()):
        assert np.array_equal(third(x), plain)  # type: ignore[arg-type]


@lean
def test_an_output_that_somebody_holds_is_not_computed_again() -> None:
    class Counted(Function):
        saves = (0,)
        evaluations = 0

        def forward(self, x):  # type: ignore[no-untyped-def]
            Counted.evaluations += 1
            return x * 2

        def backward(self, gy):  # type: ignore[no-untyped-def]
            (x,) = self.saved
            return gy * x

    with using_config("keeper", Nothing()):
        held = Counted()(Variable(np.ones(3)))
        y = square(held)
        y.backward(retain_graph=True)
        assert Counted.evaluations == 1
        held = None
        y.backward()
        assert Counted.evaluations == 2


@lean
@pytest.mark.parametrize("ends", ["backward", "dropped"])
def test_nothing_is_left_to_the_collector(ends: str) -> None:
    gc.collect()
    x = Variable(np.ones(3))
    with using_config("keeper", Nothing()):
        y = square(exp(x) * x)
        if ends == "backward":
            y.backward()
        del y
    assert gc.collect() == 0

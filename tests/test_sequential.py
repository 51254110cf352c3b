"""Chains of which little is held: evaluations and bytes by formula, gradients bit-equal."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from autodiff import (
    Function,
    Variable,
    checkpoint_sequential,
)
from autodiff.schedules import evaluations

SIZE = 100_000  # elements, beside which a hundred operations' objects are a third of one
ARRAY = SIZE * 8

Array = np.ndarray[Any, Any]
Stage = Callable[[Variable], Variable]


class Counted(Function):
    """y = 1.5 - x, counting how often; a rule need not be a derivative to be compared."""

    __slots__ = ()
    evaluations = 0

    def forward(self, x: Array) -> Array:
        Counted.evaluations += 1
        return 1.5 - x

    def backward(self, gy: Any) -> Any:
        (read,) = self.saved
        return gy * read


class ReadsInput(Counted):
    __slots__ = ()
    saves = (0,)


class ReadsResult(Counted):
    __slots__ = ()
    saves = (1,)


def inward(x: Variable) -> Variable:
    return ReadsInput()(x)  # type: ignore[no-any-return]


def outward(x: Variable) -> Variable:
    return ReadsResult()(x)  # type: ignore[no-any-return]


class Run(NamedTuple):
    evaluations: int
    peak: float  # in arrays, x counted
    gradient: bytes


def run(functions: list[Stage], held: bool = False, again: bool = False, **how: Any) -> Run:
    """Forward and backward of a chain on one large array; again: backward a second time."""
    x = Variable(np.linspace(0.1, 1, SIZE))
    Counted.evaluations = 0
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        if held:
            y = checkpoint_sequential(functions, x, result="held", **how)
            y.backward(retain_graph=again)
            if again:
                x.cleargrad()
                Counted.evaluations = 0
                tracemalloc.reset_peak()
                y.backward()
        else:
            checkpoint_sequential(functions, x, **how).backward()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert x.grad is not None
    return Run(Counted.evaluations, peak / ARRAY + 1, x.grad.tobytes())


def plainly(functions: list[Stage], x: Variable) -> Variable:
    for function in functions:
        x = function(x)
    return x


def plain_gradient(functions: list[Stage]) -> bytes:
    x = Variable(np.linspace(0.1, 1, SIZE))
    plainly(functions, x).backward()
    assert x.grad is not None
    return x.grad.tobytes()


# Exactly the closed form --------------------------------------------------------------------------

BUDGETS = [(n, m) for n in (2, 3, 10) for m in range(4, n + 4)]
BUDGETS += [(30, m) for m in (4, 5, 7, 10, 19, 31, 32)]
BUDGETS += [(100, m) for m in (5, 6, 8, 10, 13, 16, 21, 52, 102)]


@pytest.mark.parametrize(("length", "most"), BUDGETS)
def test_evaluations_and_bytes_are_the_closed_form(length: int, most: int) -> None:
    """t(N, M - 3) + 1 where rules read inputs, t(N + 1, M - 3) where they read results."""
    for function, expected in (
        (inward, evaluations(length, most - 3) + 1),
        (outward, evaluations(length + 1, most - 3)),
    ):
        found = run([function] * length, budget=most * ARRAY)
        assert found.evaluations == expected
        assert found.peak <= most + 0.4
        assert found.gradient == plain_gradient([function] * length)

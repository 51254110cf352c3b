"""Recomputation: the same gradients, fewer arrays, and as many computations as it costs."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import MemoryMode, Variable, checkpoint, grad, gradient_check, using_mode

CALLS: list[int] = []


def four_sines(x: Variable) -> Variable:
    CALLS.append(1)
    for _ in range(4):
        x = ad.sin(x)
    return x


def test_gradients_are_bit_equal_and_the_part_is_computed_twice(mode: MemoryMode) -> None:
    plain, x = Variable(np.linspace(0, 2, 7)), Variable(np.linspace(0, 2, 7))
    four_sines(four_sines(plain)).backward()
    CALLS.clear()
    y = checkpoint(four_sines, checkpoint(four_sines, x))
    assert len(CALLS) == 2
    y.backward()
    assert len(CALLS) == 4
    assert x.grad is not None
    assert plain.grad is not None
    assert x.grad.tobytes() == plain.grad.tobytes()


def test_it_keeps_inputs_only() -> None:
    def peak(parts: int, whole: bool) -> float:
        size = 40_000
        with using_mode("lean"):
            tracemalloc.start()
            x = Variable(np.full(size, 0.5))
            y = x
            for _ in range(parts):
                y = four_sines(y) if whole else checkpoint(four_sines, y)
            y.backward()
            highest = tracemalloc.get_traced_memory()[1] / (8 * size)
            tracemalloc.stop()
        return highest

    assert 19 <= peak(4, whole=True) < 19.3  # 16 inputs, the result, two gradients
    assert 11 <= peak(4, whole=False) < 11.3  # 4 inputs, 3 inside, two results, two gradients


def test_several_inputs_and_outputs_numbers_and_the_same_one_twice(mode: MemoryMode) -> None:
    def both(a: Variable, b: Variable, c: Any) -> tuple[Variable, Variable]:
        return a * b * c, ad.sin(a)

    a, b = Variable(np.array(2.0)), Variable(np.array(3.0), requires_grad=False)
    product, sine = checkpoint(both, a, b, 5.0)
    (product + sine).backward()
    assert float(a.grad) == pytest.approx(15 + np.cos(2))  # type: ignore[arg-type]
    assert b.grad is None
    (twice,) = grad(checkpoint(lambda x, y: x * y, a, a), a)
    assert float(twice) == 4


def test_it_nests_and_can_be_differentiated_again(mode: MemoryMode) -> None:
    def inner(x: Variable, w: Variable) -> Variable:
        return ad.tanh(x * w)

    def outer(x: Variable, w: Variable) -> Variable:
        return checkpoint(inner, ad.sin(x), w) * x  # type: ignore[no-any-return]

    x, w = np.array([0.3, -0.7]), np.array([1.1, 0.4])
    assert gradient_check(lambda x, w: checkpoint(outer, x, w), x, w, order=2)
    assert gradient_check(lambda x: checkpoint(outer, x, x), x, order=2)


def test_a_variable_that_is_no_input_is_an_error() -> None:
    w = Variable(np.ones(3), "weight")
    y = checkpoint(lambda x: x * w, Variable(np.ones(3)))
    with pytest.raises(ValueError, match=r"'weight' of shape \(3,\).*make it an input"):
        y.backward()
    frozen = Variable(np.ones(3), requires_grad=False)
    checkpoint(lambda x: x * frozen, Variable(np.ones(3))).backward()

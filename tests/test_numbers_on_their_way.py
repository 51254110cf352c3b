"""Gradients of no dimensions: numbers between operations, arrays wherever somebody looks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Function, Variable, grad

pytestmark = pytest.mark.usefixtures("in_lean")


class Looks(Function):
    """Notes what its rule is given; of one input or two, with one output or two."""

    saves = ()

    def __init__(self, outputs: int, seen: list[Any]) -> None:
        self.count, self.seen = outputs, seen

    def forward(self, *xs: Any) -> Any:
        return tuple([xs[0] * 1 for _ in range(self.count)])

    def backward(self, *gys: Any) -> Any:
        self.seen += gys
        gx = sum(gys)
        return gx if len(self.inputs) == 1 else (gx, gx * 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("uses", [1, 2, 3])
def test_rules_of_others_get_arrays(dtype: str, inputs: int, outputs: int, uses: int) -> None:
    x = Variable(np.array(0.5, dtype))
    seen: list[Any] = []
    ys = Looks(outputs, seen)(*[x for _ in range(inputs)])
    y = ys if outputs == 1 else ys[0] * ys[1]
    total = ad.sin(y)
    for _ in range(uses - 1):
        total = total * y + ad.exp(y)
    total.backward()
    assert [(type(gy), gy.shape, gy.dtype) for gy in seen] == [(np.ndarray, (), dtype)] * outputs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_leaves_get_arrays_of_their_own(dtype: str) -> None:
    x, y = Variable(np.array(0.5, dtype)), Variable(np.array(0.25, dtype))
    (ad.sin(x) * y + x * y + 3 * x).backward()
    for leaf in (x, y):
        assert type(leaf.grad) is np.ndarray
        assert leaf.grad.dtype == dtype
        leaf.grad[...] = 0  # nobody else reads it
    z = x * y + x
    for found in grad(z, [x, y]):
        assert type(found) is np.ndarray
        assert found.flags.writeable
    assert not np.shares_memory(*grad(x + y, [x, y]))


def test_a_matrix_product_beside_numbers_gets_arrays() -> None:
    a = Variable(np.array([1.0, 2.0]))
    (ad.sin(ad.matmul(a, a)) * 2 + 1).backward()
    assert a.grad is not None
    assert np.allclose(a.grad, 4 * np.cos(5.0) * a.data)


def test_the_bits_are_those_of_arrays_of_one_element() -> None:
    def f(x: Any, y: Any) -> Any:
        return ad.tanh(x * y - x**3 / (y + 2)) * ad.exp(-x) + ad.maximum(x, y) ** y + ad.sqrt(y)

    found = []
    for shape in ((), (1,)):
        x, y = Variable(np.full(shape, 0.3)), Variable(np.full(shape, 0.7))
        f(x, y).backward()
        assert x.grad is not None and y.grad is not None
        found.append((x.grad.tobytes(), y.grad.tobytes()))
    assert found[0] == found[1]

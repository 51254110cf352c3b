"""Jacobians, Hessians and their products, against finite differences and each other."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodiff import (
    MODES,
    Function,
    Variable,
    hessian,
    hvp,
    jacobian,
    numerical_diff,
    tanh,
    using_mode,
    vjp,
)

Array = np.ndarray[Any, Any]


def mixed(x: Variable) -> Variable:
    """Four numbers of three: products, a power, a constant and one that is passed on."""
    return np.stack([x[0] * x[1], np.exp(x[2]) * x[0] ** 2, x[0] * 0 + 3, x[1]])


def number(x: Variable) -> Variable:
    return (np.sin(x) * x**2).sum() * x[0]


points = st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3).map(np.array)


@given(x=points)
def test_a_jacobian_is_that_of_finite_differences(x: Array) -> None:
    found = jacobian(mixed, x)
    assert found.shape == (4, 3)
    for i in range(4):
        slope = numerical_diff(lambda x, i=i: mixed(x)[i], Variable(x))
        np.testing.assert_allclose(found[i], slope, rtol=1e-5, atol=1e-7)


@given(x=points)
def test_a_hessian_is_the_jacobian_of_the_gradient_and_symmetric(x: Array) -> None:
    found = hessian(number, x)
    np.testing.assert_allclose(found, found.T, rtol=1e-10, atol=1e-12)
    for i in range(3):
        h = np.zeros(3)
        h[i] = 1e-5
        slopes = (jacobian(number, x + h) - jacobian(number, x - h)) / 2e-5
        np.testing.assert_allclose(found[i], slopes, rtol=1e-5, atol=1e-6)


@given(x=points, v=points)
def test_products_are_those_with_the_matrices(x: Array, v: Array) -> None:
    y, found = hvp(number, x, v)
    assert y == number(Variable(x)).data
    np.testing.assert_allclose(found, hessian(number, x) @ v, rtol=1e-10, atol=1e-12)
    seed = np.array([*v, 0.5])
    y, found = vjp(mixed, x, seed)
    assert (y == mixed(Variable(x)).data).all()
    np.testing.assert_allclose(found, seed @ jacobian(mixed, x), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(vjp(mixed, x)[1], np.ones(4) @ jacobian(mixed, x), rtol=1e-10)


def bilinear(a: Variable, b: Variable) -> Variable:
    return (tanh(a) @ b).sum()


def test_of_several_inputs_there_is_one_for_each() -> None:
    a, b = np.ones((2, 3)) / 3, np.arange(3.0)
    rows = hessian(bilinear, (a, b))
    assert [[part.shape for part in row] for row in rows] == [
        [(2, 3, 2, 3), (2, 3, 3)],
        [(3, 2, 3), (3, 3)],
    ]
    assert not rows[1][1].any()  # it is linear in b: zeros, and not None
    np.testing.assert_allclose(rows[0][1], np.moveaxis(rows[1][0], 0, -1))
    assert [j.shape for j in jacobian(bilinear, (a, b))] == [(2, 3), (3,)]
    _, (along_a, along_b) = hvp(bilinear, (a, b), (a, b))
    expected = np.tensordot(rows[0][0], a, 2) + rows[0][1] @ b
    np.testing.assert_allclose(along_a, expected)
    np.testing.assert_allclose(along_b, np.tensordot(rows[1][0], a, 2) + rows[1][1] @ b)


def test_one_array_as_both_inputs_has_a_derivative_by_each() -> None:
    x = Variable(np.array([2.0, 3.0]))
    for create_graph in (False, True):
        found = jacobian(lambda a, b: (a**2 * b).sum(), (x, x), create_graph)
        left, right = (getattr(one, "data", one) for one in found)
        np.testing.assert_allclose(left, [8, 18])
        np.testing.assert_allclose(right, [4, 9])


def test_under_create_graph_they_lead_on_to_what_was_given() -> None:
    x = Variable(np.array([0.3, -0.7]))
    y = x * 2
    found = jacobian(lambda t: t**3, y, create_graph=True)
    found.sum().backward()
    np.testing.assert_allclose(x.grad, 2 * 6 * (2 * x.data))
    x.cleargrad()
    hessian(lambda t: (t**4).sum(), x * 2, create_graph=True).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * 24 * (2 * x.data))


CALLS: list[Callable[[Variable], Any]] = [
    lambda x: vjp(number, x),
    lambda x: jacobian(number, x),
    lambda x: hessian(number, x),
    lambda x: hvp(number, x, np.ones(3)),
]


@pytest.mark.forward
@pytest.mark.parametrize("call", CALLS)
def test_they_are_alike_in_every_mode_touch_no_grad_and_leave_nothing(
    call: Callable[[Variable], Any], collector_off: None
) -> None:
    found = []
    for mode in MODES:
        with using_mode(mode):
            x = Variable(np.array([0.3, 1.2, -0.7]))
            call(x)
            gc.collect()
            answer = call(x)
            if mode in ("lean", "no_grad"):
                assert gc.collect() == 0
            assert x.grad is None
            assert x.grad_var is None
            found.append(np.asarray(answer[-1]).tobytes())
    assert len(set(found)) == 1


def test_the_graph_of_what_is_given_is_neither_walked_nor_released() -> None:
    class Once(Function):
        saves = ()
        runs = 0

        def forward(self, x: Array) -> Array:
            return x * 1.0

        def backward(self, gy: Array) -> Array:
            Once.runs += 1
            return gy

    with using_mode("lean"):
        x = Variable(np.array([0.3, 1.2, -0.7]))
        y = Once()(x)
        for call in CALLS:
            call(y)
        assert Once.runs == 0
        y.backward()
        assert Once.runs == 1


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda x: hessian(mixed, x), ValueError, "gives 4 numbers"),
        (lambda x: hvp(mixed, x, x), ValueError, "gives 4 numbers"),
        (lambda x: hvp(number, x, np.ones(4)), ValueError, r"v of shape \(4,\)"),
        (lambda x: hvp(number, x, (x, x)), ValueError, "2 directions for 1 inputs"),
        (lambda x: vjp(number, x, np.ones(2)), ValueError, r"v of shape \(2,\)"),
        (lambda x: jacobian(lambda x: x.data, x), TypeError, "one Variable, not ndarray"),
    ],
)
def test_what_cannot_be_is_said(call: Callable[[Array], Any], error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        call(np.ones(3))

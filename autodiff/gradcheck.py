"""Derivatives by finite differences, and gradients checked against them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.arrays import Array
from autodiff.config import using_config
from autodiff.variable import Variable, as_constant, grad


def numerical_diff(f: Callable[[Variable], Variable], x: Variable, eps: float = 1e-4) -> Array:
    """The derivative of the sum of f(x) by each element of x, by central differences.

    (f(x + eps) - f(x - eps)) / (2 eps), in float64; an array of x's shape. x is left as it is.
    Source: step 4 of the book.
    """
    point = x.data.astype(np.float64)
    derivative: Array = np.empty_like(point)
    with using_config("enable_backprop", False):
        for i in np.ndindex(point.shape):
            sums = []
            for shift in (eps, -eps):
                moved = point.copy()
                moved[i] += shift
                sums.append(np.sum(f(Variable(moved)).data))
            derivative[i] = (sums[0] - sums[1]) / (2 * eps)
    return derivative


@dataclass(frozen=True)
class GradientCheck:
    """What a gradient check found; true where gradients and finite differences agree."""

    agree: bool
    input: int  # the number of the first input where they differ; -1 for none
    order: int  # 1: the gradient, 2: the gradient of the gradient, and so on
    gradient: Any  # there, from the engine
    difference: Any  # there, from finite differences

    def __bool__(self) -> bool:
        return self.agree

    def __str__(self) -> str:
        if self.agree:
            return "gradients and finite differences agree"
        return (
            f"order {self.order}, input {self.input}: the gradient is\n{self.gradient}\n"
            f"and finite differences give\n{self.difference}"
        )

    __repr__ = __str__


def gradient_check(
    f: Callable[..., Variable],
    *inputs: Variable | Array,
    order: int = 1,
    eps: float = 1e-4,
    rtol: float = 1e-4,
    atol: float = 1e-5,
) -> GradientCheck:
    """Compare the gradients of a function with finite differences; a result that is true or false.

    inputs: where to check; integer data is not differentiated. order: 2 checks the gradients of the
    gradients, too, 3 those of these, and so on. They agree where |a - b| <= atol + rtol |b|. Inputs
    and their grad are left as they are. Source: step 10 of the book.
    Raises ValueError for an order that is no such number.
    """
    if order not in range(1, 10):
        raise ValueError(f"order = {order!r}: allowed are 1, 2, 3 and so on")
    points = [x.data if isinstance(x, Variable) else np.asarray(x) for x in inputs]
    weights = _weights(f, points)

    def weighted(*xs: Variable) -> Variable:
        y: Variable = (f(*xs) * weights).sum()
        return y

    return _from_order(1, order, weighted, points, (eps, rtol, atol))


def _from_order(
    first: int,
    last: int,
    f: Callable[..., Variable],
    points: list[Array],
    within: tuple[float, float, float],
) -> GradientCheck:
    """Check a function whose result is one number, then its derivatives alike, up to an order."""
    found = _at_order(first, f, points, *within)
    for i in _floats(points) if first < last else ():
        if not found:
            break
        found = _from_order(first + 1, last, _slope(f, points, i), points, within)
    return found


def _slope(f: Callable[..., Variable], points: list[Array], i: int) -> Callable[..., Variable]:
    """The derivative of a function along a direction in its input i."""
    direction = np.random.default_rng(i).uniform(0.5, 1.5, points[i].shape)

    def slope(*xs: Variable) -> Variable:
        with using_config("enable_backprop", True):
            y = f(*xs)
            (gx,) = grad(y, xs[i], create_graph=True) if y.requires_grad else (None,)
            return as_constant(np.zeros(())) if gx is None else (gx * direction).sum()

    return slope


def _weights(f: Callable[..., Variable], points: list[Array]) -> Array:
    """A weight for each element of the result, so that no two of them can be confused."""
    with using_config("enable_backprop", False):
        shape = f(*_variables(points)).shape
    return np.random.default_rng(0).uniform(0.5, 1.5, shape)


def _variables(points: list[Array]) -> list[Variable]:
    """Variables on copies, so that a function that writes to its arguments harms nobody."""
    return [Variable(x.copy()) for x in points]


def _floats(points: list[Array]) -> list[int]:
    return [i for i, x in enumerate(points) if x.dtype.kind == "f"]


def _at_order(
    order: int,
    f: Callable[..., Variable],
    points: list[Array],
    eps: float,
    rtol: float,
    atol: float,
) -> GradientCheck:
    """Compare the gradient of a function whose result is one number with finite differences."""
    variables = _variables(points)
    with using_config("enable_backprop", True):
        y = f(*variables)
        gradients = grad(y, variables)
    for i in _floats(points):

        def along(x: Variable, i: int = i) -> Variable:
            return f(*(x if j == i else other for j, other in enumerate(_variables(points))))

        difference = numerical_diff(along, variables[i], eps)
        gradient = np.zeros_like(difference) if gradients[i] is None else gradients[i]
        if not np.allclose(gradient, difference, rtol, atol):
            return GradientCheck(False, i, order, gradient, difference)
    return GradientCheck(True, -1, order, None, None)

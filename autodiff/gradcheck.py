"""Derivatives by finite differences, and gradients checked against them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.arrays import Array
from autodiff.config import using_config
from autodiff.variable import Variable, grad


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
    order: int  # 1: the gradient, 2: the gradient of the gradient
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
    gradients, too. They agree where |a - b| <= atol + rtol |b|. Inputs, and their grad, are left as
    they are. Source: step 10 of the book.
    """
    if order not in (1, 2):
        raise ValueError(f"order = {order!r}: allowed are 1 and 2")
    points = [x.data if isinstance(x, Variable) else np.asarray(x) for x in inputs]
    weights = _weights(f, points)

    def weighted(*xs: Variable) -> Variable:
        y: Variable = (f(*xs) * weights).sum()
        return y

    found = _first_order(weighted, points, 1, eps, rtol, atol)
    if order == 1 or not found:
        return found
    for i in _floats(points):

        def gradient(*xs: Variable, i: int = i) -> Variable:
            with using_config("enable_backprop", True):
                (gx,) = grad(weighted(*xs), xs[i], create_graph=True)
            return Variable(np.zeros_like(xs[i].data)) if gx is None else gx

        slope = np.random.default_rng(i).uniform(0.5, 1.5, points[i].shape)
        found = _first_order(lambda *xs: (gradient(*xs) * slope).sum(), points, 2, eps, rtol, atol)  # noqa: B023
        if not found:
            return found
    return found


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


def _first_order(
    f: Callable[..., Variable],
    points: list[Array],
    order: int,
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

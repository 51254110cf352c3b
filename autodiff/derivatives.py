"""Derivatives of a function: its Jacobian and Hessian, and their products with a vector.

Each takes a function of one Variable or of several that gives one, and where to take the
derivative: an array or a Variable, or a tuple of them, for which it gives a tuple. It makes graphs
of its own, whatever mode is in force, and touches no `grad`. The results are ndarrays; under
create_graph they are Variables that can be differentiated again, also with respect to what the
Variables given were computed from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from autodiff.arrays import as_array, gradient_spec
from autodiff.config import using_config
from autodiff.gradients import Gradient
from autodiff.variable import Operand, Variable, as_constant, as_variable, grad

Point: TypeAlias = "Operand | tuple[Operand, ...]"

recording = using_config("enable_backprop", True)


@recording
def vjp(
    function: Callable[..., Variable],
    inputs: Point,
    v: Operand | None = None,
    create_graph: bool = False,
) -> tuple[Any, Any]:
    """y = function(inputs), and the product of v with its Jacobian, of the inputs' shapes.

    v: of y's shape; without it, ones: the gradient of the sum of y.
    Raises ValueError for a v of another shape, TypeError where y is no Variable.
    """
    y, xs = _applied(function, inputs, create_graph)
    seed = np.ones(*gradient_spec(y.data)) if v is None else _fitted(v, y, "v")
    return _result(y, create_graph), _packed(inputs, _pulled(y, seed, xs, create_graph))


@recording
def jacobian(function: Callable[..., Variable], inputs: Point, create_graph: bool = False) -> Any:
    """The derivative of every element of y = function(inputs) by every element of the inputs.

    Of shape y.shape + x.shape for each input x. Costs a backward pass for each element of y.
    Raises TypeError where y is no Variable.
    """
    y, xs = _applied(function, inputs, create_graph)
    return _packed(inputs, _rows(y, xs, create_graph))


@recording
def hessian(function: Callable[..., Variable], inputs: Point, create_graph: bool = False) -> Any:
    """The second derivatives of a function that gives one number.

    Of shape x.shape + x.shape for an input x; for a tuple of inputs a tuple of such rows, the
    derivatives of each input's gradient by every input. Costs a backward pass for each element of
    the inputs. Raises ValueError where the function gives more than one number.
    """
    y, xs = _applied(function, inputs, create_graph)
    rows = [_packed(inputs, _rows(gx, xs, create_graph)) for gx in _gradients(y, xs)]
    return _packed(inputs, rows)


@recording
def hvp(
    function: Callable[..., Variable], inputs: Point, v: Point, create_graph: bool = False
) -> tuple[Any, Any]:
    """y = function(inputs), one number, and the product of its Hessian with v.

    v: a direction, for each input an array of its shape. Costs two backward passes, however many
    elements there are. Raises ValueError where the function gives more than one number, and for a v
    of another shape. Source: B. Pearlmutter, "Fast exact multiplication by the Hessian" (1994).
    """
    y, xs = _applied(function, inputs, create_graph)
    directions = v if isinstance(v, tuple) else (v,)
    if len(directions) != len(xs):
        raise ValueError(f"v has {len(directions)} directions for {len(xs)} inputs")
    slopes = [
        np.sum(gx * _fitted(one, x, "v"))
        for gx, one, x in zip(_gradients(y, xs), directions, xs, strict=True)
    ]
    slope = sum(slopes[1:], start=slopes[0])
    one = np.ones(*gradient_spec(slope.data))
    return _result(y, create_graph), _packed(inputs, _pulled(slope, one, xs, create_graph))


def _applied(
    function: Callable[..., Variable], inputs: Point, create_graph: bool
) -> tuple[Variable, list[Variable]]:
    """What the function gives, and the Variables that it was given.

    These are new ones, so that no graph of the caller's is walked through or released. Under
    create_graph they lead on to the caller's.
    """
    points = inputs if isinstance(inputs, tuple) else (inputs,)
    given = [as_variable(x) for x in points]
    linked = [create_graph and x.requires_grad for x in given]
    xs: list[Any] = [
        np.reshape(x, x.shape) if link else Variable(x.data)
        for x, link in zip(given, linked, strict=True)
    ]
    y = function(*xs)
    if not isinstance(y, Variable):
        raise TypeError(f"the function gives one Variable, not {type(y).__name__}")
    return y, xs


def _gradients(y: Variable, xs: Sequence[Variable]) -> list[Variable]:
    """The gradient of one number by each of the Variables, to be differentiated again."""
    if y.size != 1:
        raise ValueError(
            f"the function gives {y.size} numbers, of shape {y.shape}, and second derivatives are "
            "taken of one: sum them up, or take jacobian(...) of its gradient"
        )
    return _pulled(y, np.ones(*gradient_spec(y.data)), xs, create_graph=True)


def _rows(y: Variable, xs: Sequence[Variable], create_graph: bool) -> list[Any]:
    """The derivative of every element of y, for each of the Variables."""
    seeds = np.identity(y.size, gradient_spec(y.data)[1]).reshape(y.size, *y.shape)
    rows = [_pulled(y, seed, xs, create_graph) for seed in seeds]
    shapes = [(*y.shape, *x.shape) for x in xs]
    if not rows:
        return [
            np.zeros(shape, gradient_spec(x.data)[1]) for shape, x in zip(shapes, xs, strict=True)
        ]
    columns = zip(*rows, strict=True)
    return [np.reshape(np.stack(c), shape) for c, shape in zip(columns, shapes, strict=True)]


def _pulled(y: Variable, seed: Any, xs: Sequence[Variable], create_graph: bool) -> list[Any]:
    """The product of a seed with the Jacobian by each of the Variables: zeros where y has none."""
    found = grad(y, xs, create_graph, retain_graph=True, seeds=[seed])
    return [_zeros(x, create_graph) if gx is None else gx for gx, x in zip(found, xs, strict=True)]


def _zeros(x: Variable, as_variable: bool) -> Gradient:
    zeros = np.zeros(*gradient_spec(x.data))
    return as_constant(zeros) if as_variable else zeros


def _fitted(v: Operand, x: Variable, name: str) -> Any:
    """What is multiplied with derivatives, in the shape of what it goes with."""
    if np.shape(v) != x.shape:
        raise ValueError(f"{name} of shape {np.shape(v)}, where the derivative has {x.shape}")
    return v if isinstance(v, Variable) else as_array(v)


def _result(y: Variable, create_graph: bool) -> Any:
    return y if create_graph else y.data


def _packed(inputs: Point, found: list[Any]) -> Any:
    """One for each input: in a tuple where the inputs were in one."""
    return tuple(found) if isinstance(inputs, tuple) else found[0]

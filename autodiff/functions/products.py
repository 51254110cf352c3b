"""Sums of products: matmul, dot, tensordot, linear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from numpy.lib.array_utils import normalize_axis_tuple

from autodiff.arrays import Array, sum_to_shape
from autodiff.config import settings
from autodiff.functions.elementwise import mul
from autodiff.functions.fitting import Fitting
from autodiff.functions.numpy_protocol import implements
from autodiff.functions.per_input import PerInput
from autodiff.quick_numpy import np
from autodiff.variable import Operand, Variable, form_of, source_of

__all__ = ["dot", "linear", "matmul", "rmatmul", "tensordot"]

Axes: TypeAlias = "int | tuple[int | Sequence[int], int | Sequence[int]]"


class MatMul(Fitting, PerInput):
    """y = x0 x1, matrices on the last two axes, stacked and broadcast along the others.

    A vector stands for a matrix of one row (x0) or column (x1), and its axis is not in y.
    """

    __slots__ = ()
    reads = ((1,), (0,))

    @classmethod
    def of_matrices(cls, x0: Operand, x1: Operand) -> Variable | None:
        """The product of two matrices that want gradients, recorded in a straight line, or None.

        It takes 2 % of the bench's RNN less.
        """
        if settings().straight is None:
            return None
        if not (isinstance(x0, Variable) and isinstance(x1, Variable)):
            return None
        form0, form1 = x0._form or form_of(x0), x1._form or form_of(x1)
        arrays, sources = (x0._array, x1._array), (x0._source, x1._source)
        if form0 is None or form1 is None or None in sources:
            return None
        if form0.dtype is not form1.dtype or not len(form0.shape) == len(form1.shape) == 2:
            return None
        if form0.shape[1] != form1.shape[0]:
            return None
        y = np.matmul(*arrays)
        generation = x0.generation if x0.generation > x1.generation else x1.generation
        return cls.made(sources, generation, arrays, y)

    def forward(self, x0: Any, x1: Any) -> Any:
        return np.matmul(x0, x1)

    def grad0(self, gy: Any) -> Any:
        _, x1 = self.kept
        if gy.ndim == x1.ndim == 2:
            return np.matmul(gy, x1.T)
        is_row = gy.ndim == x1.ndim - 1
        gx = np.matmul(_as_matrix(gy, is_row, x1.ndim == 1), _turned(x1, -2))
        return np.squeeze(gx, -2) if is_row else gx

    def grad1(self, gy: Any) -> Any:
        x0, _ = self.kept
        if x0.ndim == gy.ndim == 2:
            return np.matmul(x0.T, gy)
        is_column = gy.ndim == x0.ndim - 1
        gx = np.matmul(_turned(x0, -1), _as_matrix(gy, x0.ndim == 1, is_column))
        return np.squeeze(gx, -1) if is_column else gx

    def backward(self, gy: Any) -> Any:
        of_x0, of_x1 = self._sources
        return [
            None if of_x0 is None else self.grad0(gy),
            None if of_x1 is None else self.grad1(gy),
        ]

    def fits(self, y: Array, *xs: Any) -> bool:
        x0, x1 = xs
        return x0.ndim <= 2 >= x1.ndim and x0.dtype is x1.dtype


def _as_matrix(gy: Any, is_row: bool, is_column: bool) -> Any:
    """A gradient with the axes that vectors took away."""
    if is_column:
        gy = np.expand_dims(gy, -1)
    return np.expand_dims(gy, -2) if is_row else gy


def _turned(x: Any, axis: int) -> Any:
    """Matrices with columns for rows; a vector as a matrix that has an axis more, at `axis`."""
    return np.expand_dims(x, axis) if x.ndim == 1 else np.swapaxes(x, -1, -2)


@implements(np.matmul)
def matmul(x0: Operand, x1: Operand) -> Variable:
    """The matrix product of x0 and x1, stacked along all axes but the last two.

    Shapes (..., m, k) and (..., k, n) give (..., m, n); a vector (k,) on a side loses its axis.
    Source: step 41 of the book.
    """
    y = MatMul.of_matrices(x0, x1)
    return MatMul()(x0, x1) if y is None else y


def rmatmul(x0: Operand, x1: Operand) -> Variable:
    """The matrix product of x1 and x0."""
    return matmul(x1, x0)


class TensorDot(PerInput):
    """y = the sum of products over pairs of axes, one of x0 and one of x1."""

    __slots__ = ("axes0", "axes1", "free0", "free1")
    reads = ((1,), (0,))

    def __init__(self, axes: Axes) -> None:
        if isinstance(axes, int):
            self.axes0, self.axes1 = tuple(range(-axes, 0)), tuple(range(axes))
        else:
            self.axes0, self.axes1 = (tuple(int(i) for i in np.atleast_1d(a)) for a in axes)

    def forward(self, x0: Any, x1: Any) -> Any:
        self.axes0 = normalize_axis_tuple(self.axes0, np.ndim(x0))
        self.axes1 = normalize_axis_tuple(self.axes1, np.ndim(x1))
        y = np.tensordot(x0, x1, (self.axes0, self.axes1))
        self.free0 = [axis for axis in range(np.ndim(x0)) if axis not in self.axes0]
        self.free1 = [axis for axis in range(np.ndim(x1)) if axis not in self.axes1]
        return y

    def grad0(self, gy: Any) -> Any:
        _, x1 = self.kept
        ours = list(range(len(self.free0), len(self.free0) + len(self.free1)))
        gx = np.tensordot(gy, x1, (ours, self.free1))  # axes: free0, then axes1 in their order
        summed = [axis0 for _, axis0 in sorted(zip(self.axes1, self.axes0, strict=True))]
        return np.transpose(gx, _inverse(self.free0 + summed))

    def grad1(self, gy: Any) -> Any:
        x0, _ = self.kept
        ours = list(range(len(self.free0)))
        gx = np.tensordot(x0, gy, (self.free0, ours))  # axes: axes0 in their order, then free1
        summed = [axis1 for _, axis1 in sorted(zip(self.axes0, self.axes1, strict=True))]
        return np.transpose(gx, _inverse(summed + self.free1))


def _inverse(order: list[int]) -> list[int]:
    return [order.index(i) for i in range(len(order))]


@implements(np.tensordot)
def tensordot(x0: Operand, x1: Operand, axes: Axes = 2) -> Variable:
    """The sum of products of x0 and x1 over pairs of axes.

    axes: so many last axes of x0 with as many first ones of x1, or a pair of lists of axes.
    """
    return TensorDot(axes).apply(x0, x1)


@implements(np.dot)
def dot(x0: Operand, x1: Operand) -> Variable:
    """The sum of products over the last axis of x0 and the last but one of x1 (a vector's only)."""
    if np.ndim(x0) == 0 or np.ndim(x1) == 0:
        return mul(x0, x1)
    return tensordot(x0, x1, (-1, max(np.ndim(x1) - 2, 0)))


class Linear(Fitting, PerInput):
    """y = x W + b, rows of x being on its last axis."""

    __slots__ = ()
    reads = ((1,), (0,), ())

    @classmethod
    def of_rows(cls, x: Operand, W: Operand, b: Operand) -> Variable | None:
        """It for parameters that want gradients and fit x, in a straight line, or None.

        A step of the bench's RNN takes 2 us less, of the 18 that the engine adds to it.
        """
        if settings().straight is None:
            return None
        if not (isinstance(W, Variable) and W._wanted):
            return None
        if not (isinstance(b, Variable) and b._wanted):
            return None
        rows, weights, bias = x._array if isinstance(x, Variable) else x, W._array, b._array
        if not (
            type(rows) is type(weights) is type(bias) is np.ndarray
            and rows.ndim
            and weights.ndim == 2
        ):
            return None
        if not (rows.dtype is weights.dtype is bias.dtype and bias.dtype.kind == "f"):
            return None
        if rows.shape[-1] != weights.shape[0] or bias.shape != weights.shape[1:]:
            return None
        of_x, of_W, of_b = None, W._source or source_of(W), b._source or source_of(b)
        generation = of_W.generation
        if generation < of_b.generation:
            generation = of_b.generation
        if isinstance(x, Variable) and x._wanted:
            of_x = x._source or source_of(x)
            if generation < of_x.generation:
                generation = of_x.generation
        y = np.matmul(rows, weights)
        y += bias
        kept = rows, None if of_x is None else weights
        return cls.made((of_x, of_W, of_b), generation + 1, kept, y)

    def forward(self, x: Any, W: Any, b: Any) -> Any:
        y = np.matmul(x, W)
        if type(b) is np.ndarray and b.dtype is y.dtype and W.shape[1:] == b.shape == y.shape[-1:]:
            y += b  # as nearly always
            return y
        if W.ndim != 2 or np.broadcast_shapes(y.shape, np.shape(b)) != y.shape:
            raise ValueError("W is (n, m), and b is (m,), or fits the product as it is")
        if y.dtype != np.result_type(y, b):
            return y + b
        y += b
        return y

    def grad0(self, gy: Any) -> Any:
        _, W = self.kept
        return np.matmul(gy, W.T)

    def grad1(self, gy: Any) -> Any:
        x, _ = self.kept
        if x.ndim == 2:
            return np.matmul(x.T, gy)
        count = math.prod(x.shape[:-1])
        rows, gys = (np.reshape(a, (count, a.shape[-1])) for a in (x, gy))
        return np.matmul(rows.T, gys)

    def grad2(self, gy: Any) -> Any:
        if self._more is not None:
            return gy
        return np.add.reduce(gy, 0) if gy.ndim == 2 else sum_to_shape(gy, gy.shape[-1:])

    def backward(self, gy: Any) -> Any:
        of_x, of_W, of_b = self._sources
        return [
            None if of_x is None else self.grad0(gy),
            None if of_W is None else self.grad1(gy),
            None if of_b is None else self.grad2(gy),
        ]

    def fits(self, y: Array, *xs: Any) -> bool:
        x, W, b = xs
        return np.shape(b) == y.shape[-1:] and x.dtype is W.dtype is b.dtype


def linear(x: Operand, W: Operand, b: Operand | None = None) -> Variable:
    """x W + b, as one operation: x of shape (..., n), W (n, m), b (m,) or None.

    Source: step 43 of the book.
    """
    if b is None:
        return matmul(x, W)
    y = Linear.of_rows(x, W, b)
    return Linear()(x, W, b) if y is None else y

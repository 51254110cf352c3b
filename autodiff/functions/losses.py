"""Softmax and losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.arrays import Array, times, turned
from autodiff.functions.arity import Binary, Unary
from autodiff.functions.fitting import Fitting
from autodiff.functions.per_input import PerInput
from autodiff.variable import Operand, Variable

__all__ = ["log_softmax", "mean_squared_error", "softmax", "softmax_cross_entropy"]


def _floats(x: Any) -> Any:
    """What holds floats as it is, else of floats: differences of integers can overflow."""
    return x if x.dtype.kind == "f" else x * 1.0


class Softmax(Unary):
    """y = e ** x / sum of e ** x along an axis.  gx = y (gy - sum of gy y)."""

    __slots__ = ("axis",)
    saves = (1,)

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        x = _floats(x)
        y = turned(np.exp, x - x.max(axis=self.axis, keepdims=True))
        y /= y.sum(axis=self.axis, keepdims=True)
        return y

    def backward(self, gy: Any) -> Any:
        y = self.kept
        gx = gy - (gy * y).sum(axis=self.axis, keepdims=True)
        gx *= y
        return gx


def softmax(x: Operand, axis: int = -1) -> Variable:
    """e ** x, as parts of its sum along an axis."""
    return Softmax(axis).apply(x)


class LogSoftmax(Unary):
    """y = x - log of the sum of e ** x along an axis.  gx = gy - e ** y sum of gy."""

    __slots__ = ("axis",)
    saves = (1,)

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        x = _floats(x)
        y = x - x.max(axis=self.axis, keepdims=True)
        y -= np.log(np.exp(y).sum(axis=self.axis, keepdims=True))
        return y

    def backward(self, gy: Any) -> Any:
        y = self.kept
        gx = np.exp(y)
        gx *= -gy.sum(axis=self.axis, keepdims=True)
        gx += gy
        return gx


def log_softmax(x: Operand, axis: int = -1) -> Variable:
    """The logarithm of softmax."""
    return LogSoftmax(axis).apply(x)


class CrossEntropy(Fitting, Binary):
    """y = the mean of -x0 at each row's class, x1.  gx0 = -1 / n there, and 0 elsewhere."""

    __slots__ = ("shape",)
    reads = ((1,), ())

    def forward(self, x: Any, t: Any) -> Any:
        _check_classes(x, t)
        self.shape = x.shape
        return -x[np.arange(len(t)), t].mean()

    def grad0(self, gy: Any) -> Any:
        t = self.kept
        gx = np.zeros(self.shape, gy.dtype)
        gx[np.arange(len(t)), t.data if isinstance(t, Variable) else t] = -1 / len(t)
        return times(gx, gy)

    def fits(self, y: Array, *xs: Any) -> bool:
        return xs[0].dtype is y.dtype


def _check_classes(x: Any, t: Any) -> None:
    if np.ndim(x) != 2 or np.shape(t) != x.shape[:1]:
        raise ValueError("x has a row of scores for each example, (n, classes), and t is (n,)")
    if t.dtype.kind not in "iu":
        raise ValueError(f"t holds the number of each row's class, and its dtype is {t.dtype}")
    if t.size and not 0 <= t.min() <= t.max() < x.shape[1]:
        raise ValueError(
            f"t holds {t.min()} to {t.max()}, and the classes are 0 to {x.shape[1] - 1}"
        )


def softmax_cross_entropy(x: Operand, t: Operand) -> Variable:
    """The mean over rows of the cross entropy between softmax(x) and the right class.

    x: scores, (n, classes); t: the number of each row's class, (n,), integers.
    Raises ValueError for other shapes, and for a class that there is not.
    Source: step 47 of the book.
    """
    classes = t.data if isinstance(t, Variable) else t
    return CrossEntropy().apply(log_softmax(x), classes)


class MeanSquaredError(PerInput):
    """y = the mean of (x0 - x1) ** 2.  gx0 = 2 (x0 - x1) / n."""

    __slots__ = ()
    reads = ((0, 1), (0, 1))

    def forward(self, x0: Any, x1: Any) -> Any:
        if np.shape(x0) != np.shape(x1):
            raise ValueError("the two have one shape; broadcast would pair each with every other")
        return np.mean(turned(np.square, _difference(x0, x1)))

    def grad0(self, gy: Any) -> Any:
        x0, x1 = self.kept
        gx = _difference(x0, x1)
        gx *= gy * (2 / (x0.size or 1))
        return gx

    def grad1(self, gy: Any) -> Any:
        x0, x1 = self.kept
        gx = _difference(x1, x0)
        gx *= gy * (2 / (x1.size or 1))
        return gx


def _difference(x0: Any, x1: Any) -> Any:
    return x0 - x1 if np.result_type(x0, x1).kind == "f" else x0 * 1.0 - x1


def mean_squared_error(x0: Operand, x1: Operand) -> Variable:
    """The mean over all elements of (x0 - x1) ** 2, for two of one shape.

    Raises ValueError for two shapes. Source: step 42 of the book, which divides by the length only.
    """
    return MeanSquaredError().apply(x0, x1)

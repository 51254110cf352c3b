"""Operations that reduce axes. axis: None for all, a number or a tuple of them."""

from __future__ import annotations

from typing import Any, TypeAlias

from autodiff.arrays import gradient_dtype, turned
from autodiff.functions.numpy_protocol import implements
from autodiff.graph import Function
from autodiff.quick_numpy import np
from autodiff.variable import Operand, Variable

__all__ = ["logsumexp", "max", "mean", "min", "standardize", "sum", "var"]

Axis: TypeAlias = "int | tuple[int, ...] | None"


class Reduction(Function):
    """An operation that reduces axes; its rule stretches what was reduced back over them."""

    __slots__ = ("axis", "keepdims", "expanded_shape", "shape")

    def __init__(self, axis: Axis, keepdims: bool) -> None:
        self.axis = axis
        self.keepdims: Any = keepdims  # NumPy 2.5 is typed for a literal True or False alone

    def forward(self, x: Any) -> Any:
        x = np.asarray(x)
        axes = range(x.ndim) if self.axis is None else np.atleast_1d(self.axis)
        reduced = {int(axis) % x.ndim for axis in axes} if x.ndim else set()
        self.shape = x.shape
        self.expanded_shape = tuple(1 if i in reduced else n for i, n in enumerate(x.shape))
        return self.reduce(x)

    def reduce(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no reduce")

    def expanded(self, reduced: Any) -> Any:
        """What was reduced, with the reduced axes as axes of one element."""
        return np.reshape(reduced, self.expanded_shape)

    def stretched(self, reduced: Any) -> Any:
        """What was reduced, at every element that it was reduced from."""
        return np.broadcast_to(self.expanded(reduced), self.shape)

    @property
    def count(self) -> int:
        """How many elements each result is made of; 1 where there is no result."""
        return int(np.prod(self.shape)) // int(np.prod(self.expanded_shape) or 1) or 1


class Sum(Reduction):
    """y = sum of x.  dy/dx = 1."""

    __slots__ = ()
    saves = ()

    def reduce(self, x: Any) -> Any:
        return np.sum(x, axis=self.axis, keepdims=self.keepdims)

    def backward(self, gy: Any) -> Any:
        return self.stretched(gy)


@implements(np.sum)
def sum(x: Operand, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The sum of x over axes. Source: step 39 of the book."""
    return Sum(axis, keepdims).apply(x)


class Mean(Reduction):
    """y = sum of x / n.  dy/dx = 1 / n."""

    __slots__ = ()
    saves = ()

    def reduce(self, x: Any) -> Any:
        return np.mean(x, axis=self.axis, keepdims=self.keepdims)

    def backward(self, gy: Any) -> Any:
        return self.stretched(gy / self.count)


@implements(np.mean)
def mean(x: Operand, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The mean of x over axes."""
    return Mean(axis, keepdims).apply(x)


class Var(Reduction):
    """y = sum of (x - mean x) ** 2 / (n - ddof).  dy/dx = 2 (x - mean x) / (n - ddof)."""

    __slots__ = ("ddof",)
    saves = (0,)

    def __init__(self, axis: Axis, ddof: int, keepdims: bool) -> None:
        super().__init__(axis, keepdims)
        self.ddof = ddof

    def reduce(self, x: Any) -> Any:
        return np.var(x, axis=self.axis, ddof=self.ddof, keepdims=self.keepdims)

    def backward(self, gy: Any) -> Any:
        x = self.kept
        gx = x - np.mean(x, axis=self.axis, keepdims=True)
        gx *= self.expanded(gy * 2 / (self.count - self.ddof))
        return gx


@implements(np.var)
def var(x: Operand, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """The variance of x over axes, of n elements divided by n - ddof."""
    return Var(axis, ddof, keepdims).apply(x)


class Extreme(Reduction):
    """y = the largest or smallest of x; elements that share that place share its gradient."""

    __slots__ = ()
    saves = (0, 1)

    def backward(self, gy: Any) -> Any:
        x, y = self.kept
        chosen = np.equal(x, self.expanded(y))
        count = np.sum(chosen, axis=self.axis, keepdims=self.keepdims).astype(gy.dtype)
        return self.stretched(gy / count) * chosen


class Max(Extreme):
    """y = the largest of x."""

    __slots__ = ()

    def reduce(self, x: Any) -> Any:
        return np.max(x, axis=self.axis, keepdims=self.keepdims)


@implements(np.max, np.amax)
def max(x: Operand, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The largest of x over axes; equals share the gradient."""
    return Max(axis, keepdims).apply(x)


class Min(Extreme):
    """y = the smallest of x."""

    __slots__ = ()

    def reduce(self, x: Any) -> Any:
        return np.min(x, axis=self.axis, keepdims=self.keepdims)


@implements(np.min, np.amin)
def min(x: Operand, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The smallest of x over axes; equals share the gradient."""
    return Min(axis, keepdims).apply(x)


class LogSumExp(Reduction):
    """y = log of the sum of e ** x, shifted so that it does not overflow.  dy/dx = e ** (x - y)."""

    __slots__ = ()
    saves = (0, 1)

    def reduce(self, x: Any) -> Any:
        x = x.astype(gradient_dtype(x.dtype), copy=False)
        top = np.max(x, axis=self.axis, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0)
        with np.errstate(divide="ignore"):  # log 0 is -inf, and right
            parts = turned(np.exp, np.asarray(x - top))
            y = np.log(np.sum(parts, axis=self.axis, keepdims=True)) + top
        return y if self.keepdims else np.squeeze(y, axis=self.axis)

    def backward(self, gy: Any) -> Any:
        x, y = self.kept
        gx = turned(np.exp, x - self.expanded(y))
        gx *= self.expanded(gy)
        return gx


def logsumexp(x: Operand, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The logarithm of the sum of e ** x over axes."""
    return LogSumExp(axis, keepdims).apply(x)


class Standardize(Reduction):
    """y = (x - mean) r, and r = 1 / sqrt(variance + eps), over axes.

    gx = r (gy - mean(gy) - y mean(gy y)) - gr r^2 y / n.
    """

    __slots__ = ("eps",)
    saves = (1, 2)

    def __init__(self, axis: Axis, eps: float) -> None:
        super().__init__(axis, keepdims=True)
        self.eps = eps

    def reduce(self, x: Any) -> Any:
        y = x - np.mean(x, axis=self.axis, keepdims=True)
        r = 1 / np.sqrt(np.mean(np.square(y), axis=self.axis, keepdims=True) + self.eps)
        y *= r
        return y, r

    def backward(self, gy: Any, gr: Any) -> Any:
        y, r = self.kept
        tilt = np.mean(gy * y, axis=self.axis, keepdims=True)
        tilt += gr * r / self.count
        gx = gy - np.mean(gy, axis=self.axis, keepdims=True)
        gx -= y * tilt
        gx *= r
        return gx


def standardize(x: Operand, axis: Axis = None, eps: float = 1e-5) -> tuple[Variable, Variable]:
    """x with mean 0 and variance 1 over axes, and what its distance from the mean was scaled by.

    eps: added to the variance, so that equal elements do not divide by zero.
    Source: Ioffe and Szegedy 2015 (batch normalisation); step 3 of its algorithm.
    """
    y, scale = Standardize(axis, eps).apply(x)
    return y, scale

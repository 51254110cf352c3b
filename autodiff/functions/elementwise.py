"""Operations element by element, on arguments that broadcast.

A rule builds its result in one array of its own where it can (`gx *= gy`; on Variables the same
line makes a new one), so that what it needs beside its arguments does not depend on NumPy's reuse
of temporaries, which begins at a certain size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from autodiff.arrays import gradient_dtype
from autodiff.functions.numpy_protocol import implements
from autodiff.functions.per_input import PerInput
from autodiff.graph import Function
from autodiff.variable import Operand, Variable

__all__ = [
    "abs",
    "add",
    "astype",
    "clip",
    "cos",
    "div",
    "exp",
    "leaky_relu",
    "log",
    "maximum",
    "minimum",
    "mul",
    "neg",
    "pow",
    "rdiv",
    "relu",
    "rpow",
    "rsub",
    "sigmoid",
    "sin",
    "sqrt",
    "square",
    "sub",
    "tan",
    "tanh",
    "where",
]


class Add(PerInput):
    """y = x0 + x1."""

    __slots__ = ()
    reads = ((), ())

    def forward(self, x0: Any, x1: Any) -> Any:
        return np.add(x0, x1)

    def grad0(self, gy: Any) -> Any:
        return gy

    def grad1(self, gy: Any) -> Any:
        return gy


@implements(np.add)
def add(x0: Operand, x1: Operand) -> Variable:
    """x0 + x1. Source: step 11 of the book."""
    return Add()(x0, x1)


class Sub(PerInput):
    """y = x0 - x1."""

    __slots__ = ()
    reads = ((), ())

    def forward(self, x0: Any, x1: Any) -> Any:
        return np.subtract(x0, x1)

    def grad0(self, gy: Any) -> Any:
        return gy

    def grad1(self, gy: Any) -> Any:
        return -gy


@implements(np.subtract)
def sub(x0: Operand, x1: Operand) -> Variable:
    """x0 - x1. Source: step 22 of the book."""
    return Sub()(x0, x1)


def rsub(x0: Operand, x1: Operand) -> Variable:
    """x1 - x0. Source: step 22 of the book."""
    return sub(x1, x0)


class Mul(PerInput):
    """y = x0 x1."""

    __slots__ = ()
    reads = ((1,), (0,))

    def forward(self, x0: Any, x1: Any) -> Any:
        return np.multiply(x0, x1)

    def grad0(self, gy: Any) -> Any:
        _, x1 = self.saved
        return gy * x1

    def grad1(self, gy: Any) -> Any:
        x0, _ = self.saved
        return gy * x0


@implements(np.multiply)
def mul(x0: Operand, x1: Operand) -> Variable:
    """x0 x1. Source: step 20 of the book."""
    return Mul()(x0, x1)


class Div(PerInput):
    """y = x0 / x1.  dy/dx1 = -y / x1."""

    __slots__ = ()
    reads = ((1,), (1, 2))

    def forward(self, x0: Any, x1: Any) -> Any:
        return np.divide(x0, x1)

    def grad0(self, gy: Any) -> Any:
        x1, _ = self.saved
        return gy / x1

    def grad1(self, gy: Any) -> Any:
        x1, y = self.saved
        gx = -gy
        gx *= y
        gx /= x1
        return gx


@implements(np.divide)
def div(x0: Operand, x1: Operand) -> Variable:
    """x0 / x1. Source: step 22 of the book."""
    return Div()(x0, x1)


def rdiv(x0: Operand, x1: Operand) -> Variable:
    """x1 / x0. Source: step 22 of the book."""
    return div(x1, x0)


class Neg(Function):
    """y = -x."""

    __slots__ = ()
    saves = ()

    def forward(self, x: Any) -> Any:
        return np.negative(x)

    def backward(self, gy: Any) -> Any:
        return -gy


@implements(np.negative)
def neg(x: Operand) -> Variable:
    """-x. Source: step 22 of the book."""
    return Neg()(x)


class Pow(PerInput):
    """y = x0 ** x1.  dy/dx0 = x1 x0 ** (x1 - 1), 0 at 0 ** 0;  dy/dx1 = y log x0, 0 at 0."""

    __slots__ = ()
    reads = ((0, 1), (0, 2))

    def forward(self, x0: Any, x1: Any) -> Any:
        return x0**x1

    def grad0(self, gy: Any) -> Any:
        x0, x1, _ = self.saved
        gx = gy * x1
        gx *= x0 ** _lowered(x0, x1)
        return gx

    def grad1(self, gy: Any) -> Any:
        x0, _, y = self.saved
        gx = np.log(np.where(np.equal(x0, 0), 1, x0))
        gx = gx * y
        return gx * gy


def _lowered(x0: Any, x1: Any) -> Any:
    """x1 - 1; but 1 for 0 ** 0, where 0 ** -1 would be infinite and its factor, x1, is 0.

    An array of them is one of floats: integers have no negative powers.
    """
    if isinstance(x1, (int, float)):
        return x1 - 1 if x1 else 1
    both = np.equal(x0, 0) & np.equal(x1, 0)
    return x1 - np.where(both, -1, 1).astype(gradient_dtype(x1.dtype))


@implements(np.power)
def pow(x0: Operand, x1: Operand) -> Variable:
    """x0 ** x1; the exponent may be a Variable, too. Source: step 22 of the book."""
    return Pow()(x0, x1)


def rpow(x0: Operand, x1: Operand) -> Variable:
    """x1 ** x0."""
    return pow(x1, x0)


class Square(Function):
    """y = x ** 2.  dy/dx = 2 x."""

    __slots__ = ()
    saves = (0,)

    def forward(self, x: Any) -> Any:
        return np.square(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        gx = gy * x
        gx *= 2
        return gx


@implements(np.square)
def square(x: Operand) -> Variable:
    """x ** 2. Source: step 9 of the book."""
    return Square()(x)


class Exp(Function):
    """y = e ** x.  dy/dx = y."""

    __slots__ = ()
    saves = (1,)

    def forward(self, x: Any) -> Any:
        return np.exp(x)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return gy * y


@implements(np.exp)
def exp(x: Operand) -> Variable:
    """e ** x. Source: step 9 of the book."""
    return Exp()(x)


class Log(Function):
    """y = log x, to base e.  dy/dx = 1 / x."""

    __slots__ = ()
    saves = (0,)

    def forward(self, x: Any) -> Any:
        return np.log(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy / x


@implements(np.log)
def log(x: Operand) -> Variable:
    """The natural logarithm of x."""
    return Log()(x)


class Sqrt(Function):
    """y = x ** (1/2).  dy/dx = 1 / (2 y)."""

    __slots__ = ()
    saves = (1,)

    def forward(self, x: Any) -> Any:
        return np.sqrt(x)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        gx = gy / y
        gx *= 0.5
        return gx


@implements(np.sqrt)
def sqrt(x: Operand) -> Variable:
    """The square root of x."""
    return Sqrt()(x)


class Abs(Function):
    """y = |x|.  dy/dx = sign x, 0 at 0."""

    __slots__ = ()
    saves = (0,)

    def forward(self, x: Any) -> Any:
        return np.absolute(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy * np.sign(x)


@implements(np.absolute)
def abs(x: Operand) -> Variable:
    """|x|; its gradient at 0 is 0."""
    return Abs()(x)


class Sin(Function):
    """y = sin x.  dy/dx = cos x."""

    __slots__ = ()
    saves = (0,)

    def forward(self, x: Any) -> Any:
        return np.sin(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        gx = np.cos(x)
        gx *= gy
        return gx


@implements(np.sin)
def sin(x: Operand) -> Variable:
    """The sine of x, in radians."""
    return Sin()(x)


class Cos(Function):
    """y = cos x.  dy/dx = -sin x."""

    __slots__ = ()
    saves = (0,)

    def forward(self, x: Any) -> Any:
        return np.cos(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        gx = np.sin(x)
        gx *= gy
        gx *= -1
        return gx


@implements(np.cos)
def cos(x: Operand) -> Variable:
    """The cosine of x, in radians."""
    return Cos()(x)


class Tan(Function):
    """y = tan x.  dy/dx = 1 + y ** 2."""

    __slots__ = ()
    saves = (1,)

    def forward(self, x: Any) -> Any:
        return np.tan(x)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        gx = np.square(y)
        gx += 1
        gx *= gy
        return gx


@implements(np.tan)
def tan(x: Operand) -> Variable:
    """The tangent of x, in radians."""
    return Tan()(x)


class Tanh(Function):
    """y = tanh x.  dy/dx = 1 - y ** 2."""

    __slots__ = ()
    saves = (1,)

    def forward(self, x: Any) -> Any:
        return np.tanh(x)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        gx = np.square(y)
        gx *= -1
        gx += 1
        gx *= gy
        return gx


@implements(np.tanh)
def tanh(x: Operand) -> Variable:
    """The hyperbolic tangent of x."""
    return Tanh()(x)


class Sigmoid(Function):
    """y = 1 / (1 + e ** -x), by way of tanh, which does not overflow.  dy/dx = y (1 - y)."""

    __slots__ = ()
    saves = (1,)

    def forward(self, x: Any) -> Any:
        y = np.asarray(x * 0.5)
        np.tanh(y, out=y)
        y *= 0.5
        y += 0.5
        return y

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        gx = 1 - y
        gx *= y
        gx *= gy
        return gx


def sigmoid(x: Operand) -> Variable:
    """1 / (1 + e ** -x)."""
    return Sigmoid()(x)


class ReLU(Function):
    """y = max(x, 0).  dy/dx = 1 where y > 0, else 0."""

    __slots__ = ()
    saves = (1,)

    def forward(self, x: Any) -> Any:
        return np.maximum(x, 0)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return gy * (y > 0)


def relu(x: Operand) -> Variable:
    """max(x, 0); its gradient at 0 is 0."""
    return ReLU()(x)


class LeakyReLU(Function):
    """y = x where x > 0, else slope x."""

    __slots__ = ("slope",)
    saves = (0,)

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, x: Any) -> Any:
        return np.where(x > 0, x, self.slope * x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return np.where(x > 0, gy, self.slope * gy)


def leaky_relu(x: Operand, slope: float = 0.2) -> Variable:
    """x where it is positive, else slope x."""
    return LeakyReLU(slope)(x)


class Maximum(PerInput):
    """y = max(x0, x1).  The larger has gradient 1, each of two equals 1/2."""

    __slots__ = ()
    reads = ((0, 1), (0, 1))

    def forward(self, x0: Any, x1: Any) -> Any:
        return np.maximum(x0, x1)

    def grad0(self, gy: Any) -> Any:
        x0, x1 = self.saved
        return np.where(np.equal(x0, x1), 0.5 * gy, gy * np.greater(x0, x1))

    def grad1(self, gy: Any) -> Any:
        x0, x1 = self.saved
        return np.where(np.equal(x0, x1), 0.5 * gy, gy * np.less(x0, x1))


@implements(np.maximum)
def maximum(x0: Operand, x1: Operand) -> Variable:
    """The larger of x0 and x1; where they are equal, each has half of the gradient."""
    return Maximum()(x0, x1)


class Minimum(PerInput):
    """y = min(x0, x1).  The smaller has gradient 1, each of two equals 1/2."""

    __slots__ = ()
    reads = ((0, 1), (0, 1))

    def forward(self, x0: Any, x1: Any) -> Any:
        return np.minimum(x0, x1)

    def grad0(self, gy: Any) -> Any:
        x0, x1 = self.saved
        return np.where(np.equal(x0, x1), 0.5 * gy, gy * np.less(x0, x1))

    def grad1(self, gy: Any) -> Any:
        x0, x1 = self.saved
        return np.where(np.equal(x0, x1), 0.5 * gy, gy * np.greater(x0, x1))


@implements(np.minimum)
def minimum(x0: Operand, x1: Operand) -> Variable:
    """The smaller of x0 and x1; where they are equal, each has half of the gradient."""
    return Minimum()(x0, x1)


class Clip(Function):
    """y = x within [low, high], the nearer bound outside.  dy/dx = 1 within, else 0."""

    __slots__ = ("high", "low")
    saves = (0,)

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = low, high

    def forward(self, x: Any) -> Any:
        return np.clip(x, self.low, self.high)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        return gy * ((x >= low) & (x <= high))


@implements(np.clip)
def clip(x: Operand, a_min: Operand | None = None, a_max: Operand | None = None) -> Variable:
    """x, but no less than a_min and no more than a_max; None for no bound."""
    if all(bound is None or isinstance(bound, (int, float)) for bound in (a_min, a_max)):
        return Clip(a_min, a_max)(x)
    raised = x if a_min is None else maximum(x, a_min)
    return minimum(raised, np.inf if a_max is None else a_max)


class Where(PerInput):
    """y = x1 where the condition x0 holds, else x2."""

    __slots__ = ()
    reads = ((), (0,), (0,))

    def forward(self, x0: Any, x1: Any, x2: Any) -> Any:
        return np.where(x0, x1, x2)

    def grad0(self, gy: Any) -> Any:
        return None

    def grad1(self, gy: Any) -> Any:
        (condition,) = self.saved
        return np.where(condition, gy, 0)

    def grad2(self, gy: Any) -> Any:
        (condition,) = self.saved
        return np.where(condition, 0, gy)


@implements(np.where)
def where(condition: Operand, x0: Operand, x1: Operand) -> Variable:
    """x0 where the condition holds, else x1; the condition has no gradient."""
    return Where()(condition, x0, x1)


class AsType(Function):
    """y = x in another dtype; one that holds no fractions has no gradient."""

    __slots__ = ("dtype",)
    saves = ()

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)

    def forward(self, x: Any) -> Any:
        return x.astype(self.dtype)

    def backward(self, gy: Any) -> Any:
        return gy if self.dtype.kind == "f" else None


def astype(x: Operand, dtype: DTypeLike) -> Variable:
    """x in another dtype; its gradient comes back in its own."""
    return AsType(dtype)(x)

"""Operations element by element, on arguments that broadcast.

A rule builds its result in one array of its own where it can (`gx *= gy`; on Variables the same
line makes a new one), so that what it needs beside its arguments does not depend on NumPy's reuse
of temporaries, which begins at a certain size.
"""

from __future__ import annotations

import operator
from typing import Any

from numpy.typing import DTypeLike

from autodiff.arrays import taken_from, times, twice
from autodiff.functions.arity import Binary, Unary, straight
from autodiff.functions.numpy_protocol import implements
from autodiff.functions.per_input import PerInput
from autodiff.graph import NUMBERS, Function
from autodiff.quick_numpy import np
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


class Add(Binary):
    """y = x0 + x1."""

    __slots__ = ()
    reads = ((), ())

    forward = np.add

    def grad0(self, gy: Any) -> Any:
        return gy

    def grad1(self, gy: Any) -> Any:
        return gy


@implements(np.add)
@straight(Add)
def add(x0: Operand, x1: Operand) -> Variable:
    """x0 + x1. Source: step 11 of the book."""
    return Add().apply(x0, x1)


class Sub(Binary):
    """y = x0 - x1."""

    __slots__ = ()
    reads = ((), ())

    forward = np.subtract

    def grad0(self, gy: Any) -> Any:
        return gy

    def grad1(self, gy: Any) -> Any:
        return -gy


@implements(np.subtract)
@straight(Sub)
def sub(x0: Operand, x1: Operand) -> Variable:
    """x0 - x1. Source: step 22 of the book."""
    return Sub().apply(x0, x1)


def rsub(x0: Operand, x1: Operand) -> Variable:
    """x1 - x0. Source: step 22 of the book."""
    return sub(x1, x0)


class Mul(Binary):
    """y = x0 x1."""

    __slots__ = ()
    reads = ((1,), (0,))

    forward = np.multiply

    def grad0(self, gy: Any) -> Any:
        return gy * self.kept[1]

    def grad1(self, gy: Any) -> Any:
        return gy * self.kept[0]


@implements(np.multiply)
@straight(Mul)
def mul(x0: Operand, x1: Operand) -> Variable:
    """x0 x1. Source: step 20 of the book."""
    return Mul().apply(x0, x1)


class Div(Binary):
    """y = x0 / x1.  dy/dx1 = -y / x1."""

    __slots__ = ()
    reads = ((1,), (1, 2))

    forward = np.divide

    def grad0(self, gy: Any) -> Any:
        x1, _ = self.kept
        return gy / x1

    def grad1(self, gy: Any) -> Any:
        x1, y = self.kept
        return times(times(gy / x1, y), -1)


@implements(np.divide)
@straight(Div)
def div(x0: Operand, x1: Operand) -> Variable:
    """x0 / x1. Source: step 22 of the book."""
    return Div().apply(x0, x1)


def rdiv(x0: Operand, x1: Operand) -> Variable:
    """x1 / x0. Source: step 22 of the book."""
    return div(x1, x0)


class Neg(Unary):
    """y = -x."""

    __slots__ = ()
    saves = ()

    forward = np.negative

    def backward(self, gy: Any) -> Any:
        return -gy


@implements(np.negative)
@straight(Neg)
def neg(x: Operand) -> Variable:
    """-x. Source: step 22 of the book."""
    return Neg().apply(x)


class Pow(Binary):
    """y = x0 ** x1.  dy/dx0 = x1 x0 ** (x1 - 1), 0 at 0 ** 0;  dy/dx1 = y log x0, 0 at 0."""

    __slots__ = ()
    reads = ((0, 1), (0, 2))

    numbers_as_arrays = False  # to NumPy 2 as a number means a square
    forward = operator.pow

    def grad0(self, gy: Any) -> Any:
        x0, x1, _ = self.kept
        if type(x1) not in NUMBERS:
            slope = x0 ** _lowered(x0, x1, gy.dtype)
        elif x1 == 2:
            return times(twice(gy), x0)
        else:
            slope = x0 ** (x1 - 1 if x1 else 1)
        if type(slope) is not np.ndarray:  # a Variable or a number: no memory to save
            return gy * slope * x1
        return times(times(slope, gy) if slope.dtype == gy.dtype else gy * slope, x1)

    def grad1(self, gy: Any) -> Any:
        x0, _, y = self.kept
        slope = np.log(np.where(np.equal(x0, 0), 1, x0))
        return times(gy * y, float(slope) if type(x0) in NUMBERS else slope)


def _lowered(x0: Any, x1: Any, dtype: np.dtype[Any]) -> Any:
    """x1 - 1; but 1 for 0 ** 0, where 0 ** -1 would be infinite and its factor, x1, is 0.

    Of floats: integers have no negative powers.
    """
    both = np.equal(x0, 0) & np.equal(x1, 0)
    return x1 - np.where(both, -1, 1).astype(dtype)


@implements(np.power)
@straight(Pow)
def pow(x0: Operand, x1: Operand) -> Variable:
    """x0 ** x1; the exponent may be a Variable, too. Source: step 22 of the book."""
    return Pow().apply(x0, x1)


def rpow(x0: Operand, x1: Operand) -> Variable:
    """x1 ** x0."""
    return pow(x1, x0)


class Square(Unary):
    """y = x ** 2.  dy/dx = 2 x."""

    __slots__ = ()
    saves = (0,)

    forward = np.square

    def backward(self, gy: Any) -> Any:
        return times(twice(gy), self.kept)


@implements(np.square)
@straight(Square)
def square(x: Operand) -> Variable:
    """x ** 2. Source: step 9 of the book."""
    return Square().apply(x)


class Exp(Unary):
    """y = e ** x.  dy/dx = y."""

    __slots__ = ()
    saves = (1,)

    forward = np.exp

    def backward(self, gy: Any) -> Any:
        return gy * self.kept


@implements(np.exp)
@straight(Exp)
def exp(x: Operand) -> Variable:
    """e ** x. Source: step 9 of the book."""
    return Exp().apply(x)


class Log(Unary):
    """y = log x, to base e.  dy/dx = 1 / x."""

    __slots__ = ()
    saves = (0,)

    forward = np.log

    def backward(self, gy: Any) -> Any:
        return gy / self.kept


@implements(np.log)
@straight(Log)
def log(x: Operand) -> Variable:
    """The natural logarithm of x."""
    return Log().apply(x)


class Sqrt(Unary):
    """y = x ** (1/2).  dy/dx = 1 / (2 y)."""

    __slots__ = ()
    saves = (1,)

    forward = np.sqrt

    def backward(self, gy: Any) -> Any:
        return times(gy / self.kept, 0.5)


@implements(np.sqrt)
@straight(Sqrt)
def sqrt(x: Operand) -> Variable:
    """The square root of x."""
    return Sqrt().apply(x)


class Abs(Unary):
    """y = |x|.  dy/dx = sign x, 0 at 0."""

    __slots__ = ()
    saves = (0,)

    forward = np.absolute

    def backward(self, gy: Any) -> Any:
        return times(np.sign(self.kept), gy)


@implements(np.absolute)
@straight(Abs)
def abs(x: Operand) -> Variable:
    """|x|; its gradient at 0 is 0."""
    return Abs().apply(x)


class Sin(Unary):
    """y = sin x.  dy/dx = cos x."""

    __slots__ = ()
    saves = (0,)

    forward = np.sin

    def backward(self, gy: Any) -> Any:
        return times(np.cos(self.kept), gy)


@implements(np.sin)
@straight(Sin)
def sin(x: Operand) -> Variable:
    """The sine of x, in radians."""
    return Sin().apply(x)


class Cos(Unary):
    """y = cos x.  dy/dx = -sin x."""

    __slots__ = ()
    saves = (0,)

    forward = np.cos

    def backward(self, gy: Any) -> Any:
        return times(times(np.sin(self.kept), gy), -1)


@implements(np.cos)
@straight(Cos)
def cos(x: Operand) -> Variable:
    """The cosine of x, in radians."""
    return Cos().apply(x)


class Tan(Unary):
    """y = tan x.  dy/dx = 1 + y ** 2."""

    __slots__ = ()
    saves = (1,)

    forward = np.tan

    def backward(self, gy: Any) -> Any:
        return times(taken_from(1, times(np.square(self.kept), -1)), gy)


@implements(np.tan)
@straight(Tan)
def tan(x: Operand) -> Variable:
    """The tangent of x, in radians."""
    return Tan().apply(x)


class Tanh(Unary):
    """y = tanh x.  dy/dx = 1 - y ** 2."""

    __slots__ = ()
    saves = (1,)

    forward = np.tanh

    def backward(self, gy: Any) -> Any:
        return times(taken_from(1, np.square(self.kept)), gy)


@implements(np.tanh)
@straight(Tanh)
def tanh(x: Operand) -> Variable:
    """The hyperbolic tangent of x."""
    return Tanh().apply(x)


class Sigmoid(Unary):
    """y = 1 / (1 + e ** -x), by way of tanh, which does not overflow.  dy/dx = y (1 - y)."""

    __slots__ = ()
    saves = (1,)

    @staticmethod
    def forward(x: Any) -> Any:
        y = np.asarray(x * 0.5)
        np.tanh(y, out=y)
        y *= 0.5
        y += 0.5
        return y

    def backward(self, gy: Any) -> Any:
        y = self.kept
        return times(times(1 - y, y), gy)


@straight(Sigmoid)
def sigmoid(x: Operand) -> Variable:
    """1 / (1 + e ** -x)."""
    return Sigmoid().apply(x)


class ReLU(Unary):
    """y = max(x, 0).  dy/dx = 1 where y > 0, else 0."""

    __slots__ = ()
    saves = (1,)

    @staticmethod
    def forward(x: Any) -> Any:
        return np.maximum(x, 0)

    def backward(self, gy: Any) -> Any:
        return times(np.sign(self.kept), gy)


@straight(ReLU)
def relu(x: Operand) -> Variable:
    """max(x, 0); its gradient at 0 is 0."""
    return ReLU().apply(x)


class LeakyReLU(Unary):
    """y = x where x > 0, else slope x."""

    __slots__ = ("slope",)
    saves = (0,)

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, x: Any) -> Any:
        y = np.asarray(self.slope * x)
        return (np.maximum if self.slope <= 1 else np.minimum)(x, y, out=y)

    def backward(self, gy: Any) -> Any:
        return np.where(self.kept > 0, gy, self.slope * gy)


def leaky_relu(x: Operand, slope: float = 0.2) -> Variable:
    """x where it is positive, else slope x."""
    return LeakyReLU(slope)(x)


class Choice(Binary):
    """The larger or smaller of two.  That one has gradient 1, each of two equals 1/2."""

    __slots__ = ()
    reads = ((0, 1), (0, 1))

    forward: Any

    def share(self, chosen: Any, gy: Any) -> Any:
        """What of gy goes where an operand is the chosen one."""
        x0, x1 = self.kept
        part = np.multiply(np.equal(x0, x1), gy.dtype.type(0.5))
        part += chosen
        return times(part, gy)


class Maximum(Choice):
    """y = max(x0, x1)."""

    __slots__ = ()
    reads = ((0, 1), (0, 1))

    forward = np.maximum

    def grad0(self, gy: Any) -> Any:
        x0, x1 = self.kept
        return self.share(np.greater(x0, x1), gy)

    def grad1(self, gy: Any) -> Any:
        x0, x1 = self.kept
        return self.share(np.less(x0, x1), gy)


@implements(np.maximum)
@straight(Maximum)
def maximum(x0: Operand, x1: Operand) -> Variable:
    """The larger of x0 and x1; where they are equal, each has half of the gradient."""
    return Maximum().apply(x0, x1)


class Minimum(Choice):
    """y = min(x0, x1)."""

    __slots__ = ()
    reads = ((0, 1), (0, 1))

    forward = np.minimum

    def grad0(self, gy: Any) -> Any:
        x0, x1 = self.kept
        return self.share(np.less(x0, x1), gy)

    def grad1(self, gy: Any) -> Any:
        x0, x1 = self.kept
        return self.share(np.greater(x0, x1), gy)


@implements(np.minimum)
@straight(Minimum)
def minimum(x0: Operand, x1: Operand) -> Variable:
    """The smaller of x0 and x1; where they are equal, each has half of the gradient."""
    return Minimum().apply(x0, x1)


class Clip(Unary):
    """y = x within [low, high], the nearer bound outside.  dy/dx = 1 within, else 0."""

    __slots__ = ("high", "low")
    saves = (0,)

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = low, high

    def forward(self, x: Any) -> Any:
        return np.clip(x, self.low, self.high)

    def backward(self, gy: Any) -> Any:
        x = self.kept
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
        condition = self.kept
        return np.where(condition, gy, 0)

    def grad2(self, gy: Any) -> Any:
        condition = self.kept
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

"""Windows that slide over the last two axes, and their sum back: what convolutions are made of."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.lib.stride_tricks import sliding_window_view

from autodiff.graph import Function
from autodiff.quick_numpy import np
from autodiff.variable import Operand, Variable

__all__ = ["overlay", "windows"]

Pair: TypeAlias = "int | tuple[int, int]"


class Sliding(Function):
    """An operation on windows: of which size, how far apart, over what shape."""

    __slots__ = ("shape", "size", "stride")
    saves = ()

    def __init__(self, size: Pair, stride: Pair, shape: tuple[int, ...] = ()) -> None:
        self.size, self.stride, self.shape = pair(size), pair(stride), shape

    def cut(self, x: Any) -> Any:
        """The windows of x, as a view."""
        if isinstance(x, Variable):
            return Windows(self.size, self.stride).apply(x)
        every = sliding_window_view(x, self.size, axis=(-2, -1))
        return every[..., :: self.stride[0], :: self.stride[1], :, :]

    def laid(self, y: Any) -> Any:
        """Windows added up, each in its place."""
        if isinstance(y, Variable):
            return Overlay(self.size, self.stride, self.shape).apply(y)
        x = np.zeros(self.shape, y.dtype)
        rows, columns = y.shape[-4:-2]
        for i, j in np.ndindex(*self.size):
            down = slice(i, i + rows * self.stride[0], self.stride[0])
            along = slice(j, j + columns * self.stride[1], self.stride[1])
            x[..., down, along] += y[..., i, j]
        return x


class Windows(Sliding):
    """y = the windows of x, two axes for where they are and two for what is in them."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        if x.ndim < 2 or any(n < m for n, m in zip(x.shape[-2:], self.size, strict=True)):
            raise ValueError(f"a window of {self.size} does not fit into the last two axes")
        self.shape = x.shape
        return self.cut(x)

    def backward(self, gy: Any) -> Any:
        return self.laid(gy)


def windows(x: Operand, size: Pair, stride: Pair = 1) -> Variable:
    """The windows of x over its last two axes, as a view: (..., h, w) to (..., m, n, *size).

    size: height and width of a window; stride: how far one is from the next, down and along.
    Raises ValueError where none fits. Source: step 57 of the book, where it is im2col.
    """
    return Windows(size, stride).apply(x)


class Overlay(Sliding):
    """y = windows added up, each in its place: the gradient of cutting them."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        places = zip(self.shape[-2:], self.size, self.stride, strict=True)
        number = tuple((n - m) // step + 1 for n, m, step in places)
        if x.shape != (*self.shape[:-2], *number, *self.size):
            raise ValueError(f"these are not the windows of an array of shape {self.shape}")
        return self.laid(x)

    def backward(self, gy: Any) -> Any:
        return self.cut(gy)


def overlay(x: Operand, shape: tuple[int, ...], stride: Pair = 1) -> Variable:
    """Windows added up, each in its place, in an array of a shape: (..., m, n, h, w) to `shape`.

    Raises ValueError where such an array has other windows. Source: step 57 of the book, where it
    is col2im.
    """
    return Overlay(np.shape(x)[-2:], stride, shape).apply(x)


def pair(x: Pair) -> tuple[int, int]:
    return (x, x) if isinstance(x, int) else x

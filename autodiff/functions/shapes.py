"""Operations that arrange elements: shape, selection, joining and splitting.

Where NumPy returns a view, so do they: an output may share the memory of its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Any

from autodiff.arrays import Spec, gradient_spec, sum_to_shape
from autodiff.functions.numpy_protocol import implements
from autodiff.gradients import Scattered
from autodiff.graph import Function
from autodiff.quick_numpy import np
from autodiff.variable import Operand, Variable, as_variable

__all__ = [
    "broadcast_to",
    "concatenate",
    "expand_dims",
    "getitem",
    "pad",
    "reshape",
    "split",
    "squeeze",
    "stack",
    "sum_to",
    "swapaxes",
    "transpose",
]


class Reshape(Function):
    """y = x in another shape, of the same elements in the same order."""

    __slots__ = ("shape", "x_shape")
    saves = ()

    def __init__(self, shape: Any) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        return np.reshape(x, self.shape)

    def backward(self, gy: Any) -> Any:
        return np.reshape(gy, self.x_shape)


@implements(np.reshape)
def reshape(x: Operand, shape: int | Sequence[int]) -> Variable:
    """x in another shape; one length may be -1, for what is left. Source: step 38 of the book."""
    return Reshape(shape).apply(x)


class Squeeze(Reshape):
    """y = x without axes of one element."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        return np.squeeze(x, self.shape)


@implements(np.squeeze)
def squeeze(x: Operand, axis: int | tuple[int, ...] | None = None) -> Variable:
    """x without the given axes of one element, or without all such."""
    return Squeeze(axis).apply(x)


class ExpandDims(Reshape):
    """y = x with axes of one element put in."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        return np.expand_dims(x, self.shape)


@implements(np.expand_dims)
def expand_dims(x: Operand, axis: int | tuple[int, ...]) -> Variable:
    """x with an axis of one element put in at each of the given places."""
    return ExpandDims(axis).apply(x)


class Transpose(Function):
    """y = x with its axes in another order."""

    __slots__ = ("axes",)
    saves = ()

    def __init__(self, axes: int | Sequence[int] | None) -> None:
        self.axes = (axes,) if isinstance(axes, int) else None if axes is None else tuple(axes)

    def forward(self, x: Any) -> Any:
        return np.transpose(x, self.axes)

    def backward(self, gy: Any) -> Any:
        if self.axes is None:
            return np.transpose(gy)
        axes = [axis % gy.ndim for axis in self.axes]
        return np.transpose(gy, [axes.index(i) for i in range(gy.ndim)])


@implements(np.transpose)
def transpose(x: Operand, axes: int | Sequence[int] | None = None) -> Variable:
    """x with its axes in the given order, or reversed. Source: step 38 of the book."""
    return Transpose(axes).apply(x)


class SwapAxes(Function):
    """y = x with two axes exchanged."""

    __slots__ = ("axis1", "axis2")
    saves = ()

    def __init__(self, axis1: int, axis2: int) -> None:
        self.axis1, self.axis2 = axis1, axis2

    def forward(self, x: Any) -> Any:
        return np.swapaxes(x, self.axis1, self.axis2)

    def backward(self, gy: Any) -> Any:
        return np.swapaxes(gy, self.axis1, self.axis2)


@implements(np.swapaxes)
def swapaxes(x: Operand, axis1: int, axis2: int) -> Variable:
    """x with two axes exchanged."""
    return SwapAxes(axis1, axis2).apply(x)


class BroadcastTo(Function):
    """y = x repeated along the axes that it lacks or has one element of."""

    __slots__ = ("shape",)
    saves = ()

    def __init__(self, shape: Any) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        return np.broadcast_to(x, self.shape)

    def backward(self, gy: Any) -> Any:
        return gy  # the engine sums every gradient back to its input's shape


@implements(np.broadcast_to)
def broadcast_to(x: Operand, shape: int | Sequence[int]) -> Variable:
    """x repeated to a shape. Source: step 40 of the book."""
    return BroadcastTo(shape).apply(x)


class SumTo(Function):
    """y = x summed over the axes along which a shape was broadcast to it."""

    __slots__ = ("shape", "x_shape")
    saves = ()

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        return sum_to_shape(x, self.shape)

    def backward(self, gy: Any) -> Any:
        return np.broadcast_to(gy, self.x_shape)


def sum_to(x: Operand, shape: Sequence[int]) -> Variable:
    """x summed to a shape that broadcasts to its own. Source: step 40 of the book."""
    return SumTo(tuple(shape)).apply(x)


class Concatenate(Function):
    """y = arrays one after another along an axis."""

    __slots__ = ("axis", "ends")
    saves = ()

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *xs: Any) -> Any:
        y = np.concatenate(xs, self.axis)
        self.ends = [int(end) for end in np.cumsum([x.shape[self.axis] for x in xs])]
        return y

    def backward(self, gy: Any) -> Any:
        return tuple(np.split(gy, self.ends[:-1], self.axis))


@implements(np.concatenate)
def concatenate(xs: Sequence[Operand], axis: int | None = 0) -> Variable:
    """Arrays joined along an axis that they have, or, axis None, all elements of each in turn."""
    if axis is None:
        return Concatenate(0).apply(*(reshape(x, -1) for x in xs))
    return Concatenate(axis).apply(*xs)


class Stack(Function):
    """y = arrays one after another along a new axis."""

    __slots__ = ("axis",)
    saves = ()

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *xs: Any) -> Any:
        return np.stack(xs, self.axis)

    def backward(self, gy: Any) -> Any:
        before = (slice(None),) * (self.axis % gy.ndim)
        return tuple(gy[(*before, i)] for i in range(gy.shape[self.axis]))


@implements(np.stack)
def stack(xs: Sequence[Operand], axis: int = 0) -> Variable:
    """Arrays of one shape joined along a new axis."""
    return Stack(axis).apply(*xs)


class Split(Function):
    """y0, y1, ... = x in parts along an axis."""

    __slots__ = ("axis", "parts")
    saves = ()

    def __init__(self, parts: int | Sequence[int], axis: int) -> None:
        self.parts, self.axis = parts, axis

    def forward(self, x: Any) -> Any:
        return tuple(np.split(x, self.parts, self.axis))

    def backward(self, *gys: Any) -> Any:
        return np.concatenate(gys, self.axis)


@implements(np.split)
def split(x: Operand, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Variable]:
    """x in so many equal parts along an axis, or cut before the given indices."""
    parts = Split(indices_or_sections, axis).apply(x)
    return parts if isinstance(parts, list) else [parts]


_HERE = object()  # in an index, stands for an array


class Indexed(Function):
    """An operation with an index, whose arrays are inputs, so that the memory mode governs them."""

    __slots__ = ("index", "saves", "spec")

    def __init__(self, index: tuple[Any, ...], spec: Spec) -> None:
        self.index = index  # _HERE in the place of each array
        self.spec = spec  # of what is indexed
        self.saves = tuple(range(1, sum(part is _HERE for part in index) + 1))  # type: ignore[misc]

    def filled(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """The index, with its arrays."""
        plain = iter([x.data if isinstance(x, Variable) else x for x in arrays])
        return tuple(next(plain) if part is _HERE else part for part in self.index)


class GetItem(Indexed):
    """y = x[index]."""

    __slots__ = ()

    def forward(self, x: Any, *arrays: Any) -> Any:
        return x[self.filled(arrays)]

    def backward(self, gy: Any) -> Any:
        arrays = self.saved
        if isinstance(gy, Variable):
            gx = PutItem(self.index, self.spec).apply(gy, *arrays)
        else:
            gx = Scattered(gy, self.filled(arrays), self.spec)
        return (gx, *[None] * len(arrays))


class PutItem(Indexed):
    """y = zeros, with x added at an index."""

    __slots__ = ()

    def forward(self, x: Any, *arrays: Any) -> Any:
        y = np.zeros(*self.spec)
        Scattered(x, self.filled(arrays), self.spec).add_to(y)
        return y

    def backward(self, gy: Any) -> Any:
        arrays = self.saved
        return (gy[self.filled(arrays)], *[None] * len(arrays))


def _index_part(part: Any) -> Any:
    """A part of an index; what NumPy takes for an array (lists, tuples in the index) as one."""
    if isinstance(part, Variable):
        return part.data
    if part is None or np.isscalar(part) or isinstance(part, (slice, EllipsisType, np.ndarray)):
        return part
    array = np.asarray(part)
    return array if array.size else array.astype(np.intp)


def getitem(x: Operand, index: Any) -> Variable:
    """x[index]: numbers, slices, None and Ellipsis, arrays of integers or booleans, in a tuple."""
    parts = [_index_part(part) for part in (index if isinstance(index, tuple) else (index,))]
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    template = tuple(_HERE if isinstance(part, np.ndarray) else part for part in parts)
    return GetItem(template, gradient_spec(as_variable(x).data)).apply(x, *arrays)


class Pad(Function):
    """y = x with zeros around it."""

    __slots__ = ("inside", "pad_width")
    saves = ()

    def __init__(self, pad_width: Any) -> None:
        self.pad_width = pad_width

    def forward(self, x: Any) -> Any:
        y = np.pad(x, self.pad_width)
        widths = np.broadcast_to(self.pad_width, (x.ndim, 2)).tolist()
        self.inside = tuple(
            slice(low, low + n) for (low, _), n in zip(widths, x.shape, strict=True)
        )
        return y

    def backward(self, gy: Any) -> Any:
        return gy[self.inside]


@implements(np.pad)
def pad(x: Operand, pad_width: Any, mode: str = "constant") -> Variable:
    """x with zeros around it: a width for all sides, (before, after), or such a pair for each axis.

    Raises ValueError for any mode but "constant".
    """
    if mode != "constant":
        raise ValueError(f"pad mode {mode!r}: only 'constant', with zeros, has a gradient here")
    return Pad(pad_width).apply(x)

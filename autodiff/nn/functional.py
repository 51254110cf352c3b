"""What layers compute, as functions: made of the engine's operations, and differentiable alike."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from autodiff import (
    Config,
    Variable,
    as_variable,
    correlate,
    getitem,
    make_room,
    mean,
    mul,
    pad,
    replayed,
    reshape,
    windows,
)
from autodiff.nn.initialisers import Array

Operand: TypeAlias = "Variable | Array"
Pair: TypeAlias = "int | tuple[int, int]"


def conv2d(
    x: Operand, W: Operand, b: Operand | None = None, stride: Pair = 1, padding: Pair = 0
) -> Variable:
    """The sums of products of W with the windows of x: a convolution, with W not turned round.

    x: images, (n, in, height, width); W: (out, in, kernel height, kernel width); b: (out,).
    Gives (n, out, rows, columns). Raises ValueError where a window does not fit into an image.
    Source: step 57 of the book.
    """
    _check_images(x)
    if np.ndim(W) != 4 or np.shape(W)[1] != np.shape(x)[1]:
        raise ValueError(
            f"W is (out, in, height, width), its `in` as in x: {np.shape(W)} for {np.shape(x)}"
        )
    return correlate(x, W, b, stride, padding)


def max_pool2d(
    x: Operand, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Variable:
    """The largest element of each window; of equal ones the first, which gets the gradient.

    x: images, (n, channels, height, width). stride: as the windows' size, unless it is given.
    Source: step 58 of the book.
    """
    _check_images(x)
    x = as_variable(x)
    chosen = _places_of_largest(x.data, pair(kernel_size), pair(stride or kernel_size), padding)
    return getitem(reshape(x, -1), chosen)


def avg_pool2d(
    x: Operand, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Variable:
    """The mean of each window, the zeros around the image counted.

    x: images, (n, channels, height, width). stride: as the windows' size, unless it is given.
    """
    _check_images(x)
    cut = windows(_padded(x, padding), kernel_size, stride or kernel_size)
    return mean(cut, axis=(-2, -1))


def dropout(x: Operand, ratio: float = 0.5, rng: np.random.Generator | None = None) -> Variable:
    """While training, x with a share of its elements at zero and the others scaled up by as much.

    Elsewhere (`test_mode`) x itself. rng: what draws them.
    Raises ValueError for a ratio that is not in [0, 1). Source: Srivastava et al. 2014; step 54.
    """
    if not 0 <= ratio < 1:
        raise ValueError(f"ratio is the share that is dropped, from 0 to below 1, not {ratio}")
    x = as_variable(x)
    if not Config.train or ratio == 0:
        return x
    make_room(x.size * max(9, 2 * x.dtype.itemsize))  # float64 and flags; the mask and a copy
    mask = (replayed(rng).random(x.shape) >= ratio).astype(x.dtype) / (1 - ratio)
    return mul(x, mask)


def embedding(W: Operand, indices: Array) -> Variable:
    """The rows of W with these numbers: (rows, size) and (...) to (..., size)."""
    return getitem(as_variable(W), indices)


def _check_images(x: Operand) -> None:
    if np.ndim(x) != 4:
        raise ValueError(f"x is images, (n, channels, height, width), not of shape {np.shape(x)}")


def pair(x: Pair) -> tuple[int, int]:
    """Two numbers: those given, or one of them twice."""
    return (x, x) if isinstance(x, int) else x


def _padded(x: Operand, padding: Pair) -> Operand:
    down, along = pair(padding)
    return pad(x, ((0, 0), (0, 0), (down, down), (along, along))) if down or along else x


def _places_of_largest(
    x: Array, size: tuple[int, int], stride: tuple[int, int], padding: Pair
) -> Array:
    """Where in the elements of x, counted through, each window's largest is.

    Windows that reach over the edge of an image are cut off there.
    """
    margins = pair(padding)
    if any(2 * margin > length for margin, length in zip(margins, size, strict=True)):
        raise ValueError(f"padding {padding} is more than half of the window {size}")
    starts = [
        np.arange(-margin, n + margin - length + 1, step)
        for n, margin, length, step in zip(x.shape[2:], margins, size, stride, strict=True)
    ]
    if not all(map(len, starts)):
        raise ValueError(f"a window of {size} does not fit into the last two axes")
    down, along = (np.maximum(start, 0) for start in starts)
    count = math.prod(x.shape[:2]) * len(down) * len(along)
    make_room(count * (x.dtype.itemsize + 8 + 1))  # the largest, their places, and flags
    best = x[:, :, down[:, np.newaxis], along]
    chosen = np.empty(best.shape, np.intp)
    chosen[:] = down[:, np.newaxis] * x.shape[3] + along
    for offsets in np.ndindex(*size):
        (rows, m), (columns, n) = (
            _inside(start + offset, length)
            for start, offset, length in zip(starts, offsets, x.shape[2:], strict=True)
        )
        found = x[:, :, _slice(rows, stride[0]), _slice(columns, stride[1])]
        larger = found > best[:, :, m, n]
        np.copyto(best[:, :, m, n], found, where=larger)
        numbers = rows[:, np.newaxis] * x.shape[3] + columns
        np.copyto(chosen[:, :, m, n], numbers, where=larger)
    chosen += np.arange(0, x.size, x.shape[2] * x.shape[3]).reshape(*x.shape[:2], 1, 1)
    return chosen


def _inside(places: Array, length: int) -> tuple[Array, slice]:
    """Those places of an axis that there are, and which of all they are."""
    first, last = np.searchsorted(places, (0, length))
    return places[first:last], slice(first, last)


def _slice(places: Array, step: int) -> slice:
    """Places that lie evenly apart."""
    first = int(places[0]) if len(places) else 0
    return slice(first, first + step * len(places), step)

"""What layers compute, as functions: made of the engine's operations, and differentiable alike."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from autodiff import (
    Config,
    Variable,
    as_variable,
    getitem,
    mean,
    mul,
    pad,
    replayed,
    reshape,
    tensordot,
    transpose,
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
    cut = windows(_padded(x, padding), np.shape(W)[2:], stride)
    y = tensordot(cut, W, ((1, 4, 5), (1, 2, 3)))
    return transpose(y if b is None else y + b, (0, 3, 1, 2))


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
    kept = replayed(rng).random(x.shape) >= ratio
    return mul(x, kept.astype(x.dtype) / (1 - ratio))


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
    """Where in the elements of x, counted through, each window's largest is."""
    down, along = pair(padding)
    if 2 * down > size[0] or 2 * along > size[1]:
        raise ValueError(f"padding {padding} is more than half of the window {size}")
    numbers = np.arange(x.size).reshape(x.shape)
    around = ((0, 0), (0, 0), (down, down), (along, along))
    cut = windows(np.pad(x, around, constant_values=_least(x)), size, stride).data
    places = windows(np.pad(numbers, around), size, stride).data
    best: Array = cut[..., 0, 0].copy()
    chosen: Array = places[..., 0, 0].copy()
    for i, j in np.ndindex(*size):
        larger = cut[..., i, j] > best
        np.copyto(best, cut[..., i, j], where=larger)
        np.copyto(chosen, places[..., i, j], where=larger)
    return chosen


def _least(x: Array) -> float:
    return -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min

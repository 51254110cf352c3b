"""Sums of products of weights with the windows of images: what a convolution layer computes.

Windows are laid out for the matrix product a few images at a time, in memory that is used again.
All at once they would take as many times the memory of the images as a window has elements; nor is
that faster, since a block stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from numpy.typing import DTypeLike

from autodiff.arrays import Array
from autodiff.functions.per_input import PerInput
from autodiff.functions.sliding import Pair, pair
from autodiff.graph import NUMBERS
from autodiff.quick_numpy import np
from autodiff.variable import Operand, Variable

__all__ = ["correlate"]

WORKSPACE = 128 << 10  # bytes that a block of images takes, unless one image takes more


@dataclass(frozen=True)
class Geometry:
    """Images, (n, channels, height, width), and the windows of them that so many filters see."""

    images: tuple[int, ...]
    filters: int
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def padded(self) -> tuple[int, ...]:
        """Height and width of an image with the zeros around it."""
        return tuple(n + 2 * m for n, m in zip(self.images[2:], self.padding, strict=True))

    @property
    def places(self) -> tuple[int, ...]:
        """How many windows there are, down and along."""
        sides = zip(self.padded, self.size, self.stride, strict=True)
        return tuple((n - m) // step + 1 for n, m, step in sides)

    @property
    def results(self) -> tuple[int, ...]:
        """The shape of what the filters make of the images."""
        return (self.images[0], self.filters, *self.places)

    @property
    def weights(self) -> tuple[int, ...]:
        """The shape of the filters' weights."""
        return (self.filters, self.images[1], *self.size)

    def blocks(self, dtype: DTypeLike) -> Iterator[tuple[slice, Block]]:
        """A few images after the other, each time with memory for them."""
        count, channels = self.images[:2]
        windows = channels * prod(self.size) * prod(self.places)
        sizes = channels * prod(self.padded), windows, self.filters * prod(self.places)
        most = max(1, min(count, WORKSPACE // (sum(sizes) * np.dtype(dtype).itemsize)))
        memory = np.empty(most * sum(sizes), dtype)
        for start in range(0, count, most):
            number = min(most, count - start)
            parts = np.split(memory[: number * sum(sizes)], np.cumsum(sizes[:2]) * number)
            yield slice(start, start + number), Block(self, parts, number)

    def correlated(self, x: Array, W: Array) -> Array:
        """The sums of products of weights with the windows of images x."""
        y = np.empty(self.results, np.result_type(x, W))
        rows = np.reshape(W, (self.filters, -1)).astype(y.dtype, copy=False)
        for some, block in self.blocks(y.dtype):
            block.cut(x[some])
            np.matmul(rows, block.windows, out=block.products)
            y[some] = block.results
        return y

    def spread(self, y: Array, W: Array) -> Array:
        """Images: every element of y times the weights, added up where the window was."""
        x = np.empty(self.images, np.result_type(y, W))
        columns = np.reshape(W, (self.filters, -1)).astype(x.dtype, copy=False).T
        for some, block in self.blocks(x.dtype):
            block.results[:] = y[some]
            np.matmul(columns, block.products, out=block.windows)
            x[some] = block.laid()
        return x

    def weighted(self, x: Array, y: Array) -> Array:
        """Weights: the sums of products of the windows of images x with the elements of y."""
        W = np.zeros(self.weights, np.result_type(x, y))
        rows = W.reshape(self.filters, -1)
        for some, block in self.blocks(W.dtype):
            block.results[:] = y[some]
            block.cut(x[some])
            rows += np.matmul(block.products, block.windows.T)
        return W


class Block:
    """Memory for some images: with zeros around them, as their windows, and as results.

    Channels come first in all three, and images after them, so that one matrix product does for all
    images of the block.
    """

    def __init__(self, geometry: Geometry, parts: list[Array], count: int) -> None:
        channels, (high, wide) = geometry.images[1], geometry.images[2:]
        (down, along), places = geometry.padding, geometry.places
        self.stride = geometry.stride
        self.padded = parts[0].reshape(channels, count, *geometry.padded)
        self.inside = self.padded[:, :, down : down + high, along : along + wide].swapaxes(0, 1)
        self.windows = parts[1].reshape(channels * prod(geometry.size), -1)  # a row for each weight
        self.by_element = parts[1].reshape(channels, *geometry.size, count, *places)
        self.products = parts[2].reshape(geometry.filters, -1)
        self.results = self.products.reshape(geometry.filters, count, *places).swapaxes(0, 1)

    def elements(self) -> Iterator[tuple[Array, Array]]:
        """One element of all windows after the other: in the windows, and in the padded images."""
        rows, columns = self.by_element.shape[-2:]
        for i, j in np.ndindex(*self.by_element.shape[1:3]):
            down = slice(i, i + rows * self.stride[0], self.stride[0])
            along = slice(j, j + columns * self.stride[1], self.stride[1])
            yield self.by_element[:, i, j], self.padded[:, :, down, along]

    def cut(self, images: Array) -> None:
        """Fill in images and their windows."""
        self.padded.fill(0)
        self.inside[:] = images
        for windows, padded in self.elements():
            windows[:] = padded

    def laid(self) -> Array:
        """The windows added up, each in its place, to images."""
        self.padded.fill(0)
        for windows, padded in self.elements():
            padded += windows
        return self.inside


class Correlation(PerInput):
    """An operation that is linear in each of its operands, of a geometry; one of three.

    The gradients of each are the other two, so that all of them can be differentiated again.
    """

    __slots__ = ("geometry",)
    reads: ClassVar[tuple[tuple[int, ...], ...]] = ((1,), (0,))

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry

    def correlated(self, x: Any, W: Any) -> Any:
        if isinstance(x, Variable):
            return Correlate(self.geometry).apply(x, W, 0)
        return self.geometry.correlated(x, W)

    def spread(self, y: Any, W: Any) -> Any:
        if isinstance(y, Variable):
            return Spread(self.geometry).apply(y, W)
        return self.geometry.spread(y, W)

    def weighted(self, x: Any, y: Any) -> Any:
        if isinstance(x, Variable):
            return Weighted(self.geometry).apply(x, y)
        return self.geometry.weighted(x, y)


class Correlate(Correlation):
    """y = the sums of products of W with each window of x, plus b."""

    __slots__ = ()
    reads = ((1,), (0,), ())

    def forward(self, x: Any, W: Any, b: Any) -> Any:
        y = self.geometry.correlated(x, W)
        if type(b) in NUMBERS:
            return y
        moved = b[:, np.newaxis, np.newaxis]
        if y.dtype != np.result_type(y, b):
            return y + moved
        y += moved
        return y

    def grad0(self, gy: Any) -> Any:
        _, W = self.kept
        return self.spread(gy, W)

    def grad1(self, gy: Any) -> Any:
        x, _ = self.kept
        return self.weighted(x, gy)

    def grad2(self, gy: Any) -> Any:
        return np.sum(gy, axis=(0, 2, 3))


class Spread(Correlation):
    """x = images made of every element of y times W, added up where its window was."""

    __slots__ = ()

    def forward(self, y: Any, W: Any) -> Any:
        return self.geometry.spread(y, W)

    def grad0(self, gx: Any) -> Any:
        _, W = self.kept
        return self.correlated(gx, W)

    def grad1(self, gx: Any) -> Any:
        y, _ = self.kept
        return self.weighted(gx, y)


class Weighted(Correlation):
    """W = the sums of products of the windows of x with the elements of y."""

    __slots__ = ()

    def forward(self, x: Any, y: Any) -> Any:
        return self.geometry.weighted(x, y)

    def grad0(self, gW: Any) -> Any:
        _, y = self.kept
        return self.spread(y, gW)

    def grad1(self, gW: Any) -> Any:
        x, _ = self.kept
        return self.correlated(x, gW)


def correlate(
    x: Operand, W: Operand, b: Operand | None = None, stride: Pair = 1, padding: Pair = 0
) -> Variable:
    """The sums of products of W with the windows of x, and b added: a convolution layer's.

    x: images, (n, in, height, width); W: (out, in, kernel height, kernel width); b: (out,) or None.
    stride: how far a window is from the next, down and along; padding: how many zeros there are
    above and below an image, and left and right. Gives (n, out, rows, columns).
    Raises ValueError for other shapes, and where a window does not fit.
    Source: step 57 of the book, where it is conv2d by way of im2col.
    """
    shapes = [np.shape(part) for part in (x, W, b) if part is not None]
    fits = len(shapes[0]) == len(shapes[1]) == 4 and shapes[0][1] == shapes[1][1]
    if not fits or (len(shapes) == 3 and shapes[2] != shapes[1][:1]):
        raise ValueError(
            "x is (n, in, height, width), W (out, in, height, width) and b (out,), and not of "
            f"shapes {', '.join(map(str, shapes))}"
        )
    size = shapes[1][2:]
    geometry = Geometry(shapes[0], shapes[1][0], size, pair(stride), pair(padding))
    if min(geometry.places) < 1 or 0 in size:
        raise ValueError(f"a window of {size} does not fit into the last two axes")
    return Correlate(geometry).apply(x, W, 0 if b is None else b)

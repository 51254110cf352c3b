"""Layers. Sizes that are left out are taken from the first input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from autodiff import (
    Config,
    Variable,
    linear,
    make_room,
    matmul,
    recomputing,
    relu,
    replayed,
    reshape,
    sigmoid,
    split,
    standardize,
    tanh,
)
from autodiff.nn import functional
from autodiff.nn.functional import Pair
from autodiff.nn.initialisers import Array, Initialiser, lecun_normal, orthogonal, standard_normal
from autodiff.nn.layer import Layer, Parameter

Generator = np.random.Generator


class Weighted(Layer):
    """A layer with a weight W, drawn when it is first used, and a bias b of zeros, or none."""

    def __init__(
        self, nobias: bool, dtype: DTypeLike, rng: Generator | None, initial: Initialiser
    ) -> None:
        self.W = Parameter(None, "W")
        self.b = None if nobias else Parameter(None, "b")
        self.dtype = np.dtype(dtype)
        self.rng = rng or np.random.default_rng()
        self.initial = initial

    def draw(self, shape: tuple[int, ...], biases: int) -> None:
        """Draw the weight, unless that is done, or it was loaded."""
        if self.W.data is None:
            make_room(math.prod(shape) * (8 + self.dtype.itemsize))  # as float64 first
            self.W.data = self.initial(self.rng, shape).astype(self.dtype)
        if self.b is not None and self.b.data is None:
            self.b.data = np.zeros(biases, self.dtype)
        replayed(self.rng)  # what is drawn later is the same again when nothing is drawn here


class Linear(Weighted):
    """y = x W + b: x of shape (..., in_size), y (..., out_size). Source: step 44 of the book."""

    def __init__(
        self,
        out_size: int,
        nobias: bool = False,
        dtype: DTypeLike = np.float32,
        in_size: int | None = None,
        rng: Generator | None = None,
        initial: Initialiser = lecun_normal,
    ) -> None:
        super().__init__(nobias, dtype, rng, initial)
        self.out_size = out_size
        if in_size is not None:
            self.draw((in_size, out_size), out_size)

    def forward(self, x: Any) -> Variable:
        self.draw((x.shape[-1], self.out_size), self.out_size)
        return linear(x, self.W, self.b)


class Conv2d(Weighted):
    """A convolution: x of shape (n, in, height, width), y (n, out, rows, columns).

    Source: step 57 of the book.
    """

    def __init__(
        self,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        pad: Pair = 0,
        nobias: bool = False,
        dtype: DTypeLike = np.float32,
        in_channels: int | None = None,
        rng: Generator | None = None,
        initial: Initialiser = lecun_normal,
    ) -> None:
        super().__init__(nobias, dtype, rng, initial)
        self.out_channels, self.stride, self.pad = out_channels, stride, pad
        self.kernel_size = functional.pair(kernel_size)
        if in_channels is not None:
            self.draw((out_channels, in_channels, *self.kernel_size), out_channels)

    def forward(self, x: Any) -> Variable:
        self.draw((self.out_channels, x.shape[1], *self.kernel_size), self.out_channels)
        return functional.conv2d(x, self.W, self.b, self.stride, self.pad)


class MaxPool2d(Layer):
    """The largest element of each window of images. Source: step 58 of the book."""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, pad: Pair = 0) -> None:
        self.kernel_size, self.stride, self.pad = kernel_size, stride, pad

    def forward(self, x: Any) -> Variable:
        return functional.max_pool2d(x, self.kernel_size, self.stride, self.pad)


class AvgPool2d(MaxPool2d):
    """The mean of each window of images, the zeros around them counted."""

    def forward(self, x: Any) -> Variable:
        return functional.avg_pool2d(x, self.kernel_size, self.stride, self.pad)


class Scaled(Layer):
    """What is standardized, scaled and moved by a gamma and a beta for each of its features."""

    def __init__(self, size: int | None, eps: float, dtype: DTypeLike) -> None:
        self.gamma = Parameter(None, "gamma")
        self.beta = Parameter(None, "beta")
        self.eps = eps
        self.dtype = np.dtype(dtype)
        if size is not None:
            self.begin(size)

    def begin(self, shape: int | tuple[int, ...]) -> None:
        """Gamma and beta as they are before training, unless they are there already."""
        if self.gamma.data is None:
            self.gamma.data = np.ones(shape, self.dtype)
            self.beta.data = np.zeros(shape, self.dtype)


class BatchNorm(Scaled):
    """Every channel with mean 0 and variance 1 over the batch, then scaled and moved.

    x: of shape (n, channels, ...). While training, the batch's mean and variance count, and running
    ones are kept; in `test_mode` those count. momentum: the share of the batch in what runs.
    Source: Ioffe and Szegedy 2015; as PyTorch does it, with the unbiased variance in what runs.
    """

    kept = ("running_mean", "running_var")

    def __init__(
        self,
        size: int | None = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.running_mean: Array | None = None
        self.running_var: Array | None = None
        self.momentum = momentum
        super().__init__(size, eps, dtype)

    def begin(self, shape: int | tuple[int, ...]) -> None:
        super().begin(shape)
        if self.running_mean is None:
            self.running_mean = np.zeros(shape, self.dtype)
            self.running_var = np.ones(shape, self.dtype)

    def forward(self, x: Any) -> Variable:
        self.begin(x.shape[1])
        axes = (0, *range(2, x.ndim))
        wide = (1, -1) + (1,) * (x.ndim - 2)
        if Config.train:
            y, _ = standardize(x, axes, self.eps)
            if not recomputing():
                self._run_on(x.data if isinstance(x, Variable) else x, axes)
        else:
            assert self.running_mean is not None
            assert self.running_var is not None
            scale = 1 / np.sqrt(self.running_var + self.eps)
            y = (x - self.running_mean.reshape(wide)) * scale.reshape(wide)
        return y * reshape(self.gamma, wide) + reshape(self.beta, wide)

    def _run_on(self, x: Array, axes: tuple[int, ...]) -> None:
        count = x.size // x.shape[1]
        if count < 2:
            raise ValueError(f"a batch of shape {x.shape} has one element a channel: no variance")
        make_room(x.nbytes + 4 * x.shape[1] * x.itemsize)  # deviations from the mean; statistics
        for running, fresh in (
            (self.running_mean, x.mean(axes)),
            (self.running_var, x.var(axes, ddof=1)),
        ):
            assert running is not None
            running += self.momentum * (fresh - running)


class LayerNorm(Scaled):
    """Every example with mean 0 and variance 1 over its last axis, then scaled and moved.

    Source: Ba, Kiros and Hinton 2016.
    """

    def __init__(
        self, size: int | None = None, eps: float = 1e-5, dtype: DTypeLike = np.float32
    ) -> None:
        super().__init__(size, eps, dtype)

    def forward(self, x: Any) -> Variable:
        self.begin(x.shape[-1])
        y, _ = standardize(x, -1, self.eps)
        return y * self.gamma + self.beta


class Dropout(Layer):
    """While training, a share of the elements at zero and the others scaled up by as much."""

    def __init__(self, ratio: float = 0.5, rng: Generator | None = None) -> None:
        self.ratio = ratio
        self.rng = rng or np.random.default_rng()

    def forward(self, x: Any) -> Variable:
        return functional.dropout(x, self.ratio, self.rng)


class Embedding(Layer):
    """A row of W for each whole number: (...) to (..., out_size)."""

    def __init__(
        self,
        in_size: int,
        out_size: int,
        dtype: DTypeLike = np.float32,
        rng: Generator | None = None,
        initial: Initialiser = standard_normal,
    ) -> None:
        drawn = initial(rng or np.random.default_rng(), (in_size, out_size))
        self.W = Parameter(drawn.astype(dtype), "W")

    def forward(self, x: Any) -> Variable:
        return functional.embedding(self.W, x)


class Recurrent(Layer):
    """A layer with a state: what it gave last is one of its inputs, until `reset_state`.

    The state is a part of the graph: `unchain_backward` of a loss ends it there (truncated
    backpropagation through time).
    """

    gates = 1

    def __init__(
        self,
        hidden_size: int,
        in_size: int | None = None,
        dtype: DTypeLike = np.float32,
        rng: Generator | None = None,
    ) -> None:
        rng = rng or np.random.default_rng()
        wide = self.gates * hidden_size
        self.x2h = Linear(wide, dtype=dtype, in_size=in_size, rng=rng)
        self.h2h = Linear(
            wide, nobias=True, dtype=dtype, in_size=hidden_size, rng=rng, initial=orthogonal
        )
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what it was given before."""
        self.h: Variable | None = None

    def mixed(self, x: Any) -> Variable:
        """What the input and the last state come to together."""
        y = self.x2h.forward(x)
        return y if self.h is None else y + matmul(self.h, self.h2h.W)


class RNN(Recurrent):
    """h = tanh(x W + b + h U), one step of a sequence: x of shape (n, in_size), h (n, hidden_size).

    Source: step 59 of the book; Elman 1990.
    """

    def forward(self, x: Any) -> Variable:
        self.h = tanh(self.mixed(x))
        return self.h


class LSTM(Recurrent):
    """One step of a sequence with gates for what comes in, stays and goes out.

    x: (n, in_size); gives h, (n, hidden_size). In W, b and U stand, one after the other, the gates
    in (i), forget (f), the new (g) and out (o), as in PyTorch.
    Source: step 60 of the book; Hochreiter and Schmidhuber 1997; Gers et al. 2000.
    """

    gates = 4

    def reset_state(self) -> None:
        super().reset_state()
        self.c: Variable | None = None

    def forward(self, x: Any) -> Variable:
        i, f, g, o = split(self.mixed(x), 4, axis=1)
        fresh = sigmoid(i) * tanh(g)
        self.c = fresh if self.c is None else sigmoid(f) * self.c + fresh
        self.h = sigmoid(o) * tanh(self.c)
        return self.h


class Sequential(Layer):
    """Layers and functions, each on what the one before it gives."""

    def __init__(self, *parts: Callable[[Any], Any]) -> None:
        self.parts = parts

    def forward(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x


class MLP(Layer):
    """Linear layers with a function between them. Source: step 45 of the book."""

    def __init__(
        self,
        fc_output_sizes: Sequence[int],
        activation: Callable[[Variable], Variable] = relu,
        dtype: DTypeLike = np.float32,
        in_size: int | None = None,
        rng: Generator | None = None,
        initial: Initialiser = lecun_normal,
    ) -> None:
        rng = rng or np.random.default_rng()
        sizes = [in_size, *fc_output_sizes[:-1]]
        self.activation = activation
        self.fc = [
            Linear(n, dtype=dtype, in_size=m, rng=rng, initial=initial)
            for m, n in zip(sizes, fc_output_sizes, strict=True)
        ]

    def forward(self, x: Any) -> Variable:
        *hidden, last = self.fc
        for layer in hidden:
            x = layer(x)  # and so the layer's input is gone when the activation is computed
            x = self.activation(x)
        y: Variable = last(x)
        return y

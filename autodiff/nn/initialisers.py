"""What a weight begins with. An initialiser takes a random generator and a shape.

The axes of a weight: of a matrix, what comes in and what goes out, (in, out); of a convolution's,
(out, in, height, width).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Initialiser: TypeAlias = Callable[[np.random.Generator, tuple[int, ...]], Array]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many elements go into one of the result, and into how many of it each goes."""
    if len(shape) < 2:
        raise ValueError(f"a weight of shape {shape} does not say what goes in and out")
    if len(shape) == 2:
        return shape[0], shape[1]
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def lecun_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal, of variance 1 / fan in. Source: LeCun et al. 1998; step 44 of the book."""
    return rng.normal(0, math.sqrt(1 / fans(shape)[0]), shape)


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform, of variance 2 / (fan in + fan out). Source: Glorot and Bengio 2010."""
    limit = math.sqrt(6 / sum(fans(shape)))
    return rng.uniform(-limit, limit, shape)


def he_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal, of variance 2 / fan in: for what relu follows. Source: He et al. 2015."""
    return rng.normal(0, math.sqrt(2 / fans(shape)[0]), shape)


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A matrix with orthonormal rows or columns. Source: Saxe et al. 2014."""
    rows, columns = shape[0], math.prod(shape[1:])
    tall = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q *= np.sign(np.diag(r))  # so that it is drawn evenly from all of them
    return (q if rows >= columns else q.T).reshape(shape)


def standard_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal, of variance 1."""
    return rng.standard_normal(shape)


def constant(value: float) -> Initialiser:
    """An initialiser that gives one value everywhere."""
    return lambda rng, shape: np.full(shape, float(value))

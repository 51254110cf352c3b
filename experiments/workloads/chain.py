"""One long chain of operations, for which the least possible peak is known in closed form."""

from __future__ import annotations

from typing import Literal

import numpy as np

from autodiff import Variable, sin, sqrt, square, tanh
from experiments.workloads import Step, there_and_back, workload

OPERATIONS = {"square": square, "sin": sin, "sqrt": sqrt, "tanh": tanh}


@workload(quick={"length": 20})
def chain(
    rng: np.random.Generator,
    *,
    kind: Literal["square", "sin", "sqrt", "tanh"] = "square",
    length: int = 50,
    size: int = 131_072,
) -> Step:
    """A chain of unary operations on 1 MiB arrays, forward and backward.

    The gradients of square and sin need their inputs, those of sqrt and tanh their outputs. None of
    the four leaves the unit interval, so that a chain of any length stays finite.
    """
    operation = OPERATIONS[kind]
    data = 1.0 - rng.random(size)
    if kind == "square":  # begin close enough to 1 not to vanish before the end
        data = np.minimum(data**0.5**length, np.nextafter(1.0, 0.0))
    x = Variable(data)

    def chained() -> Variable:
        y = x
        for _ in range(length):
            y = operation(y)
        return y

    return there_and_back(x, chained)

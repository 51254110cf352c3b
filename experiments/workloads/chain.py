"""One long chain of operations, for which the least possible peak is known in closed form."""

from __future__ import annotations

from typing import Literal

import numpy as np

from autodiff import Config, Variable, sin, sqrt, square, tanh
from experiments.workloads import Probe, Step, checksum, workload

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

    def step(probe: Probe) -> dict[str, float]:
        x.cleargrad()
        y = x
        for _ in range(length):
            y = operation(y)
        probe("forward")
        results = {"y_sum": checksum(y.data)}
        if Config.enable_backprop:
            y.backward()
            probe("backward")
            results["gx_sum"] = checksum(x.grad)
        probe("step")
        return results

    return step

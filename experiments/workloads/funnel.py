"""A graph that is wide where it starts and narrow where it ends."""

from __future__ import annotations

import numpy as np

from autodiff import Variable, mean, reshape, tanh
from experiments.workloads import Step, there_and_back, workload


@workload(quick={"size": 131_072})
def funnel(rng: np.random.Generator, *, size: int = 1_048_576, stages: int = 12) -> Step:
    """Arrays that halve at every stage: wide early, narrow late, forward and backward.

    Backward starts at the narrow end and peaks at the wide one, when all the rest is done with:
    here it shows what releasing during backward buys. The size is a multiple of 2**stages.
    """
    if size % 2**stages:
        raise ValueError(
            f"funnel: size {size} cannot be halved {stages} times; take a multiple of {2**stages}"
        )
    x = Variable(rng.standard_normal(size))

    def narrowed() -> Variable:
        y = x
        for _ in range(stages):
            y = mean(reshape(tanh(y), (-1, 2)), axis=1)
        return y

    return there_and_back(x, narrowed)

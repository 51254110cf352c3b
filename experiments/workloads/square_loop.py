"""The loop of the slides' step 17: what is left of a graph when the next one takes its name?"""

from __future__ import annotations

import numpy as np

from autodiff import Config, Variable, square
from experiments.workloads import Probe, Step, checksum, workload


@workload
def square_loop(
    rng: np.random.Generator, *, rounds: int = 10, size: int = 10_000, backward: bool = False
) -> Step:
    """Ten rounds of y = square(square(square(x))), as in the slides' step 17.

    With strong output references every round leaves its four arrays (x and three squares) in
    cycles; with weak ones they go as soon as the next round takes over the names x and y.
    """

    def step(probe: Probe) -> dict[str, float]:
        results = {"y_sum": 0.0}
        for _ in range(rounds):
            x = Variable(rng.standard_normal(size))
            y = square(square(square(x)))
            probe("forward")
            results["y_sum"] += checksum(y.data)
            if backward and Config.enable_backprop:
                y.backward()
                probe("backward")
                results["gx_sum"] = results.get("gx_sum", 0.0) + checksum(x.grad)
            probe("step")
        return results

    return step

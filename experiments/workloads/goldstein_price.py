"""The Goldstein-Price function of the slides' step 24: many operations, next to no data."""

from __future__ import annotations

import numpy as np

from autodiff import Config, Variable
from experiments.workloads import Probe, Step, checksum, workload


def goldstein(x: Variable, y: Variable) -> Variable:
    """The Goldstein-Price function, whose least value is 3 at (0, -1)."""
    a = 19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2
    b = 18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2
    return (1 + (x + y + 1) ** 2 * a) * (30 + (2 * x - 3 * y) ** 2 * b)


@workload(quick={"rounds": 20})
def goldstein_price(rng: np.random.Generator, *, rounds: int = 100) -> Step:
    """The Goldstein-Price function and its gradient at many points: the price of the graph itself.

    Every array holds one number, so that what a mode keeps alive is objects more than data.
    """

    def step(probe: Probe) -> dict[str, float]:
        results = {"z_sum": 0.0}
        for _ in range(rounds):
            x = Variable(np.array(rng.uniform(-2.0, 2.0)))
            y = Variable(np.array(rng.uniform(-2.0, 2.0)))
            z = goldstein(x, y)
            probe("forward")
            results["z_sum"] += checksum(z.data)
            if Config.enable_backprop:
                z.backward()
                probe("backward")
                results["gx_sum"] = results.get("gx_sum", 0.0) + checksum(x.grad)
                results["gy_sum"] = results.get("gy_sum", 0.0) + checksum(y.grad)
            probe("step")
        return results

    return step

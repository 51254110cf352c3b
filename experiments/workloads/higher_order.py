"""Gradients that are differentiated again: a kept gradient keeps the graph that it came from."""

from __future__ import annotations

import numpy as np

from autodiff import Config, Variable, sin, tanh
from experiments.workloads import Probe, Step, checksum, workload


@workload(quick={"rounds": 3})
def newton(
    rng: np.random.Generator, *, rounds: int = 10, size: int = 10_000, iterations: int = 10
) -> Step:
    """Newton's method on y = x^4 - 2 x^2, for many x at once: second derivatives by two passes.

    The first pass leaves a gradient with a graph of its own, and through that goes the second.
    Source: steps 29 and 33 of the book.
    """

    def step(probe: Probe) -> dict[str, float]:
        results: dict[str, float] = {}
        for _ in range(rounds):
            x = Variable(rng.uniform(1.5, 2.5, size))
            for _ in range(iterations):
                y = x**4 - 2 * x**2
                probe("forward")
                results.setdefault("first_y_sum", checksum(y.data))
                if Config.enable_backprop:
                    x.cleargrad()
                    y.backward(create_graph=True)
                    gx = x.grad_var
                    assert gx is not None
                    x.cleargrad()
                    gx.backward()
                    probe("backward")
                    x.data = x.data - gx.data / x.grad
                    results["x_sum"] = checksum(x.data)
                probe("step")
        return results

    return step


@workload
def gradient_penalty(rng: np.random.Generator, *, rounds: int = 10, size: int = 10_000) -> Step:
    """A loss that a gradient is part of, and the gradient kept: z = sum of (dy/dx)^2 + y.

    x holds its gradient, the gradient its graph. Where that holds x in turn, it is a cycle that
    no weak output reference undoes. Source: step 36 of the book; Gulrajani et al. 2017.
    """

    def step(probe: Probe) -> dict[str, float]:
        results = {"y_sum": 0.0}
        for _ in range(rounds):
            x = Variable(rng.standard_normal(size))
            y = (sin(x) * x).sum()
            probe("forward")
            results["y_sum"] += checksum(y.data)
            if Config.enable_backprop:
                y.backward(create_graph=True)
                gx = x.grad_var
                assert gx is not None
                z = (gx**2).sum() + y
                z.backward(retain_graph=True)  # y is read again: it is a result as well
                probe("backward")
                results["gx_sum"] = results.get("gx_sum", 0.0) + checksum(x.grad)
                x.grad_var = gx  # what a user does who keeps it to look at
            probe("step")
        return results

    return step


@workload(quick={"order": 4})
def tanh_derivatives(rng: np.random.Generator, *, order: int = 6, size: int = 10_000) -> Step:
    """The derivatives of tanh, one of the other: each graph is several times the one before it.

    Source: step 35 of the book.
    """
    x = Variable(rng.uniform(-2.0, 2.0, size))

    def step(probe: Probe) -> dict[str, float]:
        x.cleargrad()
        y = tanh(x)
        probe("forward")
        results = {"y_sum": checksum(y.data)}
        if Config.enable_backprop:
            y.backward(create_graph=True)
            for _ in range(order - 1):
                gx = x.grad_var
                assert gx is not None
                x.cleargrad()
                gx.backward(create_graph=True)
            probe("backward")
            results["gx_sum"] = checksum(x.grad)
            x.cleargrad()
        probe("step")
        return results

    return step

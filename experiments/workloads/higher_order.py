"""Gradients that are differentiated again: a kept gradient keeps the graph that it came from.

None of these holds a result or a gradient longer than it reads it, so that what is alive beyond
the floor is the engine's. Backward is called on what nobody else holds.
"""

from __future__ import annotations

import numpy as np

from autodiff import Config, Variable, max, no_grad, sin, tanh
from experiments.workloads import Probe, Step, checksum, workload


def taken_gradient(x: Variable) -> Variable:
    """The gradient of x with its graph, which x then holds no longer."""
    gx = x.grad_var
    assert gx is not None
    x.cleargrad()
    return gx


@workload(quick={"rounds": 2})
def newton(
    rng: np.random.Generator, *, rounds: int = 5, size: int = 40_000, iterations: int = 10
) -> Step:
    """Newton's method on y = x^4 - 2 x^2, for many x at once: second derivatives by two passes.

    The first pass leaves a gradient with a graph of its own, and through that goes the second.
    Source: steps 29 and 33 of the book.
    """

    def iterate(x: Variable, probe: Probe, results: dict[str, float]) -> None:
        y = x**4 - 2 * x**2
        probe("forward")
        results.setdefault("first_y_sum", checksum(y.data))
        if Config.enable_backprop:
            x.cleargrad()
            last = [y]  # out of which backward takes it: under its name it would live on meanwhile
            del y
            last.pop().backward(create_graph=True)
            gx = taken_gradient(x)
            gx.backward()
            assert x.grad is not None
            probe("backward")
            with no_grad():
                x.data = (x - gx / x.grad).data
            results["x_sum"] = checksum(x.data)
        probe("step")

    def step(probe: Probe) -> dict[str, float]:
        results: dict[str, float] = {}
        for _ in range(rounds):
            x = Variable(rng.uniform(1.5, 2.5, size))
            for _ in range(iterations):
                iterate(x, probe, results)
        return results

    return step


@workload(quick={"rounds": 3})
def gradient_penalty(rng: np.random.Generator, *, rounds: int = 10, size: int = 40_000) -> Step:
    """A loss that a gradient is part of, and the gradient kept: z = sum of (dy/dx)^2 + y.

    x holds its gradient, the gradient its graph. Where that holds x in turn, it is a cycle that
    no weak output reference undoes. Source: step 36 of the book; Gulrajani et al. 2017.
    """

    def penalize(probe: Probe) -> dict[str, float]:
        x = Variable(rng.standard_normal(size))
        y = (sin(x) * x).sum()
        probe("forward")
        results = {"y_sum": checksum(y.data)}
        if Config.enable_backprop:
            y.backward(create_graph=True)
            gx = taken_gradient(x)
            z = (gx**2).sum() + y
            z.backward()
            probe("backward")
            results["gx_sum"] = checksum(x.grad)
            x.grad_var = gx  # what a user does who keeps it to look at
            with no_grad():
                results["steepest_sum"] = checksum(max(x.grad_var).data)
        probe("step")
        return results

    def step(probe: Probe) -> dict[str, float]:
        results: dict[str, float] = {}
        for _ in range(rounds):
            for name, value in penalize(probe).items():
                results[name] = results.get(name, 0.0) + value
        return results

    return step


@workload(quick={"order": 4})
def tanh_derivatives(rng: np.random.Generator, *, order: int = 6, size: int = 40_000) -> Step:
    """The derivatives of tanh, one of the other: each graph is several times the one before it.

    The last one is not differentiated again, and so has none. Source: step 35 of the book.
    """
    x = Variable(rng.uniform(-2.0, 2.0, size))

    def step(probe: Probe) -> dict[str, float]:
        x.cleargrad()
        y = tanh(x)
        probe("forward")
        results = {"y_sum": checksum(y.data)}
        if Config.enable_backprop:
            last = [y]  # out of which backward takes it: under its name it would live on meanwhile
            del y
            last.pop().backward(create_graph=order > 1)
            for number in range(2, order + 1):
                taken_gradient(x).backward(create_graph=number < order)
            probe("backward")
            results["gx_sum"] = checksum(x.grad)
            x.cleargrad()
        probe("step")
        return results

    return step

"""Optimizers: what a step of training does with the gradients. The formulas are PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from autodiff.nn.initialisers import Array
from autodiff.nn.layer import Layer, Parameter

Hook = Callable[[Sequence[Parameter]], None]


class Optimizer:
    """Changes the parameters of a layer by their gradients. A subclass defines `update_one`.

    Hooks are called with all parameters that have a gradient, before these are used.
    kept: how many arrays it keeps for each parameter.
    Source: step 46 of the book.
    """

    kept: ClassVar[int] = 0

    def __init__(self) -> None:
        self.target: Layer | None = None
        self.hooks: list[Hook] = []
        self._states: WeakKeyDictionary[Parameter, list[Array]] = WeakKeyDictionary()

    def setup(self, target: Layer) -> Optimizer:
        """Say whose parameters to change; gives the optimizer itself.

        What it keeps for parameters that have data is made now, so that the first step of a
        training needs as much memory as all others.
        """
        self.target = target
        for parameter in target.params():
            if parameter.data is not None:
                self.state(parameter)
        return self

    def state(self, parameter: Parameter) -> list[Array]:
        """The arrays that it keeps for a parameter, of zeros to begin with."""
        if parameter not in self._states:
            self._states[parameter] = [np.zeros_like(parameter.data) for _ in range(self.kept)]
        return self._states[parameter]

    def add_hook(self, hook: Hook) -> None:
        """Have a hook called before each update, after those that are there."""
        self.hooks.append(hook)

    def update(self) -> None:
        """Change every parameter that has a gradient. Raises RuntimeError before `setup`."""
        if self.target is None:
            raise RuntimeError("whose parameters? call setup(layer) first")
        parameters = [p for p in self.target.params() if p.grad is not None]
        for hook in self.hooks:
            hook(parameters)
        for parameter in parameters:
            assert parameter.grad is not None
            self.update_one(parameter, parameter.grad)

    def update_one(self, parameter: Parameter, grad: Array) -> None:
        raise NotImplementedError(f"{type(self).__name__} defines no update_one")


class SGD(Optimizer):
    """p -= lr g: gradient descent. Source: step 46 of the book."""

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__()
        self.lr = lr

    def update_one(self, parameter: Parameter, grad: Array) -> None:
        parameter.data -= self.lr * grad


class Momentum(Optimizer):
    """v = momentum v + g; p -= lr v. Source: step 46 of the book, where it is MomentumSGD."""

    kept = 1

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__()
        self.lr, self.momentum = lr, momentum

    def update_one(self, parameter: Parameter, grad: Array) -> None:
        (v,) = self.state(parameter)
        v *= self.momentum
        v += grad
        parameter.data -= self.lr * v


class AdaGrad(Optimizer):
    """h += g g; p -= lr g / (sqrt(h) + eps). Source: Duchi et al. 2011."""

    kept = 1

    def __init__(self, lr: float = 0.001, eps: float = 1e-8) -> None:
        super().__init__()
        self.lr, self.eps = lr, eps

    def update_one(self, parameter: Parameter, grad: Array) -> None:
        (h,) = self.state(parameter)
        h += grad * grad
        parameter.data -= self.lr * grad / (np.sqrt(h) + self.eps)


class Adam(Optimizer):
    """Moving means of gradients and their squares, set right for their start at zero.

    Source: Kingma and Ba 2015, algorithm 1.
    """

    kept = 2

    def __init__(
        self, alpha: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__()
        self.alpha, self.beta1, self.beta2, self.eps = alpha, beta1, beta2, eps
        self._steps: WeakKeyDictionary[Parameter, int] = WeakKeyDictionary()

    def update_one(self, parameter: Parameter, grad: Array) -> None:
        m, v = self.state(parameter)
        t = self._steps[parameter] = self._steps.get(parameter, 0) + 1
        m += (1 - self.beta1) * (grad - m)
        v += (1 - self.beta2) * (grad * grad - v)
        scale = np.sqrt(v) / math.sqrt(1 - self.beta2**t) + self.eps
        parameter.data -= self.alpha / (1 - self.beta1**t) * m / scale


class WeightDecay:
    """A hook: adds to every gradient a share of the parameter. Source: step 46 of the book."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, parameters: Sequence[Parameter]) -> None:
        for parameter in parameters:
            parameter.grad += self.rate * parameter.data


class ClipGrad:
    """A hook: scales all gradients down together where their norm is above a limit.

    Source: Pascanu et al. 2013; step 46 of the book.
    """

    def __init__(self, max_norm: float) -> None:
        self.max_norm = max_norm

    def __call__(self, parameters: Sequence[Parameter]) -> None:
        squares = (float(np.sum(np.square(p.grad, dtype=np.float64))) for p in parameters)  # type: ignore[arg-type]
        rate = self.max_norm / (math.sqrt(sum(squares)) + 1e-6)
        if rate < 1:
            for parameter in parameters:
                parameter.grad *= rate  # type: ignore[operator]  # it has one

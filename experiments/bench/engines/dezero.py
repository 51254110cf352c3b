"""DeZero, the engine of the book that this project begins with."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from experiments.bench.engines.engine import Array, Compute, Tape


def _imported() -> tuple[Any, Any]:
    """DeZero and its functions, on a NumPy of today.

    Its last release reads np.int when it is imported, which NumPy 1.24 took away, and imports
    matplotlib for the pictures of its data sets, without saying so. No problem here draws any.
    """
    if not hasattr(np, "int"):
        np.int = int  # type: ignore[attr-defined]
    if find_spec("matplotlib") is None:
        sys.modules["matplotlib"] = ModuleType("matplotlib")
        sys.modules["matplotlib.pyplot"] = ModuleType("matplotlib.pyplot")
    import dezero
    import dezero.functions as F

    return dezero, F


class Engine(Tape):
    def __init__(self) -> None:
        dezero, F = _imported()
        self.version = dezero.__version__
        self._variable = dezero.Variable
        self.sin, self.exp, self.tanh = F.sin, F.exp, F.tanh
        self.square = lambda x: x**2  # it has no square but that of its first steps
        self.relu, self.sum, self.matmul, self.linear = F.relu, F.sum, F.matmul, F.linear
        self.cross_entropy = F.softmax_cross_entropy

    def leaf(self, array: Array) -> Any:
        return self._variable(array)

    def clear(self, leaf: Any) -> None:
        leaf.cleargrad()

    def gradient(self, leaf: Any) -> Array:
        return np.asarray(leaf.grad.data)

    def newton(self, f: Compute, start: Array, steps: int) -> Array:
        x = self._variable(start.copy())
        points = []
        for _ in range(steps):
            x.cleargrad()
            f(x).backward(create_graph=True)
            gx = x.grad
            x.cleargrad()
            gx.backward()
            x.data = np.asarray(x.data - gx.data / x.grad.data)
            points.append(x.data)
        return np.array(points)

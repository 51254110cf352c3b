"""What a problem asks of an engine, and the work that comes of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Compute = Callable[..., Any]  # of an engine's own variables; gives its own variable


class Missing(Exception):
    """An engine has no such thing as a problem asks for; says what is missing."""


class Work(Protocol):
    """One computation, ready to be repeated: leaves and data stand already."""

    def forward(self) -> Any:
        """What backward needs: while it is held, the graph stands."""

    def backward(self, held: Any) -> Any:
        """The gradients, in whatever form the engine has them."""

    def gradients(self, found: Any) -> list[Array]:
        """The same as arrays, one for each input. No part of what is measured."""


class Engine(ABC):
    """An engine, spoken to as its own manual would.

    Python's operators on its variables are its own; the functions that problems call are these.
    """

    version: str
    traced = True  # whether tracemalloc sees its arrays
    sin: Callable[[Any], Any]
    exp: Callable[[Any], Any]
    tanh: Callable[[Any], Any]
    square: Callable[[Any], Any]
    relu: Callable[[Any], Any]
    sum: Callable[[Any], Any]  # of all elements
    matmul: Callable[[Any, Any], Any]
    linear: Callable[[Any, Any, Any], Any]  # x, W, b: x W + b
    cross_entropy: Callable[[Any, Any], Any]  # scores, classes: the mean over rows

    @abstractmethod
    def work(self, compute: Compute, inputs: Sequence[Array]) -> Work:
        """compute(*inputs), forward and backward, with a gradient for each input."""

    def constant(self, array: Array) -> Any:
        """Data that wants no gradient, as this engine takes it."""
        return array

    def newton(self, f: Compute, start: Array, steps: int) -> Array:
        """The points that Newton's method for f' = 0 passes, f'' by the engine. Shape (steps,)."""
        raise Missing("has no second derivatives")


class Tape(Engine):
    """An engine whose leaves are told of their gradients by a `backward()` of the result."""

    @abstractmethod
    def leaf(self, array: Array) -> Any:
        """A variable that wants a gradient."""

    @abstractmethod
    def clear(self, leaf: Any) -> None:
        """Forget the gradient of a leaf."""

    def backward(self, result: Any) -> None:
        """Have the leaves told."""
        result.backward()

    def gradient(self, leaf: Any) -> Array:
        """The gradient of a leaf, as an array."""
        return np.asarray(leaf.grad)

    def work(self, compute: Compute, inputs: Sequence[Array]) -> Work:
        return _OnTape(self, compute, [self.leaf(array) for array in inputs])


class AsInTheBook(Tape):
    """An engine with the interface of the book that this project begins with."""

    def __init__(self, version: str, variable: Callable[[Array], Any], functions: Any) -> None:
        self.version, self._variable = version, variable
        self.sin, self.exp, self.tanh = functions.sin, functions.exp, functions.tanh
        self.square = getattr(functions, "square", lambda x: x**2)
        self.relu, self.sum = functions.relu, functions.sum
        self.matmul, self.linear = functions.matmul, functions.linear
        self.cross_entropy = functions.softmax_cross_entropy

    @abstractmethod
    def differentiable(self, leaf: Any) -> Any:
        """The gradient of a leaf as a variable that has a graph of its own."""

    def leaf(self, array: Array) -> Any:
        return self._variable(array)

    def clear(self, leaf: Any) -> None:
        leaf.cleargrad()

    def newton(self, f: Compute, start: Array, steps: int) -> Array:
        x = self.leaf(start.copy())
        points = []
        for _ in range(steps):
            x.cleargrad()
            f(x).backward(create_graph=True)
            gx = self.differentiable(x)
            x.cleargrad()
            gx.backward()
            x.data = np.asarray(x.data - gx.data / self.gradient(x))
            points.append(x.data)
        return np.array(points)


class _OnTape:
    """The leaves stay, as a model's parameters do; each forward begins without gradients."""

    def __init__(self, engine: Tape, compute: Compute, leaves: list[Any]) -> None:
        self._engine, self._compute, self._leaves = engine, compute, leaves

    def forward(self) -> Any:
        clear = self._engine.clear
        for leaf in self._leaves:
            clear(leaf)
        return self._compute(*self._leaves)

    def backward(self, held: Any) -> None:
        self._engine.backward(held)

    def gradients(self, found: Any) -> list[Array]:
        return [self._engine.gradient(leaf) for leaf in self._leaves]

"""Recompute instead of keep: a part of a graph that holds its inputs and nothing in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autodiff.config import no_grad, using_config
from autodiff.gradients import Leaf, Source, function_of
from autodiff.graph import Function
from autodiff.variable import Operand, Variable, as_constant, grad, source_of


class Same(Function):
    """y = x, as a Variable of its own."""

    __slots__ = ()
    saves = ()

    def forward(self, x: Any) -> Any:
        return x

    def backward(self, gy: Any) -> Any:
        return gy


class Checkpoint(Function):
    """The outputs of a function of Variables, computed again when their gradients are wanted."""

    __slots__ = ("function", "saves")

    def __init__(self, function: Callable[..., Any], inputs: int) -> None:
        self.function = function
        self.saves = tuple(range(inputs))  # type: ignore[misc]

    def forward(self, *xs: Any) -> Any:
        with no_grad():
            return tuple(y.data for y in self.computed([as_constant(x) for x in xs]))

    def backward(self, *gys: Any) -> Any:
        with using_config("enable_backprop", True):
            xs = [self.input(x, want) for x, want in zip(self.saved, self.wanted, strict=True)]
            ys = self.computed(xs)
            wanted = [x for x, want in zip(xs, self.wanted, strict=True) if want]
            _refuse_others(ys, {source_of(x) for x in wanted})
            create_graph = isinstance(gys[0], Variable)
            gxs = iter(grad(ys, wanted, create_graph, seeds=gys))
        return [next(gxs) if want else None for want in self.wanted]

    def input(self, x: Any, wanted: bool) -> Variable:
        """An input as a Variable that is not the same as any other input."""
        if not wanted:
            return as_constant(x)
        return Same()(x) if isinstance(x, Variable) else Variable(x)

    def computed(self, xs: Sequence[Any]) -> list[Variable]:
        ys = self.function(*xs)
        return [ys] if isinstance(ys, Variable) else list(ys)


def _refuse_others(ys: Sequence[Variable], inputs: set[Source]) -> None:
    """Raise ValueError where outputs depend on a leaf that is no input."""
    sources, seen = [source_of(y) for y in ys if y.requires_grad], set(inputs)
    while sources:
        source = sources.pop()
        if source in seen:
            continue
        seen.add(source)
        if isinstance(source, Leaf):
            leaf = source()
            name = f" {leaf.name!r}" if leaf is not None and leaf.name else ""
            shape = f" of shape {leaf.shape}" if leaf is not None else ""
            raise ValueError(
                f"the function under checkpoint reads a Variable{name}{shape} that is none of its "
                "inputs, and would give it no gradient: make it an input"
            )
        function = function_of(source)
        assert function is not None
        sources.extend(s for s in function.sources if s is not None)


def checkpoint(function: Callable[..., Any], *inputs: Operand) -> Any:
    """function(*inputs), of which the graph keeps the inputs; backward computes the rest again.

    The function gives one Variable or several, the same ones for the same inputs, both times.
    Raises ValueError, in backward, where it reads a Variable that wants a gradient and is no input.
    Source: Griewank and Walther 2000; Chen et al. 2016 (arXiv 1604.06174).
    """
    return Checkpoint(function, len(inputs))(*inputs)

"""What tests of budgets share: the peak of arrays, to the byte, chains, and the least that does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from autodiff import BudgetError, Variable, using_config
from experiments.instruments.allocations import Allocations

SIZE = 5_000  # elements, above what NumPy and the engine treat as small
S = SIZE * 8  # bytes
NUMBERS = 64  # bytes, of single numbers that NumPy makes arrays of

Operation: TypeAlias = Callable[[Variable], Variable]


class Peak:
    """The most that arrays come to while something runs, to the byte."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        self.now = self.highest = 0
        self.allocations = Allocations(self.born, self.died)

    def born(self, address: int, size: int) -> None:
        self.sizes[address] = size
        self.now += size
        self.highest = max(self.highest, self.now)

    def died(self, address: int) -> None:
        self.now -= self.sizes.pop(address, 0)

    def __enter__(self) -> Peak:
        self.allocations.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.allocations.stop()


def chained(operation: Operation, x: Variable, length: int) -> Variable:
    y = x
    for _ in range(length):
        y = operation(y)
    return y


def chain_gradient(
    operation: Operation, length: int, budget: int | None, held: bool = False
) -> tuple[bytes, int]:
    """The gradient of a chain, and the peak of its arrays in bytes."""
    with Peak() as peak:
        x = Variable(np.full(SIZE, 0.1))
        with using_config("budget", budget):
            if held:
                y = chained(operation, x, length)
                y.backward()
            else:
                chained(operation, x, length).backward()
    assert x.grad is not None
    return x.grad.tobytes(), peak.highest


def bits(gradients: list[Any]) -> list[bytes | None]:
    return [None if g is None else np.asarray(g).tobytes() for g in gradients]


def least_budget(compute: Callable[[], Any], high: int) -> int:
    """The least of some budgets between high and a tenth of it that can be met."""
    low = high // 10
    while high - low > high // 40:
        middle = (low + high) // 2
        try:
            with using_config("budget", middle):
                compute()
        except BudgetError:
            low = middle
        else:
            high = middle
    return high

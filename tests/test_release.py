"""What a backward pass lets go: a Function that nobody else holds dies, any other is released."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import autodiff as ad
from autodiff import Function, Variable
from autodiff.gradients import ALONE

pytestmark = pytest.mark.usefixtures("in_lean", "collector_off")

Operation = Callable[[Variable], Variable]
OPERATIONS: dict[str, Operation] = {
    "of one": ad.sin,
    "of two": lambda x: x * x,
    "of one and a number": lambda x: 3 - x,
    "of matrices": lambda x: ad.matmul(x, x),
    "of parameters": lambda x: ad.linear(x, x, Variable(np.ones(x.shape[1]))),
    "of one, with an axis": ad.softmax,
    "of any": lambda x: ad.reshape(x, x.shape),
}
SIZES = [2, 20]  # small arrays, and others


@pytest.fixture(params=OPERATIONS)
def operation(request: pytest.FixtureRequest) -> Operation:
    return OPERATIONS[request.param]


@contextmanager
def watched_by(kind: str) -> Iterator[None]:
    """The interpreter tells somebody of each call, and has more names for a Function meanwhile."""
    before = getattr(sys, f"get{kind}")()
    getattr(sys, f"set{kind}")(lambda *event: None)
    try:
        yield
    finally:
        getattr(sys, f"set{kind}")(before)


def computed(operation: Operation, size: int, length: int = 4) -> tuple[Variable, list[Function]]:
    """A result, and the Functions behind it, the first one first."""
    y = Variable(np.full((size, size), 0.1))
    functions = []
    for _ in range(length):
        y = operation(y)
        assert y.creator is not None
        functions.append(y.creator)
    return y, functions


def warm_up(operation: Operation, size: int) -> None:
    """Until the interpreter has made what it will make of the code."""
    for _ in range(100):
        computed(operation, size)[0].backward()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("is_warm", [False, True])
def test_every_function_that_somebody_holds_is_released(
    operation: Operation, size: int, is_warm: bool
) -> None:
    if is_warm:
        warm_up(operation, size)
    y, functions = computed(operation, size)
    y.backward()
    assert all(f.is_released and f.kept == () for f in functions)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["trace", "profile"])
def test_so_it_is_where_somebody_watches(operation: Operation, size: int, kind: str) -> None:
    y, functions = computed(operation, size)
    with watched_by(kind):
        y.backward()
    assert all(f.is_released and f.kept == () for f in functions)


@pytest.mark.parametrize("size", SIZES)
def test_a_function_that_only_its_result_holds_is_released(operation: Operation, size: int) -> None:
    x = Variable(np.full((size, size), 0.1))
    middle = operation(operation(x))
    operation(middle).backward()
    with pytest.raises(RuntimeError, match="released this graph"):
        middle.backward()


@pytest.mark.parametrize("size", SIZES)
def test_a_function_that_another_graph_holds_is_released(operation: Operation, size: int) -> None:
    x = Variable(np.full((size, size), 0.1))
    middle = operation(operation(x))
    one, other = operation(middle), operation(middle)
    del middle
    one.backward()
    with pytest.raises(RuntimeError, match="released this graph"):
        other.backward()


@pytest.mark.parametrize("size", SIZES)
def test_all_others_are_gone_when_their_rules_have_run(operation: Operation, size: int) -> None:
    y, functions = computed(operation, size)
    references = [weakref.ref(f) for f in functions]
    alive: list[int] = []

    class Probe(Function):
        """What is alive when the gradient has come to the beginning."""

        saves = ()

        def forward(self, x: Any) -> Any:
            return x

        def backward(self, gy: Any) -> Any:
            alive.append(sum(r() is not None for r in references))
            return gy

    x = Variable(np.full((size, size), 0.1))
    y, functions = Probe()(x), []
    for _ in range(4):
        y = operation(y)
        functions.append(y.creator)
    references = [weakref.ref(f) for f in functions]
    functions.clear()
    y.backward()
    assert alive == [1]  # of y


def test_who_is_alone_is_not_released_one_by_one(operation: Operation) -> None:
    """Where it is known how often the interpreter counts a Function that nobody else holds."""
    y, functions = computed(operation, 2)
    functions.clear()
    released: list[Function] = []
    release = Function.release

    def noted(self: Function, outlived: list[Function]) -> None:
        released.append(self)
        release(self, outlived)

    with patch.object(Function, "release", noted):
        y.backward()
    is_quick = type(y.creator).turn_over is not Function.turn_over
    assert len(released) == (1 if ALONE and is_quick else 4)

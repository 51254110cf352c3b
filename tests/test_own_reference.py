"""A Function as what it is besides: the weak reference to its own output."""

from __future__ import annotations

import copy
import gc
import pickle
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Function, Variable, using_mode
from autodiff.functions.elementwise import LeakyReLU, Square

OPERATIONS = 1000


@pytest.fixture(autouse=True)
def _collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Halves(Function):
    """Two outputs, and an attribute in a dict."""

    saves = ()

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def forward(self, x: Any) -> Any:
        return x[: self.at], x[self.at :]

    def backward(self, gy0: Any, gy1: Any) -> Any:
        return np.concatenate([gy0, gy1])


def chain(x: Variable, length: int) -> Variable:
    for _ in range(length):
        x = ad.sin(x)
    return x


def test_an_operation_takes_one_tracked_object_and_no_more_bytes_than_the_sum_says() -> None:
    """Of the Function, the array that it keeps, and the number of its generation."""
    with using_mode("lean"):
        chain(Variable(np.ones(1)), 3 * OPERATIONS)
        y = chain(Variable(np.ones(1)), OPERATIONS)
        objects = len(gc.get_objects())
        tracemalloc.start()
        try:
            y = chain(y, OPERATIONS)
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert abs(len(gc.get_objects()) - objects - OPERATIONS) < 20
        assert isinstance(y.creator, ad.Function)
        each = (
            y.creator.__sizeof__() + 16 + np.ones(1).__sizeof__() + 32
        )  # 16: the collector's head
        assert size / OPERATIONS == pytest.approx(each, abs=24)
        assert size / OPERATIONS <= 300


@pytest.mark.parametrize("mode", ["step17", "step18", "lean"])
def test_the_output_lives_as_long_as_others_hold_it(mode: str) -> None:
    with using_mode(mode):
        x = Variable(np.ones(2))
        for operation in (ad.sin, ad.sum, Square(), lambda x: x.reshape(2, 1)):
            y = operation(x)
            function = y.creator
            assert function is not None
            assert function.outputs[0]() is y
            assert type(function.outputs[0]) is weakref.ref
            assert not any(one is y for one in gc.get_referents(function))
            del y
            assert function.outputs[0]() is None


def test_under_the_strong_mode_it_lives_as_long_as_the_function() -> None:
    with using_mode("step16"):
        y = ad.sin(Variable(np.ones(2)))
        function, gone = y.creator, weakref.ref(y)
        del y
        assert function is not None
        assert function.outputs[0]() is gone() is not None
        del function
        assert gone() is not None
        gc.collect()
        assert gone() is None


@pytest.mark.parametrize("mode", ["step17", "lean"])
def test_functions_are_equal_to_themselves_alone_before_and_after_their_outputs(mode: str) -> None:
    with using_mode(mode):
        x = Variable(np.ones(2))
        y, z = ad.sin(x), ad.sin(x)
        f, g = y.creator, z.creator
        numbers = {f: 1, g: 2}
        assert f == f and f != g
        del y, z
        assert f == f and f != g
        assert (numbers[f], numbers[g]) == (1, 2)
        assert repr(f).startswith("<autodiff.functions.elementwise.Sin object")
        assert f is not None
        assert weakref.ref(f)() is f


def test_one_that_was_made_and_not_applied_leaves_nothing() -> None:
    made = Square()
    gone = weakref.ref(made)
    before = len(gc.get_objects())
    del made
    assert gone() is None
    assert before - len(gc.get_objects()) == 2  # it, and the output that it was made with
    assert Square().outputs == ()


@pytest.mark.usefixtures("in_lean")
def test_one_output_it_is_and_several_have_links_of_their_own() -> None:
    y0, y1 = Halves(1)(Variable(np.arange(3.0)))
    function = y0.creator
    assert [link() for link in function.outputs] == [y0, y1]
    del y0
    assert [link() for link in function.outputs] == [None, y1]


def test_without_a_graph_a_function_holds_no_output() -> None:
    with ad.no_grad():
        function = Square()
        gone = weakref.ref(function(Variable(np.ones(2))))
        assert gone() is None


@pytest.mark.parametrize("made", [Square(), LeakyReLU(0.3), Halves(1)], ids=lambda f: f.__class__)
@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_one_that_is_in_no_graph_is_copied_and_pickled(again: Any, made: Function) -> None:
    x = np.array([-2.0, 3.0])
    other = again(made)
    assert other is not made
    results = [[y.tolist() for y in f.results([x])] for f in (other, made)]
    assert results[0] == results[1]


def test_one_in_a_graph_is_neither() -> None:
    y = ad.sin(Variable(np.ones(2)))
    for again in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="this Sin is part of a graph"):
            again(y.creator)


def test_arguments_that_an_operation_does_not_take_are_an_error_that_helps() -> None:
    with pytest.raises(TypeError, match=r"apply it to some, as in Square\(\)\(x\)"):
        Square(Variable(np.ones(2)))

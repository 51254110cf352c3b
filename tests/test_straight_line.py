"""The straight line in which operations on operands alike are recorded, against the long way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import autodiff as ad
from autodiff import Function, Variable, using_config
from autodiff.arrays import WHOLE_NUMBERS, WITH_NUMBERS, gradient_dtype, shared_form
from autodiff.functions.arity import Binary, Unary
from autodiff.held import several
from autodiff.variable import form_of

pytestmark = pytest.mark.usefixtures("in_lean")

Operation = Callable[..., Variable]

OF_TWO: dict[str, Operation] = {
    "add": ad.add,
    "sub": ad.sub,
    "mul": ad.mul,
    "div": ad.div,
    "pow": ad.pow,
    "maximum": ad.maximum,
    "matmul": lambda x0, x1: ad.matmul(x0, x1) if np.ndim(x0) > 1 < np.ndim(x1) else x0 * x1,
    "rsub": lambda x0, x1: x1 - x0,
    "rdiv": lambda x0, x1: x1 / x0,
    "rpow": lambda x0, x1: x1**x0,
}
OF_ONE: dict[str, Operation] = {
    "sin": ad.sin,
    "exp": ad.exp,
    "square": ad.square,
    "neg": lambda x: -x,
    "sigmoid": ad.sigmoid,
    "relu": ad.relu,
    "leaky_relu": ad.leaky_relu,
    "log_softmax": lambda x: ad.log_softmax(x, -1) if np.ndim(x.data) else -x,
}
NUMBERS = [3, -2, 0, 2.0, 0.0, -0.0, 0.3, True, 128, 129, 10**6]
SHAPES = [(), (1,), (3, 3), (200,)]  # the last has gradients that are written to in place


def bits(array: Any) -> tuple[Any, ...]:
    assert type(array) is np.ndarray
    return array.shape, array.dtype, array.tobytes()


def data(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    return np.linspace(0.5, 1.5, int(np.prod(shape)), dtype=dtype).reshape(shape)


def found(operation: Operation, *operands: Any) -> list[Any]:
    """Two results of the operation, the second of the first, and the gradients of both leaves."""
    x, *others = [x.copy() if isinstance(x, np.ndarray) else x for x in operands]
    leaf = Variable(x)
    others = [Variable(x) if isinstance(x, np.ndarray) else x for x in others]
    with np.errstate(all="ignore"):
        y = operation(leaf, *others)
        z = operation(y, *others)
        kept = [
            None if array is None else bits(np.asarray(array, x.dtype))
            for v in (y, z)
            for array in v.creator.saved  # type: ignore[union-attr]
        ]
        (z + z * z).backward()
    leaves = [x for x in (leaf, *others) if isinstance(x, Variable)]
    return [bits(z.data), z.generation, kept, *[bits(x.grad) for x in leaves]]


@contextmanager
def counted() -> Iterator[list[str]]:
    """What goes the long way, by name."""
    went: list[str] = []
    results = Function.results

    def noted(self: Function, arrays: Any) -> Any:
        went.append(type(self).__name__)
        return results(self, arrays)

    with patch.object(Function, "results", noted):
        yield went


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("operation", OF_TWO.values(), ids=OF_TWO)
def test_of_two_operands_it_gives_what_the_long_way_gives(
    operation: Operation, shape: tuple[int, ...], dtype: str
) -> None:
    x = data(shape, dtype)
    for other in (np.asarray(x + 1), *NUMBERS):
        straight = found(operation, x, other)
        with using_config("debug", True), counted() as went:
            assert found(operation, x, other) == straight
        assert len(went) >= 4  # debug sends everything there


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("operation", OF_ONE.values(), ids=OF_ONE)
def test_of_one_operand_it_gives_what_the_long_way_gives(
    operation: Operation, shape: tuple[int, ...], dtype: str
) -> None:
    straight = found(operation, data(shape, dtype))
    with using_config("debug", True):
        assert found(operation, data(shape, dtype)) == straight


def differentiated(operation: Operation, *operands: Any) -> list[Any]:
    """The first and second gradients of two operations in a row, the second of the first."""
    leaves = [x for x in operands if isinstance(x, Variable)]
    y = operation(operation(*operands), *operands[1:])
    first = ad.grad(y, leaves, create_graph=True)
    wanted = [gx for gx in first if gx.requires_grad]
    second = ad.grad(wanted, leaves) if wanted else ()
    return [(gx.generation, bits(gx.data)) for gx in first] + [
        None if gx is None else bits(gx) for gx in second
    ]


def assert_noted_rightly(y: Variable) -> None:
    """What its rule reads, as Variables, has no other shape and dtype than are noted of it."""
    gy = Variable(np.ones(y.shape, gradient_dtype(y.dtype)))
    assert form_of(gy) and y.creator
    variables = several(y.creator.as_variables([gy])) if y.creator.saves else ()
    for v in variables:
        assert not isinstance(v, Variable) or v._form in (None, shared_form(v.shape, v.dtype))


@contextmanager
def with_questions() -> Iterator[None]:
    """Rules are differentiated as those of any Function are."""
    with using_config("debug", True), ExitStack() as stack:
        for kind in (Unary, Binary):
            stack.enter_context(patch.object(kind, "as_variables", Function.as_variables))
        yield


@np.errstate(all="ignore")
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("operation", [*OF_TWO.values(), *OF_ONE.values()], ids=[*OF_TWO, *OF_ONE])
def test_rules_are_differentiated_again_as_on_the_long_way(
    operation: Operation, shape: tuple[int, ...], dtype: str
) -> None:
    x = np.asarray(data(shape, dtype) + 1)
    # Of types that leave a float32 one: in NumPy 2.0 its powers are, whatever the exponent is.
    two, three = np.asarray(2.0, gradient_dtype(x.dtype)), np.asarray(3, "i2")
    arrays = x + 1, two, three, np.asarray(0.3, "f4"), np.full(shape, two)
    variables = [Variable(np.asarray(array)) for array in arrays]
    numbers = [n for n in NUMBERS if n >= 0 or dtype != "i8"]  # no whole power of a whole number
    of_two = operation in OF_TWO.values()
    for others in [(x,) for x in (*variables, *arrays, *numbers)] if of_two else [()]:
        again = differentiated(operation, Variable(x), *others)
        assert_noted_rightly(operation(Variable(x), *others))
        with with_questions():
            assert differentiated(operation, Variable(x), *others) == again


def test_operands_alike_and_numbers_go_straight_and_all_else_the_long_way() -> None:
    x, y, row = Variable(np.ones((2, 3))), Variable(np.ones((2, 3))), Variable(np.ones(3))
    fixed = Variable(np.ones((2, 3)), requires_grad=False)
    with counted() as went:
        ad.sin(x * y + x * fixed - 2 * (fixed * y) / 0.5)
        results = fixed * fixed, 2 * fixed, fixed - 0.5, ad.sin(fixed)
    assert went == []
    for constant in results:
        assert (constant.requires_grad, constant.creator, constant.generation) == (False, None, 0)
        assert type(constant.data) is np.ndarray
    for long in (
        lambda: x * row,
        lambda: x * np.ones((2, 3)),
        lambda: x * Variable(np.ones((2, 3), "f4")),
        lambda: x * Variable(np.ones((2, 3), int)),
        lambda: x * Variable(np.ones((2, 3), ">f8")),
        lambda: ad.sin(Variable(np.arange(3))),
    ):
        with counted() as went:
            long()
        assert len(went) == 1


def test_who_wraps_apply_can_have_every_operation_go_through_it() -> None:
    x = Variable(np.ones(2))

    def went() -> list[str]:
        with counted() as names:
            ad.sin(x * x)
        return names

    both = ["Mul", "Sin"]
    with ad.through_apply():
        assert went() == both
        with ad.through_apply(), ad.using_mode("lean"):  # settings made anew
            assert went() == both
        assert went() == both
        with ThreadPoolExecutor() as threads:
            assert threads.submit(went).result() == both
        anew = using_config("train", False)
        anew.__enter__()
    assert went() == []
    anew.__exit__()
    assert went() == []


def test_data_of_another_shape_and_a_change_of_mind_are_noticed() -> None:
    x, y = Variable(np.ones(2)), Variable(np.full(2, 3.0))
    assert (x * y).shape == (2,)
    x.data = np.ones((4, 1))
    product = x * y
    product.backward()
    assert product.shape == (4, 2)
    assert bits(x.grad) == bits(np.full((4, 1), 6.0))
    assert bits(y.grad) == bits(np.full(2, 4.0))
    y.requires_grad = False
    assert (y * 2).creator is None
    y.requires_grad = True
    assert (y * 2).creator is not None


def test_a_result_that_wants_no_gradient_any_more_is_a_constant() -> None:
    x = Variable(np.ones(2))
    y = x * 3
    y.requires_grad = False
    z = x * y
    z.backward()
    assert z.generation == 1
    assert bits(x.grad) == bits(np.full(2, 3.0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whole_numbers_are_shared_and_nobody_can_write_to_them(dtype: str) -> None:
    f, g = [(Variable(np.ones(2, dtype)) * 7).creator for _ in range(2)]
    whole = WHOLE_NUMBERS[WITH_NUMBERS[np.dtype(dtype)]]
    assert f is not None and g is not None
    assert f.saved[1] is g.saved[1] is whole[7]
    with pytest.raises(ValueError, match="read-only"):
        f.saved[1][...] = 8
    assert len(whole) == 256
    assert all(number == array and array.dtype == dtype for number, array in whole.items())
    assert 0 not in whole  # as which -0.0 would be found


def test_a_failing_operation_says_so_in_the_same_words() -> None:
    a, b = Variable(np.ones((2, 3))), Variable(np.ones((2, 3)))
    said = []
    for debug in (False, True):
        with using_config("debug", debug), pytest.raises(ValueError, match="MatMul") as caught:
            ad.matmul(a, b)
        said.append(str(caught.value))
    assert said[0] == said[1]

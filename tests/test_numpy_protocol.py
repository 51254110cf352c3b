"""NumPy's functions on Variables: the engine's operation, a plain value, or a clear TypeError."""

from __future__ import annotations

import contextlib
import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Variable
from autodiff.functions.numpy_protocol import OPERATIONS, PLAIN

pytestmark = pytest.mark.forward

X = np.array([0.5, 1.5])
MATRIX = np.array([[1.0, 2.0], [3.0, 4.0]])


def v(data: Any = X) -> Variable:
    return Variable(np.array(data))


# Operators ----------------------------------------------------------------------------------------

OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.pow,
    operator.matmul,
]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge]
LEFT = [
    np.array([2.0, 3.0]),
    np.array([[2.0, 3.0], [4.0, 5.0]]),
    np.array([2, 3]),
    np.array(2.0),
    np.float64(2),
    np.float32(2),
    np.int64(2),
    np.bool_(True),
    2,
    2.5,
    True,
]


@pytest.mark.parametrize("left", LEFT, ids=lambda x: f"{type(x).__name__}{np.shape(x)}")
@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
def test_every_operator_takes_arrays_and_numbers_on_either_side(op: Any, left: Any) -> None:
    if op is operator.matmul and np.ndim(left) == 0:
        for call in (lambda: left @ v(), lambda: v() @ left):
            with pytest.raises(ValueError, match="MatMul of shapes"):
                call()
        return
    for y, right in ((op(left, v()), op(left, X)), (op(v(), left), op(X, left))):
        assert type(y) is Variable
        assert y.dtype == right.dtype
        np.testing.assert_array_equal(y.data, right)


@pytest.mark.parametrize("left", LEFT, ids=lambda x: f"{type(x).__name__}{np.shape(x)}")
@pytest.mark.parametrize("op", COMPARISONS, ids=lambda op: op.__name__)
def test_comparisons_give_plain_arrays(op: Any, left: Any) -> None:
    other = v(left)
    for y, right in (
        (op(left, v()), op(left, X)),
        (op(v(), left), op(X, left)),
        (op(v(), other), op(X, left)),
    ):
        assert type(y) is np.ndarray
        assert y.dtype == bool
        np.testing.assert_array_equal(y, right)


def test_unary_operators() -> None:
    assert (-v()).data.tolist() == [-0.5, -1.5]
    assert abs(v(-X)).data.tolist() == [0.5, 1.5]
    x = v()
    assert +x is x


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x // 2,
        lambda x: x % 2,
        lambda x: divmod(x, 2),
        lambda x: ~x,
        lambda x: x & 1,
        lambda x: x << 1,
        lambda x: np.ones(2) // x,
        lambda x: np.ones(2) % x,
        lambda x: np.float64(2) // x,
        lambda x: pow(x, 2, 3),
        lambda x: x < None,
        lambda x: x < "a",
        lambda x: round(x),
        lambda x: [1, 2][x],
        lambda x: range(x),
    ],
)
def test_what_is_not_defined_is_a_type_error(call: Callable[[Variable], Any]) -> None:
    with pytest.raises(TypeError):
        call(v(2))


# As a number --------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [0.0, 2.5, [0.0], [2.5], [[1.0]], [], [1.0, 2.0], True, 3])
@pytest.mark.parametrize("convert", [bool, float, int, len, np.ndarray.item])
def test_conversions_are_numpys(convert: Callable[[Any], Any], data: Any) -> None:
    if convert is np.ndarray.item:
        outcomes = [outcome(lambda: v(data).item()), outcome(lambda: np.array(data).item())]
    else:
        outcomes = [outcome(lambda: convert(v(data))), outcome(lambda: convert(np.array(data)))]
    assert outcomes[0] == outcomes[1]


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or the type of what it raises."""
    try:
        return type(value := call()), value
    except Exception as error:
        return type(error)


def test_pythons_sum_and_max_work() -> None:
    assert sum([v(), v()]).data.tolist() == [1, 3]  # type: ignore[union-attr]
    assert max([v(1.0), v(3.0), v(2.0)]).item() == 3
    assert math.exp(v(0.0)) == 1


# NumPy's functions --------------------------------------------------------------------------------


def test_add_reduce_is_a_sum() -> None:
    y = np.add.reduce(v(MATRIX))
    assert type(y) is Variable
    assert y.data.tolist() == [4, 6]
    assert np.add.reduce(v(MATRIX), axis=None).item() == 10
    assert np.add.reduce(v(MATRIX), 1, keepdims=True).data.tolist() == [[3], [7]]


@pytest.mark.parametrize(
    "call",
    [
        np.sign,
        np.floor,
        np.ceil,
        np.isnan,
        np.isfinite,
        np.logical_not,
        np.argmax,
        np.argsort,
        np.count_nonzero,
        np.any,
        np.all,
        np.shape,
        np.ndim,
        np.size,
        np.zeros_like,
        np.ones_like,
        np.result_type,
        lambda x: np.equal(x, 0.5),
        lambda x: np.not_equal(0.5, x),
        lambda x: np.less(x, x),
        lambda x: np.greater_equal(x, 1),
        lambda x: np.allclose(x, X),
        lambda x: np.isclose(X, x, rtol=1e-3),
        lambda x: np.array_equal(x, X),
        lambda x: np.full_like(x, 7),
        lambda x: np.any(x > 1, axis=0, keepdims=True),
    ],
)
def test_functions_without_a_derivative_give_plain_values(call: Callable[[Any], Any]) -> None:
    found, expected = call(v()), call(X)
    assert type(found) is type(expected)
    np.testing.assert_array_equal(found, expected)


def test_every_plain_function_takes_variables() -> None:
    for function in PLAIN:
        count = function.nin if isinstance(function, np.ufunc) else 1
        pairs = {"allclose", "isclose", "array_equal", "full_like"}
        operands = [v() for _ in range(2 if function.__name__ in pairs else count)]
        if function is np.full_like:
            operands[1] = 1.0  # type: ignore[call-overload]
        found = function(*operands)
        assert not isinstance(found, Variable), function
        assert not (isinstance(found, np.ndarray) and found.dtype == object), function


REFUSED = {
    "no such operation": [
        lambda x: np.cumsum(x),
        lambda x: np.sort(x),
        lambda x: np.prod(x),
        lambda x: np.std(x),
        lambda x: np.arctan(x),
        lambda x: np.hypot(x, x),
        lambda x: np.modf(x),
        lambda x: np.vstack([x, x]),
        lambda x: np.hstack([x, x]),
        lambda x: np.append(x, 1.0),
        lambda x: np.ravel(x),
        lambda x: np.copy(x),
        lambda x: np.einsum("i->", x),
        lambda x: np.inner(x, x),
        lambda x: np.linalg.norm(x),
        lambda x: np.fft.fft(x),
        lambda x: np.linspace(0, x, 3),
        lambda x: np.round(x),
        lambda x: np.save("nowhere", x),
        lambda x: np.frompyfunc(lambda a: a, 1, 1)(x),
    ],
    "an output array": [
        lambda x: np.add(x, 1, out=np.zeros(2)),
        lambda x: np.add(x, 1, np.zeros(2)),
        lambda x: np.add(1, 1, out=x),
        lambda x: np.exp(x, out=np.zeros(2)),
        lambda x: np.less(x, 1, out=np.zeros(2, bool)),
        lambda x: np.add.reduce(x, out=np.array(0.0)),
        lambda x: np.sum(x, out=np.array(0.0)),
        lambda x: np.clip(x, 0, 1, out=np.zeros(2)),
        lambda x: np.matmul(x, x, out=np.array(0.0)),
        lambda x: operator.iadd(np.zeros(2), x),
        lambda x: operator.imul(np.zeros(2), x),
        lambda x: operator.ipow(np.ones(2), x),
        lambda x: operator.imatmul(np.ones((2, 2)), v(MATRIX)),
        lambda x: np.copyto(np.zeros(2), x),
    ],
    "a method of a ufunc": [
        lambda x: np.add.accumulate(x),
        lambda x: np.add.at(np.zeros(2), 0, x),
        lambda x: np.add.outer(x, x),
        lambda x: np.add.reduceat(x, [0]),
        lambda x: np.multiply.reduce(x),
        lambda x: np.maximum.reduce(x),
        lambda x: np.logical_and.reduce(x),
    ],
    "another argument": [
        lambda x: np.add(x, 1, dtype=np.float32),
        lambda x: np.exp(x, where=np.array([True, False])),
        lambda x: np.add(x, 1, casting="no"),
        lambda x: np.matmul(x, x, axes=[0, 0, 0]),
        lambda x: np.add.reduce(x, dtype=np.float32),
        lambda x: np.sum(x, dtype=np.float32),
        lambda x: np.sum(x, initial=1),
        lambda x: np.mean(x, where=np.array([True, False])),
        lambda x: np.var(x, mean=1.0),
        lambda x: np.max(x, initial=0),
        lambda x: np.concatenate([x, x], dtype=np.float32),
        lambda x: np.reshape(x, (2, 1), order="F"),
        lambda x: np.broadcast_to(x, (2, 2), subok=True),
        lambda x: np.pad(x, 1, constant_values=3),
        lambda x: np.where(x),
    ],
    "an array of it": [
        lambda x: np.asarray(x),
        lambda x: np.array(x),
        lambda x: np.array(x, dtype=object),
        lambda x: np.asanyarray(x),
        lambda x: np.ascontiguousarray(x),
        lambda x: np.array([x, x]),
        lambda x: np.array([x, x], dtype=object),
        lambda x: np.array([x[0], x[1]]),
        lambda x: np.array((1.0, x[0])),
        lambda x: np.sum([x, x]),
        lambda x: np.exp([x]),
        lambda x: np.full(2, x[0]),
        lambda x: np.allclose([x], 1),
        lambda x: np.zeros(2).__setitem__(slice(None), x),
        lambda x: np.arange(5)[v(1)],
        lambda x: np.ones(2).dot(x),
        lambda x: np.broadcast(x, x),
        lambda x: np.r_[x, 1.0],
        lambda x: np.vectorize(abs)(x),
        lambda x: np.testing.assert_array_equal(x, X),
        lambda x: np.random.default_rng(0).normal(x),
        lambda x: np.frombuffer(x),
    ],
    "numpy.ma": [
        lambda x: np.ma.array(X) + x,
        lambda x: np.ma.getdata(x),
        lambda x: np.ma.sum(x),
    ],
    "an array of objects": [
        lambda x: x + np.array([None, None]),
        lambda x: np.array([None, None]) + x,
        lambda x: Variable(np.array([None])),
        lambda x: ad.concatenate([x, np.array([None])]),
    ],
}


@pytest.mark.parametrize(
    ("why", "number"),
    [(why, i) for why, calls in REFUSED.items() for i in range(len(calls))],
)
def test_everything_else_is_a_type_error_that_says_so(why: str, number: int) -> None:
    says = {
        "no such operation": r"np\.\S.*has no gradient here.*\.data",
        "an output array": r"np\.\S+ (cannot write|has no gradient|on a Variable)",
        "a method of a ufunc": r"np\.\w+\.\w+ does not take Variables|cannot write",
        "another argument": r"np\.\w+ on a Variable: (got an unexpected|missing)",
        "an array of it": r"a Variable is no array.*\.data|bytes-like",
        "numpy.ma": r"a Variable is no array.*\.data",
        "an array of objects": "object.*garbage collector",
    }
    with pytest.raises(TypeError, match=says[why]):
        REFUSED[why][number](v())


def test_an_array_is_left_as_it_was_by_an_operator_that_would_write_to_it() -> None:
    for op in (operator.iadd, operator.isub, operator.imul, operator.itruediv):
        array = np.ones(2)
        with pytest.raises(TypeError, match="write a = a"):
            op(array, v())
        assert array.tolist() == [1, 1]


def test_a_variable_on_the_left_is_replaced_by_the_result() -> None:
    x = before = v()
    x += np.ones(2)
    x *= 2
    assert before.data.tolist() == [0.5, 1.5]
    assert x.data.tolist() == [3, 5]


def public_functions() -> list[str]:
    """NumPy's functions that may be called with anything: no files, no settings, nothing shown."""
    harmless = set(dir(np)) - set(
        "fromfile fromregex genfromtxt info load loadtxt printoptions save savetxt savez "
        "savez_compressed set_printoptions setbufsize seterr seterrcall show_config show_runtime "
        "test".split()
    )
    return sorted(
        name
        for name in harmless
        if not name.startswith("_")
        and callable(getattr(np, name))
        and not isinstance(getattr(np, name), type)
    )


def test_no_function_of_numpy_makes_what_nobody_asked_for() -> None:
    calls: list[Callable[[Any, Any], Any]] = [
        lambda f, of: f(of(X)),
        lambda f, of: f(of(X), of(X)),
        lambda f, of: f(X, of(X)),
        lambda f, of: f([of(X), of(X)]),
        lambda f, of: f(of(np.array(1.0))),
        lambda f, of: f(1.0, of(np.array(1.0))),
    ]
    operations = set()
    for name, call in itertools.product(public_functions(), calls):
        function = getattr(np, name)
        try:
            found = listed(call(function, Variable))
        except Exception:
            continue
        assert not any(isinstance(x, np.ndarray) and x.dtype == object for x in found), name
        if any(isinstance(x, Variable) for x in found):
            operations.add(function)
            with contextlib.suppress(TypeError, ValueError):  # of clip without a bound, say
                expected = listed(call(function, np.array))
                assert [x.data.tolist() for x in found] == [x.tolist() for x in expected], name
    assert len(operations & set(OPERATIONS)) > 20


def listed(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (tuple, list)) else [found]

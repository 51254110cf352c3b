"""Operations on what their table does not draw: known values, types, corners, and misuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from operations import total

import autodiff as ad
from autodiff import Function, Variable, grad, gradient_check, using_mode
from autodiff.functions import products


def of(*values: Any, dtype: Any = float, **options: Any) -> Variable:
    return Variable(np.array(values[0] if len(values) == 1 else values, dtype), **options)


TWICE = [
    ad.add,
    ad.sub,
    ad.mul,
    ad.div,
    ad.pow,
    ad.maximum,
    ad.matmul,
    ad.dot,
    ad.tensordot,
    ad.linear,
    lambda x0, x1: ad.correlate(ad.reshape(x0, (1, 1, 2, 2)), ad.reshape(x1, (1, 1, 2, 2))),
    ad.mean_squared_error,
    lambda x0, x1: ad.where(np.eye(2, dtype=bool), x0, x1),
    lambda x0, x1: ad.concatenate([x0, x1]),
    lambda x0, x1: ad.stack([x0, x1], axis=1),
]


@pytest.mark.parametrize("operation", TWICE)
def test_one_variable_as_both_operands(operation: Callable[..., Variable]) -> None:
    x = np.array([[0.5, 1.5], [0.8, 1.2]])
    bias = [np.zeros(2)] if operation is ad.linear else []
    found = gradient_check(lambda x: operation(x, x, *bias), x, order=2)
    assert found, str(found)


WITH_NUMBERS = [
    lambda x: x + 2,
    lambda x: 2.5 + x,
    lambda x: x - 2,
    lambda x: 2.5 - x,
    lambda x: x * 2,
    lambda x: 2.5 * x,
    lambda x: x / 2,
    lambda x: 2.5 / x,
    lambda x: x**2,
    lambda x: x**0.5,
    lambda x: 2.5**x,
    lambda x: x**True,
    lambda x: ad.maximum(x, 1),
    lambda x: ad.minimum(1.0, x),
    lambda x: ad.clip(x, 1, 2.5),
    lambda x: ad.where(np.array([True, False]), x, 0.5),
    lambda x: ad.leaky_relu(x - 1, 0.1),
    lambda x: ad.linear(x.reshape(1, 2), np.ones((2, 2), x.dtype), 0.5),
    lambda x: x.mean() * 3 + x.var(),
]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g"])
@pytest.mark.parametrize("number", range(len(WITH_NUMBERS)))
def test_numbers_leave_the_dtype_of_floats(number: int, dtype: str) -> None:
    x = of(0.5, 2.0, dtype=dtype)
    y = WITH_NUMBERS[number](x)
    assert y.dtype == x.dtype
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == x.dtype
    assert gradient_check(WITH_NUMBERS[number], np.array([0.5, 2.0]), order=2)


@pytest.mark.forward
def test_numpys_numbers_are_arrays_of_their_dtype() -> None:
    assert (of(1.0, dtype="f4") * np.float64(2)).dtype == np.float64
    assert (np.float64(2) * of(1.0, dtype="f4")).dtype == np.float64
    assert (np.float32(2) * of(1.0, dtype="f4")).dtype == np.float32


@pytest.mark.parametrize(
    ("operation", "at", "gradient"),
    [
        (lambda x: x**0, 0, 0),
        (lambda x: x ** np.array(0.0), 0, 0),
        (lambda x: x**1, 0, 1),
        (lambda x: x**2, 0, 0),
        (lambda x: 0.0**x, 2, 0),
        (ad.abs, 0, 0),
        (ad.relu, 0, 0),
        (lambda x: ad.leaky_relu(x, 0.2), 0, 0.2),
        (lambda x: ad.maximum(x, 1), 1, 0.5),
        (lambda x: ad.maximum(1, x), 1, 0.5),
        (lambda x: ad.minimum(x, 1), 1, 0.5),
        (lambda x: ad.maximum(x, x), 1, 1),
        (lambda x: ad.clip(x, 0, 1), 1, 1),
        (ad.max, [3, 1, 3, 3], [1 / 3, 0, 1 / 3, 1 / 3]),
        (ad.min, [[1, 2], [1, 1]], [[1 / 3, 0], [1 / 3, 1 / 3]]),
        (lambda x: ad.max(x, axis=1), [[2, 2], [0, 1]], [[0.5, 0.5], [0, 1]]),
    ],
)
def test_gradients_at_kinks_and_ties(operation: Any, at: Any, gradient: Any) -> None:
    x = of(at)
    operation(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == gradient


def test_powers_of_integers_that_no_integer_would_be_the_gradient_of() -> None:
    x, exponent = of(2, 0, 3, dtype=int), of(0, 0, 1, dtype=int)
    (x**exponent).backward()
    assert x.grad is not None
    assert exponent.grad is not None
    assert x.grad.tolist() == [0, 0, 1]
    assert exponent.grad.tolist() == [np.log(2), 0, 3 * np.log(3)]
    with pytest.raises(ValueError, match="negative"):
        x**-1
    assert (1 / of(2, dtype=int)).item() == 0.5


@pytest.mark.parametrize("dtype", ["i1", "u1", "u8", "?"])
def test_losses_of_integers_do_not_overflow(dtype: str) -> None:
    low, high = (0, 1) if dtype == "?" else (3, 120)
    x = of([[low, high]], dtype=dtype)
    same = of([[low, high]])
    t = np.array([0])
    pairs = [
        (ad.softmax(x), ad.softmax(same)),
        (ad.log_softmax(x), ad.log_softmax(same)),
        (ad.softmax_cross_entropy(x, t), ad.softmax_cross_entropy(same, t)),
        (
            ad.mean_squared_error(x, np.array([[high, low]], dtype)),
            ad.mean_squared_error(same, np.array([[high, low]])),
        ),
    ]
    for y, right in pairs:
        assert y.data == pytest.approx(right.data)
        (found,), (expected,) = grad(total([y]), x), grad(total([right]), same)
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("operation", [ad.softmax, ad.log_softmax, ad.logsumexp, ad.sigmoid])
def test_large_scores_do_not_overflow(operation: Callable[..., Variable]) -> None:
    x = of(1000.0, -1000.0, 999.0)
    y = operation(x)
    y.sum().backward()
    assert np.isfinite(y.data).all()
    assert np.isfinite(x.grad).all()


@pytest.mark.forward
def test_logsumexp_of_nothing_is_minus_infinity() -> None:
    assert ad.logsumexp(np.zeros((2, 0)), axis=1).data.tolist() == [-np.inf, -np.inf]


def test_a_mean_squared_error_of_nothing_has_gradients_of_nothing() -> None:
    x = Variable(np.zeros((0, 3)))
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning, match="empty slice"):
        y = ad.mean_squared_error(x, np.zeros((0, 3)))
    y.backward()
    assert x.grad is not None
    assert x.grad.shape == (0, 3)


def test_a_cross_entropy_of_nothing_has_gradients_of_nothing() -> None:
    x = Variable(np.zeros((0, 3)))
    with np.errstate(invalid="ignore"):
        y = ad.softmax_cross_entropy(x, np.zeros(0, int))
    assert np.isnan(y.data)
    y.backward()
    assert x.grad is not None
    assert x.grad.shape == (0, 3)


def test_a_cross_entropy_of_halves_is_no_larger_for_more_rows() -> None:
    """The sum of the losses is more than a half can hold."""
    x = Variable(np.zeros((40_000, 8), "f2"))
    y = ad.softmax_cross_entropy(x, np.zeros(40_000, int))
    y.backward()
    assert y.dtype == np.float16
    assert float(y) == pytest.approx(np.log(8), rel=1e-3)
    assert x.grad is not None
    assert x.grad.dtype == np.float16


@pytest.mark.parametrize("negative", [-1, -4])
def test_a_class_is_not_counted_from_the_end(negative: int) -> None:
    with pytest.raises(ValueError, match=f"t holds {negative} to 0, and the classes are 0 to 2"):
        ad.softmax_cross_entropy(Variable(np.zeros((2, 3))), np.array([0, negative]))


def test_astype_gives_gradients_in_the_dtype_of_its_input() -> None:
    x = of(1.5, 2.5, dtype="f4")
    (x.astype(float) * 3).sum().backward()
    assert x.grad is not None
    assert (x.grad.dtype, x.grad.tolist()) == (np.float32, [3, 3])
    x.cleargrad()
    (x.astype("f2") * 3).sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (np.float32, [3, 3])
    x.cleargrad()
    (x.astype(int) * 3).sum().backward()
    assert x.grad is None


@pytest.mark.parametrize(
    ("bias", "dtype", "noted"),
    [((2,), "float32", False), ((1,), "float32", True), ((2,), "float64", True)],
)
def test_shapes_are_noted_only_where_gradients_do_not_come_out_in_them(
    bias: tuple[int, ...], dtype: str, noted: bool
) -> None:
    W, b = Variable(np.ones((3, 2), "float32")), Variable(np.ones(bias, dtype))
    with using_mode("lean"):
        y = ad.linear(np.ones((4, 3), "float32"), W, b)
        assert y.creator is not None
        assert (y.creator._more is not None) is noted
        y.backward()
        product = ad.matmul(Variable(np.ones((4, 3), "float32")), Variable(W.data.astype(dtype)))
        assert product.creator is not None
        assert (product.creator._more is not None) is (dtype == "float64")
    assert b.grad is not None
    assert (b.grad.shape, b.grad.dtype) == (bias, dtype)


def test_linear_without_a_bias_is_matmul() -> None:
    y = ad.linear(of([[1, 2]]), of([[3], [4]]))
    assert type(y.creator) is products.MatMul
    assert y.data.tolist() == [[11]]


def test_an_index_may_be_a_variable_and_chooses_an_element_more_than_once() -> None:
    x, index = of(1, 2, 3), of(2, 0, 2, dtype=int)
    y = x[index]
    assert y.data.tolist() == [3, 1, 3]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 0, 2]
    assert index.grad is None


@pytest.mark.forward
def test_variables_unpack_and_end() -> None:
    a, b = of([[1, 2], [3, 4]])
    assert (a.data.tolist(), b.data.tolist()) == ([1, 2], [3, 4])
    assert [float(x) for x in reversed(of(1, 2))] == [2, 1]


ONE_NUMBER = [
    ad.abs,
    ad.exp,
    ad.relu,
    ad.sigmoid,
    ad.softmax,
    ad.sum,
    ad.var,
    ad.logsumexp,
    ad.squeeze,
    ad.transpose,
    lambda x: ad.astype(x, "f4"),
    lambda x: ad.broadcast_to(x, (2,)),
    lambda x: ad.expand_dims(x, 0),
    lambda x: ad.getitem(x, ...),
    lambda x: ad.mean_squared_error(of(1.0), x),
    lambda x: ad.pad(x, 1),
    lambda x: ad.reshape(x, (1,)),
    lambda x: ad.sum_to(x, ()),
]


@pytest.mark.forward
@pytest.mark.parametrize("operation", ONE_NUMBER)
def test_a_number_is_an_operand_like_any_other(operation: Callable[..., Variable]) -> None:
    with np.errstate(all="ignore"):
        assert operation(2).data.tolist() == operation(np.array(2)).data.tolist()
        assert operation(0.5).data.tolist() == operation(of(0.5)).data.tolist()


@pytest.mark.parametrize("operation", [ad.exp, lambda x: x * 2.0, lambda x: ad.max(x, axis=0)])
def test_operations_on_what_wants_no_gradient_record_nothing(operation: Any) -> None:
    for constant in (np.ones(3), of(1, 2, 3, requires_grad=False)):
        y = operation(constant) if operation is ad.exp else operation(ad.add(constant, 0))
        assert y.creator is None
        assert not y.requires_grad


METHODS: list[Callable[[Any], Any]] = [
    lambda x: x.T,
    lambda x: x.transpose(),
    lambda x: x.transpose(None),
    lambda x: x.transpose(1, 2, 0),
    lambda x: x.transpose((1, 2, 0)),
    lambda x: x.transpose([-1, 0, 1]),
    lambda x: x[0, 0].transpose(0),
    lambda x: x[0, 0, 0].transpose(()),
    lambda x: x.reshape(4, 3),
    lambda x: x.reshape((4, 3)),
    lambda x: x.reshape(-1),
    lambda x: x[0, 0, 0].reshape(()),
    lambda x: x.swapaxes(0, -1),
    lambda x: x[:1].squeeze(),
    lambda x: x[:1].squeeze(0),
    lambda x: x.astype("f4"),
    lambda x: x[0].dot(x[1].T),
    lambda x: x.clip(1, 7),
    lambda x: x.clip(None, 7),
    lambda x: x.sum(),
    lambda x: x.sum(1),
    lambda x: x.mean(axis=(0, -1), keepdims=True),
    lambda x: x.max(axis=0),
    lambda x: x.min(),
    lambda x: x.var(axis=1, ddof=1),
]


@pytest.mark.forward
@pytest.mark.parametrize("number", range(len(METHODS)))
def test_methods_are_those_of_arrays(number: int) -> None:
    x = np.arange(12.0).reshape(2, 2, 3) ** 1.5
    y, expected = METHODS[number](Variable(x)), METHODS[number](x)
    assert type(y) is Variable
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(y.data, expected, rtol=1e-15)


# Misuse -------------------------------------------------------------------------------------------

V23, V2, V3 = of([[1, 2, 3], [4, 5, 6]]), of(1, 2), of(1, 2, 3)
SCORES = of([[1, 2, 3]])

MISUSES = [
    (lambda: V2 + V3, ValueError, r"Add of shapes \(2,\) and \(3,\)"),
    (lambda: V23 * V2, ValueError, r"Mul of shapes \(2, 3\) and \(2,\)"),
    (lambda: np.ones(2) - V3, ValueError, r"Sub of shapes \(2,\) and \(3,\)"),
    (lambda: np.maximum(V2, V3), ValueError, r"Maximum of shapes \(2,\) and \(3,\)"),
    (lambda: ad.where(V2 > 1, V2, V3), ValueError, r"\(2,\) and \(2,\) and \(3,\)"),
    (lambda: V2 @ V3, ValueError, r"MatMul of shapes \(2,\) and \(3,\)"),
    (lambda: V2 @ 2, ValueError, r"MatMul of shapes \(2,\) and \(\)"),
    (lambda: ad.dot(V2, V3), ValueError, r"\(2,\) and \(3,\)"),
    (lambda: ad.tensordot(V2, V2), ValueError, r"axis -2 is out of bounds"),
    (lambda: ad.linear(V23, V23), ValueError, r"\(2, 3\) and \(2, 3\)"),
    (lambda: ad.linear(V3, np.ones((3, 2)), V3), ValueError, r"\(3,\) and \(3, 2\) and \(3,\)"),
    (lambda: ad.linear(V3, np.ones((3, 2)), V23), ValueError, r"Linear of shapes"),
    (lambda: ad.linear(V3, np.ones((3, 2)), np.ones((5, 2))), ValueError, r"b is \(m,\)"),
    (lambda: ad.linear(V23, np.ones((2, 3, 2)), np.ones(2)), ValueError, r"W is \(n, m\)"),
    (lambda: V23.reshape(4), ValueError, r"Reshape of shapes \(2, 3\)"),
    (lambda: V23.transpose(0), ValueError, "Transpose"),
    (lambda: V23.squeeze(0), ValueError, "Squeeze"),
    (lambda: V23.swapaxes(0, 2), ValueError, "axis 2 is out of bounds"),
    (lambda: V23.sum(axis=2), ValueError, "axis 2 is out of bounds"),
    (lambda: V23[2], IndexError, "index 2 is out of bounds"),
    (lambda: V23["a"], IndexError, "valid indices"),
    (lambda: V23[0.5], IndexError, "valid indices"),
    (lambda: V3[of(0.5)], IndexError, "integer"),
    (lambda: ad.broadcast_to(V2, (3,)), ValueError, "BroadcastTo"),
    (lambda: ad.sum_to(V2, (3,)), ValueError, r"\(2,\) cannot be summed to \(3,\)"),
    (lambda: ad.concatenate([V23, V2]), ValueError, r"\(2, 3\) and \(2,\)"),
    (lambda: ad.concatenate([]), ValueError, "at least one"),
    (lambda: ad.stack([V2, V3]), ValueError, r"\(2,\) and \(3,\)"),
    (lambda: ad.split(V3, 2), ValueError, r"Split of shapes \(3,\)"),
    (lambda: ad.pad(V3, 1, mode="edge"), ValueError, "'edge'.*'constant'"),
    (lambda: ad.pad(V3, -1), ValueError, "negative"),
    (lambda: ad.max(np.ones(0)), ValueError, r"Max of shapes \(0,\)"),
    (lambda: ad.mean_squared_error(V3.reshape(3, 1), V3), ValueError, r"\(3, 1\) and \(3,\).*one"),
    (lambda: ad.mean_squared_error(V3, 1.0), ValueError, r"\(3,\) and \(\)"),
    (lambda: ad.softmax_cross_entropy(V3, np.array([0])), ValueError, r"\(n, classes\)"),
    (lambda: ad.softmax_cross_entropy(SCORES, np.array([[0]])), ValueError, r"t is \(n,\)"),
    (lambda: ad.softmax_cross_entropy(SCORES, 0), ValueError, r"t is \(n,\)"),
    (lambda: ad.softmax_cross_entropy(SCORES, np.array([3])), ValueError, "3.*0 to 2"),
    (lambda: ad.softmax_cross_entropy(SCORES, np.array([-1])), ValueError, "-1.*0 to 2"),
    (lambda: ad.softmax_cross_entropy(SCORES, np.array([1.0])), ValueError, "float64"),
    (lambda: ad.add(V2, [1, 2]), TypeError, "Add takes Variables, numbers or an ndarray, not list"),
    (lambda: [1, 2] * V2, TypeError, "Mul takes.*not list"),
    (lambda: V2 + None, TypeError, "not NoneType"),
    (lambda: V2 + "a", TypeError, "Add takes"),
    (lambda: V2 * 1j, TypeError, "complex128"),
    (lambda: ad.exp([1.0]), TypeError, "Exp takes.*not list"),
    (lambda: ad.where([True, False], V2, V2), TypeError, "Where takes.*not list"),
    (lambda: ad.softmax_cross_entropy(SCORES, [0]), TypeError, "not list"),
    (lambda: ad.softmax_cross_entropy([[1.0, 2.0]], np.array([0])), TypeError, "x is.*not list"),
    (lambda: V2 + np.array([1, None]), TypeError, "object.*garbage collector"),
    (lambda: V2.astype(complex), TypeError, "complex128"),
    (lambda: V2 + Variable(None), ValueError, "Add.*without data"),
]


@pytest.mark.forward
@pytest.mark.parametrize("number", range(len(MISUSES)))
def test_misuse_says_what_was_wrong(number: int) -> None:
    call, error, message = MISUSES[number]
    with pytest.raises(error, match=message):
        call()


def test_a_rule_that_raises_on_variables_leaves_arrays_to_the_next() -> None:
    class Picky(Function):
        saves = (0,)

        def forward(self, x: Any) -> Any:
            return x * 2

        def backward(self, gy: Any) -> Any:
            (x,) = self.saved
            if isinstance(x, Variable):
                raise ArithmeticError("on purpose")
            return gy * 2

    x = of(1, 2)
    with pytest.raises(ArithmeticError):
        Picky()(x).backward(create_graph=True)
    y = Picky()(x)
    assert y.creator is not None
    assert type(y.creator.saved[0]) is np.ndarray
    y.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2]


def test_an_input_that_was_not_kept_is_no_operand() -> None:
    with using_mode("lean"):
        creator = ad.exp(of(1)).creator
    assert creator is not None
    with pytest.raises(RuntimeError, match=r"not kept.*kept='inputs'"):
        creator.inputs[0] * 2

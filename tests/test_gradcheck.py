"""Finite differences, and the check that compares gradients with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Config, Function, Variable, gradient_check, no_grad, numerical_diff


class Cube(Function):
    """Right to every order."""

    saves = (0,)

    def forward(self, x: Any) -> Any:
        return x**3

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy * 3 * x**2


class WrongCube(Cube):
    """Wrong to first order."""

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy * 2 * x**2


class FlatCube(Cube):
    """Right to first order; to second it forgets that its gradient depends on x."""

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        slope = x.data if isinstance(x, Variable) else x
        return gy * (3 * slope**2)


X = np.array([[0.5, -1.5, 2.0], [1.0, 0.25, -0.75]])


@pytest.fixture(params=[np.float64, np.float32])
def x(request: pytest.FixtureRequest) -> Variable:
    return Variable(X.astype(request.param))


# numerical_diff -----------------------------------------------------------------------------------


@pytest.mark.forward
def test_numerical_diff_is_the_derivative_at_every_element(x: Variable) -> None:
    found = numerical_diff(ad.square, x)
    assert type(found) is np.ndarray
    assert (found.shape, found.dtype) == (x.shape, np.float64)
    np.testing.assert_allclose(found, 2 * X, rtol=1e-7)


@pytest.mark.forward
def test_numerical_diff_takes_a_step() -> None:
    x = Variable(np.array(2.0))
    # of x ** 3 the central difference is off by eps ** 2, exactly
    assert numerical_diff(lambda x: x * x * x, x, eps=0.5) == pytest.approx(12 + 0.5**2)
    assert numerical_diff(lambda x: x * x * x, x) == pytest.approx(12 + 1e-8, abs=1e-9)


@pytest.mark.forward
def test_numerical_diff_of_several_results_is_that_of_their_sum() -> None:
    x = Variable(np.array([1.0, 2.0]))
    found = numerical_diff(lambda x: ad.matmul(np.array([[1.0, 2.0], [3.0, 4.0]]), x), x)
    np.testing.assert_allclose(found, [4, 6])


@pytest.mark.forward
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0), (1, 1, 2)])
def test_numerical_diff_of_any_shape(shape: tuple[int, ...]) -> None:
    x = Variable(np.full(shape, 3.0))
    np.testing.assert_allclose(numerical_diff(ad.square, x), np.full(shape, 6.0))


@pytest.mark.forward
def test_numerical_diff_leaves_its_argument_as_it_is_and_records_nothing() -> None:
    x = Variable(np.array([1.0, 2.0]))
    data = x.data
    seen = []

    def f(x: Variable) -> Variable:
        y = ad.square(x)
        seen.append(y.creator)
        return y

    numerical_diff(f, x)
    assert x.data is data
    assert data.tolist() == [1, 2]
    assert x.grad is None
    assert seen == [None] * 4


# gradient_check -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_right_rule_is_right(order: int, x: Variable) -> None:
    tolerance = {"rtol": 1e-3, "atol": 1e-3} if x.dtype == np.float32 else {}
    found = gradient_check(lambda x: Cube()(x), x, order=order, **tolerance)
    assert found
    assert str(found) == repr(found) == "gradients and finite differences agree"


@pytest.mark.parametrize("order", [1, 2])
def test_a_rule_that_is_wrong_to_first_order_is_found(order: int) -> None:
    found = gradient_check(lambda x: WrongCube()(x), X, order=order)
    assert not found
    assert (found.order, found.input) == (1, 0)
    np.testing.assert_allclose(found.gradient / found.difference, np.full(X.shape, 2 / 3))


def test_a_rule_that_is_wrong_to_second_order_only_is_found() -> None:
    assert gradient_check(lambda x: FlatCube()(x), X, order=1)
    found = gradient_check(lambda x: FlatCube()(x), X, order=2)
    assert not found
    assert (found.order, found.input) == (2, 0)
    assert not found.gradient.any()
    assert found.difference.all()


def test_what_it_says_of_a_wrong_rule_can_be_read() -> None:
    text = str(gradient_check(lambda x: WrongCube()(x), np.array([1.0, 2.0])))
    assert text.startswith("order 1, input 0: the gradient is\n[")
    assert "\nand finite differences give\n[" in text


def test_the_input_that_is_wrong_is_named() -> None:
    class Product(Function):
        """Its second gradient is the first."""

        saves = (1,)

        def forward(self, x0: Any, x1: Any) -> Any:
            return x0 * x1

        def backward(self, gy: Any) -> Any:
            (x1,) = self.saved
            return gy * x1, gy * x1

    found = gradient_check(lambda x0, x1: Product()(x0, x1), np.array(2.0), np.array(3.0))
    assert (bool(found), found.input) == (False, 1)


def test_results_are_weighted_so_that_none_is_taken_for_another() -> None:
    class Reversed(Function):
        """A permutation whose rule forgets to undo it: invisible where every gradient is one."""

        saves = ()

        def forward(self, x: Any) -> Any:
            return x[::-1].copy()

        def backward(self, gy: Any) -> Any:
            return gy

    assert not gradient_check(lambda x: Reversed()(x), np.array([1.0, 2.0, 3.0]))


def test_a_gradient_that_is_missing_is_found() -> None:
    found = gradient_check(lambda x: ad.square(x.detach()) + x, np.array([2.0]))
    assert not found
    found = gradient_check(lambda x: ad.square(x.detach()), np.array([2.0]))
    assert not found
    assert found.gradient.tolist() == [0]


def test_a_function_that_does_not_depend_on_an_input_is_right() -> None:
    assert gradient_check(lambda x0, x1: ad.square(x0), X, X, order=2)
    assert gradient_check(lambda x: Variable(np.array(1.0)), X, order=2)
    assert gradient_check(lambda x: x * 2, X, order=2)


def test_not_a_number_is_wrong() -> None:
    class Nan(Cube):
        def backward(self, gy: Any) -> Any:
            return gy * np.nan

    assert not gradient_check(lambda x: Nan()(x), X)


def test_integers_are_given_and_not_differentiated() -> None:
    t = np.array([1, 0])
    assert gradient_check(ad.softmax_cross_entropy, X[:, :2], t, order=2)
    assert gradient_check(ad.where, np.array([True, False, True]), X, X + 5, order=2)


def test_a_check_may_be_repeated_and_changes_nothing() -> None:
    x, w = Variable(X.copy()), Variable(X.copy() + 3)
    ad.square(x).backward()
    grad = x.grad
    data, before = x.data, X.copy()
    setting = repr(Config)
    for _ in range(3):
        assert gradient_check(lambda x, w: Cube()(x) * w, x, w, order=2)
    assert x.data is data
    assert x.grad is grad
    assert w.grad is None
    assert x.creator is None
    assert np.array_equal(x.data, before)
    assert np.array_equal(w.data, before + 3)
    assert repr(Config) == setting


def test_a_function_that_writes_to_its_arguments_harms_nobody() -> None:
    def f(x: Variable, w: Variable) -> Variable:
        y = ad.square(x) * w
        w.data[...] = 0
        return y

    x, w = X.copy(), X.copy() + 3
    gradient_check(f, x, w, order=2)
    assert np.array_equal(x, X)
    assert np.array_equal(w, X + 3)


@pytest.mark.parametrize("calls", range(12))
def test_an_exception_leaves_inputs_and_settings_as_they_were(calls: int) -> None:
    left = calls

    def f(x: Variable, w: Variable) -> Variable:
        nonlocal left
        left -= 1
        if left < 0:
            raise ArithmeticError("on purpose")
        return ad.square(x) * w

    x, w = np.array([1.0, 2.0]), Variable(np.array(3.0))
    setting = repr(Config)
    with pytest.raises(ArithmeticError, match="on purpose"):
        gradient_check(f, x, w, order=2)
    assert x.tolist() == [1, 2]
    assert w.data.tolist() == 3
    assert w.grad is None
    assert repr(Config) == setting


@pytest.mark.forward
def test_it_works_where_no_graph_is_recorded() -> None:
    with no_grad():
        assert gradient_check(lambda x: Cube()(x), X, order=2)
        assert not gradient_check(lambda x: WrongCube()(x), X)
        assert not Config.enable_backprop


def test_a_rule_as_in_the_slides_is_checked_to_first_order_only() -> None:
    class Slide(Function):
        def forward(self, x: Any) -> Any:
            return x**2

        def backward(self, gy: Any) -> Any:
            return gy * 2 * self.inputs[0].data

    assert gradient_check(lambda x: Slide()(x), X)
    with pytest.raises(RuntimeError, match=r"Slide.*saves"):
        gradient_check(lambda x: Slide()(x), X, order=2)


@pytest.mark.forward
@pytest.mark.parametrize("order", [0, -1, 1.5, None, "2"])
def test_an_order_that_there_is_not_is_an_error(order: Any) -> None:
    with pytest.raises(ValueError, match="allowed are 1, 2, 3"):
        gradient_check(ad.exp, X, order=order)


def test_tolerances_are_those_of_allclose() -> None:
    class Nearly(Cube):
        def backward(self, gy: Any) -> Any:
            (x,) = self.saved
            return gy * 3 * x**2 * 1.01

    assert not gradient_check(lambda x: Nearly()(x), X)
    assert gradient_check(lambda x: Nearly()(x), X, rtol=0.02)
    assert gradient_check(lambda x: Nearly()(x), X, rtol=0, atol=1)
    assert gradient_check(lambda x: Cube()(x), X, eps=1e-3)

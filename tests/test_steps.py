"""The 24 steps of the slides, one test for each, in the slides' words.

Functions are written here as there: no `saves`, and `self.inputs[0].data` in the rule.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff
from autodiff import (
    Config,
    Function,
    Variable,
    add,
    as_array,
    as_variable,
    exp,
    mul,
    no_grad,
    numerical_diff,
    square,
    using_config,
    using_mode,
)


class Square(Function):
    def forward(self, x: Any) -> Any:
        return x**2

    def backward(self, gy: Any) -> Any:
        x = self.inputs[0].data
        gx = 2 * x * gy
        return gx


class Exp(Function):
    def forward(self, x: Any) -> Any:
        return np.exp(x)

    def backward(self, gy: Any) -> Any:
        x = self.inputs[0].data
        gx = np.exp(x) * gy
        return gx


class Add(Function):
    def forward(self, x0: Any, x1: Any) -> Any:
        y = x0 + x1
        return y

    def backward(self, gy: Any) -> Any:
        return gy, gy


# square(exp(square(x))) at 0.5, and its derivative there
VALUE, SLOPE = 1.648721270700128, 3.297442541400256


# Part 1: differentiate automatically --------------------------------------------------------------


@pytest.mark.forward
def test_step01_a_variable_is_a_box() -> None:
    data = np.array(1.0)
    x = Variable(data)
    assert x.data is data
    x.data = np.array(2.0)
    assert x.data == 2.0


@pytest.mark.forward
def test_step02_a_function_makes_a_variable_of_a_variable() -> None:
    x = Variable(np.array(10))
    f = Square()
    y = f(x)
    assert type(y) is Variable
    assert y.data == 100
    with pytest.raises(NotImplementedError):
        Function()(x)


@pytest.mark.forward
def test_step03_functions_are_chained() -> None:
    A = Square()
    B = Exp()
    C = Square()
    x = Variable(np.array(0.5))
    a = A(x)
    b = B(a)
    y = C(b)
    assert y.data == pytest.approx(VALUE)


@pytest.mark.forward
def test_step04_numerical_differentiation_by_central_differences() -> None:
    def f(x: Variable) -> Variable:
        A = Square()
        B = Exp()
        C = Square()
        return C(B(A(x)))

    # a Function is one application, so each call makes its own
    dy = numerical_diff(lambda x: Square()(x), Variable(np.array(2.0)), eps=1e-4)
    assert dy == pytest.approx(4.0)
    x = Variable(np.array(0.5))
    dy = numerical_diff(f, x)
    assert dy == pytest.approx(SLOPE, abs=1e-6)
    assert dy != SLOPE  # it has an error


def test_step05_derivatives_multiply_from_the_output_back() -> None:
    x = 0.5
    a = x**2
    b = np.exp(a)
    dy_db = 2 * b
    dy_da = dy_db * np.exp(a)
    dy_dx = dy_da * 2 * x
    assert dy_dx == pytest.approx(SLOPE)


def test_step06_backpropagation_by_hand() -> None:
    A = Square()
    B = Exp()
    C = Square()
    x = Variable(np.array(0.5))
    a = A(x)
    b = B(a)
    y = C(b)

    y.grad = np.array(1.0)
    b.grad = C.backward(y.grad)
    a.grad = B.backward(b.grad)
    x.grad = A.backward(a.grad)
    assert x.grad == pytest.approx(SLOPE)


def test_step07_backpropagation_by_itself() -> None:
    A = Square()
    B = Exp()
    C = Square()
    x = Variable(np.array(0.5))
    a = A(x)
    b = B(a)
    y = C(b)

    # the graph, followed backwards
    assert y.creator is C
    assert C.inputs[0].data is b.data
    assert C.inputs[0].creator is B
    assert B.inputs[0].creator is A
    assert A.inputs[0].creator is None

    y.backward()
    assert x.grad == pytest.approx(SLOPE)

    # who a Variable's creator is can be said
    f = Square()
    z = f(x)
    other = Variable(z.data)
    other.set_creator(f)
    assert other.creator is f
    x.cleargrad()
    other.backward()
    assert x.grad == 1.0


def test_step08_a_loop_and_no_recursion() -> None:
    x = y = Variable(np.array(1.0))
    for _ in range(10 * sys.getrecursionlimit()):
        y = Add()(y, np.array(1.0))
    y.backward()
    assert x.grad == 1.0


def test_step09_functions_made_handy() -> None:
    x = Variable(np.array(0.5))
    y = square(exp(square(x)))
    y.backward()  # y.grad is np.ones_like(y.data) without being asked for
    assert x.grad == pytest.approx(SLOPE)

    narrow = Variable(np.array([0.5, 1.0], dtype=np.float32))
    square(narrow).backward()
    assert narrow.grad is not None
    assert narrow.grad.dtype == np.float32

    Variable(np.array(1.0))
    Variable(None)
    with pytest.raises(TypeError, match="float"):
        Variable(1.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="list"):
        Variable([1.0])  # type: ignore[arg-type]

    # data of no dimensions stays an array, though NumPy makes numbers of it
    x = Variable(np.array(2.0))
    assert type(x.data**2) is np.float64
    assert type(square(x).data) is np.ndarray
    assert type(as_array(np.float64(2.0))) is np.ndarray
    assert type(as_array(2)) is np.ndarray


class TestStep10:
    """Square is tested, at last by a gradient check."""

    @pytest.mark.forward
    def test_step10_forward(self) -> None:
        x = Variable(np.array(2.0))
        y = square(x)
        assert y.data == np.array(4.0)

    def test_step10_backward(self) -> None:
        x = Variable(np.array(3.0))
        y = square(x)
        y.backward()
        assert x.grad == np.array(6.0)

    def test_step10_gradient_check(self, rng: np.random.Generator) -> None:
        for function in (square, Square()):
            x = Variable(rng.random(1))
            y = function(x)
            y.backward()
            num_grad = numerical_diff(square, x)
            assert x.grad is not None
            assert np.allclose(x.grad, num_grad)
        assert autodiff.gradient_check(square, rng.random(1))


# Part 2: natural code -----------------------------------------------------------------------------


@pytest.mark.forward
def test_step11_several_inputs() -> None:
    x0 = Variable(np.array(2))
    x1 = Variable(np.array(3))
    f = Add()
    y = f(x0, x1)
    assert y.data == 5


@pytest.mark.forward
def test_step12_several_outputs() -> None:
    class Twins(Function):
        def forward(self, x: Any) -> Any:
            return x + 1, x - 1

    xs = [Variable(np.array(2)), Variable(np.array(3))]
    assert add(*xs).data == 5
    above, below = Twins()(xs[0])
    assert (above.data, below.data) == (3, 1)


def test_step13_backward_to_several_inputs() -> None:
    x = Variable(np.array(2.0))
    y = Variable(np.array(3.0))
    z = add(square(x), square(y))
    z.backward()
    assert z.data == 13.0
    assert x.grad == 4.0
    assert y.grad == 6.0

    a, b = Variable(np.array(2.0)), Variable(np.array(3.0))
    Add()(Square()(a), Square()(b)).backward()
    assert (a.grad, b.grad) == (4.0, 6.0)


def test_step14_the_same_variable_again() -> None:
    x = Variable(np.array(3.0))
    y = add(x, x)
    y.backward()
    assert x.grad == 2.0

    x.cleargrad()  # before it takes part in another computation
    assert x.grad is None
    y = add(add(x, x), x)
    y.backward()
    assert x.grad == 3.0
    y = add(x, x)
    y.backward()
    assert x.grad == 5.0  # without cleargrad they add up

    x = Variable(np.array(3.0))
    Add()(x, x).backward()
    assert x.grad == 2.0


def test_step15_a_graph_that_forks_and_joins_needs_an_order() -> None:
    calls: list[str] = []

    class Noted(Function):
        def __init__(self, name: str) -> None:
            self.name = name

        def forward(self, *xs: Any) -> Any:
            return sum(xs[1:], start=xs[0]) * 1.0

        def backward(self, gy: Any) -> Any:
            calls.append(self.name)
            return (gy,) * len(self.inputs)

    x = Variable(np.array(2.0))
    a = Noted("A")(x)
    y = Noted("D")(Noted("B")(a), Noted("C")(a))
    y.backward()
    assert calls[0] == "D"
    assert sorted(calls[1:3]) == ["B", "C"]  # which of them first does not matter
    assert calls[3:] == ["A"]  # once, when both have handed on their gradients
    assert x.grad == 2.0

    # where one way round is longer, the order in which Functions are found is not enough
    calls.clear()
    a = Noted("A")(x)
    y = Noted("D")(a, Noted("C")(Noted("B")(a)))
    y.backward()
    assert calls == ["D", "C", "B", "A"]


def test_step16_generations_give_the_order() -> None:
    x = Variable(np.array(2.0))
    a = square(x)
    y = add(square(a), square(a))
    assert (x.generation, a.generation, y.generation) == (0, 1, 3)
    assert y.creator is not None
    assert y.creator.generation == 2
    y.backward()
    assert y.data == 32.0
    assert x.grad == 64.0


def test_step17_weak_references_break_the_cycles(
    collector_off: None, rng: np.random.Generator
) -> None:
    def left_of_ten_rounds() -> int:
        """How many of ten graphs are still there when the last one is dropped."""
        graphs = []
        for _ in range(10):
            x = Variable(rng.standard_normal(10000))
            y = square(square(square(x)))
            graphs.append(weakref.ref(y))
        del x, y
        return sum(graph() is not None for graph in graphs)

    with using_mode("step16"):
        assert left_of_ten_rounds() == 10
    gc.collect()
    with using_mode("step17"):
        assert left_of_ten_rounds() == 0

    with using_mode("step17"):
        f = Square()
        y = f(Variable(np.array(2.0)))
        assert f.outputs[0]() is y  # called, a weak reference gives the Variable
        del y
        assert f.outputs[0]() is None


def test_step18_memory_is_spared_two_ways() -> None:
    x0 = Variable(np.array(1.0))
    x1 = Variable(np.array(1.0))
    t = add(x0, x1)
    y = add(x0, t)
    y.backward(retain_grad=False)
    assert (y.grad, t.grad) == (None, None)
    assert (x0.grad, x1.grad) == (2.0, 1.0)

    t = add(x0, x1)
    y = add(x0, t)
    y.backward(retain_grad=True)
    assert (y.grad, t.grad) == (1.0, 1.0)

    # what a mode says stands where nothing is said
    with using_mode("step17"):
        t = add(x0, x1)
        add(x0, t).backward()
        assert t.grad == 1.0
    with using_mode("step18"):
        t = add(x0, x1)
        add(x0, t).backward()
        assert t.grad is None

    assert Config.enable_backprop
    with using_config("enable_backprop", False):
        assert not Config.enable_backprop
        x = Variable(np.array(2.0))
        y = square(x)
    assert Config.enable_backprop
    assert (y.data, y.creator) == (4.0, None)

    with no_grad():
        y = square(x)
    assert y.creator is None
    assert square(x).creator is not None


@pytest.mark.forward
def test_step19_a_variable_is_handy_to_use(capsys: pytest.CaptureFixture[str]) -> None:
    x = Variable(np.array([[1, 2, 3], [4, 5, 6]]), "x")
    assert x.name == "x"
    assert Variable(np.array(1.0)).name is None
    assert x.shape == (2, 3)
    assert x.ndim == 2
    assert x.size == 6
    assert x.dtype == x.data.dtype
    assert len(x) == 2
    print(x)
    assert capsys.readouterr().out == "variable([[1 2 3]\n          [4 5 6]])\n"
    assert repr(Variable(np.array([1, 2, 3]))) == "variable([1 2 3])"
    assert repr(Variable(None)) == "variable(None)"


def test_step20_operators() -> None:
    a = Variable(np.array(3.0))
    b = Variable(np.array(2.0))
    c = Variable(np.array(1.0))
    y = a * b + c
    y.backward()
    assert y.data == 7.0
    assert (a.grad, b.grad, c.grad) == (2.0, 3.0, 1.0)
    assert Variable.__add__ is add
    assert Variable.__mul__ is mul


def test_step21_operators_with_arrays_and_numbers() -> None:
    x = Variable(np.array(2.0))
    assert (x + np.array(3.0)).data == 5.0
    assert (x + 3).data == 5.0
    assert (x * 3.0).data == 6.0
    assert as_variable(x) is x
    assert as_variable(np.array(3.0)).data == 3.0
    assert as_variable(3.0).data == 3.0

    # on the left, too; an array leaves it to the Variable, whose priority is higher
    y = 3.0 * x + 1.0
    y.backward()
    assert (y.data, x.grad) == (7.0, 3.0)
    assert Variable.__array_priority__ == 200
    z = np.array([2.0, 3.0]) + x
    assert type(z) is Variable
    assert z.data.tolist() == [4.0, 5.0]
    x.cleargrad()
    z.backward()
    assert x.grad == 2.0


@pytest.mark.parametrize(
    ("operation", "value", "gradient"),
    [
        (lambda x: -x, -2.0, -1.0),
        (lambda x: x - 1.0, 1.0, 1.0),
        (lambda x: 2.5 - x, 0.5, -1.0),
        (lambda x: np.array(2.5) - x, 0.5, -1.0),
        (lambda x: x / 4, 0.5, 0.25),
        (lambda x: 4 / x, 2.0, -1.0),
        (lambda x: np.array(4.0) / x, 2.0, -1.0),
        (lambda x: x**3, 8.0, 12.0),
        (lambda x: 1.0**x, 1.0, 0.0),
    ],
)
def test_step22_more_operators(
    operation: Callable[[Variable], Variable], value: float, gradient: float
) -> None:
    x = Variable(np.array(2.0))
    y = operation(x)
    y.backward()
    assert y.data == value
    assert x.grad == gradient


@pytest.mark.forward
def test_step23_a_package() -> None:
    program = (
        "import numpy as np\n"
        "from autodiff import Variable\n"
        "x = Variable(np.array(1.0))\n"
        "y = (x + 3) ** 2\n"
        "print(y)\n"
    )
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "variable(16.0)\n"
    assert set(autodiff.__all__) <= set(dir(autodiff))


def sphere(x: Any, y: Any) -> Any:
    return x**2 + y**2


def matyas(x: Any, y: Any) -> Any:
    return 0.26 * (x**2 + y**2) - 0.48 * x * y


def goldstein_price(x: Any, y: Any) -> Any:
    return (1 + (x + y + 1) ** 2 * (19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2)) * (
        30 + (2 * x - 3 * y) ** 2 * (18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2)
    )


@pytest.mark.parametrize(
    ("function", "at", "value", "gradients"),
    [
        (sphere, (1.0, 1.0), 2.0, (2.0, 2.0)),
        (sphere, (0.0, 0.0), 0.0, (0.0, 0.0)),  # its minimum
        (matyas, (1.0, 1.0), 0.04, (0.04, 0.04)),
        (matyas, (0.0, 0.0), 0.0, (0.0, 0.0)),  # its minimum
        (goldstein_price, (1.0, 1.0), 1876.0, (-5376.0, 8064.0)),
        (goldstein_price, (0.0, -1.0), 3.0, (0.0, 0.0)),  # its minimum
    ],
)
def test_step24_functions_for_optimizers(
    function: Callable[[Any, Any], Any],
    at: tuple[float, float],
    value: float,
    gradients: tuple[float, float],
) -> None:
    x = Variable(np.array(at[0]))
    y = Variable(np.array(at[1]))
    z = function(x, y)
    z.backward()
    assert z.data == pytest.approx(value)
    assert (float(x.grad), float(y.grad)) == pytest.approx(gradients)  # type: ignore[arg-type]
    assert autodiff.gradient_check(function, x, y, rtol=1e-3, order=2)

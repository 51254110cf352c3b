"""Variable, Function and the backward pass: what is defined where peers surprise."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Function, MemoryMode, Variable, grad, quick_numpy, using_config, using_mode

RECORDING = ["step16", "step17", "step18", "lean"]


def of(value: float, name: str | None = None) -> Variable:
    return Variable(np.array(float(value)), name)


def number(array: Any) -> float:
    """The one element of an array that is really there."""
    assert type(array) is np.ndarray
    return float(array)


class Square(Function):
    """As in the slides: no `saves`, the rule reads its input Variable."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x**2

    def backward(self, gy: np.ndarray) -> np.ndarray:
        return 2 * self.inputs[0].data * gy


class SinCos(Function):
    """Two outputs, of which the rule reads the input and not the outputs."""

    saves = (0,)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.sin(x), np.cos(x)

    def backward(self, gs: np.ndarray, gc: np.ndarray) -> np.ndarray:
        (x,) = self.saved
        return gs * np.cos(x) - gc * np.sin(x)


# Several outputs ----------------------------------------------------------------------------------


def test_a_dropped_output_counts_as_zeros(mode: MemoryMode) -> None:
    x = of(0.3)
    s, c = SinCos()(x)
    del c
    s.backward()
    assert number(x.grad) == pytest.approx(np.cos(0.3))


def test_an_output_that_is_not_used_counts_as_zeros(mode: MemoryMode) -> None:
    class Seen(SinCos):
        def backward(self, gs: np.ndarray, gc: np.ndarray) -> np.ndarray:
            seen.append((gs, gc))
            return super().backward(gs, gc)

    seen: list[tuple[np.ndarray, np.ndarray]] = []
    x = Variable(np.ones((2, 3), np.float32))
    s, c = Seen()(x)
    (c * 2).sum().backward()
    gs, _ = seen[0]
    assert gs.shape == (2, 3)
    assert gs.dtype == np.float32
    assert not gs.any()
    assert x.grad is not None
    assert x.grad == pytest.approx(np.full((2, 3), -2 * np.sin(1)))
    del s


def test_outputs_used_in_turn_and_together(mode: MemoryMode) -> None:
    x = of(0.3)
    s, c = SinCos()(x)
    (s * s + c * c).backward()
    assert number(x.grad) == pytest.approx(0)


# The pass -----------------------------------------------------------------------------------------


def test_a_second_backward_adds_exactly_as_much_again() -> None:
    for retain_grad in (False, True):
        x = of(2)
        a = x * x
        y = a * a
        y.backward(retain_grad=retain_grad, retain_graph=True)
        y.backward(retain_grad=retain_grad, retain_graph=True)
        assert number(x.grad) == 2 * 32
        if retain_grad:
            assert number(a.grad) == 2 * 8
            assert number(y.grad) == 1


def test_the_results_own_gradient_is_kept_with_retain_grad_only() -> None:
    x = of(2)
    y = x * 3
    y.backward(retain_grad=True, retain_graph=True)
    assert number(y.grad) == 1
    y.backward(retain_grad=False)
    assert y.grad is None


def test_grad_set_before_backward_seeds_it(mode: MemoryMode) -> None:
    x = Variable(np.array([1.0, 2.0]))
    y = x * 3
    y.grad = np.array([1.0, 10.0])
    y.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3, 30]


def test_a_result_that_is_no_scalar_starts_from_ones(mode: MemoryMode) -> None:
    x = Variable(np.array([1.0, 2.0]))
    (x * x).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 4]


def test_backward_on_a_leaf_gives_it_ones() -> None:
    x = Variable(np.zeros((2, 2), np.float32))
    x.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[1, 1], [1, 1]]
    assert x.grad.dtype == np.float32


def test_an_exception_leaves_every_gradient_as_it_was(mode: MemoryMode) -> None:
    class Failing(Function):
        saves = ()
        fails = True

        def forward(self, x: np.ndarray) -> np.ndarray:
            return x * 1

        def backward(self, gy: np.ndarray) -> np.ndarray:
            if Failing.fails:
                raise ArithmeticError("on purpose")
            return gy

    a, b = of(2), of(5)
    y = Failing()(a * a) * b + b
    y.grad = np.array(3.0)
    with pytest.raises(ArithmeticError):
        y.backward(retain_graph=True)
    assert a.grad is None
    assert b.grad is None
    assert number(y.grad) == 3
    Failing.fails = False
    y.backward(retain_graph=True)
    assert number(a.grad) == 3 * 4 * 5
    assert number(b.grad) == 3 * (4 + 1)
    # and the setting that the pass changes is back
    assert ad.Config.enable_backprop


def test_functions_of_one_generation_are_not_compared(mode: MemoryMode) -> None:
    x = of(2)
    y = ad.exp(x) + ad.sin(x) + ad.square(x) * ad.cos(x)
    y.backward()
    assert number(x.grad) == pytest.approx(np.exp(2) + np.cos(2) + 4 * np.cos(2) - 4 * np.sin(2))


def test_generations_decide_the_order() -> None:
    x = of(2)
    a = ad.square(x)
    b, c = ad.square(a), ad.square(a)
    y = b + c
    assert [v.generation for v in (x, a, b, c, y)] == [0, 1, 2, 2, 3]
    assert [v.creator.generation for v in (a, b, c, y)] == [0, 1, 1, 2]  # type: ignore[union-attr]
    y.backward()
    assert number(x.grad) == 64


# Gradients belong to their Variables --------------------------------------------------------------


def aliasing_rules() -> list[tuple[str, Callable[[Variable, Variable], Variable]]]:
    return [
        ("add", lambda a, b: a + b),
        ("sum", lambda a, b: (a + b).sum()),
        ("reshape", lambda a, b: a.reshape(3, 2) + b.reshape(3, 2)),
        ("transpose", lambda a, b: a.T + b.T),
        ("concatenate", lambda a, b: ad.concatenate([a, b])),
        ("split", lambda a, b: ad.split(a, 2)[0] + ad.split(b, 2)[1]),
        ("broadcast", lambda a, b: ad.broadcast_to(a, (4, 2, 3)) + b),
        ("twice", lambda a, b: a + b + a + b),
    ]


@pytest.mark.parametrize(("name", "rule"), aliasing_rules(), ids=[n for n, _ in aliasing_rules()])
def test_gradients_are_owned_writable_and_unaliased(
    name: str, rule: Callable[[Variable, Variable], Variable], mode: MemoryMode
) -> None:
    a, b = Variable(np.ones((2, 3))), Variable(np.ones((2, 3)))
    middle = a * 1
    y = rule(middle, b)
    seed = np.ones(y.shape)
    y.grad = seed
    y.backward()
    assert a.grad is not None
    assert b.grad is not None
    found = [a.grad, b.grad]
    if middle.grad is not None:
        found.append(middle.grad)
    assert len(found) == (3 if mode.retain_grad else 2)
    for i, one in enumerate(found):
        assert one.flags.writeable
        assert one.base is None
        assert not np.shares_memory(one, seed)
        for other in found[i + 1 :]:
            assert not np.shares_memory(one, other)
    before = [one.copy() for one in found[1:]]
    found[0] *= 100
    assert all(np.array_equal(one, was) for one, was in zip(found[1:], before, strict=True))


def test_a_rule_may_return_an_array_that_it_still_holds(mode: MemoryMode) -> None:
    class Slope(Function):
        """Its gradient is an array that is kept elsewhere, too."""

        saves = (0,)

        def forward(self, x: np.ndarray) -> np.ndarray:
            return x**2 / 2

        def backward(self, gy: np.ndarray) -> np.ndarray:
            (x,) = self.saved
            return x  # type: ignore[no-any-return]

    x = Variable(np.array([1.0, 2.0]))
    y = Slope()(x) + Slope()(x)
    y.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 4]
    assert x.data.tolist() == [1, 2]
    assert not np.shares_memory(x.grad, x.data)


def test_a_retained_gradient_is_no_part_of_a_sum_that_goes_on() -> None:
    x = Variable(np.ones(3))
    a = x * 1
    b = a + 0.0
    y = b + b
    y.backward(retain_grad=True)
    assert a.grad is not None
    assert b.grad is not None
    assert not np.shares_memory(a.grad, b.grad)
    b.grad *= 7
    assert a.grad.tolist() == [2, 2, 2]


def test_an_earlier_gradient_that_somebody_took_does_not_change() -> None:
    x = of(3)
    (x * 2).backward()
    taken = x.grad
    (x * 5).backward()
    assert number(taken) == 2
    assert number(x.grad) == 7


def test_constants_get_no_gradient_and_keep_nothing() -> None:
    x = Variable(np.ones(3))
    constant = np.full(3, 2.0)
    shut = Variable(np.full(3, 5.0), requires_grad=False)
    y = x * constant + shut * 2 + 1
    y.backward(retain_graph=True)
    assert shut.grad is None
    assert (shut * 2).creator is None
    assert not (shut * 2).requires_grad
    product = x * constant
    assert product.creator is not None
    kept = [array for array in product.creator.saved if array is not None]
    assert len(kept) == 1
    assert kept[0] is constant


def test_a_loop_of_selections_costs_no_array_of_full_size_each() -> None:
    allocated = 0
    zeros = quick_numpy.np.zeros

    def counting(shape: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal allocated
        allocated += int(np.prod(shape)) == 1000
        return zeros(shape, *args, **kwargs)

    x = Variable(np.ones(1000))
    y = sum((x[i] for i in range(100)), start=of(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quick_numpy.np, "zeros", counting)
        y.backward()
    assert allocated == 1
    assert x.grad is not None
    assert x.grad.tolist() == [1] * 100 + [0] * 900


# Graphs that are gone -----------------------------------------------------------------------------


def test_backward_through_a_released_graph_names_retain_graph() -> None:
    with using_mode("lean"):
        x = of(2)
        y = ad.square(x)
        y.backward()
        with pytest.raises(RuntimeError, match="retain_graph=True"):
            y.backward()
        assert number(x.grad) == 4
        with pytest.raises(RuntimeError, match="retain_graph=True"):
            ad.exp(y).backward()


def test_backward_of_a_result_under_no_grad_names_it() -> None:
    x = of(2)
    with ad.no_grad():
        y = ad.square(x)
    with pytest.raises(RuntimeError, match=r"no_grad.*enable_backprop"):
        y.backward()
    z = y * 3  # it may be used, as a leaf
    z.backward()
    assert number(y.grad) == 3
    assert x.grad is None
    with pytest.raises(RuntimeError, match="no_grad"):
        y.backward()


def test_backward_of_what_wants_no_gradient_says_so() -> None:
    with pytest.raises(RuntimeError, match="requires_grad=False"):
        ad.exp(np.array(1.0)).backward()
    with pytest.raises(RuntimeError, match="without data"):
        Variable(None).backward()


def test_create_graph_and_no_retain_graph_contradict() -> None:
    y = ad.square(of(2))
    with pytest.raises(ValueError, match="retain_graph"):
        y.backward(retain_graph=False, create_graph=True)


# Cutting ------------------------------------------------------------------------------------------


def test_unchain_ends_gradients_here_in_graphs_made_before_and_after(mode: MemoryMode) -> None:
    x = of(2)
    a = ad.square(x)
    before = a * 3
    a.unchain()
    after = a * 5
    (before + after).backward()
    assert number(a.grad) == 8
    assert x.grad is None
    assert a.creator is None
    assert a.generation == 0


def test_unchain_of_one_output_leaves_the_other(mode: MemoryMode) -> None:
    x = of(0.3)
    s, c = SinCos()(x)
    s.unchain()
    (s * 2 + c * 3).backward()
    assert number(s.grad) == 2
    assert number(x.grad) == pytest.approx(-3 * np.sin(0.3))


def test_unchain_backward_makes_leaves_of_all_before_and_of_itself(mode: MemoryMode) -> None:
    x = of(2)
    h = ad.square(x)
    running = h * 2
    running.backward(retain_graph=True)
    running.unchain_backward()
    assert running.creator is None
    assert h.creator is None
    x.cleargrad()
    h.cleargrad()
    running.cleargrad()
    (running + h * h).backward()
    assert number(running.grad) == 1
    assert number(h.grad) == 8
    assert x.grad is None


def test_unchain_backward_comes_after_a_backward_that_released_the_graph(
    mode: MemoryMode,
) -> None:
    """In the order of the book's step 59: a state that is held goes on as a leaf, in every mode."""
    x = of(2)
    state = ad.square(x)
    for _ in range(3):
        state = ad.square(state) * 0.25
        loss = state * 2
        loss.backward()
        loss.unchain_backward()
        assert state.creator is None
        assert loss.creator is None
    x.cleargrad()
    state.cleargrad()
    (state * state).backward()
    assert number(state.grad) == 2 * number(state.data)
    assert x.grad is None


def test_a_released_graph_that_was_not_unchained_is_still_an_error() -> None:
    with using_mode("lean"):
        x = of(2)
        state = ad.square(x)
        (state * 2).backward()
        with pytest.raises(RuntimeError, match="released this graph"):
            (state * 3).backward()


def test_unchain_backward_frees_what_the_graph_kept(mode: MemoryMode) -> None:
    x = Variable(np.ones(100))
    a = ad.sin(ad.exp(x))
    y = a * a
    kept = weakref.ref(a.creator.saved[0])  # type: ignore[union-attr]
    y.unchain_backward()
    gc.collect()  # step16 held it in a cycle
    assert kept() is None


def test_detach_is_the_same_array_without_a_graph() -> None:
    x = of(2)
    y = ad.square(x)
    d = y.detach()
    assert d.data is y.data
    assert d.creator is None
    (d * x).backward()
    assert number(x.grad) == 4
    assert d.grad is None


# Deep and wide ------------------------------------------------------------------------------------


def deep(x: Variable, operations: int) -> Variable:
    y = x
    for _ in range(operations):
        y = -y
    return y


def test_a_chain_of_a_million_runs_forward_backward_and_is_freed(collector_off: None) -> None:
    x = of(1)
    with using_mode("lean"):
        y = deep(x, 1_000_000)
        y.backward()
    assert number(x.grad) == 1
    last = weakref.ref(y.creator)
    del y
    assert last() is None


@pytest.mark.parametrize("name", RECORDING)
def test_a_deep_graph_of_every_mode_is_freed_without_recursion(
    name: str, collector_off: None
) -> None:
    for use in (Variable.backward, Variable.unchain_backward, id):
        with using_mode(name):
            y = deep(of(1), 30_000)
            use(y)  # type: ignore[operator]
        last = weakref.ref(y.creator or y)
        del y
        gc.collect()
        assert last() is None


def chain(n: int) -> Variable:
    y = x = of(1)
    for _ in range(n):
        y = -y
    return y + x


def wide(n: int) -> Variable:
    x = of(1)
    total = x * 1
    for _ in range(n):
        total = total + ad.neg(x)
    return total


def diamonds(n: int) -> Variable:
    y = of(1)
    for _ in range(n):
        y = y * 0.5 + y * 0.5
    return y


@pytest.mark.usefixtures("collector_off")  # Hypothesis notes each collection, which takes steps
@pytest.mark.parametrize("graph", [chain, wide, diamonds])
def test_backward_takes_each_function_once(graph: Callable[[int], Variable]) -> None:
    """So the cost is linear: steps of the pass are as many as operations, and no more for more."""
    graph(1).backward()  # what is worked out once, in the first pass of a process, is no step
    steps: list[int] = []
    for n in (100, 600, 1100):
        y = graph(n)
        taken = 0

        def count(frame: Any, event: str, argument: Any) -> None:
            nonlocal taken
            taken += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            y.backward()
        finally:
            sys.setprofile(None)
        steps.append(taken)
    assert steps[2] - steps[1] == pytest.approx(steps[1] - steps[0], abs=5)


# Functions ----------------------------------------------------------------------------------------


def test_a_function_is_one_application(mode: MemoryMode) -> None:
    f = Square()
    f(of(2))
    with pytest.raises(RuntimeError, match=r"Square has been applied already.*make a new one"):
        f(of(3))
    with ad.no_grad(), pytest.raises(RuntimeError, match="applied already"):
        f(of(3))  # its rule still needs what forward noted
    g = Square()
    with ad.no_grad():  # where nothing is recorded, it is as good as new
        assert [number(g(of(x)).data) for x in (2, 3)] == [4, 9]
    assert number(ad.numerical_diff(g, of(2))) == pytest.approx(4)
    g(of(2)).backward()


def test_a_function_as_in_the_slides_works_in_every_mode(mode: MemoryMode) -> None:
    x = Variable(np.array([1.0, 3.0]))
    Square()(Square()(x)).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [4, 108]


def test_a_function_as_in_the_slides_cannot_be_differentiated_again(mode: MemoryMode) -> None:
    y = Square()(of(2))
    with pytest.raises(RuntimeError, match=r"Square .* declare `saves`"):
        y.backward(create_graph=True)


def test_numbers_reach_a_function_as_in_the_slides_as_arrays() -> None:
    class Times(Function):
        def forward(self, x0: np.ndarray, x1: np.ndarray) -> np.ndarray:
            assert isinstance(x1, np.ndarray)
            return x0 * x1

        def backward(self, gy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            x0, x1 = (x.data for x in self.inputs)
            return gy * x1, gy * x0

    x = Variable(np.ones(3, np.float32))
    y = Times()(x, 3.0)
    assert y.dtype == np.float32
    y.backward()
    assert x.grad is not None
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [3, 3, 3]


def test_inputs_are_the_callers_own_where_the_mode_keeps_them() -> None:
    x0, x1 = Variable(np.ones(2)), Variable(np.full(2, 3.0))
    for name in ("step16", "step17", "step18"):
        with using_mode(name):
            f = (x0 * x1).creator
            assert f is not None
            assert f.inputs[0] is x0
            assert f.inputs[1] is x1


def test_inputs_are_variables_on_what_was_saved_elsewhere() -> None:
    with using_mode("lean"):
        x = Variable(np.ones(2))
        a = ad.sin(x)
        y = ad.exp(a)
        assert a.creator is not None
        assert y.creator is not None
        assert a.creator.inputs[0].data is x.data
        assert y.creator.inputs[0].creator is a.creator
        with pytest.raises(RuntimeError, match=r"was not kept.*kept='inputs'"):
            _ = y.creator.inputs[0].data
        assert "not kept" in repr(y.creator.inputs[0])


def test_outputs_are_called_to_get_them(mode: MemoryMode) -> None:
    y = ad.sin(of(1))
    f = y.creator
    assert f is not None
    assert f.outputs[0]() is y
    del y
    gc.collect()
    assert (f.outputs[0]() is None) == (mode.output_refs == "weak")


def test_saved_gives_what_was_declared_in_that_order(mode: MemoryMode) -> None:
    class Both(Function):
        saves = (2, 0)

        def forward(self, x0: np.ndarray, x1: np.ndarray) -> np.ndarray:
            return x0 + x1

        def backward(self, gy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return gy, gy

    x0, x1 = of(1), of(2)
    y = Both()(x0, x1)
    assert y.creator is not None
    assert [float(array) for array in y.creator.saved] == [3, 1]


def test_a_gradient_of_the_wrong_shape_or_number_names_the_function(mode: MemoryMode) -> None:
    class Wrong(Function):
        saves = ()
        returned: Any = np.ones(5)

        def forward(self, x: np.ndarray) -> np.ndarray:
            return x * 1

        def backward(self, gy: np.ndarray) -> Any:
            return self.returned

    with pytest.raises(ValueError, match=r"Wrong.backward.*\(5,\).*input 0 of shape \(3,\)"):
        Wrong()(Variable(np.ones(3))).backward()
    Wrong.returned = (np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match=r"Wrong.backward returned 2 gradients for 1 inputs"):
        Wrong()(Variable(np.ones(3))).backward()


def test_saves_that_name_no_array_are_an_error() -> None:
    class Beyond(Square):
        saves = (0, 2)

    with pytest.raises(ValueError, match=r"Beyond.saves = \(0, 2\).* 0 to 1"):
        Beyond()(of(1))


def test_a_missing_rule_names_the_function() -> None:
    class OneWay(Function):
        saves = ()

        def forward(self, x: np.ndarray) -> np.ndarray:
            return x * 1

    with pytest.raises(NotImplementedError, match="OneWay defines no backward"):
        OneWay()(of(1)).backward()
    with pytest.raises(NotImplementedError, match="Function defines no forward"):
        Function()(of(1))


def test_what_is_no_part_of_a_graph_says_so() -> None:
    with pytest.raises(RuntimeError, match="Square is not part of a graph"):
        _ = Square().inputs
    assert Square().outputs == ()


# Misuse -------------------------------------------------------------------------------------------


@pytest.mark.forward
@pytest.mark.parametrize(
    ("data", "names"),
    [(1.0, "float"), ([1.0], "list"), ("x", "str"), (np.float64(1), "float64"), (of, "function")],
)
def test_data_that_is_no_array_is_named(data: Any, names: str) -> None:
    with pytest.raises(TypeError, match=names):
        Variable(data)
    if names != "float64":  # arithmetic on arrays of no dimensions makes those: they are taken
        with pytest.raises(TypeError, match=names):
            of(1).data = data


@pytest.mark.forward
@pytest.mark.parametrize("kind", [np.ma.MaskedArray, np.matrix])
def test_arrays_with_rules_of_their_own_are_refused(kind: type[np.ndarray]) -> None:
    made = np.ones((1, 1)).view(kind)
    with pytest.raises(TypeError, match=kind.__name__):
        Variable(made)


@pytest.mark.forward
@pytest.mark.parametrize("dtype", ["object", "complex", "U1", "datetime64[s]"])
def test_arrays_that_are_not_of_real_numbers_are_refused(dtype: str) -> None:
    data = np.zeros(1, dtype)
    with pytest.raises(TypeError, match=str(data.dtype).replace("[", r"\[")):
        Variable(data)
    with pytest.raises(TypeError, match="real numbers"):
        of(1) + data


@pytest.mark.parametrize(
    ("seed", "error", "names"),
    [
        (np.ones(3), ValueError, r"\(3,\).*\(2,\)"),
        (np.array(1.0), ValueError, r"\(\).*\(2,\)"),
        (np.ones(2, int), TypeError, "int64"),
        ([1.0, 1.0], TypeError, "list"),
        (1.0, TypeError, "float"),
        (of(1), TypeError, "Variable"),
    ],
)
def test_a_seed_of_another_shape_or_kind_is_an_error(
    seed: Any, error: type[Exception], names: str
) -> None:
    y = Variable(np.ones(2)) * 2
    with pytest.raises(error, match=names):
        y.grad = seed
    assert y.grad is None


def test_arithmetic_on_data_of_no_dimensions_keeps_arrays() -> None:
    x = of(3)
    ad.square(x).backward()
    assert x.grad is not None
    x.data = x.data - 0.1 * x.grad
    assert type(x.data) is np.ndarray
    x.grad = x.grad * 2
    assert number(x.grad) == 12


def test_an_array_of_another_shape_between_forward_and_backward_is_an_error() -> None:
    x, w = Variable(np.ones(2)), Variable(np.ones(2))
    y = (x * w * x).sum()
    x.data = np.ones(3)
    with pytest.raises(RuntimeError, match=r"\(2,\).*\(3,\).*replaced"):
        y.backward()
    assert w.grad is None


def test_debug_mode_detects_kept_arrays_that_change(mode: MemoryMode) -> None:
    def changed(debug: bool, array: Callable[[Variable, Variable], np.ndarray]) -> Variable:
        with using_config("debug", debug):
            x = Variable(np.ones(4))
            y = ad.exp(x) if array is output else ad.square(x)
            array(x, y)[2] = 7
            y.backward()
        return x

    def output(x: Variable, y: Variable) -> np.ndarray:
        return y.data  # type: ignore[no-any-return]

    def given(x: Variable, y: Variable) -> np.ndarray:
        return x.data  # type: ignore[no-any-return]

    for array in (output, given):
        with pytest.raises(RuntimeError, match=r"(Exp|Square) kept for backward was changed"):
            changed(True, array)
        assert changed(False, array).grad is not None
    with using_config("debug", True):  # and no false alarm: views, numbers, empty and 0-d arrays
        for x in (Variable(np.ones((3, 4))), Variable(np.ones((0, 3))), of(2)):
            (ad.transpose(x) * 2 + ad.sin(x.T)).sum().backward()


def test_copies_and_pickles_of_leaves_and_of_results() -> None:
    x = Variable(np.ones(3), "x")
    ad.square(x).sum().backward()
    for made in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), copy.copy(x)):
        assert made.data.tolist() == [1, 1, 1]
        assert made.grad is not None
        assert made.grad.tolist() == [2, 2, 2]
        assert made.name == "x"
    y = x * 2
    for make in (copy.deepcopy, copy.copy, pickle.dumps):
        with pytest.raises(TypeError, match=r"detach\(\)"):
            make(y)
        make(y.detach())


# grad ---------------------------------------------------------------------------------------------


def test_grad_gives_a_tuple_and_touches_no_grad(mode: MemoryMode) -> None:
    x, w, unused = of(2), of(3), of(9)
    a = x * w
    y = a * a
    gx, ga, gw, gu = grad(y, [x, a, w, unused])
    assert [number(g) for g in (gx, ga, gw)] == [36, 12, 24]
    assert gu is None
    assert all(v.grad is None for v in (x, w, a, y, unused))
    assert grad(of(1) * 1, of(1)) == (None,)


def test_grad_of_several_outputs_is_that_of_their_sum(mode: MemoryMode) -> None:
    x = of(2)
    (gx,) = grad([x * 3, x * x], x)
    assert number(gx) == 7
    (own,) = grad(x, x)
    assert number(own) == 1
    twice = grad(x * 3, [x, x])
    assert [number(g) for g in twice] == [3, 3]
    assert not np.shares_memory(*twice)


def test_grad_releases_as_backward_does() -> None:
    with using_mode("lean"):
        x = of(2)
        y = ad.square(x)
        grad(y, x, retain_graph=True)
        grad(y, x)
        with pytest.raises(RuntimeError, match="retain_graph"):
            grad(y, x)


def test_grad_takes_variables_only() -> None:
    with pytest.raises(TypeError, match="float64"):
        grad(of(1) * 2, np.ones(1))  # type: ignore[arg-type]


def test_derivatives_of_derivatives(mode: MemoryMode) -> None:
    x = of(2)
    y = x**4
    (g1,) = grad(y, x, create_graph=True)
    (g2,) = grad(g1, x, create_graph=True)
    (g3,) = grad(g2, x, create_graph=True)
    (g4,) = grad(g3, x)
    assert [float(g1), float(g2), float(g3), number(g4)] == [32, 48, 48, 24]


def test_grad_var_is_the_gradient_with_its_graph(mode: MemoryMode) -> None:
    x = of(2)
    y = x**3
    y.backward(create_graph=True)
    assert number(x.grad) == 12
    gx = x.grad_var
    assert gx is not None
    assert gx.data.tolist() == 12
    assert not np.shares_memory(gx.data, x.grad)
    x.cleargrad()
    assert x.grad_var is None
    gx.backward()
    assert number(x.grad) == 12
    assert x.grad_var is None


def test_gradients_with_graphs_add_up_too() -> None:
    x = of(2)
    ys = x**2, x**3
    with ad.no_grad():  # whatever is in force where they are asked for
        for y in ys:
            y.backward(create_graph=True)
    assert number(x.grad) == 4 + 12
    assert x.grad_var is not None
    (second,) = grad(x.grad_var, x)
    assert number(second) == 2 + 12


def test_create_graph_works_inside_no_grad_and_restores_it() -> None:
    x = of(2)
    y = x**3
    with ad.no_grad():
        (gx,) = grad(y, x, create_graph=True)
        assert not ad.Config.enable_backprop
    (second,) = grad(gx, x)
    assert number(second) == 12


def test_grad_of_outputs_that_all_want_none_gives_none() -> None:
    x = Variable(np.ones(2))
    assert grad(Variable(np.ones(2), requires_grad=False), x) == (None,)
    assert grad([], x) == (None,)

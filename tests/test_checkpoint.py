"""Recomputation: the same gradients, fewer arrays, and as many computations as it costs."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autodiff as ad
from autodiff import (
    Function,
    MemoryMode,
    Variable,
    checkpoint,
    grad,
    gradient_check,
    nn,
    no_grad,
    recomputing,
    using_config,
    using_mode,
)
from autodiff.keepers.footprint import IDLE

CALLS: list[int] = []


def four_sines(x: Variable) -> Variable:
    CALLS.append(1)
    for _ in range(4):
        x = ad.sin(x)
    return x


def bits(*arrays: Any) -> list[bytes | None]:
    return [None if a is None else np.asarray(a).tobytes() for a in arrays]


# What it gives --------------------------------------------------------------------------------


def test_gradients_are_bit_equal_and_the_part_is_computed_twice(mode: MemoryMode) -> None:
    plain, x = Variable(np.linspace(0, 2, 7)), Variable(np.linspace(0, 2, 7))
    four_sines(four_sines(plain)).backward()
    CALLS.clear()
    y = checkpoint(four_sines, checkpoint(four_sines, x))
    assert len(CALLS) == 2
    y.backward()
    assert len(CALLS) == 4
    assert bits(x.grad) == bits(plain.grad)


Step = tuple[int, float, float, int]
STEPS = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=8,
)


def run(steps: Sequence[Step], ws: Sequence[Variable], *given: Variable) -> list[Variable]:
    """A made-up computation on Variables given, and on some that are read from outside."""
    values = list(given)
    for kind, one, other, number in steps:
        u, v, w = values[int(one * len(values))], values[int(other * len(values))], ws[number]
        values.append(
            (
                lambda u, v, w: ad.sin(u),
                lambda u, v, w: u * v,
                lambda u, v, w: u + v,
                lambda u, v, w: ad.tanh(u * w),
                lambda u, v, w: u - w * v,
                lambda u, v, w: ad.exp(-u * u),
                lambda u, v, w: u * 0.5,
            )[kind](u, v, w)
        )
    return values


@given(st.lists(STEPS, min_size=1, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
@settings(max_examples=60)
def test_any_graph_cut_anywhere_gives_the_same_bits(
    parts: list[list[Step]], nested: list[bool]
) -> None:
    def loss(x: Variable, ws: list[Variable], cut: bool) -> Variable:
        values = [x]
        for steps, nest in zip(parts, nested, strict=False):

            def part(*xs: Variable, steps: list[Step] = steps) -> Variable:
                return run(steps, ws, *xs)[-1]

            def twice(*xs: Variable, part: Callable[..., Variable] = part) -> Any:
                return checkpoint(part, *xs)

            whole = twice if nest else part
            values.append(checkpoint(whole, *values[-3:]) if cut else part(*values[-3:]))
        total = values[-1] * 1.0
        for v in values[-4:-1]:
            total = total + v * 1.5
        return total

    found = []
    for name in ("lean", "step16", "step18"):
        for cut in (False, True):
            with using_mode(name):
                x, *ws = (Variable(a) for a in np.random.default_rng(0).normal(size=(3, 4)))
                loss(x, ws, cut).backward()
                found.append(bits(x.grad, *(w.grad for w in ws)))
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("terms", [2, 3])
def test_of_several_outputs_sums_of_two_have_the_same_bits_and_of_three_nearly(
    terms: int, mode: MemoryMode
) -> None:
    """An operation on the first output counts as one on the last: the order of three changes."""

    def early(x: Variable) -> Variable:
        return ad.sin(x)

    def late(x: Variable) -> Variable:
        return ad.exp(ad.tanh(ad.sin(x * 1.1)))

    def gradients(part: Callable[[Variable], Any]) -> list[Any]:
        x, w = (Variable(a) for a in np.random.default_rng(0).normal(size=(2, 50)))
        one, other = part(x)
        y = one * w + other * w
        (y if terms == 2 else y + ad.sin(ad.sin(x)) * w).backward()
        return [x.grad, w.grad]

    plain = gradients(lambda x: (early(x), late(x)))
    found = gradients(lambda x: checkpoint(lambda x: (early(x), late(x)), x))
    apart = gradients(lambda x: (checkpoint(early, x), checkpoint(late, x)))
    assert bits(*apart) == bits(*plain)
    assert (bits(*found) == bits(*plain)) == (terms == 2)
    for one, other in zip(found, plain, strict=True):
        assert np.allclose(one, other, rtol=1e-13, atol=1e-15)


def test_several_outputs_some_dropped_some_unused(mode: MemoryMode) -> None:
    def three(a: Variable, b: Variable) -> tuple[Variable, ...]:
        CALLS.append(1)
        return ad.sin(a), ad.log(b), a * b

    a, b = Variable(np.array(2.0)), Variable(np.array(0.5))
    CALLS.clear()
    sine, unused, product = checkpoint(three, a, b)
    del product
    sine.backward()
    assert bits(a.grad) == bits(np.cos(2.0))
    assert unused.grad is None or float(unused.grad) == 0
    assert len(CALLS) == 2
    b = Variable(np.array(0.0))  # where an output that nobody uses has no gradient
    with np.errstate(divide="ignore"):
        checkpoint(three, a, b)[2].backward()
    assert b.grad == 2.0


def test_what_it_gives_has_the_form_of_what_the_function_gives(mode: MemoryMode) -> None:
    x = Variable(np.ones(2))
    assert isinstance(checkpoint(ad.sin, x), Variable)
    assert [type(y) for y in checkpoint(lambda x: [x, ad.sin(x)], x)] == [Variable] * 2
    (only,) = checkpoint(lambda x: (ad.sin(x),), x)
    only.backward()
    assert bits(x.grad) == bits(np.cos(np.ones(2)))
    same = checkpoint(lambda x: x, x)
    x.cleargrad()
    (same * 3).backward()
    assert bits(x.grad) == bits(np.full(2, 3.0))
    for wrong in (3.0, None, (x, 1)):
        with pytest.raises(TypeError, match="gives a Variable, or a tuple or list of them, not"):
            checkpoint(lambda x, wrong=wrong: wrong, x)


def test_numbers_arrays_and_anything_else_reach_the_function_as_they_are(mode: MemoryMode) -> None:
    def scaled(x: Variable, by: Any, how: str, more: Any) -> Variable:
        assert (how, type(by), type(more)) == ("twice", float, np.ndarray)
        return x * by + more

    x = Variable(np.ones(2, np.float32))
    y = checkpoint(scaled, x, 3.0, "twice", np.ones(2, np.float32))
    assert y.dtype == np.float32
    y.backward()
    assert x.grad is not None
    assert (x.grad.dtype, x.grad.tolist()) == (np.float32, [3.0, 3.0])


def test_the_same_input_twice_and_one_that_wants_no_gradient(mode: MemoryMode) -> None:
    a, frozen = Variable(np.array(2.0)), Variable(np.array(3.0), requires_grad=False)
    y = checkpoint(lambda x, y, z: x * y * z + a, a, a, frozen)
    assert y.requires_grad
    y.backward()
    assert a.grad == 13.0
    assert frozen.grad is None
    product, constant = checkpoint(lambda x, z: (x * z, z * z), a, frozen)
    assert (product.requires_grad, constant.requires_grad) == (True, False)
    assert not checkpoint(lambda z: z * z, frozen).requires_grad


def test_gradients_reach_what_the_function_reads_and_is_no_input(mode: MemoryMode) -> None:
    layer = nn.MLP([5, 3], activation=ad.tanh, dtype=np.float64, rng=np.random.default_rng(0))
    x = Variable(np.ones((2, 4)), requires_grad=False)
    layer(x).backward()
    plain = bits(*(p.grad for p in layer.params()))
    layer.cleargrads()
    y = checkpoint(layer, x)
    assert y.requires_grad
    y.backward()
    assert bits(*(p.grad for p in layer.params())) == plain
    assert None not in plain
    assert x.grad is None


def test_so_do_gradients_of_what_was_computed_before(mode: MemoryMode) -> None:
    w = Variable(np.array([0.5, 2.0]))
    before = ad.exp(w)
    x = Variable(np.ones(2))
    y = checkpoint(lambda x: ad.sin(x * before), x) * before
    (plain,) = grad(ad.sin(x * ad.exp(w)) * ad.exp(w), [w])
    y.backward()
    assert w.grad is not None
    assert np.allclose(w.grad, plain)
    before = ad.exp(w)
    (same,) = grad(checkpoint(lambda: before), [before])
    assert same.tolist() == [1.0, 1.0]


def test_a_parameter_that_its_first_use_makes(mode: MemoryMode) -> None:
    layer = nn.Linear(3, rng=np.random.default_rng(0))
    checkpoint(layer, np.ones((2, 4), np.float32)).backward()
    assert layer.W.grad is not None


def test_a_variable_made_inside_is_no_input(mode: MemoryMode) -> None:
    x = Variable(np.ones(2))
    y = checkpoint(lambda x: x * Variable(np.array([2.0, 3.0])), x)
    assert y.creator is not None
    assert len(y.creator.inputs) == 1
    y.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 3.0]


def test_it_nests_and_can_be_differentiated_again(mode: MemoryMode) -> None:
    def inner(x: Variable, w: Variable) -> Variable:
        return ad.tanh(x * w)

    def outer(x: Variable, w: Variable) -> Variable:
        return checkpoint(inner, ad.sin(x), w) * x  # type: ignore[no-any-return]

    x, w = np.array([0.3, -0.7]), np.array([1.1, 0.4])
    assert gradient_check(lambda x, w: checkpoint(outer, x, w), x, w, order=2)
    assert gradient_check(lambda x: checkpoint(outer, x, x), x, order=2)


def test_third_derivatives_are_bit_equal(mode: MemoryMode) -> None:
    def function(x: Variable) -> Variable:
        return ad.tanh(ad.sin(x) * x) + x**3

    def third(function: Callable[[Variable], Variable]) -> list[bytes | None]:
        x = Variable(np.linspace(-1, 1, 9))
        y, found = function(x), []
        for _ in range(3):
            (y,) = grad(y, [x], create_graph=True)
            found.append(y.data)
        return bits(*found)

    assert third(lambda x: checkpoint(function, x)) == third(function)
    assert third(lambda x: checkpoint(lambda x: checkpoint(function, x), x)) == third(function)


def test_a_gradient_penalty_under_it(mode: MemoryMode) -> None:
    w = Variable(np.array([0.3, 0.8]))

    def penalty(x: Variable) -> Variable:
        with using_config("enable_backprop", True):
            (gx,) = grad(ad.sum(ad.tanh(x * w) * x), [x], create_graph=True)
        return ad.sum(gx * gx) + ad.sum(w)

    x = Variable(np.array([1.0, -0.5]))
    plain = bits(*grad(penalty(x), [x, w]))
    assert bits(*grad(checkpoint(penalty, x), [x, w])) == plain


@pytest.mark.parametrize("way", ["budget", "segments", "packer"])
def test_beside_other_ways_to_buy_memory(way: str) -> None:
    """Where a Checkpoint's result has been dropped, too, the function is called once more."""
    rng, w = np.random.default_rng(0), Variable(np.random.default_rng(1).normal(size=(50, 50)) / 9)

    def part(x: Variable) -> Variable:
        CALLS.append(1)
        return nn.functional.dropout(ad.tanh(x @ w), 0.3, rng)

    def cut(x: Variable) -> Any:
        return checkpoint(part, x)

    functions = [ad.sin, cut, ad.tanh, cut, ad.sin, ad.tanh] * 3

    def chain(x: Variable) -> Variable:
        for function in functions:
            x = function(x)
        return x

    def in_segments(x: Variable) -> Variable:
        return ad.checkpoint_sequential(functions, x, segments=4)

    def gradients(chain: Callable[[Variable], Variable]) -> list[Any]:
        CALLS.clear()
        rng.bit_generator.state = np.random.default_rng(7).bit_generator.state
        w.cleargrad()
        x = Variable(np.linspace(0, 1, 1000).reshape(20, 50))
        chain(x).backward()
        return [*bits(x.grad, w.grad), rng.random()]

    with using_mode("lean"):
        plain = gradients(chain)
        assert len(CALLS) == 12
        if way == "budget":
            with using_config("budget", 16 * 8000 + IDLE):
                assert gradients(chain) == plain
        elif way == "packer":
            with using_config("packer", ad.Disk()):
                assert gradients(chain) == plain
        else:
            assert gradients(in_segments) == plain
        assert (len(CALLS) > 12) == (way != "packer")


def test_under_no_grad_it_is_the_function(mode: MemoryMode) -> None:
    CALLS.clear()
    with no_grad():
        y = checkpoint(four_sines, Variable(np.ones(3)))
    assert y.creator is None
    assert len(CALLS) == 1


def test_intermediate_gradients_are_retained_where_they_are(mode: MemoryMode) -> None:
    x = Variable(np.array(0.5))
    for part in (ad.sin, lambda x: checkpoint(ad.sin, x)):
        middle = part(x)
        ad.exp(middle).backward(retain_grad=True)
        assert middle.grad == np.exp(np.sin(0.5))


def test_it_can_be_unchained(mode: MemoryMode) -> None:
    x = Variable(np.array(0.5))
    y = checkpoint(ad.sin, x)
    z = y * 2
    y.unchain()
    z.backward()
    assert (x.grad, y.grad) == (None, 2.0)
    z = checkpoint(ad.exp, checkpoint(ad.sin, x))
    z.unchain_backward()
    assert z.creator is None


# What it costs --------------------------------------------------------------------------------

SIZE = 40_000


def peak_of(parts: int, ops: int, held: bool) -> float:
    """The highest number of arrays, for so many segments of so many operations."""

    def segment(x: Variable) -> Variable:
        for _ in range(ops):
            x = ad.sin(x)
        return x

    tracemalloc.start()
    x = Variable(np.full(SIZE, 0.5))
    y = x
    for _ in range(parts):
        y = checkpoint(segment, y)
    if held:
        y.backward()
    else:
        result = [y]
        del y
        result.pop().backward()
    highest = tracemalloc.get_traced_memory()[1] / (8 * SIZE)
    tracemalloc.stop()
    return highest


@pytest.mark.parametrize(("parts", "ops"), [(1, 8), (4, 4), (8, 2), (3, 10), (10, 10)])
@pytest.mark.parametrize("held", [False, True])
def test_its_peak_is_that_of_the_formula(parts: int, ops: int, held: bool) -> None:
    """k + m + 1 arrays for k segments of m operations, and the result where the caller holds it."""
    with using_mode("lean"):
        assert peak_of(parts, ops, held) == pytest.approx(parts + ops + 1 + held, abs=0.2)


def test_after_the_forward_it_keeps_its_inputs_alone() -> None:
    with using_mode("lean"):
        tracemalloc.start()
        x = Variable(np.full(SIZE, 0.5))
        y = x
        for _ in range(4):
            y = checkpoint(four_sines, y)
        held = tracemalloc.get_traced_memory()[0] / (8 * SIZE)
        tracemalloc.stop()
    assert held == pytest.approx(5, abs=0.1)


def test_parameters_read_cost_nothing() -> None:
    with using_mode("lean"):
        w = Variable(np.ones(SIZE))
        x = Variable(np.ones(1))
        tracemalloc.start()
        y = checkpoint(lambda x: ad.sum(x * w), x)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    assert held < 20_000
    assert y.creator is not None


class Counted(Function):
    saves = (0,)
    evaluations = 0

    def forward(self, x: Any) -> Any:
        Counted.evaluations += 1
        return x * 2

    def backward(self, gy: Any) -> Any:
        return gy * 2


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_each_level_computes_once_more(depth: int, mode: MemoryMode) -> None:
    def function(x: Variable) -> Variable:
        return Counted()(Counted()(x))  # type: ignore[no-any-return]

    def nested(x: Variable, depth: int) -> Any:
        if depth == 0:
            return function(x)
        return checkpoint(lambda x: nested(x, depth - 1), x)

    Counted.evaluations = 0
    y = nested(Variable(np.ones(1)), depth)
    assert Counted.evaluations == 2
    y.backward()
    assert Counted.evaluations == 2 * (depth + 1)


def test_a_retained_graph_is_computed_once_more_each_time(mode: MemoryMode) -> None:
    CALLS.clear()
    x = Variable(np.ones(3))
    y = checkpoint(four_sines, x)
    y.backward(retain_graph=True)
    first = bits(x.grad)
    x.cleargrad()
    y.cleargrad()
    y.backward(retain_graph=True)
    assert len(CALLS) == 3
    assert bits(x.grad) == first


# What lives on --------------------------------------------------------------------------------


def test_backward_releases_what_it_held() -> None:
    with using_mode("lean"):
        x = Variable(np.ones(3))

        def parts() -> tuple[Variable, weakref.ref[Any], weakref.ref[Any]]:
            before = ad.exp(x)

            def function(x: Variable) -> Variable:
                return ad.sin(x) * before

            y = checkpoint(function, before)
            return y, weakref.ref(function), weakref.ref(before.data)

        y, called, array = parts()
        assert called() is not None
        y.backward()
        assert called() is None
        assert array() is None
        with pytest.raises(RuntimeError, match="an earlier backward has released this graph"):
            y.backward()


@pytest.mark.parametrize("ends", ["backward", "dropped", "create_graph", "error"])
@pytest.mark.parametrize("name", ["lean", "step17", "step18"])
def test_nothing_is_left_to_the_collector(name: str, ends: str, collector_off: None) -> None:
    def function(x: Variable) -> Variable:
        if ends == "error" and recomputing():
            raise KeyError
        return nn.functional.dropout(ad.sin(x) * w, 0.5)

    x, w = Variable(np.ones(3)), Variable(np.ones(3))
    with using_mode(name):
        y = checkpoint(lambda x: checkpoint(function, ad.exp(x)), x)
        if ends == "backward":
            y.backward()
        elif ends == "create_graph":
            grad(y, [x], create_graph=True)
        elif ends == "error":
            with pytest.raises(KeyError):
                y.backward()
        del y
    assert gc.collect() == 0


# Errors ---------------------------------------------------------------------------------------


def test_an_exception_while_recomputing_leaves_nothing_half_done(mode: MemoryMode) -> None:
    broken = [False]
    rng = np.random.default_rng(0)

    def function(x: Variable) -> Variable:
        noise = rng.random(2)
        if broken[0]:
            raise KeyError("broken")
        return ad.sin(x) * noise

    x = Variable(np.ones(2))
    y = checkpoint(function, x)
    state, broken[0] = rng.bit_generator.state, True
    with pytest.raises(KeyError, match="broken"):
        (y + x).backward(retain_graph=True)
    assert x.grad is None
    assert rng.bit_generator.state == state
    assert not recomputing()
    broken[0] = False
    y.backward()
    assert bits(x.grad) == bits(np.cos(np.ones(2)) * np.random.default_rng(0).random(2))


def test_an_exception_the_first_time_is_that_of_the_function() -> None:
    def fails(x: Variable) -> Variable:
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        checkpoint(fails, 1.0)
    assert not recomputing()


def test_another_shape_the_second_time_is_an_error() -> None:
    x = Variable(np.ones((2, 3)))
    y = checkpoint(lambda x: ad.sum(x, axis=0) if recomputing() else ad.sin(x), x)
    with pytest.raises(RuntimeError, match=r"\(2, 3\) float64 at first and \(3,\) float64 when"):
        y.backward()


def test_other_operations_the_second_time_are_an_error() -> None:
    x = Variable(np.ones(3))
    y = checkpoint(lambda x: ad.sin(ad.sin(x)) if recomputing() else ad.sin(x), x)
    with pytest.raises(RuntimeError, match="applied other operations"):
        y.backward()


def test_other_values_the_second_time_are_an_error_in_debug() -> None:
    with using_config("debug", True):
        w = Variable(np.ones(3), "weight")
        y = checkpoint(lambda x: x * w, Variable(np.ones(3)))
        w.data += 1
        with pytest.raises(RuntimeError, match="gave other values"):
            y.backward()


def test_other_data_of_what_it_read_is_an_error() -> None:
    w = Variable(np.ones(3), "weight")
    y = checkpoint(lambda x: x * w, Variable(np.ones(3)))
    w.data = np.zeros(3)
    with pytest.raises(RuntimeError, match="'weight' was read under checkpoint and has been given"):
        y.backward()


def test_a_state_that_it_does_not_return_has_no_graph_and_says_so() -> None:
    """A recurrent layer must return its state under checkpoint, or lose the past."""
    rnn = nn.RNN(3, in_size=2, rng=np.random.default_rng(0))
    x = np.ones((1, 2), np.float32)
    checkpoint(rnn, x)
    with pytest.raises(RuntimeError, match="did not return, is used"):
        checkpoint(rnn, x)
    with pytest.raises(RuntimeError, match="did not return, is used"):
        rnn.h * 2

"""Chains of which little is held: evaluations and bytes by formula, gradients bit-equal."""

from __future__ import annotations

import gc
import math
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from budgets import Peak
from chains import Stage, plainly, ways

import autodiff as ad
from autodiff import (
    BudgetError,
    Function,
    MemoryMode,
    Variable,
    checkpoint_sequential,
    grad,
    no_grad,
    using_config,
    using_mode,
)
from autodiff.keepers.schedules import evaluations
from autodiff.nn import BatchNorm, Dropout, Linear

SIZE = 30_000  # elements, beside which the objects of ten operations are a twelfth of one
ARRAY = SIZE * 8

Array = np.ndarray[Any, Any]


class Counted(Function):
    """y = 1.5 - x, counting how often; a rule need not be a derivative to be compared."""

    __slots__ = ()
    evaluations = 0

    def forward(self, x: Array) -> Array:
        Counted.evaluations += 1
        return 1.5 - x

    def backward(self, gy: Any) -> Any:
        (read,) = self.saved
        return gy * read


class ReadsInput(Counted):
    __slots__ = ()
    saves = (0,)


class ReadsResult(Counted):
    __slots__ = ()
    saves = (1,)


def inward(x: Variable) -> Variable:
    return ReadsInput()(x)  # type: ignore[no-any-return]


def outward(x: Variable) -> Variable:
    return ReadsResult()(x)  # type: ignore[no-any-return]


class Run(NamedTuple):
    evaluations: int
    peak: float  # in arrays, x counted
    gradient: bytes


def run(functions: list[Stage], held: bool = False, again: bool = False, **how: Any) -> Run:
    """Forward and backward of a chain on one large array; again: backward a second time."""
    x = Variable(np.linspace(0.1, 1, SIZE))
    Counted.evaluations = 0
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        if held:
            y = checkpoint_sequential(functions, x, result="held", **how)
            y.backward(retain_graph=again)
            if again:
                x.cleargrad()
                Counted.evaluations = 0
                tracemalloc.reset_peak()
                y.backward()
        else:
            checkpoint_sequential(functions, x, **how).backward()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert x.grad is not None
    return Run(Counted.evaluations, peak / ARRAY + 1, x.grad.tobytes())


def plain_gradient(functions: list[Stage]) -> bytes:
    x = Variable(np.linspace(0.1, 1, SIZE))
    plainly(functions, x).backward()
    assert x.grad is not None
    return x.grad.tobytes()


# Exactly the closed form --------------------------------------------------------------------------

BUDGETS = [(n, m) for n in (2, 3, 10) for m in range(4, n + 4)]
BUDGETS += [(30, m) for m in (4, 5, 7, 10, 19, 31, 32)]
BUDGETS += [(100, m) for m in (5, 6, 8, 13, 21, 52, 102)]


@pytest.mark.parametrize(("length", "most"), BUDGETS)
def test_evaluations_and_bytes_are_the_closed_form(length: int, most: int) -> None:
    """t(N, M - 3) + 1 where rules read inputs, t(N + 1, M - 3) where they read results."""
    for function, expected in (
        (inward, evaluations(length, most - 3) + 1),
        (outward, evaluations(length + 1, most - 3)),
    ):
        found = run([function] * length, budget=most * ARRAY)
        assert found.evaluations == expected
        assert found.peak <= most + 0.1 + length / 100
        assert found.gradient == plain_gradient([function] * length)


@pytest.mark.usefixtures("in_lean")
@pytest.mark.parametrize("length", [1, 2, 5, 9])
def test_a_result_that_the_caller_holds_takes_one_array_more(length: int) -> None:
    """t(N, M - 4) + 1, whatever the rules read; and t(N, M - 4) to go back once more."""
    for function in (inward, outward):
        for most in range(5, length + 5):
            found = run([function] * length, held=True, budget=most * ARRAY)
            assert found.evaluations == evaluations(length, most - 4) + 1
            assert found.peak <= most + 0.2
            again = run([function] * length, held=True, again=True, budget=most * ARRAY)
            assert again.evaluations == evaluations(length, most - 4)
            assert again.peak <= most + 0.2


@pytest.mark.parametrize(
    ("function", "least"), [(inward, (3, 4, 4)), (outward, (4, 4, 4))], ids=["inward", "outward"]
)
def test_a_budget_that_is_too_small_says_what_would_do(
    function: Stage, least: tuple[int, ...]
) -> None:
    for length, arrays in zip((1, 2, 9), least, strict=True):
        with pytest.raises(BudgetError, match=r"cannot be met.*raise it") as caught:
            run([function] * length, budget=arrays * ARRAY - 1)
        assert isinstance(caught.value, MemoryError)
        assert caught.value.least == arrays * ARRAY
        assert run([function] * length, budget=caught.value.least).peak <= arrays + 0.2


def test_an_input_larger_than_the_budget_is_an_error_before_anything_is_computed() -> None:
    with pytest.raises(BudgetError, match="the input alone takes 240000 bytes"):
        run([lambda x: pytest.fail("called")], budget=ARRAY - 1)


SEGMENTS = [(n, k) for n in (1, 2, 6, 13) for k in range(1, n + 1)] + [(100, 10)]


@pytest.mark.parametrize(("length", "segments"), SEGMENTS)
def test_segments_take_k_and_n_over_k_and_one_arrays(length: int, segments: int) -> None:
    """N + (k - 1) (N / k - 1) evaluations; where k does not divide N, the peak is rounded down."""
    for function, more in ((inward, 0), (outward, 1)):
        found = run([function] * length, segments=segments)
        again = (segments - 1) * (length - segments) / segments
        assert found.evaluations == length + math.ceil(again - 1e-9)
        assert found.peak == pytest.approx(
            segments + length // segments + 1 + more, abs=0.2 + length / 100
        )
        assert found.gradient == plain_gradient([function] * length)


def test_a_reduction_at_the_end_costs_no_more_than_itself() -> None:
    functions: list[Stage] = [inward] * 20
    for most in (4, 6, 9, 22):
        found = run([*functions, ad.sum], budget=most * ARRAY)
        best = evaluations(20, most - 3) + 1
        assert best <= found.evaluations <= best + 1  # what it is shows when it is there
        assert found.peak <= most + 0.3
        assert found.gradient == plain_gradient([*functions, ad.sum])


# Layers -------------------------------------------------------------------------------------------


class Network(NamedTuple):
    functions: list[Stage]
    layers: list[Any]
    calls: list[int]

    def gradients(self, x: Variable) -> list[bytes]:
        parameters = [p for layer in self.layers for p in layer.params()]
        return [b"" if p.grad is None else p.grad.tobytes() for p in (x, *parameters)]


def network(widths: list[int], kind: str) -> Network:
    """Linear layers and tanh, of these widths, with batches normalised or elements dropped out."""
    rng = np.random.default_rng(0)
    functions: list[Stage] = []
    layers: list[Any] = []
    calls: list[int] = []
    for number, (wide, out) in enumerate(pairwise(widths)):
        linear = Linear(out, in_size=wide, rng=rng)
        between: Any = None
        if kind == "normalised":
            between = BatchNorm(out)
        elif kind == "dropout":
            between = Dropout(0.3, np.random.default_rng(number))

        def function(x: Variable, linear: Any = linear, between: Any = between) -> Variable:
            calls.append(1)
            y = linear(x)
            return ad.tanh(y if between is None else between(y))

        functions.append(function)
        layers += [layer for layer in (linear, between) if layer is not None]
    return Network(functions, layers, calls)


WIDTHS = {"alike": [40] * 9, "unequal": [40, 20, 60, 10, 40, 80, 5, 30]}
ROWS = 500
HOW = [{"segments": 1}, {"segments": 3}, {"budget": 1_600_000}, {"budget": 10**9}]


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("kind", ["plain", "normalised", "dropout"])
@pytest.mark.parametrize("widths", WIDTHS)
def test_layers_have_the_gradients_of_the_plain_chain_and_are_called_once(
    widths: str, kind: str, how: dict[str, int], mode: MemoryMode
) -> None:
    inputs = np.random.default_rng(1).normal(size=(ROWS, WIDTHS[widths][0])).astype(np.float32)
    expected, x = network(WIDTHS[widths], kind), Variable(inputs)
    ad.mean(plainly(expected.functions, x) ** 2).backward()
    found, again = network(WIDTHS[widths], kind), Variable(inputs)
    ad.mean(checkpoint_sequential(found.functions, again, **how) ** 2).backward()
    assert found.gradients(again) == expected.gradients(x)
    assert len(found.calls) == len(found.functions)
    for one, other in zip(found.layers, expected.layers, strict=True):
        if kind == "normalised" and isinstance(one, BatchNorm):
            assert np.array_equal(one.running_var, other.running_var)  # type: ignore[arg-type]


@pytest.mark.usefixtures("in_lean")
@pytest.mark.parametrize("widths", WIDTHS)
def test_layers_stay_within_their_budget_and_more_of_it_costs_less(widths: str) -> None:
    inputs = np.random.default_rng(1).normal(size=(ROWS, WIDTHS[widths][0])).astype(np.float32)

    def measured(budget: int) -> tuple[int, int]:
        chain, x = network(WIDTHS[widths], "plain"), Variable(inputs)
        tracemalloc.start()
        try:
            with counting() as count:
                ad.sum(checkpoint_sequential(chain.functions, x, budget=budget)).backward()
            return count(), tracemalloc.get_traced_memory()[1] + inputs.nbytes
        finally:
            tracemalloc.stop()

    least = inputs.nbytes
    for _ in range(len(WIDTHS[widths])):
        try:
            measured(least)
        except BudgetError as error:
            least = error.least
    counts = []
    for budget in range(least, least + 1_500_001, 250_000):
        count, peak = measured(budget)
        counts.append(count)
        assert peak <= budget + 40_000
    assert counts == sorted(counts, reverse=True)
    plain = 2 * (len(WIDTHS[widths]) - 1) + 1  # with enough of it nothing is computed again
    assert 1.5 * plain < counts[0] and counts[-1] == plain


@pytest.mark.usefixtures("in_lean")
@pytest.mark.parametrize("kind", ["normalised", "dropout"])
@pytest.mark.parametrize("widths", WIDTHS)
def test_so_do_layers_that_make_arrays_beside_operations(widths: str, kind: str) -> None:
    """Masks are drawn, batches averaged, and their stages hold more than one operation."""
    wide = WIDTHS[widths][:7]
    inputs = np.random.default_rng(1).normal(size=(1000, wide[0])).astype(np.float32)

    def measured(budget: int) -> int:
        chain, x = network(wide, kind), Variable(inputs)
        with Peak() as peak:
            ad.sum(checkpoint_sequential(chain.functions, x, budget=budget)).backward()
        return peak.highest + inputs.nbytes

    least = inputs.nbytes
    for _ in range(2 * len(wide)):
        try:
            measured(least)
        except BudgetError as error:
            least = error.least
    for budget in (least, least + 300_000, least + 700_000):
        assert measured(budget) <= budget + 200  # single numbers


@contextmanager
def counting() -> Iterator[Callable[[], int]]:
    """How often any operation's forward runs meanwhile."""
    runs, results = [0], Function.results

    def counted(self: Function, arrays: Any) -> Any:
        runs[0] += 1
        return results(self, arrays)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Function, "results", counted)
        yield lambda: runs[0]


# Stages of any size ------------------------------------------------------------------------------


def test_a_stage_that_is_larger_than_was_expected_finds_room() -> None:
    functions: list[Stage] = [*[ad.tanh] * 8, lambda x: ad.concatenate([x] * 5), ad.tanh]
    for arrays in (16, 17, 18):  # 16 are the least
        assert run(functions, budget=arrays * ARRAY).peak <= arrays + 0.5


def test_random_chains_stay_within_their_budgets() -> None:
    """Of stages that grow, shrink, branch and hold more than one operation."""
    drawn = np.random.default_rng(0)
    unit = 20_000

    def resized(size: int) -> Stage:
        def stage(x: Variable) -> Variable:
            if x.size > size:
                return x[:size] * 1.0
            return ad.concatenate([x] + [x[:unit]] * ((size - x.size) // unit))

        return stage

    kinds: list[Stage] = [
        ad.sin,
        ad.tanh,
        lambda x: x * 0.9,
        lambda x: ad.sin(ad.tanh(x) * 0.5),
        lambda x: x + ad.tanh(x),
    ]
    for _ in range(6):
        functions = [
            kinds[k] if k < len(kinds) else resized(unit * int(drawn.integers(1, 6)))
            for k in drawn.integers(0, len(kinds) + 2, size=8)
        ]
        expected = plain_gradient(functions)
        least = 1
        for _ in range(len(functions)):
            try:
                run(functions, budget=least)
            except BudgetError as error:
                least = error.least
        for budget in (least, least + 4 * ARRAY, least + 12 * ARRAY):
            found = run(functions, budget=budget)
            assert found.gradient == expected
            assert found.peak <= budget / ARRAY + 0.6


def test_without_a_graph_it_is_the_plain_chain() -> None:
    with no_grad():
        y = checkpoint_sequential([ad.sin, ad.exp], Variable(np.ones(3)), budget=1)
    assert y.creator is None
    assert np.array_equal(y.data, np.exp(np.sin(np.ones(3))))


# Life and death -----------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("ends", ["dropped", "backward", "grad of grad"])
def test_nothing_is_left_to_the_collector(
    how: dict[str, int], ends: str, collector_off: None
) -> None:
    w = Variable(np.linspace(1, 2, 7))
    functions: list[Stage] = [ad.sin, lambda x: ad.exp(x * w), ad.tanh, ad.sin]
    with using_mode("lean"):
        x = Variable(np.linspace(0.1, 2, 7))
        y = checkpoint_sequential(functions, x, **how)
        alive = weakref.ref(y.creator)
        if ends == "backward":
            y.backward()
        elif ends == "grad of grad":
            (g,) = grad(y, x, create_graph=True)
            grad(g, x)
            del g
        del y
    assert alive() is None
    assert gc.collect() == 0


def test_a_backward_leaves_no_arrays_of_the_chain() -> None:
    for how in ({"segments": 3}, {"budget": 8 * ARRAY}):
        x = Variable(np.linspace(0.1, 1, SIZE))
        tracemalloc.start()
        try:
            with using_mode("lean"):
                y = ad.sum(checkpoint_sequential([inward] * 9, x, **how))
                y.backward()
            left = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert left < 1.1 * ARRAY  # x's gradient
        assert y.data.size == 1


@ways
def test_a_function_that_fails_leaves_nothing_behind(
    how: dict[str, int], in_lean: None, collector_off: None
) -> None:
    def fails(x: Variable) -> Variable:
        raise ArithmeticError("on purpose")

    x = Variable(np.ones(7))
    with pytest.raises(ArithmeticError):
        checkpoint_sequential([ad.sin, ad.exp, fails, ad.sin], x, **how)
    with using_mode("lean"):
        ad.sin(x).backward()  # recorded as ever
    assert gc.collect() == 0
    assert x.grad is not None
    assert np.array_equal(x.grad, np.cos(np.ones(7)))


@ways
def test_a_rule_that_fails_leaves_no_gradient_and_a_retained_graph_can_be_used(
    how: dict[str, int],
) -> None:
    class Fickle(Function):
        saves = (0,)
        fails = True

        def forward(self, x: Array) -> Array:
            return x * x

        def backward(self, gy: Array) -> Array:
            if Fickle.fails:
                raise ArithmeticError("on purpose")
            (x,) = self.saved
            return 2 * gy * x

    x = Variable(np.linspace(0.1, 2, 7))
    functions: list[Stage] = [ad.sin, lambda x: Fickle()(x), ad.exp, ad.sin, ad.exp]
    y = checkpoint_sequential(functions, x, **how)
    with pytest.raises(ArithmeticError):
        y.backward(retain_graph=True)
    assert x.grad is None
    Fickle.fails = False
    y.backward()
    (plain,) = grad(plainly([ad.sin, ad.square, ad.exp, ad.sin, ad.exp], x), x)
    assert np.allclose(x.grad, plain)  # type: ignore[arg-type]


def test_debug_mode_finds_an_input_that_was_changed_in_place() -> None:
    x = Variable(np.ones(7))
    with using_config("debug", True):
        y = checkpoint_sequential([ad.sin, ad.sin], x, budget=10**6)
        y.backward(retain_graph=True)
        x.data[0] = 2
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward()


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("functions", "how", "error", "says"),
    [
        ([], {"segments": 1}, ValueError, "one function at least"),
        ([ad.sin, 3], {"segments": 1}, TypeError, "function 2 of the chain is int"),
        ([ad.sin], {}, ValueError, "either segments .* or budget"),
        ([ad.sin], {"segments": 1, "budget": 1}, ValueError, "not both"),
        ([ad.sin], {"segments": 0}, ValueError, "segments = 0: allowed are 1 to 1"),
        ([ad.sin], {"segments": 2}, ValueError, "segments = 2: allowed are 1 to 1"),
        ([ad.sin], {"segments": True}, ValueError, "segments = True"),
        ([ad.sin], {"budget": 0}, ValueError, "budget = 0: allowed is a number of bytes"),
        ([ad.sin], {"budget": 1e9}, ValueError, "a positive int"),
        ([ad.sin], {"budget": 99, "result": "kept"}, ValueError, "'dropped' and 'held'"),
        ([ad.sin, lambda x: x.data], {"segments": 1}, TypeError, "function 2 .* gives ndarray"),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_right(
    functions: list[Any], how: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        checkpoint_sequential(functions, Variable(np.ones(3)), **how)

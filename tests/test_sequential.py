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
from test_budget import Peak

import autodiff as ad
from autodiff import (
    BudgetError,
    Function,
    MemoryMode,
    Variable,
    checkpoint,
    checkpoint_sequential,
    grad,
    no_grad,
    using_config,
    using_mode,
)
from autodiff.keepers.footprint import IDLE
from autodiff.keepers.schedules import evaluations
from autodiff.nn import BatchNorm, Dropout, Linear

SIZE = 30_000  # elements, beside which the objects of ten operations are a twelfth of one
ARRAY = SIZE * 8

Array = np.ndarray[Any, Any]
Stage = Callable[[Variable], Variable]


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


def plainly(functions: list[Stage], x: Variable) -> Variable:
    for function in functions:
        x = function(x)
    return x


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
    inputs = np.random.default_rng(1).normal(size=(1000, WIDTHS[widths][0])).astype(np.float32)

    def measured(budget: int) -> int:
        chain, x = network(WIDTHS[widths], kind), Variable(inputs)
        with Peak() as peak:
            ad.sum(checkpoint_sequential(chain.functions, x, budget=budget)).backward()
        return peak.highest + inputs.nbytes

    least = inputs.nbytes
    for _ in range(2 * len(WIDTHS[widths])):
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


# Whatever stages do -------------------------------------------------------------------------------

WAYS = [{"segments": 1}, {"segments": 2}, {"budget": 2_000 + IDLE}, {"budget": 10**6}]  # x: 56 B
ways = pytest.mark.parametrize("how", WAYS, ids=str)


def assert_plain(functions: list[Stage], how: dict[str, int], *others: Variable) -> None:
    """The result and the gradients, of x and of others that stages read, are the plain chain's."""

    def found(chain: Callable[[Variable], Variable]) -> list[bytes]:
        for other in others:
            other.cleargrad()
        start = Variable(np.linspace(0.1, 2, 7))
        y = chain(start * 1.5)
        ad.sum(y * start).backward()
        gradients = [b"" if v.grad is None else v.grad.tobytes() for v in (start, *others)]
        return [y.data.tobytes(), *gradients]

    plain = found(lambda x: plainly(functions, x))
    assert found(lambda x: checkpoint_sequential(functions, x, **how)) == plain


@ways
def test_stages_of_every_kind_have_the_gradients_of_the_plain_chain(
    how: dict[str, int], mode: MemoryMode
) -> None:
    w = Variable(np.linspace(1, 2, 7))
    scale = Variable(np.array(0.3))
    fixed = np.linspace(2, 1, 7)
    assert_plain([ad.sin, lambda x: x, ad.exp, lambda x: x], how)  # the same Variable
    viewed: list[Stage] = [lambda x: x.reshape(1, 7), ad.tanh, lambda x: x[0]]
    assert_plain([ad.sin, *viewed, ad.sin], how)
    assert_plain([lambda x: x * 2, lambda x: x + 1, lambda x: -x], how)  # nothing is read
    assert_plain([lambda x: x * w, lambda x: x / (w + x), lambda x: x * w * w], how, w)
    assert_plain([lambda x: x * ad.exp(scale), ad.sin, lambda x: x * ad.exp(scale)], how, scale)
    assert_plain(
        [ad.sin, lambda x: x * fixed, lambda x: ad.where(x > 0, x, x * fixed), ad.exp], how
    )
    assert_plain([lambda x: ad.stack([x, x * x]), lambda x: x[0] * ad.sin(x[1])], how)
    assert_plain([lambda x: sum(ad.split(x[:6] * x[1:], 2), x[:3]), ad.tanh, ad.sum], how)
    assert_plain([lambda x: x + ad.tanh(x * w) for _ in range(6)], how, w)
    assert_plain([lambda x: ad.standardize(x)[0] * w, ad.sin] * 3, how, w)


@ways
def test_stages_that_do_not_depend_on_their_input(how: dict[str, int], mode: MemoryMode) -> None:
    w = Variable(np.linspace(1, 2, 7))
    assert_plain([ad.sin, lambda x: w * w, ad.exp], how, w)
    assert_plain([ad.sin, lambda x: w, ad.exp, ad.sin], how, w)
    assert_plain([ad.sin, ad.exp, lambda x: ad.sin(w)], how, w)
    assert_plain([ad.sin, ad.exp, lambda x: w], how, w)
    assert_plain([ad.sin, lambda x: x.detach() * 2, lambda x: x * w, ad.exp], how, w)
    assert_plain([ad.sin, lambda x: x.detach()], how)


@ways
def test_stages_that_read_what_others_before_them_gave(
    how: dict[str, int], mode: MemoryMode
) -> None:
    passed: list[Variable] = []

    def gives(x: Variable) -> Variable:
        y = ad.sin(x)
        passed[:] = [y, ad.exp(y)]
        return y * x

    def takes(x: Variable) -> Variable:
        early, later = passed
        passed.clear()
        return x * early + later

    assert_plain([ad.tanh, gives, ad.sin, ad.exp, ad.tanh, takes, ad.sin], how)
    assert_plain([gives, ad.sin, lambda x: passed[0]], how)  # back to an earlier result


def setting_aside(aside: list[Variable], computed: Stage) -> Stage:
    """A stage that computes something more, which no stage after it reads."""

    def stage(x: Variable) -> Variable:
        aside.append(computed(x))
        return ad.sin(x)

    return stage


@ways
def test_a_stage_that_nobody_needs_for_the_result_may_be_read_outside(
    how: dict[str, int], mode: MemoryMode
) -> None:
    x = Variable(np.linspace(0.1, 2, 7))

    def gradients(chain: Callable[[list[Stage]], Variable]) -> list[bytes]:
        aside: list[Variable] = []
        stage = setting_aside(aside, lambda x: ad.exp(ad.tanh(x)) * x)
        y = chain([ad.tanh, stage, ad.exp, stage, ad.sin])
        return [g.tobytes() for g in grad(ad.sum(y) + ad.sum(aside[0] * aside[1]), x)]

    plain = gradients(lambda functions: plainly(functions, x))
    assert gradients(lambda functions: checkpoint_sequential(functions, x, **how)) == plain


@ways
def test_what_was_before_a_result_without_gradient_may_be_read_outside(
    how: dict[str, int], mode: MemoryMode
) -> None:
    x = Variable(np.linspace(0.1, 2, 7))

    def gradients(chain: Callable[[list[Stage]], Variable]) -> list[bytes]:
        aside: list[Variable] = []
        stage = setting_aside(aside, lambda x: ad.exp(ad.tanh(x)))
        y = chain([ad.tanh, stage, stage, lambda x: x.detach() * 2, ad.exp, ad.sin])
        found = grad(ad.sum(aside[0] * aside[1]) + ad.sum(y), x, retain_graph=True)
        return [g.tobytes() for g in (*found, *grad(aside[1], x))]

    plain = gradients(lambda functions: plainly(functions, x))
    assert gradients(lambda functions: checkpoint_sequential(functions, x, **how)) == plain


@ways
def test_gradients_of_gradients_are_bit_equal(how: dict[str, int], mode: MemoryMode) -> None:
    w = Variable(np.linspace(1, 2, 7))
    functions: list[Stage] = [ad.sin, lambda x: ad.exp(x * w), ad.tanh, lambda x: x / w, ad.sin]

    def derivatives(chain: Callable[[Variable], Variable]) -> list[bytes]:
        x = Variable(np.linspace(0.1, 2, 7))
        y = chain(x)
        first = grad(y, [x, w], create_graph=True)
        second = grad(sum(g * g for g in first), [x, w], create_graph=True)
        third = grad(sum(g * g for g in second), [x, w])
        return [g.data.tobytes() for g in (*first, *second)] + [g.tobytes() for g in third]

    plain = derivatives(lambda x: plainly(functions, x))
    assert derivatives(lambda x: checkpoint_sequential(functions, x, **how)) == plain


@ways
def test_a_stage_may_differentiate_inside(how: dict[str, int], mode: MemoryMode) -> None:
    def sloped(x: Variable) -> Variable:
        (g,) = grad(ad.sum(ad.sin(x) * x), x, create_graph=True)
        return x + g * 0.1

    functions: list[Stage] = [ad.tanh, ad.exp, sloped, ad.sin, sloped, ad.tanh]
    found = []
    for chain in (plainly, lambda fs, x: checkpoint_sequential(fs, x, **how)):
        x = Variable(np.linspace(0.1, 2, 7))
        (first,) = grad(chain(functions, x), x, create_graph=True)  # type: ignore[operator]
        (second,) = grad(ad.sum(first * first), x)
        found.append(first.data.tobytes() + second.tobytes())
    assert found[0] == found[1]


@ways
def test_a_graph_that_is_retained_gives_the_same_again(how: dict[str, int]) -> None:
    x = Variable(np.linspace(0.1, 2, 7))
    y = checkpoint_sequential([ad.sin, ad.exp, ad.tanh, ad.sin, ad.exp], x, **how)
    found = [grad(y, x, retain_graph=True)[0].tobytes() for _ in range(3)]
    assert len(set(found)) == 1


@ways
def test_an_input_that_wants_no_gradient(how: dict[str, int], mode: MemoryMode) -> None:
    w = Variable(np.linspace(1, 2, 7))
    functions: list[Stage] = [ad.sin, ad.exp, lambda x: x * w, ad.sin, ad.exp]
    found = []
    for chain in (plainly, lambda fs, x: checkpoint_sequential(fs, x, **how)):
        w.cleargrad()
        x = Variable(np.linspace(0.1, 2, 7), requires_grad=False)
        chain(functions, x).backward()  # type: ignore[operator]
        assert x.grad is None
        assert w.grad is not None
        found.append(w.grad.tobytes())
    assert found[0] == found[1]
    assert checkpoint_sequential([ad.sin], np.ones(3), segments=1).requires_grad is False


@ways
def test_it_stands_in_a_checkpoint_and_checkpoints_in_it_and_it_in_itself(
    how: dict[str, int], mode: MemoryMode
) -> None:
    inner: list[Stage] = [ad.sin, ad.exp, ad.tanh]

    def whole(x: Variable) -> Variable:
        return checkpoint_sequential(inner, x, **how)

    assert_plain([lambda x: checkpoint(whole, x), ad.sin], how)
    assert_plain([ad.sin, whole, ad.exp, whole, whole], how)
    assert_plain([ad.sin, lambda x: checkpoint(lambda x: ad.exp(ad.sin(x)), x), ad.tanh], how)
    x = Variable(np.linspace(0.1, 2, 7))
    (nested,) = grad(checkpoint(whole, x), x)
    (plain,) = grad(plainly(inner, x), x)
    assert np.array_equal(nested, plain)


@pytest.mark.parametrize(
    "keeper",
    [{"budget": 10**6}, {"packer": ad.Compressed()}],
    ids=lambda keeper: next(iter(keeper)),
)
@ways
def test_it_stands_in_a_graph_that_is_kept_in_another_way(
    how: dict[str, int], keeper: dict[str, Any]
) -> None:
    functions: list[Stage] = [ad.sin, ad.exp, ad.tanh, ad.sin]
    found = []
    for chain in (plainly, lambda fs, x: checkpoint_sequential(fs, x, **how)):
        x = Variable(np.linspace(0.1, 2, 7))
        ((name, value),) = keeper.items()
        with using_mode("lean"), using_config(name, value):
            y = ad.sum(ad.exp(chain(functions, ad.sin(x) * 1.5)) ** 2)  # type: ignore[operator]
            y.backward()
        assert x.grad is not None
        found.append(x.grad.tobytes())
    assert found[0] == found[1]


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
    how: dict[str, int], collector_off: None
) -> None:
    def fails(x: Variable) -> Variable:
        raise ArithmeticError("on purpose")

    x = Variable(np.ones(7))
    with using_mode("lean"), pytest.raises(ArithmeticError):
        checkpoint_sequential([ad.sin, ad.exp, fails, ad.sin], x, **how)
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

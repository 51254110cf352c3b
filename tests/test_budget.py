"""A budget: the bytes of arrays stay within it, gradients have the same bits, errors say why."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from budgets import NUMBERS, SIZE, Operation, Peak, S, bits, chain_gradient, chained, least_budget

import autodiff as ad
from autodiff import (
    BudgetError,
    Function,
    Variable,
    exp,
    grad,
    nn,
    sin,
    tanh,
    using_config,
    using_mode,
)
from autodiff.config import settings
from autodiff.functions.elementwise import Sin, Tanh
from autodiff.keepers.budget import Pool
from autodiff.keepers.footprint import Footprint
from experiments.bounds import least_arrays_at_all, least_evaluations

# Modes that keep inputs whole take no budget.
pytestmark = pytest.mark.usefixtures("in_lean")


class Evaluations:
    """How often operations of some kinds were evaluated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *kinds: Any) -> None:
        self.count = 0
        for kind in kinds:
            monkeypatch.setattr(kind, "forward", self.counting(kind.forward))

    def counting(self, forward: Any) -> Any:
        def counted(*xs: Any) -> Any:
            self.count += 1
            return forward(*xs)

        return staticmethod(counted)


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> Evaluations:
    return Evaluations(monkeypatch, Sin, Tanh)


# Chains -------------------------------------------------------------------------------------------

CHAINS = [(sin, "input"), (tanh, "output")]


@pytest.mark.parametrize("held", [False, True], ids=["dropped", "held"])
@pytest.mark.parametrize(("operation", "saves"), CHAINS, ids=["sin", "tanh"])
@pytest.mark.parametrize("length", [1, 2, 10, 25])
def test_a_chain_stays_within_every_budget_that_can_be_met(
    operation: Operation, saves: Any, length: int, held: bool, evaluations: Evaluations
) -> None:
    plain, free = chain_gradient(operation, length, None, held)
    result: Any = "held" if held else "dropped"
    least = least_arrays_at_all(length, saves=saves, result=result)
    done = []
    for arrays in range(least, length + 6):
        evaluations.count = 0
        gradient, peak = chain_gradient(operation, length, arrays * S, held)
        assert gradient == plain
        assert peak <= arrays * S + NUMBERS
        optimum = least_evaluations(length, arrays, saves=saves, result=result)
        assert optimum <= evaluations.count <= 1.6 * optimum, arrays
        done.append(evaluations.count)
        if arrays * S >= free:
            assert evaluations.count == length
    assert done[-1] == length
    with pytest.raises(BudgetError):
        chain_gradient(operation, length, least * S - 1, held)


@pytest.mark.parametrize("length", [10, 30])
def test_a_larger_budget_has_no_more_evaluations_in_a_chain(
    length: int, evaluations: Evaluations
) -> None:
    counts = []
    for arrays in range(4, length + 4):
        evaluations.count = 0
        chain_gradient(sin, length, arrays * S)
        counts.append(evaluations.count)
    assert counts == sorted(counts, reverse=True)


def test_runs_repeat_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    def dropped() -> list[int]:
        found: list[int] = []
        cheapest = Pool._cheapest

        def noting(pool: Pool) -> Any:
            value = cheapest(pool)
            found.append(value.note.used)
            return value

        with monkeypatch.context() as patch:
            patch.setattr(Pool, "_cheapest", noting)
            chain_gradient(sin, 30, 7 * S)
        return found

    first = dropped()
    assert first
    assert dropped() == first


def test_a_long_way_is_gone_again_without_recursion() -> None:
    x = Variable(np.full(SIZE, 0.1))
    plain = grad(sin(sin(chained(ad.neg, x, 3000))), x)[0].tobytes()
    with using_config("budget", 4 * S):
        sin(sin(chained(ad.neg, x, 3000))).backward()
    assert x.grad is not None
    assert x.grad.tobytes() == plain


# Any graph ----------------------------------------------------------------------------------------

PLACES = np.arange(SIZE)[::-1].copy()
WEIGHTS = np.full((SIZE // 100, SIZE // 100), 0.01)

ONE: list[Operation] = [
    sin,
    lambda x: exp(ad.minimum(x, 1)),
    ad.square,
    ad.sigmoid,
    ad.softmax,
    lambda x: x * 0.5,
    lambda x: x[::-1],
    lambda x: x + x,
    lambda x: x - x.mean(),
    lambda x: x.reshape(2, -1).T.reshape(-1),
    lambda x: x[PLACES],
    lambda x: ad.concatenate([x[SIZE // 2 :], x[: SIZE // 2]]),
    lambda x: ad.maximum(x, x[::-1]),
    lambda x: (x.reshape(100, -1) @ WEIGHTS).reshape(-1),
]
TWO: list[Callable[[Variable, Variable], Variable]] = [
    ad.add,
    ad.mul,
    ad.sub,
    ad.maximum,
    lambda a, b: a / (b * b + 1),
    lambda a, b: sum(ad.split(a, 2)).sum() * b,
]


def random_graph(seed: int, leaves: list[Variable], operations: int) -> Variable:
    """A result of random operations on some of the last few results."""
    rng = random.Random(seed)
    few = list(leaves)
    for _ in range(operations):
        if rng.random() < 0.5:
            y = rng.choice(ONE)(rng.choice(few))
        else:
            y = rng.choice(TWO)(rng.choice(few), rng.choice(few))
        if len(few) < 5:
            few.append(ad.tanh(y))
        else:
            few[rng.randrange(len(leaves), 5)] = ad.tanh(y)
    return ad.mean(few[-1] * few[len(leaves)])


def first_order(seed: int) -> list[Any]:
    leaves = [Variable(np.linspace(-1, 1, SIZE)), Variable(np.linspace(0, 2, SIZE))]
    return list(grad(random_graph(seed, leaves, 30), leaves))


def second_order(seed: int) -> list[Any]:
    leaves = [Variable(np.linspace(-1, 1, SIZE)), Variable(np.linspace(0, 2, SIZE))]
    firsts = grad(random_graph(seed, leaves, 12), leaves, create_graph=True)
    return list(grad(sum((g * g).sum() for g in firsts if g is not None), leaves))


def perceptron(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    model = nn.MLP((80, 60, 40, 5), activation=ad.tanh, rng=rng, dtype=np.float64)
    images, classes = rng.normal(size=(100, 70)), rng.integers(0, 5, 100)
    for _ in range(2):
        model.cleargrads()
        ad.softmax_cross_entropy(model(images), classes).backward()
        for p in model.params():
            p.data = p.data - 0.1 * p.grad
    return [p.grad for p in model.params()]


def convolutions(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Conv2d(6, 3, pad=1, rng=rng),
        nn.BatchNorm(),
        ad.relu,
        nn.MaxPool2d(2),
        nn.Conv2d(8, 3, rng=rng),
        ad.relu,
        lambda x: x.reshape(len(x), -1),
        nn.Linear(4, rng=rng),
    )
    x = Variable(rng.normal(size=(8, 3, 16, 16)).astype(np.float32))
    ad.softmax_cross_entropy(model(x), rng.integers(0, 4, 8)).backward()
    return [x.grad, *(p.grad for p in model.params())]


def recurrent(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    model, last = nn.LSTM(32, rng=rng), nn.Linear(1, rng=rng)
    loss: Any = 0
    for x in rng.normal(size=(12, 20, 8)).astype(np.float32):
        loss = loss + ad.mean(last(model(x)) ** 2)
    loss.backward()
    return [p.grad for p in (*model.params(), *last.params())]


GRAPHS = [
    *[(first_order, seed) for seed in range(8)],
    *[(second_order, seed) for seed in range(4)],
    (perceptron, 0),
    (convolutions, 0),
    (recurrent, 0),
]


@pytest.mark.parametrize(("graph", "seed"), GRAPHS, ids=lambda p: getattr(p, "__name__", str(p)))
def test_gradients_have_the_same_bits_within_every_budget(
    graph: Callable[[int], list[Any]], seed: int
) -> None:
    with Peak() as free:
        plain = bits(graph(seed))
    most = 4 * free.highest  # in small graphs the buffers of NumPy count
    least = least_budget(lambda: graph(seed), most)
    for budget in np.linspace(least, most, 6).astype(int):
        with Peak() as peak, using_config("budget", budget):
            assert bits(graph(seed)) == plain
        assert peak.highest <= budget + 2000, least  # what the test itself draws


# Errors -------------------------------------------------------------------------------------------


def test_an_error_says_by_how_much_and_what_could_be_done() -> None:
    with using_config("budget", 3 * S), pytest.raises(BudgetError) as caught:
        chained(sin, Variable(np.ones(SIZE)), 5).backward()
    error = caught.value
    assert isinstance(error, MemoryError)
    assert (error.budget, error.least) == (3 * S, 4 * S)
    for part in (f"{3 * S} bytes", f"{S} more", "Sin", "gradients", "leaves", "larger budget"):
        assert part in str(error)
    assert "checkpoint_sequential" in str(error)


def test_after_an_error_no_gradient_is_half_added_and_a_larger_budget_does() -> None:
    a, b = Variable(np.ones(SIZE)), Variable(np.full(SIZE, 2.0))
    a.grad = before = np.full(SIZE, 7.0)

    def run() -> None:
        (chained(sin, a, 6) * b).backward()

    with using_config("budget", 5 * S), pytest.raises(BudgetError):
        run()
    assert a.grad is before
    assert b.grad is None
    gc.collect()
    a.cleargrad()
    with using_config("budget", 9 * S):
        run()
    found = a.grad
    a.cleargrad()
    run()
    assert found is not None
    assert a.grad is not None
    assert found.tobytes() == a.grad.tobytes()


def test_after_an_error_the_pool_counts_right() -> None:
    x = Variable(np.ones(SIZE))
    with using_config("budget", 4 * S):
        pool: Any = settings().keeper
        held = [sin(x)]
        held.append(sin(held[-1]))
        held.append(sin(held[-1]))
        with pytest.raises(BudgetError):
            sin(held[-1])
        assert pool.ledger.standing == 4 * S
        held.clear()
        assert pool.ledger.standing == S
        chained(sin, x, 6).backward()
        assert pool.ledger.standing == 2 * S


def test_what_was_not_foreseen_is_an_error_and_never_silent() -> None:
    class Outer(Function):
        saves = ()

        def forward(self, x: Any) -> Any:
            return np.outer(x, np.ones(10))

        def backward(self, gy: Any) -> Any:
            return gy.sum(axis=1)

    x = Variable(np.ones(SIZE))
    with using_config("budget", 5 * S), pytest.raises(BudgetError, match="Outer"):
        Outer()(x)
    with using_config("budget", 40 * S):
        Outer()(x).backward()
    assert x.grad is not None


def test_a_kind_of_function_can_say_what_it_allocates() -> None:
    class Wide(Function):
        saves = ()
        footprint = Footprint(beside=9)

        def forward(self, x: Any) -> Any:
            return np.tile(x, 10)[: x.size] * 1

        def backward(self, gy: Any) -> Any:
            return gy

    with using_config("budget", 10 * S), pytest.raises(BudgetError, match=f"needs {10 * S} bytes"):
        Wide()(Variable(np.ones(SIZE)))


@pytest.mark.parametrize("budget", ["1", 1.5, True, [1]])
def test_a_budget_is_a_whole_number(budget: Any) -> None:
    with pytest.raises(TypeError, match="whole number of bytes"):
        using_config("budget", budget)


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_is_above_zero(budget: int) -> None:
    with pytest.raises(ValueError, match="above 0"):
        using_config("budget", budget)


def test_graphs_that_keep_inputs_whole_take_no_budget() -> None:
    with using_config("budget", np.int64(1000)):
        for name in ("step16", "step17", "step18"):
            with pytest.raises(ValueError, match=r"kept='inputs'.*lean"):
                using_mode(name)
        with using_mode("no_grad"):
            pass
        with using_config("budget", None), using_mode("step18"):
            pass
    with using_mode("step18"), pytest.raises(ValueError, match="budget"):
        using_config("budget", 1000)

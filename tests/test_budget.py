"""A budget: the bytes of arrays stay within it, gradients have the same bits, errors say why."""

from __future__ import annotations

import gc
import random
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

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
from experiments.instruments.allocations import Allocations

# Modes that keep inputs whole take no budget.
pytestmark = pytest.mark.usefixtures("in_lean")

SIZE = 5_000  # elements, above what NumPy and the engine treat as small
S = SIZE * 8  # bytes
NUMBERS = 64  # bytes, of single numbers that NumPy makes arrays of

Operation: TypeAlias = Callable[[Variable], Variable]


class Peak:
    """The most that arrays come to while something runs, to the byte; and evaluations done."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        self.now = self.highest = 0
        self.allocations = Allocations(self.born, self.died)

    def born(self, address: int, size: int) -> None:
        self.sizes[address] = size
        self.now += size
        self.highest = max(self.highest, self.now)

    def died(self, address: int) -> None:
        self.now -= self.sizes.pop(address, 0)

    def __enter__(self) -> Peak:
        self.allocations.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.allocations.stop()


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


def chained(operation: Operation, x: Variable, length: int) -> Variable:
    y = x
    for _ in range(length):
        y = operation(y)
    return y


def chain_gradient(
    operation: Operation, length: int, budget: int | None, held: bool = False
) -> tuple[bytes, int]:
    """The gradient of a chain, and the peak of its arrays in bytes."""
    with Peak() as peak:
        x = Variable(np.full(SIZE, 0.1))
        with using_config("budget", budget):
            if held:
                y = chained(operation, x, length)
                y.backward()
            else:
                chained(operation, x, length).backward()
    assert x.grad is not None
    return x.grad.tobytes(), peak.highest


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


def bits(gradients: list[Any]) -> list[bytes | None]:
    return [None if g is None else np.asarray(g).tobytes() for g in gradients]


def least_budget(compute: Callable[[], Any], high: int) -> int:
    """The least of some budgets between high and a tenth of it that can be met."""
    low = high // 10
    while high - low > high // 40:
        middle = (low + high) // 2
        try:
            with using_config("budget", middle):
                compute()
        except BudgetError:
            low = middle
        else:
            high = middle
    return high


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


# What is held, and by whom ------------------------------------------------------------------------


def test_what_somebody_holds_is_not_dropped_in_vain() -> None:
    x = Variable(np.ones(SIZE))
    with using_config("budget", 10 * S):
        held = [sin(x)]
        for _ in range(3):
            held.append(sin(held[-1]))
        y = chained(sin, held[-1], 8)  # there is room for some of these, and it drops some
        arrays = [weakref.ref(v.data) for v in held]
        held.clear()
        assert all(reference() is not None for reference in arrays)
        y.backward()


def test_the_way_back_holds_nothing_from_beside_it() -> None:
    """Each step adds what is near to the leaves, which is not to wait for what is far from them."""
    x, w = Variable(np.full(SIZE, 0.1)), Variable(np.full(SIZE, 0.5))

    def step(y: Variable) -> Variable:
        return tanh(ad.add(y, ad.neg(w)))

    plain = chained(step, x, 12).data
    with Peak() as peak, using_config("budget", 6 * S):
        y = sin(chained(step, x, 12))
        pool: Any = settings().keeper
        pool.clear(3 * S, "the test")  # which drops all but x, w and y
        assert y.creator is not None
        assert np.array_equal(y.creator.saved[0], plain)
    assert peak.highest <= 6 * S


def test_an_array_that_several_functions_keep_is_held_once() -> None:
    x = Variable(np.ones(SIZE))
    with Peak() as peak, using_config("budget", 5 * S):
        y = sin(x)
        z = [sin(y) for _ in range(2)]
        del y
    assert peak.now == 3 * S
    assert len(z) == 2


def test_a_view_is_held_as_what_it_is_a_view_of() -> None:
    with Peak() as peak, using_config("budget", 12 * S):
        x = Variable(np.ones(SIZE))
        y = sin(x)
        z = sin(y.reshape(2, -1).T)  # its rule reads the view
        del y
        assert peak.now == 3 * S
        z.backward()
    assert peak.highest <= 12 * S
    assert x.grad == pytest.approx(np.cos(np.sin(1)) * np.cos(1))


def test_what_no_rule_reads_any_more_is_let_go() -> None:
    x = Variable(np.ones(SIZE))
    with Peak() as peak, using_config("budget", 100 * S):
        y = chained(sin, x, 10)
        assert peak.now == 10 * S
        y.backward()
        assert peak.now == 2 * S  # y and the gradient
        del y
    assert peak.now == S


def test_data_that_is_replaced_after_the_forward_is_computed_from_as_it_was() -> None:
    x, w = Variable(np.full(SIZE, 0.5)), Variable(np.full(SIZE, 1.5))
    plain = bits(list(grad(chained(lambda y: sin(y * w), x, 6), [x, w])))
    with using_config("budget", 9 * S):
        y = chained(lambda y: sin(y * w), x, 6)
        w.data = np.zeros(SIZE)
        x.data = np.zeros(SIZE)
        assert bits(list(grad(y, [x, w]))) == plain


@pytest.mark.parametrize("outside", [False, True])
def test_backward_keeps_to_the_budget_also_outside_of_the_block(outside: bool) -> None:
    plain, _ = chain_gradient(sin, 20, None)
    with Peak() as peak:
        x = Variable(np.full(SIZE, 0.1))
        with using_config("budget", 7 * S):
            y = chained(sin, x, 20)
            if not outside:
                y.backward()
        if outside:
            y.backward()
    assert peak.highest <= 7 * S
    assert x.grad is not None
    assert x.grad.tobytes() == plain


def test_a_graph_that_stays_can_be_gone_over_again() -> None:
    plain, _ = chain_gradient(sin, 12, None)
    x = Variable(np.full(SIZE, 0.1))
    with Peak() as peak, using_config("budget", 8 * S):
        y = chained(sin, x, 12)
        for _ in range(3):
            x.cleargrad()
            y.backward(retain_graph=True)
            assert x.grad is not None
            assert x.grad.tobytes() == plain
    assert peak.highest <= 8 * S


def test_several_graphs_share_one_budget() -> None:
    plain, _ = chain_gradient(sin, 12, None)
    xs = [Variable(np.full(SIZE, 0.1)) for _ in range(2)]
    with Peak() as peak, using_config("budget", 12 * S):
        ys = [chained(sin, x, 12) for x in xs]
        while ys:
            ys.pop().backward()
    assert peak.highest <= 12 * S
    assert [x.grad.tobytes() for x in xs if x.grad is not None] == [plain] * 2


def test_training_in_one_pool_leaves_nothing_behind() -> None:
    with using_config("budget", 10**6):
        pool: Any = settings().keeper
        model = nn.MLP((20, 10), rng=np.random.default_rng(0))
        optimizer = nn.Adam().setup(model)
        standing = []
        for _ in range(5):
            model.cleargrads()
            ad.mean(model(np.ones((30, 40), np.float32)) ** 2).backward()
            optimizer.update()
            standing.append(pool.ledger.standing)
        assert len(set(standing[1:])) == 1  # the first step makes the weights, and Adam's sums
        assert not pool._held
    arrays = [a for p in model.params() for a in (p.data, p.grad)]
    assert standing[-1] <= 3 * sum(a.nbytes for a in arrays)


def test_an_inner_budget_has_its_own_pool_and_counts_what_the_outer_holds() -> None:
    x = Variable(np.ones(SIZE))
    with using_config("budget", 20 * S):
        y = chained(sin, x, 5)  # six arrays stand
        with Peak() as peak, using_config("budget", 10 * S):
            sin(chained(sin, x, 10)).backward()
        assert peak.highest <= 5 * S  # of the inner budget's ten, one gradient being the last
        with using_config("budget", 6 * S), pytest.raises(BudgetError):
            sin(x)
        y.backward()


def test_two_threads_have_pools_of_their_own() -> None:
    plain, _ = chain_gradient(sin, 30, None)
    found: list[bytes] = []
    barrier = threading.Barrier(2)

    def work() -> None:
        with using_mode("lean"), using_config("budget", 7 * S):
            barrier.wait()
            for _ in range(3):
                x = Variable(np.full(SIZE, 0.1))
                chained(sin, x, 30).backward()
                assert x.grad is not None
                found.append(x.grad.tobytes())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [plain] * 6


@pytest.mark.parametrize("arrays", range(7, 14))
def test_checkpoint_within_a_budget(arrays: int) -> None:
    def block(x: Variable) -> Variable:
        return chained(sin, x, 6)

    x = Variable(np.full(SIZE, 0.1))
    plain = grad(block(block(x)), x)[0].tobytes()
    with Peak() as peak, using_config("budget", arrays * S):
        held = chained(sin, x, 3)  # what it keeps makes room for what checkpoint computes
        y = ad.checkpoint(block, ad.checkpoint(block, x))
        assert grad(y, x)[0].tobytes() == plain
        held.backward()
    assert peak.highest <= arrays * S


def test_an_array_of_somebody_elses_counts_once_an_operation_is_given_it() -> None:
    x, w = Variable(np.ones(SIZE)), Variable(np.ones(SIZE))
    with using_config("budget", 20 * S):
        pool: Any = settings().keeper
        y = sin(x)
        assert pool.ledger.standing == 2 * S
        y = y * w
        assert pool.ledger.standing == 4 * S
    assert y.creator is not None


def test_weights_that_wait_for_their_turn_count_once_they_are_told_of() -> None:
    def run() -> list[Any]:
        x, *ws = [Variable(np.full(SIZE, 0.5)) for _ in range(6)]
        ad.count_in_budget(*ws[:3], ws[3].data, ws[4])
        y = x
        for w in ws:
            y = tanh(y * w)
        return list(grad(y, [x, *ws]))

    plain = bits(run())
    for arrays in range(15, 24):
        with Peak() as peak, using_config("budget", arrays * S):
            assert bits(run()) == plain
        assert peak.highest <= arrays * S + NUMBERS
    with using_config("budget", 4 * S), pytest.raises(BudgetError, match="what was counted last"):
        run()


def test_a_layer_counts_all_its_weights_when_it_is_called() -> None:
    rng = np.random.default_rng(0)
    wide = [nn.Linear(n, in_size=m, rng=rng) for m, n in [(40, 60), (60, 400), (400, 80), (80, 5)]]
    model = nn.Sequential(wide[0], tanh, wide[1], tanh, nn.Sequential(wide[2], tanh), wide[3])
    with using_config("budget", 1 << 30):
        pool: Any = settings().keeper
        seen = []
        model.parts[0].forward = lambda x: seen.append(pool.ledger.standing) or x[:, :60]  # type: ignore[attr-defined, func-returns-value]
        model(rng.normal(size=(10, 60)).astype(np.float32))
    assert seen == [sum(p.data.nbytes for p in model.params() if p.data is not None)]


def test_what_layers_make_beside_operations_stays_within_the_budget() -> None:
    """Masks, running statistics, places of the largest, and weights drawn when first used."""

    def run() -> None:
        rng = np.random.default_rng(0)
        model = nn.Sequential(
            nn.Conv2d(20, 3, rng=rng),
            tanh,
            nn.Dropout(0.3, rng),
            nn.BatchNorm(),
            tanh,
            nn.MaxPool2d(2),
            nn.Dropout(0.3, rng),
            lambda x: x.reshape(len(x), -1),
            nn.Linear(200, rng=rng),
            tanh,
        )
        y = model(Variable(rng.normal(size=(20, 3, 18, 18)).astype(np.float32)))
        ad.mean(nn.functional.dropout(y * 2.0, 0.5, rng)).backward()

    with Peak() as free:
        run()
    most = 2 * free.highest
    least = least_budget(run, most)
    for budget in np.linspace(least, most, 12).astype(int):
        with Peak() as peak, using_config("budget", budget):
            run()
        assert peak.highest <= budget + NUMBERS


def test_functions_ask_for_room_of_their_own() -> None:
    x = Variable(np.full(SIZE, 0.1))
    ad.make_room(1 << 60)  # where there is no budget, nobody counts
    with Peak() as peak, using_config("budget", 6 * S):
        y = chained(sin, x, 4)
        ad.make_room(4 * S)
        mask = np.ones(4 * SIZE)
        del mask
        with pytest.raises(BudgetError, match=f"needs {5 * S} bytes"):
            ad.make_room(5 * S)
        y.backward()
    assert peak.highest <= 5 * S + NUMBERS  # and x


def test_what_is_computed_without_a_graph_keeps_to_the_budget() -> None:
    x = Variable(np.full(SIZE, 0.1))
    with Peak() as peak, using_config("budget", 6 * S):
        y = chained(sin, x, 5)
        with ad.no_grad():
            z = sin(sin(x))
        assert (y.creator is None, z.creator is None) == (False, True)
    assert peak.highest <= 5 * S  # and x


@pytest.mark.parametrize("end", ["backward", "dropped", "error", "create_graph"])
def test_nothing_is_left_to_the_collector(end: str, collector_off: None) -> None:
    gc.collect()
    x = Variable(np.ones(SIZE))
    with using_config("budget", 6 * S if end != "create_graph" else 40 * S):
        pool = weakref.ref(settings().keeper)
        y = chained(sin, x, 10)
        reference = weakref.ref(y.creator)
        if end == "backward":
            y.backward()
        elif end == "create_graph":
            y.backward(create_graph=True)
            x.cleargrad()
        elif end == "error":
            with pytest.raises(BudgetError):
                [chained(sin, x, 1) for _ in range(9)]
        del y
        assert reference() is None
    assert gc.collect() == 0
    assert pool() is None

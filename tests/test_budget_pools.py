"""What a budget holds and lets go, and whose: pools, threads, blocks, and what others hold."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from budgets import NUMBERS, SIZE, Peak, S, bits, chain_gradient, chained, least_budget

import autodiff as ad
from autodiff import BudgetError, Variable, grad, nn, sin, tanh, using_config, using_mode
from autodiff.config import settings

# Modes that keep inputs whole take no budget.
pytestmark = pytest.mark.usefixtures("in_lean")


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

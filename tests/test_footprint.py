"""What operations are foreseen to allocate, against what they do."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operations import ROWS, Row, bits, each, is_float, total

import autodiff as ad
from autodiff import Function, Variable, grad, using_config, using_mode
from autodiff.functions.correlation import Geometry, Spread, Weighted
from autodiff.keepers.budget import Budgeted, Pool

SLACK = 8 << 10  # bytes, for objects; arrays here are of 400 KiB
N = 50_000


def draw(*shape: int, low: float = 0.5, dtype: Any = float) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    return rng.uniform(low, 1.5, shape).astype(dtype)


x, row, column = draw(N), draw(1, 250), draw(200, 1)
m, square = draw(250, 200), draw(220, 220)
images = draw(4, 3, 64, 64)
condition = draw(N) > 1
places = np.random.default_rng(0).integers(0, 200, 600)
GEOMETRY = Geometry((4, 3, 64, 64), 8, (3, 3), (1, 1), (1, 1))
classes = np.random.default_rng(0).integers(0, 10, 5000)

# By row of operations.py: calls of the operation on large arrays.
Call = tuple[Callable[..., Any], Sequence[np.ndarray]]
CALLS: dict[str, list[Call]] = {
    **{
        name: [(getattr(ad, name), [x])]
        for name in "abs cos exp log relu sigmoid sin sqrt square tan tanh leaky_relu".split()
    },
    **{
        name: [
            (getattr(ad, name), [x, x * 1.1]),
            (getattr(ad, name), [row, column]),
            (getattr(ad, name), [x, np.array(1.5)]),
            (lambda a, name=name: getattr(ad, name)(a, 2), [x]),
            (lambda a, name=name: getattr(ad, name)(a, 3.5), [x]),
            (lambda a, name=name: getattr(ad, name)(2.5, a), [x]),
        ]
        for name in "add div maximum minimum mul pow sub".split()
    },
    "rdiv": [(lambda a: 2 / a, [x])],
    "rpow": [(lambda a: 2.5**a, [x])],
    "rsub": [(lambda a: 2 - a, [x])],
    "neg": [(lambda a: -a, [x])],
    "astype": [(lambda a: ad.astype(a, "f4"), [x]), (lambda a: ad.astype(a * 1, "f8"), [x])],
    "clip": [(lambda a: ad.clip(a, 0.6, 1.2), [x])],
    "clip by arrays": [(ad.clip, [x, x - 0.1, x + 0.1])],
    "where": [(ad.where, [condition, x, x * 2]), (lambda a: ad.where(condition, a, 1), [x])],
    **{
        name: [
            (getattr(ad, name), [x]),
            (lambda a, name=name: getattr(ad, name)(a, axis=0), [m]),
            (lambda a, name=name: getattr(ad, name)(a, axis=1, keepdims=True), [m]),
            (lambda a, name=name: getattr(ad, name)(a, axis=(0, 2)), [images]),
            (lambda a, name=name: getattr(ad, name)(a, axis=1), [m.reshape(-1, 2)]),
        ]
        for name in "logsumexp max mean min sum var".split()
    },
    "standardize": [
        (ad.standardize, [m]),
        (lambda a: ad.standardize(a, axis=0), [m]),
        (lambda a: ad.standardize(a, axis=1), [m.reshape(-1, 2)]),
    ],
    **{
        name: [(getattr(ad, name), [m]), (lambda a, name=name: getattr(ad, name)(a, axis=0), [m])]
        for name in ("softmax", "log_softmax")
    },
    "softmax_cross_entropy": [
        (ad.softmax_cross_entropy, [draw(5000, 10), classes]),
        (ad.softmax_cross_entropy, [draw(5000, 2), classes % 2]),
    ],
    "mean_squared_error": [(ad.mean_squared_error, [x, x * 2])],
    "dot": [(ad.dot, [m, m.T.copy()]), (ad.dot, [x, x])],
    "linear": [
        (ad.linear, [m, draw(200, 300), draw(300)]),
        (ad.linear, [draw(20, 50, 60), draw(60, 70), draw(70)]),
    ],
    "matmul": [
        (ad.matmul, [m, m.T.copy()]),
        (ad.matmul, [m.T, draw(250, 30)]),
        (ad.matmul, [draw(10, 50, 60), draw(60, 90)]),
        (ad.matmul, [draw(10, 50, 60), draw(10, 60, 90)]),
        (ad.matmul, [square, draw(220)]),
        (ad.matmul, [draw(220), square]),
        (ad.matmul, [square[::2, ::2], square[:110]]),
    ],
    "rmatmul": [(lambda a, b: ad.rmatmul(b, a), [m, m.T.copy()])],
    "tensordot": [
        (lambda a, b: ad.tensordot(a, b, 1), [m, m.T.copy()]),
        (lambda a, b: ad.tensordot(a, b, ((0, 1), (1, 0))), [draw(40, 30, 50), draw(30, 40, 9)]),
        (
            lambda a, b: ad.tensordot(a, b, ((1, 4, 5), (1, 2, 3))),
            [draw(2, 3, 30, 30, 3, 3), draw(8, 3, 3, 3)],
        ),
    ],
    "broadcast_to": [(lambda a: ad.broadcast_to(a, (200, 250)), [row])],
    "sum_to": [
        (lambda a: ad.sum_to(a, (1, 200)), [m]),
        (lambda a: ad.sum_to(a, (64, 1)), [images]),
    ],
    "concatenate": [(lambda a, b: ad.concatenate([a, b]), [x, x * 2])],
    "stack": [(lambda a, b: ad.stack([a, b], axis=1), [x, x * 2])],
    "split": [(lambda a: ad.split(a, 2), [x]), (lambda a: ad.split(a, 2)[0], [x])],
    "expand_dims": [(lambda a: ad.expand_dims(a, 0), [x])],
    "squeeze": [(ad.squeeze, [row])],
    "transpose": [(ad.transpose, [m])],
    "swapaxes": [(lambda a: ad.swapaxes(a, 0, 1), [m])],
    "reshape": [
        (lambda a: ad.reshape(a, (200, 250)), [x]),
        (lambda a: ad.reshape(a.T, -1), [m]),
    ],
    "getitem": [
        (lambda a: a[: N // 2], [x]),
        (lambda a: a[places], [m]),
        (lambda a: a[places % 50, places], [m]),
        (lambda a: a[condition], [x]),
        (lambda a: a[:, places % 200], [m]),
    ],
    "scatter": [],
    "pad": [(lambda a: ad.pad(a, 30), [m])],
    "windows": [(lambda a: ad.windows(a, 3), [images]), (lambda a: ad.windows(a, 2, 2), [images])],
    "correlate": [
        (ad.correlate, [images, draw(8, 3, 3, 3), draw(8)]),
        (lambda a, w: ad.correlate(a, w, None, 2, 1), [draw(2, 20, 50, 50), draw(30, 20, 5, 5)]),
    ],
    "correlate by x": [
        (lambda y, w: Spread(GEOMETRY)(y, w), [draw(*GEOMETRY.results), draw(*GEOMETRY.weights)])
    ],
    "correlate by W": [
        (lambda a, y: Weighted(GEOMETRY)(a, y), [draw(*GEOMETRY.images), draw(*GEOMETRY.results)])
    ],
    "overlay": [
        (lambda a: ad.overlay(a, images.shape, 2), [draw(4, 3, 32, 32, 2, 2)]),
    ],
}


class Watched:
    """Allocations of each forward and each rule, as foreseen and as they were."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: list[tuple[str, int, int]] = []
        self.kinds: set[type[Function]] = set()
        self.foreseen = 0
        prepare, keep, clear = Pool.prepare, Pool.keep, Pool.clear
        begin, end = Budgeted.begin, Budgeted.end

        def cleared(pool: Pool, size: int, who: str) -> None:
            clear(pool, size, who)
            self.foreseen = size

        def prepared(pool: Pool, function: Function, arrays: Any) -> None:
            prepare(pool, function, arrays)
            self.start()

        def kept(pool: Pool, function: Function, arrays: Any, results: Any) -> None:
            self.stop(type(function).__name__)
            self.kinds.add(type(function))
            keep(pool, function, arrays, results)

        def began(kept: Budgeted, gy: Any) -> Any:
            arrays = begin(kept, gy)
            self.start()
            return arrays

        def ended(kept: Budgeted, gxs: Any) -> None:
            self.stop(f"the rule of {kept.name}")
            end(kept, gxs)

        monkeypatch.setattr(Pool, "clear", cleared)
        monkeypatch.setattr(Pool, "prepare", prepared)
        monkeypatch.setattr(Pool, "keep", kept)
        monkeypatch.setattr(Budgeted, "begin", began)
        monkeypatch.setattr(Budgeted, "end", ended)

    def start(self) -> None:
        tracemalloc.reset_peak()
        self.before = tracemalloc.get_traced_memory()[0]

    def stop(self, who: str) -> None:
        self.found.append((who, self.foreseen, tracemalloc.get_traced_memory()[1] - self.before))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    watched = Watched(monkeypatch)
    tracemalloc.start()
    with using_mode("lean"):
        yield watched
    tracemalloc.stop()


def run(call: Call, dtype: str) -> None:
    operation, arrays = call
    given = [Variable(a.astype(dtype) if a.dtype.kind == "f" else a) for a in arrays]
    with using_config("budget", 1 << 40):
        ys = operation(*given)
        ys = list(ys) if isinstance(ys, (tuple, list)) else [ys]
        grad(ys, [v for v in given if v.dtype.kind == "f"])


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", CALLS)
def test_no_operation_allocates_more_than_is_foreseen(
    name: str, dtype: str, watched: Watched
) -> None:
    kinds = next(row.records for row in ROWS if row.name == name)
    for call in CALLS[name]:
        run(call, dtype)  # once, for what NumPy does the first time
        watched.found.clear()
        run(call, dtype)
        for who, foreseen, measured in watched.found:
            assert measured <= foreseen + SLACK, who
    if CALLS[name]:
        assert watched.kinds & set(kinds)


def test_every_row_is_called() -> None:
    assert CALLS.keys() == {row.name for row in ROWS}


@each()
@given(data=st.data())
@settings(max_examples=4)
def test_every_operation_gives_the_same_within_a_budget(row: Row, data: st.DataObject) -> None:
    case = data.draw(row.cases)
    found = []
    for budget in (None, 1 << 20):
        with using_mode("lean"), using_config("budget", budget):
            xs = [Variable(x.copy()) for x in case.operands]
            wanted = [x for x in xs if is_float(x.data)]
            result = total([y * 2 for y in row(*(x * 1 for x in xs), **deepcopy(case.options))])
            first = grad(result, wanted, create_graph=True)
            second = grad(total([g for g in first if g is not None]), wanted)
            found.append(bits([*(None if g is None else g.data for g in first), *second]))
    assert found[0] == found[1]

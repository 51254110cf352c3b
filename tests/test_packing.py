"""What graphs keep, packed: the same gradients or as near as it says, and as many bytes."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autodiff as ad
from autodiff import (
    Compressed,
    Config,
    Disk,
    Half,
    Variable,
    checkpoint,
    grad,
    nn,
    using_config,
    using_mode,
)

# Modes that keep inputs whole have nothing to pack.
pytestmark = pytest.mark.usefixtures("in_lean")

SIZE = 100_000  # elements; with it objects do not count
PAGEFUL = 10_000  # elements, more than a page of memory: Disk leaves less where it is

EXACT = {"Compressed": Compressed, "Disk": Disk}


class Noted:
    """A packer that changes nothing and says what it was asked."""

    def __init__(self) -> None:
        self.packed: list[np.ndarray] = []
        self.unpacked = 0

    def pack(self, array: np.ndarray) -> Any:
        self.packed.append(array.copy())
        return array.copy()

    def unpack(self, packed: Any) -> np.ndarray:
        self.unpacked += 1
        array: np.ndarray = packed.copy()
        return array


def bits(*arrays: Any) -> list[bytes | None]:
    return [None if a is None else a.tobytes() for a in arrays]


# Gradients ------------------------------------------------------------------------------------


def network(rng: np.random.Generator) -> tuple[nn.Layer, np.ndarray]:
    layer = nn.Sequential(
        nn.Conv2d(4, 3, pad=1, dtype=np.float64, rng=rng),
        nn.BatchNorm(dtype=np.float64),
        ad.relu,
        nn.MaxPool2d(2),
        lambda x: ad.reshape(x, (x.shape[0], -1)),
        nn.Linear(30, dtype=np.float64, rng=rng),
        ad.tanh,
        nn.Dropout(0.3, rng),
        nn.Linear(10, dtype=np.float64, rng=rng),
    )
    return layer, rng.normal(size=(16, 2, 8, 8))


def losses_and_gradients(packer: Any, steps: int = 3) -> tuple[list[float], list[np.ndarray]]:
    """Of some steps of training."""
    rng = np.random.default_rng(0)
    layer, x = network(rng)
    optimizer = nn.SGD(0.05).setup(layer)
    losses, gradients = [], []
    with using_config("packer", packer):
        for _ in range(steps):
            layer.cleargrads()
            loss = ad.softmax_cross_entropy(layer(x), np.arange(16) % 10)
            loss.backward()
            losses.append(float(loss))
            gradients = [p.grad.copy() for p in layer.params() if p.grad is not None]
            optimizer.update()
    return losses, gradients


@pytest.mark.parametrize("name", EXACT)
def test_exact_packers_train_to_the_same_bits(name: str) -> None:
    losses, gradients = losses_and_gradients(EXACT[name]())
    plain_losses, plain_gradients = losses_and_gradients(None)
    assert losses == plain_losses
    assert bits(*gradients) == bits(*plain_gradients)
    assert len(gradients) == 8


def test_half_trains_nearly_the_same() -> None:
    losses, gradients = losses_and_gradients(Half(), steps=1)
    plain_losses, plain_gradients = losses_and_gradients(None, steps=1)
    assert losses == plain_losses
    found, plain = (np.concatenate([g.ravel() for g in gs]) for gs in (gradients, plain_gradients))
    assert 0 < np.linalg.norm(found - plain) <= 2.0**-9 * np.linalg.norm(plain)


def test_its_bound_holds_for_what_training_keeps() -> None:
    class Checked(Half):
        arrays = 0

        def pack(self, array: np.ndarray) -> Any:
            packed = super().pack(array)
            error = np.abs(self.unpack(packed) - array)
            size = np.abs(array)
            assert (error <= np.maximum(size * 2.0**-11, size.max() * 2.0**-39)).all()
            self.arrays += error.any()
            return packed

    packer = Checked()
    losses_and_gradients(packer)
    assert packer.arrays > 10


def test_half_is_off_by_its_bound_where_a_rule_multiplies() -> None:
    """Products of n factors: a gradient is off by at most 2**-11 for each of those kept."""
    x = Variable(np.random.default_rng(0).uniform(1, 2, SIZE))
    found = []
    for packer in (None, Half()):
        with using_config("packer", packer):
            y = ad.exp(x)
            for _ in range(4):
                y = y * y
            found.append(grad(y * 2.0**-60, [x])[0])
    error = np.abs(found[1] - found[0]) / np.abs(found[0])
    assert 0 < error.max() <= (1 + 2.0**-11) ** 5 - 1


Case = Callable[[Variable], Variable]
CASES: dict[str, Case] = {
    "windows": lambda x: ad.tensordot(
        ad.windows(ad.sin(x).T.reshape(1, 1, 48, 32), 3), KERNEL, ((1, 4, 5), (0, 1, 2))
    ),
    "broadcast": lambda x: ad.broadcast_to(ad.exp(x), (5, 32, 48)) * ad.sin(x),
    "selection": lambda x: ad.sin(ad.exp(x)[1:17, ::2]) * ad.exp(x)[::2, ::2],
    "view of a leaf": lambda x: ad.sin(x.T) * x.reshape(48, 32),
    "matmul": lambda x: ad.tanh(x @ ad.sin(x).T) @ ad.sin(x),
    "fortran": lambda x: ad.sin(ad.exp(ad.sin(x.T))) * ad.exp(x.T),
    "split": lambda x: ad.sin(ad.concatenate(ad.split(ad.sin(x), 2, axis=1)[::-1])),
    "softmax": lambda x: ad.softmax(ad.tanh(x)) * ad.logsumexp(ad.sin(x), axis=1, keepdims=True),
    "max": lambda x: ad.max(ad.sin(x), axis=0) + ad.var(ad.exp(x)),
    "checkpoint": lambda x: checkpoint(lambda v: ad.sin(ad.exp(v)) * v, ad.tanh(x)),
}
KERNEL = np.random.default_rng(1).normal(size=(1, 3, 3))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", EXACT)
def test_what_is_shared_or_lies_otherwise_comes_out_as_it_was(name: str, case: str) -> None:
    found = []
    for packer in (None, EXACT[name]()):
        x = Variable(np.random.default_rng(2).normal(size=(32, 48)))
        with using_config("packer", packer), using_config("debug", True):
            (first,) = grad(CASES[case](x), [x], create_graph=True)
            second = grad(ad.square(first), [x])
            ad.sin(CASES[case](x)).backward()
            found.append(bits(first.data, *second, x.grad))
    assert found[0] == found[1]


@given(st.integers(0, 2**20), st.sampled_from([Compressed(), Noted()]))
@settings(max_examples=20)
def test_any_graph_gives_the_same_bits(seed: int, packer: Any) -> None:
    def loss(x: Variable) -> Variable:
        rng = np.random.default_rng(seed)
        values = [x]
        for kind, i, j in zip(rng.integers(0, 6, 12), rng.random(12), rng.random(12), strict=True):
            u, v = values[int(i * len(values))], values[int(j * len(values))]
            operations: list[Callable[[], Variable]] = [
                lambda u=u: ad.sin(u),
                lambda u=u, v=v: u * v,
                lambda u=u: ad.tanh(u.T).T,
                lambda u=u, v=v: u @ ad.exp(-v * v).T @ v * 0.1,
                lambda u=u, v=v: ad.maximum(u, v),
                lambda u=u: ad.concatenate([u[1:], u[:1]]),
            ]
            values.append(operations[kind]())
        return values[-1] * values[-2] + values[-3]

    found = []
    for used in (None, packer):
        x = Variable(np.random.default_rng(seed).normal(size=(3, 4)))
        with using_config("packer", used):
            (first,) = grad(loss(x), [x], create_graph=True)
            assert first is not None
            found.append(bits(first.data, *(grad(first, [x]) if first.requires_grad else ())))
    assert found[0] == found[1]


# Bytes ----------------------------------------------------------------------------------------


def held(packer: Any, function: Callable[[Variable], Variable]) -> float:
    """Arrays that stand after the forward, beside the input: those kept, and the result."""
    x = Variable(np.random.default_rng(0).normal(size=SIZE))
    tracemalloc.start()
    with using_config("packer", packer):
        y = function(x)
    standing = tracemalloc.get_traced_memory()[0] / (8 * SIZE)
    tracemalloc.stop()
    assert y.creator is not None
    return standing


def sines(x: Variable) -> Variable:
    for _ in range(8):
        x = ad.sin(x)
    return x


@pytest.mark.parametrize(
    ("packer", "arrays"),
    [(None, 8), (Half(), 7 / 4 + 1), (Disk(), 1)],
    ids=["none", "Half", "Disk"],
)
def test_the_bytes_are_those_of_the_formula(packer: Any, arrays: float) -> None:
    """Eight sines keep seven arrays of theirs, x stands anyway, and the result is held."""
    assert held(packer, sines) == pytest.approx(arrays, abs=0.1)


def test_zeros_compressed_are_nearly_nothing() -> None:
    def zeros(x: Variable) -> Variable:
        x = ad.square(x) * 0.0
        for _ in range(8):
            x = ad.sin(x)
        return x

    assert held(Compressed(), zeros) == pytest.approx(1, abs=0.2)
    assert held(None, zeros) == pytest.approx(9, abs=0.1)


@pytest.mark.parametrize(("packer", "arrays"), [(Half(), 3), (Disk(), 2)])
def test_backward_takes_out_one_array_at_a_time(packer: Any, arrays: int) -> None:
    """Two gradients on their way, and what the rule reads; from a file, that is in no memory."""
    x = Variable(np.random.default_rng(0).normal(size=SIZE))
    with using_config("packer", packer):
        y = x
        for _ in range(12):
            y = ad.sin(y)
        tracemalloc.start()
        y.backward()
        peak = tracemalloc.get_traced_memory()[1] / (8 * SIZE)
        tracemalloc.stop()
    assert peak == pytest.approx(arrays, abs=0.2)


@pytest.mark.parametrize("packer", [Half(), Compressed(), Disk()])
def test_packed_forms_go_as_backward_goes(packer: Any) -> None:
    x = Variable(np.random.default_rng(0).normal(size=SIZE))
    with using_config("packer", packer):
        tracemalloc.start()
        sines(x).backward()
        left = tracemalloc.get_traced_memory()[0] / (8 * SIZE)
        tracemalloc.stop()
    assert left == pytest.approx(1, abs=0.05)  # the gradient


def test_an_array_that_several_functions_keep_is_packed_once() -> None:
    packer = Noted()
    x = Variable(np.full(3, 0.5))
    with using_config("packer", packer):
        y = ad.exp(x)
        z = ad.sin(y) * y + ad.square(y) * y.reshape(3, 1)
        assert len([a for a in packer.packed if np.array_equal(a, np.exp(x.data))]) == 1
        z.backward()


def test_what_was_taken_out_is_not_packed_again() -> None:
    packer = Noted()
    x = Variable(np.full(3, 0.5))
    with using_config("packer", packer):
        grad(ad.sin(ad.exp(x)), [x], create_graph=True)
    packed = [a.tobytes() for a in packer.packed]
    assert packed.count(np.exp(x.data).tobytes()) == 1
    assert len(packed) > 1  # the gradients' own


def test_of_views_the_memory_is_packed_that_they_show() -> None:
    packer = Noted()
    x = Variable(np.random.default_rng(0).normal(size=(1, 1, 20, 20)))
    with using_config("packer", packer):
        y = ad.sin(x)
        ad.tensordot(ad.windows(y, 5), np.ones((1, 5, 5)), ((1, 4, 5), (0, 1, 2)))
        (ad.broadcast_to(y, (50, 1, 20, 20)) * y).backward()
    assert [a.shape for a in packer.packed] == [(1, 1, 20, 20)]


def test_parameters_and_data_stay_as_they_are() -> None:
    packer = Noted()
    layer = nn.Linear(3, rng=np.random.default_rng(0))
    x, fixed = np.ones((2, 4), np.float32), np.ones((2, 3), np.float32)
    with using_config("packer", packer):
        y = ad.sum(ad.square(layer(x) * fixed) * layer.b)
        ad.tanh(layer.W.T.reshape(2, 6))
        y.backward()
    assert {a.shape for a in packer.packed} == {(2, 3), (2, 6)}
    assert len(packer.packed) == 3  # the product, its square, the tanh


@pytest.mark.parametrize(("packer", "arrays"), [(None, 7), (Half(), 6 / 4 + 1), (Disk(), 1)])
def test_masks_that_the_graph_alone_holds_are_packed(packer: Any, arrays: float) -> None:
    """Three masks and the results of three sines; and the result, which nothing keeps."""

    def dropped(x: Variable) -> Variable:
        for _ in range(3):
            x = ad.sin(nn.functional.dropout(x, 0.5, np.random.default_rng(0)))
        return x * 1.0

    assert held(packer, dropped) == pytest.approx(arrays, abs=0.1)


def test_a_mask_that_somebody_holds_is_not_packed_and_gradients_are_the_same() -> None:
    mask = np.random.default_rng(1).normal(size=20)
    found = []
    for packer in (None, Noted()):
        x = Variable(np.full(20, 0.5))
        with using_config("packer", packer), using_config("debug", True):
            y = ad.sin(x * mask * np.arange(20.0))
            y.backward(retain_graph=True)
            y.backward()
        found.append(bits(x.grad))
        if packer is not None:
            assert [a.tolist() for a in packer.packed[:1]] == [list(range(20))]
            assert not any(np.array_equal(a, mask) for a in packer.packed)
    assert found[0] == found[1]


# Time -----------------------------------------------------------------------------------------


def test_it_is_taken_out_when_the_rule_runs_and_not_before() -> None:
    packer = Noted()
    x = Variable(np.full(3, 0.5))
    with using_config("packer", packer):
        y = ad.sin(ad.exp(ad.exp(x)))
    assert len(packer.packed) == 2
    assert packer.unpacked == 0
    y.backward(retain_graph=True)
    assert packer.unpacked == 3  # by sin, exp, exp
    y.backward()
    assert packer.unpacked == 6
    assert x.grad is not None


def test_it_can_be_looked_at() -> None:
    packer = Noted()
    x = Variable(np.full(3, 0.5))
    with using_config("packer", packer):
        y = ad.sin(ad.exp(x))
    assert y.creator is not None
    assert np.array_equal(y.creator.inputs[0].data, np.exp(x.data))


def test_what_is_changed_in_place_later_does_no_harm() -> None:
    x = Variable(np.full(SIZE, 0.5))
    with using_config("packer", Disk()), using_config("debug", True):
        inner = ad.exp(x)
        y = ad.sin(inner)
        inner.data[:] = 0
        y.backward()
    assert x.grad is not None
    assert np.array_equal(x.grad, np.cos(np.exp(np.full(SIZE, 0.5))) * np.exp(0.5))


def test_each_thread_has_its_own() -> None:
    disk, found = Disk(), {}
    x = np.random.default_rng(0).normal(size=10_000)

    def work(number: int) -> None:
        with using_mode("lean"), using_config("packer", disk):
            v = Variable(x * number)
            for _ in range(5):
                v.cleargrad()
                sines(v).backward()
            found[number] = v.grad

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, gradient in found.items():
        v = Variable(x * number)
        sines(v).backward()
        assert bits(gradient) == bits(v.grad)
    assert len(found) == 4


@pytest.mark.parametrize("ends", ["backward", "dropped", "create_graph"])
@pytest.mark.parametrize("packer", [Half(), Compressed(), Disk(), Noted()])
def test_nothing_is_left_to_the_collector(packer: Any, ends: str, collector_off: None) -> None:
    x = Variable(np.full(PAGEFUL, 0.5))
    with using_config("packer", packer):
        y = ad.sin(ad.exp(x) * ad.exp(x))
        if ends == "backward":
            y.backward()
        elif ends == "create_graph":
            grad(y, [x], create_graph=True)
        del y
    assert gc.collect() == 0


# Errors ---------------------------------------------------------------------------------------


def test_what_is_no_packer_is_an_error_that_says_so() -> None:
    class Halfway:
        def pack(self, array: np.ndarray) -> np.ndarray:
            return array

    with pytest.raises(TypeError, match=r"has no method unpack: a packer has pack\(array\) and"):
        using_config("packer", Halfway())
    for wrong in (True, "half", 3, (len, len)):
        with pytest.raises(TypeError, match="has no method pack"):
            using_config("packer", wrong)
    with pytest.raises(TypeError, match=r"that is a class; make one: Half\(\)"):
        using_config("packer", Half)
    assert Config.packer is None
    with using_config("packer", Half()), using_config("packer", None):
        assert Config.packer is None


def test_what_comes_out_otherwise_is_an_error() -> None:
    class Wrong(Noted):
        def __init__(self, result: Any) -> None:
            super().__init__()
            self.result = result

        def unpack(self, packed: Any) -> Any:
            return self.result

    for result, error, match in (
        (np.ones(2), ValueError, r"Wrong.unpack gave an array of shape \(2,\) and dtype float64"),
        (np.ones(3, np.float32), ValueError, r"dtype float32, where .* \(3,\) and dtype float64"),
        (None, TypeError, "Wrong.unpack gave NoneType, not an ndarray"),
    ):
        x = Variable(np.ones(3))
        with using_config("packer", Wrong(result)):
            y = ad.sin(ad.exp(x))
            with pytest.raises(error, match=match):
                y.backward()
        assert x.grad is None


@pytest.mark.parametrize("name", ["step16", "step17", "step18"])
def test_modes_that_keep_inputs_whole_refuse_it(name: str) -> None:
    with using_config("packer", Half()), pytest.raises(ValueError, match="holds every Variable"):
        using_mode(name)
    with using_mode(name), pytest.raises(ValueError, match=r"packer = .* kept='inputs'"):
        using_config("packer", Half())

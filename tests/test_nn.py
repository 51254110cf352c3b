"""Layers, what trains them, and data in batches."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autodiff import Variable, gradient_check, mean_squared_error, nn, tanh, using_mode
from autodiff import test_mode as in_test_mode
from autodiff.functions import correlation
from autodiff.nn import initialisers
from autodiff.nn.layers import Recurrent

Array = np.ndarray[Any, Any]


def drawn(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape)


# Functions ----------------------------------------------------------------------------------------


def convolved(x: Array, W: Array, stride: tuple[int, int], pad: tuple[int, int]) -> Array:
    """The convolution as its definition says it, element by element."""
    x = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    (n, _, h, w), (out, _, m, k) = x.shape, W.shape
    rows, columns = (h - m) // stride[0] + 1, (w - k) // stride[1] + 1
    y = np.zeros((n, out, rows, columns))
    for i, j in itertools.product(range(rows), range(columns)):
        top, left = i * stride[0], j * stride[1]
        window = x[:, :, top : top + m, left : left + k]
        y[:, :, i, j] = np.einsum("ncij,ocij->no", window, W)
    return y


GEOMETRIES = [((3, 3), (1, 1), (0, 0)), ((2, 3), (2, 1), (1, 0)), ((1, 1), (3, 2), (0, 2))]


@pytest.mark.parametrize(("kernel", "stride", "pad"), GEOMETRIES)
def test_conv2d_is_its_definition_and_has_its_gradients(kernel, stride, pad) -> None:
    x, W, b = drawn(2, 3, 5, 6), drawn(4, 3, *kernel), drawn(4)
    y = nn.conv2d(Variable(x), Variable(W), Variable(b), stride, pad)
    np.testing.assert_allclose(y.data, convolved(x, W, stride, pad) + b[:, None, None])
    small = x[:1, :2, :4, :4], W[:2, :2], b[:2]
    found = gradient_check(
        lambda x, W, b: (nn.conv2d(x, W, b, stride, pad) ** 2).sum(), *small, order=2
    )
    assert found, str(found)


@pytest.mark.parametrize(("kernel", "stride", "pad"), GEOMETRIES)
def test_pools_are_their_definitions_and_have_their_gradients(kernel, stride, pad) -> None:
    pad = tuple(min(p, k // 2) for p, k in zip(pad, kernel, strict=True))
    x = drawn(2, 3, 5, 6)
    around = ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1]))
    cut = np.lib.stride_tricks.sliding_window_view
    for pool, reduce, filler in (
        (nn.max_pool2d, np.max, -np.inf),
        (nn.avg_pool2d, np.mean, 0.0),
    ):
        padded = np.pad(x, around, constant_values=filler)
        windows = cut(padded, kernel, (2, 3))[:, :, :: stride[0], :: stride[1]]
        y = pool(Variable(x), kernel, stride, pad)
        np.testing.assert_allclose(y.data, reduce(windows, axis=(-2, -1)))
        found = gradient_check(
            lambda x, pool=pool: (pool(x, kernel, stride, pad) ** 2).sum(), x[:1, :1], order=2
        )
        assert found, str(found)


def test_of_equal_elements_the_first_gets_the_gradient() -> None:
    x = Variable(np.ones((1, 1, 2, 2)))
    nn.max_pool2d(x, 2).backward()
    assert x.grad is not None
    assert x.grad.ravel().tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: nn.conv2d(drawn(3, 5, 5), drawn(2, 3, 3, 3)), "x is images"),
        (lambda: nn.conv2d(drawn(1, 3, 5, 5), drawn(2, 4, 3, 3)), "its `in` as in x"),
        (lambda: nn.conv2d(drawn(1, 3, 2, 5), drawn(2, 3, 3, 3)), "does not fit"),
        (lambda: nn.max_pool2d(drawn(1, 1, 4, 4), 2, padding=2), "more than half"),
        (lambda: nn.dropout(drawn(3), 1.0), "from 0 to below 1"),
    ],
)
def test_what_cannot_be_is_said(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


def test_dropout_drops_a_share_scales_the_rest_and_rests_in_test_mode() -> None:
    x = Variable(np.ones(10_000, np.float32))
    y = nn.dropout(x, 0.25, np.random.default_rng(0))
    assert y.dtype == np.float32
    assert set(np.unique(y.data)) == {np.float32(0), np.float32(1) / np.float32(0.75)}
    assert abs((y.data == 0).mean() - 0.25) < 0.02
    y.backward()
    assert x.grad is not None
    assert x.grad.tobytes() == y.data.tobytes()
    with in_test_mode():
        assert nn.dropout(x, 0.25) is x


def test_a_convolution_keeps_its_input_and_no_windows_of_it(collector_off: None) -> None:
    """What backward reads is x and W, not nine times x."""
    x, W = Variable(drawn(2, 3, 20, 20)), Variable(drawn(4, 3, 3, 3))
    with using_mode("lean"):
        y = nn.conv2d(x, W)
    kept, functions = [], [y.creator]
    while functions:
        function = functions.pop()
        assert function is not None
        kept += [k for k in function.saved if k is not None]
        functions += [v.creator for v in function.inputs if v.creator is not None]
    for array in kept:
        assert np.shares_memory(array, x.data) or np.shares_memory(array, W.data)


def test_a_convolution_needs_a_block_beside_its_arrays_however_many_images(
    collector_off: None,
) -> None:
    x, W = Variable(drawn(400, 3, 12, 12)), Variable(drawn(4, 3, 3, 3))
    with using_mode("lean"):
        nn.conv2d(x, W, padding=1).backward()
        x.cleargrad()
        tracemalloc.start()
        try:
            nn.conv2d(x, W, padding=1).backward()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    y = x.data.nbytes // 3 * 4
    assert x.data.nbytes + y < peak < x.data.nbytes + y + correlation.WORKSPACE + 80_000


# Layers -------------------------------------------------------------------------------------------

LAYERS: dict[str, tuple[Callable[[], nn.Layer], tuple[int, ...], tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(3, dtype=float), (2, 4), (2, 3)),
    "Conv2d": (lambda: nn.Conv2d(3, 3, stride=2, pad=1, dtype=float), (2, 2, 5, 5), (2, 3, 3, 3)),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), (1, 2, 4, 4), (1, 2, 2, 2)),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), (1, 2, 4, 4), (1, 2, 2, 2)),
    "BatchNorm": (lambda: nn.BatchNorm(dtype=float), (4, 3), (4, 3)),
    "BatchNorm of images": (lambda: nn.BatchNorm(dtype=float), (2, 2, 3, 2), (2, 2, 3, 2)),
    "LayerNorm": (lambda: nn.LayerNorm(dtype=float), (2, 3, 4), (2, 3, 4)),
    "RNN": (lambda: nn.RNN(3, dtype=float), (2, 4), (2, 3)),
    "LSTM": (lambda: nn.LSTM(3, dtype=float), (2, 4), (2, 3)),
    "MLP": (lambda: nn.MLP([5, 3], tanh, dtype=float), (2, 4), (2, 3)),
    "Sequential": (lambda: nn.Sequential(nn.Linear(5, dtype=float), tanh), (2, 4), (2, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_the_shape_that_it_says_and_right_gradients(name: str) -> None:
    make, shape, wanted = LAYERS[name]
    layer = make()
    x = drawn(*shape)
    weights = drawn(*wanted)

    y = layer(Variable(x))
    assert y.shape == wanted
    found = gradient_check(lambda x: once(layer, x, weights), x, order=2)
    assert found, str(found)
    layer.cleargrads()
    once(layer, Variable(x), weights).backward()
    for parameter in layer.params():
        assert parameter.grad is not None
        before = parameter.data
        slope = np.zeros_like(before)
        for index in np.ndindex(before.shape):
            ends = []
            for h in (1e-5, -1e-5):
                parameter.data = before.copy()
                parameter.data[index] += h
                ends.append(once(layer, Variable(x), weights).item())
            slope[index] = (ends[0] - ends[1]) / 2e-5
        parameter.data = before
        np.testing.assert_allclose(parameter.grad, slope, rtol=1e-6, atol=1e-8)


def once(layer: nn.Layer, x: Variable, weights: Array) -> Variable:
    """A number that the layer's output comes to; of one with a state, that of the second step."""
    for _, one in layer.layers():
        if isinstance(one, Recurrent):
            one.reset_state()
            one(x)
    return (layer(x) * weights).sum()


def test_a_state_goes_on_and_is_forgotten() -> None:
    x = [Variable(drawn(2, 4)) for _ in range(3)]
    for layer in (nn.RNN(3, dtype=float), nn.LSTM(3, dtype=float)):
        first = [layer(one).data for one in x]
        assert not np.allclose(layer(x[0]).data, first[0])
        layer.reset_state()
        assert all((layer(one).data == y).all() for one, y in zip(x, first, strict=True))


def test_truncated_backpropagation_ends_the_graph_of_a_state() -> None:
    layer = nn.LSTM(3, dtype=float)
    early, late = Variable(drawn(2, 4)), Variable(drawn(2, 4))
    layer(early).sum().unchain_backward()
    layer(late).sum().backward()
    assert late.grad is not None
    assert early.grad is None


def test_batch_norm_runs_on_in_training_and_rests_in_test_mode() -> None:
    layer = nn.BatchNorm(dtype=float, momentum=0.5)
    x = drawn(8, 2) * 3 + 1
    layer(Variable(x))
    np.testing.assert_allclose(layer.running_mean, 0.5 * x.mean(0))
    np.testing.assert_allclose(layer.running_var, 0.5 + 0.5 * x.var(0, ddof=1))
    with in_test_mode():
        y = layer(Variable(x))
    running = (x - layer.running_mean) / np.sqrt(layer.running_var + layer.eps)
    np.testing.assert_allclose(y.data, running)
    np.testing.assert_allclose(layer.running_mean, 0.5 * x.mean(0))
    with pytest.raises(ValueError, match="no variance"):
        layer(Variable(x[:1]))


def test_parameters_are_found_by_attribute_each_once_and_in_order() -> None:
    class Model(nn.Layer):
        def __init__(self) -> None:
            self.first = nn.Linear(2, in_size=2)
            self.several = [nn.Linear(2, in_size=2, nobias=True), nn.Parameter(np.zeros(1))]
            self.again = self.first
            self.size = 3

    model = Model()
    names = [name for name, _ in model.named_params()]
    assert names == ["several/1", "first/W", "first/b", "several/0/W", "again/W", "again/b"]
    assert len(list(model.params())) == 4
    for parameter in model.params():
        parameter.grad = np.ones_like(parameter.data)
    model.cleargrads()
    assert all(parameter.grad is None for parameter in model.params())


def test_weights_are_saved_and_loaded_bit_by_bit(tmp_path: Path) -> None:
    def make() -> nn.Layer:
        return nn.Sequential(nn.Conv2d(2, 3, pad=1), nn.BatchNorm(), tanh, nn.LayerNorm())

    model, other = make(), make()
    x = Variable(drawn(2, 1, 4, 4).astype(np.float32))
    model(x)
    model.save_weights(tmp_path / "model.npz")
    other.load_weights(tmp_path / "model.npz")  # before it was ever used
    with in_test_mode():
        assert other(x).data.tobytes() == model(x).data.tobytes()
    with pytest.raises(ValueError, match="no data yet"):
        make().save_weights(tmp_path / "empty.npz")
    before = nn.Linear(2, in_size=3)
    with pytest.raises(ValueError, match="not in"):
        before.load_weights(tmp_path / "model.npz")
    nn.Linear(2, in_size=2).save_weights(tmp_path / "small.npz")
    was = before.W.data.copy()
    with pytest.raises(ValueError, match=r"W: shape \(2, 2\) in"):
        before.load_weights(tmp_path / "small.npz")
    assert (before.W.data == was).all()


def test_a_layer_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Layer defines no forward"):
        nn.Layer()(1)


# Training -----------------------------------------------------------------------------------------


def test_optimizers_go_where_their_formulas_say() -> None:
    gradients = [0.5, -0.2, 0.4]

    def path(optimizer: nn.Optimizer) -> float:
        layer = nn.Layer()
        layer.p = nn.Parameter(np.array([1.0]))  # type: ignore[attr-defined]
        optimizer.setup(layer)
        for g in gradients:
            layer.p.grad = np.array([g])  # type: ignore[attr-defined]
            optimizer.update()
        return float(layer.p.data[0])  # type: ignore[attr-defined]

    assert path(nn.SGD(0.1)) == pytest.approx(1 - 0.1 * sum(gradients))
    v, p = 0.0, 1.0
    for g in gradients:
        v = 0.9 * v + g
        p -= 0.1 * v
    assert path(nn.Momentum(0.1)) == pytest.approx(p)
    h, p = 0.0, 1.0
    for g in gradients:
        h += g * g
        p -= 0.1 * g / (h**0.5 + 1e-8)
    assert path(nn.AdaGrad(0.1)) == pytest.approx(p)
    m, v, p = 0.0, 0.0, 1.0
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p -= 0.1 * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)) ** 0.5 + 1e-8)
    assert path(nn.Adam(0.1)) == pytest.approx(p)


def test_hooks_change_gradients_before_they_are_used() -> None:
    layer = nn.Linear(1, nobias=True, in_size=2, dtype=float)
    layer.W.data = np.array([[3.0], [4.0]])
    optimizer = nn.SGD(1.0).setup(layer)
    optimizer.add_hook(nn.WeightDecay(1.0))
    optimizer.add_hook(nn.ClipGrad(1.0))
    layer.W.grad = np.zeros((2, 1))
    optimizer.update()  # the gradient is W, of norm 5, clipped to 1
    np.testing.assert_allclose(layer.W.data, [[2.4], [3.2]], rtol=1e-6)
    layer.cleargrads()
    optimizer.update()  # nothing has a gradient, and nothing changes
    np.testing.assert_allclose(layer.W.data, [[2.4], [3.2]], rtol=1e-6)
    with pytest.raises(RuntimeError, match="call setup"):
        nn.SGD().update()


def test_training_keeps_float32_and_learns() -> None:
    x = np.linspace(0, 1, 64, dtype=np.float32)[:, None]
    t = np.sin(2 * np.pi * x)
    model = nn.MLP([20, 1], tanh, rng=np.random.default_rng(0))
    for optimizer in (nn.Adam(0.02), nn.Momentum(0.05), nn.AdaGrad(0.05), nn.SGD(0.05)):
        optimizer.setup(model)
        losses = []
        for _ in range(60):
            loss = mean_squared_error(model(Variable(x, requires_grad=False)), t)
            model.cleargrads()
            loss.backward()
            optimizer.update()
            losses.append(loss.item())
        assert losses[-1] < losses[0]
        assert {p.dtype for p in model.params()} == {np.dtype(np.float32)}


def test_an_optimizers_state_goes_with_its_parameter(collector_off: None) -> None:
    optimizer = nn.Momentum()
    for _ in range(3):
        layer = nn.Linear(2, in_size=2)
        layer.W.grad = np.ones((2, 2), np.float32)
        optimizer.setup(layer)
        optimizer.update()
    assert len(optimizer._states) == 2  # of the last layer: its W and its b


def test_a_step_leaves_no_cycle_in_the_modes_that_promise_it(collector_off: None) -> None:
    model = nn.Sequential(nn.Linear(4), nn.BatchNorm(), tanh, nn.Dropout(), nn.Linear(1))
    optimizer = nn.Adam().setup(model)
    x = Variable(drawn(8, 3).astype(np.float32), requires_grad=False)
    for mode, leaves in (("lean", False), ("step17", False), ("step16", True)):
        with using_mode(mode):
            gc.collect()
            loss = (model(x) ** 2).mean()
            loss.backward()
            optimizer.update()
            del loss
            assert (gc.collect() > 0) == leaves, mode


# Data ---------------------------------------------------------------------------------------


@pytest.mark.forward
def test_a_loader_gives_every_example_once() -> None:
    x, t = np.arange(10), np.arange(10) * 2
    loader = nn.DataLoader(x, t, batch_size=4, rng=np.random.default_rng(0))
    for _ in range(2):
        batches = list(loader)
        assert [len(a) for a, _ in batches] == [4, 4, 2]
        assert sorted(np.concatenate([a for a, _ in batches])) == list(range(10))
        assert all((b == 2 * a).all() for a, b in batches)
    assert len(loader) == 3
    even = nn.DataLoader(x, batch_size=4, shuffle=False, drop_last=True)
    assert [a.tolist() for (a,) in even] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(even) == 2


@pytest.mark.forward
def test_sequences_go_on_from_batch_to_batch() -> None:
    loader = nn.SeqDataLoader(np.arange(11), batch_size=3)
    assert [a.tolist() for (a,) in loader] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


@pytest.mark.forward
def test_what_is_no_batch_is_said() -> None:
    with pytest.raises(ValueError, match="one length"):
        nn.DataLoader(np.zeros(3), np.zeros(4), batch_size=2)
    with pytest.raises(ValueError, match="at least 1"):
        nn.DataLoader(np.zeros(3), batch_size=0)


INITIALISERS = {
    initialisers.lecun_normal: lambda m, n: 1 / m,
    initialisers.glorot_uniform: lambda m, n: 2 / (m + n),
    initialisers.he_normal: lambda m, n: 2 / m,
    initialisers.standard_normal: lambda m, n: 1,
}


@pytest.mark.forward
@pytest.mark.parametrize("initial", INITIALISERS)
@pytest.mark.parametrize("shape", [(300, 200), (40, 30, 5, 3)])
def test_initialisers_have_the_variance_that_they_say(initial, shape) -> None:
    fans = initialisers.fans(shape)
    values = initial(np.random.default_rng(0), shape)
    assert values.shape == shape
    assert abs(values.mean()) < 0.05 * values.std()
    assert values.var() == pytest.approx(INITIALISERS[initial](*fans), rel=0.05)


@pytest.mark.forward
@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (4, 4)])
def test_orthogonal_is_orthogonal(shape: tuple[int, int]) -> None:
    q = initialisers.orthogonal(np.random.default_rng(0), shape)
    small = q.T @ q if shape[0] >= shape[1] else q @ q.T
    np.testing.assert_allclose(small, np.identity(min(shape)), atol=1e-12)

"""The book's steps from 25 on, one test for each that runs without a network and a GPU.

STEPS.md has the table of all of them. Steps 1 to 24 are in test_steps.py.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff
from autodiff import (
    Function,
    Variable,
    as_variable,
    broadcast_to,
    getitem,
    hessian,
    linear,
    matmul,
    mean_squared_error,
    nn,
    relu,
    reshape,
    sigmoid,
    sin,
    softmax,
    softmax_cross_entropy,
    sum_to,
    tanh,
    transpose,
)
from autodiff import test_mode as in_test_mode


def of(*values: float) -> Variable:
    return Variable(np.array(values[0] if len(values) == 1 else values))


# Higher-order derivatives -------------------------------------------------------------------------


class Sin(Function):
    """As the book writes it."""

    def forward(self, x: Any) -> Any:
        return np.sin(x)

    def backward(self, gy: Any) -> Any:
        x = self.inputs[0].data
        return gy * np.cos(x)


def taylor_sin(x: Variable, threshold: float = 1e-4) -> Variable:
    y: Variable = x * 0
    for i in range(100_000):
        t = (-1) ** i / math.factorial(2 * i + 1) * x ** (2 * i + 1)
        y = y + t
        if abs(t.item()) < threshold:
            break
    return y


def test_step27_the_derivative_of_a_taylor_series() -> None:
    for f in (Sin(), sin):
        x = of(np.pi / 4)
        y = f(x)
        y.backward()
        assert y.item() == pytest.approx(math.sqrt(0.5))
        assert float(x.grad) == pytest.approx(math.sqrt(0.5))  # type: ignore[arg-type]
    for threshold in (1e-4, 1e-15):
        x = of(np.pi / 4)
        taylor_sin(x, threshold).backward()
        error = abs(float(x.grad) - math.sqrt(0.5))  # type: ignore[arg-type]
        assert error < 10 * threshold


def rosenbrock(x0: Variable, x1: Variable) -> Variable:
    return 100 * (x1 - x0**2) ** 2 + (x0 - 1) ** 2


def test_step28_gradient_descent_on_rosenbrock() -> None:
    x0, x1 = of(0.0), of(2.0)
    rosenbrock(x0, x1).backward()
    assert (float(x0.grad), float(x1.grad)) == (-2.0, 400.0)  # type: ignore[arg-type]
    for _ in range(10_000):
        x0.cleargrad()
        x1.cleargrad()
        rosenbrock(x0, x1).backward()
        x0.data = x0.data - 0.001 * x0.grad
        x1.data = x1.data - 0.001 * x1.grad
    assert (x0.item(), x1.item()) == pytest.approx((0.994, 0.989), abs=1e-3)


def quartic(x: Variable) -> Variable:
    return x**4 - 2 * x**2


def test_step29_newtons_method_by_hand() -> None:
    x = of(2.0)
    for _ in range(10):
        x.cleargrad()
        quartic(x).backward()
        x.data = x.data - x.grad / (12 * x.data**2 - 4)
    assert x.item() == 1.0


def test_step33_newtons_method_by_two_backward_passes() -> None:
    x = of(2.0)
    quartic(x).backward(create_graph=True)
    gx = x.grad_var
    assert gx is not None
    assert gx.item() == 24.0
    x.cleargrad()
    gx.backward()
    assert float(x.grad) == 44.0  # type: ignore[arg-type]
    x = of(2.0)
    for _ in range(10):
        slope = autodiff.jacobian(quartic, x)
        x.data = x.data - slope / hessian(quartic, x)
    assert x.item() == 1.0


def test_step34_derivatives_of_sin_go_round() -> None:
    x = Variable(np.linspace(-7, 7, 200))
    y: Variable = sin(x)
    y.backward(create_graph=True)
    for expected in (np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin):
        gx = x.grad_var
        assert gx is not None
        np.testing.assert_allclose(gx.data, expected(x.data), atol=1e-12)
        x.cleargrad()
        gx.backward(create_graph=True)


def test_step35_the_derivatives_of_tanh() -> None:
    x = of(0.7)
    tanh(x).backward(create_graph=True)
    t = np.tanh(0.7)
    for expected in (1 - t**2, -2 * t * (1 - t**2), (1 - t**2) * (6 * t**2 - 2)):
        gx = x.grad_var
        assert gx is not None
        assert gx.item() == pytest.approx(expected)
        x.cleargrad()
        gx.backward(create_graph=True)


def test_step36_double_backprop() -> None:
    x = of(2.0)
    y = x**2
    y.backward(create_graph=True)
    gx = x.grad_var
    assert gx is not None
    x.cleargrad()
    (gx**3 + y).backward()
    assert float(x.grad) == 100.0  # type: ignore[arg-type]


# Networks -----------------------------------------------------------------------------------------


def test_step37_38_tensors_and_their_shapes() -> None:
    x = Variable(np.array([[1, 2, 3], [4, 5, 6]]))
    c = Variable(np.array([[10, 20, 30], [40, 50, 60]]))
    (x + c).sum().backward(retain_grad=True)
    assert (x.grad == np.ones((2, 3))).all()
    for y in (reshape(x, (6,)), x.reshape((2, 3)), x.reshape(2, 3), transpose(x), x.T):
        x.cleargrad()
        y.backward()
        assert (x.grad == np.ones((2, 3))).all()


def test_step39_sums() -> None:
    x = Variable(np.array([[1, 2, 3], [4, 5, 6]]))
    y = autodiff.sum(x, axis=0)
    assert y.data.tolist() == [5, 7, 9]
    y.backward()
    assert (x.grad == np.ones((2, 3))).all()
    assert Variable(np.ones((2, 3, 4, 5))).sum(keepdims=True).shape == (1, 1, 1, 1)


def test_step40_broadcast() -> None:
    x = Variable(np.array([1, 2, 3]))
    y = broadcast_to(x, (2, 3))
    y.backward()
    assert (x.grad == [2, 2, 2]).all()
    assert (sum_to(y, (1, 3)).data == [[2, 4, 6]]).all()
    x0, x1 = Variable(np.array([1, 2, 3])), Variable(np.array([10]))
    (x0 + x1).backward()
    assert (x1.grad == [3]).all()


def test_step41_matrix_products() -> None:
    x, W = Variable(np.ones((2, 3))), Variable(np.ones((3, 4)))
    matmul(x, W).backward()
    assert x.grad is not None
    assert W.grad is not None
    assert (x.grad.shape, W.grad.shape) == ((2, 3), (3, 4))


def test_step42_linear_regression() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((100, 1))
    t = 5 + 2 * x + 0.1 * rng.random((100, 1))
    W, b = Variable(np.zeros((1, 1))), Variable(np.zeros(1))
    for _ in range(1000):
        W.cleargrad()
        b.cleargrad()
        mean_squared_error(matmul(x, W) + b, t).backward()
        W.data = W.data - 0.1 * W.grad
        b.data = b.data - 0.1 * b.grad
    assert (W.item(), b.item()) == pytest.approx((2, 5.05), abs=0.05)


def wave() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.random((100, 1))
    return x, np.sin(2 * np.pi * x) + rng.random((100, 1))


def test_step43_a_network_of_functions() -> None:
    x, t = wave()
    rng = np.random.default_rng(1)
    parameters = [
        Variable(rng.standard_normal((1, 10))),
        Variable(np.zeros(10)),
        Variable(rng.standard_normal((10, 1))),
        Variable(np.zeros(1)),
    ]
    W1, b1, W2, b2 = parameters
    losses = []
    for _ in range(1500):
        loss = mean_squared_error(linear(sigmoid(linear(x, W1, b1)), W2, b2), t)
        for p in parameters:
            p.cleargrad()
        loss.backward()
        for p in parameters:
            p.data = p.data - 0.2 * p.grad
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3


class TwoLayerNet(nn.Layer):
    """As the book writes it, at step 45."""

    def __init__(self, hidden_size: int, out_size: int) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.l1 = nn.Linear(hidden_size, rng=rng)
        self.l2 = nn.Linear(out_size, rng=rng)

    def forward(self, x: Any) -> Any:
        y = sigmoid(self.l1(x))
        return self.l2(y)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TwoLayerNet(10, 1),
        lambda: nn.MLP((10, 1), sigmoid, rng=np.random.default_rng(0)),
    ],
)
def test_steps_44_to_46_layers_models_and_optimizers(make: Any) -> None:
    x, t = wave()
    model = make()
    optimizer = nn.Momentum(0.2).setup(model)
    losses = []
    for _ in range(300):
        loss = mean_squared_error(model(as_variable(x.astype(np.float32))), t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert len(list(model.params())) == 4


def test_step47_softmax_and_cross_entropy() -> None:
    x = Variable(np.array([[1, 2, 3], [4, 5, 6]]))
    assert (getitem(x, 1).data == [4, 5, 6]).all()
    assert (x[np.array([0, 0, 1])].data == x.data[[0, 0, 1]]).all()
    scores = Variable(np.array([[0.2, -0.4], [0.3, 0.5], [1.3, -3.2], [2.1, 0.3]]))
    p = softmax(scores)
    np.testing.assert_allclose(p.data.sum(axis=1), 1)
    t = np.array([0, 1, 0, 1])
    loss = softmax_cross_entropy(scores, t)
    assert loss.item() == pytest.approx(-np.log(p.data[np.arange(4), t]).mean())


def spiral() -> tuple[Any, Any]:
    """Three arms of 100 points. Source: step 48 of the book."""
    rng = np.random.default_rng(1984)
    t = np.repeat(np.arange(3), 100)
    radius = np.tile(np.arange(100) / 100, 3)
    theta = t * 4.0 + 4.0 * radius + rng.standard_normal(300) * 0.2
    x = np.stack([radius * np.sin(theta), radius * np.cos(theta)], axis=1)
    return x.astype(np.float32), t


def test_steps_48_to_50_a_classifier_on_batches() -> None:
    x, t = spiral()
    rng = np.random.default_rng(0)
    model = nn.MLP((10, 3), sigmoid, rng=rng)
    optimizer = nn.Momentum(0.5).setup(model)
    loader = nn.DataLoader(x, t, batch_size=30, rng=rng)
    for _ in range(120):
        for some, right in loader:
            loss = softmax_cross_entropy(model(Variable(some)), right)
            model.cleargrads()
            loss.backward()
            optimizer.update()
    with autodiff.no_grad():
        found = model(Variable(x)).data.argmax(axis=1)
    assert (found == t).mean() > 0.75


def test_step53_weights_in_a_file(tmp_path: Path) -> None:
    model, other = nn.MLP((4, 2), in_size=3), nn.MLP((4, 2), in_size=3)
    model.save_weights(tmp_path / "my_mlp.npz")
    other.load_weights(tmp_path / "my_mlp.npz")
    x = Variable(np.ones((1, 3), np.float32))
    assert (model(x).data == other(x).data).all()


def test_step54_dropout_in_training_and_not_in_testing() -> None:
    x = np.ones(5)
    assert set(nn.dropout(x, 0.5, np.random.default_rng(0)).data) == {0.0, 2.0}
    with in_test_mode():
        assert (nn.dropout(x).data == x).all()


# Convolutional and recurrent networks -------------------------------------------------------------


def test_step55_57_convolutions() -> None:
    x, W = Variable(np.ones((1, 5, 15, 15))), Variable(np.ones((8, 5, 3, 3)))
    y = nn.conv2d(x, W, stride=1, padding=1)
    y.backward()
    assert y.shape == (1, 8, 15, 15)
    assert x.grad is not None
    assert x.grad.shape == x.shape
    assert autodiff.windows(Variable(np.ones((1, 3, 7, 7))), 5).shape == (1, 3, 3, 3, 5, 5)


def test_step58_blocks_of_a_deep_network() -> None:
    """Two blocks as VGG16 has them; its weights are on a network."""
    rng = np.random.default_rng(0)
    block = [
        layer
        for channels in (4, 8)
        for layer in (
            nn.Conv2d(channels, kernel_size=3, stride=1, pad=1, rng=rng),
            relu,
            nn.Conv2d(channels, kernel_size=3, stride=1, pad=1, rng=rng),
            relu,
            nn.MaxPool2d(2, 2),
        )
    ]
    model = nn.Sequential(*block, lambda x: reshape(x, (len(x), -1)), nn.Linear(10, rng=rng))
    y = model(Variable(rng.standard_normal((2, 3, 16, 16)).astype(np.float32)))
    assert y.shape == (2, 10)
    y.backward()
    assert all(p.grad is not None for p in model.params())


@pytest.mark.parametrize(("kind", "epochs"), [(nn.RNN, 10), (nn.LSTM, 12)])
def test_steps_59_and_60_sequences(kind: Any, epochs: int) -> None:
    class SimpleRNN(nn.Layer):
        def __init__(self, hidden_size: int, out_size: int) -> None:
            rng = np.random.default_rng(0)
            self.rnn = kind(hidden_size, rng=rng)
            self.fc = nn.Linear(out_size, rng=rng)

        def forward(self, x: Any) -> Any:
            return self.fc(self.rnn(x))

    waves = np.sin(np.linspace(0, 4 * np.pi, 301)).astype(np.float32)
    model = SimpleRNN(20, 1)
    optimizer = nn.Adam(0.01).setup(model)
    averages = []
    for _ in range(epochs):
        model.rnn.reset_state()
        loss: Any = 0
        total = 0.0
        for i, (x, t) in enumerate(itertools.pairwise(waves), start=1):
            y = model(Variable(x.reshape(1, 1)))
            loss = loss + mean_squared_error(y, t.reshape(1, 1))
            if i % 30 == 0:
                model.cleargrads()
                loss.backward()
                loss.unchain_backward()
                optimizer.update()
                total += loss.item()
                loss = 0
        averages.append(total / 300)
    assert averages[-1] < averages[0] / 5

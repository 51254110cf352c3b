"""Outputs and gradients against PyTorch's, to rounding, on drawn inputs; `-s` prints the worst.

In an environment without torch all of it is skipped: `tox -e torch` makes one with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from autodiff import Variable, hessian, hvp, jacobian, nn, softmax_cross_entropy, tanh, vjp
from autodiff import test_mode as in_test_mode

torch = pytest.importorskip("torch", reason="PyTorch is not installed here")

Array = np.ndarray[Any, Any]
DTYPES = {"float32": 3e-6, "float64": 1e-14}  # worst difference, as a share of the largest value

worst: dict[tuple[str, str], float] = {}


@pytest.fixture(scope="module", autouse=True)
def printed() -> Iterator[None]:
    """Print the worst difference of each layer when all are done."""
    yield
    for (name, dtype), share in sorted(worst.items()):
        print(f"{name:<24} {dtype}  worst difference {share:.1e} of the largest value")


@pytest.fixture(params=range(3))
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    return np.random.default_rng(request.param)


@pytest.fixture(params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> Any:
    return np.dtype(request.param)


def assert_agree(name: str, ours: Any, theirs: Any) -> None:
    """Two arrays differ by rounding alone; how far, is noted."""
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    share = float(abs(ours - theirs).max() / max(abs(theirs).max(), 1e-300))
    key = name, ours.dtype.name
    worst[key] = max(worst.get(key, 0.0), share)
    assert share <= DTYPES[ours.dtype.name], f"{name}: {share:.2e}"


def copied(parameter: nn.Parameter, tensor: Any, turned: bool = False) -> None:
    array = tensor.detach().numpy()
    parameter.data = (array.T if turned else array).copy()


def assert_layers_agree(
    name: str,
    layer: Callable[[Variable], Variable],
    module: Callable[[Any], Any],
    x: Array,
    pairs: list[tuple[nn.Parameter, Any, bool]],
    rng: np.random.Generator,
) -> None:
    """Outputs and the gradients of x and of each pair of parameters differ by rounding alone."""
    ours, theirs = Variable(x), torch.tensor(x, requires_grad=True)
    y, z = layer(ours), module(theirs)
    assert_agree(name, y.data, z)
    weights = rng.uniform(-1, 1, y.shape).astype(x.dtype)
    (y * weights).sum().backward()
    (z * torch.tensor(weights)).sum().backward()
    assert_agree(name, ours.grad, theirs.grad)
    for parameter, tensor, turned in pairs:
        assert parameter.grad is not None
        assert_agree(name, parameter.grad.T if turned else parameter.grad, tensor.grad)


def theirs_of(module: Any, dtype: np.dtype[Any]) -> Any:
    return module.to(getattr(torch, dtype.name))


def test_linear(rng: np.random.Generator, dtype: Any) -> None:
    module = theirs_of(torch.nn.Linear(5, 4), dtype)
    layer = nn.Linear(4, dtype=dtype, in_size=5)
    copied(layer.W, module.weight, turned=True)
    copied(layer.b, module.bias)
    x = rng.normal(size=(6, 5)).astype(dtype)
    pairs = [(layer.W, module.weight, True), (layer.b, module.bias, False)]
    assert_layers_agree("Linear", layer, module, x, pairs, rng)


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(3, 1, 1), ((2, 3), (2, 1), (0, 1))])
def test_conv2d(rng: np.random.Generator, dtype: Any, kernel: Any, stride: Any, pad: Any) -> None:
    module = theirs_of(torch.nn.Conv2d(3, 4, kernel, stride, pad), dtype)
    layer = nn.Conv2d(4, kernel, stride, pad, dtype=dtype, in_channels=3)
    copied(layer.W, module.weight)
    copied(layer.b, module.bias)
    x = rng.normal(size=(2, 3, 7, 6)).astype(dtype)
    pairs = [(layer.W, module.weight, False), (layer.b, module.bias, False)]
    assert_layers_agree("Conv2d", layer, module, x, pairs, rng)


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(2, None, 0), ((3, 2), (1, 2), (1, 1))])
def test_pools(rng: np.random.Generator, dtype: Any, kernel: Any, stride: Any, pad: Any) -> None:
    x = np.maximum(rng.normal(size=(2, 3, 7, 6)), 0).astype(dtype)  # with ties, as after a relu
    ours = nn.MaxPool2d(kernel, stride, pad), nn.AvgPool2d(kernel, stride, pad)
    theirs = torch.nn.MaxPool2d(kernel, stride, pad), torch.nn.AvgPool2d(kernel, stride, pad)
    for layer, module in zip(ours, theirs, strict=True):
        assert_layers_agree(type(layer).__name__, layer, module, x, [], rng)


@pytest.mark.parametrize("shape", [(8, 3), (4, 3, 5, 2)])
def test_batch_norm(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> None:
    make = torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d
    module, layer = theirs_of(make(3), dtype), nn.BatchNorm(3, dtype=dtype)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([0.5, 1.5, -1.0]))
    copied(layer.gamma, module.weight)
    for _ in range(2):
        x = (rng.normal(size=shape) * 3 + 1).astype(dtype)
        layer.cleargrads()
        module.zero_grad()
        pairs = [(layer.gamma, module.weight, False), (layer.beta, module.bias, False)]
        assert_layers_agree("BatchNorm, training", layer, module, x, pairs, rng)
    assert_agree("BatchNorm, running", layer.running_mean, module.running_mean)
    assert_agree("BatchNorm, running", layer.running_var, module.running_var)
    module.eval()
    with in_test_mode():
        assert_layers_agree("BatchNorm, test", layer, module, x, [], rng)


def test_layer_norm(rng: np.random.Generator, dtype: Any) -> None:
    module, layer = theirs_of(torch.nn.LayerNorm(5), dtype), nn.LayerNorm(5, dtype=dtype)
    x = rng.normal(size=(2, 3, 5)).astype(dtype)
    pairs = [(layer.gamma, module.weight, False), (layer.beta, module.bias, False)]
    assert_layers_agree("LayerNorm", layer, module, x, pairs, rng)


def test_embedding(rng: np.random.Generator, dtype: Any) -> None:
    module, layer = theirs_of(torch.nn.Embedding(6, 4), dtype), nn.Embedding(6, 4, dtype=dtype)
    copied(layer.W, module.weight)
    chosen = rng.integers(0, 6, (3, 5))
    weights = rng.normal(size=(3, 5, 4)).astype(dtype)
    y, z = layer(chosen), module(torch.tensor(chosen))
    (y * weights).sum().backward()
    (z * torch.tensor(weights)).sum().backward()
    assert_agree("Embedding", y.data, z)
    assert_agree("Embedding", layer.W.grad, module.weight.grad)


@pytest.mark.parametrize("name", ["RNN", "LSTM"])
def test_recurrent_layers_over_several_steps(
    rng: np.random.Generator, dtype: Any, name: str
) -> None:
    cell = theirs_of(getattr(torch.nn, f"{name}Cell")(3, 4), dtype)
    with torch.no_grad():
        cell.bias_hh.zero_()  # ours has one bias
    layer = getattr(nn, name)(4, 3, dtype=dtype)
    copied(layer.x2h.W, cell.weight_ih, turned=True)
    copied(layer.x2h.b, cell.bias_ih)
    copied(layer.h2h.W, cell.weight_hh, turned=True)

    def over(x: Variable) -> Variable:
        layer.reset_state()
        return [layer(x[i]) for i in range(len(x))][-1]

    def their_way(x: Any) -> Any:
        state = None
        for one in x:
            state = cell(one, state)
        return state[0] if name == "LSTM" else state

    x = rng.normal(size=(5, 2, 3)).astype(dtype)
    pairs = [
        (layer.x2h.W, cell.weight_ih, True),
        (layer.x2h.b, cell.bias_ih, False),
        (layer.h2h.W, cell.weight_hh, True),
    ]
    assert_layers_agree(name, over, their_way, x, pairs, rng)


def test_cross_entropy(rng: np.random.Generator, dtype: Any) -> None:
    right = rng.integers(0, 5, 7)
    x = rng.normal(size=(7, 5)).astype(dtype)
    assert_layers_agree(
        "softmax_cross_entropy",
        lambda x: softmax_cross_entropy(x, right).reshape(1),
        lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(right)).reshape(1),
        x,
        [],
        rng,
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (nn.SGD(0.1), torch.optim.SGD, {"lr": 0.1}),
        (nn.Momentum(0.1, 0.9), torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
        (nn.AdaGrad(0.1), torch.optim.Adagrad, {"lr": 0.1, "eps": 1e-8}),
        (nn.Adam(0.01), torch.optim.Adam, {"lr": 0.01}),
    ],
    ids=["SGD", "Momentum", "AdaGrad", "Adam"],
)
def test_training_goes_the_same_way(ours: nn.Optimizer, theirs: Any, options: Any) -> None:
    rng = np.random.default_rng(0)
    x, right = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    model = nn.MLP([6, 3], tanh, dtype=np.float64, in_size=4, rng=rng)
    other = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
    other = other.to(torch.float64)
    with torch.no_grad():
        for parameter, tensor in zip(model.params(), other.parameters(), strict=True):
            tensor.copy_(torch.tensor(parameter.data.T))
    ours.setup(model)
    optimizer = theirs(other.parameters(), **options)
    for _ in range(20):
        model.cleargrads()
        optimizer.zero_grad()
        softmax_cross_entropy(model(Variable(x, requires_grad=False)), right).backward()
        torch.nn.functional.cross_entropy(other(torch.tensor(x)), torch.tensor(right)).backward()
        ours.update()
        optimizer.step()
    for parameter, tensor in zip(model.params(), other.parameters(), strict=True):
        np.testing.assert_allclose(parameter.data.T, tensor.detach().numpy(), rtol=1e-10)


def test_derivatives_of_functions(rng: np.random.Generator) -> None:
    x, v = rng.normal(size=4), rng.normal(size=4)

    def f(x: Variable) -> Variable:
        return (x**2 * np.sin(x)).sum() * x[0]

    def g(x: Any) -> Any:
        return (x**2 * torch.sin(x)).sum() * x[0]

    functional = torch.autograd.functional
    tx, tv = torch.tensor(x), torch.tensor(v)
    assert_agree("hessian", hessian(f, x), functional.hessian(g, tx))
    assert_agree("hvp", hvp(f, x, v)[1], functional.hvp(g, tx, tv)[1])
    assert_agree(
        "jacobian",
        jacobian(lambda x: np.exp(x) * x[1], x),
        functional.jacobian(lambda x: torch.exp(x) * x[1], tx),
    )
    assert_agree(
        "vjp",
        vjp(lambda x: np.exp(x) * x[1], x, v)[1],
        functional.vjp(lambda x: torch.exp(x) * x[1], tx, tv)[1],
    )

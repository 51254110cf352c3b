"""A small network and real handwritten digits: training it, and only asking it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autodiff import Config, Variable, linear, no_grad, relu, softmax_cross_entropy
from experiments.workloads import Probe, Step, checksum, workload

PIXELS, DIGITS = 64, 10
TRAINING_IMAGES = 1_500  # the first ones; the last 297 are held out

Layers = list[tuple[Variable, Variable]]
Images = npt.NDArray[np.uint8]  # a row for each, of 64 pixels from 0 (white) to 16 (black)
Labels = npt.NDArray[np.intp]


def read_digits() -> tuple[Images, Labels]:
    """The 1 797 images, and the digit that each shows."""
    rows = np.fromfile(Path(__file__).with_name("digits.bin"), np.uint8).reshape(-1, PIXELS + 1)
    return rows[:, :PIXELS], rows[:, PIXELS].astype(np.intp)


def network(rng: np.random.Generator, hidden: int, layers: int) -> Layers:
    """The weights and biases of so many hidden layers and the one that gives ten scores."""
    sizes = [PIXELS, *[hidden] * layers, DIGITS]
    return [
        (Variable(rng.normal(0.0, np.sqrt(2.0 / n), (n, m))), Variable(np.zeros(m)))
        for n, m in itertools.pairwise(sizes)
    ]


def predict(layers: Layers, images: Images) -> Variable:
    """The ten scores of every image, shape (images, 10)."""
    *hidden, (W_last, b_last) = layers
    y = Variable(images / 16.0, requires_grad=False)
    for W, b in hidden:
        y = relu(linear(y, W, b))
    return linear(y, W_last, b_last)


def descend(parameters: Sequence[Variable], learning_rate: float) -> None:
    """One step of gradient descent."""
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.data -= learning_rate * parameter.grad


def accuracy(scores: Variable, labels: Labels) -> float:
    """The share of images whose highest score is the right one."""
    return float((scores.data.argmax(axis=1) == labels).mean())


@workload(quick={"epochs": 3})
def mlp_digits(
    rng: np.random.Generator,
    *,
    hidden: int = 128,
    layers: int = 2,
    batch: int = 500,
    epochs: int = 20,
    learning_rate: float = 0.5,
) -> Step:
    """Training a small network on real handwritten digits; the last 297 images are held out.

    The batches are large and the network is small, as it is where memory runs short: what the graph
    keeps outweighs parameters and gradients. `loss` is the last batch's, `first_loss` the first's.
    """
    images, labels = read_digits()
    model = network(rng, hidden, layers)
    parameters = [parameter for layer in model for parameter in layer]

    def step(probe: Probe) -> dict[str, float]:
        results: dict[str, float] = {}
        for _ in range(epochs):
            order = rng.permutation(TRAINING_IMAGES)
            for start in range(0, TRAINING_IMAGES, batch):
                chosen = order[start : start + batch]
                loss = softmax_cross_entropy(predict(model, images[chosen]), labels[chosen])
                probe("forward")
                results.setdefault("first_loss", checksum(loss.data))
                if Config.enable_backprop:
                    for parameter in parameters:
                        parameter.cleargrad()
                    loss.backward()
                    probe("backward")
                    descend(parameters, learning_rate)
                    results["loss"] = checksum(loss.data)
                probe("step")
        if Config.enable_backprop:
            with no_grad():
                scores = predict(model, images[TRAINING_IMAGES:])
            results["accuracy_ratio"] = accuracy(scores, labels[TRAINING_IMAGES:])
        return results

    return step


@workload(quick={"rounds": 3})
def inference(
    rng: np.random.Generator,
    *,
    hidden: int = 128,
    layers: int = 4,
    batch: int = 600,
    rounds: int = 10,
) -> Step:
    """The same kind of network, untrained, asked about every digit: forward only.

    Nobody wants a gradient here, and all that a graph keeps is for nothing: what does
    enable_backprop = False save?
    """
    images, _ = read_digits()
    model = network(rng, hidden, layers)

    def step(probe: Probe) -> dict[str, float]:
        results = {"score_sum": 0.0}
        for _ in range(rounds):
            for start in range(0, len(images), batch):
                scores = predict(model, images[start : start + batch])
                probe("forward")
                results["score_sum"] += checksum(scores.data)
                probe("step")
        return results

    return step

"""A small network and real handwritten digits: training it, and only asking it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autodiff import Config, Variable, nn, no_grad, relu, reshape, softmax_cross_entropy
from autodiff.nn import initialisers
from experiments.workloads import Probe, Step, checksum, workload

PIXELS, DIGITS = 64, 10
TRAINING_IMAGES = 1_500  # the first ones; the last 297 are held out

Images = npt.NDArray[np.uint8]  # a row for each, of 64 pixels from 0 (white) to 16 (black)
Labels = npt.NDArray[np.intp]


def read_digits() -> tuple[Images, Labels]:
    """The 1 797 images, and the digit that each shows."""
    rows = np.fromfile(Path(__file__).with_name("digits.bin"), np.uint8).reshape(-1, PIXELS + 1)
    return rows[:, :PIXELS], rows[:, PIXELS].astype(np.intp)


def network(rng: np.random.Generator, hidden: int, layers: int) -> nn.MLP:
    """So many hidden layers, and one that gives ten scores."""
    sizes = [*[hidden] * layers, DIGITS]
    return nn.MLP(sizes, relu, np.float64, PIXELS, rng, initialisers.he_normal)


def scaled(images: Images) -> Variable:
    """The images as a network reads them: from 0 to 1, and no gradient wanted."""
    return Variable(images / 16.0, requires_grad=False)


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
    model = network(rng, hidden, layers)
    return training(rng, model, lambda x: x, batch, epochs, learning_rate)


@workload(quick={"epochs": 1})
def cnn_digits(
    rng: np.random.Generator,
    *,
    channels: int = 16,
    batch: int = 500,
    epochs: int = 3,
    learning_rate: float = 0.2,
) -> Step:
    """Training a small convolutional network on the same digits: two convolutions, two pools.

    Windows are laid out for a few images at a time, so that what the graph keeps is images, and
    what the pools chose.
    """
    parts = nn.Sequential(
        nn.Conv2d(channels, 3, pad=1, dtype=np.float64, rng=rng, in_channels=1),
        relu,
        nn.MaxPool2d(2),
        nn.Conv2d(2 * channels, 3, pad=1, dtype=np.float64, rng=rng, in_channels=channels),
        relu,
        nn.MaxPool2d(2),
        lambda x: reshape(x, (len(x), -1)),
        nn.Linear(DIGITS, dtype=np.float64, rng=rng, in_size=8 * channels),
    )
    return training(rng, parts, lambda x: reshape(x, (-1, 1, 8, 8)), batch, epochs, learning_rate)


def training(
    rng: np.random.Generator,
    model: nn.Layer,
    arranged: Callable[[Variable], Variable],
    batch: int,
    epochs: int,
    learning_rate: float,
) -> Step:
    """The step that trains a network on the digits and asks it about those held out."""
    images, labels = read_digits()
    optimizer = nn.SGD(learning_rate).setup(model)
    seen = images[:TRAINING_IMAGES], labels[:TRAINING_IMAGES]
    loader = nn.DataLoader(*seen, batch_size=batch, rng=rng)

    def step(probe: Probe) -> dict[str, float]:
        results: dict[str, float] = {}
        for _ in range(epochs):
            for chosen, right in loader:
                loss = softmax_cross_entropy(model(arranged(scaled(chosen))), right)
                del chosen  # what backward reads of the images is the scaled copy
                probe("forward")
                results.setdefault("first_loss", checksum(loss.data))
                if Config.enable_backprop:
                    loss.backward()
                    probe("backward")
                    optimizer.update()
                    model.cleargrads()  # which the next forward has no use for
                    results["loss"] = checksum(loss.data)
                probe("step")
        if Config.enable_backprop:
            with no_grad():
                scores = model(arranged(scaled(images[TRAINING_IMAGES:])))
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
                scores = model(scaled(images[start : start + batch]))
                probe("forward")
                results["score_sum"] += checksum(scores.data)
                probe("step")
        return results

    return step


@workload(quick={"rounds": 10})
def losses_kept(
    rng: np.random.Generator,
    *,
    hidden: int = 128,
    batch: int = 500,
    rounds: int = 30,
    learning_rate: float = 0.1,
) -> Step:
    """The classic leak: a list of losses, to plot them later, that holds every graph of training.

    What was meant is a list of numbers. A graph that is released during backward makes it one.
    """
    images, labels = read_digits()
    model = network(rng, hidden, 1)
    optimizer = nn.SGD(learning_rate).setup(model)

    def step(probe: Probe) -> dict[str, float]:
        losses = []
        for _ in range(rounds):
            chosen = rng.integers(0, TRAINING_IMAGES, batch)
            loss = softmax_cross_entropy(model(scaled(images[chosen])), labels[chosen])
            losses.append(loss)
            probe("forward")
            if Config.enable_backprop:
                loss.backward()
                probe("backward")
                optimizer.update()
                model.cleargrads()  # which the next forward has no use for
            probe("step")
        results = {"first_loss": checksum(losses[0].data)}
        return results | {"loss": checksum(loss.data)} if Config.enable_backprop else results

    return step

"""Networks with a state, over a long sequence: how far back does the graph go?"""

from __future__ import annotations

import numpy as np

from autodiff import Config, Variable, mean_squared_error, nn
from experiments.workloads import Probe, Step, checksum, workload


class Predictor(nn.Layer):
    """What comes next in a sequence, by an LSTM. Source: step 60 of the book, BetterRNN."""

    def __init__(self, hidden: int, rng: np.random.Generator) -> None:
        self.rnn = nn.LSTM(hidden, in_size=1, dtype=np.float64, rng=rng)
        self.fc = nn.Linear(1, in_size=hidden, dtype=np.float64, rng=rng)

    def forward(self, x: Variable) -> Variable:
        y: Variable = self.fc(self.rnn(x))
        return y


def train(
    rng: np.random.Generator, hidden: int, batch: int, length: int, epochs: int, span: int
) -> Step:
    """The step that learns to continue a noisy sine; backward goes `span` steps back."""
    model = Predictor(hidden, rng)
    optimizer = nn.Adam(0.01).setup(model)
    waves = np.sin(np.linspace(0, 4 * np.pi, length * batch + 1))
    waves += rng.uniform(-0.05, 0.05, waves.shape)
    loader = nn.SeqDataLoader(waves[:-1, None], waves[1:, None], batch_size=batch)

    def step(probe: Probe) -> dict[str, float]:
        results: dict[str, float] = {}
        for _ in range(epochs):
            model.rnn.reset_state()
            loss = Variable(np.array(0.0), requires_grad=False)
            for number, (x, t) in enumerate(loader, start=1):
                loss = loss + mean_squared_error(model(Variable(x, requires_grad=False)), t)
                if number % span and number < len(loader):
                    continue
                probe("forward")
                results.setdefault("first_loss", checksum(loss.data))
                if Config.enable_backprop:
                    loss.backward()
                    loss.unchain_backward()
                    probe("backward")
                    optimizer.update()
                    model.cleargrads()  # which the next forward has no use for
                    results["loss"] = checksum(loss.data)
                probe("step")
                loss = loss.detach()
        return results

    return step


@workload(quick={"epochs": 1})
def lstm_sine(
    rng: np.random.Generator,
    *,
    hidden: int = 64,
    batch: int = 200,
    length: int = 60,
    epochs: int = 2,
    span: int = 15,
) -> Step:
    """An LSTM learns to continue a sine, backward through 15 steps at a time and no further.

    `unchain_backward` ends the graph there: truncated backpropagation through time.
    Source: step 60 of the book; Williams and Peng 1990.
    """
    return train(rng, hidden, batch, length, epochs, span)


@workload(quick={"epochs": 1})
def lstm_sine_whole(
    rng: np.random.Generator,
    *,
    hidden: int = 64,
    batch: int = 200,
    length: int = 60,
    epochs: int = 2,
) -> Step:
    """The same LSTM, backward through the whole sequence: the graph grows to its end."""
    return train(rng, hidden, batch, length, epochs, length)

"""The problems, each stated once in terms of what every engine has, and by hand as the floor.

A problem of several sizes is there to show how the time grows. To add one, add its three functions
and its entry in PROBLEMS: what to compute, of what, and the same by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from experiments.bench import floors
from experiments.bench.engines.engine import Compute, Engine, Work

Array = npt.NDArray[Any]
Kind = Literal["time", "peak", "graph", "loop", "instructions"]

NEWTON_STEPS = 10
RUNG = math.cos(0.1), math.sin(0.1)  # each rung turns by a tenth: nothing grows, nothing fades
ARRAYS = [("tanh", "square", "exp")[n % 3] for n in range(20)]


def _recorded(e: Engine, compute: Compute, inputs: list[Array], size: int) -> Work:
    return e.work(compute, inputs)


class _Newton:
    """All steps in one: there is no forward apart from backward."""

    def __init__(self, points: Callable[[], Array]) -> None:
        self._points = points

    def forward(self) -> None:
        return None

    def backward(self, held: Any) -> Array:
        return self._points()

    def gradients(self, found: Any) -> list[Array]:
        return [found]


def _by_newton(e: Engine, f: Compute, inputs: list[Array], steps: int) -> Work:
    return _Newton(lambda: e.newton(f, inputs[0], steps))


@dataclass(frozen=True)
class Problem:
    """What to compute, how large, and what to measure of it."""

    name: str
    says: str
    inputs: Callable[[np.random.Generator, int], list[Array]]  # those that a gradient is wanted of
    compute: Callable[[Engine, int, Any], Compute]  # engine, size, data -> of the inputs
    floor: Callable[[list[Array], int, Any], Work]
    operations: Callable[[int], int]  # that an engine records, at a size
    sizes: Sequence[int]
    quick: Sequence[int]
    measured: Sequence[Kind] = ("time",)
    data: Callable[[np.random.Generator, int], Any] = lambda rng, size: ()
    label: Callable[[int], str] = "N = {:,}".format
    counted_at: int = 0  # the size at which the graph is weighed and instructions are counted
    grows: bool = False  # whether its sizes are there to see how time follows
    array_bytes: Callable[[int], int] | None = None  # of one array, where all are alike
    # The figures that say most, and the most that this project's engine wants each of them to be.
    chief: Mapping[str, float | None] = field(default_factory=lambda: {"× floor": None})
    beside: Sequence[str] = ()  # peers that the time is a multiple of, too
    work: Callable[[Engine, Compute, list[Array], int], Work] = _recorded

    def made(self, size: int) -> tuple[list[Array], Any]:
        """Inputs and data, the same in every process."""
        rng = np.random.default_rng(size)
        return self.inputs(rng, size), self.data(rng, size)

    def prepared(self, engine: Engine | None, size: int) -> Work:
        """The problem made ready for an engine; for none, by hand."""
        inputs, data = self.made(size)
        if engine is None:
            return self.floor(inputs, size, data)
        return self.work(engine, self.compute(engine, size, data), inputs, size)


def _one(rng: np.random.Generator, size: int) -> list[Array]:
    return [np.array([0.7])]


# What to compute ----------------------------------------------------------------------------------


def _goldstein_price(e: Engine, size: int, data: Any) -> Compute:
    def compute(x: Any, y: Any) -> Any:
        return (
            1
            + (x + y + 1) ** 2 * (19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2)
        ) * (
            30
            + (2 * x - 3 * y) ** 2
            * (18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2)
        )  # fmt: skip

    return compute


def _chain(e: Engine, length: int, data: Any) -> Compute:
    def compute(y: Any) -> Any:
        sin = e.sin
        for _ in range(length):
            y = sin(y)
        return y

    return compute


def _factors(size: int) -> list[float]:
    return [1 + n / size for n in range(size)]


def _wide(e: Engine, size: int, data: Any) -> Compute:
    factors = _factors(size)

    def compute(x: Any) -> Any:
        sin = e.sin
        y = sin(factors[0] * x)
        for c in factors[1:]:
            y = y + sin(c * x)
        return y

    return compute


def _ladder(e: Engine, rungs: int, data: Any) -> Compute:
    c, s = RUNG

    def compute(a: Any, b: Any) -> Any:
        for _ in range(rungs):
            a, b = c * a - s * b, s * a + c * b
        return a + b

    return compute


def _residual(e: Engine, links: int, data: Any) -> Compute:
    step = 1 / links

    def compute(y: Any) -> Any:
        sin = e.sin
        for _ in range(links):
            y = y + step * sin(y)
        return y

    return compute


def _arrays(e: Engine, size: int, data: Any) -> Compute:
    operations = [getattr(e, name) for name in ARRAYS]

    def compute(y: Any) -> Any:
        for operation in operations:
            y = operation(y)
        return y

    return compute


def _square_loop(e: Engine, size: int, data: Any) -> Compute:
    square = e.square
    return lambda x: square(square(square(x)))


def _mlp(e: Engine, size: int, data: Any) -> Compute:
    x, classes = map(e.constant, data)

    def compute(W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        return e.cross_entropy(e.linear(e.relu(e.linear(x, W1, b1)), W2, b2), classes)

    return compute


def _mlp_parameters(rng: np.random.Generator, hidden: int) -> list[Array]:
    sizes = (784, hidden), (hidden,), (hidden, 10), (10,)
    return [(rng.standard_normal(size) * 0.05).astype(np.float32) for size in sizes]


def _mlp_data(rng: np.random.Generator, hidden: int) -> tuple[Array, Array]:
    return rng.random((64, 784), np.float32), rng.integers(0, 10, 64)


def _rnn(e: Engine, steps: int, data: Any) -> Compute:
    sequence, target = data
    xs = [e.constant(x) for x in sequence]
    start, wanted = e.constant(np.zeros((32, 128), np.float32)), e.constant(target)

    def compute(Wx: Any, Wh: Any, b: Any, Wy: Any) -> Any:
        h = start
        for x in xs:
            h = e.tanh(e.linear(x, Wx, b) + e.matmul(h, Wh))
        error = e.matmul(h, Wy) - wanted
        return e.sum(error * error)

    return compute


def _rnn_parameters(rng: np.random.Generator, steps: int) -> list[Array]:
    sizes = (8, 128), (128, 128), (128,), (128, 1)
    return [(rng.standard_normal(size) * 0.08).astype(np.float32) for size in sizes]


def _rnn_data(rng: np.random.Generator, steps: int) -> tuple[Array, Array]:
    return rng.random((steps, 32, 8), np.float32), rng.random((32, 1), np.float32)


def _quartic(e: Engine, size: int, data: Any) -> Compute:
    return lambda x: x**4 - 2 * x**2


# And how large ------------------------------------------------------------------------------------

PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem(
            "goldstein_price",
            "The Goldstein-Price function of two variables: many operations, little data.",
            inputs=lambda rng, size: [np.full((1,) * size, 1.0), np.full((1,) * size, 0.7)],
            compute=_goldstein_price,
            floor=lambda inputs, size, data: floors.goldstein_price(inputs),
            operations=lambda size: 38,
            sizes=(0, 1),
            quick=(0, 1),
            measured=("time", "instructions"),
            chief={"× floor, shape (1,)": 3.0},
            label=lambda size: f"shape {(1,) * size}",
            counted_at=1,
        ),
        Problem(
            "chain",
            "sin of sin of sin, on arrays of one element: nothing but recorded operations.",
            inputs=_one,
            compute=_chain,
            floor=lambda inputs, size, data: floors.chain(inputs, size),
            operations=lambda size: size,
            chief={"× floor, N = 1,000": 1.9, "bytes an operation": 300, "objects an operation": 2},
            grows=True,
            sizes=(100, 1_000, 10_000, 100_000, 1_000_000),
            quick=(100, 1_000, 10_000),
            measured=("time", "graph", "instructions"),
            counted_at=1_000,
        ),
        Problem(
            "wide",
            "A sum of N branches, left to right: all of them wait for backward at once.",
            inputs=_one,
            compute=_wide,
            floor=lambda inputs, size, data: floors.wide(inputs, _factors(size)),
            operations=lambda size: 3 * size - 1,
            chief={"exponent of backward": 1.05},
            grows=True,
            sizes=(100, 1_000, 10_000, 100_000),
            quick=(100, 1_000),
        ),
        Problem(
            "ladder",
            "Two rails and N rungs between them: 2 to the N paths lead from end to end.",
            inputs=lambda rng, size: [np.array([0.7]), np.array([0.2])],
            compute=_ladder,
            floor=lambda inputs, size, data: floors.ladder(inputs, size, *RUNG),
            operations=lambda size: 6 * size + 1,
            chief={"exponent of backward": None},
            grows=True,
            sizes=(100, 1_000, 10_000),
            quick=(100, 1_000),
        ),
        Problem(
            "residual",
            "N residual links, y + sin(y) / N: a way around every operation.",
            inputs=_one,
            compute=_residual,
            floor=lambda inputs, size, data: floors.residual(inputs, size),
            operations=lambda size: 3 * size,
            chief={"exponent of backward": None},
            grows=True,
            sizes=(100, 1_000, 10_000),
            quick=(100, 1_000),
        ),
        Problem(
            "arrays",
            "20 operations (tanh, square, exp and so on) on arrays of a million elements.",
            inputs=lambda rng, size: [rng.random(size)],
            compute=_arrays,
            floor=lambda inputs, size, data: floors.arrays(inputs, ARRAYS),
            operations=lambda size: len(ARRAYS),
            array_bytes=lambda size: 8 * size,
            chief={"peak in arrays, forward": 14, "peak in arrays, both": 16, "× floor": None},
            sizes=(1_000_000,),
            quick=(1_000_000,),
            measured=("time", "peak"),
        ),
        Problem(
            "square_loop",
            "The loop of the book's step 17, collector off: what grows, and what is garbage.",
            inputs=lambda rng, size: [rng.random(size)],
            compute=_square_loop,
            floor=lambda inputs, size, data: floors.square_loop(inputs),
            operations=lambda size: 3,
            array_bytes=lambda size: 8 * size,
            chief={"growth in arrays, both": None, "garbage, both": 0},
            sizes=(10_000,),
            quick=(10_000,),
            measured=("loop",),
        ),
        Problem(
            "mlp",
            "The gradients of 64 images in a network of 784, N and 10 units, float32.",
            inputs=_mlp_parameters,
            data=_mlp_data,
            compute=_mlp,
            floor=lambda inputs, size, data: floors.mlp(inputs, *data),
            operations=lambda size: 4,
            chief={"× floor": 1.15, "peak × floor": None},
            sizes=(100,),
            quick=(100,),
            measured=("time", "peak"),
        ),
        Problem(
            "rnn",
            "The gradients of 32 sequences in a tanh RNN of N steps, 128 units, float32.",
            inputs=_rnn_parameters,
            data=_rnn_data,
            compute=_rnn,
            floor=lambda inputs, size, data: floors.rnn(inputs, *data),
            operations=lambda size: 4 * size + 4,
            chief={"× floor": 1.3, "peak × floor": 1.08},
            sizes=(200,),
            quick=(200,),
            measured=("time", "peak"),
        ),
        Problem(
            "newton",
            "Newton's method, N steps on x**4 - 2 x**2: the second derivatives by the engine.",
            inputs=lambda rng, size: [np.array(2.0)],
            compute=_quartic,
            floor=lambda inputs, size, data: _Newton(lambda: floors.newton(inputs[0], size)),
            work=_by_newton,
            operations=lambda size: 4 * size,
            beside=("dezero",),
            chief={"time × dezero": 1 / 3},
            sizes=(NEWTON_STEPS,),
            quick=(NEWTON_STEPS,),
        ),
    )
}

"""Graphs that need more memory than there may be: what does it cost to hold less of them?

Each of these has parameters that say how memory is bought. recompute: not at all; in segments of
one length; by the best schedule within a budget (binomial); or by a budget that is in force for any
graph. packer: what packs the arrays that are kept, which goes with none of the others. A budget
that cannot be met is no failure of the trial, which was to find out: its results are `refused` then
and the bytes that would do, as far as the engine knows; its figures are of the work up to there.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from math import fsum
from typing import Any, Literal, TypeAlias

import numpy as np

from autodiff import (
    BudgetError,
    Compressed,
    Config,
    Disk,
    Half,
    Variable,
    checkpoint_sequential,
    count_in_budget,
    linear,
    sin,
    sum,
    tanh,
    using_config,
)
from experiments.workloads import Probe, Step, checksum, workload

Recompute: TypeAlias = Literal["none", "segments", "binomial", "budget"]
Packer: TypeAlias = Literal["none", "half", "compressed", "disk"]
Stage: TypeAlias = Callable[[Variable], Variable]

OPERATIONS: Mapping[str, Stage] = {"sin": sin, "tanh": tanh}
PACKERS: Mapping[str, Callable[[], Any]] = {"half": Half, "compressed": Compressed, "disk": Disk}
FLOAT_BYTES = 8


def within(recompute: str, budget: int, packer: str) -> AbstractContextManager[None]:
    """What is in force while the work is done."""
    if packer != "none":
        return using_config("packer", PACKERS[packer]())
    return using_config("budget", budget) if recompute == "budget" else nullcontext()


def through(
    stages: Sequence[Stage], x: Variable, recompute: str, segments: int, budget: int
) -> Variable:
    """x taken through all stages; by whom, `recompute` says."""
    if recompute == "segments":
        return checkpoint_sequential(stages, x, segments=segments)
    if recompute == "binomial":
        return checkpoint_sequential(stages, x, budget=budget)
    for stage in stages:
        x = stage(x)
    return x


def measured(
    wanted: Sequence[Variable],
    compute: Callable[[], Variable],
    held: Callable[[], AbstractContextManager[None]],
) -> Step:
    """The step that computes one result and, of its sum, the gradients that are wanted.

    The result itself is dropped before backward, as where a loss is made of it. The graphs here
    negate it, so that its gradient is an array like any other and not one number, seen from
    everywhere. held: what is in force meanwhile.
    """

    def step(probe: Probe) -> dict[str, float]:
        for variable in wanted:
            variable.cleargrad()
        try:
            with held():
                return there_and_back(probe)
        except BudgetError as error:
            return {"refused": 1.0, "least_bytes": float(error.least)}
        finally:
            probe("step")

    def there_and_back(probe: Probe) -> dict[str, float]:
        count_in_budget(*wanted)
        y = compute()
        results = {"y_sum": checksum(y.data)}
        y = sum(y)
        probe("forward")
        if Config.enable_backprop:
            y.backward()
            probe("backward")
            results["gradients_sum"] = fsum(checksum(variable.grad) for variable in wanted)
        return results

    return step


@workload(quick={"length": 30, "size": 8_192})
def deep_chain(
    rng: np.random.Generator,
    *,
    kind: Literal["sin", "tanh"] = "sin",
    length: int = 100,
    size: int = 32_768,
    recompute: Recompute = "none",
    segments: int = 10,
    arrays: int = 21,
    packer: Packer = "none",
) -> Step:
    """A chain of a hundred operations that are all alike, within so many arrays.

    The gradient of sin needs its input, that of tanh its output. What is the best that can be done
    is known in closed form (experiments.bounds).
    """
    x = Variable(1.0 - rng.random(size))
    budget = arrays * size * FLOAT_BYTES
    stages = [OPERATIONS[kind]] * length
    return measured(
        [x],
        lambda: -through(stages, x, recompute, segments, budget),
        lambda: within(recompute, budget, packer),
    )


@workload(quick={"batch": 256})
def uneven_layers(
    rng: np.random.Generator,
    *,
    widths: str = "2-1-4-2-8-1-3-6-2-8-1-5-2",
    unit: int = 32,
    batch: int = 1_024,
    recompute: Recompute = "none",
    segments: int = 4,
    budget: int = 12_582_912,
    packer: Packer = "none",
) -> Step:
    """A network of layers of unequal width, within so many bytes: stages of unequal cost and size.

    The widths are those of the input and of each layer, in units. The budget is of all arrays, the
    weights among them, which a sequence of checkpoints does not count.
    """
    wide = [unit * int(width) for width in widths.split("-")]
    x = Variable(rng.standard_normal((batch, wide[0])), requires_grad=False)
    weights = [Variable(rng.standard_normal(shape) / np.sqrt(shape[0])) for shape in pairwise(wide)]

    def layer(weight: Variable) -> Stage:
        return lambda x: tanh(linear(x, weight))

    def last(x: Variable) -> Variable:
        return -layer(weights[-1])(x)

    stages = [*map(layer, weights[:-1]), last]
    beside = max(1, budget - builtins.sum(weight.data.nbytes for weight in weights))
    return measured(
        weights,
        lambda: through(stages, x, recompute, segments, beside),
        lambda: within(recompute, budget, packer),
    )


@workload(quick={"size": 8_192})
def long_skips(
    rng: np.random.Generator,
    *,
    depth: int = 20,
    size: int = 65_536,
    recompute: Literal["none", "budget"] = "none",
    arrays: int = 30,
    packer: Packer = "none",
) -> Step:
    """A graph that is no chain: what goes in early comes back late, over ever shorter skips.

    The results of the first half are added in the second, the last one first, as in networks that
    draw pictures. No sequence of stages can be cut here, and a budget can still be kept.
    """
    x = Variable(rng.standard_normal(size))
    budget = arrays * size * FLOAT_BYTES

    def down_and_up() -> Variable:
        y, skipped = x, []
        for _ in range(depth):
            y = tanh(y)
            skipped.append(y)
        while skipped:
            y = tanh(y + skipped.pop())
        return -y

    return measured([x], down_and_up, lambda: within(recompute, budget, packer))

"""Recomputation meets again what it met at first: random numbers, batch statistics, settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import (
    Config,
    MemoryMode,
    Variable,
    checkpoint,
    grad,
    nn,
    no_grad,
    recomputing,
    replayed,
    test_mode,
    using_config,
    using_mode,
)
from autodiff.draws import Draws


def bits(*arrays: Any) -> list[bytes | None]:
    return [None if a is None else np.asarray(a).tobytes() for a in arrays]


def mask_kept_and_used(function: Callable[[Variable], Variable]) -> tuple[Any, Any]:
    """What a part that multiplies with random numbers multiplied with, forward and backward."""
    x = Variable(np.ones(1000))
    y = checkpoint(function, x)
    forward = y.data.copy()
    y.backward()
    return forward, x.grad


MODULE_RNG = np.random.default_rng(5)


class Noisy:
    rng = np.random.default_rng(3)

    def __init__(self) -> None:
        self.parts = [{"rng": np.random.default_rng(4)}]

    def __call__(self, x: Variable) -> Variable:
        return x * self.parts[0]["rng"].random(x.shape) * self.rng.random(x.shape)

    def method(self, x: Variable) -> Variable:
        return self(x)


def drawing(rng: Any, x: Variable) -> Variable:
    return x * rng.random(x.shape[0])


def by_helper(x: Variable) -> Variable:
    return drawing(MODULE_RNG, x)


def drawing_functions() -> dict[str, Callable[[Variable], Variable]]:
    from functools import partial
    from random import random

    local, legacy = np.random.default_rng(0), np.random.RandomState(0)
    bits = np.random.Philox(3)
    return {
        "global": lambda x: x * np.random.rand(*x.shape),
        "normal": lambda x: x * np.random.normal(size=3)[0] * np.random.normal(),
        "closure": lambda x: x * local.random(x.shape),
        "legacy": lambda x: x * legacy.random_sample(x.shape),
        "bits": lambda x: x * np.random.Generator(bits).random(x.shape),
        "default": lambda x, rng=local: x * rng.random(x.shape),
        "module": lambda x: x * MODULE_RNG.random(x.shape),
        "helper": by_helper,
        "partial": partial(drawing, local),
        "object": Noisy(),
        "method": Noisy().method,
        "python": lambda x: x * random(),
        "replayed": lambda x: x * replayed().random(x.shape) * replayed(local).random(x.shape),
        "dropout": lambda x: nn.functional.dropout(x, 0.3),
        "dropouts": nn.Sequential(nn.Dropout(0.3), nn.Dropout(0.3)),
        "nested dropout": lambda x: checkpoint(lambda x: nn.functional.dropout(x, 0.3), x),
        "nested": lambda x: checkpoint(lambda x: x * local.random(x.shape), x) * local.random(1),
    }


@pytest.mark.parametrize("name", drawing_functions())
def test_the_same_random_numbers_are_drawn_again(name: str, mode: MemoryMode) -> None:
    function = drawing_functions()[name]
    forward, backward = mask_kept_and_used(function)
    assert bits(forward) == bits(backward)
    later, _ = mask_kept_and_used(function)
    assert bits(later) != bits(forward)


@pytest.mark.parametrize("kept", [False, True], ids=["none kept", "one kept"])
@pytest.mark.parametrize("draws", range(4))
def test_normal_numbers_that_numpy_keeps_for_the_next_call_are_drawn_again(
    draws: int, kept: bool
) -> None:
    """NumPy's global generator draws two at a time, and the second leaves its words unchanged."""
    np.random.seed(0)
    if kept:
        np.random.normal()

    def function(x: Variable) -> Variable:
        return x * (1.0 + sum(np.random.normal() for _ in range(draws)))

    forward, backward = mask_kept_and_used(function)
    assert bits(forward) == bits(backward)
    assert bits(forward) != bits(np.ones(1000)) or not draws


def test_whatever_is_drawn_from_numpy_is_noticed() -> None:
    def states(draw: Callable[[], object]) -> bool:
        call = Draws([])
        draw()
        call.end()
        return bool(call._before)

    assert not states(lambda: None)
    for draw in (np.random.rand, np.random.normal, lambda: np.random.bytes(1), np.random.seed):
        for _ in range(3):  # an even number of normal numbers leaves none kept
            assert states(draw)
    assert states(lambda: [np.random.rand() for _ in range(624)])
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(1))
    try:
        assert not states(lambda: None)
        assert states(np.random.rand)
    finally:
        np.random.set_bit_generator(before)


def test_later_draws_are_as_if_nothing_had_been_drawn_again() -> None:
    rng = np.random.default_rng(0)

    def function(x: Variable) -> Variable:
        return nn.functional.dropout(x * rng.random(3) * np.random.rand(), 0.5, rng)

    def numbers(part: Callable[[Variable], Any]) -> list[Any]:
        rng.bit_generator.state = np.random.default_rng(7).bit_generator.state
        np.random.seed(7)
        y = part(Variable(np.ones(3)))
        between = [rng.random(), np.random.rand()]
        y.backward()
        return [*between, rng.random(), np.random.rand()]

    assert numbers(lambda x: checkpoint(function, x)) == numbers(function)


def test_a_generator_that_also_draws_the_weights_gives_the_same_mask() -> None:
    rng = np.random.default_rng(0)
    layer = nn.Sequential(nn.Linear(50, rng=rng), nn.Dropout(0.5, rng))
    x = Variable(np.ones((1, 4), np.float32))
    y = checkpoint(layer, x)
    y.backward()
    linear = layer.parts[0]
    assert ((linear.b.grad != 0) == (y.data[0] != 0)).all()  # type: ignore[attr-defined]


def test_neither_does_drawing_weights_shift_what_else_is_drawn() -> None:
    rng = np.random.default_rng(0)
    layer = nn.Linear(50, rng=rng, dtype=np.float64)
    x = Variable(np.ones((1, 4)))
    y = checkpoint(lambda x: layer(x) * rng.random((1, 50)), x)
    y.backward()
    assert layer.b is not None
    assert layer.W.data is not None
    assert layer.b.grad is not None
    assert np.allclose(y.data, (x.data @ layer.W.data) * layer.b.grad)


def test_drawing_more_the_second_time_is_an_error() -> None:
    def function(x: Variable) -> Variable:
        for _ in range(1 + recomputing()):
            x = nn.functional.dropout(x)
        return x

    y = checkpoint(function, Variable(np.ones(3)))
    with pytest.raises(RuntimeError, match="draws random numbers more often"):
        y.backward()


# Batch statistics and settings -----------------------------------------------------------------


def test_batch_statistics_are_counted_once(mode: MemoryMode) -> None:
    x = np.random.default_rng(0).normal(size=(8, 3))
    found = []
    for part in (nn.BatchNorm(3, dtype=np.float64), nn.BatchNorm(3, dtype=np.float64)):
        for _ in range(2):
            y = checkpoint(part, x) if found else part(x)
            ad.sum(y * y * np.arange(3.0)).backward()
        found.append(bits(part.running_mean, part.running_var, part.gamma.grad, part.beta.grad))
    assert found[0] == found[1]


def test_nested_too(mode: MemoryMode) -> None:
    norm, plain = nn.BatchNorm(3, dtype=np.float64), nn.BatchNorm(3, dtype=np.float64)
    x = np.random.default_rng(0).normal(size=(8, 3))
    plain(x)
    y = checkpoint(lambda x: checkpoint(lambda x: checkpoint(norm, x), x), Variable(x))
    y.backward()
    assert bits(norm.running_mean) == bits(plain.running_mean)


def test_the_settings_of_the_first_time_are_in_force_again() -> None:
    seen = []

    def function(x: Variable) -> Variable:
        seen.append((recomputing(), Config.train, Config.debug, Config.output_refs))
        return ad.sin(x)

    with using_mode("step16"), test_mode(), using_config("debug", True):
        y = checkpoint(function, Variable(np.ones(2)))
    with using_mode("lean"):
        y.backward()
        assert Config.train
        assert not recomputing()
    assert seen == [(False, False, True, "strong"), (True, False, True, "strong")]


def test_backward_under_no_grad_goes_through_it() -> None:
    x = Variable(np.ones(2))
    (plain,) = grad(ad.sin(x), [x])
    with using_mode("lean"):
        y = checkpoint(ad.sin, x)
        with no_grad():
            y.backward()
    assert bits(x.grad) == bits(plain)

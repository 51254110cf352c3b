"""What all tests share: Hypothesis' settings, fixtures, and what is left out under no_grad."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest

from autodiff import MODES, Config, MemoryMode, using_mode

hypothesis.settings.register_profile("people", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "people")

# A mode fixture runs its test under each of these.
RECORDING = [name for name, mode in MODES.items() if mode.enable_backprop]
CHOOSE = {"mode", "in_lean"}  # who asks for one of these is the same in every default mode


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "forward: needs no graph, so it runs with AUTODIFF_MODE=no_grad, too"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under a default mode of one's own, leave out the tests that choose their mode themselves.

    Under one that records no graph, run just the tests that are marked `forward`.
    """
    if os.environ.get("AUTODIFF_MODE"):
        chosen = [item for item in items if CHOOSE.intersection(item.fixturenames)]
        config.hook.pytest_deselected(items=chosen)
        items[:] = [item for item in items if not CHOOSE.intersection(item.fixturenames)]
    if Config.enable_backprop:
        return
    skip = pytest.mark.skip(reason="needs a graph, and the default memory mode records none")
    for item in items:
        if item.get_closest_marker("forward") is None:
            item.add_marker(skip)


def pytest_collection_finish() -> None:
    """Put all modules and tests out of the collector's sight, for good.

    Where they are half a million objects, tests that collect, or look for who holds what, took ten
    times as long. A test that freezes what there is has nothing to undo.
    """
    draw_first()  # Hypothesis then asks the collector once who refers to its generator
    gc.collect()
    gc.freeze()


@hypothesis.given(hypothesis.strategies.none())
def draw_first(nothing: None) -> None:
    """The first property of the process, of nothing."""


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same ones in each run."""
    return np.random.default_rng(0)


@pytest.fixture
def collector_off() -> Iterator[None]:
    """Nothing but reference counts frees anything during the test."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    yield
    if was_on:
        gc.enable()
    gc.collect()


@pytest.fixture
def small_heap() -> None:
    """Nothing in sight of a census but what the test makes."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=RECORDING)
def mode(request: pytest.FixtureRequest) -> Iterator[MemoryMode]:
    """Each named mode that records graphs, in force during the test."""
    with using_mode(request.param):
        yield MODES[request.param]


@pytest.fixture
def in_lean() -> Iterator[None]:
    """In lean, whatever the default is: for bytes that another mode would add to."""
    with using_mode("lean"):
        yield

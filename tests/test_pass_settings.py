"""Which settings a rule runs under, and that a backward pass leaves none behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Config, Function, Variable, grad, no_grad, using_config
from autodiff.config import settings


class Asks(Function):
    """A user's operation, of one output or two, whose rule asks whether graphs are recorded."""

    saves = ()

    def __init__(self, told: list[bool], outputs: int = 1) -> None:
        self.told, self.count = told, outputs

    def forward(self, x: Any) -> Any:
        return tuple([x * 1 for _ in range(self.count)])

    def backward(self, *gys: Any) -> Any:
        self.told.append(Config.enable_backprop)
        if not Config.enable_backprop:
            assert (Variable(np.ones(2)) * 2).creator is None
        return sum(gys)


def computed(told: list[bool], outputs: int) -> tuple[Variable, Variable]:
    """A leaf and a result, with the engine's own operations before, between and behind."""
    x = Variable(np.ones(2))
    ys = Asks(told, outputs)(ad.sin(x))
    y = ys if outputs == 1 else ys[0] * ys[1]
    return x, ad.exp(Asks(told)(y * 3) + 1)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("create_graph", [False, True])
def test_rules_run_without_graphs_but_under_create_graph(outputs: int, create_graph: bool) -> None:
    with using_config("enable_backprop", True):
        told: list[bool] = []
        x, y = computed(told, outputs)
        before = settings()
        with no_grad():  # what is in force around the pass does not matter
            y.backward(create_graph=create_graph, retain_graph=True)
        y.backward(create_graph=create_graph, retain_graph=True)
        grad(y, x, create_graph=create_graph, retain_graph=True)
        assert told == [create_graph] * 6
        assert settings() is before


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_rule_that_fails_leaves_the_settings_as_they_were(create_graph: bool) -> None:
    class Fails(Function):
        saves = ()

        def forward(self, x: Any) -> Any:
            return x * 1

        def backward(self, gy: Any) -> Any:
            raise ZeroDivisionError

    with using_config("enable_backprop", True):
        y = ad.sin(Fails()(Variable(np.ones(2))))
        before = settings()
        with pytest.raises(ZeroDivisionError):
            y.backward(create_graph=create_graph)
        assert settings() is before


def test_a_rule_that_changes_the_settings_changes_them_for_the_pass_alone() -> None:
    class Changes(Function):
        saves = ()

        def forward(self, x: Any) -> Any:
            return x * 1

        def backward(self, gy: Any) -> Any:
            Config.train = not Config.train
            return gy

    with using_config("enable_backprop", True):
        y = Changes()(ad.sin(Changes()(Changes()(Variable(np.ones(2))))))
        before = settings()
        y.backward()
        assert settings() is before

"""What tests of sequences of checkpoints share: the plain chain, and ways to hold less of one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autodiff import Variable
from autodiff.keepers.footprint import IDLE

Stage = Callable[[Variable], Variable]

WAYS = [{"segments": 1}, {"segments": 2}, {"budget": 2_000 + IDLE}, {"budget": 10**6}]  # x: 56 B
ways = pytest.mark.parametrize("how", WAYS, ids=str)


def plainly(functions: list[Stage], x: Variable) -> Variable:
    for function in functions:
        x = function(x)
    return x

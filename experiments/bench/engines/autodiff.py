"""This project's own engine, in its default mode."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import autodiff
from experiments.bench.engines.engine import AsInTheBook
from experiments.environment import DISTRIBUTION


class Engine(AsInTheBook):
    def __init__(self) -> None:
        try:
            version = metadata.version(DISTRIBUTION)
        except metadata.PackageNotFoundError:
            version = "of this folder"
        super().__init__(version, autodiff.Variable, autodiff)

    def differentiable(self, leaf: Any) -> Any:
        return leaf.grad_var

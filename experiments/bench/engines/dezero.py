"""DeZero, the engine of the book that this project begins with."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from experiments.bench.engines.engine import Array, AsInTheBook


def _imported() -> tuple[Any, Any, str]:
    """DeZero and its functions, on a NumPy of today, and which version it is.

    Its last release reads np.int when it is imported, which NumPy 1.24 took away, and imports
    matplotlib for the pictures of its data sets, without saying so. No problem here draws any.
    """
    lent = [] if hasattr(np, "int") else ["np.int"]
    if lent:
        np.int = int  # type: ignore[attr-defined]
    if find_spec("matplotlib") is None:
        sys.modules["matplotlib"] = ModuleType("matplotlib")
        sys.modules["matplotlib.pyplot"] = ModuleType("matplotlib.pyplot")
        lent.append("an empty matplotlib")
    import dezero
    import dezero.functions as F

    note = f" (which imports only if lent {' and '.join(lent)})" if lent else ""
    return dezero, F, f"{dezero.__version__}{note}"


class Engine(AsInTheBook):
    def __init__(self) -> None:
        dezero, F, version = _imported()
        super().__init__(version, dezero.Variable, F)

    def gradient(self, leaf: Any) -> Array:
        return np.asarray(leaf.grad.data)

    def differentiable(self, leaf: Any) -> Any:
        return leaf.grad

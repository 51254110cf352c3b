"""The engines that are set beside each other: a file for each, named as its package is.

`numpy` is the floor: the same problems by hand. To add a peer, add a file with a class `Engine`.
None of them is imported here, since an engine is measured in a process where no other one is.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.util import find_spec

from experiments.bench.engines.engine import Engine

FLOOR, OURS = "numpy", "autodiff"

PEERS = sorted({module.name for module in pkgutil.iter_modules(__path__)} - {"engine", FLOOR, OURS})
ENGINES = (FLOOR, OURS, *PEERS)


def installed(name: str) -> bool:
    """Whether an engine's package is there; it need not work."""
    return find_spec(name) is not None


def load(name: str) -> Engine:
    """The engine of a name. Raises whatever its package raises when it is imported."""
    engine: Engine = import_module(f"{__name__}.{name}").Engine()
    return engine

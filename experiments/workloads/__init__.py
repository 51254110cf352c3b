"""What is measured. A workload builds outside the measurement and returns the step to measure.

A workload is a function `name(rng, *, parameter=default, ...)` under `@workload`. It builds what
outlives the measurement (parameters, data) and returns `step(probe)`, which does the work and calls
`probe(phase)` at its named moments: "forward" (the graph stands), "backward" (the gradients are
there), "step" (one round is over). `step` returns what it computed, as numbers, by which every mode
proves that it computed the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Probe = Callable[[str], None]
Step = Callable[[Probe], Mapping[str, float]]


@dataclass(frozen=True)
class Workload:
    name: str
    build: Callable[..., Step]

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.build) or "").splitlines()[0]

    @property
    def defaults(self) -> dict[str, int | float | str]:
        """Its parameters and their default values."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def start(self, seed: int, parameters: Mapping[str, int | float | str]) -> Step:
        return self.build(np.random.default_rng(seed), **parameters)


WORKLOADS: dict[str, Workload] = {}


def workload(build: Callable[..., Step]) -> Callable[..., Step]:
    """Register a workload under its function's name."""
    name = build.__name__
    WORKLOADS[name] = Workload(name, build)
    return build

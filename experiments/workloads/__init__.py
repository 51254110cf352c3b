"""What is measured. A workload builds outside the measurement and returns the step to measure.

A workload is a function `name(rng, *, parameter=default, ...)` under `@workload`, in any file of
this folder. It builds what outlives the measurement (parameters, data) and returns `step(probe)`,
which does the work and calls `probe(phase)` at its named moments: "forward" (the graph stands),
"backward" (the gradients are there), "step" (one round is over). `step` returns what it computed,
as numbers, by which every mode proves that it computed the same.

Where no graph is built (mode no_grad) a step goes forward only, and returns only the results that
it computed: they can be compared wherever two trials both have them.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints, overload

import numpy as np
import numpy.typing as npt

from autodiff import Config, Variable
from experiments.trial import Value

Probe = Callable[[str], None]
Step = Callable[[Probe], Mapping[str, float]]


@dataclass(frozen=True)
class Workload:
    name: str
    build: Callable[..., Step]
    quick: Mapping[str, Value] = field(default_factory=dict)  # the parameters of a quick run

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.build) or "").splitlines()[0]

    @property
    def defaults(self) -> dict[str, Value]:
        """Its parameters and their default values."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def read(self, parameter: str, text: str) -> Value:
        """The value that a text means for a parameter.

        Raises ValueError, saying what is allowed, where it means none.
        """
        hint = get_type_hints(self.build)[parameter]
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        if hint is bool:
            return _read_bool(text)
        if hint is str:
            return text
        if choices:
            if text not in choices:
                raise ValueError(f"one of {', '.join(choices)} is needed, not {text!r}")
            return text
        return _read_number(hint, text)

    def start(self, seed: int, parameters: Mapping[str, Value]) -> Step:
        return self.build(np.random.default_rng(seed), **parameters)


def _read_bool(text: str) -> bool:
    meanings = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.lower() not in meanings:
        raise ValueError(f"yes or no is needed, not {text!r}")
    return meanings[text.lower()]


def _read_number(kind: type[int | float], text: str) -> int | float:
    """A number above zero: every numeric parameter of a workload is a size, a count or a rate."""
    wanted = "a whole number" if kind is int else "a number"
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(f"{wanted} above 0 is needed, not {text!r}") from None
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{wanted} above 0 is needed, not {text}")
    return value


def checksum(array: npt.NDArray[Any] | None) -> float:
    """The sum of an array, by which two trials show that they computed the same."""
    return float(np.sum(array))  # type: ignore[arg-type]  # None is an error, as it should be


def there_and_back(x: Variable, compute: Callable[[], Variable]) -> Step:
    """The step that computes one result from x, forward, and its gradient, backward.

    As in the book, the result has a name while backward runs, and with it what the graph holds.
    """

    def step(probe: Probe) -> dict[str, float]:
        x.cleargrad()
        y = compute()
        probe("forward")
        results = {"y_sum": checksum(y.data)}
        if Config.enable_backprop:
            y.backward()
            probe("backward")
            results["gx_sum"] = checksum(x.grad)
        probe("step")
        return results

    return step


WORKLOADS: dict[str, Workload] = {}


@overload
def workload(build: Callable[..., Step], /) -> Callable[..., Step]: ...
@overload
def workload(
    *, quick: Mapping[str, Value]
) -> Callable[[Callable[..., Step]], Callable[..., Step]]: ...
def workload(
    build: Callable[..., Step] | None = None, /, *, quick: Mapping[str, Value] | None = None
) -> Callable[..., Step] | Callable[[Callable[..., Step]], Callable[..., Step]]:
    """Register a workload under its function's name; `quick` are the parameters of a quick run."""

    def register(build: Callable[..., Step]) -> Callable[..., Step]:
        name = build.__name__
        WORKLOADS[name] = Workload(name, build, quick or {})
        return build

    return register if build is None else register(build)


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

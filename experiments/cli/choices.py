"""What was typed, and what it means: names of what there is, parameters, amounts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence

from experiments.cli.endings import UsageError
from experiments.trial import Value
from experiments.units import read_bytes
from experiments.workloads import WORKLOADS


def named(kind: str, known: Collection[str], name: str) -> str:
    """The name itself, if there is something of that kind by that name."""
    if name not in known:
        raise UsageError(f"There is no {kind} {name!r}. {choices(kind, known, name)}")
    return name


def all_named(kind: str, known: Collection[str], names: Iterable[str]) -> list[str]:
    """The names, each once."""
    return [named(kind, known, name) for name in dict.fromkeys(names)]


def choices(kind: str, known: Collection[str], name: str) -> str:
    """What there is of a kind, and what of it is nearest to a name."""
    if not known:
        return f"There is no {kind} yet."
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    return f"{guess}There are: {', '.join(known)}."


def parameters(settings: Sequence[str], workloads: Collection[str]) -> dict[str, dict[str, Value]]:
    """Workload -> its parameters, out of settings such as chain.length=50."""
    parameters: dict[str, dict[str, Value]] = {}
    for setting in settings:
        found = re.fullmatch(r"(\w+)\.(\w+)=(.*)", setting)
        if not found:
            raise UsageError(
                f"--set {setting!r} is not of the form WORKLOAD.PARAMETER=VALUE, as in "
                "chain.length=50."
            )
        workload, parameter, text = found.groups()
        chosen = WORKLOADS[named("workload", WORKLOADS, workload)]
        named(f"parameter of {workload}", chosen.defaults, parameter)
        if workload not in workloads:
            raise UsageError(
                f"--set {setting!r}: {workload} is not part of this run. Add -w {workload}, or set "
                f"parameters of: {', '.join(workloads)}."
            )
        try:
            parameters.setdefault(workload, {})[parameter] = chosen.read(parameter, text)
        except ValueError as error:
            raise UsageError(f"--set {workload}.{parameter}: {error}.") from None
    return parameters


def amount(option: str, text: str) -> int:
    """The bytes that an amount such as 512MB means, given to an option."""
    try:
        return read_bytes(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}.") from None

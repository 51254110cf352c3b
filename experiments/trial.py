"""Trial and Record, and their JSON line: the two types that the harness passes around.

A trial says what to run; a record says what came of it. A record is never edited and never lost:
a trial that fails leaves one too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

SCHEMA = 1  # raised when a field of Record or Trial changes its meaning

Collector = Literal["on", "off", "each step"]
Outcome = Literal["ok", "failed", "timed out", "killed"]


@dataclass(frozen=True)
class Trial:
    """One measurement to take: it runs in a process of its own, with one instrument."""

    study: str
    workload: str
    parameters: Mapping[str, int | float | str]  # every parameter of the workload, defaults included
    mode: str  # a name in autodiff.MODES
    instrument: str
    collector: Collector = "off"  # "each step": off, but called by hand after each step
    repeat: int = 0
    seed: int = 0

    @property
    def key(self) -> str:
        """What tells this trial from all others, and is the same in every run."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Record:
    """What one trial found. Every reading's name ends in its unit: `_bytes`, `_seconds`, `_count`."""

    trial: Trial
    outcome: Outcome
    readings: Mapping[str, float] = field(default_factory=dict)  # numbers, above the trial's own baseline
    unavailable: Mapping[str, str] = field(default_factory=dict)  # reading -> why this platform has none
    results: Mapping[str, float] = field(default_factory=dict)  # what the workload computed: equal in every mode
    details: Mapping[str, Any] = field(default_factory=dict)  # curves and tables that a reading sums up
    memory_mode: Mapping[str, Any] = field(default_factory=dict)  # the fields of the mode
    environment: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""  # empty only where the outcome is ok
    phase: str = ""  # the last phase that the trial reached
    schema: int = SCHEMA

    def to_line(self) -> str:
        """The record as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Record:
        """The record that a line of JSON holds.

        Raises ValueError, naming the field, where the line is no record of this schema.
        """
        try:
            found = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"no JSON: {error}") from None
        if not isinstance(found, dict):
            raise ValueError(f"a record is a JSON object, and this is {type(found).__name__}")
        if found.get("schema") != SCHEMA:
            raise ValueError(f"schema: {found.get('schema')!r}, and this version reads schema {SCHEMA}")
        record = cls(**{**_only_fields(cls, found), "trial": Trial(**_only_fields(Trial, found.get("trial")))})
        for name, value, allowed in (
            ("outcome", record.outcome, get_args(Outcome)),
            ("trial.collector", record.trial.collector, get_args(Collector)),
        ):
            if value not in allowed:
                raise ValueError(f"{name}: {value!r}, and allowed are {', '.join(allowed)}")
        return record


def _only_fields(cls: type, found: Any) -> dict[str, Any]:
    """The values of a dataclass's fields, none unknown and none that it needs missing."""
    name = cls.__name__
    if not isinstance(found, dict):
        raise ValueError(f"{name.lower()}: an object is needed, and this is {type(found).__name__}")
    known = {f.name: f for f in fields(cls)}
    if unknown := sorted(found.keys() - known.keys()):
        raise ValueError(f"{name} has no field {unknown[0]!r}; its fields are {', '.join(known)}")
    defaults = cls.__dataclass_fields__  # type: ignore[attr-defined]
    from dataclasses import MISSING

    needed = [n for n, f in defaults.items() if f.default is MISSING and f.default_factory is MISSING]
    if missing := [n for n in needed if n not in found]:
        raise ValueError(f"{name} lacks the field {missing[0]!r}")
    return found

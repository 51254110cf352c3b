"""Trial and Record, and their JSON line: the two types that the harness passes around.

A trial says what to run; a record says what came of it. A record is never edited and never lost:
a trial that fails leaves one too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

SCHEMA = 2  # raised when a field of Record or Trial changes its meaning

CALIBRATION = "calibration"  # the study whose trials measure known truths
COLLECTOR_PHASES = 20  # in how many of its phases the collector is met, one in each repeat

Collector = Literal["on", "off", "each step"]
Outcome = Literal["ok", "failed", "timed out", "killed"]
Value = int | float | str


class RecordError(ValueError):
    """What was read is no record, or no trial; says which field is wrong."""


@dataclass(frozen=True)
class Trial:
    """One measurement to take: it runs in a process of its own, with one instrument."""

    study: str
    workload: str
    parameters: Mapping[str, Value]  # every parameter of the workload, defaults included
    mode: str  # a name in autodiff.MODES
    instrument: str
    collector: Collector = "off"  # "each step": off, but called by hand after each step
    repeat: int = 0  # with the collector on, also the phase in which the trial meets it
    seed: int = 0

    @property
    def key(self) -> str:
        """What tells this trial from all others, and is the same in every run."""
        return self.to_line().rstrip()

    def to_line(self) -> str:
        """The trial as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Trial:
        """The trial that a line holds. Raises RecordError, naming the field, for any other."""
        return _made(cls, _object(line, "a trial"))


@dataclass(frozen=True)
class Record:
    """What one trial found. A reading's name ends in its unit: `_bytes`, `_seconds`, `_count`."""

    trial: Trial
    outcome: Outcome
    readings: Mapping[str, float] = field(default_factory=dict)  # above the trial's own baseline
    unavailable: Mapping[str, str] = field(
        default_factory=dict
    )  # reading -> why there is none here
    at_least: Mapping[str, float] = field(
        default_factory=dict
    )  # reading -> what it came to or went beyond, in a trial that did not end well
    results: Mapping[str, float] = field(default_factory=dict)  # what was computed, in every mode
    details: Mapping[str, Any] = field(default_factory=dict)  # curves, tables behind a reading
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

        Raises RecordError, naming the field, where the line is no record of this schema.
        """
        found = _object(line, "a record")
        if found.get("schema") != SCHEMA:
            wanted = f"and this version reads schema {SCHEMA}"
            raise RecordError(f"schema: {found.get('schema')!r}, {wanted}")
        if not isinstance(trial := found.get("trial"), dict):
            raise RecordError(f"trial: an object is needed, not {_kind(trial)}")
        return _made(cls, {**found, "trial": _made(Trial, trial, "trial.")})


def read_records(path: Path) -> list[Record]:
    """Every record of a file, in the order in which they were written.

    Raises RecordError, naming the file, the line and the field, where one is no record.
    """
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            records.append(Record.from_line(line))
        except RecordError as error:
            raise RecordError(f"{path}, line {number}: {error}") from None
    return records


T = TypeVar("T", Trial, Record)

# What a field holds, by the name of its type.
_KINDS: Mapping[str, type] = {"str": str, "int": int, "Mapping": dict, "Trial": Trial}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "Outcome": get_args(Outcome),
    "Collector": get_args(Collector),
}
_VALUES: Mapping[str, tuple[type, ...]] = {
    "parameters": (int, float, str),
    "readings": (int, float),
    "at_least": (int, float),
    "results": (int, float),
    "unavailable": (str,),
}


def _object(line: str, what: str) -> dict[str, Any]:
    """The JSON object of a line."""
    try:
        found = json.loads(line, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise RecordError(f"no JSON: {error}") from None
    if not isinstance(found, dict):
        raise RecordError(f"{what} is a JSON object, and this is {_kind(found)}")
    return found


def _refuse(constant: str) -> None:
    raise RecordError(f"{constant} is no number that a record can hold")


def _made(cls: type[T], found: Mapping[str, Any], within: str = "") -> T:
    """The Trial or Record of these values: none unknown, none missing, each of its field's kind."""
    known = {f.name: f for f in fields(cls)}
    if unknown := sorted(found.keys() - known.keys()):
        raise RecordError(f"{within}{unknown[0]}: no such field; there are {', '.join(known)}")
    for name, one in known.items():
        if name in found:
            _check(within + name, one, found[name])
        elif _is_needed(one):
            raise RecordError(f"{within}{name}: this field is missing")
    return cls(**found)


def _check(name: str, one: Field[Any], value: Any) -> None:
    """Raises RecordError where a field's value is not of the field's type."""
    wanted = str(one.type)
    allowed = _CHOICES.get(wanted)
    if allowed is not None and value not in allowed:
        raise RecordError(f"{name}: {value!r}, and allowed are {', '.join(allowed)}")
    kind: Any = _KINDS.get(wanted.partition("[")[0], object)
    if not isinstance(value, kind):
        raise RecordError(f"{name}: {wanted} is needed, not {_kind(value)}")
    if values := _VALUES.get(one.name):
        for key, item in value.items():
            if not isinstance(item, values):
                raise RecordError(f"{name}.{key}: a value of {wanted} is not {_kind(item)}")


def _is_needed(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _kind(value: Any) -> str:
    """A value and its kind, for an error."""
    return f"{type(value).__name__} {value!r:.60}"

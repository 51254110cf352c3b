"""Where the trials ran, and what was pinned; what differs between them is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.report.blocks import Block, Section, Table, Text
from experiments.report.wording.words import (
    TIMES,
    count_text,
    counted,
    format_of,
    listed,
    value_text,
)
from experiments.trial import Record

TITLE = "Environment"
UNITS = ("_bytes", "_seconds")
NAMES = {"changed": "changed since that commit"}
NAMED = 4  # as many different values are written out


def environment(records: Sequence[Record]) -> Section:
    """What all trials have in common, and what they do not."""
    if not any(r.environment for r in records):
        return Section(TITLE, [Text("The records name no environment.", "note")])
    values: dict[str, list[Any]] = {}
    for r in records:
        for name, value in flattened(r.environment):
            values.setdefault(name, []).append(value)
    alike = {n: v for n, v in values.items() if len(v) == len(records) and v.count(v[0]) == len(v)}
    varied = {n: v for n, v in values.items() if n not in alike}
    shared = [[_name(name), _text(name, found[0])] for name, found in alike.items()]
    blocks: list[Block] = [
        Table("The same in every trial", ["What", "Value"], shared, prose=("Value",))
    ]
    if varied:
        rows = [
            [_name(name), _varying(name, found, len(records))] for name, found in varied.items()
        ]
        blocks.insert(0, Text(f"Trials differ in {listed(_name(n) for n in varied)}.", "note"))
        blocks.append(
            Table("Not the same in every trial", ["What", "Values"], rows, prose=("Values",))
        )
    return Section(TITLE, blocks, looked_up=True)


def flattened(environment: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Each piece of an environment by its path: `pins.PYTHONHASHSEED`."""
    for name, value in environment.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _name(path: str) -> str:
    """A name in words; what is written in capitals is written so elsewhere, too."""
    if path in NAMES:
        return NAMES[path]
    unit = next((unit for unit in UNITS if path.endswith(unit)), "")
    return path.removesuffix(unit).replace("_", " ") if path.islower() else path


def _text(name: str, value: Any) -> str:
    """A value, in the unit that its name ends in."""
    if value is None:
        return "none found"
    if name.endswith(UNITS) and isinstance(value, int | float):
        return format_of(name)(value)
    return value_text(value)


def _varying(name: str, found: Sequence[Any], records: int) -> str:
    """The values with how often each was met, or their span where they are many."""
    texts = [_text(name, value) for value in found]
    different = list(dict.fromkeys(texts))
    without = records - len(found)
    missing = [f"{counted(without, 'trial')} without"] if without else []
    if len(different) <= NAMED:
        each = [f"{text} ({count_text(texts.count(text))} {TIMES})" for text in different]
        return "; ".join(each + missing)
    if all(isinstance(value, int | float) for value in found):
        span = f"{_text(name, min(found))} to {_text(name, max(found))}"
    else:
        span = counted(len(different), "different value")
    return "; ".join([span, *missing])

"""Where the trials ran, and what was pinned; what differs between them is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.report.blocks import Block, Section, Table, Text
from experiments.report.words import TIMES, count_text, counted, listed, value_text
from experiments.trial import Record

TITLE = "Environment"
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
    shared = [[_name(name), value_text(found[0])] for name, found in alike.items()]
    blocks: list[Block] = [
        Table("The same in every trial", ["What", "Value"], shared, prose=("Value",))
    ]
    if varied:
        rows = [[_name(name), _varying(found, len(records))] for name, found in varied.items()]
        blocks.insert(0, Text(f"Trials differ in {listed(_name(n) for n in varied)}.", "note"))
        blocks.append(
            Table("Not the same in every trial", ["What", "Values"], rows, prose=("Values",))
        )
    return Section(TITLE, blocks)


def flattened(environment: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Each piece of an environment by its path: `pins.PYTHONHASHSEED`."""
    for name, value in environment.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _name(path: str) -> str:
    return path.replace("_", " ") if path.islower() else path


def _varying(found: Sequence[Any], records: int) -> str:
    """The values with how often each was met, or their span where they are many."""
    texts = [value_text(value) for value in found]
    different = list(dict.fromkeys(texts))
    missing = f"; {counted(records - len(found), 'trial')} without" if len(found) < records else ""
    if len(different) <= NAMED:
        return (
            "; ".join(f"{text} ({count_text(texts.count(text))} {TIMES})" for text in different)
            + missing
        )
    if all(isinstance(value, int | float) for value in found):
        return f"{value_text(min(found))} to {value_text(max(found))}{missing}"
    return f"{counted(len(different), 'different value')}{missing}"

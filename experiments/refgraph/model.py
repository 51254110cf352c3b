"""A reference graph as plain data: what is drawn, compared, saved and opened again.

Nothing here refers to a live object, so that a graph can be kept without keeping anything alive.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SCHEMA = 1

Kind = Literal["name", "variable", "function", "leaf", "array", "object", "fold"]
Fate = Literal["freed", "waits", "stays", "garbage"]


@dataclass(frozen=True)
class Node:
    """A live object, or a name that holds one.

    id: the same from run to run: a kind and its number in the order of the graph ("Square 3").
    title, detail: the two lines in its box: what it is called; shape, dtype, bytes, value.
    bytes: of its own data; an array's buffer counts at the array that owns it.
    cycle: the number of the cycle that it is part of.
    fate: what becomes of it when every name of the graph lets go of what it holds: a reference
        count frees it; it waits for a collection; it stays, since something else holds it; or it
        is garbage already now, and waits.
    """

    id: str
    kind: Kind
    type: str
    title: str
    detail: str = ""
    bytes: int = 0
    cycle: int | None = None
    fate: Fate = "freed"
    outside: int = 0  # references from what is not in the graph: C code, running code
    only: str = ""  # of two graphs laid side by side, the one that has it: the name of a mode


@dataclass(frozen=True)
class Edge:
    """A reference from one object to another, by the attribute, item or variable that it is.

    label: as a reader writes it: `.creator`, `.inputs[0]`, `.params['W']`; of a variable its name.
    place: what it is in memory, where that has another name: `._source`, `._inputs[0]`.
    """

    source: str
    target: str
    label: str
    weak: bool = False
    place: str = ""
    only: str = ""  # of two graphs laid side by side, the one that has it: the name of a mode

    @property
    def key(self) -> tuple[str, str, str, bool]:
        return self.source, self.target, self.label, self.weak


@dataclass(frozen=True)
class Graph:
    """Objects and the references between them.

    title: what it is of: "square_loop under step16, after backward".
    omitted: how many objects were left out because there were too many.
    notes: what a reader has to know of what is not shown, in sentences.
    """

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    title: str = ""
    omitted: int = 0
    notes: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)  # workload, mode, phase, versions

    def to_json(self) -> dict[str, Any]:
        """The graph as JSON has it; `from_json` gives it back."""
        return {
            "schema": SCHEMA,
            "nodes": [dict(vars(node)) for node in self.nodes],
            "edges": [dict(vars(edge)) for edge in self.edges],
            "title": self.title,
            "omitted": self.omitted,
            **json.loads(json.dumps({"notes": list(self.notes), "facts": dict(self.facts)})),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Graph:
        """The graph again. Raises ValueError where the schema is another."""
        if data.get("schema") != SCHEMA:
            raise ValueError(
                f"a reference graph of schema {data.get('schema')!r}; this version reads {SCHEMA}"
            )
        return cls(
            nodes=[Node(**node) for node in data["nodes"]],
            edges=[Edge(**edge) for edge in data["edges"]],
            **{name: data[name] for name in ("title", "omitted", "notes", "facts")},
        )

    def save(self, path: str | Path) -> Path:
        """Write the graph as what the path's ending says: html, svg, png, dot or json.

        Raises ValueError for another ending, NotDrawn where there can be no picture.
        """
        from experiments.refgraph import rendering  # which needs this module

        return rendering.save(self, Path(path))

    def _repr_html_(self) -> str:
        """The picture in a notebook; where there can be none, the reason and the edges."""
        from experiments.refgraph import rendering

        return rendering.shown(self)

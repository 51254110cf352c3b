"""Ids that are the same from run to run: a type and a number, counted from the names on.

The order is breadth first from the names, sorted, along references, sorted by their labels. What no
name leads to follows: what looks least first, and behind it what that leads to.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from experiments.refgraph.model import Edge, Node

_NUMBER = re.compile(r"(\d+)")

Key = tuple[tuple[int, int, str], ...]


def natural(text: str) -> Key:
    """A key by which `[2]` comes before `[10]`."""
    parts = [part for part in _NUMBER.split(text) if part]
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)


def numbered(
    nodes: Mapping[int, Node], edges: Sequence[Edge]
) -> tuple[list[Node], list[Edge], dict[int, str]]:
    """Nodes and edges in order, with their ids; nodes come by a number, which edges name as text.

    The third is the id for each number.

    nodes: in the order in which they were met, which decides where all else is alike.
    """
    order = _order(nodes, edges)
    counted: Counter[str] = Counter()
    ids: dict[str, str] = {}
    for number in order:
        node = nodes[number]
        what = _called(node) if node.kind == "name" else node.type
        counted[what] += 1
        first = node.kind == "name" and counted[what] == 1
        ids[str(number)] = what if first else f"{what} {counted[what]}"
    ranks = {i: rank for rank, i in enumerate(ids.values())}
    told = [replace(e, source=ids[e.source], target=ids[e.target]) for e in edges]
    told.sort(key=lambda e: (ranks[e.source], natural(e.label), e.weak, ranks[e.target]))
    named = [replace(nodes[n], id=ids[str(n)]) for n in order]
    return named, _told_apart(told), {n: ids[str(n)] for n in order}


def _told_apart(edges: Iterable[Edge]) -> list[Edge]:
    """Edges of which no two have the same key: a second one says that it is."""
    seen: Counter[tuple[str, str, str, bool]] = Counter()
    apart = []
    for edge in edges:
        seen[edge.key] += 1
        again = seen[edge.key]
        apart.append(edge if again == 1 else replace(edge, label=f"{edge.label} ({again})"))
    return apart


def _order(nodes: Mapping[int, Node], edges: Sequence[Edge]) -> list[int]:
    looks = {n: _looks(node) for n, node in nodes.items()}
    met = {n: i for i, n in enumerate(nodes)}
    ahead: dict[int, list[tuple[Key, bool, Key, int, int]]] = {n: [] for n in nodes}
    for edge in edges:
        target = int(edge.target)
        entry = (natural(edge.label), edge.weak, looks[target], met[target], target)
        ahead[int(edge.source)].append(entry)
    for entries in ahead.values():
        entries.sort()
    names = [n for n, node in nodes.items() if node.kind == "name"]
    names.sort(key=lambda n: (looks[n], [e[2] for e in ahead[n]], met[n]))
    others = [n for n, node in nodes.items() if node.kind != "name"]
    held = {int(edge.target) for edge in edges if not edge.weak}
    others.sort(key=lambda n: (n in held, looks[n], [(e[0], e[2]) for e in ahead[n]], met[n]))
    order: dict[int, None] = dict.fromkeys(names)
    queue = deque(names)
    pending = iter(others)
    while True:
        while queue:
            for *_, target in ahead[queue.popleft()]:
                if target not in order:
                    order[target] = None
                    queue.append(target)
        start = next((n for n in pending if n not in order), None)
        if start is None:
            return list(order)
        order[start] = None
        queue.append(start)


def _called(name: Node) -> str:
    return f"{name.title} ({name.type})" if name.type else name.title


def _looks(node: Node) -> Key:
    """What a node looks like, whatever it is held by."""
    return natural(f"{node.kind} {node.title} {node.type} {node.detail} {node.bytes}")

"""Why an object is alive: the references that lead to it from a name, the shortest first."""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from experiments.refgraph.model import Edge, Graph, Node

ARROW = " -> "
OUTSIDE = "held from outside the graph: by C code, or by code that runs"
LEFT_OUT = "held by what is left out of the graph, by C code, or by code that runs"
MOST = 3  # chains
NEAR = 5  # names that resemble one that there is none of


class NotInGraph(LookupError):
    """A graph has nothing of that name; says what it has."""


@dataclass(frozen=True)
class Chain:
    """References, each from what the one before leads to, that keep an object alive.

    words: the same as a sentence.
    """

    edges: Sequence[Edge]
    words: str


def why(graph: Graph, what: str, most: int = MOST) -> list[Chain]:
    """What keeps an object alive: chains from names, each by another holder, the shortest first.

    what: an id, or a name, which means what the name holds.
    Where no name leads to it, a chain from what is held from outside, or from the cycle that it
    waits in. Empty for what nothing holds. Raises NotInGraph, which says what there is.
    """
    target = found(graph, what)
    names = {node.id for node in graph.nodes if node.kind == "name"}
    if chains := _chains(graph, target, names, most):
        return [Chain(way, _told(way)) for way in chains]
    standing = {node.id for node in graph.nodes if node.outside}
    begin = LEFT_OUT if graph.omitted else OUTSIDE
    if target in standing:
        return [Chain((), f"{begin}{ARROW}{target}")]
    if chains := _chains(graph, target, standing, most):
        return [Chain(way, f"{begin}{ARROW}{_told(way)}") for way in chains]
    return _by_cycle(graph, target)


def _by_cycle(graph: Graph, target: str) -> list[Chain]:
    """The cycle that alone holds an object, and the way from there."""
    numbers = {node.id: node.cycle for node in graph.nodes if node.cycle is not None}
    way = [] if target in numbers else next(iter(_chains(graph, target, set(numbers), 1)), None)
    if way is None:
        return []
    number = numbers[way[0].source if way else target]
    told = f"nothing but cycle {number} holds it, and waits for a collection: "
    told += spelt(graph, number)
    return [Chain(way, f"{told}; {_told(way)}" if way else told)]


def spelt(graph: Graph, number: int) -> str:
    """A cycle as a line: the shortest way round from its first Variable, or its first object."""
    members = [node for node in graph.nodes if node.cycle == number]
    inside = {node.id for node in members}
    edges = [e for e in graph.edges if not e.weak and e.source in inside and e.target in inside]
    start = min(members, key=lambda node: node.kind != "variable").id
    rounds = [_round(edges, start, last) for last in edges if last.target == start]
    return _told(min((way for way in rounds if way), key=len, default=[]))


def _round(edges: Sequence[Edge], start: str, last: Edge) -> list[Edge]:
    """The shortest way from an object back to itself that ends with a certain reference."""
    if last.source == start:
        return [last]
    way = _way(edges, last.source, {start}, ())
    return [*way, last] if way else []


def found(graph: Graph, what: str) -> str:
    """The id that somebody means by an id or a name. Raises NotInGraph."""
    ids = {node.id: node for node in graph.nodes}
    if what in ids:
        return _held_by(graph, ids[what])
    called = [node for node in graph.nodes if what in (node.title, node.type)]
    named = [node for node in called if node.kind == "name"] or called
    targets = list(dict.fromkeys(_held_by(graph, node) for node in named))
    if len(targets) == 1:
        return targets[0]
    if targets:
        which = ", ".join(node.id for node in named[:NEAR])
        raise NotInGraph(f"{what!r} can mean several here: say which, as in {which!r}")
    known = [*ids, *(node.title for node in graph.nodes)]
    near = difflib.get_close_matches(what, dict.fromkeys(known), n=NEAR) or list(ids)[:NEAR]
    raise NotInGraph(f"nothing here is called {what!r}; there are {', '.join(near)}")


def _held_by(graph: Graph, node: Node) -> str:
    """What a name holds; any other node itself."""
    if node.kind != "name":
        return node.id
    return next((edge.target for edge in graph.edges if edge.source == node.id), node.id)


def _chains(graph: Graph, target: str, starts: Collection[str], most: int) -> list[Sequence[Edge]]:
    """The shortest ways to an object from one of some others, each by another last reference."""
    edges = [edge for edge in graph.edges if not edge.weak]
    chains: list[Sequence[Edge]] = []
    barred: list[Edge] = []
    while len(chains) < most:
        way = _way(edges, target, starts, barred)
        if not way:
            break
        chains.append(way)
        barred.append(way[-1])
    return chains


def _way(
    edges: Sequence[Edge], target: str, starts: Collection[str], barred: Collection[Edge]
) -> Sequence[Edge] | None:
    """The shortest way to an object from one of some others; None where there is none."""
    into: dict[str, list[Edge]] = {}
    for edge in edges:
        into.setdefault(edge.target, []).append(edge)
    onward: dict[str, Edge | None] = {target: None}
    queue = deque([target])
    while queue:
        node = queue.popleft()
        if node in starts and node != target:
            return _from(node, onward)
        for edge in into.get(node, ()):
            if edge.source not in onward and edge not in barred:
                onward[edge.source] = edge
                queue.append(edge.source)
    return None


def _from(start: str, onward: dict[str, Edge | None]) -> list[Edge]:
    way = []
    edge = onward[start]
    while edge is not None:
        way.append(edge)
        edge = onward[edge.target]
    return way


def _told(way: Sequence[Edge]) -> str:
    """`y (local of step) -> Variable 2 .creator -> Square 1`."""
    steps = [edge.source if _is_name(edge) else f"{edge.source} {edge.label}" for edge in way]
    return ARROW.join([*steps, way[-1].target] if way else steps)


def _is_name(edge: Edge) -> bool:
    """Whether a reference is a name's, which is called as it is."""
    return edge.source == edge.label or edge.source.startswith(f"{edge.label} (")

"""Two reference graphs laid side by side: what is in one and not in the other.

Two objects are the same one if they play the same role: a name of the same function holds both, or
two that are the same refer to them by the same attribute, as in "the first array that the third
operation saved".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from experiments.refgraph.model import Edge, Graph, Node


@dataclass(frozen=True)
class Difference:
    """What two graphs have in common, and what only one of them has.

    graph: both in one; what only one of them has says so by `only`.
    """

    graph: Graph
    names: tuple[str, str]

    def nodes_only_in(self, name: str) -> list[Node]:
        return [node for node in self.graph.nodes if node.only == name]

    def edges_only_in(self, name: str) -> list[Edge]:
        return [edge for edge in self.graph.edges if edge.only == name]


def difference(a: Graph, b: Graph, names: tuple[str, str] = ("A", "B")) -> Difference:
    """Lay two graphs side by side; ids are those of the first, as far as it has the object."""
    first, second = names
    same = matching(a, b)
    taken = {node.id for node in a.nodes}
    ids = {i: j for j, i in same.items()}
    for node in b.nodes:
        if node.id not in ids:
            ids[node.id] = f"{node.id} in {second}" if node.id in taken else node.id
    there = {replace_ends(edge, ids).key for edge in b.edges}
    here = {edge.key for edge in a.edges}
    nodes = [n if n.id in same else replace(n, only=first) for n in a.nodes]
    matched = set(same.values())
    nodes += [replace(n, id=ids[n.id], only=second) for n in b.nodes if n.id not in matched]
    edges = [e if e.key in there else replace(e, only=first) for e in a.edges]
    others = (replace_ends(edge, ids) for edge in b.edges)
    edges += [replace(e, only=second) for e in others if e.key not in here]
    graph = Graph(
        nodes=nodes,
        edges=edges,
        title=f"{a.title} beside {b.title}",
        omitted=a.omitted + b.omitted,
        notes=[*dict.fromkeys([*a.notes, *b.notes])],
        facts={"difference": [first, second], first: dict(a.facts), second: dict(b.facts)},
    )
    return Difference(graph, names)


def replace_ends(edge: Edge, ids: Mapping[str, str]) -> Edge:
    return replace(edge, source=ids[edge.source], target=ids[edge.target])


def matching(a: Graph, b: Graph) -> dict[str, str]:
    """The id in the first graph of each object that the second has too, and its id there."""
    nodes_a, nodes_b = ({node.id: node for node in graph.nodes} for graph in (a, b))
    roles_a, roles_b = _Roles(a), _Roles(b)
    same: dict[str, str] = {}
    found: set[str] = set()
    queue: deque[str] = deque()

    def match(pairs: Iterable[tuple[str, str]]) -> None:
        for one, other in pairs:
            alike = _alike(nodes_a[one], nodes_b[other])
            if alike and one not in same and other not in found:
                same[one] = other
                found.add(other)
                queue.append(one)

    match((i, i) for i, node in nodes_a.items() if node.kind == "name" and i in nodes_b)
    if not same:
        match(_first_of_each(a.nodes, b.nodes))
    while queue:
        one = queue.popleft()
        match(_shared(roles_a.ahead[one], roles_b.ahead[same[one]]))
        match(_shared(roles_a.behind[one], roles_b.behind[same[one]]))
    return same


class _Roles:
    """By which labels each object refers to others, and others to it."""

    def __init__(self, graph: Graph) -> None:
        self.ahead: dict[str, dict[str, list[str]]] = {node.id: {} for node in graph.nodes}
        self.behind: dict[str, dict[str, list[str]]] = {node.id: {} for node in graph.nodes}
        for edge in graph.edges:
            self.ahead[edge.source].setdefault(edge.label, []).append(edge.target)
            self.behind[edge.target].setdefault(edge.label, []).append(edge.source)


def _shared(
    a: Mapping[str, Sequence[str]], b: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str]]:
    """What both have by the same label, where only one is meant in each."""
    for label in a:
        if len(a[label]) == 1 == len(b.get(label, ())):
            yield a[label][0], b[label][0]


def _first_of_each(a: Sequence[Node], b: Sequence[Node]) -> Iterator[tuple[str, str]]:
    """Where nothing has a name: the first of each kind that look alike."""
    looks: dict[tuple[str, str, str], str] = {}
    for node in b:
        looks.setdefault((node.type, node.title, node.detail), node.id)
    for node in a:
        look = node.type, node.title, node.detail
        if look in looks:
            yield node.id, looks.pop(look)


def _alike(one: Node, other: Node) -> bool:
    return (one.kind, one.type) == (other.kind, other.type)

"""A reference graph in words: how much there is, what holds it, and what becomes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from experiments.refgraph.fates import Cycle, cycles
from experiments.refgraph.model import Graph, Node
from experiments.refgraph.why import spelt, why

KINDS = {
    "variable": ("Variable", "Variables"),
    "function": ("Function", "Functions"),
    "leaf": ("Leaf", "Leaves"),
    "array": ("array", "arrays"),
    "object": ("other object", "other objects"),
}
FATES = {
    "freed": "freed at once, as the last reference goes",
    "waits": "left to the collector, in cycles and behind them",
    "stays": "still held from outside",
    "garbage": "garbage already, waiting for a collection",
}
CUT = "partly among what is left out"
MOST_SHAPES = 5  # of cycles
MOST_ARRAYS = 5  # the largest


def summary(graph: Graph) -> str:
    """What there is to say of a graph, a line each."""
    lines = [graph.title or "A reference graph", *_indented(_counts(graph))]
    if found := cycles(graph):
        lines += ["Cycles", *_indented(_of_cycles(graph, found))]
    if objects := [node for node in graph.nodes if node.kind != "name"]:
        lines += ["When every name lets go of what it holds", *_indented(_fates(objects))]
    if arrays := _largest(graph):
        lines += ["The largest arrays, and what keeps them", *_indented(_held(graph, arrays))]
    return "\n".join([*lines, *graph.notes])


def amount(size: int) -> str:
    """Bytes as a number that can be compared: `80,000 bytes`."""
    return _counted(size, "byte")


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _counts(graph: Graph) -> list[str]:
    kinds: Counter[str] = Counter(node.kind for node in graph.nodes)
    objects = ", ".join(
        f"{kinds[kind]:,} {words[kinds[kind] != 1]}" for kind, words in KINDS.items() if kinds[kind]
    )
    held = sum(node.bytes for node in graph.nodes)
    weak = sum(edge.weak for edge in graph.edges)
    names = [node.title for node in graph.nodes if node.kind == "name"]
    return [
        f"{objects or 'no objects'}; {amount(held)} in arrays",
        f"{_counted(len(graph.edges), 'reference')}, {weak:,} of them weak",
        f"names: {', '.join(dict.fromkeys(names)) or 'none'}",
    ]


def _of_cycles(graph: Graph, found: Sequence[Cycle]) -> list[str]:
    """A line for each shape of cycle, with an example of it."""
    types = {node.id: node.type for node in graph.nodes}
    shapes: dict[tuple[str, ...], list[Cycle]] = {}
    for cycle in found:
        shapes.setdefault(tuple(sorted(types[i] for i in cycle.ids)), []).append(cycle)
    ranked = sorted(shapes.values(), key=lambda alike: -sum(c.bytes for c in alike))
    lines = [
        f"{_counted(len(alike), 'cycle')} of {_counted(len(alike[0].ids), 'object')}, holding "
        f"{amount(sum(c.bytes for c in alike))}: {spelt(graph, alike[0].number) or CUT}"
        for alike in ranked[:MOST_SHAPES]
    ]
    more = len(ranked) - MOST_SHAPES
    return [*lines, f"and {_counted(more, 'other shape')}"] if more > 0 else lines


def _fates(objects: Sequence[Node]) -> list[str]:
    lines = []
    for fate, words in FATES.items():
        those = [node for node in objects if node.fate == fate]
        if those:
            size = amount(sum(node.bytes for node in those))
            lines.append(f"{_counted(len(those), 'object')} with {size}: {words}")
    return lines


def _largest(graph: Graph) -> list[Node]:
    arrays = [node for node in graph.nodes if node.kind == "array" and node.bytes]
    return sorted(arrays, key=lambda node: -node.bytes)[:MOST_ARRAYS]


def _held(graph: Graph, arrays: Sequence[Node]) -> list[str]:
    lines = []
    for node in arrays:
        chains = why(graph, node.id, most=1)
        words = chains[0].words if chains else "nothing in this graph"
        lines.append(f"{amount(node.bytes)}: {words}")
    return lines


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"

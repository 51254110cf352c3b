"""Runs of like units: what is folded is alike, nothing is lost, and all of it opens again."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import refgraph
from experiments.refgraph import Edge, Graph, Node, drawing
from experiments.refgraph.folding import HELD, LEAST_UNITS, Fold, behind, closed, folds, opened

pytestmark = pytest.mark.forward


def chain(length: int, cycles: bool = False) -> Graph:
    """y -> operation -> operation -> ... -> x; each keeps an array, and one shares `rate`."""
    nodes = [Node("y", "name", "global", "y"), Node("rate", "array", "ndarray", "rate", bytes=8)]
    edges = [Edge("y", "f0", "y")]
    for i in range(length):
        tied = i + 1 if cycles else None
        nodes += [
            Node(f"f{i}", "function", "Sin", "Sin", f"generation {length - i}", cycle=tied),
            Node(f"v{i}", "variable", "Variable", "Variable", cycle=tied),
            Node(f"a{i}", "array", "ndarray", "ndarray", "(10,) float64", bytes=80),
        ]
        edges += [
            Edge(f"f{i}", f"v{i}", ".outputs[0]", weak=not cycles),
            Edge(f"v{i}", f"f{i}", ".creator"),
            Edge(f"f{i}", f"a{i}", ".saved[0]"),
            Edge(f"f{i}", "rate", ".rate"),
        ]
        if i + 1 < length:
            edges += [Edge(f"f{i}", f"f{i + 1}", ".sources[0]")]
    return Graph(nodes, edges)


def rounds(count: int) -> Graph:
    """A list of losses, each with a graph of its own."""
    nodes = [Node("losses", "object", "list", "list", f"of {count}")]
    edges = []
    for i in range(count):
        nodes += [
            Node(f"v{i}", "variable", "Variable", "Variable"),
            Node(f"f{i}", "function", "Sum", "Sum"),
            Node(f"a{i}", "array", "ndarray", "ndarray", "() float64", bytes=8),
        ]
        edges += [
            Edge("losses", f"v{i}", f"[{i}]"),
            Edge(f"v{i}", f"f{i}", ".creator"),
            Edge(f"f{i}", f"a{i}", ".saved[0]"),
        ]
    return Graph(nodes, edges)


def check(graph: Graph) -> list[Fold]:
    """Hold what must be true of the folds of any graph, by other ways than they were found."""
    found = folds(graph)
    nodes = {node.id: node for node in graph.nodes}
    where = {
        i: (fold.id, number, position)
        for fold in found
        for number, unit in enumerate(fold.units)
        for position, i in enumerate(unit)
    }
    assert len(where) == sum(len(fold.ids) for fold in found), "an object is in two units"
    for fold in found:
        assert len(fold.units) >= LEAST_UNITS
        looks = {tuple(look(nodes[i]) for i in unit) for unit in fold.units}
        assert len(looks) == 1, "unlike objects are folded"
        inner = Counter[tuple[object, ...]]()
        for edge in graph.edges:
            source, target = where.get(edge.source), where.get(edge.target)
            if source and target and source[0] == target[0] == fold.id:
                apart = target[1] - source[1]
                inner[edge.label, edge.weak, source[2], target[2], apart] += 1
        for (*_, apart), count in inner.items():
            assert count == len(fold.units) - abs(apart), "a reference of one unit is missing"
    shut = closed(graph, found)
    assert len(shut.nodes) == len(nodes) - len(where) + len(found)
    assert sum(n.bytes for n in shut.nodes) == sum(n.bytes for n in graph.nodes)
    box = {i: fold.id for fold in found for i in fold.ids}
    outside = [
        e for e in graph.edges if not box.get(e.source) or box[e.source] != box.get(e.target)
    ]
    told = [edge for alike in behind(graph, found).values() for edge in alike]
    assert Counter(told) == Counter(outside)
    return found


def look(node: Node) -> Node:
    detail = re.sub(r"generation \d+", "", node.detail)
    return replace(node, id="", detail=detail, cycle=None)


@pytest.mark.parametrize("cycles", [False, True], ids=["lean", "with cycles"])
def test_a_long_chain_is_one_box_of_units_of_several_objects(cycles: bool) -> None:
    graph = chain(1000, cycles)
    (fold,) = check(graph)
    assert len(fold.units) > 990
    assert {len(unit) for unit in fold.units} == {3}
    shut = closed(graph, [fold])
    (box,) = [node for node in shut.nodes if node.kind == "fold"]
    assert box.title.startswith(f"{len(fold.units)} × Sin")
    assert box.bytes == 80 * len(fold.units)
    assert len(shut.nodes) < 20
    shared = [e.label for e in shut.edges if e.source == fold.id and e.target == "rate"]
    assert shared == [f".rate × {len(fold.units)}"]


def test_what_a_cycle_holds_is_said_of_the_whole_graph() -> None:
    graph = chain(40, cycles=True)
    extra = [Node("odd", "array", "ndarray", "odd", bytes=16)]
    edges = [Edge("f20", "odd", ".odd"), Edge("f39", "odd", ".odd")]
    whole = replace(graph, nodes=[*graph.nodes, *extra], edges=[*graph.edges, *edges])
    held = closed(whole, check(whole)).facts[HELD]
    assert held == {cycle.number: cycle.bytes for cycle in refgraph.cycles(whole)}
    assert "holds" in drawing.dot(closed(whole, folds(whole)))


def test_a_unit_has_its_cycles_whole() -> None:
    """Though more references lead from one unit to the next than there are inside of one."""
    graph = chain(50, cycles=True)
    more = [Edge(f"f{i}", f"v{i + 1}", f".inputs[{j}]") for i in range(49) for j in range(4)]
    graph = replace(graph, edges=[*graph.edges, *more])
    cycle_of = {node.id: node.cycle for node in graph.nodes}
    (fold,) = check(graph)
    for unit in fold.units:
        assert Counter(cycle_of[i] for i in unit if cycle_of[i]).most_common()[0][1] == 2


def test_rounds_that_a_list_holds_are_folded() -> None:
    found = check(rounds(50))
    assert sum(len(fold.ids) for fold in found) == 150


def test_rounds_that_nobody_holds_are_folded_though_their_objects_come_mixed() -> None:
    """Each a cycle of two, with an array of its own; they share one that has a name."""
    nodes = [Node("w", "array", "ndarray", "w"), Node("name", "name", "local", "w")]
    edges = [Edge("name", "w", "w")]
    for i in range(20):
        nodes += [
            Node(f"v{i}", "variable", "Variable", "Variable", cycle=i + 1, fate="garbage"),
            Node(f"a{i}", "array", "ndarray", "ndarray", bytes=8, fate="garbage"),
        ]
        edges += [Edge(f"f{i}", "w", ".w"), Edge(f"f{i}", f"v{i}", ".out")]
        edges += [Edge(f"v{i}", f"f{i}", ".creator"), Edge(f"v{i}", f"a{i}", ".data")]
    functions = [
        Node(f"f{i}", "function", "Mul", "Mul", cycle=i + 1, fate="garbage")
        for i in reversed(range(20))
    ]
    (fold,) = check(Graph([*nodes, *functions], edges))
    assert [len(fold.units), len(fold.units[0])] == [20, 3]


def test_one_unlike_object_divides_a_run() -> None:
    graph = chain(60)
    odd = [replace(n, detail="(10,) float32") if n.id == "a30" else n for n in graph.nodes]
    found = check(replace(graph, nodes=odd))
    assert "a30" not in {i for fold in found for i in fold.ids}
    assert len(found) == 2


def test_one_unlike_reference_divides_a_run() -> None:
    graph = chain(60)
    found = check(replace(graph, edges=[*graph.edges, Edge("f30", "rate", ".other")]))
    assert "f30" not in {i for fold in found for i in fold.ids}


def test_objects_that_hold_one_thing_and_those_that_hold_the_next_are_two_runs() -> None:
    nodes = [Node(f"o{i}", "object", "T", "T") for i in range(16)]
    nodes += [Node("t0", "object", "S", "S"), Node("t1", "object", "S", "S")]
    edges = [Edge(f"o{i}", f"t{i // 8}", ".x") for i in range(16)]
    assert [len(fold.units) for fold in check(Graph(nodes, edges))] == [8, 8]


def test_a_few_units_stay_as_they_are() -> None:
    graph = chain(LEAST_UNITS - 1)
    assert folds(graph) == []
    assert closed(graph, []) == graph


def test_a_run_opens_at_its_ends_and_the_rest_stays_a_box() -> None:
    graph = chain(1000)
    found = folds(graph)
    (fold,) = found
    shown, left = opened(graph, found, fold)
    ids = {node.id for node in shown.nodes}
    for unit in (*fold.units[:2], fold.units[-1]):
        assert set(unit) <= ids
    assert [len(f.units) for f in left] == [len(fold.units) - 3]
    assert sum(n.bytes for n in shown.nodes) == sum(n.bytes for n in graph.nodes)


def test_a_short_run_opens_wholly() -> None:
    graph = chain(LEAST_UNITS + 4)
    found = folds(graph)
    shown, left = opened(graph, found, found[0])
    assert not left
    assert shown == graph


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A unit drawn at random, many times over, and some references that only one of them has."""
    size, count = draw(st.integers(1, 4)), draw(st.integers(2, 14))
    kinds = draw(st.lists(st.sampled_from("ABC"), min_size=size, max_size=size))
    end = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1), st.integers(0, 2))
    links = draw(st.lists(end, max_size=6, unique=True))
    odd = st.tuples(st.integers(0, size * count - 1), st.integers(0, size * count - 1))
    extra = draw(st.lists(odd, max_size=3, unique=True))
    place = [f"o{i}" for i in range(size * count)]
    nodes = [Node(i, "object", "T", kinds[n % size], bytes=n % size) for n, i in enumerate(place)]
    edges = [
        Edge(place[u * size + a], place[(u + d) * size + b], f".a{j}")
        for j, (a, b, d) in enumerate(links)
        for u in range(count)
        if u + d < count
    ]
    edges += [Edge(place[a], place[b], ".extra") for a, b in extra]
    if draw(st.booleans()):  # one reference from each unit and to each, but to which is chance
        there = draw(st.permutations(range(count)))
        edges += [Edge(place[u * size], place[v * size], ".w") for u, v in enumerate(there)]
    return Graph(draw(st.permutations(nodes)) if draw(st.booleans()) else nodes, edges)


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_whatever_is_folded_is_alike_and_nothing_is_lost(graph: Graph) -> None:
    for fold in check(graph):
        shown, _ = opened(graph, folds(graph), fold)
        assert sum(n.bytes for n in shown.nodes) == sum(n.bytes for n in graph.nodes)

"""What is asked of a graph: why, what differs, the computation alone, and all in words."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autodiff import MODES, Variable, add, sin, square, tanh, using_mode
from experiments import refgraph
from experiments.refgraph.difference import matching
from experiments.refgraph.model import Edge, Graph, Node

RECORDING = [name for name, mode in MODES.items() if mode.enable_backprop]


pytestmark = pytest.mark.usefixtures("collector_off")


def drawn(mode: str, build: Callable[[], tuple[Variable, Variable]]) -> Graph:
    with using_mode(mode):
        x, y = build()
        graph = refgraph.of(x, y, names={"x": x, "y": y})
        del x, y
    gc.collect()
    return graph


def two_squares() -> tuple[Variable, Variable]:
    x = Variable(np.ones(3))
    return x, square(square(x))


# Why ----------------------------------------------------------------------------------------------


def test_the_chains_that_keep_an_array_alive_the_shortest_first() -> None:
    graph = drawn("step16", two_squares)
    held = next(e.target for e in graph.edges if e.source == "Variable 1" and e.label == ".data")
    assert [chain.words for chain in refgraph.why(graph, held)] == [
        f"x -> Variable 1 .data -> {held}",
        f"y -> Variable 2 .creator -> Square 1 .sources[0] -> Square 2 .saved[0] -> {held}",
    ]
    assert [chain.words for chain in refgraph.why(graph, "x", most=1)] == ["x -> Variable 1"]


def test_a_chain_is_one_of_strong_references_from_a_name() -> None:
    graph = drawn("lean", two_squares)
    for node in graph.nodes:
        for chain in refgraph.why(graph, node.id):
            assert chain.edges[0].source in ("x", "y")
            assert chain.edges[-1].target in (node.id, *(e.target for e in graph.edges))
            assert not any(edge.weak for edge in chain.edges)
            links = zip(chain.edges, chain.edges[1:], strict=False)
            assert all(a.target == b.source for a, b in links)


def test_what_a_cycle_alone_holds_says_so_and_spells_it() -> None:
    with using_mode("step16"):
        x = Variable(np.ones(3))
        gone = weakref.ref(square(x))
        graph = refgraph.of(x, gone(), names={"x": x})
        array = next(n.id for n in graph.nodes if n.kind == "array" and n.fate == "garbage")
    words = refgraph.why(graph, array)[0].words
    assert words.startswith("nothing but cycle 1 holds it, and waits for a collection: ")
    assert "Variable 2 .creator -> Square 1 .outputs[0] -> Variable 2; " in words
    assert words.endswith(f".data -> {array}")
    assert refgraph.why(graph, "Square 1")[0].words.count("waits for a collection") == 1


def test_what_c_code_holds_says_so() -> None:
    held = Variable(np.ones(2))
    hidden = iter([held])
    graph = refgraph.among([held], names={})
    assert refgraph.why(graph, "ndarray 1")[0].words == (
        "held from outside the graph: by C code, or by code that runs -> Variable 1 .data -> "
        "ndarray 1"
    )
    del hidden


def test_a_name_that_is_not_there_or_means_several_is_an_error_that_helps() -> None:
    graph = drawn("lean", two_squares)
    with pytest.raises(refgraph.NotInGraph, match=r"nothing here is called 'Sqare 1'.*Square 1"):
        refgraph.why(graph, "Sqare 1")
    with pytest.raises(refgraph.NotInGraph, match="can mean several"):
        refgraph.why(graph, "Square")


# Differences --------------------------------------------------------------------------------------


def test_what_strong_references_have_beyond_weak_ones() -> None:
    strong, weak = drawn("step16", two_squares), drawn("lean", two_squares)
    found = refgraph.difference(strong, weak, ("step16", "lean"))
    lost = {(e.source.split()[0], e.label) for e in found.edges_only_in("step16") if not e.weak}
    assert lost == {
        ("Square", ".inputs[0]"),
        ("Square", ".outputs[0]"),
        ("Variable", ".creator"),
        ("Variable", ".data"),
    }
    assert [node.kind for node in found.nodes_only_in("step16")] == ["variable"]
    assert found.nodes_only_in("lean") == []
    assert [(e.label, e.weak) for e in found.edges_only_in("lean")] == [(".outputs[0]", True)]


@pytest.mark.parametrize("mode", ["step16", "lean"])
def test_a_graph_does_not_differ_from_itself(mode: str) -> None:
    one, other = drawn(mode, two_squares), drawn(mode, two_squares)
    found = refgraph.difference(one, other, ("one", "other"))
    assert not any(node.only for node in found.graph.nodes)
    assert not any(edge.only for edge in found.graph.edges)
    assert found.graph.nodes == one.nodes
    assert Graph.from_json(found.graph.to_json()) == found.graph


def test_objects_are_the_same_by_their_role_and_not_by_their_number() -> None:
    """The third operation's saved array, though another has its number where some are missing."""

    def with_more() -> tuple[Variable, Variable]:
        x = Variable(np.ones(3))
        y = square(sin(square(x)))
        y.cleargrad()
        x.grad = np.ones(3)
        return x, y

    def plain() -> tuple[Variable, Variable]:
        x = Variable(np.ones(3))
        return x, square(sin(square(x)))

    a, b = drawn("lean", with_more), drawn("lean", plain)
    same = matching(a, b)
    nodes_b = {node.id: node for node in b.nodes}
    assert all(nodes_b[j].type == n.type for n in a.nodes for j in [same.get(n.id)] if j)
    assert len(same) == len(b.nodes) == len(a.nodes) - 1
    saved = {g: [e.target for e in x.edges if e.label == ".saved[0]"] for g, x in enumerate((a, b))}
    assert [same[i] for i in saved[0]] == saved[1]


def test_both_sides_stand_in_one_graph_with_ids_of_their_own() -> None:
    a = Graph(
        [Node("n", "name", "", "n"), Node("A 1", "object", "A", "A")], [Edge("n", "A 1", "n")]
    )
    b = Graph([Node("n", "name", "", "n"), Node("A 1", "leaf", "B", "B")], [Edge("n", "A 1", "n")])
    graph = refgraph.difference(a, b, ("one", "two")).graph
    assert [(n.id, n.only) for n in graph.nodes] == [
        ("n", ""),
        ("A 1", "one"),
        ("A 1 in two", "two"),
    ]
    assert [(e.target, e.only) for e in graph.edges] == [("A 1", "one"), ("A 1 in two", "two")]


# The computation alone ----------------------------------------------------------------------------


def shape_of(graph: Graph) -> Counter[tuple[str, str, str]]:
    """A graph but for its ids: each edge by what it joins."""
    titles = {node.id: node.type for node in graph.nodes}
    return Counter((titles[e.source], e.label, titles[e.target]) for e in graph.edges)


def computed(mode: str) -> Graph:
    with using_mode(mode):
        x, w = Variable(np.ones((2, 3)), "x"), Variable(np.ones(3), "w")
        y = sin(x * w) + x
        y.name = "y"
        return refgraph.computation(y, shapes=True, dtypes=True)


@pytest.mark.parametrize("mode", RECORDING)
def test_the_computation_is_the_same_graph_in_every_mode(mode: str) -> None:
    graph = computed(mode)
    assert graph == computed("step16")
    assert {n.title: n.detail for n in graph.nodes if n.title in "xwy" and n.title} == {
        "x": "(2, 3) float64",
        "w": "(3,) float64",
        "y": "(2, 3) float64",
    }
    assert shape_of(graph) == {
        ("Variable", ".inputs[0]", "Mul"): 1,
        ("Variable", ".inputs[1]", "Mul"): 1,
        ("Mul", "", "Variable"): 1,
        ("Variable", "", "Sin"): 1,
        ("Sin", "", "Variable"): 1,
        ("Variable", ".inputs[0]", "Add"): 1,
        ("Variable", ".inputs[1]", "Add"): 1,
        ("Add", "", "Variable"): 1,
    }


def test_what_the_boxes_say_can_be_chosen() -> None:
    x = Variable(np.ones(3, np.float32), "x")
    y = square(x)

    def boxes(**options: Any) -> set[tuple[str, str]]:
        found = refgraph.computation(y, **options).nodes
        return {(n.title, n.detail) for n in found if n.kind == "variable"}

    assert boxes() == {("x", ""), ("", "")}
    assert boxes(names=False) == {("", "")}
    assert boxes(names={"y": y}, dtypes=True) == {("x", "float32"), ("y", "float32")}
    assert boxes(shapes=True) == {("x", "(3,)"), ("", "(3,)")}


@pytest.mark.parametrize("mode", ["step16", "lean"])
def test_the_third_derivative_of_tanh_has_a_graph(mode: str) -> None:
    sizes = []
    with using_mode(mode):
        x = Variable(np.array(0.5), "x")
        y = tanh(x)
        for _ in range(3):
            sizes.append(len(refgraph.computation(y).nodes))
            x.cleargrad()
            y.backward(create_graph=True)
            assert x.grad_var is not None
            y = x.grad_var
        graph = refgraph.computation(y)
    assert sizes[0] < sizes[1] < sizes[2] < len(graph.nodes)
    assert Counter(n.type for n in graph.nodes)["Tanh"] == 1
    assert [n.title for n in graph.nodes].count("x") == 1
    x.cleargrad()


def test_a_released_graph_is_said_to_be() -> None:
    with using_mode("lean"):
        x = Variable(np.ones(3))
        y = square(square(x))
        y.backward()
        graph = refgraph.computation(y)
    assert [n.type for n in graph.nodes if n.kind == "function"] == ["Square"]
    assert "released" in graph.notes[0]


def test_the_computation_of_a_readers_own_engine() -> None:
    class Own:
        def __init__(self, data: Any) -> None:
            self.data, self.creator, self.name = data, None, None

    class Double:
        def __init__(self, x: Own) -> None:
            self.inputs, y = [x], Own(x.data * 2)
            y.creator = self  # type: ignore[assignment]
            self.outputs = [weakref.ref(y)]
            self.made = y

    x = Own(np.ones(2))
    graph = refgraph.computation(Double(Double(x).made).made, shapes=True)
    assert shape_of(graph) == {("Variable", "", "Double"): 2, ("Double", "", "Variable"): 2}
    assert all(n.detail == "(2,)" for n in graph.nodes if n.kind == "variable")


# In words -----------------------------------------------------------------------------------------


def test_a_graph_in_words() -> None:
    text = refgraph.summary(drawn("step16", two_squares))
    assert "3 Variables, 2 Functions, 1 Leaf, 3 arrays; 72 bytes in arrays" in text
    assert "2 cycles of 2 objects, holding 72 bytes: " in text
    assert "9 objects with 72 bytes: left to the collector" in text
    assert "24 bytes: x -> Variable 1 .data -> ndarray 1" in text
    lean = refgraph.summary(drawn("lean", two_squares))
    assert "Cycles" not in lean
    assert "freed at once" in lean


def test_nothing_in_words() -> None:
    assert "no objects; 0 bytes" in refgraph.summary(Graph([], []))


def test_a_sum_of_the_same_variable_twice_is_two_references() -> None:
    with using_mode("step16"):
        x = Variable(np.ones(2))
        y = add(x, x)
        graph = refgraph.of(y)
    assert sum(e.label.startswith(".inputs") for e in graph.edges) == 2

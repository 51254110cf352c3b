"""The reference graph of live objects of every kind: its labels, names, ids, and what it leaves."""

from __future__ import annotations

import functools
import gc
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autodiff import Function, Variable, sin, square, using_mode
from experiments import census, refgraph
from experiments.refgraph import folding
from experiments.refgraph.engine import FOLDED_CLASSES, PROPERTIES, SEVERAL
from experiments.refgraph.finding import of_cycle
from experiments.refgraph.model import Graph

KEPT: list[Any] = []


class Node:
    shared: Any = None

    def __init__(self, *children: Any) -> None:
        self.children = list(children)
        self.table: dict[Any, Any] = {}

    @property
    def loud(self) -> Any:
        raise AssertionError("a property was asked")


class Slotted:
    __slots__ = ("W", "__weakref__", "b", "to")


@pytest.fixture(autouse=True)
def quiet(collector_off: None) -> Iterator[None]:
    yield
    KEPT.clear()
    Node.shared = None


def lines(graph: Graph) -> list[str]:
    """Each edge as a line: holder, label, held; a dashed one for a weak reference."""
    return [f"{e.source} {'--' if e.weak else ''}{e.label} {e.target}" for e in graph.edges]


def names(graph: Graph) -> dict[str, str]:
    return {node.title: node.detail for node in graph.nodes if node.kind == "name"}


# Labels -------------------------------------------------------------------------------------------


def test_every_reference_is_labelled_with_the_attribute_that_it_is() -> None:
    leaf, box, top = Slotted(), Slotted(), Node()
    top.children = [leaf, [box]]
    top.table["W"] = leaf
    top.table[("a", 1)] = box
    leaf.W = np.ones(3)
    leaf.b = leaf.W[1:]
    box.to = weakref.ref(leaf)
    assert lines(refgraph.among([top, leaf, box], names={"top": top})) == [
        "top top Node 1",
        "Node 1 .children[0] Slotted 1",
        "Node 1 .children[1][0] Slotted 2",
        "Node 1 .table['W'] Slotted 1",
        "Node 1 .table[a tuple] Slotted 2",
        "Slotted 1 .W ndarray 1",
        "Slotted 1 .b ndarray 2",
        "Slotted 2 --.to Slotted 1",
        "ndarray 2 .base ndarray 1",
    ]


def test_a_closure_a_method_and_a_partial_are_followed() -> None:
    held = Slotted()

    def outer(x: Slotted) -> Any:
        def inner() -> Slotted:
            return x

        return inner

    box = Node(outer(held), functools.partial(print, held), Node(held).__init__)
    found = lines(refgraph.of(box))
    assert "Node 1 .children[0] function 1" in found
    assert "function 1 closure x Slotted 1" in found
    assert "partial 1 .args[0] Slotted 1" in found
    assert "method 1 .__self__ Node 2" in found


def test_the_engine_is_told_in_the_words_of_the_book() -> None:
    with using_mode("step16"):
        x = Variable(np.ones(3), name="x")
        y = square(x)
    graph = refgraph.of(y)
    labels = {(e.label, e.place) for e in graph.edges}
    assert {
        (".creator", "._source"),
        (".data", "._array"),
        (".inputs[0]", "._more.inputs[0]"),
        (".outputs[0]", "._links"),
        (".saved[0]", ".kept"),
    } <= labels
    kinds = {node.id: node.kind for node in graph.nodes}
    assert kinds["Square 1"] == "function"
    assert kinds["Leaf 1"] == "leaf"
    assert next(n.title for n in graph.nodes if n.id == "Variable 1") == "x"
    y.backward()
    assert ".grad" in {e.label for e in refgraph.of(x).edges}


def test_a_function_that_is_itself_a_weak_reference_has_it_drawn_as_its_own() -> None:
    def outputs(mode: str) -> list[tuple[str, str, bool, str]]:
        with using_mode(mode):
            y = square(Variable(np.ones(3)))
        edges = [e for e in refgraph.of(y).edges if e.label == ".outputs[0]"]
        return [(e.source, e.target, e.weak, e.place) for e in edges]

    for mode in ("step17", "lean"):
        (edge,) = outputs(mode)
        assert edge == ("Square 1", "Variable 1", True, "a weak reference by itself")
    (edge,) = outputs("step16")  # a strong one beside it is what counts
    assert edge == ("Square 1", "Variable 1", False, "._links")


def test_a_readers_own_kind_of_weak_reference_is_but_a_reference() -> None:
    class Keyed(weakref.ref):  # type: ignore[type-arg]
        __slots__ = ("key",)

    class Holder:
        def __init__(self, held: Any) -> None:
            self.link = Keyed(held)
            self.link.key = "k"

    class Held:
        pass

    held = Held()
    graph = refgraph.of(Holder(held), held)
    assert [(e.label, e.weak) for e in graph.edges if e.source == "Holder 1"] == [(".link", True)]
    assert not any(node.type == "Keyed" for node in graph.nodes)


def test_the_words_of_the_book_are_the_engines() -> None:
    """Each property that a label speaks of gives what is in the slot."""
    with using_mode("step16"):
        x = Variable(np.ones(3))
        y = sin(x)
        y.backward()
    f = y.creator
    assert isinstance(f, Function)
    for one, slots in zip((y, f), PROPERTIES.values(), strict=True):
        for slot, word in slots.items():
            seen, is_there = getattr(one, word), getattr(one, slot)
            assert seen is is_there or (word in SEVERAL and seen == (is_there,)), (slot, word)
    for folded in FOLDED_CLASSES:
        module, _, name = folded.rpartition(".")
        assert hasattr(sys.modules[module], name)


def test_a_readers_own_engine_is_drawn_as_one() -> None:
    class Variable:
        def __init__(self, data: Any) -> None:
            self.data, self.grad, self.creator = data, None, None

    class Function:
        def __call__(self, x: Variable) -> Variable:
            self.input, self.output = x, Variable(x.data**2)
            self.output.creator = self  # type: ignore[assignment]
            return self.output

    class Square(Function):
        pass

    y = Square()(Variable(np.ones(2)))
    graph = refgraph.of(y)
    assert [n.kind for n in graph.nodes if n.type in ("Variable", "Square")].count("variable") == 2
    assert "Square 1 .input Variable 2" in lines(graph)
    assert [len(cycle.ids) for cycle in refgraph.cycles(graph)] == [2]


def test_weak_references_of_every_kind_are_dashed_and_dead_ones_not_drawn() -> None:
    held, box = Slotted(), Node()
    box.table = {
        "reference": weakref.ref(held),
        "proxy": weakref.proxy(held),
        "dead": weakref.ref(Slotted()),
        "values": weakref.WeakValueDictionary(one=held),
    }
    weak = {e.label for e in refgraph.of(box).edges if e.weak and e.target == "Slotted 1"}
    assert weak == {".table['proxy']", ".table['reference']", ".data['one']"}


def test_what_everything_refers_to_is_not_drawn() -> None:
    box = Node()
    box.table = {"n": None, "t": True, "i": 5, "s": "text", "c": int, "m": sys, "f": len, "e": ()}
    graph = refgraph.of(box)
    assert [node.type for node in graph.nodes if node.kind != "name"] == ["Node"]


# Containers, names, holders -----------------------------------------------------------------------


def test_a_list_of_ones_own_and_a_shared_one_stay_and_others_are_folded() -> None:
    x = Slotted()
    mine = [x]
    shared = {"x": x}
    graph = refgraph.of(x)
    found = lines(graph)
    assert "list 1 [0] Slotted 1" in found
    assert "dict 1 ['x'] Slotted 1" in found
    assert {"mine", "x", "shared"} <= names(graph).keys()
    assert shared["x"] is x
    box = Node(mine, [x])
    assert [line for line in lines(refgraph.of(box)) if line.startswith("Node 1 .ch")] == [
        "Node 1 .children[0] list 1",
        "Node 1 .children[1][0] Slotted 1",
    ]


def test_the_names_that_people_know_hold() -> None:
    x = Slotted()
    KEPT.append(x)
    Node.shared = x

    def use() -> Graph:
        y = x  # which makes x a cell
        return refgraph.of(y)

    assert (
        names(use()).items()
        >= {
            "KEPT": "global of test_experiments_refgraph_finding",
            "Node.shared": "class attribute",
            "x": "local of test_the_names_that_people_know_hold",
            "y": "local of test_the_names_that_people_know_hold.use",
        }.items()
    )


def test_every_reference_is_counted_once() -> None:
    """Names and objects drawn account for all references: none is left to the outside."""
    x = Slotted()
    x.W = np.ones(2)
    box = Node(x, x)
    box.table["x"] = (x, x)

    def use() -> Graph:
        return refgraph.of(x, box)

    for graph in (refgraph.of(x), refgraph.of(*[x, box]), refgraph.of(*[x], most=99), use()):
        assert [(node.id, node.outside) for node in graph.nodes if node.outside] == []
    assert sum(e.target == "Slotted 1" for e in refgraph.of(x).edges) == 5  # and the name x
    keep = iter([x])
    assert [n.outside for n in refgraph.of(x).nodes if n.id == "Slotted 1"] == [0]
    stays = refgraph.among([x], names={})
    assert stays.nodes[0].outside > 0
    assert stays.nodes[0].fate == "stays"
    del keep


def test_what_only_the_call_holds_says_so() -> None:
    graph = refgraph.of(Node())
    assert names(graph) == {"this call": "argument"}
    assert {node.fate for node in graph.nodes} == {"freed"}


def test_names_may_be_given() -> None:
    x = Slotted()
    graph = refgraph.of(x, names={"weights": x})
    assert names(graph) == {"weights": ""}
    assert graph.nodes[1].outside == 0


def test_bytes_count_at_the_owner() -> None:
    box = Node(np.ones((10, 10)))
    box.table["view"] = box.children[0][2:, 3]
    arrays = {n.detail: n.bytes for n in refgraph.of(box).nodes if n.kind == "array"}
    assert arrays == {"(10, 10) float64": 800, "(8,) float64, a view": 0}


# The cut, and what is left ------------------------------------------------------------------------


def test_the_nearest_are_shown_with_their_way_from_a_name_and_the_rest_is_counted() -> None:
    first = last = Node()
    for i in range(200):  # no two alike, so that none can be folded
        last.children = [*[None] * i, Node()]
        last = last.children[i]
    last.children = [first]
    del last
    graph = refgraph.of(first, most=50)
    shown = [node for node in graph.nodes if node.kind != "name"]
    assert len(graph.nodes) == 50
    assert graph.omitted + len(graph.nodes) == len(refgraph.of(first, most=1000).nodes)
    assert "left out" in graph.notes[0]
    assert "first" in names(graph)
    assert {node.cycle for node in shown} == {1}


def loop(length: int) -> tuple[Node, Node]:
    """The two ends of a chain in which each leads to the next and back; the last holds an array."""
    first = last = Node()
    for _ in range(length):
        one = Node()
        last.children.append(one)
        one.children.append(last)
        last = one
    last.children.append(np.ones(10))
    return first, last


def test_what_folds_into_few_boxes_is_whole_and_weighed_as_a_whole() -> None:
    first, last = loop(300)
    graph = refgraph.of(first, most=40)
    assert (graph.omitted, graph.notes) == (0, [])
    assert sum(node.kind != "name" for node in graph.nodes) == 302
    assert [(len(cycle.ids), cycle.bytes) for cycle in refgraph.cycles(graph)] == [(301, 80)]
    held = next(edge for edge in graph.edges if edge.source.startswith("last"))
    assert refgraph.dropping(graph, held) == ([], [])
    assert len(folding.closed(graph, folding.folds(graph)).nodes) < 10
    assert "left out" not in refgraph.summary(graph)
    del last
    lone = refgraph.of(first, most=40)
    (held,) = [edge for edge in lone.edges if edge.source.startswith("first")]
    freed, waiting = refgraph.dropping(lone, held)
    assert (freed, len(waiting)) == ([], 302)


def test_of_more_objects_than_can_be_folded_in_time_the_nearest_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, last = loop(300)
    monkeypatch.setattr("experiments.refgraph.finding.MOST_FOLDED", 200)
    graph = refgraph.of(first, most=40)
    assert (len(graph.nodes), graph.omitted) == (40, 264)
    del last


def test_an_example_of_a_cycle_is_cut_however_well_it_folds() -> None:
    first, last = loop(300)
    ring = [one for one in gc.get_objects() if type(one) is Node]
    heap = census.Heap([*ring, *(one.children for one in ring)])
    graph = of_cycle(heap, range(heap.tracked), most=40)
    assert (len(graph.nodes), graph.omitted) == (40, 262)
    del first, last


def test_a_cycle_that_fits_is_kept_whole() -> None:
    chain = root = Node()
    for _ in range(20):
        one, other = Node(), Node()
        one.children, other.children = [other], [one]
        chain.children.append(one)
        chain = one
    graph = refgraph.of(root, most=15)
    sizes = [len(cycle.ids) for cycle in refgraph.cycles(graph)]
    assert sizes.count(2) >= len(sizes) - 1
    del chain


def test_nothing_is_left_behind_and_nothing_is_collected() -> None:
    x = Variable(np.ones(3))
    y = square(x)
    gone = weakref.ref(y)
    refgraph.of(y)
    gc.collect()
    ring = Node()
    ring.children = [ring]
    seen = weakref.ref(ring)
    del ring
    before = len(gc.get_objects())
    graph = refgraph.of(y, title="kept")
    assert seen() is not None, "a cycle was collected"
    assert len(gc.get_objects()) - before < 40 + 2 * (len(graph.nodes) + len(graph.edges))
    del y
    assert gone() is None


# Ids ----------------------------------------------------------------------------------------------

PROGRAM = """
import json
import numpy as np
from autodiff import Variable, square, sin, using_mode
from experiments import refgraph

class Box:
    pass

def main():
    box = Box()
    box.some = {Box(), Box(), np.dtype, frozenset([Box()])}
    box.table = {name: Box() for name in {"a", "b", "c", "d"}}
    [setattr(one, "box", box) for one in box.some if isinstance(one, Box)]
    with using_mode("step16"):
        x = Variable(np.ones(3)); z = [square(sin(x) * x) for _ in range(12)]
    print(json.dumps(refgraph.of(box, x, z).to_json()))

main()
"""


def test_two_runs_give_the_same_graph_whatever_the_order_of_sets() -> None:
    root = str(Path(refgraph.__file__).parents[2])
    told = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root}
        command = [sys.executable, "-c", PROGRAM]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert not ran.stderr
        told.add(ran.stdout)
    assert len(told) == 1
    graph = Graph.from_json(json.loads(told.pop()))
    assert len(graph.nodes) > 100
    assert len({node.id for node in graph.nodes}) == len(graph.nodes)
    assert len({edge.key for edge in graph.edges}) == len(graph.edges)

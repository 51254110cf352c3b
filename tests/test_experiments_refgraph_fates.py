"""What a graph says that dies, against what dies: random objects, and graphs of every mode."""

from __future__ import annotations

import gc
import random
import weakref
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodiff import Variable, square, tanh, using_mode
from experiments import refgraph
from experiments.refgraph.model import Edge, Graph, Node

SIZE = 9  # objects of a random graph


class Plain:
    """Refers by attributes in its dict."""


class Slotted:
    """Refers by slots."""

    __slots__ = ("__weakref__", "box", "link", "more", "shy")


class Owner(np.ndarray):
    """An array that can be told from others, and that the collector tracks."""


def typed(i: int, base: type) -> type:
    """A class of its own for each object, by which a node can be found again."""
    return type(f"T{i}", (base,), {"__slots__": ()} if base is Slotted else {})


class World:
    """Random objects that refer to each other in all ways, and what people and C code hold."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        made = [self._made(i, chance) for i in range(SIZE)]
        for one in made:
            self._tie(one, made, chance)
        held = {id(one) for one in made if chance.random() < 0.3}
        self.names = {f"name{i}": one for i, one in enumerate(made) if id(one) in held}
        self.outside = [iter([one]) for one in made if chance.random() < 0.1]
        self.alive = {type(one).__name__: weakref.ref(one) for one in made}
        self.objects = made

    def _made(self, i: int, chance: random.Random) -> Any:
        kind = chance.choice([Plain, Plain, Slotted, Slotted, Owner])
        cls = typed(i, kind)
        return np.ones(2).view(cls) if kind is Owner else cls()

    def _tie(self, one: Any, made: list[Any], chance: random.Random) -> None:
        def some() -> Any:
            return chance.choice(made)

        if isinstance(one, Owner) or chance.random() < 0.2:
            return
        if chance.random() < 0.7:
            one.link = some()
        if chance.random() < 0.4:
            one.more = {"key": some(), "none": None, "pair": [some(), 1, some()]}
        if chance.random() < 0.4:
            one.box = [some(), (some(), "text")]
        if chance.random() < 0.4:
            one.shy = weakref.ref(some())

    def graph(self) -> Graph:
        """The graph; from then on nothing but names and C code holds the objects."""
        self.names |= {f"extra{i}": x for i, x in enumerate(self._held_by_nothing())}
        graph = refgraph.among(self.objects, names=dict(self.names))
        self.objects = []
        return graph

    def _held_by_nothing(self) -> list[Any]:
        known = {id(x) for x in self.names.values()}
        inside = refgraph.among(self.objects, names=dict(self.names))
        loose = {e.target for e in inside.edges if e.source.startswith("this call")}
        types = {node.type for node in inside.nodes if node.id in loose}
        return [x for x in self.objects if type(x).__name__ in types and id(x) not in known]

    def drop(self, graph: Graph, edge: Edge) -> None:
        """Let go of a reference, by the name that the graph has for it."""
        source = next(node for node in graph.nodes if node.id == edge.source)
        if source.kind == "name":
            del self.names[source.title]
            return
        holder = self.alive[source.type]()
        exec(f"holder{edge.label} = None", {"holder": holder})

    def dead(self) -> set[str]:
        return {name for name, reference in self.alive.items() if reference() is None}


@pytest.fixture(autouse=True)
def quiet(collector_off: None) -> None:
    """Nothing but reference counts frees anything during the test, and collections are short."""
    gc.freeze()


def types_of(graph: Graph, ids: list[str]) -> set[str]:
    return {node.type for node in graph.nodes if node.id in ids and node.type[1:].isdigit()}


def with_fate(graph: Graph, *fates: str) -> set[str]:
    return {n.type for n in graph.nodes if n.type[1:].isdigit() and n.fate in fates}


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_what_becomes_of_everything_when_all_names_let_go(seed: int) -> None:
    world = World(seed)
    graph = world.graph()
    assert len(with_fate(graph, "freed", "waits", "stays", "garbage")) == SIZE
    assert world.dead() == set()
    world.names.clear()
    assert world.dead() == with_fate(graph, "freed")
    gc.collect()
    assert world.dead() == with_fate(graph, "freed", "waits", "garbage")


@settings(max_examples=80)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_dies_when_one_reference_is_dropped(seed: int, which: int) -> None:
    world = World(seed)
    graph = world.graph()
    strong = [e for e in graph.edges if not e.weak and can_be_assigned(e)]
    if not strong:
        return
    edge = strong[which % len(strong)]
    freed, waiting = refgraph.dropping(graph, edge)
    world.drop(graph, edge)
    assert world.dead() == types_of(graph, freed)
    gc.collect()
    garbage = with_fate(graph, "garbage")
    assert world.dead() == types_of(graph, [*freed, *waiting]) | garbage


def can_be_assigned(edge: Edge) -> bool:
    """Whether a reference can be let go of: no item of a tuple can, nor the base of a view."""
    return not edge.label.startswith((".box[1]", ".base"))


def test_random_worlds_have_every_fate_and_every_kind_of_reference() -> None:
    fates: set[str] = set()
    labels: set[str] = set()
    weak = 0
    for seed in range(60):
        graph = World(seed).graph()
        fates |= {node.fate for node in graph.nodes}
        labels |= {edge.label for edge in graph.edges}
        weak += sum(edge.weak for edge in graph.edges)
    assert fates == {"freed", "waits", "stays", "garbage"}
    assert {".link", ".more['key']", ".more['pair'][2]", ".box[1][0]", ".shy"} <= labels
    assert weak


def test_a_weak_reference_cannot_be_dropped_to_free_something() -> None:
    held = Plain()
    looks = Slotted()
    looks.shy = weakref.ref(held)
    graph = refgraph.among([held, looks], names={"held": held, "looks": looks})
    weak = next(edge for edge in graph.edges if edge.weak)
    with pytest.raises(ValueError, match="weak"):
        refgraph.dropping(graph, weak)


# Every mode ---------------------------------------------------------------------------------------


def alive(references: list[tuple[str, weakref.ref[Any]]]) -> Counter[str]:
    return Counter(name for name, reference in references if reference() is not None)


def of_kinds(nodes: list[Node]) -> Counter[str]:
    return Counter(node.type for node in nodes if node.type in ("Variable", "ndarray", "Square"))


def computed(operations: int) -> tuple[dict[str, Variable], list[tuple[str, weakref.ref[Any]]]]:
    """Names for a computation, and a weak reference to each object of it."""
    x = Variable(np.ones(3))
    y = x
    for _ in range(operations):
        y = square(y)
    z = square(x)
    found: list[tuple[str, weakref.ref[Any]]] = []
    for one in refgraph_objects(x, y, z):
        found.append((type(one).__name__, weakref.ref(one)))
    return {"x": x, "y": y, "z": z}, found


def refgraph_objects(*roots: object) -> list[object]:
    """All that some objects lead to, of the types that are looked at."""
    found: dict[int, object] = {}
    pending = list(roots)
    while pending:
        one = pending.pop()
        if id(one) in found or isinstance(one, type):
            continue
        found[id(one)] = one
        pending += gc.get_referents(one)
    wanted = ("Variable", "ndarray", "Square")
    return [one for one in found.values() if type(one).__name__ in wanted]


@pytest.mark.parametrize("backward", [False, True])
def test_fates_come_true_in_every_mode(mode: Any, backward: bool) -> None:
    names, references = computed(4)
    if backward:
        names["y"].backward(retain_graph=True)
        gradient = names["x"].grad
        references.append(("ndarray", weakref.ref(gradient)))
        references += [("ndarray", weakref.ref(v.grad)) for v in gradients(names["y"])]
        del gradient
    graph = refgraph.of(*names.values(), names=names)
    before = alive(references)
    assert before == of_kinds(list(graph.nodes))
    freed = of_kinds([node for node in graph.nodes if node.fate == "freed"])
    waits = of_kinds([node for node in graph.nodes if node.fate in ("waits", "garbage")])
    names.clear()
    assert before - alive(references) == freed
    gc.collect()
    assert before - alive(references) == freed + waits
    assert alive(references) == Counter()


def gradients(y: Variable) -> list[Variable]:
    """The Variables behind a result that are alive and have a gradient of their own."""
    found = []
    function = y.creator
    while function is not None:
        found += [v for v in (link() for link in function.outputs) if v is not None]
        inputs = function.inputs
        function = inputs[0].creator
    return [v for v in found if v.grad is not None]


@pytest.mark.parametrize("name", ["x", "y"])
def test_dropping_a_name_comes_true_in_every_mode(mode: Any, name: str) -> None:
    names, references = computed(3)
    graph = refgraph.of(*names.values(), names=names)
    edge = next(e for e in graph.edges if e.label == name and e.source.startswith(name))
    freed, waiting = refgraph.dropping(graph, edge)
    nodes = {node.id: node for node in graph.nodes}
    before = alive(references)
    del names[name]
    assert before - alive(references) == of_kinds([nodes[i] for i in freed])
    gc.collect()
    assert before - alive(references) == of_kinds([nodes[i] for i in [*freed, *waiting]])
    names.clear()


def test_a_gradient_that_can_be_differentiated_makes_a_cycle_that_strong_modes_show() -> None:
    found = {}
    for name in ("step16", "lean"):
        with using_mode(name):
            x = Variable(np.ones(3))
            tanh(x).backward(create_graph=True)
            found[name] = len(refgraph.cycles(refgraph.of(x)))
        del x
        gc.collect()
    assert found["step16"] > 0
    assert found["lean"] == 0


# Cycles -------------------------------------------------------------------------------------------


def test_cycles_hold_the_bytes_that_the_census_says() -> None:
    from experiments.census import take_census

    with using_mode("step16"):
        x = Variable(np.ones(1000))
        y = square(square(square(x)))
        roots = [x, y]
        graph = refgraph.of(*roots)
        del x, y
        roots.clear()
    census = take_census()
    assert [cycle.number for cycle in refgraph.cycles(graph)] == [1, 2, 3]
    assert census.cycles == 3
    assert sum(cycle.bytes for cycle in refgraph.cycles(graph)) == census.bytes == 4 * 8000
    assert all(len(cycle.ids) == 2 for cycle in refgraph.cycles(graph))

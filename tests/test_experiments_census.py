"""The census against heaps whose cycles are known, and that it leaves them as they are."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autodiff import Variable, square, using_mode
from experiments.census import (
    arrays,
    components,
    objgraph_on,
    owner,
    take_census,
    type_counts,
)


class Node:
    """Something that can refer to others, and be referred to weakly."""


@pytest.fixture(autouse=True)
def quiet_heap():
    """No collection but those of the test, and only what the test makes in sight of the census."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()


def ring(length, *arrays):
    """A cycle of so many Nodes, of which the first holds arrays; nothing else refers to it."""
    nodes = [Node() for _ in range(length)]
    for node, after in zip(nodes, nodes[1:] + nodes[:1], strict=True):
        node.after = after
    nodes[0].arrays = arrays
    return weakref.ref(nodes[0])


@settings(max_examples=30)
@given(count=st.integers(0, 12), length=st.integers(1, 4), size=st.integers(1, 3_000))
def test_it_finds_so_many_cycles_of_so_many_bytes(count, length, size):
    gc.collect()
    for _ in range(count):
        ring(length, np.ones(size, dtype=np.uint8))
    census = take_census()
    assert census.cycles == count
    assert census.bytes == count * size
    assert census.objects == gc.collect()
    assert take_census().objects == 0


def test_it_frees_nothing_and_finalizes_nothing():
    finalized = []
    alive = ring(2, np.ones(10))
    weakref.finalize(alive(), finalized.append, "finalized")
    first, second = take_census(), take_census()
    assert first == second
    assert first.cycles == 1
    assert alive() is not None
    assert not finalized
    gc.collect()
    assert alive() is None
    assert finalized


def test_what_somebody_outside_refers_to_is_not_counted():
    held = ring(3, np.ones(10))()
    assert take_census().objects == 0
    del held
    assert take_census().cycles == 1


def test_an_array_that_somebody_outside_holds_is_not_counted():
    array = np.ones(100)
    ring(1, array)
    assert take_census().bytes == 0
    del array
    assert take_census().bytes == 800


def test_a_base_buffer_counts_once_however_many_views_there_are():
    array = np.ones(100)
    ring(2, array[:10], array[10:].reshape(9, 10), array)
    del array
    assert take_census().bytes == 800


def test_what_stands_between_a_strided_view_and_its_array_is_counted_as_the_collector_does():
    array = np.ones(100)
    windows = np.lib.stride_tricks.sliding_window_view(array, 5)
    assert not isinstance(windows.base, np.ndarray)  # or there is nothing to be tested
    ring(2, windows)
    del array, windows
    census = take_census()
    assert census.bytes == 800
    assert census.objects == gc.collect()


@pytest.mark.forward
def test_the_owner_of_a_view_is_the_array_that_has_the_memory():
    array = np.ones((4, 25))
    windows = np.lib.stride_tricks.sliding_window_view(array[1:, ::2], (2, 3))
    for view in (array, array.T, array[:, 3], windows, windows[0].swapaxes(0, 1)):
        assert owner(view) is array
    assert owner(np.frombuffer(b"12345678")).size == 1


def test_an_array_of_two_cycles_counts_once():
    array = np.ones(100)
    ring(1, array)
    ring(1, array)
    del array
    census = take_census()
    assert census.bytes == 800
    assert sum(shape.bytes for shape in census.shapes) == 800


@pytest.mark.parametrize("wrap", [lambda a: {"a": a}, lambda a: (a,), lambda a: [a]])
def test_arrays_in_containers_are_found(wrap):
    ring(1, wrap(np.ones(100)))
    gc.collect(0)  # by which the collector stops tracking tuples and dicts that hold no objects
    ring(1, wrap(np.ones(100)))
    assert take_census().bytes == 800


def test_an_array_in_two_containers_deep_is_found():
    ring(1, {"weights": (np.ones(100), {"bias": np.ones(10)})})
    assert take_census().bytes == 880


def test_what_hangs_from_a_cycle_is_its_own():
    tail = Node()
    tail.array = np.ones(100)
    head = ring(2)()
    head.tail = tail
    del head, tail
    (shape,) = take_census().shapes
    assert (shape.count, shape.bytes) == (1, 800)
    assert shape.types["Node"] == 2  # the tail is in no cycle


def test_cycles_that_are_alike_are_one_shape():
    for _ in range(3):
        ring(2, np.ones(10))
    for _ in range(2):
        ring(1, np.ones(100))
    shapes = [(s.types["Node"], s.count, s.bytes) for s in take_census().shapes]
    assert shapes == [(1, 2, 1600), (2, 3, 240)]


def test_a_graph_with_strong_references_is_in_cycles_and_a_weak_one_is_not():
    for mode, cycles in (("step16", 3), ("step17", 0), ("lean", 0)):
        with using_mode(mode):
            square(square(square(Variable(np.ones(1_000)))))
        census = take_census()
        assert census.cycles == cycles
        assert census.bytes == (4 * 8_000 if cycles else 0)
        assert census.objects == gc.collect()


def test_a_long_chain_of_cycles_needs_no_recursion():
    last = None
    for _ in range(20_000):
        node = Node()
        node.self, node.before = node, last
        last = node
    del node, last
    assert take_census().cycles == 20_000


def test_arrays_are_found_by_their_bases():
    holder = Node()
    holder.view = np.ones(100)[10:]
    (found,) = [array for array in arrays() if array.nbytes == 800]
    assert found is holder.view.base


GRAPHS = st.integers(0, 8).flatmap(
    lambda n: st.tuples(
        st.lists(
            st.lists(st.integers(0, max(n - 1, 0)), max_size=3 if n else 0),
            min_size=n,
            max_size=n,
        ),
        st.sets(st.integers(0, n - 1)) if n else st.just(set()),
    )
)


@given(GRAPHS)
def test_components_are_what_reaches_one_another(graph):
    edges, among = graph

    def reached(start):
        found, stack = {start}, [start]
        while stack:
            fresh = {n for n in edges[stack.pop()] if n in among} - found
            found |= fresh
            stack.extend(fresh)
        return found

    reach = {node: reached(node) for node in among}
    expected = {frozenset(m for m in among if m in reach[n] and n in reach[m]) for n in among}
    found = list(components(edges, among))
    assert {frozenset(component) for component in found} == expected
    assert sum(len(component) for component in found) == len(among)
    place = {node: i for i, component in enumerate(found) for node in component}
    assert all(place[m] <= place[n] for n in among for m in edges[n] if m in among)


def test_types_are_counted_without_a_collection():
    before = type_counts()
    alive = [ring(2) for _ in range(5)]
    name = f"{Node.__module__}.Node"
    assert type_counts()[name] - before.get(name, 0) == 10
    assert all(ref() is not None for ref in alive)


def test_objgraph_cannot_collect_while_it_is_lent():
    alive = ring(2)
    with objgraph_on(lambda node: [alive]) as objgraph:
        assert objgraph.growth(peak_stats={})
        assert objgraph.find_backref_chain(1, lambda node: node is alive) == [alive, 1]
    assert alive() is not None
    assert objgraph.gc is gc

"""Who holds what, against holders of every kind that the tests make; nothing is freed."""

from __future__ import annotations

import functools
import gc
import sys
import threading
import weakref
from collections import deque
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

from autodiff import Variable, square, using_mode
from experiments import references
from experiments.census import Heap, components
from experiments.references import (
    FROM_OUTSIDE,
    cycles_spelt,
    label,
    spelt,
    take_references,
    why_alive,
)

KEPT = []


class Node:
    """Has a dict, which nobody has asked for."""

    table: ClassVar[dict] = {}

    def __init__(self, data=None):
        self.data = data
        self.next = None

    @property
    def loud(self):
        raise AssertionError("a property was asked")


class Slotted:
    __slots__ = ("W", "b")


class Derived(Slotted, Node):
    pass


class Configuration(dict):
    def __init__(self):
        self.default = None


@pytest.fixture(autouse=True)
def kept_nothing():
    yield
    KEPT.clear()
    Node.table.clear()


@pytest.fixture
def quiet_heap(collector_off):
    gc.freeze()


def materialised(instance):
    """Whether an instance has a dict of its own already."""
    return any(type(referent) is dict for referent in gc.get_referents(instance))


ARRAY = np.ones(3)


def closed_over():
    x, W = None, ARRAY
    return lambda: (x, W)


def given_by_default(x, scale=ARRAY):
    return x


def suspended():
    held = ARRAY
    yield held


def started():
    generator = suspended()
    next(generator)
    return generator


def filled(holder, **attributes):
    for name, value in attributes.items():
        setattr(holder, name, value)
    return holder


HOLDERS = [
    ([0, ARRAY], "[1]"),
    ((ARRAY, ARRAY), "[0], [1]"),
    ([ARRAY] * 5, "[0], [1], [2], and 2 more"),
    (deque([ARRAY]), "[0]"),
    ({"W": ARRAY, 7: ARRAY}, "['W'], [7]"),
    ({Node: ARRAY}, "[a type]"),
    (Node(ARRAY), ".data"),
    (filled(Node(), from_elsewhere=ARRAY), ".from_elsewhere"),
    (filled(Slotted(), b=ARRAY), ".b"),
    (filled(Derived(), W=ARRAY, data=ARRAY), ".W, .data"),
    (filled(Configuration(), default=ARRAY), ".default"),
    (closed_over(), "closure W"),
    (filled(lambda: None, cache=ARRAY), ".cache"),
    (started(), "local held of suspended"),
    (functools.partial(max, ARRAY), ""),  # in its tuple of arguments
    (ARRAY[1:], ".base"),
    (sys.modules[__name__], "global ARRAY"),
    (Node(), ""),
    (np.ones(3), ""),
]


@pytest.mark.parametrize(("holder", "words"), HOLDERS)
def test_a_holder_refers_to_an_array_by_a_name(holder, words):
    assert label(holder, ARRAY) == words


def test_a_class_refers_by_attribute_and_a_set_has_no_places():
    assert label(Node, Node.table) == ".table"
    node = Node()
    assert label({node}, node) == "[an element]"


def test_an_attribute_is_found_without_making_a_dict_for_it():
    node = Node(ARRAY)
    assert label(node, ARRAY) == ".data"
    assert not materialised(node)
    vars(node)
    assert label(node, ARRAY) == ".data"


def test_what_a_local_variable_holds_goes_with_it():
    held = Node()
    gone = weakref.ref(held)
    assert why_alive(held)[0].startswith("local held of test_what_a_local")
    held = None
    assert gone() is None


def test_the_locals_that_somebody_asked_for_stay():
    held = Node()
    mine = locals()
    why_alive(held)
    assert mine["held"] is held


# Why an object is alive ---------------------------------------------------------------------------


def alive(make):
    """Why something is alive that `make` makes and gives a weak reference to."""
    reference = make()
    return take_references().why_alive(reference())


def test_a_forgotten_reference_is_named_by_module_and_global():
    def make():
        KEPT.append({"grads": np.ones(5)})
        return weakref.ref(KEPT[0]["grads"])

    assert alive(make) == [f"module {__name__}, global KEPT[0]['grads']"]


def test_each_object_on_the_way_is_a_link():
    def make():
        layer = Slotted()
        layer.W = {"w": np.ones(5)[1:]}
        KEPT.append(Node([layer]))
        return weakref.ref(layer.W["w"].base)

    assert alive(make) == [
        f"module {__name__}, global KEPT[0]",
        "Node .data[0]",
        "Slotted .W['w']",
        "ndarray .base",
    ]


def test_a_class_is_where_a_way_may_begin():
    def make():
        Node.table["x"] = np.ones(5)
        return weakref.ref(Node.table["x"])

    assert alive(make) == [f"class {__name__}.Node .table['x']"]


def test_the_nearest_of_several_holders_is_told():
    def make():
        array = np.ones(5)
        KEPT.extend([Node(Node(array)), array])
        return weakref.ref(array)

    assert alive(make) == [f"module {__name__}, global KEPT[1]"]


def test_a_frozen_holder_is_found(quiet_heap):
    KEPT.append(np.ones(5))
    assert not gc.get_referrers(KEPT)  # the collector shows it no more
    assert take_references().held([KEPT[0]])[0].why == f"module {__name__}, global KEPT[0]"


def test_a_module_that_is_not_registered_has_globals_too():
    module = ModuleType("elsewhere")
    exec("import numpy\nKEPT = [numpy.ones(5)]\ndef f(): return KEPT", vars(module))
    array = weakref.ref(module.KEPT[0])
    why = take_references().why_alive(array())
    assert why == ["module elsewhere, global KEPT[0]"]


def test_another_thread_holds_by_its_local_variables():
    ready, done = threading.Event(), threading.Event()
    seen = []

    def hold():
        held = np.ones(5)
        seen.append(weakref.ref(held))
        ready.set()
        done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    why = take_references().why_alive(seen[0]())
    done.set()
    thread.join()
    assert why == ["local held of test_another_thread_holds_by_its_local_variables.<locals>.hold"]


def test_a_kept_exception_holds_by_its_frames():
    def fail():
        held = np.ones(5)
        KEPT.append(weakref.ref(held))
        raise ValueError("no")

    try:
        fail()
    except ValueError as error:
        KEPT.append(error)
    array = KEPT.pop(0)
    first, *_, last = take_references().why_alive(array())
    assert first == f"module {__name__}, global KEPT[0]"
    assert last.endswith("local held of test_a_kept_exception_holds_by_its_frames.<locals>.fail")


def test_what_an_iterator_holds_is_found_behind_it():
    only_here = iter([np.ones(77)])
    links = take_references()
    (held,) = links.held(a for a in links.arrays() if a.shape == (77,))
    assert held.why.startswith("local only_here of test_what_an_iterator_holds")
    assert next(only_here) is not None


def test_nothing_is_collected_finalized_or_held(quiet_heap):
    cyclic = Node(np.ones(5))
    cyclic.next = cyclic
    alive = weakref.ref(cyclic)
    finalized = []
    weakref.finalize(cyclic, finalized.append, 1)
    del cyclic
    links = take_references()
    (held,) = links.held(a for a in links.arrays() if a.nbytes == 40)
    assert held.why == "waits for a collection in the cycle (Node .next -> Node) -> Node .data"
    assert (held.shape, held.dtype, held.bytes) == ((5,), "<f8", 40)
    assert alive() is not None
    assert not finalized
    assert not materialised(alive())
    del links, held
    gc.collect()
    assert alive() is None


def test_no_reference_outlives_the_answer(quiet_heap):
    held = Node(np.ones(5))
    gone = weakref.ref(held)
    why_alive(held)
    why_alive(held.data)
    del held
    assert gone() is None
    assert gc.collect() == 0


def test_an_object_held_by_c_code_alone_says_so():
    count = len(take_references().arrays())
    node = Node()
    key = id(node)
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(node))
    del node
    links = take_references()
    (found,) = [n for n in links._heap.nodes if id(n) == key]
    assert links.why_alive(found) == [FROM_OUTSIDE]
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(found))
    assert count == len(take_references().arrays())


# Cycles -------------------------------------------------------------------------------------------


def cycles_left():
    return spelt_of(Heap(gc.get_objects()))


def spelt_of(heap):
    cycles = filter(heap.is_cycle, components(heap.edges, heap.unreachable()))
    return [spelt([heap.nodes[i] for i in cycle]) for cycle in cycles]


class Function:
    def __init__(self, x, y):
        self.inputs, self.outputs = [x], (y,)
        y.creator = self


def test_one_of_each_shape_is_spelt_and_nothing_is_left_of_it(quiet_heap):
    for _ in range(3):
        Function(Node(), Node())
    assert cycles_spelt() == {
        (("Function", 1), ("Node", 1), ("tuple", 1)): (
            "Function .outputs[0] -> Node .creator -> Function"
        )
    }
    assert len(cycles_left()) == 3
    assert "Heap" not in "".join(cycles_left())


def test_a_cycle_is_a_line(quiet_heap):
    Function(Node(), Node())
    assert cycles_left() == ["Function .outputs[0] -> Node .creator -> Function"]


def test_a_cycle_through_a_dict_that_was_asked_for_reads_alike(quiet_heap):
    y = Node()
    vars(Function(Node(), y))
    vars(y)
    del y
    assert cycles_left() == ["Function .outputs[0] -> Node .creator -> Function"]


def test_a_cycle_of_containers_and_one_of_a_function(quiet_heap):
    itself = []
    itself.append({"me": itself})
    del itself
    assert cycles_left() == ["dict ['me'][0] -> dict"]
    gc.collect()

    def outer():
        def recursive():
            return recursive()

        return recursive.__qualname__

    name = outer()
    assert cycles_left() == [f"function {name} closure recursive -> function {name}"]


def test_a_graph_of_the_strong_mode_is_spelt_with_its_own_names(quiet_heap):
    with using_mode("step16"):
        square(Variable(np.ones(5)))
    assert list(cycles_spelt().values()) == [
        "Square ._links -> StrongLink .output -> Variable ._source -> Square"
    ]
    gc.collect()
    with using_mode("lean"):
        square(Variable(np.ones(5)))
    assert cycles_left() == []


def test_the_shortest_way_round_is_told(quiet_heap):
    first, second, third = Node(), Node(), Node()
    first.next, second.next, third.next = second, third, first
    assert spelt([first, second, third]).count("->") == 3
    second.data = first
    assert spelt([first, second, third]) == "Node .next -> Node .data -> Node"


def test_objgraph_is_given_back_its_collector():
    why_alive(Node())
    import objgraph

    assert objgraph.gc is gc
    assert references.__name__ in sys.modules

"""The backward pass: gradients on their way, and the order in which Functions turn them over.

They are kept in tables of the pass, by where they go, and not on Variables: a retained gradient is
never counted twice, and an exception leaves none half added.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from autodiff.arrays import SMALL, Array, Spec, as_array, bytes_of, sole
from autodiff.config import Settings, in_force, settings
from autodiff.keeping import Kept
from autodiff.memory import Link, MemoryMode

if TYPE_CHECKING:
    from autodiff.graph import Function
    from autodiff.variable import Variable

Gradient: TypeAlias = Any  # an ndarray; under create_graph a Variable
Source: TypeAlias = "Function | Output | Leaf"  # where the gradient of a Variable goes


class Output(NamedTuple):
    """One of several outputs of a Function."""

    function: Function
    number: int

    @property
    def generation(self) -> int:
        return self.function.generation


class Leaf:
    """Where a graph ends: a Variable that nobody made, referred to weakly; called, it gives it."""

    __slots__ = ("_variable", "untracked")
    generation: ClassVar[int] = -1  # before every Function

    def __init__(self, variable: Variable | None, untracked: bool = False) -> None:
        self._variable: Link = _nobody if variable is None else weakref.ref(variable)
        self.untracked = untracked  # a result that was computed without a graph

    def __call__(self) -> Variable | None:
        return self._variable()


def _nobody() -> None:
    """The link to a Variable that is gone."""


class Untracked(Leaf):
    """The source of every result under no_grad, until it is used; false, so that it then is not."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def begin(self) -> None:
        """A graph is about to begin at the result."""


UNTRACKED = Untracked(None, untracked=True)


def function_of(source: Source | None) -> Function | None:
    """The Function behind a source; None for a Leaf, and for nothing."""
    if source is None or isinstance(source, Leaf):
        return None
    behind: Any = source
    function: Function = behind.function if type(source) is Output else behind
    return function


def under_keeper_of(source: Source) -> Settings:
    """The settings in force, with the keeper of the graph behind a source in the place of theirs.

    So a pass over that graph keeps to what was asked when it was recorded.
    """
    now = settings()
    function = function_of(source)
    kept = None if function is None else function.kept
    if not isinstance(kept, Kept) or kept.keeper is None or kept.keeper is now.keeper:
        return now
    return now.changed("keeper", kept.keeper)


def in_room(size: int, make: Callable[..., Array], *args: Any) -> Array:
    """An array of so many bytes that a pass makes by itself, its keeper having made room for it."""
    keeper = settings().keeper
    if keeper is None:
        return make(*args)
    keeper.make_room(size)
    array = make(*args)
    keeper.made(array)
    return array


class Scattered:
    """The gradient of a selection: zeros of `spec`, with `gy` added at `index`.

    It is added to what is there, so that a loop of selections costs no full-size array each.
    """

    __slots__ = ("gy", "index", "spec")

    def __init__(self, gy: Array, index: Any, spec: Spec) -> None:
        self.gy, self.index, self.spec = gy, index, spec

    def add_to(self, gradient: Array) -> None:
        """Add it to an array of its shape, in place."""
        if any(isinstance(part, np.ndarray) and part.dtype != bool for part in self.index):
            np.add.at(gradient, self.index, self.gy)  # an element may be chosen more than once
        else:
            gradient[self.index] += self.gy


def add_last(table: dict[Any, Gradient], key: Any, gxs: list[Gradient]) -> None:
    """Take the last gradient off a list and add it to what a table has at a key.

    In place, where that pays, and nobody else holds the array that is written to.
    """
    kind = type(gxs[-1])
    if kind is Scattered:
        if key not in table:
            table[key] = in_room(bytes_of(gxs[-1].spec), np.zeros, *gxs[-1].spec)
        elif not sole(table, key):
            table[key] = in_room(table[key].nbytes, np.copy, table[key])
        gxs.pop().add_to(table[key])
    elif key not in table:
        table[key] = gxs.pop()
    elif kind is not np.ndarray or gxs[-1].size <= SMALL:
        table[key] = as_array(table[key] + gxs.pop())
    elif sole(table, key):
        table[key] += gxs.pop()
    elif sole(gxs, -1):
        gxs[-1] += table[key]
        table[key] = gxs.pop()
    else:
        table[key] = in_room(gxs[-1].nbytes, np.add, table[key], gxs.pop())


def own(container: Any, key: Any) -> Any:
    """The array at a key as one that nobody else holds: itself, if it is just that, else a copy.

    A Variable is given as it is.
    """
    if sole(container, key) or type(container[key]) is not np.ndarray:
        return container[key]
    return in_room(container[key].nbytes, np.copy, container[key])


Tables: TypeAlias = "list[Any]"  # of dicts: a source, or a Function, to its gradient; or None


def add(tables: Tables, source: Any, gxs: list[Gradient]) -> None:
    """Take the last gradient off a list and add it to what waits for a source.

    tables: of Functions and their gradients, by generation; a leaf's is the last, at -1. Of several
        outputs each has its own gradient, in a table of the Function's.
    """
    table = tables[source.generation]
    if table is None:
        table = tables[source.generation] = {}
    if type(source) is Output:
        table, source = table.setdefault(source.function, {}), source.number
    if source not in table and type(gxs[-1]) is not Scattered:
        table[source] = gxs.pop()
    else:
        add_last(table, source, gxs)


def propagate(
    roots: list[tuple[Source, Gradient]],
    mode: MemoryMode,
    create_graph: bool = False,
    watched: frozenset[Source] = frozenset(),
) -> tuple[dict[Source, Gradient], list[tuple[Variable, Gradient]]]:
    """Run the backward pass from the roots, each a source and its gradient; it empties the list.

    A Function takes its inputs from generations before its own. So the pass goes from generation to
    generation, the latest first, and finds every gradient complete: no heap, no sort.
    Returns the gradients that no Function took (of leaves, and of what is watched), by source, and
    those that the mode retains, with their Variables.
    """
    generation = max([source.generation for source, _ in roots], default=-1)
    # A graph that stays is not held from here: what nobody else holds goes when its rule has run.
    release = not mode.retain_graph
    ends = [source for source, _ in roots] if release else []
    tables: Tables = [None] * (generation + 2)
    tables[-1] = {}
    while roots:
        source, *gxs = roots.pop()
        add(tables, source, gxs)
    seen: dict[Source, Gradient] = {}
    retained: list[tuple[Variable, Gradient]] = []
    outlived: list[weakref.ref[Variable]] = []  # of results, by the graph behind them
    now = settings()
    debug, retain = now.debug, mode.retain_grad
    token = in_force.set(now.with_graphs if create_graph else now.without_graphs)
    try:
        while generation >= 0:
            table = tables[generation]
            if not table:
                tables[generation] = None
                generation -= 1
                continue
            function, gy = table.popitem()
            while function is not None:
                sources = function._sources
                if sources is None or type(gy) is dict:
                    gy = function.completed(gy, tables, create_graph)
                    if gy is None:
                        break
                if watched:
                    seen |= function.among(watched, gy)
                if debug:
                    function.check_unchanged()
                gxs = function.input_gradients(gy, create_graph)
                if retain:
                    gys, gy = (gy if type(gy) is list else [gy]), None
                    retained += [(output, own(gys, i)) for i, output in function.live_outputs()]
                    del gys
                if release:
                    function.release(outlived)
                if (
                    type(gxs) is np.ndarray
                    and not table
                    and tables[generation - 1] is None
                    and type(sources) is not Output
                ):
                    function, gy = sources, gxs  # in a chain, with no detour by a table
                    generation -= 1
                    continue
                if type(gxs) is not list:
                    gxs, sources = [gxs], [sources]
                function = gy = None  # so that what they held goes before the next rule runs
                for source in reversed(sources):
                    if source is None or gxs[-1] is None:
                        gxs.pop()
                    else:
                        add(tables, source, gxs)
    finally:
        in_force.reset(token)
    if outlived:  # so that unchain_backward finds them with no graph left
        for function in map(function_of, ends):
            if function is not None:
                function.outlived = outlived
    return {**tables[-1], **seen} if seen else tables[-1], retained

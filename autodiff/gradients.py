"""The backward pass: gradients on their way, and the order in which Functions turn them over.

They are kept in tables of the pass, by where they go, and not on Variables: a retained gradient is
never counted twice, and an exception leaves none half added.
"""

from __future__ import annotations

import sys
import sysconfig
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from autodiff.arrays import SMALL, Array, Spec, as_array, bytes_of, sole
from autodiff.config import Settings, in_force, settings
from autodiff.keeping import Kept
from autodiff.memory import Link, MemoryMode
from autodiff.quick_numpy import np

if TYPE_CHECKING:
    from contextvars import Token

    from autodiff.graph import Function
    from autodiff.variable import Variable

# What the interpreter counts for a Function in its turn_over, called by sweep, if nobody else holds
# it: it dies then on the way back, with all that it holds, and need not be released. 0, so that
# every one is, where it may count otherwise: from Python 3.14 on, which counts not every name.
COUNTS_ALL = sys.version_info < (3, 14) and not sysconfig.get_config_var("Py_GIL_DISABLED")
ALONE = 3 if COUNTS_ALL else 0

# An ndarray; on its way between operations that give numbers, one of those; under create_graph a
# Variable.
Gradient: TypeAlias = Any
Source: TypeAlias = "Function | Output | Leaf"  # where the gradient of a Variable goes


class Output(NamedTuple):
    """One of several outputs of a Function."""

    function: Function
    number: int

    @property
    def generation(self) -> int:
        return self.function.generation

    def turn_over(self, gy: Gradient, run: Pass) -> tuple[Source | None, Gradient]:
        """What `Function.turn_over` does, with the gradients of all the outputs that wait."""
        run.enter()
        return self.turn_over_any([as_array(gy)], run)

    def turn_over_any(self, gys: list[Gradient], run: Pass) -> tuple[Source | None, Gradient]:
        """Likewise, in any pass."""
        function, number = self
        found = {number: gys.pop()}
        table = run.tables[function.generation] or {}
        for i in range(len(function.outputs)):
            if (other := Output(function, i)) in table:
                found[i] = as_array(table.pop(other))
        complete = function.completed(found, run)
        return (None, None) if complete is None else function.turn_over_any(complete, run)


class Leaf:
    """Where a graph ends: a Variable that nobody made, referred to weakly; called, it gives it."""

    __slots__ = ("_variable", "untracked")
    generation: ClassVar[int] = -1  # before every Function

    def __init__(self, variable: Variable | None, untracked: bool = False) -> None:
        self._variable: Link = nobody if variable is None else weakref.ref(variable)
        self.untracked = untracked  # a result that was computed without a graph

    def __call__(self) -> Variable | None:
        return self._variable()


def nobody() -> None:
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


def settings_within(source: Source | None, create_graph: bool) -> Settings:
    """The settings for a pass that starts at a source: those in force, but for two things.

    A graph is recorded just under create_graph; and the keeper is that of the graph behind the
    source, so that the pass keeps to what was asked when it was recorded.
    """
    now = settings()
    function = function_of(source)
    kept = None if function is None else function.kept
    if isinstance(kept, Kept) and kept.keeper is not None and kept.keeper is not now.keeper:
        now = now.changed("keeper", kept.keeper)
    return now.with_graphs if create_graph else now.without_graphs


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

    def whole(self) -> Array:
        """It as an array."""
        gradient = in_room(bytes_of(self.spec), np.zeros, *self.spec)
        self.add_to(gradient)
        return gradient

    def add_to(self, gradient: Array) -> None:
        """Add it to an array of its shape, in place."""
        if any(isinstance(part, np.ndarray) and part.dtype != bool for part in self.index):
            np.add.at(gradient, self.index, self.gy)  # an element may be chosen more than once
        else:
            gradient[self.index] += self.gy


def add_last(table: dict[Any, Gradient], key: Any, gxs: list[Gradient]) -> None:
    """Take the last gradient off a list and add it to what a table has at a key."""
    if key not in table:
        gx = gxs.pop()
        table[key] = gx if type(gx) is not Scattered else gx.whole()
    elif type(gxs[-1]) is Scattered or gxs[-1].size > SMALL:
        _add_in_place(table, key, gxs)
    else:
        total = table[key] + gxs.pop()
        table[key] = np.asarray(total) if isinstance(total, np.generic) else total


def _add_in_place(table: dict[Any, Gradient], key: Any, gxs: list[Gradient]) -> None:
    """Likewise in place, where nobody else holds the array that is written to."""
    kind = type(gxs[-1])
    if kind is Scattered:
        if not sole(table, key):
            table[key] = in_room(table[key].nbytes, np.copy, table[key])
        gxs.pop().add_to(table[key])
    elif kind is not np.ndarray:
        table[key] = table[key] + gxs.pop()
    elif sole(table, key):
        table[key] += gxs.pop()
    elif sole(gxs, -1):
        gxs[-1] += table[key]
        table[key] = gxs.pop()
    else:
        table[key] = in_room(gxs[-1].nbytes, np.add, table[key], gxs.pop())


def own(container: Any, key: Any) -> Any:
    """The array at a key as one that nobody else holds: itself, if it is just that, else a copy.

    A number is made one; a Variable is given as it is.
    """
    if sole(container, key) or type(container[key]) is not np.ndarray:
        is_number = isinstance(container[key], np.generic)
        return np.asarray(container[key]) if is_number else container[key]
    return in_room(container[key].nbytes, np.copy, container[key])


Tables: TypeAlias = "list[Any]"  # of dicts: a source to its gradient; or None


def add(tables: Tables, source: Source, gxs: list[Gradient]) -> None:
    """Take the last gradient off a list and add it to what waits for a source."""
    table = tables[source.generation]
    if table is None:
        table = tables[source.generation] = {}
    add_last(table, source, gxs)


class Pass:
    """One backward pass: what it was asked for, what waits in it, and what it has found.

    tables: of sources and their gradients, by generation; that of leaves is the last, at -1.
    seen: the gradients of what is watched. retained: those that the mode retains, with their
    Variables. outlived: released Functions whose results somebody holds.
    """

    __slots__ = (
        "_before",
        "_within",
        "create_graph",
        "debug",
        "is_differentiated",
        "is_plain",
        "left",
        "outlived",
        "release",
        "retain",
        "retained",
        "seen",
        "tables",
        "watched",
    )

    def __init__(
        self,
        ends: list[Source],
        mode: MemoryMode,
        create_graph: bool = False,
        watched: frozenset[Source] = frozenset(),
    ) -> None:
        now = settings_within(ends[0] if ends else None, create_graph)
        self._within = now
        self._before: Token[Settings] | None = None
        self.tables: Tables = [None] * (_latest(ends) + 2)
        self.tables[-1] = {}
        self.create_graph, self.watched = create_graph, watched
        self.debug = now.debug
        self.retain, self.release = mode.retain_grad, not mode.retain_graph
        is_usual = not (watched or self.debug or self.retain)
        self.is_plain = is_usual and not create_graph
        self.is_differentiated = is_usual and create_graph
        self.seen: dict[Source, Gradient] = {}
        self.retained: list[tuple[Variable, Gradient]] = []
        self.outlived: list[Function] = []
        self.left: Any = None  # sources of a Function that has several, and gradients for them
        if now.keeper is not None or not self.is_plain:
            self.enter()

    def enter(self) -> None:
        """Put the settings of the pass in force, for what may ask for them.

        The engine's own rules, on arrays, do not; and where no settings have been put in force,
        NumPy asks for its own in less time: 2 % of a chain of sines.
        """
        if self._before is None and self._within is not settings():
            self._before = in_force.set(self._within)

    def leave(self) -> None:
        """Bring back the settings that were in force before the pass."""
        if self._before is not None:
            in_force.reset(self._before)

    def run(self, ends: list[Source], seeds: list[Gradient]) -> dict[Source, Gradient]:
        """Go from the ends of a graph, with a seed for each, to its leaves; it empties both lists.

        Returns the gradients that no Function took (of leaves, and of what is watched), by source.
        """
        while seeds:
            add(self.tables, ends[len(seeds) - 1], seeds)
        if not self.release:  # what nobody else holds goes when its rule has run
            ends.clear()
        self.sweep(len(self.tables) - 2)
        if self.outlived and self.outlived != ends:
            for function in map(function_of, ends):
                if function is not None:
                    function.outlived = self.outlived  # for unchain_backward: there is no graph now
        ends.clear()
        found: dict[Source, Gradient] = self.tables[-1]
        return {**found, **self.seen} if self.seen else found

    def sweep(self, generation: int) -> None:
        """Turn over all that waits, from this generation on down.

        A Function takes its inputs from generations before its own. So the pass goes from
        generation to generation, and finds every gradient complete: no heap, no sort. Nothing here
        refers to a gradient or a Function any more when the next rule runs.
        """
        tables, is_plain = self.tables, self.is_plain
        source: Any
        while generation >= 0:
            table = tables[generation]
            if not table:
                tables[generation] = None
                generation -= 1
                continue
            source, gy = table.popitem()
            while source is not None:
                if is_plain:
                    source, gy = source.turn_over(gy, self)
                else:
                    gys, gy = [gy], None
                    source, gy = source.turn_over_any(gys, self)
                    gys = []
                if source is None:
                    if self.left is not None:
                        self.distribute()
                elif (below := tables[generation - 1]) is not None:
                    if source not in below:
                        below[source] = gy
                    elif type(gy) is not Scattered and gy.size <= SMALL:
                        below[source] = below[source] + gy
                    else:
                        gxs, gy = [gy], None
                        add_last(below, source, gxs)
                    source = gy = None
                elif table:
                    tables[generation - 1] = {source: gy}
                    source = gy = None
                else:  # in a chain, with no detour by a table
                    generation -= 1

    def distribute(self) -> None:
        """Add the gradients that are left to what waits for the inputs of their Function."""
        (sources, gxs), self.left = self.left, None
        tables = self.tables
        gxs.reverse()
        for source in sources:
            if source is None or gxs[-1] is None:
                gxs.pop()
                continue
            table = tables[source.generation]
            if table is None:
                table = tables[source.generation] = {}
            if source in table or type(gxs[-1]) is Scattered:
                add_last(table, source, gxs)
            else:
                table[source] = gxs.pop()


def _latest(sources: list[Source]) -> int:
    """The generation of the last of them that was made; -1 for leaves."""
    latest = -1
    for source in sources:
        if source.generation > latest:
            latest = source.generation
    return latest

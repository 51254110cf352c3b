"""The backward pass: gradients in flight, and the order in which Functions turn them over.

Gradients live in a table of the pass, keyed by source, and not on Variables: a retained gradient is
never counted twice, and an exception leaves none half added.
"""

from __future__ import annotations

import heapq
import itertools
import weakref
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autodiff.arrays import Array, Spec, as_array, own, sole
from autodiff.config import settings, using_config
from autodiff.memory import MemoryMode

if TYPE_CHECKING:
    from autodiff.graph import Function
    from autodiff.variable import Leaf, Variable

Gradient: TypeAlias = Any  # an ndarray; under create_graph a Variable
Source: TypeAlias = (
    "Function | tuple[Function, int] | Leaf"  # where the gradient of a Variable goes
)

# True while gradient rules run on Variables; then a Function's `saved` gives Variables, too.
differentiating: ContextVar[bool] = ContextVar("autodiff_differentiating", default=False)


def function_of(source: Source | None) -> Function | None:
    """The Function behind a source; None for a Leaf, and for nothing."""
    behind: Any = source[0] if isinstance(source, tuple) else source
    return None if behind is None or behind.generation < 0 else behind


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


class Table(dict[Source, Gradient]):
    """The gradients in flight, by source."""

    def add(self, source: Source, gxs: list[Gradient]) -> None:
        """Take the last gradient off a list and add it to what is here for a source.

        In place, where nobody else holds the array that is written to.
        """
        if isinstance(gxs[-1], Scattered):
            if source not in self:
                self[source] = np.zeros(*gxs[-1].spec)
            elif not sole(self, source):
                self[source] = self[source].copy()
            gxs.pop().add_to(self[source])
        elif source not in self:
            self[source] = gxs.pop()
        elif sole(self, source):
            self[source] += gxs.pop()
        elif sole(gxs, -1):
            gxs[-1] += self[source]
            self[source] = gxs.pop()
        else:
            self[source] = as_array(self[source] + gxs.pop())


class Queue:
    """Functions waiting for their backward, the latest generation first, each once."""

    __slots__ = ("_count", "_heap", "_waiting")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Function]] = []
        self._waiting: set[Function] = set()
        self._count = itertools.count()  # breaks ties: Functions do not compare

    def __bool__(self) -> bool:
        return bool(self._heap)

    def push(self, source: Source) -> None:
        """Let the Function behind a source wait, unless it does already; a Leaf has none."""
        function = function_of(source)
        if function is not None and function not in self._waiting:
            self._waiting.add(function)
            heapq.heappush(self._heap, (-function.generation, next(self._count), function))

    def pop(self) -> Function:
        function = heapq.heappop(self._heap)[2]
        self._waiting.remove(function)
        return function


def propagate(
    roots: list[tuple[Source, Gradient]],
    mode: MemoryMode,
    create_graph: bool = False,
    watched: frozenset[Source] = frozenset(),
) -> tuple[dict[Source, Gradient], list[tuple[Variable, Gradient]]]:
    """Run the backward pass from the roots, each a source and its gradient; it empties the list.

    Returns the gradients that no Function took (of leaves, and of what is watched), by source, and
    those that the mode retains, with their Variables.
    """
    table, queue = Table(), Queue()
    seen: dict[Source, Gradient] = {}
    retained: list[tuple[Variable, Gradient]] = []

    def retain(function: Function, gys: Sequence[Gradient]) -> None:
        for i, variable in function.live_outputs():
            retained.append((variable, own(gys, i)))

    ends = [function_of(source) for source, _ in roots]
    outlived: list[weakref.ref[Variable]] = []  # of results, by the graph behind them
    while roots:
        queue.push(roots[-1][0])
        table.add(roots[-1][0], [roots.pop()[1]])
    debug = settings().debug
    token = differentiating.set(create_graph)
    try:
        with using_config("enable_backprop", create_graph):
            while queue:
                function = queue.pop()
                gys = function.take_gradients(table)
                if gys is None:
                    continue
                if watched:
                    seen |= {
                        s: gy for s, gy in zip(function.outlets, gys, strict=True) if s in watched
                    }
                if debug:
                    function.check_unchanged()
                sources = function.sources
                gxs = function.input_gradients(gys, create_graph)
                mode.release(function, gys, retain)
                function.note_outlived(outlived)
                del gys, function  # so that what they held goes before the next rule runs
                for source in reversed(sources):
                    if source is None or gxs[-1] is None:
                        gxs.pop()
                    else:
                        table.add(source, gxs)
                        queue.push(source)
    finally:
        differentiating.reset(token)
    for end in ends:
        if end is not None and outlived:
            end._outlived = outlived  # so that unchain_backward finds them with no graph left
    return table | seen, retained

"""Vertex: what the graph holds of one application of an operation.

    Variable -- creator --> Function -- sources --> the Function (and output) that made each input,
       ^                       |                    or the Leaf of a Variable that nobody made
       `- - - - - - - - - - - -'                    Leaf - weak - -> its Variable
        weak, and strong too where the memory mode wants a cycle

There is no other vertex than a Function. And it is itself the weak reference to its output: as two
objects they would take 32 bytes and 35 ns more for each operation, and the collector would go
through both.

Most operations have one input that wants a gradient, one output, and a rule that reads one array.
So whatever a Function holds one of, it holds without a tuple around it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from autodiff.arrays import Form, as_array, bytes_of
from autodiff.gradients import Gradient, Leaf, Output, Pass, Source, add, in_room, nobody
from autodiff.held import More, alone, several
from autodiff.keeping import Kept
from autodiff.memory import Link
from autodiff.quick_numpy import np
from autodiff.variable import NotKept, Variable, as_constant, as_variable, unchecked

if TYPE_CHECKING:
    from autodiff.keepers.values import Making

output_of = weakref.ref.__call__  # the Variable that a Function refers to; None where it is gone


class Vertex(weakref.ref):  # type: ignore[type-arg]
    """One application of an operation, as the graph knows it: a Function without its rule."""

    __slots__ = ("form", "generation", "_sources", "kept", "_links", "_more", "__weakref__")

    saves: ClassVar[tuple[int, ...] | None] = None

    form: Form | None  # of all its arrays and gradients; None: nobody knows, or they are not alike
    generation: int
    _sources: Any  # a Source; of several inputs a tuple of them or None; None: released
    kept: Any  # what `saves` names, in that order; one array without a tuple
    _links: Any  # None: the Function itself; else a Link to its output, or a tuple of several
    _more: More | None

    __init__ = object.__init__
    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__  # and no weakref's
    __repr__ = object.__repr__

    @property
    def inputs(self) -> tuple[Variable, ...]:
        """Its inputs: the Variables themselves where the mode keeps them.

        Elsewhere Variables on the arrays that were kept; `data` of the others is an error.
        """
        sources = self.sources
        if self._more is not None and self._more.inputs is not None:
            return tuple(as_variable(x) for x in self._more.inputs)
        return tuple(self._stand_in(i) for i in range(len(sources)))

    @property
    def outputs(self) -> tuple[Link, ...]:
        """A reference to each output: called, it gives the Variable, or None where it is gone."""
        if not hasattr(self, "_sources"):
            return ()
        if self._links is None:
            output = output_of(self)
            return (nobody if output is None else weakref.ref(output),)
        links: tuple[Link, ...] = several(self._links)
        return links

    @property
    def wanted(self) -> tuple[bool, ...]:
        """Which inputs want a gradient."""
        return tuple([source is not None for source in self.sources])

    @property
    def saved(self) -> tuple[Any, ...]:
        """The arrays that `saves` names, in that order; under create_graph, as Variables.

        None stands for one that only the gradient of an input that wants none would read.
        Raises RuntimeError where an earlier backward has released them.
        """
        return several(self._arrays()) if self.sources else ()

    def _arrays(self) -> Any:
        """What is kept, as arrays."""
        return self.kept.arrays() if isinstance(self.kept, Kept) else self.kept

    @property
    def making(self) -> Making | None:
        """How to repeat this application, where what it keeps may be computed again."""
        return None if self._more is None else self._more.making

    @making.setter
    def making(self, making: Making) -> None:
        self._more = self._more or More()
        self._more.making = making

    @property
    def sources(self) -> tuple[Source | None, ...]:
        """Where the gradient of each input goes; None for one that wants none.

        Raises RuntimeError where an earlier backward has released them.
        """
        if not hasattr(self, "_sources"):
            raise RuntimeError(f"this {type(self).__name__} is not part of a graph")
        if self._sources is None:
            raise RuntimeError(
                f"an earlier backward has released this graph (here: {type(self).__name__}): give "
                "that call retain_graph=True, or use a mode that retains graphs"
            )
        return self._by_input()

    def _by_input(self) -> tuple[Source | None, ...]:
        sources: tuple[Source | None, ...] = several(self._sources)
        return sources

    @property
    def is_released(self) -> bool:
        return self._sources is None

    def _position(self, i: int) -> int | None:
        """The place of input or output i among what was kept; None where it was not."""
        if self.saves is None:
            return i if i < len(self.sources) else None
        return self.saves.index(i) if i in self.saves else None

    def _stand_in(self, i: int) -> Variable:
        """Input i as a Variable on what was kept of it."""
        place, source = self._position(i), self.sources[i]
        data = None if place is None else several(self._arrays())[place]
        if data is None:
            return NotKept(source)
        return unchecked(as_array(data), source, requires_grad=source is not None)

    def release(self, outlived: list[Any]) -> None:
        """Let go of the graph before this Function, and of the arrays that were kept.

        Take it down if one of its outputs is held by somebody.
        """
        if self._more is not None and isinstance(self.kept, Kept):
            self.kept.let_go()
        self._sources = self._more = None
        self.kept = ()
        if (output_of(self) if self._links is None else self._some_output()) is not None:
            outlived.append(self)

    @property
    def outlived(self) -> Sequence[Link]:
        """Links to results that outlived the graph behind them, once that was released from here.

        Where none were taken down, these are its own outputs.
        """
        noted = None if self._more is None else self._more.outlived
        return self.outputs if noted is None else noted

    @outlived.setter
    def outlived(self, functions: Sequence[Any]) -> None:
        self._more = self._more or More()
        self._more.outlived = [
            weakref.ref(y)
            for function in functions
            for link in function.outputs
            if (y := link()) is not None
        ]

    def end_at(self, output: int, leaf: Leaf) -> None:
        """Hand gradients of an output to a Leaf from now on, not to this Function."""
        links = self.outputs
        self._links = alone((*links[:output], leaf, *links[output + 1 :]))
        if all(isinstance(link, Leaf) for link in self.outputs):
            self.release([])

    def _some_output(self) -> Variable | None:
        return next((y for link in self.outputs if (y := link()) is not None), None)

    def live_outputs(self) -> Iterator[tuple[int, Variable]]:
        """Those of its outputs that somebody holds and that are no leaves, with their numbers."""
        for i, link in enumerate(self.outputs):
            if not isinstance(link, Leaf) and (variable := link()) is not None:
                yield i, variable

    def among(self, watched: frozenset[Source], gys: list[Gradient]) -> dict[Source, Gradient]:
        """The gradients of those outputs that are watched."""
        function: Any = self
        if type(self._links) is not tuple:
            return {function: gys[0]} if function in watched else {}
        every = ((Output(function, i), gy) for i, gy in enumerate(gys))
        return {output: gy for output, gy in every if output in watched}

    def completed(self, gys: dict[int, Gradient], run: Pass) -> list[Gradient] | None:
        """The gradients of all outputs; None where there is nothing to do for them.

        An output that was dropped or not used has zeros; the gradient of one that was unchained
        goes to its Leaf. Raises RuntimeError where an earlier backward has released the graph.
        """
        for i, link in enumerate(self.outputs):
            if i in gys and isinstance(link, Leaf):
                add(run.tables, link, [gys.pop(i)])
        if not gys:
            return None
        _ = self.sources  # which raises where they were released
        return [
            gys.pop(i) if i in gys else self._zeros(i, run.create_graph)
            for i in range(len(self.outputs))
        ]

    def _zeros(self, output: int, create_graph: bool) -> Gradient:
        assert self._more is not None and self._more.specs is not None  # as with several outputs
        spec = self._more.specs[1][output]
        zeros = in_room(bytes_of(spec), np.zeros, *spec)
        return as_constant(zeros) if create_graph else zeros

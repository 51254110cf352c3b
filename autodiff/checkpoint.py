"""Recompute instead of keep: a part of a graph that holds its inputs and nothing in between.

    x -- source --> Checkpoint -- output --> y          what the forward leaves
    x -- source --> sin --> mul --> tanh                what backward puts in its place, for a while

A function under checkpoint is called first with no graph, and what it reads is taken down; so its
parameters get their gradients, though they are no inputs. When backward comes to the Checkpoint,
the function is called again, with a graph. That begins at the sources of the Checkpoint, and its
Functions have the generations that they would have had without one: so the pass goes on with them
as if there had been none, and adds gradients up in the same order, if the function has one output.

Of several outputs it has the generation of the last one, since all their gradients must be there
before the function is called again: so an operation on an earlier output counts as a later one than
it would be, and of three gradients that meet somewhere, others may be added first. Nothing short of
calling the function again for each output would keep the order.
"""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias

import numpy as np

from autodiff.arrays import Array, Spec
from autodiff.config import Settings, in_force, settings
from autodiff.draws import Draws, Replay
from autodiff.gradients import UNTRACKED, Gradient, Leaf, Pass, Source, Untracked, add
from autodiff.graph import Function
from autodiff.held import alone, several
from autodiff.keepers.footprint import NOTHING
from autodiff.keeping import Kept
from autodiff.variable import Operand, Variable, source_of, unchecked

Part: TypeAlias = "First | Again"

HERE = object()  # in the arguments of a Call, where a Variable goes


class First:
    """The first computation of a part under checkpoint: with no graph, and with an eye on it.

    reads: what wants a gradient and was not computed here, by its source.
    """

    def __init__(self, draws: Draws, around: Part | None) -> None:
        self.draws, self._around = draws, around
        self.reads: dict[Source, weakref.ref[Variable]] = {}
        self.is_over = False

    @property
    def is_again(self) -> bool:
        return self._around is not None and self._around.is_again

    def read(self, inputs: Sequence[Any]) -> Unrecorded | None:
        """The source of what an operation computes from these; None where none wants a gradient."""
        depths = [self.depth(x) for x in inputs if isinstance(x, Variable) and x.requires_grad]
        return Unrecorded(self, 1 + max(depths)) if depths else None

    def depth(self, x: Variable) -> int:
        """The generation of the Function that made x, or would have."""
        source = x._source
        if isinstance(source, Unrecorded) and source.part is self:
            return source.depth
        source = source_of(x)
        self.reads.setdefault(source, weakref.ref(x))
        return source.generation

    def generator(self, rng: np.random.Generator | None) -> np.random.Generator:
        around = self._around
        found = around.generator(rng) if around is not None else rng or np.random.default_rng()
        self.draws.note(found)
        return found


class Unrecorded(Untracked):
    """The source of what a function computes under checkpoint; false, as of all with no graph.

    depth: the generation that the Function would have that made it.
    """

    __slots__ = ("part", "depth")

    def __init__(self, part: First, depth: int) -> None:
        super().__init__(None, untracked=True)
        self.part, self.depth = part, depth

    def begin(self) -> None:
        if self.part.is_over:
            raise RuntimeError(
                "a Variable that a function computed under checkpoint, and did not return, is used "
                "after it: it has no graph, so return it, too, or use its detach()"
            )


class Again:
    """A later computation of a part under checkpoint."""

    is_again: ClassVar[bool] = True

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def read(self, inputs: Sequence[Any]) -> Untracked:
        return UNTRACKED

    def generator(self, rng: np.random.Generator | None) -> np.random.Generator:
        return self._replay.next()


class Call:
    """A call of a function on Variables and whatever else, which can be made again.

    arguments: what the function was called with, and HERE for each Variable.
    """

    def __init__(self, function: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = [HERE if isinstance(x, Variable) else x for x in inputs]
        self.settings = settings()
        self.draws = Draws((function, inputs))

    def first(self, inputs: tuple[Any, ...]) -> tuple[Any, First]:
        """What it gives, with no graph, and what was seen meanwhile."""
        part = First(self.draws, self.settings.part)
        try:
            with _under(replace(self.settings.without_graphs, part=part)):
                ys = self.function(*inputs)
            found = outputs_of(ys)
            self.depth = max([0, *[part.depth(y) for y in found if y.requires_grad]])
        finally:
            part.is_over = True
        self.draws.end()
        self.wanted = [i for i, y in enumerate(found) if y.requires_grad]
        self.specs = self.specs_of(found)
        self.prints = [print_of(y) for y in found] if self.settings.debug else None
        return ys, part

    def note(self, reads: Sequence[Variable]) -> None:
        """Take down with which data they were read that are no inputs."""
        self.reads = [(weakref.ref(x), weakref.ref(x.data)) for x in reads]

    def again(self, xs: Sequence[Any], graph: bool) -> list[Variable]:
        """Those of its outputs that want a gradient, computed again.

        The settings, but for the graph, and the random numbers are those of the first time.
        Raises RuntimeError where something else than the first time comes out.
        """
        for variable, data in self.reads:
            if (x := variable()) is not None and x.data is not data():
                raise RuntimeError(
                    f"{named(x)} was read under checkpoint and has been given other data since, so "
                    "that backward cannot compute the same again: call backward first"
                )
        given = iter(xs)
        now = self.settings.with_graphs if graph else self.settings.without_graphs
        with self.draws.again() as replay, _under(replace(now, part=Again(replay))):
            ys = self.function(*[next(given) if x is HERE else x for x in self.arguments])
        found = outputs_of(ys)
        if (specs := self.specs_of(found)) != self.specs:
            raise RuntimeError(
                "a function under checkpoint does the same both times, and this one gave arrays of "
                f"(shape, dtype) {text(self.specs)} at first and {text(specs)} when computed again"
            )
        if self.prints is not None and self.prints != [print_of(y) for y in found]:
            raise RuntimeError(
                "a function under checkpoint gave other values when it was computed again: it must "
                "do the same both times (what it reads may have been changed in place since)"
            )
        return [found[i] for i in self.wanted]

    def specs_of(self, ys: Sequence[Variable]) -> list[Spec]:
        return [(y.shape, y.dtype) for y in ys]


class Checkpoint(Function):
    """The outputs of a function of Variables, computed again when their gradients are wanted.

    Its inputs are the Variables that the function is called with, whose arrays it keeps, and after
    them all others that want a gradient and are read.
    """

    __slots__ = ("call", "saves", "_results")
    numbers_outputs = True
    footprint = NOTHING  # its operations ask for themselves

    call: Call | None

    def __init__(self, call: Call, results: tuple[Array, ...]) -> None:
        self.call = call
        self.saves = tuple(range(sum(x is HERE for x in call.arguments)))  # type: ignore[misc]
        self._results = results

    def apply(self, *inputs: Operand) -> Any:
        assert self.call is not None
        depth = self.call.depth
        outputs = super().apply(*inputs)
        self.generation = depth
        for y in [outputs] if isinstance(outputs, Variable) else outputs:
            y.generation = depth + 1
        return outputs

    def results(self, arrays: Sequence[Any]) -> Sequence[Array]:
        if hasattr(self, "_results"):  # from before it was known what are its inputs
            results = self._results
            del self._results
            return results
        return super().results(arrays)

    def forward(self, *xs: Any) -> Any:
        """Its outputs once more, with no graph."""
        assert self.call is not None
        variables = [unchecked(x, None, requires_grad=False) for x in xs[: len(self.saves or ())]]
        return tuple([y.data for y in self.call.again(variables, graph=False)])

    def explain(self, error: Exception, arrays: Sequence[Any]) -> None:
        """An exception in the function speaks for itself."""

    def completed(self, gys: dict[int, Gradient], run: Pass) -> list[Gradient] | None:
        """Hands the gradients of its outputs to the graph that takes its place."""
        given = set(gys)
        every = super().completed(gys, run)
        if every is not None:
            for i, y in enumerate(self.recomputed(every)):
                if i in given and not isinstance(self.outputs[i], Leaf):
                    add(run.tables, self.checked_source(y), [every[i]])
        return every

    def input_gradients(self, gys: Any, create_graph: bool) -> Any:
        """None: those that `completed` has handed on find their way to the inputs."""
        return alone([None] * len(self.sources))

    def recomputed(self, gys: list[Any]) -> list[Variable]:
        """Its outputs at the end of a graph that begins where this Function does."""
        assert self.call is not None
        kept = self.kept
        arrays = several(kept.begin(gys) if isinstance(kept, Kept) else kept)
        ys = self.call.again([self._as_variable(i, x) for i, x in enumerate(arrays)], graph=True)
        if isinstance(kept, Kept):
            kept.end([None] * len(self.sources))
        return ys

    def checked_source(self, y: Variable) -> Source:
        """The source of an output in the graph that takes the place of this Function."""
        source = source_of(y)
        if not y.requires_grad or source.generation > self.generation:
            raise RuntimeError(
                "a function under checkpoint applied other operations when it was computed again: "
                "it must do the same both times"
            )
        return source

    def release(self, outlived: list[Any]) -> None:
        super().release(outlived)
        self.call = None


@contextmanager
def _under(now: Settings) -> Generator[None, None, None]:
    """These settings in force, and afterwards those that were before."""
    token = in_force.set(now)
    try:
        yield
    finally:
        in_force.reset(token)


def outputs_of(ys: Any) -> list[Variable]:
    """What a function under checkpoint gave, in a list."""
    found = list(ys) if type(ys) in (list, tuple) else [ys]
    for y in found:
        if not isinstance(y, Variable) or y.data is None:
            raise TypeError(
                "a function under checkpoint gives a Variable, or a tuple or list of them, not "
                f"{type(y).__name__}"
            )
    return found


def print_of(y: Variable) -> int:
    return zlib.crc32(np.ascontiguousarray(y.data).data)


def named(x: Variable) -> str:
    return f"the Variable {x.name!r}" if x.name else f"a Variable of shape {x.shape}"


def text(specs: Sequence[Spec]) -> str:
    return ", ".join(f"{shape} {dtype}" for shape, dtype in specs) or "none"


def checkpoint(function: Callable[..., Any], *inputs: Any) -> Any:
    """function(*inputs), of which the graph keeps the inputs; backward computes the rest again.

    The function gives a Variable, or a tuple or list of them, the same both times. What is no
    Variable it gets as it is. Variables that it reads and that are no inputs, such as a layer's
    parameters, get their gradients, too. The settings of the first time are in force again. Random
    numbers are the same ones again where they come from NumPy's global generator, from `replayed`
    (as nn's dropout has them), or from a generator that the function holds: in its closure, in
    globals that it names, in attributes (draws.py has the whole list); afterwards all generators
    are as if nothing had been drawn again. What counts or averages does it twice, unless it asks
    `recomputing`. Gradients are the same to the last bit, but that sums of three or more may be
    rounded otherwise in gradients of gradients, and where the function has several outputs: there,
    a checkpoint for each of them keeps the bits, unless they share what is computed inside.

    Raises RuntimeError, in backward, where the function gives other shapes the second time (under
    debug: or other values), or reads what is no input and has been given other data in between.
    Source: Griewank and Walther 2000; Chen et al. 2016 (arXiv 1604.06174).
    """
    if settings().recording is None:  # nothing would be kept
        return function(*inputs)
    call = Call(function, inputs)
    ys, part = call.first(inputs)
    variables = [x for x in inputs if isinstance(x, Variable)]
    known = {source_of(x) for x in variables if x.requires_grad}
    links = [link for source, link in part.reads.items() if source not in known]
    found = outputs_of(ys)
    part.reads.clear()
    reads = [x for link in links if (x := link()) is not None]
    call.note(reads)
    if call.wanted:
        results = tuple([found[i].data for i in call.wanted])
        outputs = Checkpoint(call, results)(*variables, *reads)
        recorded = iter([outputs] if isinstance(outputs, Variable) else outputs)
        found = [next(recorded) if y.requires_grad else y for y in found]
    return found[0] if isinstance(ys, Variable) else type(ys)(found)


def recomputing() -> bool:
    """Whether a function under checkpoint is being computed again, and not for the first time.

    A layer that counts, averages or logs what passes through it asks, to do so once.
    """
    part = settings().part
    return part is not None and part.is_again


def replayed(rng: np.random.Generator | None = None) -> np.random.Generator:
    """The generator, or a new one for None, to be drawn from at once.

    Under checkpoint, what is drawn from it is drawn again when the function is computed again,
    wherever the generator comes from.
    """
    part = settings().part
    return part.generator(rng) if part is not None else rng or np.random.default_rng()

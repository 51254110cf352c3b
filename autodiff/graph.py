"""Function: the vertex of the graph that a computation records.

    Variable -- creator --> Function -- sources --> the Function (and output) that made each input,
       ^                       |                    or the Leaf of a Variable that nobody made
       `- - - - links - - - - -'                    Leaf - weak - -> its Variable
            weak or strong: the memory mode says which

There is no other vertex. What else a Function holds (its input Variables, or just the arrays that
its rule reads) and how long is the memory mode's business: it is asked `link` and `keep` in
`Function._record`, and `release` in the backward pass (gradients.py).
"""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from autodiff.arrays import (
    Array,
    Spec,
    all_arrays,
    as_array,
    gradient_spec,
    real_array,
    sum_to_shape,
)
from autodiff.config import Settings, settings
from autodiff.gradients import Gradient, Scattered, Source, Table, differentiating
from autodiff.memory import Link
from autodiff.variable import (
    UNTRACKED,
    Leaf,
    Operand,
    Variable,
    as_constant,
    as_variable,
    source_of,
    unchecked,
)


class Function:
    """One application of an operation: a vertex of the graph.

    A subclass gives `forward(*arrays)`, which returns an array or a tuple of them, and
    `backward(*gys)`, which takes the gradient of each output and returns that of each input, or
    None for one that has none. It is called on Variables, arrays and numbers, once.

    saves: positions of the arrays that `backward` reads through `saved`, inputs first, then
        outputs; () for none. Without it every input is kept, and a rule written as in the slides
        (`self.inputs[0].data`) works in every mode, but cannot be differentiated again.
    Shapes and axes may stand on `self`; arrays may not, or no memory mode would govern them.

    Source: steps 2, 11, 12, 13, 16 and 17 of the book.
    """

    __slots__ = (
        "generation",
        "_sources",
        "_specs",
        "_kept",
        "_inputs",
        "_links",
        "_outlived",
        "__weakref__",
    )

    saves: ClassVar[tuple[int, ...] | None] = None

    generation: int
    _sources: tuple[Source | None, ...] | None  # None: released
    _specs: tuple[list[Spec], list[Spec]] | None  # of inputs and outputs; None: all as the output
    _kept: tuple[Any, ...]  # what `saves` names, in that order
    _inputs: tuple[Any, ...] | None  # the inputs whole, where the mode keeps them
    _links: tuple[Link, ...]
    _outlived: list[weakref.ref[Variable]]  # by the graph behind it, once that is released

    def forward(self, *xs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, *gys: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def __call__(self, *inputs: Operand) -> Any:
        """Apply the operation; a Variable, or a list of them where there are several outputs."""
        if hasattr(self, "_links"):  # it stands in a graph, whose rule it is
            raise RuntimeError(
                f"this {type(self).__name__} has been applied already; a Function is one "
                "application: make a new one"
            )
        alone = len(inputs) == 1
        arrays = [x.data if isinstance(x, Variable) else self._operand(x, alone) for x in inputs]
        results = self._results(arrays if self.saves is not None else all_arrays(arrays))
        now = settings()
        if not now.mode.enable_backprop:
            outputs = [unchecked(y, UNTRACKED) for y in results]
        elif not any(isinstance(x, Variable) and x.requires_grad for x in inputs):
            outputs = [as_constant(y) for y in results]
        else:
            outputs = self._record(now, inputs, arrays, results)
        return outputs if len(outputs) > 1 else outputs[0]

    def _operand(self, x: Operand, alone: bool) -> Any:
        """What forward gets for a constant: an array, or, beside others, the number itself.

        So NumPy types it weakly: a number makes no float64 of a float32 array.
        """
        if type(x) in (int, float, bool) and not alone:
            return x
        return real_array(as_array(x), f"{type(self).__name__} takes Variables, numbers or")

    def _results(self, arrays: Sequence[Any]) -> Sequence[Array]:
        """What forward makes of the arrays, as arrays."""
        try:
            y = self.forward(*arrays)
        except Exception as error:
            if any(x is None for x in arrays):
                raise ValueError(f"{type(self).__name__} got a Variable without data") from None
            if type(error) is not ValueError:
                raise
            shapes = " and ".join(str(np.shape(x)) for x in arrays)
            raise ValueError(f"{type(self).__name__} of shapes {shapes}: {error}") from error
        if type(y) is np.ndarray and y.dtype.kind == "f":
            return (y,)
        outputs = y if isinstance(y, tuple) else (y,)
        return [real_array(as_array(y), f"{type(self).__name__}.forward returns") for y in outputs]

    def _record(
        self,
        now: Settings,
        inputs: tuple[Operand, ...],
        arrays: Sequence[Any],
        results: Sequence[Array],
    ) -> list[Variable]:
        """Take this application into the graph."""
        mode = now.mode
        sources = tuple(
            [source_of(x) if isinstance(x, Variable) and x.requires_grad else None for x in inputs]
        )
        self._sources = sources
        self.generation = max([_generation_after(source) for source in sources])
        self._kept = self.select((*arrays, *results))
        self._inputs = mode.keep(inputs)
        self._specs = _specs(sources, arrays, results)
        if len(results) == 1:
            outputs = [unchecked(results[0], self)]
        else:
            outputs = [unchecked(y, (self, i)) for i, y in enumerate(results)]
        self._links = tuple([mode.link(y) for y in outputs])
        if now.debug:
            _fingerprints[self] = self._fingerprint()
        return outputs

    def select(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Of the arrays of its inputs and outputs those that `saves` names."""
        if self.saves is None:
            return arrays[: len(self.sources)]
        try:
            return tuple([arrays[position] for position in self.saves])
        except IndexError:
            raise ValueError(
                f"{type(self).__name__}.saves = {self.saves}: its inputs and outputs are at "
                f"positions 0 to {len(arrays) - 1}"
            ) from None

    # What the graph holds -----------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[Variable, ...]:
        """Its inputs: the Variables themselves where the mode keeps them.

        Elsewhere Variables on the arrays that were kept; `data` of the others is an error.
        """
        sources = self.sources
        if self._inputs is not None:
            return tuple(as_variable(x) for x in self._inputs)
        return tuple(self._stand_in(i) for i in range(len(sources)))

    @property
    def outputs(self) -> tuple[Link, ...]:
        """A reference to each output: called, it gives the Variable, or None where it is gone."""
        return getattr(self, "_links", ())

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
        kept = self._kept if self.sources else ()
        if self.saves is None or not differentiating.get():
            return kept
        return tuple(self._as_variable(p, x) for p, x in zip(self.saves, kept, strict=True))

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
        return self._sources

    def _stand_in(self, i: int) -> Variable:
        """Input i as a Variable on what was kept of it."""
        position = i if self.saves is None else self.saves.index(i) if i in self.saves else None
        source = self.sources[i]
        data = None if position is None else self._kept[position]
        return unchecked(as_array(data), source, requires_grad=source is not None)

    def _as_variable(self, position: int, array: Any) -> Any:
        """What is kept from a position, as part of the graph; a number as it is."""
        if not isinstance(array, np.ndarray):
            return array
        sources = self.sources
        if position < len(sources):
            held = self._inputs[position] if self._inputs is not None else None
            source = sources[position]
        else:
            output = position - len(sources)
            held = self._links[output]()
            source = self if len(self._links) == 1 else (self, output)
        if isinstance(held, Variable) and held.data is array:
            return held
        return unchecked(array, source, requires_grad=source is not None)

    def release(self) -> None:
        """Let go of the graph before this Function, and of the arrays that were kept."""
        self._sources = self._inputs = None
        self._kept = ()

    def note_outlived(self, found: list[weakref.ref[Variable]]) -> None:
        """Take down whether its outputs are held by somebody, now that it is released."""
        if self._sources is None:
            found += [weakref.ref(variable) for _, variable in self.live_outputs()]

    def _end_at(self, output: int, leaf: Leaf) -> None:
        """Hand gradients of an output to a Leaf from now on, not to this Function."""
        self._links = (*self._links[:output], leaf, *self._links[output + 1 :])
        if all(isinstance(link, Leaf) for link in self._links):
            self.release()

    # The backward of one Function -----------------------------------------------------------------

    @property
    def outlets(self) -> Sequence[Source]:
        """Its outputs, as sources."""
        return (self,) if len(self._links) == 1 else [(self, i) for i in range(len(self._links))]

    def live_outputs(self) -> Iterator[tuple[int, Variable]]:
        """Those of its outputs that somebody holds and that are no leaves, with their numbers."""
        for i, link in enumerate(self._links):
            if not isinstance(link, Leaf) and (variable := link()) is not None:
                yield i, variable

    def take_gradients(self, table: Table) -> list[Gradient] | None:
        """Its outputs' gradients, out of the table; None where no output has one.

        An output that was dropped or not used has zeros; the gradient of one that was unchained
        goes to its Leaf.
        """
        if len(self._links) == 1 and type(self._links[0]) is not Leaf:
            return [table.pop(self)]
        gys: list[Gradient] = []
        for source, link in zip(self.outlets, self._links, strict=True):
            gy = table.pop(source, None)
            if gy is not None and isinstance(link, Leaf):
                table.add(link, [gy])
                gy = None
            gys.append(gy)
        if all(gy is None for gy in gys):
            return None
        return [self._zeros(i) if gy is None else gy for i, gy in enumerate(gys)]

    def _zeros(self, output: int) -> Gradient:
        assert self._specs is not None  # which holds for one output alone
        zeros = np.zeros(*self._specs[1][output])
        return as_constant(zeros) if differentiating.get() else zeros

    def input_gradients(self, gys: list[Gradient], create_graph: bool) -> list[Gradient]:
        """What the rule makes of its outputs' gradients, each in its input's shape and dtype."""
        if create_graph and self.saves is None:
            raise RuntimeError(f"{type(self).__name__} {_CANNOT_DIFFERENTIATE}")
        gxs = self.backward(*gys)
        gxs = list(gxs) if isinstance(gxs, (tuple, list)) else [gxs]
        sources = self.sources
        if len(gxs) != len(sources):
            raise ValueError(
                f"{type(self).__name__}.backward returned {len(gxs)} gradients for "
                f"{len(sources)} inputs"
            )
        for i, source in enumerate(sources):
            if source is None:
                gxs[i] = None
            elif gxs[i] is not None and type(gxs[i]) is not Scattered:
                shape, dtype = self._specs[0][i] if self._specs else (gys[0].shape, gys[0].dtype)
                gxs[i] = self._fitted(gxs[i], i, shape, dtype, create_graph)
        return gxs

    def _fitted(
        self, gx: Any, i: int, shape: tuple[int, ...], dtype: np.dtype[Any], create_graph: bool
    ) -> Gradient:
        """A gradient as input i needs it: summed back where it was broadcast, in its dtype."""
        if create_graph:
            gx = as_constant(gx)
        elif type(gx) is not np.ndarray:
            gx = gx.data if isinstance(gx, Variable) else np.asarray(gx)
        if gx.shape != shape:
            try:
                gx = as_array(sum_to_shape(gx, shape))
            except ValueError:
                raise ValueError(
                    f"{type(self).__name__}.backward returned a gradient of shape {gx.shape} for "
                    f"input {i} of shape {shape}"
                ) from None
        return gx if gx.dtype == dtype else gx.astype(dtype)

    # In debug mode --------------------------------------------------------------------------------

    def _fingerprint(self) -> list[int]:
        """A checksum of each array that was kept."""
        return [zlib.crc32(np.ascontiguousarray(x).data) for x in self._kept if x is not None]

    def check_unchanged(self) -> None:
        """Raise RuntimeError where a kept array was changed in place since the forward."""
        if _fingerprints.get(self, fresh := self._fingerprint()) != fresh:
            raise RuntimeError(
                f"an array that {type(self).__name__} kept for backward was changed in place after "
                "its forward, so its gradient would be wrong: make a new array instead"
            )


_fingerprints: weakref.WeakKeyDictionary[Function, list[int]] = weakref.WeakKeyDictionary()
_CANNOT_DIFFERENTIATE = (
    "keeps its inputs because it declares no `saves`, and so its gradient cannot be differentiated "
    "again: declare `saves`, the positions that its rule reads, and read them through self.saved"
)


def _generation_after(source: Source | None) -> int:
    """The least generation of a Function that takes its input from there."""
    if source is None:
        return 0
    return (source[0] if isinstance(source, tuple) else source).generation + 1


def _specs(
    sources: Sequence[Source | None], arrays: Sequence[Any], results: Sequence[Array]
) -> tuple[list[Spec], list[Spec]] | None:
    """Of the gradients of inputs and outputs; None where all are like that of the only output."""
    if len(results) == 1:
        shape, dtype = results[0].shape, results[0].dtype
        for source, x in zip(sources, arrays, strict=True):
            if source is not None and (x.shape != shape or x.dtype != dtype):
                break
        else:
            return None
    return [gradient_spec(x) for x in arrays], [gradient_spec(y) for y in results]

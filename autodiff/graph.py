"""Function: the vertex of the graph that a computation records.

    Variable -- creator --> Function -- sources --> the Function (and output) that made each input,
       ^                       |                    or the Leaf of a Variable that nobody made
       `- - - - - - - - - - - -'                    Leaf - weak - -> its Variable
        weak, and strong too where the memory mode wants a cycle

There is no other vertex. And a Function is itself the weak reference to its output: as two objects
they would take 32 bytes and 35 ns more for each operation, and the collector would go through both.

What else a Function holds (its input Variables, or just the arrays that its rule reads) is the
memory mode's business when a Function is recorded; how long it does, in the backward pass
(gradients.py).

Most operations have one input that wants a gradient, one output, and a rule that reads one array.
So whatever a Function holds one of, it holds without a tuple around it.
"""

from __future__ import annotations

import copyreg
import threading
import weakref
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

from autodiff.arrays import (
    Array,
    Form,
    Spec,
    all_arrays,
    as_array,
    bytes_of,
    real_array,
    sum_to_shape,
)
from autodiff.config import Recording, settings
from autodiff.gradients import (
    UNTRACKED,
    Gradient,
    Leaf,
    Output,
    Pass,
    Scattered,
    Source,
    add,
    in_room,
    nobody,
    own,
)
from autodiff.held import More, alone, picker, several, specs_of
from autodiff.keeping import Kept
from autodiff.memory import Link
from autodiff.quick_numpy import np
from autodiff.unchanged import check, note
from autodiff.variable import (
    NotKept,
    Operand,
    Variable,
    as_constant,
    as_variable,
    source_of,
    unchecked,
)

if TYPE_CHECKING:
    from autodiff.keepers.values import Making

_new = object.__new__
_make = weakref.ref.__new__
output_of = weakref.ref.__call__  # the Variable that a Function refers to; None where it is gone

NUMBERS = frozenset((bool, int, float))  # what NumPy types weakly


class Function(weakref.ref):  # type: ignore[type-arg]
    """One application of an operation: a vertex of the graph, and the reference to its output.

    A subclass gives `forward(*arrays)`, which returns an array or a tuple of them, and
    `backward(*gys)`, which takes the gradient of each output and returns that of each input, or
    None for one that has none. It is called on Variables, arrays and numbers, once.

    saves: positions of the arrays that `backward` reads through `saved`, inputs first, then
        outputs; () for none. Without it every input is kept, and a rule written as in the slides
        (`self.inputs[0].data`) works in every mode, but cannot be differentiated again.
    Shapes and axes may stand on `self`; arrays may not, or no memory mode would govern them.

    Source: steps 2, 11, 12, 13, 16 and 17 of the book.
    """

    __slots__ = ("form", "generation", "_sources", "kept", "_links", "_more", "__weakref__")

    saves: ClassVar[tuple[int, ...] | None] = None
    numbers_outputs: ClassVar[bool] = False  # also where there is just one

    form: Form | None  # of all its arrays and gradients; None: nobody knows, or they are not alike
    generation: int
    _sources: Any  # a Source; of several inputs a tuple of them or None; None: released
    kept: Any  # what `saves` names, in that order; one array without a tuple
    _links: Any  # None: the Function itself; else a Link to its output, or a tuple of several
    _more: More | None

    __init__ = object.__init__
    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__  # and no weakref's
    __repr__ = object.__repr__

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if (args or kwargs) and cls.__init__ is object.__init__:  # type: ignore[misc]
            raise TypeError(
                f"{cls.__name__}() takes no arguments: apply it to some, as in {cls.__name__}()(x)"
            )
        output = _new(Variable)
        function = _make(cls, output)
        function.kept = output  # until it is applied; nobody else holds it
        return function

    def forward(self, *xs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, *gys: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def __call__(self, *inputs: Operand) -> Any:
        """Apply the operation; a Variable, or a list of them where there are several outputs."""
        if hasattr(self, "_sources"):  # it stands in a graph, whose rule it is
            raise RuntimeError(
                f"this {type(self).__name__} has been applied already; a Function is one "
                "application: make a new one"
            )
        return self.apply(*inputs)

    def apply(self, *inputs: Operand) -> Any:
        """Apply an operation that was made for this: `__call__`, with no check that it was."""
        now = settings()
        recording, keeper = now.recording, now.keeper
        arrays: list[Any] = []
        sources: list[Source | None] = []
        generation = -2  # before that of a leaf
        for x in inputs:
            source = None
            if isinstance(x, Variable):
                arrays.append(x._array)
                if x.requires_grad and recording is not None:
                    source = x._source or source_of(x)
                    if source.generation > generation:
                        generation = source.generation
            else:
                arrays.append(x if type(x) in NUMBERS else self.constant(x))
            sources.append(source)
        if self.saves is None or len(arrays) == 1:
            arrays = all_arrays(arrays)
        if keeper is not None:
            keeper.prepare(self, arrays)
        results = self.results(arrays)
        if recording is None:
            part = now.part
            leaf = UNTRACKED if part is None else part.read(inputs)
            outputs = [unchecked(y, leaf, leaf is not None) for y in results]
        elif generation == -2:
            outputs = [as_constant(y) for y in results]
        else:
            of_inputs = tuple(sources)
            outputs = self._record(recording, inputs, of_inputs, generation + 1, arrays, results)
            if keeper is not None:
                keeper.keep(self, arrays, results)
        if keeper is not None and (recording is None or generation == -2):
            keeper.constants(results)
        return outputs if len(outputs) > 1 else outputs[0]

    apply_any = apply  # what subclasses with an `apply` of their own leave the rest to

    def constant(self, x: Operand) -> Any:
        """What forward gets for a constant: an array, or, beside others, the number itself.

        So NumPy types it weakly: a number makes no float64 of a float32 array.
        """
        if type(x) in NUMBERS:
            return x
        return real_array(as_array(x), f"{type(self).__name__} takes Variables, numbers or")

    def results(self, arrays: Sequence[Any]) -> Sequence[Array]:
        """What forward makes of the arrays, as arrays."""
        try:
            y = self.forward(*arrays)
        except Exception as error:
            self.explain(error, arrays)
            raise
        if type(y) is np.ndarray and y.dtype.kind == "f":
            return (y,)
        outputs = y if isinstance(y, tuple) else (y,)
        return [self.checked(y) for y in outputs]

    def checked(self, y: Any) -> Array:
        """A result of forward as an array that a Variable can hold."""
        return real_array(as_array(y), f"{type(self).__name__}.forward returns")

    def explain(self, error: Exception, arrays: Sequence[Any]) -> None:
        """Raise what says more than an exception in forward does, if there is more to say."""
        if any(x is None for x in arrays):
            raise ValueError(f"{type(self).__name__} got a Variable without data") from None
        if type(error) is ValueError:
            shapes = " and ".join(str(np.shape(x)) for x in arrays)
            raise ValueError(f"{type(self).__name__} of shapes {shapes}: {error}") from error

    def _record(
        self,
        recording: Recording,
        inputs: tuple[Operand, ...],
        sources: tuple[Source | None, ...],
        generation: int,
        arrays: Sequence[Any],
        results: Sequence[Array],
    ) -> list[Variable]:
        """Take this application into the graph; its outputs."""
        more = self.more(recording, inputs, sources, arrays, results)
        kept = self.select(sources, (*arrays, *results))
        held = self.held(sources)
        if len(results) == 1 and not self.numbers_outputs:
            outputs = [self.recorded(held, generation, kept, more, results[0])]
            if recording.holds_outputs:
                self._links = recording.link(outputs[0])
        else:
            self.generation, self._sources, self.kept, self._more = generation, held, kept, more
            self.form = None
            outputs = [unchecked(y, Output(self, i)) for i, y in enumerate(results)]
            self._links = tuple(map(recording.link, outputs))
        if recording.debug:
            note(self, several(self._arrays()))
        return outputs

    held = staticmethod(alone)  # its sources, as `_sources` has them

    def more(
        self,
        recording: Recording,
        inputs: tuple[Operand, ...],
        sources: tuple[Source | None, ...],
        arrays: Sequence[Any],
        results: Sequence[Array],
    ) -> More | None:
        """What not every Function holds; None for one that does not."""
        specs = specs_of(sources, arrays, results)
        if recording.keeps_inputs:
            return More(specs, inputs)
        return None if specs is None and recording.keeper is None else More(specs)

    @classmethod
    def made(
        cls, sources: tuple[Source | None, ...], generation: int, kept: Any, y: Array
    ) -> Variable:
        """The output of a Function that is made with it, when y is known: a straight line."""
        output = _new(Variable)
        function = _make(cls, output)
        return function.recorded(sources, generation, kept, None, y)

    def recorded(
        self,
        sources: Source | tuple[Source | None, ...],
        generation: int,
        kept: Any,
        more: More | None,
        y: Array,
        form: Form | None = None,
    ) -> Variable:
        """Its one output, this application being in the graph from now on."""
        output: Variable | None = output_of(self)
        assert output is not None  # until it is applied, it holds it
        output._array = y
        output._grad = output.grad_var = output.name = None
        output._form = form
        output._wanted = True
        output._source = self
        output.generation = generation + 1
        self.generation = generation
        self._sources = sources
        self.kept = kept
        self._links = None
        self._more = more
        self.form = form
        return output

    def select(self, sources: tuple[Source | None, ...], arrays: tuple[Any, ...]) -> Any:
        """Of the arrays of its inputs and outputs those that `saves` names."""
        if self.saves is None:
            return alone(arrays[: len(sources)])
        try:
            return picker(self.saves)(arrays)
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

    def again(self) -> Function:
        """The same operation in no graph, to be run another time."""
        kind = type(self)
        operation = kind.__new__(kind)
        for name, value in self._own().items():
            setattr(operation, name, value)
        return operation

    def _own(self) -> dict[str, Any]:
        """What an operation has beside what every Function has: shapes, axes and the like."""
        kind: Any = type(self)
        slots = {n: getattr(self, n) for n in _own_slots(kind) if hasattr(self, n)}
        return {**slots, **getattr(self, "__dict__", {})}

    def __reduce__(self) -> tuple[Any, ...]:
        if hasattr(self, "_sources"):
            raise TypeError(
                f"this {type(self).__name__} is part of a graph, which is neither copied nor "
                "pickled: make a new one"
            )
        return copyreg.__newobj__, (type(self),), (None, self._own())  # type: ignore[attr-defined]

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

    def release(self, outlived: list[Function]) -> None:
        """Let go of the graph before this Function, and of the arrays that were kept.

        Take it down if one of its outputs is held by somebody.
        """
        if self._more is not None and isinstance(self.kept, Kept):
            self.kept.let_go()
        self._sources = self._more = None
        self.kept = ()
        own = [output_of(self)] if self._links is None else [link() for link in self.outputs]
        if any(y is not None for y in own):
            outlived.append(self)

    @property
    def outlived(self) -> Sequence[Link]:
        """Links to results that outlived the graph behind them, once that was released from here.

        Where none were taken down, these are its own outputs.
        """
        noted = None if self._more is None else self._more.outlived
        return self.outputs if noted is None else noted

    @outlived.setter
    def outlived(self, functions: Sequence[Function]) -> None:
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

    # The backward of one Function -----------------------------------------------------------------

    def live_outputs(self) -> Iterator[tuple[int, Variable]]:
        """Those of its outputs that somebody holds and that are no leaves, with their numbers."""
        for i, link in enumerate(self.outputs):
            if not isinstance(link, Leaf) and (variable := link()) is not None:
                yield i, variable

    def among(self, watched: frozenset[Source], gys: list[Gradient]) -> dict[Source, Gradient]:
        """The gradients of those outputs that are watched."""
        if type(self._links) is not tuple:
            return {self: gys[0]} if self in watched else {}
        every = ((Output(self, i), gy) for i, gy in enumerate(gys))
        return {output: gy for output, gy in every if output in watched}

    def turn_over(self, gy: Gradient, run: Pass) -> tuple[Source | None, Gradient]:
        """What its rule makes of its output's gradient, in a plain pass, and where that goes.

        Of one input that wants a gradient: its source, and the gradient. Those of several are on
        their way already or left in `run.left`; then it is None twice.
        """
        return self.turn_over_any([gy], run)

    def turn_over_any(self, gys: list[Gradient], run: Pass) -> tuple[Source | None, Gradient]:
        """Likewise, of the gradients of all its outputs, and in any pass."""
        sources = self._sources
        if sources is None:
            self.completed({0: gys.pop()}, run)
            return None, None
        if run.watched:
            run.seen |= self.among(run.watched, gys)
        if run.debug:
            check(self, several(self._arrays()))
        gxs = self.input_gradients(gys, run.create_graph)
        if run.retain:
            run.retained += [(output, own(gys, i)) for i, output in self.live_outputs()]
        if run.release:
            self.release(run.outlived)
        if type(gxs) is not list and type(gxs) is not Scattered:
            return (None, None) if gxs is None else (sources, gxs)
        run.left = several(sources), gxs if type(gxs) is list else [gxs]
        return None, None

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

    def input_gradients(self, gys: list[Gradient], create_graph: bool) -> Any:
        """What the rule makes of its outputs' gradients, each in its input's shape and dtype."""
        if isinstance(self.kept, Kept):
            return self._with_arrays(self.kept, gys, create_graph)
        gxs = self._differentiated(gys) if create_graph else self.backward(*gys)
        gxs = list(gxs) if isinstance(gxs, (tuple, list)) else [gxs]
        sources = self._by_input()
        if len(gxs) != len(sources):
            raise ValueError(
                f"{type(self).__name__}.backward returned {len(gxs)} gradients for "
                f"{len(sources)} inputs"
            )
        more, gy = self._more, gys[0]
        alike = gy.shape, gy.dtype
        for i, source in enumerate(sources):
            if source is None:
                gxs[i] = None
            elif gxs[i] is not None and type(gxs[i]) is not Scattered:
                spec: Any = alike if more is None or more.specs is None else more.specs[0][i]
                gxs[i] = self.fitted(gxs[i], i, spec, create_graph)
        return self.for_sources(gxs)

    for_sources = staticmethod(alone)  # of the gradients of all inputs, those that `_sources` fits

    def _with_arrays(self, kept: Kept, gys: list[Gradient], create_graph: bool) -> Any:
        """What the rule makes of the gradients, the arrays that it reads being here meanwhile."""
        with _one_at_a_time:
            try:
                self.kept = kept.begin(alone(gys))
                gxs = Function.input_gradients(self, gys, create_graph)
            finally:
                self.kept = kept
        kept.end(gxs)
        return gxs

    def _differentiated(self, gys: list[Gradient]) -> Any:
        """What the rule makes of Variables, what it reads being Variables, too."""
        if self.saves is None:
            raise RuntimeError(f"{type(self).__name__} {_CANNOT_DIFFERENTIATE}")
        if not self.saves:
            return self.backward(*gys)
        with _one_at_a_time:
            kept = self.kept
            try:
                self.kept = self.as_variables(gys)
                return self.backward(*gys)
            finally:
                self.kept = kept

    def as_variables(self, gys: list[Gradient]) -> Any:
        """What is kept, as parts of the graph."""
        return alone(tuple(map(self._as_variable, self.saves or (), several(self.kept))))

    def _as_variable(self, position: int, array: Any) -> Any:
        """What is kept from a position, as part of the graph; a number as it is."""
        if not isinstance(array, np.ndarray):
            return array
        sources, inputs = self._by_input(), None if self._more is None else self._more.inputs
        source: Source | None = self
        if position < len(sources):
            held, source = inputs and inputs[position], sources[position]
        else:
            held = self.outputs[i := position - len(sources)]()
            if type(self._links) is tuple:
                source = Output(self, i)
        if isinstance(held, Variable) and held.data is array:
            return held  # the Variable itself, as in the book, where a mode or somebody has it
        return unchecked(array, source, source is not None)

    def fitted(self, gx: Any, i: int, spec: Spec, create_graph: bool) -> Gradient:
        """A gradient as input i needs it: summed back where it was broadcast, in its dtype."""
        if create_graph:
            gx = as_constant(gx)
        elif type(gx) is not np.ndarray:
            gx = gx.data if isinstance(gx, Variable) else np.asarray(gx)
        shape, dtype = spec
        array = gx.data if create_graph else gx
        if array.shape == shape and array.dtype == dtype:
            return gx
        if array.shape != shape:
            try:
                gx = as_array(sum_to_shape(gx, shape))
            except ValueError:
                raise ValueError(
                    f"{type(self).__name__}.backward returned a gradient of shape {gx.shape} for "
                    f"input {i} of shape {shape}"
                ) from None
        return gx if gx.dtype == dtype else gx.astype(dtype)

    def alike(self, gx: Any, i: int) -> Gradient:
        """Likewise under create_graph, where all arrays have one form: most have it already."""
        if type(gx) is Variable and gx._form is self.form:
            return gx
        assert self.form is not None
        return self.fitted(gx, i, self.form.spec, True)


_one_at_a_time = threading.RLock()  # while a rule runs, `kept` may be what it is not elsewhere
_CANNOT_DIFFERENTIATE = (
    "keeps its inputs because it declares no `saves`, and so its gradient cannot be differentiated "
    "again: declare `saves`, the positions that its rule reads, and read them through self.saved"
)


@cache
def _own_slots(kind: Any) -> tuple[str, ...]:
    """The slots that a class has beside those of every Function."""
    kinds = [above for above in kind.__mro__ if above not in Function.__mro__]
    return tuple([name for above in kinds for name in vars(above).get("__slots__", ())])

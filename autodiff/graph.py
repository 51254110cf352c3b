"""Function: an operation, and the vertex of the graph that one application of it is.

What a Function holds (its input Variables, or just the arrays that its rule reads) is the memory
mode's business when it is recorded; how long it does, in the backward pass (gradients.py).
"""

from __future__ import annotations

import copyreg
import threading
import weakref
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar, Self

from autodiff.arrays import Array, Form, Spec, all_arrays, as_array, real_array, sum_to_shape
from autodiff.config import Recording, settings
from autodiff.gradients import UNTRACKED, Gradient, Output, Pass, Scattered, Source, own
from autodiff.held import More, alone, picker, several, specs_of
from autodiff.keeping import Kept
from autodiff.quick_numpy import np
from autodiff.unchanged import check, note
from autodiff.variable import Operand, Variable, as_constant, source_of, unchecked
from autodiff.vertex import Vertex, output_of

_new = object.__new__
_make = weakref.ref.__new__

NUMBERS = frozenset((bool, int, float))  # what NumPy types weakly


class Function(Vertex):
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

    __slots__ = ()

    numbers_outputs: ClassVar[bool] = False  # also where there is just one

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

    # Its rule -----------------------------------------------------------------

    def turn_over(self, gy: Gradient, run: Pass) -> tuple[Source | None, Gradient]:
        """What its rule makes of its output's gradient, in a plain pass, and where that goes.

        Of one input that wants a gradient: its source, and the gradient. Those of several are on
        their way already or left in `run.left`; then it is None twice.
        """
        run.enter()
        return self.turn_over_any([as_array(gy)], run)

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

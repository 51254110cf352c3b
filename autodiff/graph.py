"""Variable, Function, and the backward pass over them.

    Variable -- creator --> Function -- sources --> the Function (and output) that made each input,
       ^                       |                    or the Leaf of a Variable that nobody made
       `- - - - links - - - - -'                    Leaf - weak - -> its Variable
            weak or strong: the memory mode says which

The Function is the vertex. What else it holds (its input Variables, or just the arrays that its
rule reads) and how long is the memory mode's business: it is asked `link` and `keep` in
`Function._record`, and `release` in the backward pass (gradients.py).
"""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from autodiff.arrays import (
    Array,
    Spec,
    all_arrays,
    as_array,
    gradient_dtype,
    gradient_spec,
    real_array,
    sum_to_shape,
)
from autodiff.config import settings
from autodiff.gradients import Gradient, Scattered, Source, Table, differentiating, own, propagate
from autodiff.memory import Link, MemoryMode

Number: TypeAlias = int | float | np.number[Any]
Operand: TypeAlias = "Variable | Array | Number"


def as_variable(x: Operand) -> Variable:
    """A Variable as it is, an array or a number as a new one. Source: step 21 of the book."""
    return x if isinstance(x, Variable) else Variable(as_array(x))


class Variable:
    """An array, its gradient, and the Function that made it.

    data: an ndarray of real numbers, any shape; None for data that comes later.
    requires_grad: False for data that wants no gradient, so that none is computed or kept.
    Raises TypeError for any other data. Source: steps 1, 7, 14, 18 and 19 of the book.
    """

    __slots__ = ("_data", "_grad", "grad_var", "name", "requires_grad", "_source", "__weakref__")
    __array_priority__ = 200
    __hash__ = object.__hash__

    _data: Array | None
    _grad: Array | None
    grad_var: Variable | None  # the gradient as a Variable, after backward(create_graph=True)
    name: str | None
    requires_grad: bool
    _source: Source | None  # None: a leaf that no Function has used yet

    def __init__(
        self, data: Array | None, name: str | None = None, requires_grad: bool = True
    ) -> None:
        self._data = None if data is None else real_array(data, "a Variable holds")
        self._grad = self.grad_var = self._source = None
        self.name = name
        self.requires_grad = requires_grad

    @property
    def data(self) -> Any:
        """The array. Assigning it replaces the array and leaves every graph as it is."""
        try:
            return self._data
        except AttributeError:
            raise RuntimeError(
                "this input's data was not kept: the Function's rule does not read it. Under "
                "kept='inputs' (modes step16 to step18) Functions hold their inputs whole"
            ) from None

    @data.setter
    def data(self, data: Any) -> None:
        array = as_array(data) if isinstance(data, np.generic) else data
        self._data = None if data is None else real_array(array, "a Variable holds")

    @property
    def grad(self) -> Array | None:
        """The gradient that backward left here, of data's shape and float dtype; None before.

        Setting it before backward seeds the pass with it.
        Raises TypeError or ValueError for what cannot be the gradient of data.
        """
        return self._grad

    @grad.setter
    def grad(self, grad: Any) -> None:
        self._grad = None if grad is None else self._as_gradient(grad)
        self.grad_var = None

    def _as_gradient(self, grad: Any) -> Array:
        if isinstance(grad, Variable):
            raise TypeError("grad is an ndarray, not a Variable: assign its .data")
        array = real_array(as_array(grad) if isinstance(grad, np.generic) else grad, "grad is")
        if array.dtype.kind != "f":
            raise TypeError(f"grad is an array of floats, not of dtype {array.dtype}")
        if self.data is None:
            return array
        if array.shape != self.data.shape:
            raise ValueError(
                f"a gradient of shape {array.shape} for data of shape {self.data.shape}: "
                "the two are the same"
            )
        return array.astype(gradient_dtype(self.data.dtype), copy=False)

    @property
    def creator(self) -> Function | None:
        """The Function that made this Variable; None for a leaf."""
        return _function_of(self._source)

    @property
    def generation(self) -> int:
        """0 for a leaf, else one more than its creator's. Source: step 16 of the book."""
        creator = self.creator
        return 0 if creator is None else creator.generation + 1

    def set_creator(self, function: Function, output: int = 0) -> None:
        """Say which Function made this Variable, as which of its outputs."""
        self._source = (function, output) if len(function.outputs) > 1 else function

    def cleargrad(self) -> None:
        """Forget the gradient. Source: step 14 of the book."""
        self._grad = self.grad_var = None

    def detach(self) -> Variable:
        """A new Variable on the same array that has no creator and wants no gradient."""
        return Variable(self.data, self.name, requires_grad=False)

    def unchain(self) -> None:
        """Make this Variable a leaf: gradients, of graphs made before too, end here."""
        source = self._source
        if _function_of(source) is None:
            return
        self._source = leaf = Leaf(self)
        function, output = source if isinstance(source, tuple) else (source, 0)
        function._end_at(output, leaf)  # type: ignore[union-attr]

    def unchain_backward(self) -> None:
        """Make this Variable, and every other that it was computed from, a leaf.

        Nothing before this point gets a gradient any more, and what the graph kept for it is free
        (truncated backpropagation). Source: step 59 of the book.
        """
        found = {self.creator}
        stack = list(found)
        while stack:
            function = stack.pop()
            if function is None or function._sources is None:
                continue
            before = {_function_of(source) for source in function._sources} - found
            found |= before
            stack.extend(before)
            for output, link in enumerate(function._links):
                variable = link()
                if variable is None:
                    function._end_at(output, Leaf(None))
                else:
                    variable.unchain()

    def backward(
        self,
        retain_grad: bool | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> None:
        """Add to the grad of every leaf the gradient of this Variable with respect to it.

        The pass starts from `grad` where that is set, else from ones of data's shape (so that of a
        Variable that is no scalar it is the gradient of the sum).
        retain_grad, retain_graph: None means what the memory mode in force says.
        create_graph: gradients get graphs of their own and stand in `grad_var`; the graph is kept.
        Raises RuntimeError where there is no graph, or an earlier backward has released it;
        an exception leaves every grad as it was. Source: steps 7, 8, 16, 18 and 32 of the book.
        """
        mode = _backward_mode(retain_grad, retain_graph, create_graph)
        source = self._root()
        seed = self._ones() if self._grad is None else self._as_gradient(self._grad)
        if isinstance(source, Leaf):
            self._grad = seed
            return
        root = weakref.ref(self)
        del self  # the result of an expression, which nobody else holds, goes before the pass
        roots: list[tuple[Source, Gradient]] = [
            (source, as_constant(seed) if create_graph else seed)
        ]
        del seed, source
        gradients, retained = propagate(roots, mode, create_graph)
        if (result := root()) is not None:
            result._grad = None
        for variable, gradient in retained:
            variable._add_gradient(gradient)
        while gradients:
            leaf, gradient = gradients.popitem()
            if isinstance(leaf, Leaf) and (owner := leaf()) is not None:
                owner._add_gradient(own(gradient))

    def _root(self) -> Source:
        """Where a backward pass from here starts."""
        source = source_of(self)
        if isinstance(source, Leaf) and source.untracked:
            raise RuntimeError(
                "backward of a result that has no graph: it was computed under no_grad "
                "(enable_backprop=False)"
            )
        if not self.requires_grad:
            raise RuntimeError(
                "backward of a Variable that wants no gradient (requires_grad=False), or whose "
                "inputs all want none"
            )
        if self.data is None:
            raise RuntimeError("backward of a Variable without data")
        return source

    def _ones(self) -> Array:
        return np.ones_like(self.data, dtype=gradient_dtype(self.data.dtype))

    def _add_gradient(self, gradient: Gradient) -> None:
        """Add a gradient that nobody else holds."""
        if self.data.shape != gradient.shape:
            raise RuntimeError(
                f"a gradient of shape {gradient.shape} for data of shape {self.data.shape}: data "
                "was replaced by an array of another shape between forward and backward"
            )
        if isinstance(gradient, Variable):
            if self._grad is not None:
                gradient = gradient + (self._grad if self.grad_var is None else self.grad_var)
            self.grad_var = gradient
            self._grad = gradient.data.copy()
        else:
            self._grad = gradient if self._grad is None else as_array(self._grad + gradient)
            self.grad_var = None

    # As an array ------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.data.shape
        return shape

    @property
    def ndim(self) -> int:
        ndim: int = self.data.ndim
        return ndim

    @property
    def size(self) -> int:
        size: int = self.data.size
        return size

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.data.dtype
        return dtype

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        try:
            text = str(self.data)
        except RuntimeError:
            text = "not kept"
        return "variable(" + text.replace("\n", "\n" + " " * 9) + ")"

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def item(self) -> Any:
        """The one number that the array holds."""
        return self.data.item()

    def __iter__(self) -> Iterator[Variable]:
        return (self[i] for i in range(len(self)))

    def __array__(self, *args: Any, **kwargs: Any) -> Array:
        raise TypeError(
            "a Variable is no array, and made into one it would lose its graph: use .data"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        if self.creator is not None:
            raise TypeError(
                "a Variable with a creator is part of a graph, which is neither copied nor "
                "pickled: take detach() first"
            )
        return _leaf, (type(self), self.data, self._grad, self.name, self.requires_grad)

    if TYPE_CHECKING:  # what `functions` installs

        def __add__(self, other: Operand) -> Variable: ...
        def __radd__(self, other: Operand) -> Variable: ...
        def __sub__(self, other: Operand) -> Variable: ...
        def __rsub__(self, other: Operand) -> Variable: ...
        def __mul__(self, other: Operand) -> Variable: ...
        def __rmul__(self, other: Operand) -> Variable: ...
        def __truediv__(self, other: Operand) -> Variable: ...
        def __rtruediv__(self, other: Operand) -> Variable: ...
        def __pow__(self, other: Operand) -> Variable: ...
        def __rpow__(self, other: Operand) -> Variable: ...
        def __matmul__(self, other: Operand) -> Variable: ...
        def __rmatmul__(self, other: Operand) -> Variable: ...
        def __neg__(self) -> Variable: ...
        def __pos__(self) -> Variable: ...
        def __abs__(self) -> Variable: ...
        def __getitem__(self, index: Any) -> Variable: ...
        def __lt__(self, other: Operand) -> Array: ...
        def __le__(self, other: Operand) -> Array: ...
        def __gt__(self, other: Operand) -> Array: ...
        def __ge__(self, other: Operand) -> Array: ...
        @property
        def T(self) -> Variable: ...
        def reshape(self, *shape: Any) -> Variable: ...
        def transpose(self, *axes: Any) -> Variable: ...
        def swapaxes(self, axis1: int, axis2: int) -> Variable: ...
        def squeeze(self, axis: Any = None) -> Variable: ...
        def astype(self, dtype: DTypeLike) -> Variable: ...
        def dot(self, other: Operand) -> Variable: ...
        def clip(self, a_min: Any = None, a_max: Any = None) -> Variable: ...
        def sum(self, axis: Any = None, keepdims: bool = False) -> Variable: ...
        def mean(self, axis: Any = None, keepdims: bool = False) -> Variable: ...
        def max(self, axis: Any = None, keepdims: bool = False) -> Variable: ...
        def min(self, axis: Any = None, keepdims: bool = False) -> Variable: ...
        def var(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Variable: ...


def _leaf(
    cls: type[Variable], data: Array | None, grad: Array | None, name: str | None, wanted: bool
) -> Variable:
    variable = cls(data, name, wanted)
    variable._grad = grad
    return variable


def _variable(data: Any, source: Source | None, requires_grad: bool = True) -> Variable:
    """A Variable on data that needs no check; data that is None is left out, and so unreadable."""
    variable = Variable.__new__(Variable)
    if data is not None:
        variable._data = data
    variable._grad = variable.grad_var = variable.name = None
    variable.requires_grad = requires_grad
    variable._source = source
    return variable


def as_constant(x: Any) -> Variable:
    """A Variable as it is, an array or a number as one that wants no gradient."""
    return x if isinstance(x, Variable) else _variable(as_array(x), None, requires_grad=False)


# The graph ----------------------------------------------------------------------------------------


class Leaf:
    """Where a graph ends: a Variable that nobody made, referred to weakly; called, it gives it."""

    __slots__ = ("_variable", "untracked")
    generation: ClassVar[int] = -1

    def __init__(self, variable: Variable | None, untracked: bool = False) -> None:
        self._variable: Link = _nobody if variable is None else weakref.ref(variable)
        self.untracked = untracked  # a result that was computed without a graph

    def __call__(self) -> Variable | None:
        return self._variable()


def _nobody() -> None:
    """The link to a Variable that is gone."""


UNTRACKED = Leaf(None, untracked=True)  # the source of every result under no_grad, until it is used


def source_of(variable: Variable) -> Source:
    """Where the gradient of a Variable goes in a backward pass."""
    source = variable._source
    if source is None or source is UNTRACKED:
        source = variable._source = Leaf(variable, untracked=source is UNTRACKED)
    return source


def _function_of(source: Source | None) -> Function | None:
    if isinstance(source, tuple):
        return source[0]
    return source if isinstance(source, Function) else None


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

    __slots__ = ("generation", "_sources", "_specs", "_kept", "_inputs", "_links", "__weakref__")

    saves: ClassVar[tuple[int, ...] | None] = None

    generation: int
    _sources: tuple[Source | None, ...] | None  # None: released
    _specs: tuple[list[Spec], list[Spec]] | None  # of inputs and outputs; None: all as the output
    _kept: tuple[Any, ...]  # what `saves` names, in that order
    _inputs: tuple[Any, ...] | None  # the inputs whole, where the mode keeps them
    _links: tuple[Link, ...]

    def forward(self, *xs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def backward(self, *gys: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no backward")

    def __call__(self, *inputs: Operand) -> Any:
        """Apply the operation; a Variable, or a list of them where there are several outputs."""
        if hasattr(self, "_links"):
            raise RuntimeError(
                f"this {type(self).__name__} has been applied already; a Function is one "
                "application: make a new one"
            )
        arrays = [x._data if isinstance(x, Variable) else self._operand(x) for x in inputs]
        results = self._results(arrays if self.saves is not None else all_arrays(arrays))
        mode = settings().mode
        if not mode.enable_backprop:
            self._links = ()
            outputs = [_variable(y, UNTRACKED) for y in results]
        elif not any(isinstance(x, Variable) and x.requires_grad for x in inputs):
            self._links = ()
            outputs = [as_constant(y) for y in results]
        else:
            outputs = self._record(mode, inputs, arrays, results)
        return outputs if len(outputs) > 1 else outputs[0]

    def _operand(self, x: Operand) -> Any:
        """What forward gets for a constant: an array, or the number itself for its weak typing."""
        if type(x) in (int, float, bool):
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
        mode: MemoryMode,
        inputs: tuple[Operand, ...],
        arrays: Sequence[Any],
        results: Sequence[Array],
    ) -> list[Variable]:
        """Take this application into the graph."""
        sources = tuple(
            [source_of(x) if isinstance(x, Variable) and x.requires_grad else None for x in inputs]
        )
        self._sources = sources
        self.generation = max([_generation_after(source) for source in sources])
        self._kept = self.keep((*arrays, *results))
        self._inputs = mode.keep(inputs)
        self._specs = _specs(sources, arrays, results)
        if len(results) == 1:
            outputs = [_variable(results[0], self)]
        else:
            outputs = [_variable(y, (self, i)) for i, y in enumerate(results)]
        self._links = tuple([mode.link(y) for y in outputs])
        if settings().debug:
            _fingerprints[self] = self._fingerprint()
        return outputs

    def keep(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Those that `saves` names, of the arrays of its inputs and outputs."""
        if self.saves is None:
            return arrays[: len(self.sources)]
        return tuple([arrays[position] for position in self.saves])

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
        return tuple(self._as_variable(p, x) for p, x in zip(self.saves, kept))

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
        return _variable(as_array(data), source, requires_grad=source is not None)

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
        return _variable(array, source, requires_grad=source is not None)

    def release(self) -> None:
        """Let go of the graph before this Function, and of the arrays that were kept."""
        self._sources = self._inputs = None
        self._kept = ()

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
        for source, link in zip(self.outlets, self._links):
            gy = table.pop(source, None)
            if gy is not None and isinstance(link, Leaf):
                table.add(link, gy)
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
        for source, x in zip(sources, arrays):
            if source is not None and (x.shape != shape or x.dtype != dtype):
                break
        else:
            return None
    return [gradient_spec(x) for x in arrays], [gradient_spec(y) for y in results]


def _backward_mode(
    retain_grad: bool | None, retain_graph: bool | None, create_graph: bool
) -> MemoryMode:
    """The mode in force, with what the caller of a backward pass wants otherwise."""
    if create_graph and retain_graph is False:
        raise ValueError(
            "create_graph=True makes a graph out of this one, so this one must stay: "
            "leave out retain_graph=False"
        )
    return settings().mode.changed(
        retain_grad=retain_grad, retain_graph=create_graph or retain_graph
    )


def _variables(given: Any) -> list[Variable]:
    variables = [given] if isinstance(given, Variable) else list(given)
    for v in variables:
        if not isinstance(v, Variable):
            raise TypeError(f"grad takes Variables, not {type(v).__name__}")
    return variables


def grad(
    outputs: Variable | Sequence[Variable],
    inputs: Variable | Sequence[Variable],
    create_graph: bool = False,
    retain_graph: bool | None = None,
    seeds: Sequence[Gradient] | None = None,
) -> tuple[Any, ...]:
    """The gradients of the sum of the outputs with respect to each input; no `grad` is touched.

    seeds: the gradient that each output starts from; None for ones.
    A tuple, one for each input: ndarrays, under create_graph Variables that can be differentiated
    again; None for an input that no output depends on. Inputs may be leaves or results.
    Raises RuntimeError where an output has no graph, or an earlier backward has released it.
    """
    ys, xs = _variables(outputs), _variables(inputs)
    mode = _backward_mode(False, retain_graph, create_graph)
    sources = [source_of(x) for x in xs]
    roots: list[tuple[Source, Gradient]] = []
    for i, y in enumerate(ys):
        if y.requires_grad:
            seed = y._ones() if seeds is None else seeds[i]
            roots.append((y._root(), as_constant(seed) if create_graph else seed))
    watched = frozenset(source for source in sources if not isinstance(source, Leaf))
    gradients, _ = propagate(roots, mode, create_graph, watched)
    found: list[Any] = []
    for source in sources:
        gradient = gradients.get(source)
        found.append(own(gradient, holders=2))  # gradient, and gradients
    return tuple(found)

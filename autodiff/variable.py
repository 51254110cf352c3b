"""Variable: an array, its gradient, and where in the graph it comes from."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import DTypeLike

from autodiff.arrays import (
    Array,
    Form,
    Spec,
    as_array,
    bytes_of,
    gradient_dtype,
    gradient_spec,
    real_array,
    shared_form,
)
from autodiff.config import settings, using_config
from autodiff.gradients import (
    Gradient,
    Leaf,
    Output,
    Pass,
    Source,
    Untracked,
    function_of,
    in_room,
    own,
)
from autodiff.memory import MemoryMode
from autodiff.quick_numpy import np

if TYPE_CHECKING:
    from autodiff.graph import Function

Number: TypeAlias = int | float | np.number[Any]
Operand: TypeAlias = "Variable | Array | Number"


def as_variable(x: Operand) -> Variable:
    """A Variable as it is, an array or a number as a new one. Source: step 21 of the book."""
    return x if isinstance(x, Variable) else Variable(as_array(x))


class Variable:
    """An array, its gradient, and the Function that made it.

    data: an ndarray of real numbers, any shape; None for data that comes later.
    requires_grad: False for data that wants no gradient, so that none is computed or kept.
    Two Variables are equal if they are the same one; `<` and the like compare their arrays.
    Raises TypeError for any other data. Source: steps 1, 7, 14, 18 and 19 of the book.
    """

    __slots__ = (
        "_array",
        "_grad",
        "_source",
        "_form",
        "_wanted",
        "generation",
        "grad_var",
        "name",
        "__weakref__",
    )
    __array_priority__ = 200
    __hash__ = object.__hash__

    _array: Any  # an ndarray, or None
    _grad: Array | None
    grad_var: Variable | None  # the gradient as a Variable, after backward(create_graph=True)
    name: str | None
    generation: int  # 0 for a leaf, else one more than its creator's (step 16 of the book)
    _source: Source | None  # None: a leaf that no Function has used yet
    _form: Form | None  # what `form_of` has found
    _wanted: bool

    def __init__(
        self, data: Array | None, name: str | None = None, requires_grad: bool = True
    ) -> None:
        self._array = None if data is None else real_array(data, "a Variable holds")
        self._grad = self.grad_var = self._source = self._form = None
        self.generation = 0
        self.name = name
        self._wanted = requires_grad

    @property
    def data(self) -> Any:
        """The array. Assigning it replaces the array and leaves every graph as it is."""
        return self._array

    @data.setter
    def data(self, data: Any) -> None:
        array = as_array(data) if isinstance(data, np.generic) else data
        self._array = None if data is None else real_array(array, "a Variable holds")
        self._form = None

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this Variable record a graph; assigned, from then on."""
        return self._wanted

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self._wanted = wanted
        self._form = None

    @property
    def grad(self) -> Array | None:
        """The gradient that backward left here, of data's shape and float dtype; None before.

        Setting it before backward seeds the pass with it. Of a `grad_var` it is a copy, made when
        first asked for. Raises TypeError or ValueError for what cannot be the gradient of data.
        """
        if self._grad is None and self.grad_var is not None:
            self._grad = self.grad_var.data.copy()
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
        return function_of(self._source)

    def set_creator(self, function: Function, output: int = 0) -> None:
        """Say which Function made this Variable, as which of its outputs."""
        self._source = Output(function, output) if len(function.outputs) > 1 else function
        self.generation = function.generation + 1

    def cleargrad(self) -> None:
        """Forget the gradient. Source: step 14 of the book."""
        self._grad = self.grad_var = None

    def detach(self) -> Variable:
        """A new Variable on the same array that has no creator and wants no gradient."""
        return Variable(self.data, self.name, requires_grad=False)

    def unchain(self) -> None:
        """Make this Variable a leaf: gradients, of graphs made before too, end here."""
        source = self._source
        if function_of(source) is None:
            return
        self._source = leaf = Leaf(self)
        self.generation = 0
        function, output = source if type(source) is Output else (source, 0)
        function.end_at(output, leaf)  # type: ignore[union-attr]

    def unchain_backward(self) -> None:
        """Make this Variable, and every other that it was computed from, a leaf.

        Nothing before this point gets a gradient any more, and what the graph kept for it is free
        (truncated backpropagation). Source: step 59 of the book.
        """
        found = {self.creator}
        stack = list(found)
        while stack:
            function = stack.pop()
            if function is None:
                continue
            if function.is_released:  # a backward has released the graph behind it
                for outlived in function.outlived:
                    if (variable := outlived()) is not None:
                        variable.unchain()
                continue
            before = {function_of(source) for source in function.sources} - found
            found |= before
            stack.extend(before)
            for output, link in enumerate(function.outputs):
                variable = link()
                if variable is None:
                    function.end_at(output, Leaf(None))
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
        given = self._grad if self.grad_var is None else self.grad
        seed = None if given is None else self._as_gradient(given)
        spec = gradient_spec(self._array) if self._form is None else self._form.spec
        if isinstance(source, Leaf):
            self._grad = _ones(spec) if seed is None else seed
            return
        ends: list[Source] = [source]
        run = Pass(ends, mode, create_graph)
        try:
            root = weakref.ref(self)
            del self  # the result of an expression, which nobody else holds, goes before the pass
            seed = _ones(spec) if seed is None else seed
            seeds = [as_constant(seed) if create_graph else seed]
            del seed, given, source
            gradients = run.run(ends, seeds)
            owners = []
            leaves: Any = gradients  # nothing else being watched
            for leaf in leaves:
                owner = leaf._variable()
                if owner is not None:
                    if owner._array.shape != gradients[leaf].shape:
                        raise owner._other_shape(gradients[leaf])  # before any gradient is added
                    gradients[leaf] = own(gradients, leaf)
                    owners.append((owner, leaf))
            if (result := root()) is not None:
                result._grad = result.grad_var = None
            for variable, gradient in run.retained:
                variable._add_gradient(gradient)
            for owner, leaf in owners:
                owner._add_gradient(gradients.pop(leaf))
        finally:
            run.leave()

    def _root(self) -> Source:
        """Where a backward pass from here starts."""
        source = self._source or source_of(self)
        if isinstance(source, Leaf) and source.untracked:
            raise RuntimeError(
                "backward of a result that has no graph: it was computed under no_grad "
                "(enable_backprop=False)"
            )
        if not self._wanted:
            raise RuntimeError(
                "backward of a Variable that wants no gradient (requires_grad=False), or whose "
                "inputs all want none"
            )
        if self._array is None:
            raise RuntimeError("backward of a Variable without data")
        return source

    def _other_shape(self, gradient: Gradient) -> RuntimeError:
        return RuntimeError(
            f"a gradient of shape {gradient.shape} for data of shape {self.data.shape}: data "
            "was replaced by an array of another shape between forward and backward"
        )

    def _add_gradient(self, gradient: Gradient) -> None:
        """Add a gradient that nobody else holds."""
        if isinstance(gradient, Variable):
            before = self._grad if self.grad_var is None else self.grad_var
            if before is not None:
                with using_config("enable_backprop", True):
                    gradient = gradient + before
            self.grad_var, self._grad = gradient, None
        else:
            before = self._grad if self.grad_var is None else self.grad
            if before is not None:
                gradient += before  # and not the other way round: what was there may be held
            self._grad, self.grad_var = gradient, None

    # As an array ------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._array.shape
        return shape

    @property
    def ndim(self) -> int:
        ndim: int = self._array.ndim
        return ndim

    @property
    def size(self) -> int:
        size: int = self._array.size
        return size

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self._array.dtype
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
        return _leaf, (type(self), self.data, self.grad, self.name, self.requires_grad)

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


def _ones(spec: Spec) -> Array:
    """An array of ones, where a backward pass starts."""
    has_keeper = settings().keeper is not None
    ones = in_room(bytes_of(spec), np.empty, *spec) if has_keeper else np.empty(*spec)
    ones.fill(1.0)
    return ones


_new = object.__new__


def unchecked(data: Any, source: Source | None, requires_grad: bool = True) -> Variable:
    """A Variable on data that needs no check."""
    variable = _new(Variable)
    variable._array = data
    variable._grad = variable.grad_var = variable.name = variable._form = None
    variable._wanted = requires_grad
    variable._source = source
    variable.generation = 0 if source is None else source.generation + 1
    return variable


def as_constant(x: Any) -> Variable:
    """A Variable as it is, an array or a number as one that wants no gradient."""
    return x if isinstance(x, Variable) else unchecked(as_array(x), None, requires_grad=False)


class NotKept(Variable):
    """An input of a Function whose data its rule does not read, and so was not kept."""

    __slots__ = ()

    def __init__(self, source: Source | None) -> None:
        self._grad = self.grad_var = self.name = self._form = None
        self._wanted = source is not None
        self._source = source
        self.generation = 0 if source is None else source.generation + 1

    @property
    def _array(self) -> Any:
        raise RuntimeError(
            "this input's data was not kept: the Function's rule does not read it. Under "
            "kept='inputs' (modes step16 to step18) Functions hold their inputs whole"
        )


def form_of(variable: Variable) -> Form | None:
    """Its Form, where the Variable has a plain array of floats.

    Such a Variable has a source from
    then on if it wants a gradient, and only then: an operation need not ask further.
    """
    array = variable._array
    if variable._wanted:
        if not variable._source:
            source_of(variable)
    elif variable._source is not None:
        return None
    if type(array) is np.ndarray and array.dtype.kind == "f" and array.dtype.isnative:
        variable._form = shared_form(array.shape, array.dtype)
    return variable._form


def source_of(variable: Variable) -> Source:
    """Where the gradient of a Variable goes in a backward pass."""
    source = variable._source
    if source is None or isinstance(source, Untracked):
        if source is not None:
            source.begin()
        source = variable._source = Leaf(variable, untracked=source is not None)
    return source


def _backward_mode(
    retain_grad: bool | None, retain_graph: bool | None, create_graph: bool
) -> MemoryMode:
    """The mode in force, with what the caller of a backward pass wants otherwise."""
    if retain_grad is retain_graph is None and not create_graph:
        return settings().mode
    if create_graph and retain_graph is False:
        raise ValueError(
            "create_graph=True makes a graph out of this one, so this one must stay: "
            "leave out retain_graph=False"
        )
    mode = settings().mode
    if create_graph:
        mode, retain_graph = mode.retaining_graph, None
    if retain_grad is retain_graph is None:
        return mode
    return mode.changed(retain_grad=retain_grad, retain_graph=retain_graph)


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
    begun = [i for i, y in enumerate(ys) if y.requires_grad]
    ends = [ys[i]._root() for i in begun]
    watched = frozenset(source for source in sources if not isinstance(source, Leaf))
    run = Pass(ends, mode, create_graph, watched)
    try:
        starts = [_ones(gradient_spec(ys[i].data)) if seeds is None else seeds[i] for i in begun]
        if create_graph:
            starts = [as_constant(start) for start in starts]
        gradients = run.run(ends, starts)
        return tuple([own(gradients, x) if x in gradients else None for x in sources])
    finally:
        run.leave()

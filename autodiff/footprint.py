"""What an operation and its rule will allocate, foreseen from the arrays that they are given.

The figures are bounds from above. An operation that makes other than one array of the size of its
broadcast operands, and its rule one for each gradient, has a line in the table at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import zip_longest
from typing import Any, TypeAlias

import numpy as np

from autodiff.arrays import SMALL, Array, Spec, bytes_of, gradient_spec
from autodiff.functions import (
    correlation,
    elementwise,
    losses,
    products,
    reductions,
    shapes,
    sliding,
)
from autodiff.graph import Function

BUFFER = 8192 * 8  # bytes, of what NumPy takes through a buffer at a time

Arrays: TypeAlias = "Sequence[Any]"  # of one application: arrays and numbers


@dataclass(frozen=True)
class Footprint:
    """What one kind of operation allocates.

    results: bytes of its results; beside: its temporaries, in arrays as large as the operands
        broadcast. gradients: for each input how many arrays of the size of the largest gradient the
        rule makes, the last number for all that follow; rule_beside: its temporaries, likewise.
    fitted: whether gradients still have to be summed to the shapes of inputs that were broadcast.
    rule: the bytes of a rule that these do not describe. work: multiplies what a result costs.
    """

    results: Callable[[Any, Arrays], int] | None = None
    beside: float = 0
    gradients: tuple[float, ...] = (1,)
    rule_beside: float = 0
    fitted: bool = True
    rule: Callable[[Any, Arrays, list[Spec | None], list[Spec]], float] | None = None
    work: Callable[[Any, Arrays], float] | None = None

    @cached_property
    def is_plain(self) -> bool:
        """Whether operands, results and gradients meet element by element."""
        return self.results is None and self.rule is None and not self.rule_beside

    def of_forward(self, function: Function, arrays: Arrays) -> int:
        """The bytes that a forward allocates at most, its results among them."""
        one, buffers = broadcast(arrays)
        if self.results is None:
            results = one
        else:
            try:
                results = self.results(function, arrays)
            except (ValueError, IndexError, TypeError, AttributeError):
                results = one  # of operands that do not fit, which the operation is about to say
        return results + buffers + math.ceil(self.beside * one)

    def of_rule(self, function: Function, arrays: Arrays, results: Sequence[Array]) -> int:
        """The bytes that the rule of this application allocates at most."""
        wanted = [i for i, source in enumerate(function.sources) if source is not None]
        alike = self.is_plain and len(results) == 1 and _alike(arrays, results[0])
        if alike and results[0].size > SMALL:
            return math.ceil(self._made(wanted) * results[0].nbytes)
        of_inputs = [gradient_spec(x) if i in wanted else None for i, x in enumerate(arrays)]
        of_outputs = [gradient_spec(y) for y in results]
        gxs = [bytes_of(spec) for spec in of_inputs if spec is not None]
        largest = max([bytes_of(of_outputs[0]), *gxs])
        if self.rule is not None:
            total = self.rule(function, arrays, of_inputs, of_outputs)
        else:
            total = (self._made(wanted) + self.rule_beside) * largest
            if self.fitted:
                total += sum([_fitting(s, of_outputs[0]) for s in of_inputs if s is not None])
        if total and not alike:
            total += 2 * min(largest, BUFFER)
        if total and largest <= SMALL * 8:  # whose temporaries are arrays of their own
            total += 2 * largest
        return math.ceil(total)

    def _made(self, wanted: list[int]) -> float:
        """How many arrays the rule makes for the gradients of the inputs that want one."""
        last = len(self.gradients) - 1
        return sum([self.gradients[min(i, last)] for i in wanted])

    def work_of(self, function: Function, arrays: Arrays, size: int) -> int:
        """What it costs to compute a result of so many bytes, in no unit in particular."""
        return size if self.work is None else int(size * self.work(function, arrays))


def footprint_of(function: Function) -> Footprint:
    """That of a Function's kind; a class may declare its own as `footprint`."""
    kind: Any = type(function)
    return _of_kind(kind)


@cache
def _of_kind(kind: Any) -> Footprint:
    declared = getattr(kind, "footprint", None)
    if isinstance(declared, Footprint):
        return declared
    for above in kind.__mro__:
        if above in FOOTPRINTS:
            return FOOTPRINTS[above]
    ours = any(above.__module__ in _THEMES for above in kind.__mro__)
    return PLAIN if ours else UNDECLARED


# Bytes --------------------------------------------------------------------------------------------


def broadcast(arrays: Arrays) -> tuple[int, int]:
    """Of an array of the shape to which the operands broadcast, the bytes; and NumPy's buffers.

    NumPy takes through a buffer what it does not find in the order and dtype of the result.
    """
    if len(arrays) == 1 and arrays[0].dtype.kind == "f":
        return arrays[0].nbytes, 0
    if len(arrays) == 1 and arrays[0].dtype.kind == "f":
        return arrays[0].nbytes, 0
    given = [x for x in arrays if type(x) is np.ndarray]
    width = max([x.dtype.itemsize for x in given if x.dtype.kind == "f"], default=8)
    shapes = {x.shape for x in given}
    alike = len(shapes) == 1
    shape = shapes.pop() if alike else _whole(shapes)
    one = math.prod(shape) * width
    odd = sum(
        [
            x.size > 1
            and (x.shape != shape or x.dtype.itemsize != width or not x.flags.c_contiguous)
            for x in given
        ]
    )
    return one, odd * min(one, BUFFER)


def buffer_of(gy: Any) -> int:
    """What NumPy takes a gradient through that does not lie in order."""
    return 0 if type(gy) is list or gy.flags.c_contiguous else 2 * min(gy.size * 8, BUFFER)


def _whole(shapes: set[tuple[int, ...]]) -> tuple[int, ...]:
    """What these shapes broadcast to, if they do; in plain Python, which makes no array."""
    sides = zip_longest(*[reversed(shape) for shape in shapes], fillvalue=1)
    return tuple([0 if 0 in lengths else max(lengths) for lengths in sides])


def _alike(arrays: Arrays, y: Array) -> bool:
    """Whether a rule finds all that it reads in the shape and dtype of a result of floats."""
    for x in arrays:
        if type(x) is np.ndarray and x.size > 1 and (x.shape != y.shape or x.dtype != y.dtype):
            return False
    return y.dtype.kind == "f"


def _fitting(spec: Spec, gy: Spec) -> int:
    """What it takes to make a gradient like that of the result into one of the input's."""
    if spec == gy:
        return 0
    (shape, _), (whole, dtype) = spec, gy
    between = whole[len(whole) - len(shape) :] if len(whole) > len(shape) > 0 else ()
    return bytes_of(spec) + (bytes_of((between, dtype)) if between else 0)


def _nothing(function: Any, arrays: Arrays) -> int:
    """A view has no bytes of its own."""
    return 0


def _rearranged(function: Any, arrays: Arrays) -> int:
    """A view, where the elements lie in order."""
    return 0 if arrays[0].flags.c_contiguous else int(arrays[0].nbytes)


def _of_shape(function: Any, arrays: Arrays) -> int:
    """A shape that the operation knows."""
    return int(math.prod(function.shape) * arrays[0].dtype.itemsize) + 2 * BUFFER


def _joined(function: Any, arrays: Arrays) -> int:
    return int(sum([x.size for x in arrays]) * max([x.dtype.itemsize for x in arrays]))


def _converted(function: Any, arrays: Arrays) -> int:
    return int(arrays[0].size * function.dtype.itemsize)


def _summed(function: Any, arrays: Arrays) -> int:
    (x,) = arrays
    return int(math.prod(function.shape) + math.prod(x.shape[x.ndim - len(function.shape) :])) * 8


def _padded(function: Any, arrays: Arrays) -> int:
    (x,) = arrays
    widths = np.broadcast_to(function.pad_width, (x.ndim, 2)).sum(axis=1).tolist()
    return int(math.prod([n + more for n, more in zip(x.shape, widths, strict=True)]) * 8)


def _chosen(function: Any, arrays: Arrays) -> int:
    """What an index with arrays chooses, and the places of what is true in them."""
    x, *indices = arrays
    if not indices:
        return 0
    flags = [i for i in indices if i.dtype == bool]
    counts = [int(np.count_nonzero(i)) for i in flags]
    numbers = [i.shape for i in indices if i.dtype != bool]
    places: int = max([math.prod(_whole(set(numbers))), *counts]) if numbers else max(counts)
    taken = len(numbers) + sum([i.ndim for i in flags])
    left = sorted(x.shape)[taken:]  # at most the longest axes are left
    inside = sum([c * i.ndim * 8 for c, i in zip(counts, flags, strict=True)])
    return int(places * math.prod(left) * x.dtype.itemsize + inside + 8 * places)


def _put(function: Any, arrays: Arrays) -> int:
    return int(bytes_of(function.spec) + 16 * sum([i.size for i in arrays[1:]]))


# Reductions: `small` is what has the size of a result ---------------------------------------------


def _small(function: Any, arrays: Arrays) -> int:
    x = arrays[0]
    axis = function.axis
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return int(x.size // (math.prod([x.shape[i] for i in axes]) or 1) * 8)


def _reducing(forward: float = 1, rule: float = 4, gradient: float = 0, **more: Any) -> Footprint:
    """Of so many results in a forward, and so many and so many gradients in a rule."""

    def in_forward(function: Any, arrays: Arrays) -> int:
        return math.ceil(forward * _small(function, arrays))

    def in_rule(function: Any, arrays: Arrays, of_inputs: Any, of_outputs: Any) -> float:
        return rule * _small(function, arrays) + gradient * bytes_of(of_inputs[0])

    def work(function: Any, arrays: Arrays) -> float:
        return float(arrays[0].nbytes) / (_small(function, arrays) or 1)

    return Footprint(results=in_forward, rule=in_rule, work=work, **more)


def _along_an_axis(forward: float, rule: float, gradient: float, beside: float) -> Footprint:
    """Of operations whose result is as large as the operand, with reductions in between."""

    def in_forward(function: Any, arrays: Arrays) -> int:
        return int(broadcast(arrays)[0] + math.ceil(forward * _small(function, arrays)))

    def in_rule(function: Any, arrays: Arrays, of_inputs: Any, of_outputs: Any) -> float:
        return rule * _small(function, arrays) + gradient * bytes_of(of_inputs[0])

    return Footprint(results=in_forward, rule=in_rule, beside=beside)


def _of_rows(function: Any, arrays: Arrays) -> int:
    return 48 * len(arrays[0])


def _scores(function: Any, arrays: Arrays, of_inputs: Any, of_outputs: Any) -> float:
    return 2 * bytes_of(of_inputs[0]) + _of_rows(function, arrays)


def _number(function: Any, arrays: Arrays) -> int:
    return 16


# Products -----------------------------------------------------------------------------------------


def _product(function: Any, arrays: Arrays) -> int:
    """(..., m, k) and (..., k, n) make (..., m, n)."""
    x0, x1, *_ = arrays
    rows = x0.shape[-2] if x0.ndim > 1 else 1
    columns = x1.shape[-1] if x1.ndim > 1 else 1
    return int(_lead(x0, x1) * rows * columns * _width(arrays)) + _copies(arrays)


def _lead(x0: Any, x1: Any) -> int:
    return math.prod(_whole({x0.shape[:-2], x1.shape[:-2]}))


def _width(arrays: Arrays) -> int:
    return int(np.result_type(*arrays).itemsize)


def _copies(arrays: Arrays) -> int:
    """The operands that the product does not take as they lie."""
    width = _width(arrays)
    return int(sum([x.size * width for x in arrays[:2] if not _fits(x, width)]))


def _fits(x: Any, width: int) -> bool:
    return bool(x.dtype.itemsize == width and (x.flags.c_contiguous or x.flags.f_contiguous))


def _of_product(function: Any, arrays: Arrays, of_inputs: Any, of_outputs: Any) -> float:
    x0, x1, *_ = arrays
    lead, width = _lead(x0, x1), _width(arrays)
    total: float = _copies(arrays) + bytes_of(of_outputs[0]) * (lead > 1 or x0.ndim > 2)
    for x, spec in zip(arrays, of_inputs, strict=True):
        if spec is not None:
            one = bytes_of(spec)
            whole = lead * math.prod(x.shape[-2:]) * width if x.ndim > 1 else one * lead
            total += one if whole <= one else whole + one
    return total


def _inner(function: Any, arrays: Arrays) -> float:
    """A multiplication is far cheaper than what else is done to an element."""
    return 1 + float(arrays[0].shape[-1]) / 32


def _contracted(function: Any, arrays: Arrays) -> int:
    """A product of two matrices, each of which may have to be laid out anew."""
    x0, x1 = arrays
    k = _summed_elements(function, arrays)
    results = x0.size // k * (x1.size // k) * _width(arrays)
    copies = [
        _laid_out(x, axes, arrays) for x, axes in ((x0, function.axes0), (x1, function.axes1))
    ]
    return int(results) + sum(copies)


def _summed_elements(function: Any, arrays: Arrays) -> int:
    return math.prod([arrays[0].shape[i] for i in function.axes0]) or 1


def _laid_out(x: Any, axes: Any, arrays: Arrays) -> int:
    if x.ndim <= 2 and _fits(x, _width(arrays)):
        return 0
    axes = [axis % x.ndim for axis in axes]
    ends = (list(range(len(axes))), list(range(x.ndim - len(axes), x.ndim)))
    in_order = x.flags.c_contiguous and axes in ends and _fits(x, _width(arrays))
    return 0 if in_order else int(x.size * _width(arrays))


def _of_contracted(function: Any, arrays: Arrays, of_inputs: Any, of_outputs: Any) -> float:
    total = sum([bytes_of(spec) for spec in of_inputs if spec is not None])
    matrices = all(x.ndim <= 2 for x in arrays)
    if not matrices:  # gradients and operands may have to be laid out anew
        total += bytes_of(of_outputs[0]) + max([x.size for x in arrays]) * _width(arrays)
    return total


def _contraction(function: Any, arrays: Arrays) -> float:
    return 1 + _summed_elements(function, arrays) / 32


def _correlation(made: str) -> Footprint:
    """Of windows laid out a block of images at a time; `made` is what the geometry calls y."""

    def beside(function: Any, arrays: Arrays) -> int:
        g, width = function.geometry, _width(arrays)
        windows = g.images[1] * math.prod(g.size) * math.prod(g.places)
        image = windows + g.images[1] * math.prod(g.padded) + g.filters * math.prod(g.places)
        memory = max(correlation.WORKSPACE, image * width)
        return int(memory + 2 * math.prod(g.weights) * width) + BUFFER

    def in_forward(function: Any, arrays: Arrays) -> int:
        one = math.prod(getattr(function.geometry, made)) * _width(arrays)
        return int(one) + beside(function, arrays) + 2 * BUFFER

    def in_rule(function: Any, arrays: Arrays, of_inputs: Any, of_outputs: Any) -> float:
        return _gradients_alone(function, arrays, of_inputs, of_outputs) + beside(function, arrays)

    def work(function: Any, arrays: Arrays) -> float:
        g = function.geometry
        return 1 + float(g.images[1] * math.prod(g.size)) / 32

    return Footprint(results=in_forward, rule=in_rule, work=work)


# The rest -----------------------------------------------------------------------------------------


def _of_power(function: Any, arrays: Arrays, of_inputs: Any, of_outputs: Any) -> float:
    wanted = sum([spec is not None for spec in of_inputs])
    number = not isinstance(arrays[1], np.ndarray)
    beside = (0 if arrays[1] == 2 else 1) if number else 5
    return (wanted + beside) * bytes_of(of_outputs[0])


def _gradients_alone(function: Any, arrays: Arrays, of_inputs: Any, of_outputs: Any) -> float:
    return sum([bytes_of(spec) for spec in of_inputs if spec is not None])


PLAIN = Footprint()
UNDECLARED = Footprint(rule_beside=1)  # such as 2 * x * gy
VIEW = Footprint(results=_nothing, gradients=(0,), fitted=False)
_MODULES = (correlation, elementwise, losses, products, reductions, shapes, sliding)
C, E, L, P, R, S, W = _MODULES
_THEMES = {module.__name__ for module in _MODULES}

FOOTPRINTS: dict[type[Function], Footprint] = {
    E.Add: Footprint(gradients=(0,)),
    E.Sub: Footprint(gradients=(0, 1)),
    E.Pow: Footprint(rule=_of_power),
    E.LeakyReLU: Footprint(beside=1.25, rule_beside=1.25),
    E.Maximum: Footprint(rule_beside=2.5),
    E.Minimum: Footprint(rule_beside=2.5),
    E.Clip: Footprint(rule_beside=1),
    E.Where: Footprint(gradients=(0, 1), beside=0.25),
    E.AsType: Footprint(results=_converted, gradients=(0,)),
    R.Sum: _reducing(rule=0),
    R.Mean: _reducing(forward=2, rule=1),
    R.Var: _reducing(forward=4, gradient=1, beside=2),
    R.Extreme: _reducing(gradient=1.5, rule=5),
    R.LogSumExp: _reducing(forward=6, gradient=2, beside=2),
    R.Standardize: _along_an_axis(forward=6, rule=7, gradient=2, beside=1),
    L.Softmax: _along_an_axis(forward=2, rule=2, gradient=1, beside=1),
    L.LogSoftmax: _along_an_axis(forward=3, rule=2, gradient=1, beside=1),
    L.CrossEntropy: Footprint(results=_of_rows, rule=_scores),
    L.MeanSquaredError: Footprint(results=_number, beside=2, fitted=False),
    P.MatMul: Footprint(results=_product, rule=_of_product, work=_inner),
    P.Linear: Footprint(results=_product, rule=_of_product, work=_inner),
    P.TensorDot: Footprint(results=_contracted, rule=_of_contracted, work=_contraction),
    S.Reshape: Footprint(results=_rearranged, fitted=False),
    S.Squeeze: VIEW,
    S.ExpandDims: VIEW,
    S.Transpose: VIEW,
    S.SwapAxes: VIEW,
    S.BroadcastTo: Footprint(results=_nothing, gradients=(0,)),
    S.SumTo: Footprint(results=_summed, gradients=(0,), fitted=False),
    S.Concatenate: Footprint(results=_joined, gradients=(0,), fitted=False),
    S.Stack: Footprint(results=_joined, gradients=(0,), fitted=False),
    S.Split: Footprint(results=_nothing, rule=_gradients_alone),
    S.GetItem: Footprint(results=_chosen, gradients=(0,), fitted=False),
    S.PutItem: Footprint(results=_put, rule=_gradients_alone),
    S.Pad: Footprint(results=_padded, gradients=(0,), fitted=False),
    C.Correlate: _correlation("results"),
    C.Spread: _correlation("images"),
    C.Weighted: _correlation("weights"),
    W.Windows: Footprint(results=_nothing, rule=_gradients_alone),
    W.Overlay: Footprint(results=_of_shape, gradients=(0,), fitted=False),
}

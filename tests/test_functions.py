"""Every operation: one row of a table for each, and properties that are drawn for every row.

A row says how to draw operands, what NumPy calls the operation, and which Functions it records.
A property that an operation must have is one test below, over all rows.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any, NamedTuple, TypeAlias

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keepers import Nothing

import autodiff as ad
from autodiff import (
    MODES,
    Function,
    Variable,
    functions,
    grad,
    gradient_check,
    using_config,
    using_mode,
)
from autodiff.arrays import gradient_dtype
from autodiff.functions import (
    correlation,
    elementwise,
    losses,
    products,
    reductions,
    shapes,
    sliding,
)
from autodiff.functions.arity import Binary, Unary
from autodiff.functions.correlation import Geometry
from autodiff.functions.fitting import Fitting
from autodiff.functions.numpy_protocol import OPERATIONS
from autodiff.functions.per_input import PerInput

Array: TypeAlias = np.ndarray[Any, Any]
Shape: TypeAlias = tuple[int, ...]

RECORDING = [name for name, mode in MODES.items() if mode.enable_backprop]
SIDES = {"min_side": 0, "max_side": 3}
CLIPS = (-0.9, 0.6)
KINKS = (0.0, *CLIPS)  # where the gradient of some operation jumps


class Case(NamedTuple):
    """What an operation is called with: arrays, of which those of floats have gradients."""

    operands: tuple[Array, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Row:
    name: str  # in autodiff, unless it has an `operation`
    numpy: Callable[..., Any]  # the same on arrays
    cases: st.SearchStrategy[Case]
    records: tuple[type[Function], ...]
    exact: bool = True  # to the last bit what NumPy gives
    operation: Callable[..., Any] | None = None  # where the name does not say it all
    numpy_function: Any = None  # where it is in `numpy`, and not all of it

    def __call__(self, *operands: Any, **options: Any) -> list[Variable]:
        """The operation's results."""
        y = (self.operation or getattr(ad, self.name))(*operands, **options)
        return list(y) if isinstance(y, (tuple, list)) else [y]

    def __str__(self) -> str:
        return self.name


# Operands -----------------------------------------------------------------------------------------


@st.composite
def spread(
    draw: st.DrawFn, shapes: Sequence[Shape], low: float = -2, high: float = 2
) -> tuple[Array, ...]:
    """Arrays of these shapes; no two of all their elements are near each other, none near a kink.

    So finite differences see no jump.
    """
    sizes = [math.prod(shape) for shape in shapes]
    points = low + (np.arange(sum(sizes)) + 0.5) * (high - low) / max(sum(sizes), 1)
    for kink in KINKS:
        points[abs(points - kink) < 0.01] += 0.02
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(sum(sizes))
    parts = np.split(points[order], np.cumsum(sizes)[:-1])
    return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))


def any_shape(min_dims: int = 0, min_side: int = 0) -> st.SearchStrategy[Shape]:
    drawn = hnp.array_shapes(min_dims=min_dims, max_dims=3, min_side=min_side, max_side=3)
    return drawn.filter(lambda shape: math.prod(shape) <= 12)


@st.composite
def unary(
    draw: st.DrawFn, low: float = -2, high: float = 2, min_side: int = 0, **options: Any
) -> Case:
    operands = draw(spread([draw(any_shape(min_side=min_side))], low, high))
    return Case(operands, {name: draw(value) for name, value in options.items()})


@st.composite
def broadcast(draw: st.DrawFn, *ranges: tuple[float, float]) -> Case:
    """An operand from each range, of shapes that broadcast."""
    drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=len(ranges), max_dims=2, **SIDES))
    if len(set(ranges)) == 1:
        return Case(draw(spread(drawn.input_shapes, *ranges[0])), {})
    operands = [draw(spread([s], *r))[0] for s, r in zip(drawn.input_shapes, ranges, strict=True)]
    return Case(tuple(operands), {})


REAL, POSITIVE = (-2.0, 2.0), (0.4, 2.0)


@st.composite
def conditional(draw: st.DrawFn) -> Case:
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=2, **SIDES)).input_shapes
    condition = draw(hnp.arrays(bool, shapes[0]))
    return Case((condition, *draw(spread(shapes[1:]))), {})


@st.composite
def clipped(draw: st.DrawFn) -> Case:
    low, high = draw(st.sampled_from([CLIPS, (CLIPS[0], None), (None, CLIPS[1])]))
    return draw(unary(a_min=st.just(low), a_max=st.just(high)))


def axes_of(shape: Shape) -> st.SearchStrategy[Any]:
    if not shape:
        return st.sampled_from([None, ()])
    one = st.integers(-len(shape), len(shape) - 1)
    return st.none() | one | hnp.valid_tuple_axes(len(shape))


def reduced_count(shape: Shape, axis: Any) -> int:
    """How many elements one result is made of."""
    chosen = range(len(shape)) if axis is None else np.atleast_1d(axis)
    return math.prod(shape[int(i)] for i in chosen)


@st.composite
def reduction(draw: st.DrawFn, ddofs: Sequence[int] = (), at_least: int = 1) -> Case:
    shape = draw(any_shape())
    axis = draw(axes_of(shape))
    options = {"axis": axis, "keepdims": draw(st.booleans())}
    if ddofs:
        options["ddof"] = draw(st.sampled_from(ddofs))
    count = at_least + options.get("ddof", 0)
    if reduced_count(shape, axis) < count:
        shape, options["axis"] = (2, count), 1
    return Case(draw(spread([shape])), options)


@st.composite
def along_axis(draw: st.DrawFn) -> Case:
    shape = draw(any_shape(min_dims=1, min_side=1))
    return Case(draw(spread([shape])), {"axis": draw(st.integers(-len(shape), len(shape) - 1))})


@st.composite
def matrices(draw: st.DrawFn) -> Case:
    """Stacks of them, and vectors."""
    drawn = draw(
        hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=1, **SIDES)
    )
    return Case(draw(spread(drawn.input_shapes)), {})


side = st.integers(0, 3)
sides = st.lists(side, max_size=2).map(tuple)


@st.composite
def dotted(draw: st.DrawFn) -> Case:
    n, rows, columns = draw(side), draw(sides), draw(sides)
    second = (n,) if not columns else (*columns[:-1], n, columns[-1])
    pairs = [((*rows, n), second), ((), rows), (rows, ())]
    return Case(draw(spread(draw(st.sampled_from(pairs)))), {})


@st.composite
def contracted(draw: st.DrawFn) -> Case:
    """Operands of tensordot, whose axes stand in any order."""
    free0, summed, free1 = draw(st.lists(side, max_size=1)), draw(sides), draw(sides)
    shapes = [(*free0, *summed), (*summed, *free1)]
    if draw(st.booleans()):
        return Case(draw(spread(shapes)), {"axes": len(summed)})
    pairs = [list(range(len(free0), len(shapes[0]))), list(range(len(summed)))]
    for i, shape in enumerate(shapes):
        order = draw(st.permutations(range(len(shape))))
        shapes[i] = tuple(shape[axis] for axis in order)
        pairs[i] = [order.index(axis) - draw(st.sampled_from([0, len(shape)])) for axis in pairs[i]]
    return Case(draw(spread(shapes)), {"axes": tuple(pairs)})


@st.composite
def layers(draw: st.DrawFn) -> Case:
    lead, n, m = draw(sides), draw(side), draw(side)
    bias = draw(st.sampled_from([(m,), (1,), ()] if m else [(m,)]))
    return Case(draw(spread([(*lead, n), (n, m), bias])), {})


@st.composite
def reshaped(draw: st.DrawFn) -> Case:
    shape = draw(any_shape())
    targets = [shape[::-1], (1, *shape), (math.prod(shape),), math.prod(shape), -1]
    return Case(draw(spread([shape])), {"shape": draw(st.sampled_from(targets))})


@st.composite
def transposed(draw: st.DrawFn) -> Case:
    shape = draw(any_shape())
    order = draw(
        st.permutations([i - draw(st.sampled_from([0, len(shape)])) for i in range(len(shape))])
    )
    return Case(draw(spread([shape])), {"axes": draw(st.sampled_from([None, order, tuple(order)]))})


@st.composite
def swapped(draw: st.DrawFn) -> Case:
    shape = draw(any_shape(min_dims=1))
    axis = st.integers(-len(shape), len(shape) - 1)
    return Case(draw(spread([shape])), {"axis1": draw(axis), "axis2": draw(axis)})


@st.composite
def squeezed(draw: st.DrawFn) -> Case:
    shape = draw(st.lists(st.sampled_from([0, 1, 1, 2]), max_size=3).map(tuple))
    ones = [i - draw(st.sampled_from([0, len(shape)])) for i, n in enumerate(shape) if n == 1]
    return Case(draw(spread([shape])), {"axis": draw(st.sampled_from([None, tuple(ones), *ones]))})


@st.composite
def expanded(draw: st.DrawFn) -> Case:
    shape = draw(any_shape())
    one = st.integers(-len(shape) - 1, len(shape))
    two = st.sampled_from([(0, 1), (0, -1), (-1, -2)])
    return Case(draw(spread([shape])), {"axis": draw(one | two)})


@st.composite
def narrower(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """A shape, and one that broadcasts to it."""
    shape = draw(any_shape())
    kept = shape[draw(st.integers(0, len(shape))) :]
    return shape, tuple(1 if draw(st.booleans()) else n for n in kept)


@st.composite
def widened(draw: st.DrawFn) -> Case:
    shape, narrow = draw(narrower())
    return Case(draw(spread([narrow])), {"shape": shape})


@st.composite
def narrowed(draw: st.DrawFn) -> Case:
    shape, narrow = draw(narrower())
    return Case(draw(spread([shape])), {"shape": narrow})


def summed(x: Array, shape: Shape) -> Array:
    y = np.zeros(shape, x.dtype)
    for i in np.ndindex(x.shape):
        y[
            tuple(0 if n == 1 else k for k, n in zip(i[x.ndim - len(shape) :], shape, strict=True))
        ] += x[i]
    return y


@st.composite
def joined(draw: st.DrawFn) -> Case:
    shape = draw(any_shape(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    lengths = draw(st.lists(side, min_size=1, max_size=3))
    place = axis % len(shape)
    parts = [(*shape[:place], n, *shape[place + 1 :]) for n in lengths]
    return Case(draw(spread(parts)), {"axis": draw(st.sampled_from([axis, None]))})


@st.composite
def stacked(draw: st.DrawFn) -> Case:
    shape, count = draw(sides), draw(st.integers(1, 3))
    axis = draw(st.integers(-len(shape) - 1, len(shape)))
    return Case(draw(spread([shape] * count)), {"axis": axis})


@st.composite
def cut(draw: st.DrawFn) -> Case:
    shape = draw(any_shape(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    equal = st.sampled_from([n for n in (1, 2, 3) if shape[axis] % n == 0])
    ends = st.lists(st.integers(0, shape[axis]), max_size=3).map(sorted)
    return Case(draw(spread([shape])), {"indices_or_sections": draw(equal | ends), "axis": axis})


@st.composite
def index_of(draw: st.DrawFn, shape: Shape) -> Any:
    kinds: list[st.SearchStrategy[Any]] = [
        hnp.basic_indices(shape, allow_newaxis=True),
        hnp.arrays(bool, shape),
        st.just(...),
    ]
    if shape:
        kinds += [hnp.arrays(bool, shape[:1]), hnp.arrays(bool, shape[:1]).map(np.ndarray.tolist)]
        kinds += [st.just([])]
    if all(shape) and shape:
        places = st.lists(st.integers(-shape[0], shape[0] - 1), min_size=1, max_size=4)
        kinds += [
            hnp.integer_array_indices(shape),
            places,
            places.map(np.array),
            places.map(lambda some: (tuple(some),)),
            places.map(lambda some: (np.array(some), None, ...)),
            places.map(lambda some: np.int64(some[0])),
        ]
        if len(shape) == 3:
            kinds += [places.map(lambda some: (np.array(some), slice(None), 0))]
    return draw(st.one_of(kinds))


@st.composite
def selected(draw: st.DrawFn) -> Case:
    shape = draw(any_shape())
    return Case(draw(spread([shape])), {"index": draw(index_of(shape))})


@st.composite
def scattered(draw: st.DrawFn) -> Case:
    shape = draw(any_shape())
    index = draw(index_of(shape))
    chosen = np.shape(np.zeros(shape)[index])
    return Case(draw(spread([chosen])), {"index": index, "shape": shape})


def scatter(x: Variable, index: Any, shape: Shape) -> Variable:
    """The gradient of a selection, as an operation on the selection's gradient."""
    whole = Variable(np.zeros(shape, x.dtype))
    with using_config("enable_backprop", True):
        (y,) = grad(whole[index], whole, create_graph=True, seeds=[x])
    return y


def scatter_arrays(x: Array, index: Any, shape: Shape) -> Array:
    y = np.zeros(shape, x.dtype)
    np.add.at(y, index, x)
    return y


@st.composite
def padded(draw: st.DrawFn) -> Case:
    shape = draw(any_shape())
    width = st.integers(0, 2)
    pair = st.tuples(width, width)
    return Case(
        draw(spread([shape])),
        {"pad_width": draw(width | pair | st.tuples(*[pair] * len(shape)) if shape else width)},
    )


@st.composite
def slid(draw: st.DrawFn) -> tuple[Shape, Shape, Shape, Shape]:
    """The shape of windows and of what they are cut of; their size and stride."""
    side = st.integers(1, 2)
    lead = draw(hnp.array_shapes(min_dims=0, max_dims=1, max_side=2)) if draw(side) > 1 else ()
    size, stride = draw(st.tuples(side, side)), draw(st.tuples(side, side))
    number = draw(st.tuples(side, side))
    spare = [draw(st.integers(0, d - 1)) for d in stride]  # what no window reaches
    sides = zip(size, number, stride, spare, strict=True)
    whole = [n + (k - 1) * d + more for n, k, d, more in sides]
    return (*lead, *number, *size), (*lead, *whole), size, stride


@st.composite
def windowed(draw: st.DrawFn) -> Case:
    _, whole, size, stride = draw(slid())
    return Case(draw(spread([whole])), {"size": size, "stride": stride})


@st.composite
def overlaid(draw: st.DrawFn) -> Case:
    cut, whole, _, stride = draw(slid())
    return Case(draw(spread([cut])), {"shape": whole, "stride": stride})


def places(shape: Shape, size: Shape, stride: Shape) -> list[tuple[Shape, Any]]:
    """Where each window is: its number down and along, and the slice that it is."""
    (h, w), (m, n), (down, along) = shape[-2:], size, stride
    return [
        ((i, j), (..., slice(top, top + m), slice(left, left + n)))
        for i, top in enumerate(range(0, h - m + 1, down))
        for j, left in enumerate(range(0, w - n + 1, along))
    ]


def windows_of_arrays(x: Array, size: Shape, stride: Shape) -> Array:
    found = places(x.shape, size, stride)
    last = found[-1][0]
    y = np.empty((*x.shape[:-2], last[0] + 1, last[1] + 1, *size), x.dtype)
    for (i, j), window in found:
        y[..., i, j, :, :] = x[window]
    return y


def overlay_of_arrays(x: Array, shape: Shape, stride: Shape) -> Array:
    y = np.zeros(shape, x.dtype)
    for (i, j), window in places(shape, x.shape[-2:], stride):
        y[window] += x[..., i, j, :, :]
    return y


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Images that up to two windows fit into, down and along, with what no window reaches."""
    side = st.integers(1, 2)
    n, channels, filters = draw(st.tuples(side, side, side))
    size, stride, number = (draw(st.tuples(side, side)) for _ in range(3))
    padding = tuple(draw(st.integers(0, k - 1)) for k in size)  # no window of zeros alone
    spare = [draw(st.integers(0, d - 1)) for d in stride]
    sides = zip(size, number, stride, padding, spare, strict=True)
    image = [max(1, k + (m - 1) * d - 2 * p + more) for k, m, d, p, more in sides]
    return Geometry((n, channels, *image), filters, size, stride, padding)


@st.composite
def correlated(draw: st.DrawFn) -> Case:
    g = draw(geometries())
    shapes = [g.images, g.weights, (g.filters,)][: draw(st.integers(2, 3))]
    return Case(draw(spread(shapes)), {"stride": g.stride, "padding": g.padding})


@st.composite
def of_geometry(draw: st.DrawFn, *shapes: str) -> Case:
    g = draw(geometries())
    return Case(draw(spread([getattr(g, shape) for shape in shapes])), {"geometry": g})


def correlated_arrays(x: Array, W: Array, *b: Array, stride: Shape, padding: Shape) -> Array:
    widths = [(0, 0), (0, 0), *((m, m) for m in padding)]
    cut = windows_of_arrays(np.pad(x, widths), W.shape[2:], stride)
    y = np.einsum("ncijkl,fckl->nfij", cut, W)
    return y + b[0][:, None, None] if b else y


def spread_arrays(y: Array, W: Array, geometry: Geometry) -> Array:
    cut = np.einsum("nfij,fckl->ncijkl", y, W)
    padded = overlay_of_arrays(cut, (*geometry.images[:2], *geometry.padded), geometry.stride)
    inside = [slice(m, m + n) for m, n in zip(geometry.padding, geometry.images[2:], strict=True)]
    return padded[:, :, inside[0], inside[1]]


def weighted_arrays(x: Array, y: Array, geometry: Geometry) -> Array:
    widths = [(0, 0), (0, 0), *((m, m) for m in geometry.padding)]
    cut = windows_of_arrays(np.pad(x, widths), geometry.size, geometry.stride)
    return np.einsum("ncijkl,nfij->fckl", cut, y)


@st.composite
def standardized(draw: st.DrawFn) -> Case:
    shape = draw(any_shape(min_side=1))
    return Case(draw(spread([shape])), {"axis": draw(axes_of(shape)), "eps": 0.1})


def standardized_arrays(x: Array, axis: Any, eps: float) -> tuple[Array, Array]:
    scale = 1 / np.sqrt(np.var(x, axis, keepdims=True) + eps)
    return (x - np.mean(x, axis, keepdims=True)) * scale, scale


@st.composite
def classified(draw: st.DrawFn) -> Case:
    n, classes = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    right = draw(hnp.arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    return Case((*draw(spread([(n, classes)])), right), {})


def cross_entropy(x: Array, t: Array) -> Any:
    y = np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True)
    return -np.mean(np.log(y)[np.arange(len(t)), t])


@st.composite
def paired(draw: st.DrawFn) -> Case:
    shape = draw(any_shape(min_side=1))
    return Case(draw(spread([shape, shape])), {})


# The table ----------------------------------------------------------------------------------------

C, E, L, P, R, S, W = correlation, elementwise, losses, products, reductions, shapes, sliding

ROWS = [
    Row("abs", np.absolute, unary(), (E.Abs,)),
    Row("add", np.add, broadcast(REAL, REAL), (E.Add,)),
    Row(
        "astype",
        np.ndarray.astype,
        unary(dtype=st.just(float)),
        (E.AsType,),
    ),
    Row("clip", np.clip, clipped(), (E.Clip,)),
    Row(
        "clip by arrays",  # two operations, and the bounds have gradients
        np.clip,
        broadcast(REAL, REAL, REAL),
        (E.Minimum,),
        operation=ad.clip,
    ),
    Row("cos", np.cos, unary(), (E.Cos,)),
    Row("div", np.divide, broadcast(REAL, POSITIVE), (E.Div,)),
    Row("exp", np.exp, unary(), (E.Exp,)),
    Row(
        "leaky_relu",
        lambda x, slope: np.maximum(x, slope * x),
        unary(slope=st.sampled_from([0.2, 0.5])),
        (E.LeakyReLU,),
    ),
    Row("log", np.log, unary(*POSITIVE), (E.Log,)),
    Row("maximum", np.maximum, broadcast(REAL, REAL), (E.Maximum,)),
    Row("minimum", np.minimum, broadcast(REAL, REAL), (E.Minimum,)),
    Row("mul", np.multiply, broadcast(REAL, REAL), (E.Mul,)),
    Row("neg", np.negative, unary(), (E.Neg,)),
    Row("pow", np.power, broadcast(POSITIVE, REAL), (E.Pow,), exact=False),
    Row("rdiv", lambda x0, x1: x1 / x0, broadcast(POSITIVE, REAL), (E.Div,)),
    Row("relu", lambda x: np.maximum(x, 0), unary(), (E.ReLU,)),
    Row("rpow", lambda x0, x1: x1**x0, broadcast(REAL, POSITIVE), (E.Pow,)),
    Row("rsub", lambda x0, x1: x1 - x0, broadcast(REAL, REAL), (E.Sub,)),
    Row("sigmoid", lambda x: 1 / (1 + np.exp(-x)), unary(), (E.Sigmoid,), exact=False),
    Row("sin", np.sin, unary(), (E.Sin,)),
    Row("sqrt", np.sqrt, unary(*POSITIVE), (E.Sqrt,)),
    Row("square", np.square, unary(), (E.Square,)),
    Row("sub", np.subtract, broadcast(REAL, REAL), (E.Sub,)),
    Row("tan", np.tan, unary(-1, 1), (E.Tan,)),
    Row("tanh", np.tanh, unary(), (E.Tanh,)),
    Row("where", np.where, conditional(), (E.Where,)),
    Row(
        "logsumexp",
        lambda x, **o: np.log(np.sum(np.exp(x), **o)),
        reduction(),
        (R.LogSumExp,),
        False,
    ),
    Row("max", np.max, reduction(), (R.Max,)),
    Row("mean", np.mean, reduction(), (R.Mean,)),
    Row("min", np.min, reduction(), (R.Min,)),
    Row("standardize", standardized_arrays, standardized(), (R.Standardize,), exact=False),
    Row("sum", np.sum, reduction(at_least=0), (R.Sum,)),
    Row("var", np.var, reduction(ddofs=[0, 1]), (R.Var,)),
    Row("dot", np.dot, dotted(), (P.TensorDot, E.Mul), exact=False),
    Row("linear", lambda x, W, b: x @ W + b, layers(), (P.Linear,)),
    Row("matmul", np.matmul, matrices(), (P.MatMul,)),
    Row(
        "rmatmul",
        lambda x0, x1: x1 @ x0,
        matrices().map(lambda case: Case(case.operands[::-1], {})),
        (P.MatMul,),
    ),
    Row("tensordot", np.tensordot, contracted(), (P.TensorDot,)),
    Row("broadcast_to", np.broadcast_to, widened(), (S.BroadcastTo,)),
    Row(
        "concatenate",
        lambda *xs, axis: np.concatenate(xs, axis),
        joined(),
        (S.Concatenate,),
        operation=lambda *xs, axis: ad.concatenate(xs, axis),
        numpy_function=np.concatenate,
    ),
    Row("expand_dims", np.expand_dims, expanded(), (S.ExpandDims,)),
    Row("getitem", lambda x, index: x[index], selected(), (S.GetItem,)),
    Row("pad", np.pad, padded(), (S.Pad,)),
    Row(
        "reshape",
        lambda x, shape: np.reshape(x, shape),  # NumPy 2.0 calls it newshape
        reshaped(),
        (S.Reshape,),
        numpy_function=np.reshape,
    ),
    Row("scatter", scatter_arrays, scattered(), (S.PutItem,), exact=False, operation=scatter),
    Row("split", np.split, cut(), (S.Split,)),
    Row("squeeze", np.squeeze, squeezed(), (S.Squeeze,)),
    Row(
        "stack",
        lambda *xs, axis: np.stack(xs, axis),
        stacked(),
        (S.Stack,),
        operation=lambda *xs, axis: ad.stack(xs, axis),
        numpy_function=np.stack,
    ),
    Row("sum_to", summed, narrowed(), (S.SumTo,), exact=False),
    Row("swapaxes", np.swapaxes, swapped(), (S.SwapAxes,)),
    Row("transpose", np.transpose, transposed(), (S.Transpose,)),
    Row("correlate", correlated_arrays, correlated(), (C.Correlate,), exact=False),
    Row(
        "correlate by x",
        spread_arrays,
        of_geometry("results", "weights"),
        (C.Spread,),
        exact=False,
        operation=lambda y, W, geometry: C.Spread(geometry)(y, W),
    ),
    Row(
        "correlate by W",
        weighted_arrays,
        of_geometry("images", "results"),
        (C.Weighted,),
        exact=False,
        operation=lambda x, y, geometry: C.Weighted(geometry)(x, y),
    ),
    Row("overlay", overlay_of_arrays, overlaid(), (W.Overlay,), exact=False),
    Row("windows", windows_of_arrays, windowed(), (W.Windows,)),
    Row(
        "log_softmax",
        lambda x, axis: x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True)),
        along_axis(),
        (L.LogSoftmax,),
        exact=False,
    ),
    Row(
        "mean_squared_error",
        lambda x0, x1: np.mean((x0 - x1) ** 2),
        paired(),
        (L.MeanSquaredError,),
    ),
    Row(
        "softmax",
        lambda x, axis: np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True),
        along_axis(),
        (L.Softmax,),
        exact=False,
    ),
    Row(
        "softmax_cross_entropy",
        cross_entropy,
        classified(),
        (L.LogSoftmax, L.CrossEntropy),
        exact=False,
    ),
]


def each(rows: Sequence[Row] = ROWS) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=str)


# Properties ---------------------------------------------------------------------------------------


FAMILIES = {
    Unary,
    Binary,
    Fitting,
    PerInput,
    R.Reduction,
    E.Choice,
    R.Extreme,
    S.Indexed,
    W.Sliding,
    C.Correlation,
}  # what Functions have in common


UNNAMED = {"clip by arrays", "scatter", "correlate by x", "correlate by W"}  # for one name more


def below(cls: type[Function]) -> set[type[Function]]:
    return {cls}.union(*(below(sub) for sub in cls.__subclasses__()))


@pytest.mark.forward
def test_every_operation_has_a_row() -> None:
    modules = [module for module in vars(functions).values() if hasattr(module, "__all__")]
    public = set().union(*(module.__all__ for module in modules))
    assert {row.name for row in ROWS} == public | UNNAMED
    assert public <= set(ad.__all__)
    ours = {cls for cls in below(Function) if cls.__module__.startswith("autodiff.functions.")}
    assert {cls for row in ROWS for cls in row.records} == ours - FAMILIES
    numpy = {row.numpy_function or row.numpy for row in ROWS} | {np.amax, np.amin}
    assert set(OPERATIONS) <= numpy


def variables(case: Case) -> list[Variable]:
    return [Variable(x.copy()) for x in case.operands]


def is_float(x: Any) -> bool:
    return x.dtype.kind == "f"


def bits(arrays: Sequence[Any]) -> list[Any]:
    return [None if x is None else (x.shape, x.dtype, x.tobytes()) for x in arrays]


def total(ys: Sequence[Variable]) -> Variable:
    """A number to which every element of every result adds with a weight of its own."""
    rng = np.random.default_rng(1)
    weights = [np.asarray(rng.uniform(0.5, 1.5, y.shape), gradient_dtype(y.dtype)) for y in ys]
    weighted = [(y * weight).sum() for y, weight in zip(ys, weights, strict=True)]
    return sum(weighted[1:], start=weighted[0])


@pytest.mark.forward
@each([row for row in ROWS if row.name != "scatter"])
@given(data=st.data())
@settings(max_examples=15)
def test_forward_is_numpys(row: Row, data: st.DataObject) -> None:
    case = data.draw(row.cases)
    expected = row.numpy(*case.operands, **case.options)
    expected = list(expected) if isinstance(expected, (tuple, list)) else [expected]
    xs = variables(case)
    ys = row(*xs, **case.options)
    assert len(ys) == len(expected)
    for y, want in zip(ys, expected, strict=True):
        assert type(y) is Variable
        assert type(y.data) is np.ndarray
        assert (y.shape, y.dtype) == (np.shape(want), np.asarray(want).dtype)
        if row.exact:
            assert y.data.tobytes() == np.asarray(want).tobytes()
        else:
            np.testing.assert_allclose(y.data, want, rtol=1e-12, atol=1e-15)
    for x, before in zip(xs, case.operands, strict=True):
        assert x.data.tobytes() == before.tobytes()


@each()
@given(data=st.data())
@settings(max_examples=6)
def test_gradients_are_those_of_finite_differences_to_third_order(
    row: Row, data: st.DataObject
) -> None:
    case = data.draw(row.cases)
    floats = [x for x in case.operands if is_float(x)]

    def f(*xs: Variable) -> Variable:
        given = iter(xs)
        return total(
            row(*(next(given) if is_float(x) else x for x in case.operands), **case.options)
        )

    found = gradient_check(f, *floats, order=3)
    assert found, str(found)


@each()
@given(data=st.data())
@settings(max_examples=6)
def test_gradients_have_the_shape_and_dtype_of_data_and_the_bits_of_those_with_graphs(
    row: Row, data: st.DataObject
) -> None:
    case = data.draw(row.cases)
    dtypes = [data.draw(st.sampled_from(["f4", "f8"])) for x in case.operands]
    if row.name == "astype":
        case = Case(case.operands, {"dtype": np.float32})
    xs = [
        Variable(x.astype(dtype) if is_float(x) else x)
        for x, dtype in zip(case.operands, dtypes, strict=True)
    ]
    ys = row(*xs, **case.options)
    if row.name != "astype":
        assert {y.dtype for y in ys} == {np.result_type(*(x.dtype for x in xs if is_float(x)))}
    result = total(ys)
    result.backward(retain_graph=True)
    for x in xs:
        if not is_float(x):
            assert x.grad is None
        else:
            assert type(x.grad) is np.ndarray
            assert (x.grad.shape, x.grad.dtype) == (x.shape, x.dtype)
    with_graphs = grad(result, xs, create_graph=True)
    assert bits([x.grad for x in xs]) == bits([g if g is None else g.data for g in with_graphs])


@each([row for row in ROWS if (row.numpy_function or row.numpy) in OPERATIONS])
@given(data=st.data())
@settings(max_examples=6)
def test_numpys_function_on_variables_is_the_same_operation(row: Row, data: st.DataObject) -> None:
    case = data.draw(row.cases)
    xs = variables(case)
    ours = row(*xs, **case.options)
    theirs = row.numpy(*xs, **case.options)
    theirs = theirs if isinstance(theirs, list) else [theirs]
    for y, other in zip(ours, theirs, strict=True):
        assert type(other) is Variable
        assert type(y.creator) is type(other.creator)
        assert bits([y.data]) == bits([other.data])


@each()
@given(data=st.data())
@settings(max_examples=4)
def test_no_operation_writes_to_what_it_is_given(row: Row, data: st.DataObject) -> None:
    def shut(array: Array) -> Array:
        array.flags.writeable = False
        return array

    case = data.draw(row.cases)
    ys = row(*(Variable(shut(x)) for x in case.operands), **case.options)
    function = ys[0].creator
    assert function is not None
    for y in ys:
        shut(y.data)
    function.backward(*(shut(np.ones_like(y.data)) for y in ys))


@each()
@given(data=st.data())
@settings(max_examples=4)
def test_every_mode_gives_the_same_bits(row: Row, data: st.DataObject) -> None:
    case = data.draw(row.cases)
    found = []
    for name in RECORDING:
        with using_mode(name):
            xs = variables(case)
            ys = row(*xs, **case.options)
            assert {type(y.creator) for y in ys} <= set(row.records)
            total(ys).backward()
            found.append(bits([*(y.data for y in ys), *(x.grad for x in xs)]))
    assert all(one == found[0] for one in found)


@each()
@given(data=st.data())
@settings(max_examples=4)
def test_what_is_kept_can_be_computed_again(row: Row, data: st.DataObject) -> None:
    case = data.draw(row.cases)
    found = []
    for keeper in (None, Nothing()):
        with using_config("keeper", keeper):
            xs = variables(case)
            wanted = [x for x in xs if is_float(x.data)]
            result = total(
                [y * 2 for y in row(*(x * 1 for x in xs), **copy.deepcopy(case.options))]
            )
            first = grad(result, wanted, create_graph=True)
            second = grad(total([g for g in first if g is not None]), wanted)
            found.append(bits([*(None if g is None else g.data for g in first), *second]))
    assert found[0] == found[1]


@each([row for row in ROWS if row.name != "scatter"])
@given(data=st.data())
@settings(max_examples=6)
def test_integers_have_the_gradients_of_the_floats_that_they_are(
    row: Row, data: st.DataObject
) -> None:
    case = data.draw(row.cases)
    chosen = [i for i, x in enumerate(case.operands) if is_float(x)]
    integers = list(case.operands)
    for i in chosen:
        integers[i] = np.asarray(np.rint(abs(integers[i])) + 1, dtype=np.int64)
    turned = data.draw(st.sampled_from(chosen))  # the others are floats
    floats = [
        Variable(x.astype(float)) if i in chosen else Variable(x, requires_grad=False)
        for i, x in enumerate(integers)
    ]
    some = [Variable(integers[i]) if i == turned else x for i, x in enumerate(floats)]
    total(row(*some, **case.options)).backward()
    total(row(*floats, **case.options)).backward()
    for x, y in zip(some, floats, strict=True):
        assert (x.grad is None) == (y.grad is None)
        if x.grad is not None and y.grad is not None:
            assert x.grad.dtype == np.float64
            np.testing.assert_allclose(x.grad, y.grad, rtol=1e-12, atol=1e-12)


# What is declared is what is read -----------------------------------------------------------------


def spoil(array: Array, value: float) -> None:
    """Fill an array with what it did not hold, and integers with what is no index."""
    if is_float(array):
        array[...] = value
    elif array.dtype == bool:
        array[...] = ~array
    else:
        array[...] = array + 100


def gradients_after(
    row: Row, case: Case, wanted: Sequence[int], change: Callable[[Function, list[Array]], None]
) -> list[Any]:
    """Gradients of the wanted operands, after `change` of the Function and of all its arrays."""
    xs = [Variable(x.copy(), requires_grad=i in wanted) for i, x in enumerate(case.operands)]
    ys = row(*xs, **copy.deepcopy(case.options))
    function = ys[0].creator
    assert function is not None
    result = total(ys)
    with np.errstate(all="ignore"):
        change(function, [v.data for v in (*xs, *ys)])
        try:
            return bits(grad(result, [xs[i] for i in wanted]))
        except (IndexError, ValueError) as error:  # an index that was read, and is none any more
            return [error]


def kept(function: Function) -> list[Array]:
    return [x for x in function.saved if isinstance(x, np.ndarray)]


@each([row for row in ROWS if row.name != "clip by arrays"])
@given(data=st.data())
@settings(max_examples=8)
def test_every_operation_reads_exactly_what_it_declares(row: Row, data: st.DataObject) -> None:
    case = data.draw(row.cases)
    floats = [i for i, x in enumerate(case.operands) if is_float(x)]
    subsets = chain.from_iterable(combinations(floats, n + 1) for n in range(len(floats)))
    wanted = data.draw(st.sampled_from(list(subsets)))  # the others are constants
    sizes: list[int] = []

    def look(function: Function, arrays: list[Array]) -> None:
        sizes.extend(x.size for x in kept(function))
        sizes.append(arrays[-1].size)

    def spoil_the_rest(function: Function, arrays: list[Array]) -> None:
        for x in arrays:
            if x.flags.writeable and not any(np.shares_memory(x, y) for y in kept(function)):
                spoil(x, np.nan)

    with using_mode("lean"):
        right = gradients_after(row, case, wanted, look)
        assert gradients_after(row, case, wanted, spoil_the_rest) == right
        *declared, results = sizes
        for i, size in enumerate(declared):
            if not size or not results:
                continue
            assert any(
                gradients_after(row, case, wanted, lambda f, _: spoil(kept(f)[i], value)) != right  # noqa: B023
                for value in (np.nan, 1e3, -1e3, 0.1)
            ), f"declared array {i} is not read"


# What the table does not draw ---------------------------------------------------------------------


def of(*values: Any, dtype: Any = float, **options: Any) -> Variable:
    return Variable(np.array(values[0] if len(values) == 1 else values, dtype), **options)


TWICE = [
    ad.add,
    ad.sub,
    ad.mul,
    ad.div,
    ad.pow,
    ad.maximum,
    ad.matmul,
    ad.dot,
    ad.tensordot,
    ad.linear,
    lambda x0, x1: ad.correlate(ad.reshape(x0, (1, 1, 2, 2)), ad.reshape(x1, (1, 1, 2, 2))),
    ad.mean_squared_error,
    lambda x0, x1: ad.where(np.eye(2, dtype=bool), x0, x1),
    lambda x0, x1: ad.concatenate([x0, x1]),
    lambda x0, x1: ad.stack([x0, x1], axis=1),
]


@pytest.mark.parametrize("operation", TWICE)
def test_one_variable_as_both_operands(operation: Callable[..., Variable]) -> None:
    x = np.array([[0.5, 1.5], [0.8, 1.2]])
    bias = [np.zeros(2)] if operation is ad.linear else []
    found = gradient_check(lambda x: operation(x, x, *bias), x, order=2)
    assert found, str(found)


WITH_NUMBERS = [
    lambda x: x + 2,
    lambda x: 2.5 + x,
    lambda x: x - 2,
    lambda x: 2.5 - x,
    lambda x: x * 2,
    lambda x: 2.5 * x,
    lambda x: x / 2,
    lambda x: 2.5 / x,
    lambda x: x**2,
    lambda x: x**0.5,
    lambda x: 2.5**x,
    lambda x: x**True,
    lambda x: ad.maximum(x, 1),
    lambda x: ad.minimum(1.0, x),
    lambda x: ad.clip(x, 1, 2.5),
    lambda x: ad.where(np.array([True, False]), x, 0.5),
    lambda x: ad.leaky_relu(x - 1, 0.1),
    lambda x: ad.linear(x.reshape(1, 2), np.ones((2, 2), x.dtype), 0.5),
    lambda x: x.mean() * 3 + x.var(),
]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g"])
@pytest.mark.parametrize("number", range(len(WITH_NUMBERS)))
def test_numbers_leave_the_dtype_of_floats(number: int, dtype: str) -> None:
    x = of(0.5, 2.0, dtype=dtype)
    y = WITH_NUMBERS[number](x)
    assert y.dtype == x.dtype
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == x.dtype
    assert gradient_check(WITH_NUMBERS[number], np.array([0.5, 2.0]), order=2)


@pytest.mark.forward
def test_numpys_numbers_are_arrays_of_their_dtype() -> None:
    assert (of(1.0, dtype="f4") * np.float64(2)).dtype == np.float64
    assert (np.float64(2) * of(1.0, dtype="f4")).dtype == np.float64
    assert (np.float32(2) * of(1.0, dtype="f4")).dtype == np.float32


@pytest.mark.parametrize(
    ("operation", "at", "gradient"),
    [
        (lambda x: x**0, 0, 0),
        (lambda x: x ** np.array(0.0), 0, 0),
        (lambda x: x**1, 0, 1),
        (lambda x: x**2, 0, 0),
        (lambda x: 0.0**x, 2, 0),
        (ad.abs, 0, 0),
        (ad.relu, 0, 0),
        (lambda x: ad.leaky_relu(x, 0.2), 0, 0.2),
        (lambda x: ad.maximum(x, 1), 1, 0.5),
        (lambda x: ad.maximum(1, x), 1, 0.5),
        (lambda x: ad.minimum(x, 1), 1, 0.5),
        (lambda x: ad.maximum(x, x), 1, 1),
        (lambda x: ad.clip(x, 0, 1), 1, 1),
        (ad.max, [3, 1, 3, 3], [1 / 3, 0, 1 / 3, 1 / 3]),
        (ad.min, [[1, 2], [1, 1]], [[1 / 3, 0], [1 / 3, 1 / 3]]),
        (lambda x: ad.max(x, axis=1), [[2, 2], [0, 1]], [[0.5, 0.5], [0, 1]]),
    ],
)
def test_gradients_at_kinks_and_ties(operation: Any, at: Any, gradient: Any) -> None:
    x = of(at)
    operation(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == gradient


def test_powers_of_integers_that_no_integer_would_be_the_gradient_of() -> None:
    x, exponent = of(2, 0, 3, dtype=int), of(0, 0, 1, dtype=int)
    (x**exponent).backward()
    assert x.grad is not None
    assert exponent.grad is not None
    assert x.grad.tolist() == [0, 0, 1]
    assert exponent.grad.tolist() == [np.log(2), 0, 3 * np.log(3)]
    with pytest.raises(ValueError, match="negative"):
        x**-1
    assert (1 / of(2, dtype=int)).item() == 0.5


@pytest.mark.parametrize("dtype", ["i1", "u1", "u8", "?"])
def test_losses_of_integers_do_not_overflow(dtype: str) -> None:
    low, high = (0, 1) if dtype == "?" else (3, 120)
    x = of([[low, high]], dtype=dtype)
    same = of([[low, high]])
    t = np.array([0])
    pairs = [
        (ad.softmax(x), ad.softmax(same)),
        (ad.log_softmax(x), ad.log_softmax(same)),
        (ad.softmax_cross_entropy(x, t), ad.softmax_cross_entropy(same, t)),
        (
            ad.mean_squared_error(x, np.array([[high, low]], dtype)),
            ad.mean_squared_error(same, np.array([[high, low]])),
        ),
    ]
    for y, right in pairs:
        assert y.data == pytest.approx(right.data)
        (found,), (expected,) = grad(total([y]), x), grad(total([right]), same)
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("operation", [ad.softmax, ad.log_softmax, ad.logsumexp, ad.sigmoid])
def test_large_scores_do_not_overflow(operation: Callable[..., Variable]) -> None:
    x = of(1000.0, -1000.0, 999.0)
    y = operation(x)
    y.sum().backward()
    assert np.isfinite(y.data).all()
    assert np.isfinite(x.grad).all()


@pytest.mark.forward
def test_logsumexp_of_nothing_is_minus_infinity() -> None:
    assert ad.logsumexp(np.zeros((2, 0)), axis=1).data.tolist() == [-np.inf, -np.inf]


def test_a_mean_squared_error_of_nothing_has_gradients_of_nothing() -> None:
    x = Variable(np.zeros((0, 3)))
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning, match="empty slice"):
        y = ad.mean_squared_error(x, np.zeros((0, 3)))
    y.backward()
    assert x.grad is not None
    assert x.grad.shape == (0, 3)


def test_astype_gives_gradients_in_the_dtype_of_its_input() -> None:
    x = of(1.5, 2.5, dtype="f4")
    (x.astype(float) * 3).sum().backward()
    assert x.grad is not None
    assert (x.grad.dtype, x.grad.tolist()) == (np.float32, [3, 3])
    x.cleargrad()
    (x.astype("f2") * 3).sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (np.float32, [3, 3])
    x.cleargrad()
    (x.astype(int) * 3).sum().backward()
    assert x.grad is None


@pytest.mark.parametrize(
    ("bias", "dtype", "noted"),
    [((2,), "float32", False), ((1,), "float32", True), ((2,), "float64", True)],
)
def test_shapes_are_noted_only_where_gradients_do_not_come_out_in_them(
    bias: tuple[int, ...], dtype: str, noted: bool
) -> None:
    W, b = Variable(np.ones((3, 2), "float32")), Variable(np.ones(bias, dtype))
    with using_mode("lean"):
        y = ad.linear(np.ones((4, 3), "float32"), W, b)
        assert y.creator is not None
        assert (y.creator._more is not None) is noted
        y.backward()
        product = ad.matmul(Variable(np.ones((4, 3), "float32")), Variable(W.data.astype(dtype)))
        assert product.creator is not None
        assert (product.creator._more is not None) is (dtype == "float64")
    assert b.grad is not None
    assert (b.grad.shape, b.grad.dtype) == (bias, dtype)


def test_linear_without_a_bias_is_matmul() -> None:
    y = ad.linear(of([[1, 2]]), of([[3], [4]]))
    assert type(y.creator) is products.MatMul
    assert y.data.tolist() == [[11]]


def test_an_index_may_be_a_variable_and_chooses_an_element_more_than_once() -> None:
    x, index = of(1, 2, 3), of(2, 0, 2, dtype=int)
    y = x[index]
    assert y.data.tolist() == [3, 1, 3]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 0, 2]
    assert index.grad is None


@pytest.mark.forward
def test_variables_unpack_and_end() -> None:
    a, b = of([[1, 2], [3, 4]])
    assert (a.data.tolist(), b.data.tolist()) == ([1, 2], [3, 4])
    assert [float(x) for x in reversed(of(1, 2))] == [2, 1]


ONE_NUMBER = [
    ad.abs,
    ad.exp,
    ad.relu,
    ad.sigmoid,
    ad.softmax,
    ad.sum,
    ad.var,
    ad.logsumexp,
    ad.squeeze,
    ad.transpose,
    lambda x: ad.astype(x, "f4"),
    lambda x: ad.broadcast_to(x, (2,)),
    lambda x: ad.expand_dims(x, 0),
    lambda x: ad.getitem(x, ...),
    lambda x: ad.mean_squared_error(of(1.0), x),
    lambda x: ad.pad(x, 1),
    lambda x: ad.reshape(x, (1,)),
    lambda x: ad.sum_to(x, ()),
]


@pytest.mark.forward
@pytest.mark.parametrize("operation", ONE_NUMBER)
def test_a_number_is_an_operand_like_any_other(operation: Callable[..., Variable]) -> None:
    with np.errstate(all="ignore"):
        assert operation(2).data.tolist() == operation(np.array(2)).data.tolist()
        assert operation(0.5).data.tolist() == operation(of(0.5)).data.tolist()


@pytest.mark.parametrize("operation", [ad.exp, lambda x: x * 2.0, lambda x: ad.max(x, axis=0)])
def test_operations_on_what_wants_no_gradient_record_nothing(operation: Any) -> None:
    for constant in (np.ones(3), of(1, 2, 3, requires_grad=False)):
        y = operation(constant) if operation is ad.exp else operation(ad.add(constant, 0))
        assert y.creator is None
        assert not y.requires_grad


METHODS: list[Callable[[Any], Any]] = [
    lambda x: x.T,
    lambda x: x.transpose(),
    lambda x: x.transpose(None),
    lambda x: x.transpose(1, 2, 0),
    lambda x: x.transpose((1, 2, 0)),
    lambda x: x.transpose([-1, 0, 1]),
    lambda x: x[0, 0].transpose(0),
    lambda x: x[0, 0, 0].transpose(()),
    lambda x: x.reshape(4, 3),
    lambda x: x.reshape((4, 3)),
    lambda x: x.reshape(-1),
    lambda x: x[0, 0, 0].reshape(()),
    lambda x: x.swapaxes(0, -1),
    lambda x: x[:1].squeeze(),
    lambda x: x[:1].squeeze(0),
    lambda x: x.astype("f4"),
    lambda x: x[0].dot(x[1].T),
    lambda x: x.clip(1, 7),
    lambda x: x.clip(None, 7),
    lambda x: x.sum(),
    lambda x: x.sum(1),
    lambda x: x.mean(axis=(0, -1), keepdims=True),
    lambda x: x.max(axis=0),
    lambda x: x.min(),
    lambda x: x.var(axis=1, ddof=1),
]


@pytest.mark.forward
@pytest.mark.parametrize("number", range(len(METHODS)))
def test_methods_are_those_of_arrays(number: int) -> None:
    x = np.arange(12.0).reshape(2, 2, 3) ** 1.5
    y, expected = METHODS[number](Variable(x)), METHODS[number](x)
    assert type(y) is Variable
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(y.data, expected, rtol=1e-15)


# Misuse -------------------------------------------------------------------------------------------

V23, V2, V3 = of([[1, 2, 3], [4, 5, 6]]), of(1, 2), of(1, 2, 3)
SCORES = of([[1, 2, 3]])

MISUSES = [
    (lambda: V2 + V3, ValueError, r"Add of shapes \(2,\) and \(3,\)"),
    (lambda: V23 * V2, ValueError, r"Mul of shapes \(2, 3\) and \(2,\)"),
    (lambda: np.ones(2) - V3, ValueError, r"Sub of shapes \(2,\) and \(3,\)"),
    (lambda: np.maximum(V2, V3), ValueError, r"Maximum of shapes \(2,\) and \(3,\)"),
    (lambda: ad.where(V2 > 1, V2, V3), ValueError, r"\(2,\) and \(2,\) and \(3,\)"),
    (lambda: V2 @ V3, ValueError, r"MatMul of shapes \(2,\) and \(3,\)"),
    (lambda: V2 @ 2, ValueError, r"MatMul of shapes \(2,\) and \(\)"),
    (lambda: ad.dot(V2, V3), ValueError, r"\(2,\) and \(3,\)"),
    (lambda: ad.tensordot(V2, V2), ValueError, r"axis -2 is out of bounds"),
    (lambda: ad.linear(V23, V23), ValueError, r"\(2, 3\) and \(2, 3\)"),
    (lambda: ad.linear(V3, np.ones((3, 2)), V3), ValueError, r"\(3,\) and \(3, 2\) and \(3,\)"),
    (lambda: ad.linear(V3, np.ones((3, 2)), V23), ValueError, r"Linear of shapes"),
    (lambda: ad.linear(V3, np.ones((3, 2)), np.ones((5, 2))), ValueError, r"b is \(m,\)"),
    (lambda: ad.linear(V23, np.ones((2, 3, 2)), np.ones(2)), ValueError, r"W is \(n, m\)"),
    (lambda: V23.reshape(4), ValueError, r"Reshape of shapes \(2, 3\)"),
    (lambda: V23.transpose(0), ValueError, "Transpose"),
    (lambda: V23.squeeze(0), ValueError, "Squeeze"),
    (lambda: V23.swapaxes(0, 2), ValueError, "axis 2 is out of bounds"),
    (lambda: V23.sum(axis=2), ValueError, "axis 2 is out of bounds"),
    (lambda: V23[2], IndexError, "index 2 is out of bounds"),
    (lambda: V23["a"], IndexError, "valid indices"),
    (lambda: V23[0.5], IndexError, "valid indices"),
    (lambda: V3[of(0.5)], IndexError, "integer"),
    (lambda: ad.broadcast_to(V2, (3,)), ValueError, "BroadcastTo"),
    (lambda: ad.sum_to(V2, (3,)), ValueError, r"\(2,\) cannot be summed to \(3,\)"),
    (lambda: ad.concatenate([V23, V2]), ValueError, r"\(2, 3\) and \(2,\)"),
    (lambda: ad.concatenate([]), ValueError, "at least one"),
    (lambda: ad.stack([V2, V3]), ValueError, r"\(2,\) and \(3,\)"),
    (lambda: ad.split(V3, 2), ValueError, r"Split of shapes \(3,\)"),
    (lambda: ad.pad(V3, 1, mode="edge"), ValueError, "'edge'.*'constant'"),
    (lambda: ad.pad(V3, -1), ValueError, "negative"),
    (lambda: ad.max(np.ones(0)), ValueError, r"Max of shapes \(0,\)"),
    (lambda: ad.mean_squared_error(V3.reshape(3, 1), V3), ValueError, r"\(3, 1\) and \(3,\).*one"),
    (lambda: ad.mean_squared_error(V3, 1.0), ValueError, r"\(3,\) and \(\)"),
    (lambda: ad.softmax_cross_entropy(V3, np.array([0])), ValueError, r"\(n, classes\)"),
    (lambda: ad.softmax_cross_entropy(SCORES, np.array([[0]])), ValueError, r"t is \(n,\)"),
    (lambda: ad.softmax_cross_entropy(SCORES, 0), ValueError, r"t is \(n,\)"),
    (lambda: ad.softmax_cross_entropy(SCORES, np.array([3])), ValueError, "3.*0 to 2"),
    (lambda: ad.softmax_cross_entropy(SCORES, np.array([-1])), ValueError, "-1.*0 to 2"),
    (lambda: ad.softmax_cross_entropy(SCORES, np.array([1.0])), ValueError, "float64"),
    (lambda: ad.add(V2, [1, 2]), TypeError, "Add takes Variables, numbers or an ndarray, not list"),
    (lambda: [1, 2] * V2, TypeError, "Mul takes.*not list"),
    (lambda: V2 + None, TypeError, "not NoneType"),
    (lambda: V2 + "a", TypeError, "Add takes"),
    (lambda: V2 * 1j, TypeError, "complex128"),
    (lambda: ad.exp([1.0]), TypeError, "Exp takes.*not list"),
    (lambda: ad.where([True, False], V2, V2), TypeError, "Where takes.*not list"),
    (lambda: ad.softmax_cross_entropy(SCORES, [0]), TypeError, "not list"),
    (lambda: V2 + np.array([1, None]), TypeError, "object.*garbage collector"),
    (lambda: V2.astype(complex), TypeError, "complex128"),
    (lambda: V2 + Variable(None), ValueError, "Add.*without data"),
]


@pytest.mark.forward
@pytest.mark.parametrize("number", range(len(MISUSES)))
def test_misuse_says_what_was_wrong(number: int) -> None:
    call, error, message = MISUSES[number]
    with pytest.raises(error, match=message):
        call()


def test_a_rule_that_raises_on_variables_leaves_arrays_to_the_next() -> None:
    class Picky(Function):
        saves = (0,)

        def forward(self, x: Any) -> Any:
            return x * 2

        def backward(self, gy: Any) -> Any:
            (x,) = self.saved
            if isinstance(x, Variable):
                raise ArithmeticError("on purpose")
            return gy * 2

    x = of(1, 2)
    with pytest.raises(ArithmeticError):
        Picky()(x).backward(create_graph=True)
    y = Picky()(x)
    assert y.creator is not None
    assert type(y.creator.saved[0]) is np.ndarray
    y.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2]


def test_an_input_that_was_not_kept_is_no_operand() -> None:
    with using_mode("lean"):
        creator = ad.exp(of(1)).creator
    assert creator is not None
    with pytest.raises(RuntimeError, match=r"not kept.*kept='inputs'"):
        creator.inputs[0] * 2

"""Every operation: one row of a table for each, from which its properties are drawn.

A row says how to draw operands, what NumPy calls the operation, and which Functions it records.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

import autodiff as ad
from autodiff import Function, Variable, grad, using_config
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
from autodiff.functions.correlation import Geometry

Array: TypeAlias = np.ndarray[Any, Any]
Shape: TypeAlias = tuple[int, ...]

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

"""What each operation allocates: a line for every one that is not plain.

A plain one makes one array of the size of its broadcast operands, and its rule one such for each
gradient.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from autodiff.arrays import bytes_of
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
from autodiff.keepers.footprint import (
    BUFFER,
    NOTHING,
    Arrays,
    Footprint,
    broadcast,
    broadcast_shape,
    nothing,
)


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
    places: int = (
        max([math.prod(broadcast_shape(set(numbers))), *counts]) if numbers else max(counts)
    )
    taken = len(numbers) + sum([i.ndim for i in flags])
    left = sorted(x.shape)[taken:]  # at most the longest axes are left
    inside = sum([c * i.ndim * 8 for c, i in zip(counts, flags, strict=False)])
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
        one = bytes_of(of_inputs[0])
        buffers = 2 * min(one, BUFFER) if rule else 0
        return rule * _small(function, arrays) + gradient * one + buffers

    def work(function: Any, arrays: Arrays) -> float:
        return float(arrays[0].nbytes) / (_small(function, arrays) or 1)

    return Footprint(results=in_forward, rule=in_rule, work=work, **more)


def _along_an_axis(forward: float, rule: float, gradient: float, beside: float) -> Footprint:
    """Of operations whose result is as large as the operand, with reductions in between."""

    def in_forward(function: Any, arrays: Arrays) -> int:
        return int(broadcast(arrays)[0] + math.ceil(forward * _small(function, arrays)))

    def in_rule(function: Any, arrays: Arrays, of_inputs: Any, of_outputs: Any) -> float:
        one = bytes_of(of_inputs[0])
        buffers = 2 * min(one, BUFFER) if rule else 0
        return rule * _small(function, arrays) + gradient * one + buffers

    return Footprint(results=in_forward, rule=in_rule, beside=beside)


def _of_rows(function: Any, arrays: Arrays) -> int:
    return 48 * len(arrays[0])


def _scores(function: Any, arrays: Arrays, of_inputs: Any, of_outputs: Any) -> float:
    return bytes_of(of_inputs[0]) + _of_rows(function, arrays)


def _number(function: Any, arrays: Arrays) -> int:
    return 16


# Products -----------------------------------------------------------------------------------------


def _product(function: Any, arrays: Arrays) -> int:
    """(..., m, k) and (..., k, n) make (..., m, n)."""
    x0, x1, *_ = arrays
    rows = x0.shape[-2] if x0.ndim > 1 else 1
    columns = x1.shape[-1] if x1.ndim > 1 else 1
    one = int(_lead(x0, x1) * rows * columns * _width(arrays))
    return one + _copies(arrays) + (min(one, BUFFER) if len(arrays) > 2 else 0)  # for a bias


def _lead(x0: Any, x1: Any) -> int:
    return math.prod(broadcast_shape({x0.shape[:-2], x1.shape[:-2]}))


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
        memory = min(g.images[0] * image, max(correlation.WORKSPACE // width, image)) * width
        buffers = 3 * min(BUFFER, memory)
        return int(memory + 2 * math.prod(g.weights) * width + buffers)

    def in_forward(function: Any, arrays: Arrays) -> int:
        one = math.prod(getattr(function.geometry, made)) * _width(arrays)
        return int(one) + beside(function, arrays)

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
    one = bytes_of(of_outputs[0])
    return (wanted + beside) * one + (0 if number else 2 * min(one, BUFFER))


def _gradients_alone(function: Any, arrays: Arrays, of_inputs: Any, of_outputs: Any) -> float:
    return sum([bytes_of(spec) for spec in of_inputs if spec is not None])


def _laid(function: Any, arrays: Arrays, of_inputs: Any, of_outputs: Any) -> float:
    """Windows are added up in strides."""
    gxs = _gradients_alone(function, arrays, of_inputs, of_outputs)
    return gxs + 2 * min(BUFFER, gxs)


PLAIN = Footprint()
UNDECLARED = Footprint(rule_beside=1)  # such as 2 * x * gy
VIEW = NOTHING  # which has no bytes of its own
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
    S.BroadcastTo: Footprint(results=nothing, gradients=(0,)),
    S.SumTo: Footprint(results=_summed, gradients=(0,), fitted=False),
    S.Concatenate: Footprint(results=_joined, gradients=(0,), fitted=False),
    S.Stack: Footprint(results=_joined, gradients=(0,), fitted=False),
    S.Split: Footprint(results=nothing, rule=_gradients_alone),
    S.GetItem: Footprint(results=_chosen, gradients=(0,), fitted=False),
    S.PutItem: Footprint(results=_put, rule=_gradients_alone),
    S.Pad: Footprint(results=_padded, gradients=(0,), fitted=False),
    C.Correlate: _correlation("results"),
    C.Spread: _correlation("images"),
    C.Weighted: _correlation("weights"),
    W.Windows: Footprint(results=nothing, rule=_laid),
    W.Overlay: Footprint(results=_of_shape, gradients=(0,), fitted=False),
}

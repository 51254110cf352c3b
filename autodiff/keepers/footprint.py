"""What an operation and its rule will allocate, foreseen from the arrays that they are given.

The figures are bounds from above, from shapes and dtypes alone. Those of each operation are in
footprints.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any, TypeAlias

import numpy as np

from autodiff.arrays import SMALL, Array, Spec, bytes_of, gradient_spec
from autodiff.graph import Function

BUFFER = 8192 * 8  # bytes, of what NumPy takes through a buffer at a time

# NumPy up to 2.2 sets up buffers for reductions that it then has no use for.
IDLE = 2 * BUFFER if np.lib.NumpyVersion(np.__version__) < "2.3.0" else 0

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
            return one + buffers + math.ceil(self.beside * one)
        try:
            results = self.results(function, arrays)
        except (ValueError, IndexError, TypeError, AttributeError):
            results = one  # of operands that do not fit, which the operation is about to say
        return results + math.ceil(self.beside * one) + (IDLE if results else 0)

    def of_rule(self, function: Function, arrays: Arrays, results: Sequence[Array]) -> int:
        """The bytes that the rule of this application allocates at most."""
        wanted = function.wanted
        made = self._made(wanted)
        if self.is_plain and len(results) == 1 and _alike(arrays, results[0]):
            small = 2 if made and results[0].size <= SMALL else 0  # temporaries of their own
            return math.ceil((made + small) * results[0].nbytes)
        pairs = zip(arrays, wanted, strict=True)
        of_inputs = [gradient_spec(x) if want else None for x, want in pairs]
        of_outputs = [gradient_spec(y) for y in results]
        gxs = [bytes_of(spec) for spec in of_inputs if spec is not None]
        largest = max([bytes_of(of_outputs[0]), *gxs])
        if self.rule is not None:
            total = self.rule(function, arrays, of_inputs, of_outputs)
        else:
            total = (made + self.rule_beside) * largest
            if self.fitted:
                total += sum([_fitting(s, of_outputs[0]) for s in of_inputs if s is not None])
            if total:
                total += 2 * min(largest, BUFFER)
        if total:
            total += IDLE
        if total and largest <= SMALL * 8:
            total += 2 * largest
        return math.ceil(total)

    def _made(self, wanted: tuple[bool, ...]) -> float:
        """How many arrays the rule makes for the gradients of the inputs that want one."""
        counts = self.gradients
        if len(counts) == 1:
            return counts[0] * sum(wanted)
        return sum([counts[min(i, len(counts) - 1)] for i, want in enumerate(wanted) if want])

    def work_of(self, function: Function, arrays: Arrays, size: int) -> int:
        """What it costs to compute a result of so many bytes, in no unit in particular."""
        return size if self.work is None else int(size * self.work(function, arrays))


# Bytes --------------------------------------------------------------------------------------------


def broadcast(arrays: Arrays) -> tuple[int, int]:
    """Of an array of the shape to which the operands broadcast, the bytes; and NumPy's buffers.

    NumPy takes through a buffer what it does not find in the order and dtype of the result.
    """
    if len(arrays) == 1 and arrays[0].dtype.kind == "f":
        return arrays[0].nbytes, 0
    given = [x for x in arrays if type(x) is np.ndarray]
    width = max([x.dtype.itemsize for x in given if x.dtype.kind == "f"], default=8)
    shapes = {x.shape for x in given}
    alike = len(shapes) == 1
    shape = shapes.pop() if alike else broadcast_shape(shapes)
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


def broadcast_shape(shapes: set[tuple[int, ...]]) -> tuple[int, ...]:
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


def nothing(function: Any, arrays: Arrays) -> int:
    """What an operation allocates by itself that gives views, or what other operations give."""
    return 0


NOTHING = Footprint(results=nothing, gradients=(0,), fitted=False)

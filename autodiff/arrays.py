"""What the engine asks of plain arrays: may a Variable hold one, who else does, what is its sum."""

from __future__ import annotations

import math
from functools import lru_cache
from sys import getrefcount
from typing import Any, TypeAlias

import numpy
from numpy.typing import NDArray

from autodiff.quick_numpy import np

Array: TypeAlias = NDArray[Any]
Spec: TypeAlias = tuple[tuple[int, ...], np.dtype[Any]]  # shape and dtype of a gradient


def as_array(x: Any) -> Any:
    """A number as an ndarray of no dimensions, all else as it is. Source: step 9 of the book."""
    return np.asarray(x) if not isinstance(x, np.ndarray) and np.isscalar(x) else x


def real_array(data: Any, use: str) -> Array:
    """The ndarray itself, where a Variable can hold it; `use` begins the TypeError where not."""
    if not isinstance(data, np.ndarray):
        hint = "; as_array makes one of a number" if np.isscalar(data) else ""
        raise TypeError(f"{use} an ndarray, not {type(data).__name__}{hint}")
    if type(data) is not np.ndarray and isinstance(data, (numpy.ma.MaskedArray, numpy.matrix)):
        raise TypeError(f"{use} a plain ndarray, not {type(data).__name__}, whose rules differ")
    if data.dtype.kind not in "fiub":
        why = (
            ": the garbage collector cannot see what such an array holds, so a cycle through it "
            "would never be freed"
            if data.dtype.kind == "O"
            else ""
        )
        raise TypeError(f"{use} an array of real numbers, not of dtype {data.dtype}{why}")
    return data


def gradient_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the gradient of data of a dtype: the same for floats, float64 for the rest."""
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def gradient_spec(x: Any) -> Spec:
    """Shape and dtype of the gradient of an array or a number."""
    array = x if isinstance(x, np.ndarray) else np.asarray(x)
    return array.shape, gradient_dtype(array.dtype)


def _ufuncs_keep_arrays() -> bool:
    try:
        return isinstance(np.negative(np.ones(()), out=...), np.ndarray)
    except TypeError:
        return False


UFUNCS_KEEP_ARRAYS = _ufuncs_keep_arrays()  # with out=..., also those of no dimensions


def _whole_numbers(dtype: Any) -> dict[Any, Array]:
    """Whole numbers as arrays of no dimensions; but not 0, which equals -0.0."""
    found = {number: np.array(number, dtype) for number in range(-128, 129) if number}
    for array in found.values():
        array.setflags(write=False)
    return found


# NumPy takes an array in half the time of a number, of which it has to make one: a tenth of
# Goldstein-Price. In a dict for each dtype that has them; the first is for all others.
WITH_NUMBERS = {np.dtype("float32"): 1, np.dtype("float64"): 2}
WHOLE_NUMBERS = ({}, *map(_whole_numbers, WITH_NUMBERS))


class Form:
    """What arrays of floats have in common that are alike in shape and dtype, which share it.

    So `is` tells whether two are alike, and what depends on it is found out once.
    is_small: NumPy makes a new array faster than it writes to a given one.
    numbers: which of WHOLE_NUMBERS are of this dtype.
    """

    __slots__ = ("dtype", "is_scalar", "is_small", "numbers", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype
        self.is_scalar = not shape
        self.is_small = math.prod(shape) <= SMALL
        self.numbers = WITH_NUMBERS.get(dtype, 0)

    @property
    def spec(self) -> Spec:
        return self.shape, self.dtype


@lru_cache(maxsize=1024)
def shared_form(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Form:
    """The one Form of arrays of this shape and dtype."""
    return Form(shape, dtype)


def bytes_of(spec: Spec) -> int:
    """The bytes of an array of that shape and dtype."""
    shape, dtype = spec
    return math.prod(shape) * dtype.itemsize


def all_arrays(operands: list[Any]) -> list[Any]:
    """Numbers among arrays as arrays, of the dtype that NumPy's weak typing of them gives."""
    arrays = [x for x in operands if isinstance(x, np.ndarray)]
    return [
        x if isinstance(x, np.ndarray) else np.asarray(x, dtype=np.result_type(x, *arrays))
        for x in operands
    ]


def sum_to_shape(x: Any, shape: tuple[int, ...]) -> Any:
    """An array or Variable summed over the axes along which `shape` was broadcast to x's shape.

    Raises ValueError where it cannot have been.
    """
    if shape == x.shape[1:]:  # as of a bias, beside rows
        return x.sum(axis=0)
    lead = x.ndim - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, x.shape[lead:], strict=True)):
        raise ValueError(f"shape {x.shape} cannot be summed to {shape}: it is no broadcast of it")
    if lead:
        x = np.sum(x, axis=tuple(range(lead)))
    stretched = tuple(i for i, n in enumerate(shape) if n != x.shape[i])
    return np.sum(x, axis=stretched, keepdims=True) if stretched else x


PLAIN = frozenset((np.ndarray, int, float))
SMALL = 128  # elements: up to so many, NumPy makes a new array faster than it writes to a given one


def times(gx: Any, factor: Any) -> Any:
    """The product, in the memory of gx, an array that nobody else reads, unless that is small.

    So a rule needs no array beside its result, whether NumPy reuses temporaries of that size or
    not. On Variables it is the product.
    """
    if type(gx) is np.ndarray and gx.size > SMALL and type(factor) in PLAIN:
        gx *= factor
        return gx
    return gx * factor


def twice(gy: Any) -> Any:
    """Twice gy, as something new; of an array the sum with itself, sooner than a product."""
    return gy + gy if type(gy) is np.ndarray else gy * 2


def taken_from(x: Any, gx: Any) -> Any:
    """The difference x - gx, likewise in the memory of gx."""
    if type(gx) is np.ndarray and gx.size > SMALL:
        return np.subtract(x, gx, out=gx)
    return x - gx


def turned(function: Any, gx: Any) -> Any:
    """What a function of NumPy's makes of gx, likewise in the memory of gx."""
    if type(gx) is np.ndarray and gx.size > SMALL:
        return function(gx, out=gx)
    return function(gx)


_box = [np.empty(0)]
_ONE = getrefcount(_box[0])  # what the interpreter counts for an array that a container holds


def sole(container: Any, key: Any) -> bool:
    """Whether a list or dict alone holds the array at a key: then it may be written or given away.

    NumPy asks the same before it reuses a temporary. No variable may refer to the array meanwhile,
    and none is used here: which of those are counted differs between versions of the interpreter.
    """
    return (
        type(container[key]) is np.ndarray
        and container[key].base is None
        and getrefcount(container[key]) == _ONE
    )

"""Variable's operators and methods: each is the function of that name. Source: steps 20 to 22."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.functions import elementwise, products, reductions, shapes
from autodiff.quick_numpy import np
from autodiff.variable import Variable


def _reshape(x: Variable, *shape: Any) -> Variable:
    """x in another shape, given as numbers or as one tuple."""
    return shapes.reshape(x, shape[0] if len(shape) == 1 else shape)


def _transpose(x: Variable, *axes: Any) -> Variable:
    """x with its axes in an order given as numbers or as one tuple, or reversed."""
    return shapes.transpose(x, *axes) if len(axes) < 2 else shapes.transpose(x, axes)


def _comparison(compare: np.ufunc) -> Callable[[Variable, Any], Any]:
    def operator(x0: Variable, x1: Any) -> Any:
        return compare(x0, x1)

    return operator


OPERATORS: dict[str, Any] = {
    "__add__": elementwise.add,
    "__radd__": elementwise.add,
    "__sub__": elementwise.sub,
    "__rsub__": elementwise.rsub,
    "__mul__": elementwise.mul,
    "__rmul__": elementwise.mul,
    "__truediv__": elementwise.div,
    "__rtruediv__": elementwise.rdiv,
    "__pow__": elementwise.pow,
    "__rpow__": elementwise.rpow,
    "__matmul__": products.matmul,
    "__rmatmul__": products.rmatmul,
    "__neg__": elementwise.neg,
    "__pos__": lambda x: x,
    "__abs__": elementwise.abs,
    "__getitem__": shapes.getitem,
    "__lt__": _comparison(np.less),
    "__le__": _comparison(np.less_equal),
    "__gt__": _comparison(np.greater),
    "__ge__": _comparison(np.greater_equal),
    "T": property(shapes.transpose),
    "reshape": _reshape,
    "transpose": _transpose,
    "swapaxes": shapes.swapaxes,
    "squeeze": shapes.squeeze,
    "astype": elementwise.astype,
    "dot": products.dot,
    "clip": elementwise.clip,
    "sum": reductions.sum,
    "mean": reductions.mean,
    "max": reductions.max,
    "min": reductions.min,
    "var": reductions.var,
}

for _name, _operation in OPERATORS.items():
    setattr(Variable, _name, _operation)

"""NumPy's own functions on Variables: each is the engine's operation of that name, or a TypeError.

This is what lets a gradient rule be written once, in plain NumPy: on arrays it is NumPy, on
Variables it records a graph. Source: NEP 13 (`__array_ufunc__`) and NEP 18 (`__array_function__`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from autodiff.quick_numpy import np
from autodiff.variable import Variable

F = TypeVar("F", bound=Callable[..., Any])

OPERATIONS: dict[Any, Callable[..., Any]] = {}  # NumPy's function -> the engine's
SIGNATURES: dict[Any, inspect.Signature] = {}

# Functions whose derivative is zero or none: they give plain arrays or bools, of plain arrays.
PLAIN = frozenset(
    getattr(np, name)
    for name in (
        "equal not_equal less less_equal greater greater_equal logical_and logical_or logical_not "
        "isnan isinf isfinite sign signbit floor ceil rint trunc argmax argmin argsort "
        "count_nonzero any all allclose isclose array_equal shape ndim size zeros_like ones_like "
        "full_like empty_like result_type"
    ).split()
)


def implements(*numpy_functions: Any) -> Callable[[F], F]:
    """Let NumPy's functions mean this operation where an argument is a Variable."""

    def register(operation: F) -> F:
        OPERATIONS.update(dict.fromkeys(numpy_functions, operation))
        SIGNATURES.update(dict.fromkeys(numpy_functions, inspect.signature(operation)))
        return operation

    return register


def _array_ufunc(
    self: Variable, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any
) -> Any:
    if out is not None:
        raise TypeError(
            f"np.{ufunc.__name__} cannot write what it makes of a Variable into an array "
            "(out=, or an operator such as a += variable): write a = a + variable"
        )
    if method == "__call__" and not kwargs and ufunc in OPERATIONS:
        return OPERATIONS[ufunc](*inputs)
    if method != "__call__":
        if ufunc is np.add and method == "reduce":
            return _call(np.sum, inputs, {"axis": 0, **kwargs})
        raise TypeError(f"np.{ufunc.__name__}.{method} does not take Variables: use .data")
    return _call(ufunc, inputs, kwargs)


def _array_function(
    self: Variable, function: Any, types: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    return _call(function, args, kwargs)


def _call(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What a NumPy function gives for arguments of which one is a Variable."""
    if function in PLAIN:
        return function(*(_data(x) for x in args), **{name: _data(x) for name, x in kwargs.items()})
    operation = OPERATIONS.get(function)
    name = f"np.{function.__name__}"
    if operation is None:
        raise TypeError(
            f"{name} has no gradient here, so it does not take Variables; for its value alone, "
            "use .data"
        )
    try:
        SIGNATURES[function].bind(*args, **kwargs)
    except TypeError as error:
        takes = ", ".join(SIGNATURES[function].parameters)
        raise TypeError(f"{name} on a Variable: {error}; it takes {takes}") from None
    return operation(*args, **kwargs)


def _data(x: Any) -> Any:
    return x.data if isinstance(x, Variable) else x


Variable.__array_ufunc__ = _array_ufunc  # type: ignore[attr-defined]
Variable.__array_function__ = _array_function  # type: ignore[attr-defined]

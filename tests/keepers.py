"""The simplest keeper: it keeps nothing, and computes all from the leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autodiff import Function
from autodiff.held import alone
from autodiff.keepers.values import Value, values_kept
from autodiff.keeping import Keeper, Kept


class Nothing(Keeper):
    """What no leaf is, and nobody else holds, is computed again whenever a rule reads it."""

    def keep(self, function: Function, arrays: Sequence[Any], results: Sequence[Any]) -> None:
        function.kept = Again(values_kept(function, arrays, results))


class Again(Kept):
    """Values, none of them held."""

    __slots__ = ("values",)

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.values = values

    def arrays(self) -> Any:
        return alone(tuple([computed(x) for x in self.values]))


def computed(x: Any) -> Any:
    """The array of a Value; anything else as it is."""
    if not isinstance(x, Value):
        return x
    array = x.found()
    if array is None:
        assert x.making is not None
        array = x.making.operation.results([computed(of) for of in x.making.inputs])[x.number]
    return array

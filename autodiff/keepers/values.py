"""Arrays of a graph that may be dropped and computed again.

    Function -- making --> Making -- inputs --> the Values that it was applied to
       |                     |  ^
       `-- kept --> Value    |  `- making -- Value: an output; one without a Making stands anyway
                             `- - outputs - - -'

A Making repeats an application: it has a copy of the operation that is in no graph, so that a Value
refers to no Function and nothing to itself.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff.arrays import Array
from autodiff.gradients import Output, Source, function_of

if TYPE_CHECKING:
    from autodiff.graph import Function


class Value:
    """An array of a graph: held here, held by somebody else, or to be computed again.

    making: the application that gives it, as output `number`; None for one that stands anyway, such
        as a parameter. readers: how many rules still have to read it. note: its keeper's.
    """

    __slots__ = ("held", "_link", "making", "number", "readers", "note", "__weakref__")

    def __init__(self, array: Array, making: Making | None = None, number: int = 0) -> None:
        self.held: Array | None = array if making is None else None
        self._link = weakref.ref(array)
        self.making = making
        self.number = number
        self.readers = 0
        self.note: Any = None

    def found(self) -> Array | None:
        """The array, if anybody has it."""
        return self.held if self.held is not None else self._link()

    def hold(self, array: Array) -> None:
        """Keep this array alive, which the application has given."""
        self.held = array
        self._link = weakref.ref(array)

    def drop(self) -> None:
        """Keep it alive no more, where it can be computed again."""
        if self.making is not None:
            self.held = None


class Making:
    """An application that can be repeated.

    operation: a Function in no graph. inputs: for each operand its Value, or the number itself.
    note: the keeper's.
    """

    __slots__ = ("operation", "inputs", "note", "_outputs")

    def __init__(self, operation: Function, inputs: Sequence[Any], outputs: int) -> None:
        self.operation = operation
        self.inputs = tuple(inputs)
        self.note: Any = None
        self._outputs: list[weakref.ref[Value] | None] = [None] * outputs

    def output(self, number: int, array: Array) -> Value:
        """The Value of an output whose array this is."""
        link = self._outputs[number]
        value = None if link is None else link()
        if value is None:
            value = Value(array, self, number)
            self._outputs[number] = weakref.ref(value)
        return value

    def outputs(self) -> list[Value | None]:
        """The Value of each output; None for one that nobody asks for."""
        return [None if link is None else link() for link in self._outputs]

    def missing(self) -> list[Value]:
        """Those of its inputs that must be computed before it can run."""
        return [x for x in self.inputs if isinstance(x, Value) and x.found() is None]

    def again(self) -> Sequence[Array]:
        """What the operation gives for its inputs, none of which is missing."""
        arrays = [x.found() if isinstance(x, Value) else x for x in self.inputs]
        return self.operation.results(arrays)


def values_kept(
    function: Function, arrays: Sequence[Any], results: Sequence[Array]
) -> tuple[Any, ...]:
    """What a Function keeps, as Values, it having been taken into the graph.

    arrays: what its forward got, arrays and numbers. results: what it gave. The Function knows from
    now on how its application is repeated. Numbers, and None for what is not kept, stay.
    """
    sources = function.sources
    inputs = [
        _value(source, x) if isinstance(x, np.ndarray) else x
        for source, x in zip(sources, arrays, strict=True)
    ]
    making = function.making = Making(function.again(), inputs, len(results))
    kept = function.kept if type(function.kept) is tuple else (function.kept,)
    positions = range(len(inputs)) if function.saves is None else function.saves
    return tuple(
        [
            x
            if not isinstance(x, np.ndarray)
            else inputs[position]
            if position < len(inputs)
            else making.output(position - len(inputs), x)
            for position, x in zip(positions, kept, strict=True)
        ]
    )


def _value(source: Source | None, array: Array) -> Value:
    """The Value of an input; one that stands anyway, where the way to make it is not known."""
    function = function_of(source)
    making = None if function is None else function.making
    if making is None:
        return Value(array)
    return making.output(source.number if type(source) is Output else 0, array)

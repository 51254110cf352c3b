"""What a Function holds beside what every one does, and how it holds one thing or several.

Most hold one of each: one source, one array. So one thing is held without a tuple around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from autodiff.arrays import Array, Spec, gradient_spec
from autodiff.gradients import Source
from autodiff.memory import Link

if TYPE_CHECKING:
    from autodiff.keepers.values import Making

Specs: TypeAlias = "tuple[list[Spec | None], list[Spec]]"


class More:
    """What just some Functions hold.

    specs: shapes and dtypes of the gradients of inputs and outputs, where they are not all alike.
    inputs: the inputs whole, where the mode keeps them.
    making: how to repeat the application, where what it keeps may be computed again.
    outlived: links to others that outlived the graph behind them, once it was released from here.
    """

    __slots__ = ("specs", "inputs", "making", "outlived")

    def __init__(self, specs: Specs | None = None, inputs: tuple[Any, ...] | None = None) -> None:
        self.specs, self.inputs = specs, inputs
        self.making: Making | None = None
        self.outlived: list[Link] | None = None


def specs_of(
    sources: Sequence[Source | None], arrays: Sequence[Any], results: Sequence[Array]
) -> Specs | None:
    """Of the gradients of inputs and outputs; None where all are like that of the only output."""
    of_inputs = [
        None if source is None else gradient_spec(x)
        for source, x in zip(sources, arrays, strict=True)
    ]
    of_outputs = [gradient_spec(y) for y in results]
    alike = len(results) == 1 and all(s in (None, of_outputs[0]) for s in of_inputs)
    return None if alike else (of_inputs, of_outputs)


def alone(things: Any) -> Any:
    """One thing without the tuple or list around it; of any other number the tuple or list."""
    return things[0] if len(things) == 1 else things


def several(things: Any) -> Any:
    """Things in a tuple, also where it is one without."""
    return things if type(things) is tuple else (things,)


@cache
def picker(positions: tuple[int, ...]) -> Callable[[tuple[Any, ...]], Any]:
    """What takes the things at these positions from a tuple; of one position without a tuple."""
    return itemgetter(*positions) if positions else itemgetter(slice(0))

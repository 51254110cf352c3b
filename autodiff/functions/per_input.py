"""Gradient rules in one part for each input."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

from autodiff.gradients import Source
from autodiff.graph import Function
from autodiff.held import picker


class PerInput(Function):
    """A Function whose rule has one part for each input: `grad0(gy)`, `grad1(gy)`, and so on.

    Nothing is kept or computed for an input that wants no gradient, such as a number.
    reads: for each input the positions that its part reads, as `saves` counts them; `saves` follows
        from it.
    """

    __slots__ = ()

    reads: ClassVar[tuple[tuple[int, ...], ...]]

    parts: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        cls.saves = tuple(sorted({position for part in cls.reads for position in part}))
        cls.parts = tuple(f"grad{i}" for i in range(len(cls.reads)))

    def select(self, sources: tuple[Source | None, ...], arrays: tuple[Any, ...]) -> Any:
        wanted = tuple([source is not None for source in sources])
        return pickers(self.reads, wanted)((*arrays, None))

    def backward(self, gy: Any) -> Any:
        return [
            getattr(self, part)(gy) if want else None
            for part, want in zip(self.parts, self.wanted, strict=True)
        ]


@cache
def pickers(
    reads: tuple[tuple[int, ...], ...], wanted: tuple[bool, ...]
) -> Callable[[tuple[Any, ...]], Any]:
    """What takes the arrays that the parts for wanted inputs read; the last stands for the rest."""
    read = {p for part, want in zip(reads, wanted, strict=True) if want for p in part}
    every = sorted({p for part in reads for p in part})
    return picker(tuple([p if p in read else -1 for p in every]))

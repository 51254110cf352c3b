"""Gradient rules in one part for each input."""

from __future__ import annotations

from typing import Any, ClassVar

from autodiff.graph import Function


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

    def select(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        read = {p for part, want in zip(self.reads, self.wanted, strict=True) if want for p in part}
        return tuple([arrays[p] if p in read else None for p in self.saves or ()])

    def backward(self, gy: Any) -> Any:
        return [
            getattr(self, part)(gy) if want else None
            for part, want in zip(self.parts, self.wanted, strict=True)
        ]

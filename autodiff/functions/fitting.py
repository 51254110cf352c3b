"""Operations whose gradients come out as they must be."""

from __future__ import annotations

from sys import getrefcount
from typing import Any

from autodiff.arrays import Array, Spec, as_array
from autodiff.config import Recording
from autodiff.gradients import ALONE, Gradient, Pass, Source
from autodiff.graph import Function
from autodiff.held import More


class Fitting(Function):
    """An operation whose rule gives gradients in the shapes and dtypes of its inputs by itself.

    Nothing is noted of these, then, and nobody looks: a step of an RNN holds 1.4 KiB less.
    """

    __slots__ = ()

    def fits(self, y: Array, *xs: Any) -> bool:
        """Whether it does for this result of these arrays and numbers."""
        raise NotImplementedError(f"{type(self).__name__} defines no fits")

    def more(self, recording: Recording, *found: Any) -> More | None:
        _, _, arrays, (y,) = found
        plain = not recording.keeps_inputs and recording.keeper is None
        if plain and self.fits(y, *arrays):
            return None
        return super().more(recording, *found)

    def turn_over(self, gy: Gradient, run: Pass) -> tuple[Source | None, Gradient]:
        sources = self._sources
        if sources is None or self._more is not None:
            return super().turn_over(gy, run)
        run.left = sources, self.backward(as_array(gy))
        if run.release and getrefcount(self) > ALONE:
            self.release(run.outlived)
        return None, None

    def fitted(self, gx: Any, i: int, spec: Spec, create_graph: bool) -> Any:
        return gx if self._more is None else super().fitted(gx, i, spec, create_graph)

"""Operations of one operand and of two: what any Function does, in a straight line for these.

Where operands and result are alike in shape and dtype, so are the gradients that the rules here
make, and nobody has to look.
"""

from __future__ import annotations

from functools import wraps
from types import FunctionType
from typing import Any, ClassVar

from numpy import asarray, float64, ndarray

from autodiff.config import settings
from autodiff.functions.per_input import PerInput, pickers
from autodiff.gradients import Gradient, Pass, Source
from autodiff.graph import NUMBERS, Function
from autodiff.variable import Operand, Variable, as_constant, source_of

_new = object.__new__


def _own_code(cls: type[Function]) -> None:
    """Give a class copies of the methods that every operation passes through.

    The interpreter notes with each attribute in a method's code which class it found there last;
    where many classes share the code, it searches anew. Copies save a tenth of Goldstein-Price.
    """
    for name in ("apply", "backward", "turn_over"):
        method = getattr(cls, name)
        if name not in vars(cls):
            own = FunctionType(
                method.__code__.replace(), method.__globals__, name, None, method.__closure__
            )
            setattr(cls, name, wraps(method)(own))


class Unary(Function):
    """An operation on one operand that gives an array of its shape, and keeps one or none."""

    __slots__ = ()

    forward: Any  # a function of NumPy's, or a method
    keeps_x: ClassVar[bool]
    keeps_y: ClassVar[bool]

    def __init_subclass__(cls) -> None:
        cls.keeps_x, cls.keeps_y = cls.saves == (0,), cls.saves == (1,)
        _own_code(cls)

    def apply(self, x: Operand) -> Any:  # type: ignore[override]
        recording = settings().straight
        if recording is None or not isinstance(x, Variable) or not x.requires_grad:
            return self.apply_any(x)
        array = x._array
        try:
            y = self.forward(array)
        except Exception as error:
            self.explain(error, (array,))
            raise
        if type(y) is not ndarray:
            y = asarray(y) if type(y) is float64 else self.checked(y)
        source = x._source or source_of(x)
        self.generation = source.generation + 1
        self._sources = source
        self.kept = array if self.keeps_x else y if self.keeps_y else ()
        self._more = (
            None
            if y.dtype is array.dtype
            else self.more(recording, (x,), (source,), (array,), (y,))
        )
        output = _new(Variable)
        output._array = y
        output._grad = output.grad_var = output.name = None
        output.requires_grad = True
        output._source = self
        self._links = recording.link(output)
        return output

    def turn_over(self, gy: Gradient, run: Pass) -> tuple[Any, Any]:
        source = self._sources
        if source is None or self._more is not None:
            return self.turn_over_any([gy], run)
        gx = self.backward(gy)
        if type(gx) is not ndarray:
            gx = asarray(gx)
        if run.release:
            self._sources = None
            self.kept = ()
            if self._links() is not None:
                run.outlived.append(self._links)
        return source, gx


class Binary(PerInput):
    """An operation on two operands that broadcast, or on matrices."""

    __slots__ = ("wants",)
    reads: ClassVar[tuple[tuple[int, ...], ...]] = ((), ())

    forward: Any
    grad0: Any
    grad1: Any
    wants: int  # which operand has a gradient: 0 or 1, and is its only source; 2: both have one
    picks: ClassVar[tuple[Any, ...]]  # for each of these, takes what the rule reads from x0, x1, y

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        wants = ((True, False), (False, True), (True, True))
        cls.picks = tuple([pickers(cls.reads, want) if cls.saves else None for want in wants])
        _own_code(cls)

    def apply(self, x0: Operand, x1: Operand) -> Any:  # type: ignore[override]
        recording = settings().straight
        if recording is None:
            return self.apply_any(x0, x1)
        source0 = source1 = None
        if isinstance(x0, Variable):
            a0 = x0._array
            if x0.requires_grad:
                source0 = x0._source or source_of(x0)
        else:
            a0 = x0 if type(x0) in NUMBERS else self.constant(x0)
        if isinstance(x1, Variable):
            a1 = x1._array
            if x1.requires_grad:
                source1 = x1._source or source_of(x1)
        else:
            a1 = x1 if type(x1) in NUMBERS else self.constant(x1)
        try:
            y = self.forward(a0, a1)
        except Exception as error:
            self.explain(error, (a0, a1))
            raise
        if type(y) is not ndarray:
            y = asarray(y) if type(y) is float64 else self.checked(y)
        if source1 is None:
            if source0 is None:
                return as_constant(y)
            self.wants = wants = 0
            self._sources = source0
            generation = source0.generation
            alike = y.dtype is a0.dtype and (type(a1) in NUMBERS or y.shape == a0.shape)
        elif source0 is None:
            self.wants = wants = 1
            self._sources = source1
            generation = source1.generation
            alike = y.dtype is a1.dtype and (type(a0) in NUMBERS or y.shape == a1.shape)
        else:
            self.wants = wants = 2
            self._sources = (source0, source1)
            generation = source0.generation
            if generation < source1.generation:
                generation = source1.generation
            alike = y.dtype is a0.dtype is a1.dtype and y.shape == a0.shape == a1.shape
        self.generation = generation + 1
        self._more = (
            None
            if alike or self.fits(y, a0, a1)
            else self.more(recording, (x0, x1), (source0, source1), (a0, a1), (y,))
        )
        pick = self.picks[wants]
        self.kept = pick((a0, a1, y, None)) if pick else ()
        output = _new(Variable)
        output._array = y
        output._grad = output.grad_var = output.name = None
        output.requires_grad = True
        output._source = self
        self._links = recording.link(output)
        return output

    def fits(self, y: Any, *xs: Any) -> bool:
        """Whether gradients come out as they must be although operands and result are not alike."""
        return False

    def held(self, sources: tuple[Source | None, ...]) -> Any:
        """Notes which operand has a gradient."""
        self.wants = 2 if None not in sources else 0 if sources[1] is None else 1
        return sources if self.wants == 2 else sources[self.wants]

    def _by_input(self) -> tuple[Source | None, ...]:
        if self.wants == 2:
            return self._sources
        return (self._sources, None) if self.wants == 0 else (None, self._sources)

    def backward(self, gy: Any) -> Any:
        wants = self.wants
        return None if wants == 1 else self.grad0(gy), None if wants == 0 else self.grad1(gy)

    def turn_over(self, gy: Gradient, run: Pass) -> tuple[Any, Any]:
        sources = self._sources
        if sources is None or self._more is not None:
            return self.turn_over_any([gy], run)
        gxs = self.backward(gy)
        wants = self.wants
        if wants < 2:
            gxs = gxs[wants]
            if type(gxs) is not ndarray:
                gxs = asarray(gxs)
        elif type(gxs[0]) is not ndarray or type(gxs[1]) is not ndarray:
            gxs = asarray(gxs[0]), asarray(gxs[1])
        if run.release:
            self._sources = None
            self.kept = ()
            if self._links() is not None:
                run.outlived.append(self._links)
        return sources, gxs

    def input_gradients(self, gys: list[Gradient], create_graph: bool) -> Any:
        gxs = super().input_gradients(gys, create_graph)
        return gxs if self.wants == 2 else gxs[self.wants]

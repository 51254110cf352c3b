"""Operations element by element, of one operand and of two: in a straight line for the usual case.

That case: operands alike in shape and dtype, or one and a number.
Then result and gradients are like them, and nobody has to look. All else goes the long way, which
is `Function.apply`.

The interpreter notes with each attribute in a function's code which class it found there last; so
every class here gets copies of the code that all operations pass through, which note its own. On
Goldstein-Price that saves 6 %. And what makes the output stands here twice: as a call it took 4 %.

Under create_graph a rule runs on Variables of what was kept, alike again (`as_variables`), and
nobody looks at what it gives. Newton's method takes 12 % less, and second derivatives of
Goldstein-Price a third, since numbers that stand as arrays are numbers again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any, ClassVar, TypeVar
from weakref import ref

from numpy import array, asarray, dtype, ndarray

from autodiff.arrays import SMALL, Spec
from autodiff.config import settings
from autodiff.functions.per_input import PerInput, pickers
from autodiff.gradients import Gradient, Pass, Source
from autodiff.graph import NUMBERS, Function, output_of
from autodiff.variable import Operand, Variable, spec_of, unchecked

_new = object.__new__
_make = ref.__new__

# NumPy takes an array of no dimensions in half the time of a number, of which it has to make one:
# a tenth of Goldstein-Price. Not so 0, which equals -0.0.
FLOAT64 = dtype("float64")
WHOLE: dict[Any, Any] = {number: array(float(number)) for number in range(-128, 129) if number}
for _array in WHOLE.values():
    _array.setflags(write=False)


F = TypeVar("F", bound=Callable[..., Any])


def _with_code_of_its_own(function: Any) -> Any:
    """The same function with a copy of its code."""
    own = FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    return wraps(function)(own)


class Unary(Function):
    """An operation on one operand that gives an array of its shape, and keeps one or none."""

    __slots__ = ()

    forward: Any

    def __init_subclass__(cls) -> None:
        cls.turn_over = _with_code_of_its_own(cls.turn_over)  # type: ignore[method-assign]

    def apply(self, x: Operand) -> Any:  # type: ignore[override]
        """One with an axis or the like of its own is made before its result, but asks no more."""
        if settings().straight is None or not isinstance(x, Variable):
            return self.apply_any(x)
        if (x._spec or spec_of(x)) is None or x._source is None:
            return self.apply_any(x)
        (y,) = self.results((x._array,))
        kept = self.select((x._source,), (x._array, y))
        return self.recorded(x._source, x.generation, kept, None, y)

    def turn_over(self, gy: Gradient, run: Pass) -> tuple[Source | None, Gradient]:
        source = self._sources
        if source is None or self._more is not None:
            return self.turn_over_any([gy], run)
        gx = self.backward(gy)
        if run.release:
            self._sources = None
            self.kept = ()
            if output_of(self) is not None:
                run.outlived += self.outputs
        return source, gx if type(gx) is ndarray else asarray(gx)

    def turn_over_any(self, gys: list[Gradient], run: Pass) -> tuple[Source | None, Gradient]:
        source = self._sources
        if source is None or self._more is not None or not run.is_differentiated:
            return super().turn_over_any(gys, run)
        (gy,) = gys
        spec = gy._spec or spec_of(gy) or (gy.shape, gy.dtype)
        return source, self.fitted(self._differentiated(gys), 0, spec, True)

    def as_variables(self, gys: list[Gradient]) -> Any:
        if self._more is not None:
            return super().as_variables(gys)
        source = self._sources if self.saves == (0,) else self
        return _part(self.kept, source, gys[0]._spec)


def straight(kind: Any) -> Callable[[F], F]:
    """Decorates the function that applies an operation: the usual case goes a straight line.

    All else is left to the function. `forward` of the operation is one of arrays, and no method.
    """
    line = _unary_line if issubclass(kind, Unary) else _binary_line

    def decorated(apply: Any) -> Any:
        return wraps(apply)(_with_code_of_its_own(line(kind, apply)))

    return decorated


def _unary_line(kind: type[Unary], the_long_way: Any) -> Any:
    """A straight line for a plain array of floats."""
    forward = kind.forward
    keeps_x, keeps_y = kind.saves == (0,), kind.saves == (1,)

    def apply(x: Any) -> Any:
        if settings().straight is None or not isinstance(x, Variable):
            return the_long_way(x)
        spec = x._spec or spec_of(x)
        x_data, source = x._array, x._source
        if spec is None:
            return the_long_way(x)
        try:
            y = forward(x_data)
        except Exception:
            return the_long_way(x)  # which explains it
        if type(y) is not ndarray:
            y = asarray(y)
        if source is None:
            return _constant(y, spec)
        output = _new(Variable)
        output._source = function = _make(kind, output)
        output._array = y
        output._grad = output.grad_var = output.name = None
        output._wanted = True
        output._spec = spec
        function.generation = generation = x.generation
        output.generation = generation + 1
        function._sources = source
        function.kept = x_data if keeps_x else y if keeps_y else ()
        function._links = function._more = None
        return output

    return apply


class Binary(PerInput):
    """An operation on two operands that broadcast."""

    __slots__ = ("wants",)
    reads: ClassVar[tuple[tuple[int, ...], ...]] = ((), ())
    numbers_as_arrays: ClassVar[bool] = True  # False where it matters how a number is given

    forward: Any
    grad0: Any
    grad1: Any
    wants: int  # which operand has a gradient: 0 or 1, and is its only source; 2: both have one

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.turn_over = _with_code_of_its_own(cls.turn_over)  # type: ignore[method-assign]

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

    def turn_over(self, gy: Gradient, run: Pass) -> tuple[Source | None, Gradient]:
        sources = self._sources
        if sources is None or self._more is not None:
            return self.turn_over_any([gy], run)
        gx0, gx1 = self.backward(gy)
        if run.release:
            self._sources = None
            self.kept = ()
            if output_of(self) is not None:
                run.outlived += self.outputs
        wants = self.wants
        if wants == 0:
            return sources, gx0 if type(gx0) is ndarray else asarray(gx0)
        if wants == 1:
            return sources, gx1 if type(gx1) is ndarray else asarray(gx1)
        if gy.size > SMALL:
            run.left = sources, [gx0, gx1]
            return None, None
        if type(gx0) is not ndarray or type(gx1) is not ndarray:
            gx0, gx1 = asarray(gx0), asarray(gx1)
        tables = run.tables  # where small ones go at once: nobody asks who else holds those
        source, other = sources
        table = tables[source.generation]
        if table is None:
            tables[source.generation] = {source: gx0}
        elif source in table:
            table[source] = asarray(table[source] + gx0)
        else:
            table[source] = gx0
        table = tables[other.generation]
        if table is None:
            tables[other.generation] = {other: gx1}
        elif other in table:
            table[other] = asarray(table[other] + gx1)
        else:
            table[other] = gx1
        return None, None

    def turn_over_any(self, gys: list[Gradient], run: Pass) -> tuple[Source | None, Gradient]:
        sources, wants = self._sources, self.wants
        if sources is None or self._more is not None or not run.is_differentiated:
            return super().turn_over_any(gys, run)
        (gy,) = gys
        spec = gy._spec or spec_of(gy) or (gy.shape, gy.dtype)
        gx0, gx1 = self._differentiated(gys)
        if wants == 0:
            return sources, self.fitted(gx0, 0, spec, True)
        if wants == 1:
            return sources, self.fitted(gx1, 1, spec, True)
        run.left = sources, [self.fitted(gx0, 0, spec, True), self.fitted(gx1, 1, spec, True)]
        return None, None

    def as_variables(self, gys: list[Gradient]) -> Any:
        if self._more is not None:
            return super().as_variables(gys)
        spec, sources = gys[0]._spec, (*self._by_input(), self)
        variables: list[Any] = []
        for position, x in zip(self.saves or (), self.kept, strict=True):
            if isinstance(x, ndarray):
                source = sources[position]
                is_number = source is None and not x.ndim and self.numbers_as_arrays
                x = x.item() if is_number else _part(x, source, spec)
            variables.append(x)
        return tuple(variables)

    def for_sources(self, gxs: list[Gradient | None]) -> Any:
        return gxs if self.wants == 2 else gxs[self.wants]


def _part(array: Any, source: Source | None, spec: Spec | None) -> Variable:
    """A kept array as part of the graph; operations need not look at it if it has this spec."""
    variable = unchecked(array, source, source is not None)
    if spec is not None and array.dtype is spec[1] and array.shape == spec[0]:
        variable._spec = spec
    return variable


def _constant(y: Any, spec: Spec) -> Variable:
    """The result for operands that want no gradient, which nothing is recorded of."""
    output = unchecked(y, None, requires_grad=False)
    output._spec = spec
    return output


def _binary_line(kind: type[Binary], the_long_way: Any) -> Any:
    """A straight line for two operands alike, or one and a number."""
    forward = kind.forward
    whole = WHOLE if kind.numbers_as_arrays else {}
    is_product = kind.reads == ((1,), (0,))
    keep0, keep1, keep2 = [
        pickers(kind.reads, wanted) if kind.saves else None
        for wanted in ((True, False), (False, True), (True, True))
    ]

    def apply(x0: Any, x1: Any) -> Any:
        if settings().straight is None:
            return the_long_way(x0, x1)
        sources: Any
        if isinstance(x1, Variable):
            spec = x1._spec or spec_of(x1)
            a1, other = x1._array, x1._source
            generation = x1.generation
            if isinstance(x0, Variable):
                if spec is None or (x0._spec or spec_of(x0)) is not spec:
                    return the_long_way(x0, x1)
                a0, source = x0._array, x0._source
                if source is None or other is None:
                    wants = 0 if other is None else 1
                    sources = source or other
                    keep = keep0 if other is None else keep1
                else:
                    wants = 2
                    sources = source, other
                    keep = keep2
                if generation < x0.generation:
                    generation = x0.generation
            else:
                if spec is None or type(x0) not in NUMBERS:
                    return the_long_way(x0, x1)
                a0 = whole[x0] if x0 in whole and spec[1] is FLOAT64 else x0
                wants = 1
                sources = other
                keep = keep1
        else:
            if not isinstance(x0, Variable) or type(x1) not in NUMBERS:
                return the_long_way(x0, x1)
            spec = x0._spec or spec_of(x0)
            a0, source = x0._array, x0._source
            if spec is None:
                return the_long_way(x0, x1)
            a1 = whole[x1] if x1 in whole and spec[1] is FLOAT64 else x1
            wants = 0
            sources = source
            generation = x0.generation
            keep = keep0
        try:
            y = forward(a0, a1)
        except Exception:
            return the_long_way(x0, x1)  # which explains it
        if type(y) is not ndarray:
            y = asarray(y)
        if sources is None:
            return _constant(y, spec)
        output = _new(Variable)
        output._source = function = _make(kind, output)
        output._array = y
        output._grad = output.grad_var = output.name = None
        output._wanted = True
        output._spec = spec
        function.generation = generation
        output.generation = generation + 1
        function._sources = sources
        function.wants = wants
        if is_product:
            function.kept = a0 if wants else None, a1 if wants != 1 else None
        else:
            function.kept = keep((a0, a1, y, None)) if keep else ()
        function._links = function._more = None
        return output

    return apply

"""Operations element by element, of one operand and of two: in a straight line for the usual case.

That case: operands alike in shape and dtype, or one and a number.
Then result and gradients are like them, and nobody has to look. All else goes the long way, which
is `Function.apply`.

The interpreter notes with each attribute in a function's code which class it found there last; so
every class here gets copies of the code that all operations pass through, which note its own. On
Goldstein-Price that saves 6 %. And what makes the output stands here twice: as a call it took 4 %.

Rules are copied likewise for small arrays, of which new ones are made sooner than old ones written
to: what asks whether an array is small (`times` and the like) is there the plain operator. That
saves 4 % on a chain of sines.

Under create_graph a rule runs on Variables of what was kept, alike again (`as_variables`), and
nobody looks at what it gives. Newton's method takes 12 % less, and second derivatives of
Goldstein-Price a third, since numbers that stand as arrays are numbers again.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import wraps
from sys import getrefcount
from types import FunctionType
from typing import Any, ClassVar, TypeVar
from weakref import ref

from numpy import asarray, ndarray, ufunc

from autodiff.arrays import UFUNCS_KEEP_ARRAYS, WHOLE_NUMBERS, Form
from autodiff.config import settings
from autodiff.functions.per_input import PerInput, pickers
from autodiff.gradients import ALONE, Gradient, Pass, Source, add
from autodiff.graph import NUMBERS, Function
from autodiff.variable import Operand, Variable, form_of

_new = object.__new__
_make = ref.__new__

F = TypeVar("F", bound=Callable[..., Any])


def _with_code_of_its_own(function: Any, **changes: Any) -> Any:
    """The same function with a copy of its code, and some changes to that."""
    own = FunctionType(
        function.__code__.replace(**changes),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    return wraps(function)(own)


# What rules call in order to write into an array of their own, as it is where that does not pay.
OF_SMALL = {"times": operator.mul, "taken_from": operator.sub}


def _of_small(rule: Any) -> Any:
    """The same rule for small arrays, with the names of OF_SMALL meaning what stands there."""
    others = {name: f"{name} of small" for name in OF_SMALL}
    rule.__globals__.update({others[name]: OF_SMALL[name] for name in OF_SMALL})
    names = tuple([others.get(name, name) for name in rule.__code__.co_names])
    return _with_code_of_its_own(rule, co_names=names)


class Unary(Function):
    """An operation on one operand that gives an array of its shape, and keeps one or none."""

    __slots__ = ()

    forward: Any
    backward_of_small: Any

    def __init_subclass__(cls) -> None:
        cls.turn_over = _with_code_of_its_own(cls.turn_over)  # type: ignore[method-assign]
        cls.backward_of_small = _of_small(cls.backward)

    def apply(self, x: Operand) -> Any:  # type: ignore[override]
        """One with an axis or the like of its own is made before its result, but asks no more."""
        if settings().straight is None or not isinstance(x, Variable):
            return self.apply_any(x)
        form = x._form or form_of(x)
        if form is None or x._source is None:
            return self.apply_any(x)
        (y,) = self.results((x._array,))
        kept = self.select((x._source,), (x._array, y))
        return self.recorded(x._source, x.generation, kept, None, y, form)

    def turn_over(self, gy: Gradient, run: Pass) -> tuple[Source | None, Gradient]:
        source, form = self._sources, self.form
        if source is None or form is None:
            return super().turn_over(gy, run)
        gx = self.backward_of_small(gy) if form.is_small else self.backward(gy)
        if run.release and getrefcount(self) > ALONE:
            self.release(run.outlived)
        return source, gx

    def turn_over_any(self, gys: list[Gradient], run: Pass) -> tuple[Source | None, Gradient]:
        source, form = self._sources, self.form
        if source is None or form is None or not run.is_differentiated:
            return super().turn_over_any(gys, run)
        return source, self.alike(self._differentiated(gys), 0)

    def as_variables(self, gys: list[Gradient]) -> Any:
        if self.form is None:
            return super().as_variables(gys)
        return _part(self.kept, self if self.saves == (1,) else self._sources, self.form)


def _of_scalars(kind: Any) -> Any:
    """Its forward, giving an array of no dimensions where NumPy gives a number."""
    forward = kind.forward
    if not (isinstance(forward, ufunc) and UFUNCS_KEEP_ARRAYS):
        return lambda *arrays: asarray(forward(*arrays))
    if issubclass(kind, Unary):
        return lambda x: forward(x, out=...)  # in 90 ns less
    return lambda x0, x1: forward(x0, x1, out=...)


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
    forward, of_scalars = kind.forward, _of_scalars(kind)
    keeps_x, keeps_y = kind.saves == (0,), kind.saves == (1,)

    def apply(x: Any) -> Any:
        if settings().straight is None:
            return the_long_way(x)
        try:
            form = x._form
            if form is None:
                form = form_of(x)
                if form is None:
                    return the_long_way(x)
            x_data, source = x._array, x._source
            y = of_scalars(x_data) if form.is_scalar else forward(x_data)
        except Exception:
            return the_long_way(x)  # which explains it, or takes what is no Variable
        if source is None:
            return _part(y, None, form)
        output = _new(Variable)
        output._source = function = _make(kind, output)
        output._array = y
        output._grad = output.grad_var = output.name = None
        output._wanted = True
        output._form = form
        function.form = form
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

    is_linear: ClassVar[tuple[bool, bool, bool]]  # in what `wants` says: a constant stays one

    forward: Any
    grad0: Any
    grad1: Any
    grad0_of_small: Any
    grad1_of_small: Any
    wants: int  # which operand has a gradient: 0 or 1, and is its only source; 2: both have one

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        by_x0, by_x1 = cls.reads
        cls.is_linear = not {0, 2} & {*by_x0}, not {1, 2} & {*by_x1}, not (by_x0 or by_x1)
        cls.turn_over = _with_code_of_its_own(cls.turn_over)  # type: ignore[method-assign]
        if hasattr(cls, "grad0"):
            cls.grad0_of_small, cls.grad1_of_small = _of_small(cls.grad0), _of_small(cls.grad1)

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
        sources, form = self._sources, self.form
        if sources is None or form is None:
            return super().turn_over(gy, run)
        wants = self.wants
        if wants != 2:
            if form.is_small:
                gx = self.grad1_of_small(gy) if wants else self.grad0_of_small(gy)
            else:
                gx = self.grad1(gy) if wants else self.grad0(gy)
            if run.release and getrefcount(self) > ALONE:
                self.release(run.outlived)
            return sources, gx
        if not form.is_small:
            run.left = sources, [self.grad0(gy), self.grad1(gy)]
            if run.release and getrefcount(self) > ALONE:
                self.release(run.outlived)
            return None, None
        gx0, gx1 = self.grad0_of_small(gy), self.grad1_of_small(gy)
        if run.release:
            self.kept = ()  # before anything is added up
            if getrefcount(self) > ALONE:
                self.release(run.outlived)
        tables = run.tables  # where small ones go at once: nobody asks who else holds those
        source, other = sources
        generation = source.generation
        table = tables[generation]
        if table is None:
            tables[generation] = {source: gx0}
        elif source not in table:
            table[source] = gx0
        else:
            table[source] = table[source] + gx0
        generation = other.generation
        table = tables[generation]
        if table is None:
            tables[generation] = {other: gx1}
        elif other not in table:
            table[other] = gx1
        else:
            table[other] = table[other] + gx1
        return None, None

    def turn_over_any(self, gys: list[Gradient], run: Pass) -> tuple[Source | None, Gradient]:
        sources, form = self._sources, self.form
        if sources is None or form is None or not run.is_differentiated:
            return super().turn_over_any(gys, run)
        wants, gy = self.wants, gys[0]
        if gy._wanted or not self.is_linear[wants]:
            gx0, gx1 = self._differentiated(gys)
            gx0 = None if wants == 1 else self.alike(gx0, 0)
            gx1 = None if wants == 0 else self.alike(gx1, 1)
        else:
            gx0, gx1 = self.backward(gy._array)
            gx0 = None if wants == 1 else _part(asarray(gx0), None, form)
            gx1 = None if wants == 0 else _part(asarray(gx1), None, form)
        if wants != 2:
            return sources, gx1 if wants else gx0
        add(run.tables, sources[0], [gx0])
        add(run.tables, sources[1], [gx1])
        return None, None

    def as_variables(self, gys: list[Gradient]) -> Any:
        form = self.form
        if form is None:
            return super().as_variables(gys)
        sources, wants, variables = self._sources, self.wants, []
        for place, position in enumerate(self.saves or ()):
            x = self.kept[place]
            if type(x) is ndarray:
                if position == 2:
                    x = _part(x, self, form)
                elif wants == 2:
                    x = _part(x, sources[position], form)
                elif wants == position:
                    x = _part(x, sources, form)
                elif x.ndim or not self.numbers_as_arrays:
                    x = _part(x, None, form)
                else:
                    x = x.item()
            variables.append(x)
        return tuple(variables)

    def for_sources(self, gxs: list[Gradient | None]) -> Any:
        return gxs if self.wants == 2 else gxs[self.wants]


def _part(array: Any, source: Source | None, form: Form) -> Variable:
    """An array as part of the graph, or, without a source, as a constant beside it."""
    variable = _new(Variable)
    variable._array = array
    variable._grad = variable.grad_var = variable.name = None
    variable._form = form
    variable._source = source
    variable._wanted = source is not None
    variable.generation = 0 if source is None else source.generation + 1
    return variable


def _binary_line(kind: type[Binary], the_long_way: Any) -> Any:
    """A straight line for two operands alike, or one and a number."""
    forward, of_scalars = kind.forward, _of_scalars(kind)
    whole = WHOLE_NUMBERS if kind.numbers_as_arrays else [{} for _ in WHOLE_NUMBERS]
    is_product = kind.reads == ((1,), (0,))
    keep0, keep1, keep2 = [
        pickers(kind.reads, wanted) if kind.saves else None
        for wanted in ((True, False), (False, True), (True, True))
    ]

    def with_forms(x0: Any, x1: Any) -> Any:
        """The same where the forms of operands are not alike, or not known yet."""
        found = [form_of(x) for x in (x0, x1) if isinstance(x, Variable) and x._form is None]
        return apply(x0, x1) if found and None not in found else the_long_way(x0, x1)

    def apply(x0: Any, x1: Any) -> Any:
        if settings().straight is None:
            return the_long_way(x0, x1)
        sources: Any
        kind1 = type(x1)
        if kind1 is not Variable and kind1 in NUMBERS:
            if not isinstance(x0, Variable):
                return the_long_way(x0, x1)
            form = x0._form
            if form is None:
                return with_forms(x0, x1)
            a0, sources = x0._array, x0._source
            a1 = whole[form.numbers].get(x1, x1)
            wants = 0
            generation = x0.generation
            keep = keep0
        elif kind1 is Variable or isinstance(x1, Variable):
            form = x1._form
            if form is None:
                return with_forms(x0, x1)
            a1, other = x1._array, x1._source
            generation = x1.generation
            kind0 = type(x0)
            if kind0 is not Variable and kind0 in NUMBERS:
                a0 = whole[form.numbers].get(x0, x0)
                wants = 1
                sources = other
                keep = keep1
            elif kind0 is Variable or isinstance(x0, Variable):
                if x0._form is not form:
                    return with_forms(x0, x1)
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
                return the_long_way(x0, x1)
        else:
            return the_long_way(x0, x1)
        try:
            y = of_scalars(a0, a1) if form.is_scalar else forward(a0, a1)
        except Exception:
            return the_long_way(x0, x1)  # which explains it
        if sources is None:
            return _part(y, None, form)
        output = _new(Variable)
        output._source = function = _make(kind, output)
        output._array = y
        output._grad = output.grad_var = output.name = None
        output._wanted = True
        output._form = form
        function.form = form
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

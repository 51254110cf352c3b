"""Random numbers that a function draws, drawn again when it is called another time.

Drawn again is what comes from NumPy's global generator, from `replayed`, and from every generator
that the function holds: in its closure, its defaults, the globals that its code names, the object
that it is a method of, their attributes, and the items of lists, tuples, sets and dicts among them;
so, too, in functions and classes of the user's own that it reaches in this way. A generator that
is only found at run time (by getattr, in a module's function that is named by a string) is not; nor
can the numbers be the same ones where several threads draw from one generator.
"""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from ctypes import string_at
from types import (
    BuiltinMethodType,
    CellType,
    CodeType,
    FunctionType,
    MethodType,
    ModuleType,
)
from typing import Any, TypeAlias

import numpy as np

Generators: TypeAlias = "list[tuple[Any, Any]]"  # each with a state of it

KINDS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
GLOBAL = np.random.get_state.__self__  # type: ignore[attr-defined]  # whose method it is
PLAIN = frozenset((int, float, str, bool, bytes, complex, type(None), np.ndarray))
SYSTEM = frozenset((*sys.stdlib_module_names, "autodiff", "numpy"))


class Draws:
    """What random numbers are drawn while a function runs, by the states of what draws them."""

    def __init__(self, things: Iterable[Any]) -> None:
        self._before = [(found, state_of(found)) for found in (GLOBAL, *generators_in(things))]
        self._words = words_of(self._before[0][1])
        self._noted: Generators = []  # what `replayed` was asked for, and its state then, in turn

    def note(self, generator: np.random.Generator) -> None:
        """Take down that this generator is about to be drawn from."""
        self._noted.append((generator, state_of(generator)))

    def end(self) -> None:
        """The function has returned: forget the generators that it did not draw from."""
        self._before = [
            (found, state) for found, state in self._before if not self._is_as_before(found, state)
        ]

    def _is_as_before(self, found: Any, state: Any) -> bool:
        if found is GLOBAL and self._words is not None:
            return self._words == words_of(state)
        return alike(state, state_of(found))

    @contextmanager
    def again(self) -> Generator[Replay, None, None]:
        """The generators as they were then; afterwards they are as they are now."""
        every = {id(found): found for found, _ in (*self._before, *self._noted)}
        now = [(found, state_of(found)) for found in every.values()]
        set_states(self._before)
        try:
            yield Replay(self._noted)
        finally:
            set_states(now)


class Replay:
    """What `replayed` gives when the function is called again."""

    def __init__(self, noted: Generators) -> None:
        self._noted = iter(noted)

    def next(self) -> np.random.Generator:
        """The next generator, in the state in which it was the first time."""
        for generator, state in self._noted:
            set_states([(generator, state)])
            found: np.random.Generator = generator
            return found
        raise RuntimeError(
            "a function under checkpoint draws random numbers more often when it is computed again "
            "than it did at first: it must do the same both times"
        )


def state_of(generator: Any) -> Any:
    """The state of what draws random numbers."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.getstate() if isinstance(generator, random.Random) else generator.state


def words_of(state: Any) -> bytes | None:
    """The words of NumPy's global generator as they are now, to tell whether it was drawn from.

    state: what it was before. None where the words cannot tell: where it is no Mersenne twister, or
    keeps a normal number for the next call, which changes no word. Reading them takes half a
    microsecond, and the state 50: it is made of 624 numbers, one by one.
    """
    twister = np.random.get_bit_generator()  # type: ignore[attr-defined]
    if not isinstance(twister, np.random.MT19937) or state["has_gauss"]:
        return None
    return string_at(twister.ctypes.state_address, 4 * (624 + 1))


def set_states(generators: Generators) -> None:
    """Bring generators into these states."""
    for generator, state in generators:
        if isinstance(generator, np.random.Generator):
            generator.bit_generator.state = state
        elif isinstance(generator, np.random.RandomState):
            generator.set_state(state)
        elif isinstance(generator, random.Random):
            generator.setstate(state)
        else:
            generator.state = state


def alike(one: Any, other: Any) -> bool:
    """Whether two states are the same."""
    if isinstance(one, dict):
        return all(alike(value, other[key]) for key, value in one.items())
    if isinstance(one, np.ndarray):
        return bool((one == other).all())
    return bool(one == other)


# Found -------------------------------------------------------------------------------------------


def generators_in(things: Iterable[Any]) -> list[Any]:
    """What draws random numbers, among all that these things hold."""
    stack, found = list(things), []
    seen: dict[int, Any] = {}  # with the things, so that no number comes to stand for another one
    while stack:
        thing = stack.pop()
        if type(thing) in PLAIN or id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if isinstance(thing, KINDS):
            found.append(thing)
        else:
            stack.extend(held_by(thing))
    return [one for one in found if one is not GLOBAL]


def held_by(thing: Any) -> Iterable[Any]:
    """What a function, an object or a collection holds."""
    if isinstance(thing, list | tuple | set | frozenset):
        return thing
    if isinstance(thing, dict):
        return thing.values()
    if isinstance(thing, FunctionType):
        return () if is_system(thing) else held_by_function(thing)
    if isinstance(thing, MethodType | BuiltinMethodType):
        return (thing.__self__, getattr(thing, "__func__", None))
    if isinstance(thing, functools.partial):
        return (thing.func, thing.args, thing.keywords)
    if isinstance(thing, staticmethod | classmethod):
        return (thing.__func__,)
    if isinstance(thing, property):
        return (thing.fget,)
    if isinstance(thing, CellType):
        with suppress(ValueError):  # of a cell that is still empty
            return (thing.cell_contents,)
        return ()
    if isinstance(thing, ModuleType):
        return ()
    if isinstance(thing, type):
        return () if is_system(thing) else (*vars(thing).values(), *thing.__bases__)
    return (*getattr(thing, "__dict__", {}).values(), type(thing))


def is_system(thing: Any) -> bool:
    """Whether a function or class belongs to Python, to a library or to this package."""
    if (thing.__module__ or "").split(".")[0] in SYSTEM:
        return True
    code = getattr(thing, "__code__", None)
    return isinstance(code, CodeType) and "-packages" in code.co_filename  # of site, of dist


def held_by_function(function: Any) -> list[Any]:
    """Its closure and defaults, and what its code names among its globals or in modules there."""
    names = names_in(function.__code__)
    held = [*(function.__closure__ or ()), function.__defaults__, function.__kwdefaults__]
    namespaces = [function.__globals__]
    for namespace in namespaces:  # which grows
        for name in names & namespace.keys():
            if not isinstance(value := namespace[name], ModuleType):
                held.append(value)
            elif not any(vars(value) is known for known in namespaces):
                namespaces.append(vars(value))
    return held


def names_in(code: CodeType) -> set[str]:
    """The names that code uses, and code within it."""
    inside: Sequence[CodeType] = [c for c in code.co_consts if isinstance(c, CodeType)]
    return set(code.co_names).union(*map(names_in, inside))

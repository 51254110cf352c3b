"""The configuration in force: the memory mode, train or test, and the debug checks.

It belongs to the thread and the task that set it (a context variable); a new thread starts from the
default. The environment variable AUTODIFF_MODE names the default memory mode; without it, `lean`.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, overload

from autodiff.keeping import Keeper
from autodiff.memory import AXES, MODES, MemoryMode

if TYPE_CHECKING:
    from autodiff.checkpoint import Part

F = TypeVar("F", bound=Callable[..., Any])


class Recording:
    """What a Function asks when it is recorded, found out once for all of them."""

    __slots__ = ("link", "holds_outputs", "keeps_inputs", "debug", "keeper")

    def __init__(self, mode: MemoryMode, debug: bool, keeper: Keeper | None) -> None:
        self.keeper = keeper
        self.link = mode.link
        self.holds_outputs = mode.holds_outputs
        self.keeps_inputs = mode.keeps_inputs
        self.debug = debug


@dataclass(frozen=True)
class Settings:
    """Everything that is configured: one value, replaced whole."""

    mode: MemoryMode
    train: bool = True  # False: dropout, batch statistics and the like as in use, not in training
    debug: bool = False  # True: a kept array that was changed in place before backward is an error

    budget: int | None = None  # the bytes that arrays may come to; kept ones are computed again
    packer: Any = None  # what packs kept arrays
    keeper: Keeper | None = None  # what these two come to; None: arrays are kept as they are
    part: Part | None = field(default=None, repr=False, compare=False)  # what checkpoint computes

    recording: Recording | None = field(init=False, repr=False, compare=False)  # None: no graph
    # The same, where an operation may be recorded in a straight line; None sends it the long way.
    straight: Recording | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        recording = straight = None
        if self.mode.enable_backprop:
            if self.mode.keeps_inputs:
                self._refuse_keepers()
            recording = Recording(self.mode, self.debug, self.keeper)
            holds_more = recording.keeps_inputs or recording.holds_outputs
            if not (self.keeper or self.debug or holds_more):
                straight = recording
        object.__setattr__(self, "recording", recording)
        object.__setattr__(self, "straight", straight)

    def _refuse_keepers(self) -> None:
        """Raise ValueError where kept arrays are to be held in another form."""
        for name in KEEPERS:
            if (value := getattr(self, name)) is not None:
                raise ValueError(
                    f"{name} = {value!r} in a mode with kept='inputs': there the graph holds every "
                    "Variable whole, and no array can be held otherwise, or computed again; use "
                    "kept='declared', as the mode 'lean' has it"
                )

    def changed(self, name: str, value: Any) -> Settings:
        """These settings with one of them changed.

        Raises AttributeError for an unknown name and ValueError for a value that it does not take.
        """
        changes: dict[str, Any] = {name: value}
        if name in AXES:
            return replace(self, mode=replace(self.mode, **changes))
        if name == "mode":
            return replace(self, mode=as_mode(value))
        if name == "keeper":
            return replace(self, keeper=value)
        if name in KEEPERS:
            return self._kept(name, value)
        if name not in NAMES:
            raise AttributeError(f"no configuration is named {name!r}; {valid_names(name, NAMES)}")
        if not isinstance(value, bool):
            raise ValueError(f"{name} = {value!r}: allowed are True and False")
        return replace(self, **changes)

    def _kept(self, name: str, value: Any) -> Settings:
        """These settings, with kept arrays held in another form; None: as they are."""
        for other in KEEPERS:
            if other != name and value is not None and getattr(self, other) is not None:
                raise ValueError(
                    f"{name} = {value!r}: a {other} is in force, and arrays are kept in one way at "
                    f"a time; switch it off with using_config({other!r}, None)"
                )
        changes: dict[str, Any] = {name: value}
        if value is not None:
            changes["keeper"] = KEEPERS[name](value)
        elif getattr(self, name) is not None:
            changes["keeper"] = None
        return replace(self, **changes)

    @property
    def with_graphs(self) -> Settings:
        """These settings, with graphs recorded."""
        return self if self.recording else self._other

    @property
    def without_graphs(self) -> Settings:
        """These settings, with no graph recorded."""
        return self._other if self.recording else self

    @cached_property
    def _other(self) -> Settings:
        """These settings, with graphs where there are none, and none where there are."""
        return self.changed("enable_backprop", self.recording is None)


# What makes a keeper of a setting's value, and raises ValueError or TypeError where it cannot: the
# rooms that have keepers enter them here.
KEEPERS: dict[str, Callable[[Any], Keeper]] = {}

NAMES = (*AXES, *(f.name for f in fields(Settings) if f.init and f.name not in ("keeper", "part")))


def valid_names(name: str, valid: tuple[str, ...]) -> str:
    """The end of an error about an unknown name: what there is, and what may have been meant."""
    near = difflib.get_close_matches(name, valid, n=1)
    return f"there are {', '.join(valid)}" + (f". Did you mean {near[0]!r}?" if near else "")


def as_mode(mode: MemoryMode | str) -> MemoryMode:
    """The mode of that name, or the mode itself; anything else is a ValueError or TypeError."""
    if isinstance(mode, MemoryMode):
        return mode
    if not isinstance(mode, str):
        raise TypeError(f"a memory mode is a MemoryMode or a name, not {type(mode).__name__}")
    if mode not in MODES:
        raise ValueError(f"no memory mode is named {mode!r}; {valid_names(mode, tuple(MODES))}")
    return MODES[mode]


def _default() -> Settings:
    """The settings from which every thread starts."""
    try:
        return Settings(as_mode(os.environ.get("AUTODIFF_MODE") or "lean"))
    except ValueError as error:
        raise ValueError(f"the environment variable AUTODIFF_MODE: {error}") from None


_DEFAULT = _default()
in_force: ContextVar[Settings] = ContextVar("autodiff_settings", default=_DEFAULT)

settings = in_force.get  # the settings in force in this thread and task

# Those that they replaced, which leaving a `with` brings back, the last one first.
_replaced: ContextVar[tuple[Settings, ...]] = ContextVar("autodiff_replaced", default=())


class _Config:
    """The configuration in force, read and assigned by name, as in the book's step 18."""

    def __getattr__(self, name: str) -> Any:
        if name in AXES:
            return getattr(settings().mode, name)
        if name in NAMES:
            return getattr(settings(), name)
        raise AttributeError(f"no configuration is named {name!r}; {valid_names(name, NAMES)}")

    def __setattr__(self, name: str, value: Any) -> None:
        in_force.set(settings().changed(name, value))

    def __dir__(self) -> list[str]:
        return list(NAMES)

    def __repr__(self) -> str:
        return "Config(" + ", ".join(f"{name}={getattr(self, name)!r}" for name in NAMES) + ")"


Config = _Config()


class Using:
    """One setting changed for a while: a context manager and a decorator.

    Leaving it brings back all settings that were in force when it was last entered.
    It holds no state of its own, so one object may be entered again, in itself or another thread.
    A decorated generator or coroutine function has the setting inside and not outside, while it is
    suspended; a bare `with` around a `yield` leaks the setting to whoever runs the generator.
    """

    def __init__(self, name: str, value: Any) -> None:
        settings().changed(name, value)  # a wrong name or value is an error here, not at `with`
        self.name, self.value = name, value

    def __enter__(self) -> None:
        now = settings()
        in_force.set(now.changed(self.name, self.value))
        _replaced.set((*_replaced.get(), now))

    def __exit__(self, *exception: object) -> None:
        if replaced := _replaced.get():
            in_force.set(replaced[-1])
            _replaced.set(replaced[:-1])

    def __call__(self, function: F) -> F:
        if not callable(function):
            raise TypeError(f"a function is decorated, not {type(function).__name__}")
        if inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__name__}: an async generator function cannot be decorated")
        wrap = self._function
        if inspect.isgeneratorfunction(function):
            wrap = self._generator
        elif inspect.iscoroutinefunction(function):
            wrap = self._coroutine
        return functools.wraps(function)(wrap(function))  # type: ignore[return-value]

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def within(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return within

    def _coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def within(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        return within

    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def within(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            generator = function(*args, **kwargs)
            resume, sent = generator.send, None
            while True:
                try:
                    with self:
                        value = resume(sent)
                except StopIteration as stop:
                    return stop.value
                try:
                    resume, sent = generator.send, (yield value)
                except GeneratorExit:
                    with self:
                        generator.close()
                    raise
                except BaseException as error:  # what the caller threw goes in, whatever it is
                    resume, sent = generator.throw, error

        return within


def using_config(name: str, value: Any) -> Using:
    """Change one setting for a `with` block or a decorated function.

    Raises AttributeError for an unknown name, ValueError for a value that it does not take.
    Source: step 18 of the book.
    """
    return Using(name, value)


def using_mode(mode: MemoryMode | str) -> Using:
    """Change the memory mode, by value or by its name in MODES, for a block or a function."""
    return Using("mode", mode)


class _NoStraightLine:
    """In the place of `Settings.straight`, which each of the settings has for itself: None."""

    def __get__(self, settings: Settings | None, kind: type[Settings]) -> None:
        """No straight line."""

    def __set__(self, settings: Settings, straight: Recording | None) -> None:
        vars(settings)["straight"] = straight  # for later


_watchers: list[object] = []


@contextmanager
def through_apply() -> Generator[None, None, None]:
    """Send every operation through `Function.apply` within the block, in all threads.

    For who wraps that in order to see them all: otherwise the usual ones are recorded in a straight
    line, which gives the same graph and the same bits, but asks no method of the Function.
    """
    _watchers.append(None)
    setattr(Settings, "straight", _NoStraightLine())  # noqa: B010  # every one made so far has one
    try:
        yield
    finally:
        _watchers.pop()
        if not _watchers:
            delattr(Settings, "straight")


@overload
def no_grad() -> Using: ...
@overload
def no_grad(function: F) -> F: ...
def no_grad(function: F | None = None) -> Using | F:
    """Record no graph in a `with` block or a decorated function. Source: step 18 of the book."""
    within = Using("enable_backprop", False)
    return within if function is None else within(function)


@overload
def test_mode() -> Using: ...
@overload
def test_mode(function: F) -> F: ...
def test_mode(function: F | None = None) -> Using | F:
    """Set train to False in a `with` block or a decorated function. Source: step 54 of the book."""
    within = Using("train", False)
    return within if function is None else within(function)


test_mode.__test__ = False  # type: ignore[attr-defined]  # pytest: this is not a test

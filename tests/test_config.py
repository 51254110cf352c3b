"""The configuration in force: named, validated, and where it does and does not reach."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import MODES, Config, MemoryMode, Variable, no_grad, using_config, using_mode

pytestmark = pytest.mark.forward

DEFAULT = Config.mode
ANOTHER = next(name for name, mode in MODES.items() if mode != DEFAULT)
FIELDS = {
    "enable_backprop": (True, False),
    "output_refs": ("weak", "strong"),
    "kept": ("declared", "inputs"),
    "retain_grad": (False, True),
    "retain_graph": (False, True),
    "train": (True, False),
    "debug": (False, True),
}


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """What is in force before a test is in force after it, whatever the test does."""
    before = repr(Config)
    yield
    assert repr(Config) == before


@pytest.fixture
def recording() -> Iterator[None]:
    with using_config("enable_backprop", True):
        yield


def records() -> bool:
    """Whether a graph is recorded here and now."""
    recorded: bool = (Variable(np.array(1.0)) * 2).creator is not None
    assert recorded == Config.enable_backprop
    return recorded


# Names and values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in FIELDS.items() for value in values]
)
def test_every_setting_is_read_set_and_restored(name: str, value: Any) -> None:
    before = getattr(Config, name)
    with using_config(name, value):
        assert getattr(Config, name) == value
        assert f"{name}={value!r}" in repr(Config)
    assert getattr(Config, name) == before


def test_config_lists_its_names() -> None:
    assert dir(Config) == sorted([*FIELDS, "mode", "budget", "packer"])
    assert {f.name for f in fields(MemoryMode)} == set(FIELDS) - {"train", "debug"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("enable_backdrop", "enable_backprop"), ("retain_grads", "retain_grad"), ("mod", "mode")],
)
def test_an_unknown_name_is_answered_with_those_there_are(name: str, meant: str) -> None:
    says = f"'{name}'.*enable_backprop, .*debug.*Did you mean '{meant}'"
    with pytest.raises(AttributeError, match=says):
        using_config(name, True)
    with pytest.raises(AttributeError, match=says):
        setattr(Config, name, True)
    with pytest.raises(AttributeError, match=says):
        getattr(Config, name)


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(AttributeError, match="there are enable_backprop") as error:
        using_config("zzz", 1)
    assert "mean" not in str(error.value)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [None, 1, 0, "yes", "", 0.5, [], np.True_, np.array(True)])
def test_a_value_that_a_setting_does_not_take_is_answered_with_those_it_does(
    name: str, value: Any
) -> None:
    says = f"{name} = .*allowed are {FIELDS[name][0]!r} and {FIELDS[name][1]!r}"
    if name in ("train", "debug"):
        says = f"{name} = .*allowed are True and False"
    with pytest.raises(ValueError, match=says):
        using_config(name, value)
    with pytest.raises(ValueError, match=says):
        setattr(Config, name, value)
    if name not in ("train", "debug"):
        with pytest.raises(ValueError, match=says):
            MemoryMode(**{name: value})


def test_an_array_as_a_value_is_answered_too() -> None:
    with pytest.raises(ValueError, match=r"enable_backprop = .*allowed are True and False"):
        using_config("enable_backprop", np.array([True, False]))


# Modes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODES)
def test_using_mode_takes_a_name_or_a_value(name: str) -> None:
    for given in (name, MODES[name], replace(MODES[name])):
        with using_mode(given):
            assert Config.mode == MODES[name]
            for field in fields(MemoryMode):
                assert getattr(Config, field.name) == getattr(MODES[name], field.name)
    with using_config("mode", name):
        assert Config.mode is MODES[name]


def test_an_unknown_mode_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'step19'.*step16, .*no_grad.*mean 'step1[678]'"):
        using_mode("step19")
    with pytest.raises(TypeError, match="a MemoryMode or a name, not dict"):
        using_mode({"kept": "inputs"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not type"):
        Config.mode = MemoryMode


def test_modes_are_values() -> None:
    assert MemoryMode() == MODES["lean"]
    assert hash(MemoryMode()) == hash(MODES["lean"])
    with pytest.raises(FrozenInstanceError):
        MODES["lean"].kept = "inputs"  # type: ignore[misc]
    with pytest.raises(TypeError):
        MODES["mine"] = MemoryMode()  # type: ignore[index]


def test_a_setting_changes_just_itself() -> None:
    with using_mode("step16"), using_config("retain_grad", False):
        assert Config.mode == replace(MODES["step16"], retain_grad=False)
        with using_config("train", False):
            assert Config.mode == replace(MODES["step16"], retain_grad=False)


# As a context manager -----------------------------------------------------------------------------


def test_nested_settings_come_back_one_by_one(recording: None) -> None:
    with no_grad():
        assert not records()
        with using_config("enable_backprop", True):
            assert records()
            with no_grad():
                assert not records()
            assert records()
        assert not records()
    assert records()


def test_an_exception_restores_them(recording: None) -> None:
    before = Config.mode
    with pytest.raises(ArithmeticError), using_mode(ANOTHER), no_grad():
        raise ArithmeticError
    assert records()
    assert Config.mode is before


def test_a_wrong_name_is_an_error_before_the_block() -> None:
    entered = False
    with pytest.raises(AttributeError), using_config("nmae", 1):
        entered = True
    assert not entered


def test_one_object_may_be_entered_again_and_in_itself(recording: None) -> None:
    quiet = no_grad()
    for _ in range(2):
        with quiet:
            assert not records()
            with quiet:
                assert not records()
            assert not records()
        assert records()


def test_interleaved_exits_end_as_it_began(recording: None) -> None:
    a, b = no_grad(), using_mode("step16")
    a.__enter__()
    b.__enter__()
    a.__exit__(None, None, None)
    b.__exit__(None, None, None)
    assert records()
    with contextlib.ExitStack() as stack:
        stack.enter_context(a)
        stack.enter_context(b)
        assert Config.mode == MODES["step16"]


def test_test_mode_is_not_a_test(recording: None) -> None:
    with ad.test_mode():
        assert not Config.train
        assert records()
    assert Config.train


# As a decorator -----------------------------------------------------------------------------------


@pytest.mark.parametrize("decorate", [no_grad, no_grad(), using_config("enable_backprop", False)])
def test_a_function(decorate: Any, recording: None) -> None:
    @decorate
    def of(x: int, *, also: int = 2) -> tuple[int, bool]:
        """What it says."""
        return x + also, records()

    assert of(1, also=3) == (4, False)
    assert records()
    assert (of.__name__, of.__doc__) == ("of", "What it says.")
    assert str(inspect.signature(of)) == "(x: 'int', *, also: 'int' = 2) -> 'tuple[int, bool]'"


def test_a_function_that_calls_itself(recording: None) -> None:
    @no_grad
    def down(n: int) -> list[bool]:
        return [records()] if n == 0 else [records(), *down(n - 1), records()]

    assert down(3) == [False] * 7
    assert records()


def test_a_function_that_raises(recording: None) -> None:
    @no_grad
    def fails() -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fails()
    assert records()


def test_a_method(recording: None) -> None:
    class Model:
        @no_grad
        def predict(self) -> bool:
            return records()

    assert Model().predict() is False


def test_a_generator_function_is_inside_just_while_it_runs(recording: None) -> None:
    seen: list[Any] = []

    @no_grad
    def rounds() -> Iterator[int]:
        try:
            for i in range(3):
                seen.append(records())
                got = yield i
                seen.append((got, records()))
        except ArithmeticError:
            seen.append(("thrown", records()))
            yield 9
        finally:
            seen.append(("closed", records()))
        return "returned"

    generator: Any = rounds()
    assert inspect.isgeneratorfunction(inspect.unwrap(rounds))
    assert next(generator) == 0
    assert records()  # suspended: the caller has what it had
    assert generator.send("sent") == 1
    assert records()
    assert generator.throw(ArithmeticError) == 9
    assert records()
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "returned"
    assert seen == [False, ("sent", False), False, ("thrown", False), ("closed", False)]
    assert records()


def test_a_generator_that_is_closed_or_fails(recording: None) -> None:
    seen: list[bool] = []

    @no_grad
    def one() -> Iterator[int]:
        try:
            yield 1
        finally:
            seen.append(records())

    generator: Any = one()
    next(generator)
    generator.close()
    assert seen == [False]

    @no_grad
    def fails() -> Iterator[int]:
        yield 1
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        list(fails())
    assert records()


def test_generators_in_turn_do_not_disturb_each_other(recording: None) -> None:
    @no_grad
    def quiet() -> Iterator[bool]:
        for _ in range(3):
            yield records()

    @using_mode("step16")
    def strong() -> Iterator[Any]:
        for _ in range(3):
            yield Config.mode

    pairs = list(zip(quiet(), strong(), strict=True))
    assert pairs == [(False, MODES["step16"])] * 3
    assert records()


def test_a_with_around_a_yield_leaks_as_documented(recording: None) -> None:
    def leaks() -> Iterator[int]:
        with no_grad():
            yield 1

    generator = leaks()
    next(generator)
    assert not records()
    next(generator, None)
    assert records()
    assert "leaks" in (type(no_grad()).__doc__ or "")


def test_a_coroutine_function_and_tasks_beside_it(recording: None) -> None:
    @no_grad
    async def quiet() -> list[bool]:
        seen = []
        for _ in range(3):
            seen.append(records())
            await asyncio.sleep(0)
        return seen

    async def loud() -> list[bool]:
        seen = []
        for _ in range(3):
            seen.append(records())
            await asyncio.sleep(0)
        return seen

    async def main() -> list[list[bool]]:
        found = await asyncio.gather(quiet(), loud(), quiet())
        assert await quiet() == [False] * 3
        assert records()
        return list(found)

    assert asyncio.run(main()) == [[False] * 3, [True] * 3, [False] * 3]
    assert records()


def test_an_async_generator_function_is_refused() -> None:
    async def rounds() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match=r"rounds.*async generator"):
        no_grad(rounds)


# Threads and tasks --------------------------------------------------------------------------------


def in_thread(call: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.skipif(
    getattr(sys.flags, "thread_inherit_context", False),
    reason="in this Python a new thread starts from what its maker has",
)
def test_a_new_thread_starts_from_the_default() -> None:
    with using_mode(ANOTHER), using_config("train", False):
        assert in_thread(lambda: (Config.mode, Config.train)) == (DEFAULT, True)


def test_threads_do_not_see_each_other(recording: None) -> None:
    inside, done = threading.Event(), threading.Event()

    def quiet() -> None:
        with no_grad():
            inside.set()
            assert done.wait(10)

    thread = threading.Thread(target=quiet)
    thread.start()
    assert inside.wait(10)
    assert records()
    done.set()
    thread.join()


def test_one_object_in_two_threads(recording: None) -> None:
    quiet = no_grad()
    with quiet:

        def other() -> list[bool]:
            with using_config("enable_backprop", True):
                before = records()
                with quiet:
                    inside = records()
                return [before, inside, records()]

        assert in_thread(other) == [True, False, True]
        assert not records()
    assert records()


def test_tasks_inherit_and_do_not_give_back(recording: None) -> None:
    async def changes() -> bool:
        was = Config.train
        Config.train = not was
        await asyncio.sleep(0)
        return was

    async def main() -> None:
        with using_config("train", False):
            assert await asyncio.gather(changes(), changes()) == [False, False]
            assert not Config.train

    asyncio.run(main())


# Assignment ---------------------------------------------------------------------------------------


def test_assignment_is_in_force_until_the_next(recording: None) -> None:
    with using_mode(Config.mode):  # what the tests share stays as it is
        Config.enable_backprop = False
        assert not records()
        Config.enable_backprop = True
        assert records()
        Config.mode = "step16"
        assert Config.mode is MODES["step16"]
        Config.kept = "declared"
        assert Config.mode == replace(MODES["step16"], kept="declared")


def test_assignment_in_a_block_ends_with_it() -> None:
    with using_config("train", False):
        Config.retain_grad = not DEFAULT.retain_grad
        assert Config.retain_grad != DEFAULT.retain_grad
    assert Config.retain_grad == DEFAULT.retain_grad


def test_a_failed_assignment_changes_nothing() -> None:
    before = repr(Config)
    with pytest.raises(ValueError, match="allowed"):
        Config.kept = "everything"
    assert repr(Config) == before


# The environment ----------------------------------------------------------------------------------


def imported(mode: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: x for name, x in os.environ.items() if name != "AUTODIFF_MODE"}
    if mode is not None:
        environment["AUTODIFF_MODE"] = mode
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        [sys.executable, "-c", "import autodiff; print(autodiff.Config.mode)"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(("given", "mode"), [(None, "lean"), ("", "lean"), ("step17", "step17")])
def test_the_environment_names_the_default_mode(given: str | None, mode: str) -> None:
    found = imported(given)
    assert (found.stdout.strip(), found.stderr) == (str(MODES[mode]), "")


def test_an_unknown_mode_in_the_environment_is_an_error_that_names_it() -> None:
    found = imported("stpe16")
    assert found.returncode != 0
    last = found.stderr.strip().splitlines()[-1]
    assert "AUTODIFF_MODE" in last
    assert "'stpe16'" in last
    assert "Did you mean 'step16'" in last


def test_all_modes_there_can_be() -> None:
    axes = [FIELDS[f.name] for f in fields(MemoryMode)]
    modes = {MemoryMode(*values) for values in itertools.product(*axes)}
    assert len(modes) == 32
    assert set(MODES.values()) <= modes

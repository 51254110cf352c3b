"""Any code of the user's: a function of a file, or a file run as a script, as a workload.

    FILE.py:FUNCTION    the function, called so many rounds with a step after each; one whose first
                        parameter is `rng` is a workload in the harness' own form
    FILE.py:__main__    the file, run as a script so many rounds

`python -m experiments.scripts NAME` loads the file without calling the function, and prints the
workload's parameters as JSON; where it cannot, it says why and exits with 1.
"""

from __future__ import annotations

import builtins
import difflib
import functools
import importlib.util
import inspect
import json
import re
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from experiments.workloads import Probe, Step, Workload

MAIN = "main"  # the function that is measured where none is named
SCRIPT = "__main__"  # in the place of a function's name: the file itself
ROUNDS = 5


class ScriptError(Exception):
    """A file of the user's cannot be measured; says why, and what can."""


def is_script(workload: str) -> bool:
    """Whether a workload's name is that of a user's file and function."""
    return re.search(r"\.\w+:\w+$", workload) is not None


def split(workload: str) -> tuple[Path, str]:
    """The file and the function that a workload's name means. A drive's colon is none of it."""
    file, _, function = workload.rpartition(":")
    return Path(file), function


def find(workload: str) -> Workload:
    """The workload that a file and a function of it make.

    Raises ScriptError where they make none, and whatever the file raises as it is imported.
    """
    file, name = split(workload)
    if not file.is_file():
        raise ScriptError(f"{file}: there is no such Python file")
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # as Python does for a script: it may import what lies beside it
    if name == SCRIPT:
        compile(file.read_bytes(), str(file), "exec")  # what is wrong with it shows before it runs
        return Workload(workload, _repeated(lambda probe: _run(file)))
    function = _function(file, name)
    if next(iter(_parameters(function)), None) == "rng":
        return Workload(workload, function)
    return Workload(workload, _repeated(_called(file, name, function), shown=function))


def _repeated(
    call: Callable[[Probe], object], *, shown: Callable[..., Any] | None = None
) -> Callable[..., Step]:
    """The workload that calls something so many rounds, and drops at once what it returns.

    shown: the function whose lines a reader wants to see instead of the step's own.
    """

    def build(rng: np.random.Generator, *, rounds: int = ROUNDS) -> Step:
        def step(probe: Probe) -> dict[str, float]:
            for _ in range(rounds):
                call(probe)
                probe("step")
            return {}

        if shown is not None:
            functools.update_wrapper(step, shown, assigned=(), updated=())
        return step

    return build


def _called(file: Path, name: str, function: Callable[..., Any]) -> Callable[[Probe], object]:
    """How a function is called: with nothing, or with the probe where it has a parameter for it."""
    parameters = _parameters(function)
    needed = [p for p in parameters.values() if p.default is p.empty and p.kind not in _ANY]
    if [p.name for p in needed] == ["probe"]:
        return lambda probe: function(probe=probe)
    if needed:
        raise ScriptError(
            f"{name} of {file.name} needs {', '.join(p.name for p in needed)}, and nothing is "
            "given to it: measure a function that takes no arguments, or one parameter `probe`; "
            "for random numbers and parameters, one that begins with `rng` and returns step(probe)"
        )
    return (lambda probe: function(probe=probe)) if "probe" in parameters else lambda _: function()


_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except ValueError:  # C code that does not say
        return {}


def _function(file: Path, name: str) -> Callable[..., Any]:
    module = _imported(file)
    found = getattr(module, name, None)
    if found is None:
        own = [n for n, x in vars(module).items() if callable(x) and not n.startswith("_")]
        raise ScriptError(f"{file.name} has no function {name!r}. {_choices(own, name)}")
    if not callable(found):
        raise ScriptError(f"{name} of {file.name} is no function, but a {type(found).__name__}")
    function: Callable[..., Any] = found
    return function


def _choices(known: Collection[str], name: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    return guess + (f"There are: {', '.join(known)}." if known else "It has none.")


def _imported(file: Path) -> ModuleType:
    """The file as a module, under its own name unless that is taken."""
    name = file.stem if file.stem not in sys.modules else f"{file.stem} ({file})"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ScriptError(f"{file}: this is no Python file; its name has to end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as an import would: classes and pickles look their module up
    spec.loader.exec_module(module)
    return module


def _run(file: Path) -> None:
    """Run a file as a script, and let go of its globals as the end of a program does.

    runpy would leave them to the collector: a script's functions and its globals hold each other.
    """
    module = ModuleType(SCRIPT)
    module.__file__ = str(file)
    vars(module)["__builtins__"] = builtins
    before, arguments = sys.modules[SCRIPT], sys.argv
    sys.modules[SCRIPT], sys.argv = module, [str(file)]
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), vars(module))
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    finally:
        sys.modules[SCRIPT], sys.argv = before, arguments
        vars(module).clear()


def _main(workload: str) -> int:
    answers, sys.stdout = sys.stdout, sys.stderr  # what the file prints is no answer
    try:
        parameters = find(workload).defaults
    except ScriptError as error:
        print(error, file=sys.stderr)
        return 1
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        file, _ = split(workload)
        places = [Path(frame.filename).resolve() for frame in frames]
        own = places.index(file.resolve()) if file.resolve() in places else len(frames)
        print(f"{file} cannot be imported:", file=sys.stderr)
        print(*traceback.format_list(frames[own:]), sep="", end="", file=sys.stderr)
        print(*traceback.format_exception_only(error), sep="", end="", file=sys.stderr)
        return 1
    print(json.dumps(parameters), file=answers)
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))

"""`--script`: a file and a function of the user's, and the workload that they make."""

from __future__ import annotations

import ast
import difflib
import json
import subprocess
import sys
from pathlib import Path

from experiments.cli.endings import UsageError
from experiments.scripts import MAIN, SCRIPT
from experiments.trial import Value


def named(text: str) -> str:
    """The workload that FILE.py or FILE.py:FUNCTION means.

    Raises UsageError where there is no such file.
    """
    file, colon, function = text.rpartition(":")
    if Path(text).is_file() or not colon or not function.isidentifier():
        file, function = text, ""
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"--script {text}: there is no file {file}. {_near(path)}".strip())
    return f"{path.as_posix()}:{function or _where_none_is_named(path)}"


def _near(path: Path) -> str:
    try:
        there = [file.name for file in path.parent.glob("*.py")]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, there, n=1)
    return f"Did you mean {path.with_name(near[0])}?" if near else ""


def _where_none_is_named(file: Path) -> str:
    """`main` if the file has one at its top, else the file itself."""
    try:
        top = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError):
        return SCRIPT  # which tells what is wrong with it
    functions = {node.name for node in top if isinstance(node, ast.FunctionDef)}
    return MAIN if MAIN in functions else SCRIPT


def parameters(workload: str, rounds: int | None, timeout: float) -> dict[str, Value]:
    """The parameters of a user's workload, from a process that loads it and does not call it.

    Raises UsageError, in the words of the user's own traceback where that is the reason.
    """
    command = [sys.executable, "-m", "experiments.scripts", workload]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"--script: to import {workload} took longer than {timeout:g} seconds."
        ) from None
    if found.returncode:
        raise UsageError(f"--script: {found.stderr.strip()}")
    known: dict[str, Value] = json.loads(found.stdout.splitlines()[-1])
    if rounds is None:
        return known
    if "rounds" not in known:
        raise UsageError(f"--rounds: {workload} has no parameter `rounds`.")
    return {**known, "rounds": rounds}

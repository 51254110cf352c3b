"""Line by line, against a step whose growth is known; and how memory_profiler is called at all."""

from __future__ import annotations

import ast
import functools
import sys
from pathlib import Path

import numpy as np
import pytest
from specimens import growing, named

from experiments.instruments.lines import LARGEST, Lines
from experiments.runner import run_trial
from experiments.trial import Trial

ROOT = Path(__file__).parent.parent
MIB = 2**20


def ran(step):
    """The instrument, after it has seen a step run; what the step returned."""
    instrument = Lines()
    instrument.at("baseline")
    wrapped = instrument.wrapped(step)
    instrument.at("built")
    results = wrapped(lambda moment: None)
    instrument.close()
    return instrument, results


def rows(record):
    return {row["source"].strip(): row for row in record.details["lines"]}


def test_lines_of_a_loop_add_up_to_what_the_step_grew_by():
    """The line that makes the arrays has all of it, though it ran ten times."""
    record = run_trial(Trial("tests", named(growing), {"rounds": 10, "size": MIB}, "lean", "lines"))
    assert record.outcome == "ok", record.error
    found = rows(record)
    line = found["arrays.append(np.ones(size, dtype=np.uint8))"]
    assert line["occurrences"] == 10
    assert line["increment_bytes"] == pytest.approx(10 * MIB, rel=0.02)
    assert record.readings[LARGEST] == line["increment_bytes"]
    total = sum(row["increment_bytes"] for row in found.values() if row["occurrences"])
    assert total == pytest.approx(10 * MIB, rel=0.05)
    assert found["return {}"]["resident_bytes"] == pytest.approx(10 * MIB, rel=0.05)


def test_every_line_of_the_step_has_its_source_and_one_not_passed_has_no_figure():
    def step(probe):
        if probe is None:
            return {"nothing": 0.0}
        return {"one": 1.0}

    instrument, results = ran(step)
    assert results == {"one": 1.0}
    sources = [row["source"].strip() for row in instrument.details["lines"]]
    assert sources[0] == "def step(probe):" and sources[-1] == 'return {"one": 1.0}'
    (skipped,) = [r for r in instrument.details["lines"] if "nothing" in r["source"]]
    assert (skipped["occurrences"], skipped["increment_bytes"]) == (0, None)


def test_a_step_that_wraps_a_function_is_shown_by_that_functions_lines():
    def theirs():
        return np.ones(10).sum()

    @functools.wraps(theirs)
    def step(probe):
        return {"sum": theirs()}

    instrument, results = ran(step)
    assert results == {"sum": 10.0}
    assert "def theirs():" in instrument.details["lines"][0]["source"]
    assert instrument.details["lines"][1]["occurrences"] == 1


def test_of_a_users_function_its_own_lines_are_shown(tmp_path):
    file = tmp_path / "theirs.py"
    file.write_text(
        "import numpy as np\nKEPT = []\n\n"
        "def work():\n"
        "    array = np.ones(2**20, dtype=np.uint8)\n"
        "    KEPT.append(array)\n"
    )
    record = run_trial(Trial("tests", f"{file}:work", {"rounds": 5}, "lean", "lines"))
    assert record.outcome == "ok", record.error
    found = rows(record)
    assert list(found) == [
        "def work():",
        "array = np.ones(2**20, dtype=np.uint8)",
        "KEPT.append(array)",
    ]
    line = found["array = np.ones(2**20, dtype=np.uint8)"]
    assert line["occurrences"] == 5
    assert line["increment_bytes"] == pytest.approx(5 * MIB, rel=0.02)


def test_a_step_without_source_is_said_not_to_be_available():
    instrument, results = ran(eval("lambda probe: {'one': 1.0}"))
    assert results == {"one": 1.0}
    assert "no source" in instrument.unavailable[LARGEST]
    assert LARGEST not in instrument.readings


@pytest.mark.parametrize("error", [None, ValueError, SystemExit])
def test_another_tracer_is_set_aside_and_comes_back_whatever_happens(error):
    seen = []

    def step(probe):
        if error:
            raise error
        return {}

    def tracer(frame, event, arg):
        seen.append(frame.f_code)

    wrapped = Lines().wrapped(step)
    was = sys.gettrace()
    sys.settrace(tracer)
    try:
        if error:
            with pytest.raises(error):
                wrapped(print)
        else:
            wrapped(print)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(was)
    assert step.__code__ not in seen


# How memory_profiler is called --------------------------------------------------------------------

# It starts processes of its own where it is given a function, and where it counts children; and
# where the call stands in a module, a process started that way would make it again, without end.

FILES = sorted((ROOT / "experiments").rglob("*.py"))


def names(path):
    """The names by which a file knows memory_profiler and what it has of it, and where from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if "memory_profiler" in alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module == "memory_profiler":
            yield from (alias.name for alias in node.names)


def test_two_files_alone_know_memory_profiler_and_one_of_its_names_each():
    found = {path.name: set(names(path)) for path in FILES if set(names(path))}
    assert found == {"sampler.py": {"memory_usage"}, "lines.py": {"LineProfiler"}}


@pytest.mark.parametrize("name", ["sampler.py", "lines.py"])
def test_it_is_imported_and_called_within_functions_alone(name):
    (path,) = [path for path in FILES if path.name == name and set(names(path))]
    tree = ast.parse(path.read_text())
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    within = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "memory_profiler":
            assert id(node) in within, f"{name}, line {node.lineno}: imported with the module"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "memory_usage",
            "LineProfiler",
        ):
            assert id(node) in within, f"{name}, line {node.lineno}: called with the module"


def calls():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path, node


def test_it_measures_by_a_process_number_and_is_given_no_function():
    given = [
        {keyword.arg: keyword.value for keyword in call.keywords}
        for _, call in calls()
        if ast.unparse(call.func).endswith("memory_usage")
    ]
    assert len(given) == 1
    for arguments in given:
        assert ast.unparse(arguments["proc"]) == "pid"
        assert "max_iterations" not in arguments and "multiprocess" not in arguments


def test_it_never_counts_children_and_never_asks_tracemalloc():
    for path, call in calls():
        where = f"{path.name}, line {call.lineno}"
        for keyword in call.keywords:
            if keyword.arg == "include_children":
                assert ast.unparse(keyword.value) == "False", where
            if keyword.arg == "backend":
                assert "psutil" in ast.unparse(keyword.value), where


def test_no_instrument_starts_a_process():
    """The measured process is never forked: what is forked shares every page, and counts twice."""
    for path in sorted((ROOT / "experiments" / "instruments").glob("*.py")):
        text = path.read_text()
        for word in (
            "subprocess",
            "multiprocessing",
            "os.fork",
            "concurrent.futures",
            "memory_usage(",
        ):
            assert word not in text, f"{path.name}: {word}"

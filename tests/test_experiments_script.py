"""A user's own file under the instruments: how it is found, called, measured and told of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import made_up
import pytest

from experiments import cli, scripts
from experiments.cli import scripting
from experiments.cli.endings import UsageError
from experiments.report.sections.script import of_script
from experiments.report.wording import words
from experiments.trial import Record, Trial, read_records

OWN = '''
import numpy as np
import beside

KEPT = []
CALLS = []

class Node:
    pass

def main():
    """Leaves a cycle with an array on it, forgets another array, and prints."""
    print("this is no record")
    one, other = Node(), Node()
    one.other, other.other, one.data = other, one, np.ones(1000)
    KEPT.append(np.ones(500))
    return np.ones(4000)

def marked(probe):
    probe("forward")
    probe("backward")

def counted(scale=2):
    CALLS.append(scale)

def needy(x, *, y):
    pass

def built(rng, *, size=10, rounds=2):
    def step(probe):
        probe("step")
        return {"size": size}
    return step

limit = 3
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's file, named from its own folder, with a module beside it."""
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "beside.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(cli.__file__).parents[2]))
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("own", "beside", "plain"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path / "own.py"


def stepped(workload, **parameters):
    """The moments that a workload passes."""
    moments = []
    assert isinstance(scripts.find(workload).start(0, parameters)(moments.append), dict)
    return moments


def test_a_function_is_called_so_many_rounds_with_a_step_after_each(own):
    assert stepped("own.py:counted", rounds=3) == ["step"] * 3
    assert sys.modules["own"].CALLS == [2, 2, 2]
    assert stepped("own.py:marked", rounds=2) == ["forward", "backward", "step"] * 2
    assert scripts.find("own.py:counted").defaults == {"rounds": 5}


def test_a_workload_in_the_harness_own_form_is_one(own):
    assert scripts.find("own.py:built").defaults == {"size": 10, "rounds": 2}
    assert stepped("own.py:built", size=3) == ["step"]


def test_a_file_runs_as_a_script_and_leaves_nothing(own, collector_off, capsys):
    import gc

    (own.parent / "plain.py").write_text(
        "import sys\nimport beside\n"
        "def of_its_own(): return KEPT\n"
        "KEPT = [of_its_own]\n"
        "print(__name__, sys.argv, len(sys.modules['__main__'].KEPT))\n"
        "sys.exit()\n"
    )
    before = sys.modules["__main__"], list(sys.argv)
    gc.collect()
    assert stepped("plain.py:__main__", rounds=2) == ["step"] * 2
    assert capsys.readouterr().out == "__main__ ['plain.py'] 1\n" * 2
    assert (sys.modules["__main__"], sys.argv) == before
    assert gc.collect() == 0


def test_a_script_that_fails_or_ends_badly_says_so(own):
    (own.parent / "plain.py").write_text("import sys\nsys.exit('broken')\n")
    with pytest.raises(SystemExit, match="broken"):
        stepped("plain.py:__main__", rounds=1)
    (own.parent / "plain.py").write_text("def f(:\n")
    with pytest.raises(SyntaxError):
        scripts.find("plain.py:__main__")


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ("nowhere.py:main", "there is no such Python file"),
        ("own.py:mein", "has no function 'mein'. Did you mean 'main'? There are: Node, main,"),
        ("own.py:needy", "needy of own.py needs x, y, and nothing is given"),
        ("own.py:limit", "limit of own.py is no function, but a int"),
    ],
)
def test_what_cannot_be_measured_says_why(own, workload, said):
    with pytest.raises(scripts.ScriptError) as error:
        scripts.find(workload)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "workload"),
    [
        ("own.py", "own.py:main"),
        ("own.py:marked", "own.py:marked"),
        ("plain.py", "plain.py:__main__"),
        ("odd:name.py", "odd:name.py:__main__"),
    ],
)
def test_what_is_typed_names_a_workload(own, text, workload):
    (own.parent / "plain.py").write_text("")
    (own.parent / "odd:name.py").write_text("")
    assert scripting.named(text) == workload
    assert scripts.is_script(workload)


def test_a_drive_is_no_function():
    with pytest.raises(UsageError, match=r"there is no file C:\\own\.py"):
        scripting.named(r"C:\own.py")
    file, function = scripts.split("C:/own.py:main")
    assert (str(file), function) == ("C:/own.py", "main")
    assert words.workload_text("C:/folder/own.py:main") == "own.py:main"
    assert words.workload_text("folder/own.py:__main__") == "own.py"
    assert not scripts.is_script("square_loop")


def test_an_import_that_fails_shows_the_user_s_own_traceback(own):
    (own.parent / "plain.py").write_text("def inner():\n    1 / 0\ninner()\n")
    with pytest.raises(UsageError) as error:
        scripting.parameters("plain.py:main", None, 60)
    said = str(error.value)
    assert said.startswith("--script: plain.py cannot be imported:")
    assert "in inner" in said
    assert "ZeroDivisionError" in said
    assert "importlib" not in said
    assert "experiments" not in said


def test_rounds_are_a_parameter(own):
    assert scripting.parameters("own.py:main", 3, 60) == {"rounds": 3}


@pytest.mark.parametrize(
    "arguments",
    [
        ["script"],
        ["--script", "nowhere.py"],
        ["--script", "own.py:mein"],
        ["--script", "own.py", "-w", "chain"],
        ["cycles", "--script", "own.py"],
        ["--rounds", "3"],
    ],
)
def test_a_wrong_command_ends_before_anything_runs(own, arguments, capsys):
    assert cli.main(["run", *arguments]) == 2
    assert not (own.parent / "reports").exists()
    assert capsys.readouterr().err


def test_a_run_says_in_words_what_it_found(own):
    """The whole command, on two instruments."""
    command = [sys.executable, "-m", "experiments", "run", "--script", "own.py", "-o", "out"]
    options = ["--no-calibration", "-i", "cycles", "-i", "objects", "--rounds", "4"]
    found = subprocess.run([*command, *options], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    said = " ".join(found.stdout.split())
    assert "own.py:main" in said
    assert "this is no record" not in said
    assert "It leaves 4 reference cycles that only a collection frees, holding 31.2" in said
    assert "4 × (2 Node) with 31.2" in said
    assert "It grows with every step, by 2 objects: 2 own.Node." in said
    assert "waits for a collection in the cycle (Node .other -> Node .other -> Node)" in said
    assert "module own, global KEPT[" in said
    findings = (own.parent / "out" / "findings.md").read_text()
    assert "It leaves 4 reference cycles" in findings
    assert str(own.parent) not in findings
    records = read_records(own.parent / "out" / "records.jsonl")
    assert {(r.trial.study, r.trial.workload, r.trial.mode) for r in records} == {
        ("script", "own.py:main", "lean")
    }


# Sentences ----------------------------------------------------------------------------------------


def told(**of_objects):
    trial = Trial("script", "own.py:main", {"rounds": 5}, "lean", "objects")
    details = {"growth": [], "holders": {"alive": [], "left": []}, "types": {}, **of_objects}
    readings = {"grown_objects_per_step_count": 0, "tracked_objects_count": 0}
    cycles = Trial("script", "own.py:main", {"rounds": 5}, "lean", "cycles")
    none = Record(cycles, "ok", readings={"cycle_count": 0, "cycle_bytes": 0})
    return of_script([Record(trial, "ok", readings=readings, details=details), none])


def test_where_nothing_is_left_the_sentences_say_so():
    assert told() == [
        "It leaves no reference cycle.",
        "From step to step no type of object becomes more.",
        "No array of it is alive after its last step, and none remains.",
    ]
    assert of_script([made_up.record()]) == []


def test_what_was_not_measured_is_not_told():
    failed = Record(Trial("script", "own.py:main", {}, "lean", "cycles"), "failed", error="no")
    assert all("cannot be told" in sentence for sentence in of_script([failed]))


def test_parameters_come_as_json(own):
    command = [sys.executable, "-m", "experiments.scripts", "own.py:built"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert json.loads(found.stdout) == {"size": 10, "rounds": 2}

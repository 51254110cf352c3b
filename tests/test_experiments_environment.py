"""What makes two records comparable: the same here and now, another where something differs."""

from __future__ import annotations

import ast
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import record

from experiments import environment
from experiments.environment import differences, expected, identity, of_code, of_process
from experiments.estimates import subject
from experiments.report.reading import by_environment, read
from experiments.report.sections.matrix import matrix, named, rows_of, shown
from experiments.report.telling.writing import write
from experiments.report.wording.pythons import peaks_without_collector, strong_with_collector
from experiments.runner import RECORDS
from experiments.trial import Record

ROOT = Path(environment.__file__).parent


# Identity -----------------------------------------------------------------------------------------


def test_two_processes_here_are_one_environment() -> None:
    one, other = expected(["chain"])["chain"], expected(["chain"])["chain"]
    assert identity(one) == identity(other)
    assert differences(one, other) == []
    assert json.loads(json.dumps(identity(one))) == identity(one)


def test_what_does_not_change_a_measurement_is_no_part_of_it() -> None:
    here = of_process()
    elsewhere = {**here, "load": [9.0, 9.0, 9.0], "commit": "another", "cpu_count": 512}
    assert differences(here, elsewhere) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"python": "3.99.0"}, "python: 3.11.7 here, 3.99.0 there"),
        ({"free_threaded": True}, "free threaded: no here, yes there"),
        ({"gc_thresholds": [2000, 10, 0]}, "gc thresholds: 700, 10, 10 here, 2000, 10, 0 there"),
        ({"cpu": None}, "cpu: Some here, unknown there"),
        ({"pins": {"A": "1", "B": "3"}}, "pins.B: 2 here, 3 there"),
        ({"code": "abc"}, "code: 123 here, abc there"),
    ],
)
def test_what_differs_is_named_with_both_values(changed: dict[str, object], said: str) -> None:
    here = {
        "python": "3.11.7",
        "free_threaded": False,
        "gc_thresholds": [700, 10, 10],
        "cpu": "Some",
        "pins": {"A": "1", "B": "2"},
        "code": "123",
    }
    assert differences(here, {**here, **changed}) == [said]
    assert differences(here, {**here, **changed}, ("in A", "in B")) == [
        said.replace(" here", " in A").replace(" there", " in B")
    ]


def test_the_name_of_the_machine_is_nowhere() -> None:
    import platform

    assert platform.node() not in json.dumps(list(of_process().values())).split('"')


# The code -----------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project that can be changed."""
    for package in ("autodiff", "experiments"):
        shutil.copytree(environment.PROJECT / package, tmp_path / package)
    monkeypatch.setattr(environment, "PROJECT", tmp_path)
    return tmp_path


def code() -> str | None:
    return of_code("chain")["code"]


def test_a_copy_is_the_same_code_however_it_ends_its_lines(project: Path) -> None:
    before = code()
    for path in project.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    (project / "autodiff" / "__pycache__").mkdir(exist_ok=True)
    (project / "autodiff" / "__pycache__" / "graph.pyc").write_bytes(b"compiled")
    assert code() == before


@pytest.mark.parametrize(
    ("file", "matters"),
    [
        ("autodiff/graph.py", True),
        ("experiments/child.py", True),
        ("experiments/instruments/traced.py", True),
        ("experiments/workloads/digits.bin", True),
        ("experiments/report/telling/page.css", False),
        ("experiments/cli/running.py", False),
        ("experiments/studies/ladder.py", False),
    ],
)
def test_only_what_can_change_a_measurement_is_another_code(
    project: Path, file: str, matters: bool
) -> None:
    before = code()
    with (project / file).open("ab") as changed:
        changed.write(b"\n")
    assert (code() != before) == matters


def test_a_script_is_told_from_its_other_versions(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text("def f(rng): ...\n")
    first = of_code(f"{script}:f")["script"]
    assert first == of_code(f"{script}:g")["script"] is not None
    script.write_text("def f(rng): pass\n")
    assert of_code(f"{script}:f")["script"] not in (first, None)
    assert of_code("chain")["script"] is None


def imported(room: str) -> set[str]:
    """The rooms of the harness that a room imports, wherever in its files."""
    files = [ROOT / f"{room}.py"] if (ROOT / f"{room}.py").exists() else (ROOT / room).rglob("*.py")
    names = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("experiments"):
                within = (node.module or "").split(".")[1:]
                names |= {within[0]} if within else {alias.name for alias in node.names}
    return {name for name in names if (ROOT / name).exists() or (ROOT / f"{name}.py").exists()}


def test_nothing_that_measures_is_left_out_of_the_digest() -> None:
    found, rest = set(), {"child", "process", "launcher", "sampler", "truths"}
    while rest:
        room = rest.pop()
        found.add(room)
        rest |= imported(room) - found
    assert len(found) > 8
    assert not found & environment.NOT_MEASURING


# Several in one folder ----------------------------------------------------------------------------


def made(python: str, peaks: dict[str, list[float]], **changed: object) -> list[Record]:
    """Records of a Python: mode -> its peaks with the collector on, one in each phase."""
    there = {"python": python, "numpy": "2.4.6", "gc_thresholds": [700, 10, 10], **changed}
    return [
        record(
            "square_loop",
            mode,
            collector=collector,
            repeat=n,
            study="pythons",
            environment=there,
            readings={"peak_bytes": peak if collector == "on" else 100_000.0, "left_bytes": 0.0},
        )
        for mode, found in peaks.items()
        for collector in ("on", "off")
        for n, peak in enumerate(found)
    ]


OLD = made("3.11.7", {"step16": [2e5, 3e5, 4e5], "step17": [1e5, 1e5, 1e5]})
NEW = made("3.13.0", {"step16": [5e5, 7e5, 9e5], "step17": [1e5, 1e5, 1e5]})


def test_a_trial_of_two_environments_is_two_records(tmp_path: Path) -> None:
    both = [OLD[0], NEW[0], replace(OLD[0], readings={"peak_bytes": 1.0})]
    (tmp_path / RECORDS).write_text("".join(r.to_line() for r in both))
    environments = by_environment(read(tmp_path))
    assert [len(records) for records in environments] == [1, 1]
    assert environments[0][0].readings == {"peak_bytes": 1.0}  # the later of two


def test_the_one_with_most_good_trials_is_shown_whole_and_the_last_of_those() -> None:
    assert shown([OLD, NEW]) is NEW
    assert shown([OLD, NEW[:-1]]) is OLD
    assert shown([OLD, [replace(NEW[0], outcome="failed", error="no"), *NEW[1:]]]) is OLD
    assert shown([]) == []


def test_environments_are_called_by_what_tells_them_apart() -> None:
    other_numpy = made("3.13.0", {"lean": [1.0]}, numpy="2.5.5")
    assert [p.name for p in named([NEW, OLD])] == ["Python 3.11.7", "Python 3.13.0"]
    assert [p.name for p in named([NEW, OLD, other_numpy])] == [
        "Python 3.11.7, NumPy 2.4.6",
        "Python 3.13.0, NumPy 2.4.6",
        "Python 3.13.0, NumPy 2.5.5",
    ]
    changed = made("3.13.0", {"lean": [1.0]}, code="abc")
    assert [p.name for p in named([NEW, changed])] == [
        "Python 3.13.0, code \N{EN DASH}",
        "Python 3.13.0, code abc",
    ]


def test_the_matrix_has_each_mode_in_each_python_over_all_phases() -> None:
    rows = rows_of(subject(OLD[0]), named([OLD, NEW]))
    assert [row.name for row in rows] == [
        "step16, Python 3.11.7",
        "step16, Python 3.13.0",
        "step17, Python 3.11.7",
        "step17, Python 3.13.0",
    ]
    on = rows[1].figures["Peak, collector on"]
    assert (on.low, on.median, on.high, on.n) == (5e5, 7e5, 9e5, 3)
    assert rows[1].figures["Peak, collector off"].spread == 0


def test_the_report_says_which_environment_it_shows_and_has_all_of_them(tmp_path: Path) -> None:
    (tmp_path / RECORDS).write_text("".join(r.to_line() for r in [*OLD, *NEW]))
    write(tmp_path)
    said = (tmp_path / "findings.md").read_text(encoding="utf-8")
    assert "records of 2 environments: Python 3.11.7 and Python 3.13.0" in said
    assert "All other sections show Python 3.13.0" in said
    assert "| step16 | Python 3.11.7 | 2.4.6 |" in said
    assert "12 trials, all ended well" in said.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert matrix([OLD, NEW]).title in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_one_environment_has_no_matrix(tmp_path: Path) -> None:
    (tmp_path / RECORDS).write_text("".join(r.to_line() for r in OLD))
    write(tmp_path)
    said = (tmp_path / "findings.md").read_text(encoding="utf-8")
    assert "Python beside Python" not in said
    assert "Only one environment ran this" in said


def test_the_sentences_say_what_differs_from_python_to_python() -> None:
    both = [*OLD, *NEW]
    assert "peaks are alike in every environment, on all 2 pairs" in peaks_without_collector(both)
    said = strong_with_collector(both).replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "4.00 × in Python 3.11.7" in said
    assert "9.00 × in Python 3.13.0" in said
    higher = [
        replace(r, readings={**r.readings, "peak_bytes": 150_000.0})
        if r.trial.mode == "step16" and r.trial.collector == "off"
        else r
        for r in NEW
    ]
    said = peaks_without_collector([*OLD, *higher])
    assert "not the same in every environment on 1 of 2 pairs" in said
    assert "in `step16`" in said
    assert "97.7" in said  # KiB of 100 000 bytes
    assert "in Python 3.11.7" in said

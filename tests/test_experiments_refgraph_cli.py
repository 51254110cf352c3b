"""`experiments graph`, with real trials: the graph of each phase, in every form, and its errors."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from experiments import cli
from experiments.cli import graphing
from experiments.instruments import INSTRUMENTS, PICTURES, Instrument
from experiments.process import run_trial
from experiments.refgraph import rendering
from experiments.refgraph.model import Graph
from experiments.trial import Record, Trial
from experiments.workloads import WORKLOADS

Captured = pytest.CaptureFixture[str]

ONE = ("-s", "chain.length=1", "-s", "chain.size=100")


@functools.cache
def trial(workload: str, mode: str, **parameters: Any) -> Record:
    """The record of a trial that takes pictures."""
    given = {**WORKLOADS[workload].defaults, **parameters}
    record = run_trial(Trial("graph", workload, given, mode, "graph"))
    assert record.outcome == "ok", record.error
    return record


def graphs(record: Record) -> dict[str, Graph]:
    return {p: Graph.from_json(json.loads(text)) for p, text in record.details["graphs"].items()}


def names(graph: Graph) -> set[str]:
    return {node.title for node in graph.nodes if node.kind == "name"}


# The trial ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("instrument", PICTURES.values())
def test_what_takes_pictures_says_what_it_is_and_is_no_instrument(
    instrument: type[Instrument],
) -> None:
    text = instrument.__doc__ or ""
    for part in ("Sees:", "Blind to:", "Cost:", "Source:"):
        assert part in text
    assert not PICTURES.keys() & INSTRUMENTS.keys()


def test_each_phase_has_its_graph_with_the_names_of_the_step() -> None:
    found = graphs(trial("square_loop", "step16", rounds=2, size=100))
    assert found.keys() == {"built", "forward", "step", "dropped", "collected"}
    assert names(found["forward"]) == {"x", "y"}
    assert [len(g.nodes) > 0 for g in found.values()].count(False) == 2  # built and collected
    forward = found["forward"]
    assert sum(node.kind == "array" for node in forward.nodes) == 2 * 4
    assert {node.fate for node in forward.nodes if node.kind != "name"} == {"waits", "garbage"}
    assert {node.fate for node in found["dropped"].nodes} == {"garbage"}
    assert not any(node.outside for node in forward.nodes)


def test_a_lean_graph_has_no_cycle_and_leaves_nothing() -> None:
    found = graphs(trial("square_loop", "lean", rounds=2, size=100))
    assert not any(node.cycle for node in found["forward"].nodes)
    assert {node.fate for node in found["forward"].nodes} == {"freed"}
    assert found["dropped"].nodes == []


def test_two_trials_take_the_same_pictures() -> None:
    first = trial("chain", "step16", length=3, size=100)
    again = run_trial(first.trial)
    assert again.details["graphs"] == first.details["graphs"]


# The command --------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_in_words(capsys: Captured) -> None:
    assert cli.main(["graph", "chain", *ONE, "-m", "step16"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("chain under step16, after forward\n")
    assert "1 cycle of 2 objects, holding 1,600 bytes" in text
    assert "x (variable around there_and_back.step) -> Variable" in text


def test_why_an_array_is_alive(capsys: Captured) -> None:
    assert cli.main(["graph", "chain", *ONE, "--why", "y"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "y is alive by"
    assert lines[1].startswith("  y (local of there_and_back.step) -> Variable")
    assert cli.main(["graph", "chain", *ONE, "--why", "Sqare 1"]) == 2
    assert "Square 1" in capsys.readouterr().err


def test_without_a_mode_it_is_the_one_that_code_has_without_one(capsys: Captured) -> None:
    assert cli.main(["graph", "chain", *ONE, "-o", "x.json"]) == 0
    assert Graph.from_json(json.loads(Path("x.json").read_text())).facts["mode"] == "lean"


def test_two_modes_side_by_side_as_data(capsys: Captured) -> None:
    command = ["graph", "chain", *ONE, "--diff", "step16", "lean", "-o", "both.json"]
    assert cli.main(command) == 0
    assert capsys.readouterr().out == "both.json\n"
    graph = Graph.from_json(json.loads(Path("both.json").read_text()))
    only = {(edge.label, edge.weak, edge.only) for edge in graph.edges if edge.only}
    assert (".outputs[0]", False, "step16") in only
    assert (".outputs[0]", True, "lean") in only


def test_the_computation_graph_with_shapes(capsys: Captured) -> None:
    command = ["graph", "chain", *ONE, "-m", "step16", "--computation", "--shapes", "-o", "c.json"]
    assert cli.main([*command, "--at", "forward"]) == 0
    graph = Graph.from_json(json.loads(Path("c.json").read_text()))
    told = [(n.kind, n.title, n.detail) for n in graph.nodes]
    assert sorted(told) == [
        ("function", "Square", ""),
        ("variable", "x", "(100,)"),
        ("variable", "y", "(100,)"),
    ]
    assert graph.facts["mode"] == "step16"


def test_a_script_of_ones_own_and_fewer_objects_than_there_are(capsys: Captured) -> None:
    Path("mine.py").write_text(
        "class Box: pass\n"
        "def main(probe):\n"
        "    first = last = Box()\n"
        "    for i in range(50):\n"
        "        setattr(last, f'next_{i}', Box())\n"
        "        last = getattr(last, f'next_{i}')\n"
        "    probe('forward')\n"
    )
    command = ["graph", "--script", "mine.py", "--rounds", "1", "--most", "10", "-o", "m.json"]
    assert cli.main(command) == 0
    graph = Graph.from_json(json.loads(Path("m.json").read_text()))
    assert len(graph.nodes) == 10
    assert graph.omitted == 43  # of 51 boxes and two names
    assert "first" in names(graph)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["chainn"], "Did you mean 'chain'?"),
        (["chain", "-m", "step19"], "step16"),
        (["chain", "-s", "chain.len=1"], "length"),
        (["chain", "-o", "chain.pdf"], ".html, .svg, .png"),
        (["chain", "--at", "noon"], "backward"),
        ([], "Give a workload or a --script"),
        (["chain", "--script", "x.py"], "not both"),
        (["chain", "--rounds", "2"], "--script"),
        (["--script", "gone.py"], "there is no file gone.py"),
    ],
)
def test_what_cannot_be_asked_for(given: list[str], said: str, capsys: Captured) -> None:
    assert cli.main(["graph", *given]) == 2
    captured = capsys.readouterr()
    assert said in " ".join((captured.out + captured.err).replace("│", " ").split())


def test_a_phase_that_does_not_come_is_an_error_that_names_those_that_do(capsys: Captured) -> None:
    record = trial("square_loop", "step16", rounds=2, size=100)
    with pytest.raises(graphing.UsageError, match="built, forward, step, dropped, collected"):
        graphing._graph(record, "backward")
    assert cli.main(["graph", "square_loop", "--at", "backward"]) == 2
    assert "does not come to it" in capsys.readouterr().err


def test_a_trial_that_fails_is_told(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(trial: Trial, **_: Any) -> Record:
        return Record(trial, "timed out", error="The trial took longer than its 1 seconds.")

    monkeypatch.setattr(graphing, "run_trial", failing)
    assert cli.main(["graph", "chain", *ONE]) == 1
    assert "timed out: chain, lean" in capsys.readouterr().err


def test_no_picture_is_a_clear_message(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Path:
        raise rendering.NotDrawn("no program draws here: install graphviz-pure")

    def done(trial_: Trial, **_: Any) -> Record:
        return trial("chain", "lean", length=1, size=100)

    monkeypatch.setattr(rendering, "save", failing)
    monkeypatch.setattr(graphing, "run_trial", done)
    assert cli.main(["graph", "chain", "-o", "x.svg"]) == 1
    assert "install graphviz-pure" in capsys.readouterr().err


def test_what_cannot_be_written_is_an_error(capsys: Captured) -> None:
    assert cli.main(["graph", "chain", *ONE, "-o", "no/such/folder/x.json"]) == 2
    assert "cannot be written" in capsys.readouterr().err

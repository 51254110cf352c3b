"""The command compare: which runs it takes, what it prints, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import made_up
import pytest
from made_up import record

from experiments import cli, runner
from experiments.instruments.traced import Traced
from experiments.report.wording.words import GAP
from experiments.trial import Record, Trial

Captured = pytest.CaptureFixture[str]


def saved(name: str, records: Sequence[Record]) -> Path:
    folder = Path("reports", name)
    folder.mkdir(parents=True)
    lines = "".join(r.to_line() for r in records)
    (folder / runner.RECORDS).write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under reports/: a run, and one in which a peak has grown by half."""
    monkeypatch.chdir(tmp_path)
    run = made_up.run()
    grown = [
        replace(r, readings={**r.readings, "peak_bytes": 1.5 * r.readings["peak_bytes"]})
        if (r.trial.workload, r.trial.mode, r.trial.instrument) == ("chain", "lean", "traced")
        else r
        for r in run
    ]
    saved("before", run)
    saved("after", grown)


def said(text: str) -> str:
    """Text with plain spaces, without the frame and the line breaks of an error."""
    return " ".join(text.replace(GAP, " ").replace("│", " ").split())


def test_two_runs_alike_end_well(runs, capsys: Captured) -> None:
    assert cli.main(["compare", "before", "before"]) == 0
    out, err = capsys.readouterr()
    assert not err
    assert said(out).endswith("Nothing got worse by more than 5 % (times 10 %).")


def test_what_got_worse_is_named_and_is_the_exit_code(runs, capsys: Captured) -> None:
    assert cli.main(["compare", "reports/before", "after"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert said(lines[-1]) == "Worse: 1 figure. chain, lean, traced: peak_bytes 1.50 ×."
    assert sum(line.endswith("worse") for line in lines) == 1
    assert cli.main(["compare", "after", "before"]) == 0, "and the other way round, better"


def test_thresholds_and_all(runs, capsys: Captured) -> None:
    assert cli.main(["compare", "before", "after", "--threshold", "60%", "--all"]) == 0
    out = capsys.readouterr().out
    assert "Nothing got worse by more than 60 % (times 10 %)" in said(out)
    assert out.count("wall_seconds") == len(made_up.MODES) * len(made_up.WORKLOADS)
    assert (
        cli.main(["compare", "before", "after", "--threshold=0.4", "--time-threshold", ".2"]) == 1
    )
    assert "times 20 %" in said(capsys.readouterr().out)


def test_json_is_all_that_is_printed(runs, capsys: Captured) -> None:
    assert cli.main(["compare", "before", "after", "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert not err
    found = json.loads(out)
    [worse] = found["worse"]
    assert (worse["workload"], worse["mode"], worse["reading"]) == ("chain", "lean", "peak_bytes")
    assert worse["ratio"] == 1.5 and worse["a"]["n"] == worse["b"]["n"] == 2
    assert found["got_worse"] and found["a"] == "reports/before"
    assert sum(found["verdicts"].values()) == len(found["figures"]) > 100


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("compare before", "after"),
        ("compare before aftr", "Did you mean 'after'? There are: after, before, both."),
        ("compare before after --threshold much", "--threshold: 'much' is no share"),
        ("compare before after --time-threshold=-5%", "'-5%' is no share"),
        ("compare before after --format xml", "json"),
        ("compare before strange", "no workload, mode and instrument is in both"),
        ("compare before both", "2 environments (python: 3.11.7 here, 3.13.0 there)"),
    ],
)
def test_a_wrong_word_is_named_with_what_is_allowed(runs, capsys: Captured, words, says) -> None:
    if "strange" in words:
        saved("strange", [record("funnel", mode="lean")])
    saved("both", [record(environment={"python": python}) for python in ("3.11.7", "3.13.0")])
    assert cli.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert says in said(err).lower() or says in said(err)
    assert not out


def test_help_teaches_with_an_example_for_a_ci(capsys: Captured) -> None:
    assert cli.main(["compare", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.count("\n  experiments ") >= 6
    assert "To guard a CI" in text and "Exit code: 0 nothing got worse" in text


def test_a_trial_that_ran_twice_counts_as_it_went_last(runs, capsys: Captured) -> None:
    first, again = record(outcome="killed", error="no"), record(readings={"peak_bytes": 5})
    saved("twice", [first, again])
    assert cli.main(["compare", "twice", "twice"]) == 0
    assert "1 figure compared" in said(capsys.readouterr().out)


def test_two_real_runs_of_the_same_code_differ_in_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """And one more array in each round is found, by its bytes."""
    monkeypatch.chdir(tmp_path)
    sizes = {"same": 1000, "again": 1000, "larger": 2000}
    for name, size in sizes.items():
        given = {"rounds": 2, "size": size, "backward": True}
        trials = [
            Trial("mine", "square_loop", given, "lean", Traced.name, repeat=n) for n in (0, 1)
        ]
        told = {"rounds": 2, "size": 1000, "backward": True}
        records = runner.run(trials, tmp_path / f"{name}-as-run")
        saved(name, [replace(r, trial=replace(r.trial, parameters=told)) for r in records])
    assert cli.main(["compare", "same", "again"]) == 0
    assert "No figure differs." in capsys.readouterr().out
    assert cli.main(["compare", "same", "larger"]) == 1
    last = said(capsys.readouterr().out.splitlines()[-1])
    assert last.startswith("Worse: 5 figures. square_loop, lean, traced: ")
    assert "peak_bytes 1." in last

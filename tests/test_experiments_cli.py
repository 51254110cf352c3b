"""The command: what it accepts, what it says, and how it ends. Trials are faked; sweeps are not."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from autodiff import MODES
from experiments import cli, executors, report
from experiments import runner as real_runner
from experiments.cli.progress import Progress, trial_text
from experiments.executors import Engine
from experiments.instruments import INSTRUMENTS
from experiments.studies import studies
from experiments.trial import CALIBRATION, Outcome, Record, Trial
from experiments.truths import calibration_trials
from experiments.workloads import WORKLOADS


class FakeRunner:
    """Takes trials, runs nothing, writes records, and can be broken off."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self.truths: list[Trial] = []
        self.options: dict[str, object] = {}
        self.outcome: Callable[[Trial], Outcome] = lambda trial: "ok"
        self.breaks_after: int | None = None
        self.breaks_by: Callable[[int, int], BaseException] = real_runner.Interrupted

    def run(
        self,
        trials: Sequence[Trial],
        folder: Path,
        *,
        timeout: float,
        memory_limit: int | None,
        engine: Engine,
        join: bool,
        on_plan: Callable[[int, int], None],
        on_start: Callable[[Trial], None],
        on_record: Callable[[Record], None],
        on_notice: Callable[[str], None],
    ) -> list[Record]:
        self.trials = [trial for trial in trials if trial.study != CALIBRATION]
        self.truths = [trial for trial in trials if trial.study == CALIBRATION]
        self.options = {"timeout": timeout, "memory_limit": memory_limit}
        self.slots, self.join = engine.slots, join
        on_plan(0, len(trials))
        records = []
        for n, trial in enumerate(trials):
            if n == self.breaks_after:
                raise self.breaks_by(n, len(trials))
            on_start(trial)
            outcome = self.outcome(trial)
            error = "" if outcome == "ok" else "MemoryError: no more\n  deep down"
            records.append(Record(trial, outcome, error=error))
            with (folder / real_runner.RECORDS).open("a") as file:
                file.write(records[-1].to_line())
            on_record(records[-1])
        return records


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeRunner:
    fake = FakeRunner()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(real_runner, "run", fake.run)
    monkeypatch.setattr(report, "write", lambda folder: Path(folder) / "report.html")
    monkeypatch.setattr(report, "summary", lambda records: f"a table of {len(records)}")
    return fake


Captured = pytest.CaptureFixture[str]


def flat(text: str) -> str:
    """Text without the frame and the line breaks that the terminal's width gives it."""
    return " ".join(text.replace("│", " ").split())


def test_list_has_a_line_for_everything(capsys: Captured) -> None:
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = Counter([*WORKLOADS, *MODES, *INSTRUMENTS, *studies()])
    assert Counter(line.split()[0] for line in lines if line.startswith("  ")) == names
    assert any("size=10000" in line for line in lines)


def test_run_takes_the_ladder_and_ends_with_the_report_s_path(
    runner: FakeRunner, capsys: Captured
) -> None:
    assert cli.main(["run"]) == 0
    assert runner.trials == studies()["ladder"].trials()
    *_, table, path = capsys.readouterr().out.splitlines()
    assert table == f"a table of {len(runner.truths) + len(runner.trials)}"
    assert path.startswith(str(Path("reports", "ladder-")))
    assert Path(path).parent.is_dir()


def test_choices_replace_the_study_s_own(runner: FakeRunner) -> None:
    words = "run cycles -w chain --workload funnel -m lean -m lean --instrument clock -c off"
    options = "--repeats 2 --set chain.length=7 -s chain.kind=tanh --timeout 9 --memory-limit 512MB"
    assert cli.main([*words.split(), *options.split()]) == 0
    assert {(t.workload, t.repeat) for t in runner.trials} == {
        ("chain", 0),
        ("chain", 1),
        ("funnel", 0),
        ("funnel", 1),
    }
    assert len(runner.trials) == 4
    assert {(t.study, t.mode, t.instrument, t.collector) for t in runner.trials} == {
        ("cycles", "lean", "clock", "off")
    }
    chain = next(t for t in runner.trials if t.workload == "chain")
    assert chain.parameters == {"kind": "tanh", "length": 7, "size": 131_072}
    assert runner.options == {"timeout": 9.0, "memory_limit": 512_000_000}


def test_quick_reaches_the_study(runner: FakeRunner) -> None:
    assert cli.main(["run", "no_grad", "--quick"]) == 0
    assert runner.trials == studies()["no_grad"].trials(quick=True)


def test_a_run_calibrates_its_own_instruments_before_anything_else(runner: FakeRunner) -> None:
    words = ["run", "-w", "chain", "-i", "cycles", "-i", "clock", "-o", "mine"]
    assert cli.main([*words, "--quick"]) == 0
    assert runner.truths == calibration_trials(["cycles", "clock"], quick=True)
    written = (json.loads(line) for line in Path("mine", "records.jsonl").read_text().splitlines())
    studies_in_order = [record["trial"]["study"] for record in written]
    assert studies_in_order == sorted(studies_in_order)  # calibration, ladder
    assert cli.main([*words, "--quick", "--no-calibration"]) == 0
    assert not runner.truths
    assert runner.trials


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000", 1000),
        ("2kB", 2000),
        ("1.5 MiB", 1_572_864),
        ("2GiB", 2_147_483_648),
        ("1gb", 10**9),
    ],
)
def test_memory_is_written_as_people_write_it(runner: FakeRunner, text: str, expected: int) -> None:
    assert cli.main(["run", "--memory-limit", text]) == 0
    assert runner.options["memory_limit"] == expected


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("run ladr", "no study 'ladr'. Did you mean 'ladder'? There are: ladder, collector"),
        ("run -w chian", "no workload 'chian'. Did you mean 'chain'? There are: chain, "),
        ("run -m step167", "no mode 'step167'. Did you mean 'step17'? There are: step16, step17"),
        ("run -i trced", "no instrument 'trced'. Did you mean 'traced'?"),
        ("run -m nonesuch", "no mode 'nonesuch'. There are: step16"),
        ("run --set chain.lenth=5", "parameter of chain 'lenth'. Did you mean 'length'?"),
        ("run --set chian.length=5", "Did you mean 'chain'?"),
        ("run --set length=5", "WORKLOAD.PARAMETER=VALUE, as in chain.length=50"),
        ("run --set chain.length=x", "a whole number above 0 is needed, not 'x'"),
        ("run -w funnel --set chain.length=5", "chain is not part of this run"),
        ("run --memory-limit lots", "'lots' is no amount of memory"),
        ("run --memory-limit 0MB", "'0MB' is no amount of memory"),
        ("run --repeats 0", "--repeats"),
        ("run --timeout -1", "--timeout"),
        ("run --collector maybe", "each step"),
        ("run --qiuck", "--quick"),
        ("rnu", "Did you mean"),
        ("report nowhere", "'nowhere' is no run"),
    ],
)
def test_a_wrong_word_is_named_with_what_is_allowed(
    runner: FakeRunner, capsys: Captured, words: str, says: str
) -> None:
    assert cli.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert says in flat(err)
    assert not out
    assert not runner.trials
    assert not Path("reports").exists()


def test_help_teaches_with_examples(capsys: Captured) -> None:
    cli.main(["run", "--help"])
    text = capsys.readouterr().out
    examples = [line.strip() for line in text.splitlines() if line.startswith("  experiments run")]
    assert len(examples) >= 5
    assert "Exit code" in text


def test_a_bare_command_shows_help(capsys: Captured) -> None:
    assert cli.main([]) == 0
    assert "experiments run --quick" in capsys.readouterr().out


@pytest.mark.parametrize("outcome", ["failed", "timed out", "killed"])
def test_trials_that_fail_are_told_and_the_rest_goes_on(
    runner: FakeRunner, capsys: Captured, outcome: Outcome
) -> None:
    runner.outcome = lambda trial: outcome if trial.mode == "step16" else "ok"
    assert cli.main(["run", "cycles", "-w", "chain", "-i", "traced", "--repeats", "1"]) == 1
    out, err = capsys.readouterr()
    assert f"{outcome}: chain, step16, traced, repeat 1: MemoryError: no more" in err
    assert out.splitlines()[-1].endswith("report.html")


def test_a_run_broken_off_says_how_to_go_on(
    runner: FakeRunner, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/experiments"])
    runner.breaks_after = 3
    words = ["run", "cycles", "-w", "chain", "--set", "chain.length=5"]
    assert cli.main(words) == 130
    out, err = capsys.readouterr()
    assert not out
    assert "Broken off after 3 of" in err
    program, *resume = shlex.split(err.splitlines()[-1])
    assert program == "/somewhere/bin/experiments"
    assert resume[:-1] == [*words, "--output"]

    runner.breaks_after = None
    assert cli.main(resume) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(resume[-1])


def test_a_full_disk_says_so_and_how_to_go_on(runner: FakeRunner, capsys: Captured) -> None:
    runner.breaks_after = 2
    runner.breaks_by = lambda done, total: OSError(28, "No space left on device")
    assert cli.main(["run", "cycles", "-o", "mine"]) == 1
    err = capsys.readouterr().err
    assert "No space left on device" in err
    assert shlex.split(err.splitlines()[-1])[-4:] == ["run", "cycles", "-o", "mine"]


def test_a_half_written_last_line_does_not_stand_in_the_way(
    runner: FakeRunner, capsys: Captured
) -> None:
    assert cli.main(["run", "cycles", "-o", "mine"]) == 0
    records = Path("mine", real_runner.RECORDS)
    records.write_bytes(records.read_bytes()[:-10])
    assert cli.main(["run", "cycles", "-o", "mine"]) == 0
    assert "half written" in capsys.readouterr().err


def test_a_resumed_run_that_is_broken_off_is_resumed_alike(
    runner: FakeRunner, capsys: Captured
) -> None:
    runner.breaks_after = 0
    words = ["run", "cycles", "--output=mine"]
    assert cli.main(words) == 130
    assert shlex.split(capsys.readouterr().err.splitlines()[-1])[-3:] == words


def test_the_command_to_type_is_short_where_it_can_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "experiments"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.chdir(tmp_path)
    assert cli._command() == [os.path.join("bin", "experiments")]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert cli._command() == [str(program)]
    monkeypatch.setenv("PATH", str(program.parent))
    assert cli._command() == ["experiments"]
    monkeypatch.setattr(sys, "argv", ["/x/experiments/__main__.py"])
    assert cli._command()[1:] == ["-m", "experiments"]


def test_a_folder_that_cannot_be_written_is_an_error_before_the_first_trial(
    runner: FakeRunner, capsys: Captured
) -> None:
    Path("file").touch()
    assert cli.main(["run", "--output", "file/run"]) == 2
    assert "Nothing can be written to file/run: Not a directory." in flat(capsys.readouterr().err)
    assert not runner.trials


def test_a_folder_with_another_run_is_refused(runner: FakeRunner, capsys: Captured) -> None:
    assert cli.main(["run", "cycles", "-w", "chain", "-o", "mine"]) == 0
    assert cli.main(["run", "cycles", "-w", "chain", "-o", "mine", "--repeats", "21"]) == 0
    runner.trials = []
    assert cli.main(["run", "cycles", "-w", "chain", "-o", "mine", "--quick"]) == 2
    assert "mine holds another run" in flat(capsys.readouterr().err)
    assert not runner.trials


def test_records_that_cannot_be_read_are_an_error_that_names_the_line(
    runner: FakeRunner, capsys: Captured
) -> None:
    Path("mine").mkdir()
    Path("mine", real_runner.RECORDS).write_text("no record\n")
    assert cli.main(["run", "-o", "mine"]) == 2
    assert "line 1" in flat(capsys.readouterr().err)


def test_report_takes_a_folder_or_a_name(runner: FakeRunner, capsys: Captured) -> None:
    assert cli.main(["run", "cycles", "-w", "chain", "-o", "reports/mine"]) == 0
    for run in ("reports/mine", "mine"):
        assert cli.main(["report", run]) == 0
        assert Path(capsys.readouterr().out.splitlines()[-1]) == Path("reports/mine/report.html")
    assert cli.main(["report", "mien"]) == 2
    assert "Did you mean 'mine'? There are: mine." in flat(capsys.readouterr().err)


def test_progress_is_plain_lines_where_there_is_no_terminal(
    runner: FakeRunner, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["run"]) == 0
    lines = capsys.readouterr().err.splitlines()
    total = len(runner.truths) + len(runner.trials)
    assert len(lines) == 20
    assert lines[-1].startswith(f"{total} of {total} trials: ")


@pytest.mark.parametrize(
    ("options", "slots", "join"),
    [
        ("", 1, False),
        ("--jobs 3", 3, False),
        ("--jobs auto", executors.available(), False),
        ("--join", 1, True),
    ],
)
def test_where_trials_run_reaches_the_runner(
    runner: FakeRunner, options: str, slots: int, join: bool
) -> None:
    assert cli.main(["run", "cycles", *options.split()]) == 0
    assert (runner.slots, runner.join) == (slots, join)


def test_progress_says_what_runs_side_by_side_and_how_long_the_rest_takes(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = studies()["cycles"].trials(workloads=["chain"])[:10]
    clock = iter(range(0, 1000, 5))
    monkeypatch.setattr("experiments.cli.progress.time.monotonic", lambda: float(next(clock)))
    progress = Progress(len(trials))
    progress.plan(4, len(trials))
    for trial in trials[4:8]:
        progress.start(trial)
    progress.advance(Record(trials[4], "ok"))
    [line] = capsys.readouterr().err.splitlines()
    running = "; ".join(trial_text(trial) for trial in trials[5:8])
    assert line == f"5 of 10 trials: {trial_text(trials[4])} (running: {running}), about 25 s left"


@pytest.mark.parametrize(("setting", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_only_on_a_terminal_and_never_where_it_is_not_wanted(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, setting: dict[str, str], coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    cli.main(["list"])
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    cli.main(["list"])
    assert bool(re.search(r"\x1b\[[0-9;]*3\d", capsys.readouterr().out)) == coloured

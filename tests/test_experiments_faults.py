"""Every way in which a trial or a run can go wrong, done: nothing that was measured is lost.

What becomes of a trial that breaks its rules, hangs or is killed, and of a last line that is half
written, is in test_experiments_runner.py, too; what becomes of workers, in
test_experiments_executors.py.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
import specimens
from processes import begun, gone, wait_until
from specimens import named

from experiments import cli, environment, report
from experiments.runner import RECORDS, Locked, OtherEnvironment, RecordsFile, run, run_trial
from experiments.trial import Trial, read_records

linux = pytest.mark.skipif(sys.platform != "linux", reason="read from /proc and limited on Linux")
posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")


def a_trial(specimen=specimens.blank, instrument="clock", repeat=0, **parameters):
    return Trial("tests", named(specimen), parameters, "lean", instrument, repeat=repeat)


def flat(text):
    """Text without the frame and the line breaks that the terminal's width gives it."""
    return " ".join(text.replace("│", " ").split())


# A trial dies -------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize(
    ("end", "outcome", "said"),
    [
        ("raise", "failed", "RuntimeError: enough"),
        ("hang", "timed out", "longer than its 2.5 seconds"),
        ("memory limit", "failed", "ran out of its memory limit"),
        ("SIGKILL", "killed", "ended by SIGKILL"),
        ("SIGSEGV", "killed", "ended by SIGSEGV"),
    ],
    ids=["it raises", "it hangs", "it needs too much", "it is killed", "it segfaults"],
)
def test_a_trial_that_ends_badly_says_what_it_had_at_least(tmp_path, end, outcome, said):
    witness = tmp_path / "witness"
    limit = 400_000_000 if end == "memory limit" else None
    record = run_trial(
        a_trial(specimens.doomed, end=end, witness=str(witness)),
        timeout=2.5 if end == "hang" else 60.0,
        memory_limit=limit,
    )
    assert (record.outcome, record.phase) == (outcome, "forward")
    assert said in record.error
    before, highest = map(int, witness.read_text().split())
    least = record.at_least["peak_resident_bytes"]
    assert least >= 95_000_000  # close to the 100 MB that it touched
    assert least <= highest - before + 1_000_000  # and no more than it had
    assert not record.readings


# The runner dies ----------------------------------------------------------------------------------

RUN = """
import json, signal, sys
from experiments.executors import threads
from experiments.runner import Interrupted, run
from experiments.trial import Trial
trials = [Trial.from_line(line) for line in json.loads(sys.argv[1])]
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where tests run in the back
    try:
        with threads(int(sys.argv[3])) as engine:
            run(trials, sys.argv[2], engine=engine)
    except Interrupted as stop:
        print(stop)
        sys.exit(130)
"""


def running(trials, folder, jobs=1):
    """A runner in a process of its own."""
    lines = json.dumps([trial.to_line() for trial in trials])
    return subprocess.Popen(
        [sys.executable, "-c", RUN, lines, str(folder), str(jobs)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(environment.PROJECT)},
        text=True,
    )


@posix
def test_a_runner_killed_at_any_moment_loses_no_finished_trial(tmp_path):
    trials = [
        a_trial(specimens.witnessed, folder=str(tmp_path), seconds=0.4, repeat=n) for n in range(8)
    ]
    path, moments = tmp_path / RECORDS, random.Random(3)
    kept, kills = b"", 0
    while True:
        missing = len(trials) - kept.count(b"\n")
        before = len(begun(tmp_path))
        with running(trials, tmp_path, jobs=1 + kills % 2) as runner:
            try:
                ended = runner.wait(moments.uniform(0.2, 1.3) if kills < 4 else 60)
            except subprocess.TimeoutExpired:
                runner.kill()
                ended, kills = None, kills + 1
        assert wait_until(lambda: all(gone(pid) for pid, _ in begun(tmp_path)))
        now = path.read_bytes() if path.exists() else b""
        assert now.startswith(kept[: kept.rfind(b"\n") + 1])  # what was finished stands as it did
        assert len(begun(tmp_path)) - before <= missing  # and only what is missing runs
        kept = now
        if ended is not None:
            break
    assert ended == 0
    assert kills == 4
    assert Counter(r.trial.repeat for r in read_records(path)) == Counter(range(8))
    assert {r.outcome for r in read_records(path)} == {"ok"}


@posix
def test_ctrl_c_ends_all_that_runs_side_by_side_and_leaves_a_valid_run(tmp_path):
    first = a_trial()
    others = [
        a_trial(specimens.witnessed, "traced", folder=str(tmp_path), seconds=600.0, repeat=n)
        for n in range(3)
    ]
    run([first], tmp_path)
    with running([first, *others], tmp_path, jobs=2) as runner:
        assert wait_until(lambda: len(begun(tmp_path)) == 2)
        runner.send_signal(signal.SIGINT)
        said, _ = runner.communicate(timeout=20)
    assert runner.returncode == 130
    assert "broken off after 1 of 4 trials" in said
    assert wait_until(lambda: all(gone(pid) for pids in begun(tmp_path) for pid in pids))
    assert [record.trial for record in read_records(tmp_path / RECORDS)] == [first]
    assert len(begun(tmp_path)) == 2


# Two runners --------------------------------------------------------------------------------------


@posix
def test_a_second_runner_on_a_folder_is_told_who_has_it_until_that_one_is_gone(tmp_path, capsys):
    trial = a_trial(specimens.witnessed, folder=str(tmp_path), seconds=600.0)
    with running([trial], tmp_path) as first:
        assert wait_until(lambda: len(begun(tmp_path)) == 1)
        assert cli.main(["run", "--output", str(tmp_path)]) == 2
        said = flat(capsys.readouterr().err)
        assert "is in use by another run" in said
        assert f"process {first.pid}, since 20" in said
        with pytest.raises(Locked):
            run([trial], tmp_path)
        first.kill()
        first.wait()
        with RecordsFile(tmp_path / RECORDS, print) as file:  # the lock went with its holder
            assert file.records == []
    assert len(begun(tmp_path)) == 1


# Another environment ------------------------------------------------------------------------------


def elsewhere(record, **changed):
    """The record, as another environment would have made it."""
    return replace(record, environment={**record.environment, **changed})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two trials, made here."""
    return run([a_trial(rounds=1, repeat=n) for n in range(2)], tmp_path_factory.mktemp("made"))


def kept(folder, records):
    folder.joinpath(RECORDS).write_text("".join(record.to_line() for record in records))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"python": "3.99.1"}, "3.99.1 there"),
        ({"numpy": "9.9.9"}, "9.9.9 there"),
        ({"code": "0123456789abcdef"}, "0123456789abcdef there"),
        ({"gc_thresholds": [1, 2, 3]}, "1, 2, 3 there"),
    ],
    ids=["Python", "NumPy", "code", "collector"],
)
def test_records_of_another_environment_are_not_mixed_silently(tmp_path, made, changed, said):
    kept(tmp_path, [elsewhere(made[0], **changed)])
    before = (tmp_path / RECORDS).read_bytes()
    with pytest.raises(OtherEnvironment) as refused:
        run([record.trial for record in made], tmp_path)
    for words in (f"{next(iter(changed)).replace('_', ' ')}: ", said, "--output", "--join"):
        assert words in str(refused.value)
    assert (tmp_path / RECORDS).read_bytes() == before


def test_records_of_another_environment_are_kept_beside_where_that_is_asked_for(tmp_path, made):
    theirs = [elsewhere(record, python="3.99.1") for record in made]
    kept(tmp_path, [*theirs, made[0]])
    started = []
    records = run([r.trial for r in made], tmp_path, join=True, on_start=started.append)
    assert started == [made[1].trial]  # of what is missing here, whatever was done there
    assert records[0] == made[0]
    assert read_records(tmp_path / RECORDS) == [*theirs, *records]
    again = []
    run([r.trial for r in made], tmp_path, join=True, on_start=again.append)
    assert not again


def test_a_script_that_was_changed_is_another_experiment(tmp_path, made):
    kept(tmp_path, [elsewhere(made[0], script="0123456789abcdef")])
    with pytest.raises(OtherEnvironment, match="script: ") as refused:
        run([record.trial for record in made], tmp_path, join=True)
    assert "--join" not in str(refused.value)


@posix
def test_the_command_says_what_differs_and_what_one_can_do(tmp_path, capsys, made):
    trial = replace(made[0].trial, study="cycles", workload="goldstein_price")
    trial = replace(trial, parameters={"rounds": 100})
    kept(tmp_path, [replace(elsewhere(made[0], python="3.99.1"), trial=trial)])
    assert cli.main([*A_RUN, "-o", str(tmp_path)]) == 2
    said = flat(capsys.readouterr().err)
    assert "holds records of another environment" in said
    assert "3.99.1 there" in said


# The disk -----------------------------------------------------------------------------------------

WITH_LITTLE_ROOM = """
import resource, sys
from experiments.cli import main
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
    sys.exit(main(sys.argv[2:]))
"""
A_RUN = (
    "run cycles -w goldstein_price -i clock -m lean -m step17 -c off --repeats 2 --no-calibration"
).split()


def with_little_room(size, *arguments):
    """The command, where no file can have more bytes than that: as on a disk that is full."""
    return subprocess.run(
        [sys.executable, "-c", WITH_LITTLE_ROOM, str(size), *map(str, arguments)],
        # Python would write compiled modules as far as there is room, and others would read them.
        env={**os.environ, "PYTHONPATH": str(environment.PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@linux
def test_a_full_disk_is_an_error_before_the_first_trial(tmp_path):
    done = with_little_room(0, *A_RUN, "-o", tmp_path / "run")
    assert done.returncode == 2
    assert "Nothing can be written to" in flat(done.stderr)
    assert "Traceback" not in done.stderr


@linux
def test_a_disk_that_fills_up_stops_the_run_cleanly_and_the_rest_runs_later(tmp_path):
    folder = tmp_path / "run"
    done = with_little_room(4_000, *A_RUN, "-o", folder)
    assert done.returncode == 1, done.stderr
    assert "what was done is kept" in flat(done.stderr)
    assert "Traceback" not in done.stderr
    records = read_records(folder / RECORDS)  # each of them whole
    assert 1 <= len(records) < 4
    # The report does not fit, and there is none in part.
    done = with_little_room(50_000, *A_RUN, "-o", folder)
    assert done.returncode == 1, done.stderr
    assert "The report could not be written" in flat(done.stderr)
    assert len(read_records(folder / RECORDS)) == 4
    assert read_records(folder / RECORDS)[: len(records)] == records
    assert not {path.suffix for path in folder.iterdir()} & {".html", ".md", ".draft"}


@linux
def test_a_report_that_does_not_fit_leaves_the_one_before_as_it_was(tmp_path, made):
    kept(tmp_path, made)
    report.write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = with_little_room(50_000, "report", tmp_path)
    assert done.returncode == 2
    assert "could not be written" in flat(done.stderr)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@linux
def test_a_folder_that_nothing_can_be_written_to_is_an_error_before_the_first_trial(capsys):
    assert cli.main(["run", "-o", "/proc/nowhere"]) == 2
    assert "Nothing can be written to /proc/nowhere" in flat(capsys.readouterr().err)


# Records edited by hand ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda found: found.update(outcome="splendid"), "outcome: 'splendid'"),
        (lambda found: found.update(schema=99), "schema: 99"),
        (lambda found: found.update(readings={"wall_seconds": "long"}), "readings.wall_seconds"),
        (lambda found: found.update(readings=[1, 2]), "readings: "),
        (lambda found: found.update(colour="blue"), "colour: no such field"),
        (lambda found: found.pop("outcome"), "outcome: this field is missing"),
        (lambda found: found["trial"].pop("mode"), "trial.mode: this field is missing"),
        (lambda found: found["trial"].update(repeat="first"), "trial.repeat: "),
        (lambda found: found["trial"].update(collector="of"), "trial.collector: 'of'"),
        (lambda found: found.update(environment="here"), "environment: "),
    ],
    ids=[
        "an outcome that there is not",
        "another schema",
        "a word for a figure",
        "a list of readings",
        "a field too many",
        "a field too few",
        "no mode",
        "a word for a count",
        "a slip of the pen",
        "an environment in a word",
    ],
)
def test_nonsense_in_a_record_is_named_by_file_line_and_field(tmp_path, capsys, made, edit, said):
    found = json.loads(made[1].to_line())
    edit(found)
    path = tmp_path / RECORDS
    path.write_text(made[0].to_line() + json.dumps(found) + "\n")
    before = path.read_bytes()
    for command in (["run", "-o", str(tmp_path)], ["report", str(tmp_path)]):
        assert cli.main(command) == 2
        error = flat(capsys.readouterr().err).replace(" ", "")
        for words in (str(path), "line 2", said):
            assert words.replace(" ", "") in error
    assert path.read_bytes() == before

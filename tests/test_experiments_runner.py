"""Whatever becomes of a trial it leaves a record, and whatever becomes of a run it keeps them."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import specimens
from processes import gone, wait_until
from specimens import named

from autodiff import MODES
from experiments import child, environment
from experiments.heartbeat import STAGES, Heartbeat, read_pulse
from experiments.instruments import Instrument
from experiments.runner import RECORDS, Interrupted, RecordsFile, run, run_trial
from experiments.trial import Record, RecordError, Trial, read_records
from experiments.workloads import Workload

posix = pytest.mark.skipif(os.name != "posix", reason="signals and process groups are POSIX's")


def a_trial(specimen=specimens.blank, mode="lean", instrument="clock", repeat=0, **parameters):
    workload = specimen if isinstance(specimen, str) else named(specimen)
    return Trial("tests", workload, parameters, mode, instrument, repeat=repeat)


# What a record says -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record():
    return run_trial(a_trial(rounds=1))


def test_a_record_says_how_far_its_trial_came(record):
    assert (record.outcome, record.phase, record.error) == ("ok", "collected", "")


def test_a_record_holds_the_fields_of_its_mode(record):
    assert record.memory_mode == {
        "enable_backprop": True,
        "output_refs": "weak",
        "kept": "declared",
        "retain_grad": False,
        "retain_graph": False,
    }


def test_a_record_says_where_its_trial_ran(record):
    there = record.environment
    assert there["python"] == sys.version.split()[0]
    assert there["numpy"] == np.__version__
    assert there["gc_thresholds"] == list(gc.get_threshold())
    assert there["pins"] == dict(environment.PINS)
    assert there["free_threaded"] is False


def test_a_trial_is_not_at_random_addresses_where_that_can_be(record):
    if environment.of_process()["address_randomisation"] == "on" and sys.platform == "linux":
        assert record.environment["address_randomisation"] in ("off for this process", "on")


def test_the_trial_runs_in_its_mode():
    assert run_trial(a_trial(mode="step16")).memory_mode["output_refs"] == "strong"
    assert set(MODES) >= {"step16", "no_grad"}


@posix
def test_a_trials_peak_is_not_the_runners():
    ballast = np.ones(400_000_000, dtype=np.uint8)
    process = run_trial(a_trial(rounds=1)).details["process"]
    assert 10_000_000 < process["peak_resident_bytes"] < ballast.nbytes / 2


def test_what_a_workload_prints_is_not_in_the_record():
    record = run_trial(a_trial(specimens.talkative), timeout=30.0)
    assert record.outcome == "ok"
    assert record.results == {"read_bytes": 0}


# What a trial leaves behind -----------------------------------------------------------------------


class Something:
    """What can be referred to weakly."""


class Results(dict):
    """Results that can be referred to weakly."""


class Watch(Instrument):
    """Notes which of the things that a workload made are still there."""

    name = "watch"

    def at(self, phase):
        seen[phase] = {name for name, ref in made.items() if ref() is not None}


made, seen = {}, {}


def build(rng):
    """Makes one of everything that could be held by mistake."""
    parameters = Something()
    made["parameters"] = weakref.ref(parameters)

    def step(probe):
        graph = Something()
        graph.parameters = parameters
        results = Results(loss=np.float64(1.5))
        made["graph"], made["results"] = weakref.ref(graph), weakref.ref(results)
        probe("forward")
        return results

    made["step"] = weakref.ref(step)
    return step


def test_when_the_last_reference_is_dropped_nothing_is_held_by_mistake(monkeypatch):
    monkeypatch.setitem(child.WORKLOADS, "made here", Workload("made here", build))
    monkeypatch.setitem(child.INSTRUMENTS, "watch", Watch)
    try:
        record = child.measure(a_trial("made here", instrument="watch"), Heartbeat())
    finally:
        gc.enable()
    assert seen["baseline"] == set()  # of the rehearsal
    assert seen["built"] >= {"parameters", "step"}
    assert seen["forward"] == {"parameters", "step", "graph", "results"}
    assert seen["dropped"] == set()
    assert record.results == {"loss": 1.5}


# When a trial goes wrong --------------------------------------------------------------------------


def test_a_trial_that_raises_says_where():
    record = run_trial(a_trial(specimens.raising))
    assert (record.outcome, record.phase) == ("failed", "warm-up: forward")
    assert record.error.startswith("ZeroDivisionError: division by zero")
    assert "specimens.py" in record.error
    assert '"quotient": 1 / 0' in record.error
    assert "child.py" not in record.error
    assert record.environment["numpy"]
    assert record.memory_mode


@pytest.mark.parametrize(
    ("specimen", "said"),
    [
        (specimens.exiting, "SystemExit: enough"),
        (specimens.fickle, "it must do the same each time"),
        (specimens.infinite, "loss = inf"),
        (specimens.lost, "probe('backwards'): the moments are forward, backward, step"),
    ],
)
def test_a_workload_that_breaks_the_rules_is_told_which(specimen, said):
    record = run_trial(a_trial(specimen))
    assert record.outcome == "failed"
    assert said in record.error


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        (a_trial("no_such"), "no workload is named 'no_such'; there are "),
        (a_trial(mode="step99"), "no memory mode is named 'step99'; there are step16"),
        (a_trial(instrument="scales"), "no instrument is named 'scales'; there are traced"),
        (a_trial("nowhere.py:f"), "nowhere.py: there is no such Python file"),
        (a_trial(f"{specimens.__file__}:nothing"), "has no function 'nothing'"),
    ],
)
def test_an_unknown_name_is_told_what_there_is(trial, said):
    record = run_trial(trial)
    assert record.outcome == "failed"
    assert said in record.error


@pytest.mark.skipif(sys.platform != "linux", reason="address space can be limited on Linux")
def test_a_trial_that_runs_out_of_its_memory_limit_says_so():
    record = run_trial(a_trial(specimens.hungry), memory_limit=200_000_000)
    assert (record.outcome, record.phase) == ("failed", "warm-up: forward")
    assert "ran out of its memory limit of 200,000,000 bytes" in record.error
    assert "np.ones(size" in record.error


@pytest.mark.skipif(sys.platform != "linux", reason="address space can be limited on Linux")
def test_a_memory_limit_is_on_top_of_what_importing_needs():
    record = run_trial(a_trial(specimens.hungry, size=100_000_000), memory_limit=150_000_000)
    assert record.outcome == "ok", record.error


@posix
def test_a_trial_that_is_killed_leaves_a_record_with_the_signal():
    record = run_trial(a_trial(specimens.signalled))
    assert (record.outcome, record.phase) == ("killed", "forward")
    assert record.error.startswith("The process was ended by SIGKILL.")
    assert record.environment["numpy"]
    assert record.details["process"]["peak_resident_bytes"] > 10_000_000


@posix
def test_a_trial_that_crashes_leaves_a_record_with_the_place():
    record = run_trial(a_trial(specimens.crashing))
    assert (record.outcome, record.phase) == ("killed", "warm-up: built")
    assert "ended by SIGSEGV" in record.error
    assert "specimens.py" in record.error


def test_a_process_that_ends_without_a_record_leaves_one():
    record = run_trial(a_trial(specimens.vanishing))
    assert (record.outcome, record.phase) == ("failed", "warm-up: forward")
    assert "by itself, with status 3" in record.error
    assert "last words" in record.error


@posix
def test_a_trial_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    pids = tmp_path / "pids"
    trial = a_trial(specimens.hanging, instrument="resident", pid_file=str(pids))
    record = run_trial(trial, timeout=4.0)
    assert (record.outcome, record.phase) == ("timed out", "warm-up: forward")
    assert record.error.startswith("The trial took longer than its 4 seconds.")
    assert "specimens.py" in record.error  # where it was
    mine, helper = map(int, pids.read_text().split())
    assert wait_until(lambda: gone(mine) and gone(helper))


RUN_IN_A_PROCESS = """
import json, signal, sys
from experiments.runner import Interrupted, run
from experiments.trial import Trial
trials = [Trial.from_line(line) for line in json.loads(sys.argv[1])]
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where tests run in the back
    try:
        run(trials, sys.argv[2])
    except Interrupted as stop:
        print(stop)
        sys.exit(130)
"""


def running(trials, folder):
    """A runner in a process of its own."""
    lines = json.dumps([trial.to_line() for trial in trials])
    return subprocess.Popen(
        [sys.executable, "-c", RUN_IN_A_PROCESS, lines, str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(environment.PROJECT), "TMPDIR": str(folder)},
        text=True,
    )


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_broken_off_ends_its_trial_and_keeps_the_rest(tmp_path, number):
    pids = tmp_path / "pids"
    trials = [a_trial(rounds=1), a_trial(specimens.hanging, pid_file=str(pids))]
    with running(trials, tmp_path) as runner:
        assert wait_until(lambda: pids.exists() and pids.read_text().count(" ") == 1)
        runner.send_signal(number)
        try:
            said, _ = runner.communicate(timeout=20)
        finally:
            runner.kill()
    mine, helper = map(int, pids.read_text().split())
    assert wait_until(lambda: gone(mine) and gone(helper))
    assert [record.trial for record in read_records(tmp_path / RECORDS)] == trials[:1]
    if number == signal.SIGINT:
        assert "broken off after 1 of 2 trials" in said


# Runs ---------------------------------------------------------------------------------------------


def test_a_run_saves_each_record_at_once_and_returns_all_in_order(tmp_path):
    trials = [a_trial(rounds=1, repeat=n) for n in (1, 0)]
    seen = []

    def on_record(record):
        seen.append((record, len(read_records(tmp_path / RECORDS))))

    records = run(trials, tmp_path, on_record=on_record)
    assert [record.trial for record in records] == trials
    assert [(record.trial, saved) for record, saved in seen] == [(trials[0], 1), (trials[1], 2)]
    assert read_records(tmp_path / RECORDS) == records
    assert "commit" in records[0].environment


def test_a_run_goes_on_where_it_was_broken_off(tmp_path):
    trials = [a_trial(specimens.raising, repeat=n) for n in range(3)]
    started = []

    def on_start(trial):
        if len(started) == 2:
            raise KeyboardInterrupt
        started.append(trial)

    with pytest.raises(Interrupted) as stop:
        run(trials, tmp_path, on_start=on_start)
    assert (stop.value.done, stop.value.total) == (2, 3)
    rest = []
    records = run(trials, tmp_path, on_start=rest.append)
    assert rest == trials[2:]
    assert [record.trial for record in records] == trials
    assert len(read_records(tmp_path / RECORDS)) == 3


def test_a_trial_that_is_asked_for_twice_runs_once(tmp_path):
    trial = a_trial(rounds=1)
    assert len(run([trial, trial], tmp_path)) == 1


def saved(tmp_path, count):
    records = [Record(a_trial(repeat=n), "ok") for n in range(count)]
    path = tmp_path / RECORDS
    path.write_text("".join(record.to_line() for record in records))
    return records, path


def test_a_half_written_last_line_is_dropped_with_a_notice(tmp_path):
    records, path = saved(tmp_path, 3)
    for cut in (1, 5, 100, len(records[-1].to_line()) - 3):
        saved(tmp_path, 3)
        os.truncate(path, path.stat().st_size - cut)
        notices = []
        with RecordsFile(path, notices.append) as file:
            whole = 3 if cut == 1 else 2  # without its line end the record is still whole
            assert file.records == records[:whole]
            assert len(notices) == (0 if cut == 1 else 1)
            file.append(records[-1])
        assert read_records(path) == [*records[:whole], records[-1]]


def test_a_damaged_file_is_left_alone_and_named(tmp_path):
    _, path = saved(tmp_path, 2)
    path.write_text("nonsense\n" + path.read_text())
    before = path.read_bytes()
    with pytest.raises(RecordError, match="line 1: no JSON"):
        run([a_trial(rounds=1)], tmp_path)
    assert path.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
def test_a_full_disk_stops_the_run_and_damages_nothing(tmp_path, monkeypatch):
    records, path = saved(tmp_path, 2)
    before = path.read_bytes()
    write = os.write
    with RecordsFile(path, lambda notice: None) as file:
        monkeypatch.setattr(os, "write", lambda number, data: write(number, data[:50]))
        with pytest.raises(OSError, match=r"only 50 of \d+ bytes"):
            file.append(records[0])
    assert path.read_bytes() == before


# The parts ----------------------------------------------------------------------------------------


def test_a_heartbeat_is_read_back(tmp_path):
    path = tmp_path / "heartbeat"
    path.touch()
    assert read_pulse(path).phase == ""
    heart = Heartbeat(str(path))
    assert read_pulse(path).pid == os.getpid()
    for stage in STAGES[1:]:
        heart.beat(stage)
    assert [mark.stage for mark in read_pulse(path).marks] == list(STAGES)
    times = [mark.seconds for mark in read_pulse(path).marks]
    assert times == sorted(times)
    assert abs(times[0] - time.time()) < 60
    with path.open("ab") as file:
        file.write(b"half a mark")
    assert len(read_pulse(path).marks) == len(STAGES)


def test_the_phase_says_whether_it_is_the_rehearsals(tmp_path):
    path = tmp_path / "heartbeat"
    path.touch()
    heart = Heartbeat(str(path))
    phases = []
    for stage in ("warm-up", "built", "forward", "baseline", "built"):
        heart.beat(stage)
        phases.append(read_pulse(path).phase)
    assert phases == ["warm-up", "warm-up: built", "warm-up: forward", "baseline", "built"]


def by_hand(trial, env, *arguments):
    """The records that a child writes that no launcher started."""
    done = subprocess.run(
        [sys.executable, "-m", "experiments.child", *arguments],
        input=trial.to_line(),
        capture_output=True,
        env=env,
        text=True,
        check=True,
        timeout=60,
    )
    return [Record.from_line(line) for line in done.stdout.splitlines()]


def test_a_child_that_is_not_pinned_refuses():
    env = {**environment.pinned(os.environ), "PYTHONHASHSEED": "1"}
    (record,) = by_hand(a_trial(), env)
    assert record.outcome == "failed"
    assert "PYTHONHASHSEED is '1' and must be '0'" in record.error


def test_a_child_can_be_run_by_hand():
    first, last = by_hand(a_trial(rounds=1), environment.pinned(os.environ))
    assert (first.outcome, last.outcome) == ("killed", "ok")


def test_the_environment_is_what_json_holds():
    there = {**environment.of_process(), **environment.of_project()}
    assert json.loads(json.dumps(there)) == there


def test_a_trial_imports_nothing_that_it_does_not_need():
    code = "import experiments.child, sys; print(*sys.modules)"
    env = environment.pinned(os.environ)
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    heavy = {"bokeh", "cyclopts", "jinja2", "memory_profiler", "objgraph", "psutil", "rich"}
    assert heavy & set(done.stdout.split()) == set()

"""Trials side by side and on workers that die: none is lost, none is counted twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context

import psutil
import pytest
import specimens
from processes import begun, gone, wait_until
from specimens import named

from experiments import cli, environment, process
from experiments.executors import DASK, Engine, ExecutorError, opened, threads
from experiments.instruments import INSTRUMENTS
from experiments.process import Finished
from experiments.runner import RECORDS, RESUBMISSIONS, Interrupted, OtherEnvironment, run
from experiments.trial import Record, Trial, read_records

posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

START = 30.0  # seconds that an engine's workers may take to start, or to end


def a_trial(specimen=specimens.blank, instrument="traced", repeat=0, **parameters):
    return Trial("tests", named(specimen), parameters, "lean", instrument, repeat=repeat)


# Side by side, without a process ------------------------------------------------------------------


class FakeExecutor(Executor):
    """Runs nothing, takes its time, and breaks as it is told to."""

    def __init__(self, workloads, broken=None):
        self.here = {workload: {"python": "3.x", "script": None} for workload in workloads}
        self.broken = broken or {}  # repeat of a trial -> how often its worker is lost
        self.tries, self.running, self.beside = Counter(), set(), {}
        self.order = []

    def submit(self, function, *arguments, **_):
        future = Future()
        if function is environment.expected:
            future.set_result(self.here)
            return future
        trial = arguments[0]
        if not self.tries[trial.key]:
            self.order.append(trial)
        self.tries[trial.key] += 1
        self.running.add(trial.key)
        self.beside[trial.key] = len(self.running)
        threading.Timer(0.02, self._end, [future, trial]).start()
        return future

    def _end(self, future, trial):
        self.running.discard(trial.key)
        if self.tries[trial.key] <= self.broken.get(trial.repeat, 0):
            future.set_exception(BrokenExecutor("a worker was lost"))
        else:
            found = Record(trial, "ok", environment=self.here[trial.workload])
            future.set_result(Finished(found, {}))


def a_run(trials, folder, slots=2, broken=None):
    executor = FakeExecutor({trial.workload for trial in trials}, broken)
    return executor, run(trials, folder, engine=Engine(executor, slots, end=lambda run: None))


def test_what_must_be_alone_comes_last_with_nothing_beside_it(tmp_path):
    kinds = ["clock", "traced", "resident", "cycles", "traced", "clock", "operations"]
    trials = [a_trial(instrument=kind, repeat=n) for n, kind in enumerate(kinds)]
    executor, records = a_run(trials, tmp_path, slots=3)
    assert [record.trial for record in records] == trials
    alone = [trial for trial in trials if INSTRUMENTS[trial.instrument].alone]
    assert len(alone) == 3
    assert executor.order == [trial for trial in trials if trial not in alone] + alone
    assert {executor.beside[trial.key] for trial in alone} == {1}
    assert max(executor.beside.values()) == 3


def test_one_after_the_other_keeps_the_order_in_which_modes_are_mixed(tmp_path):
    kinds = ["clock", "traced", "clock", "traced"]
    trials = [a_trial(instrument=kind, repeat=n) for n, kind in enumerate(kinds)]
    executor, _ = a_run(trials, tmp_path, slots=1)
    assert executor.order == trials


def test_a_trial_whose_worker_is_lost_runs_again_and_counts_once(tmp_path):
    trials = [a_trial(repeat=n) for n in range(6)]
    executor, records = a_run(trials, tmp_path, broken={1: 1, 4: RESUBMISSIONS})
    assert [record.outcome for record in records] == ["ok"] * 6
    assert executor.tries == Counter({t.key: 1 for t in trials}) + Counter(
        {trials[1].key: 1, trials[4].key: RESUBMISSIONS}
    )
    written = read_records(tmp_path / RECORDS)
    assert Counter(record.trial.repeat for record in written) == Counter(range(6))


def test_a_trial_that_loses_every_worker_is_given_up_with_a_word(tmp_path):
    trials = [a_trial(repeat=n) for n in range(3)]
    _, records = a_run(trials, tmp_path, broken={1: 99})
    assert [record.outcome for record in records] == ["ok", "killed", "ok"]
    assert "Every worker that had this trial was lost" in records[1].error
    assert "a worker was lost" in records[1].error
    assert records[1].environment["python"] == "3.x"


def test_a_worker_of_another_environment_is_refused(tmp_path):
    trial = a_trial()
    executor = FakeExecutor([trial.workload])
    expected, executor.here = dict(executor.here), {trial.workload: {"python": "9.9"}}
    asked = executor.submit
    executor.submit = lambda function, *a: (
        given(expected) if function is environment.expected else asked(function, *a)
    )
    with pytest.raises(OtherEnvironment, match=r"python: 3.x here, 9.9 there"):
        run([trial], tmp_path, engine=Engine(executor, 2, end=lambda run: None))
    assert read_records(tmp_path / RECORDS) == []


def given(result):
    future = Future()
    future.set_result(result)
    return future


# Side by side, here -------------------------------------------------------------------------------


def test_trials_side_by_side_are_the_same_trials(tmp_path):
    trials = [a_trial(specimens.held, repeat=n, count=n + 1) for n in range(4)]
    with threads(2) as engine:
        records = run(trials, tmp_path, engine=engine)
    assert [
        record.readings["peak_array_bytes"] for record in records if "x" in record.results
    ] == []
    assert [record.results["count"] for record in records] == [1, 2, 3, 4]
    assert {record.outcome for record in records} == {"ok"}
    assert Counter(r.trial.repeat for r in read_records(tmp_path / RECORDS)) == Counter(range(4))


def test_files_that_an_instrument_leaves_are_kept_beside_the_records(tmp_path, monkeypatch):
    trials = [a_trial(repeat=n) for n in range(2)]
    made = {"flame.html": b"<html>", "deep/er.bin": b"\0"}

    def leave(function, trial, *_):
        if function is environment.expected:
            return given({trial[0]: {"script": None}})
        details = {"flame_graph": "flame.html"}
        here = {"python": None}
        return given(Finished(Record(trial, "ok", details=details, environment=here), made))

    executor = FakeExecutor([])
    executor.submit = leave
    records = run(trials, tmp_path, engine=Engine(executor, 1, end=lambda run: None))
    graphs = [record.details["flame_graph"] for record in records]
    assert len(set(graphs)) == 2
    for graph in graphs:
        assert graph.startswith("files/")
        assert (tmp_path / graph).read_bytes() == b"<html>"
        assert (tmp_path / graph).parent.joinpath("deep", "er.bin").read_bytes() == b"\0"


def test_a_trials_own_folder_is_there_for_its_instrument(monkeypatch):
    def leave(trial, *, folder, **_):
        (folder / "left.txt").write_text("here")
        return Record(trial, "ok")

    monkeypatch.setattr(process, "run_trial", leave)
    assert process.finished(a_trial(), "a run", 9.0, None).files == {"left.txt": b"here"}


@posix
def test_what_a_killed_worker_ran_ends_by_itself_and_the_run_stops_cleanly(tmp_path):
    trials = [a_trial(specimens.witnessed, folder=str(tmp_path), seconds=600.0)]
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        worker = pool.submit(os.getpid).result()

        def kill():
            wait_until(lambda: begun(tmp_path), START)
            os.kill(worker, signal.SIGKILL)

        threading.Thread(target=kill).start()
        with pytest.raises(ExecutorError, match="takes no more trials"):
            run(trials, tmp_path, engine=Engine(pool, 1))
    [(child, _)] = begun(tmp_path)
    assert wait_until(lambda: gone(child), START)
    assert read_records(tmp_path / RECORDS) == []


@posix
def test_ctrl_c_is_heard_where_the_engine_itself_is_gone(tmp_path):
    executor = FakeExecutor([a_trial().workload])

    def interrupt(record):
        raise KeyboardInterrupt

    def end(run):
        raise OSError("no scheduler")

    trials = [a_trial(repeat=n) for n in range(2)]
    with pytest.raises(Interrupted, match="after 1 of 2 trials"):
        run(trials, tmp_path, engine=Engine(executor, 1, end=end), on_record=interrupt)
    assert len(read_records(tmp_path / RECORDS)) == 1


def test_an_engine_that_lets_go_of_its_trials_stops_the_run_cleanly(tmp_path):
    executor = FakeExecutor([a_trial().workload])
    executor._end = lambda future, trial: future.cancel() and future.set_running_or_notify_cancel()
    with pytest.raises(ExecutorError, match="let go"):
        run([a_trial()], tmp_path, engine=Engine(executor, 1, end=lambda run: None))
    assert read_records(tmp_path / RECORDS) == []


# Names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["celery", "dask:", "dusk:tcp://here"])
def test_an_executor_that_there_is_not_is_told_what_there_is(name, tmp_path, capsys):
    assert cli.main(["run", "--executor", name, "-o", str(tmp_path)]) == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert f"There is no executor '{name}'" in said
    assert "dask:ADDRESS" in said


def test_without_dask_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ExecutorError, match=r"pip install 'autodiff-lab\[dask\]'"),
        opened(DASK, 1),
    ):
        pass


# Dask ---------------------------------------------------------------------------------------------

DASK_RUN = """
import json, sys
from experiments.executors import opened
from experiments.runner import run
from experiments.trial import Trial
if __name__ == "__main__":
    trials = [Trial.from_line(line) for line in json.loads(sys.argv[1])]
    with opened("dask", 2) as engine:
        workers = engine.executor._client.run(__import__("os").getpid)
        print(*workers.values(), flush=True)
        records = run(trials, sys.argv[2], engine=engine)
    print(*[record.outcome for record in records])
"""


@pytest.fixture
def distributed():
    return pytest.importorskip("distributed", reason="Dask distributed is an extra: dask")


@posix
def test_dask_workers_that_are_killed_midway_lose_no_trial(tmp_path, distributed):
    trials = [
        a_trial(specimens.witnessed, folder=str(tmp_path), seconds=2.0, repeat=n) for n in range(4)
    ]
    lines = json.dumps([trial.to_line() for trial in trials])
    env = {**os.environ, "PYTHONPATH": str(environment.PROJECT)}
    with subprocess.Popen(
        [sys.executable, "-c", DASK_RUN, lines, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        text=True,
    ) as runner:
        workers = [int(pid) for pid in runner.stdout.readline().split()]
        assert len(workers) == 2
        assert wait_until(lambda: len(begun(tmp_path)) >= 2, START)
        time.sleep(0.3)
        its_own = [one.pid for one in psutil.Process(workers[0]).children(recursive=True)]
        os.kill(workers[0], signal.SIGKILL)
        ended = wait_until(lambda: all(gone(pid) for pid in its_own), 1.5)
        said, errors = runner.communicate(timeout=60)
    assert runner.returncode == 0, errors
    assert said.split() == ["ok"] * 4
    assert len(its_own) == 2
    assert ended  # the killed worker's launcher and trial, by themselves
    assert len(begun(tmp_path)) > 4  # and ran again
    written = read_records(tmp_path / RECORDS)
    assert Counter(record.trial.repeat for record in written) == Counter(range(4))
    assert {record.environment["python"] for record in written} == {sys.version.split()[0]}
    assert "Traceback" not in errors


def test_a_scheduler_that_does_not_answer_is_an_error_that_says_so(distributed, monkeypatch):
    monkeypatch.setattr("experiments.executors.CONNECT", 0.3)
    with (
        pytest.raises(ExecutorError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9"),
        opened("dask:tcp://127.0.0.1:9", None),
    ):
        pass

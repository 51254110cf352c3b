"""One trial in a process of its own: Trial in, Record out, whatever becomes of it.

Between this process and the trial's stands the launcher, a small one. The trial's process may
raise, hang, run out of memory or be killed: it leaves a record. It ends when this process does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments import environment, sampler
from experiments.heartbeat import Pulse, read_pulse
from experiments.instruments.resident import Resident
from experiments.trial import Record, Trial

TIMEOUT = 600.0  # seconds for one trial
GRACE = 10.0  # seconds for the launcher to end a trial that is over its time
LAST_WORDS = 2000  # characters of what a process wrote before it ended without a record

LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True)
class Finished:
    """What became of a trial: its record, and by their names the files that it left."""

    record: Record
    files: Mapping[str, bytes]


def finished(trial: Trial, run: str, timeout: float, memory_limit: int | None) -> Finished:
    """Run a trial for a run, here or on another machine: what it leaves can be sent.

    run: what `end_trials` knows the run by.
    """
    with tempfile.TemporaryDirectory(prefix="files-") as folder:
        left = Path(folder)
        record = run_trial(
            trial, timeout=timeout, memory_limit=memory_limit, folder=left, of_run=run
        )
        files = {
            path.relative_to(left).as_posix(): path.read_bytes()
            for path in sorted(left.rglob("*"))
            if path.is_file()
        }
        return Finished(record, files)


def run_trial(
    trial: Trial,
    *,
    timeout: float = TIMEOUT,
    memory_limit: int | None = None,
    folder: Path | None = None,
    of_run: str = "",
    asked: Mapping[str, Any] | None = None,
) -> Record:
    """Run a trial in a process of its own, and return its record, whatever becomes of it.

    folder: where its instrument may leave files; without one they are lost.
    asked: what is wanted of its instrument beyond what it does by itself, as JSON can hold it.
    """
    with tempfile.TemporaryDirectory(prefix="trial-") as temporary:
        room = _Room(Path(temporary))
        options = {
            "heartbeat": str(room.heartbeat),
            "leash": True,
            "memory_limit": memory_limit,
            "folder": str(folder or room.files),
            "asked": dict(asked or {}),
        }
        code = {**environment.of_code(trial.workload), **environment.of_project()}
        child = [sys.executable, "-m", "experiments.child", json.dumps(options)]
        leash_end, leash = os.pipe()
        try:
            with room.messages.open("wb") as messages:
                launcher = subprocess.Popen(
                    [sys.executable, "-I", "-S", LAUNCHER, str(timeout), room.records, *child],
                    stdin=leash_end,
                    stdout=subprocess.PIPE,
                    stderr=messages,
                    env=environment.pinned(os.environ),
                    start_new_session=True,  # Ctrl-C is for the runner, which then ends the trial
                )
            with _known(launcher, of_run):
                os.write(leash, trial.to_line().encode())
                samples, ending = _watch(trial, launcher, room, timeout)
        finally:
            os.close(leash_end)
            os.close(leash)
        record = _settled(trial, ending, room, timeout)
        if trial.instrument == Resident.name:
            record = sampler.joined(record, samples, room.pulse().marks)
        return replace(record, environment={**record.environment, **code})


# What runs here ----------------------------------------------------------------------------------

_lock = threading.Lock()
_running: dict[str, set[subprocess.Popen[bytes]]] = {}  # run -> the launchers of its trials
_ended: set[str] = set()  # runs of which nothing is to begin any more


@contextmanager
def _known(launcher: subprocess.Popen[bytes], run: str) -> Iterator[None]:
    """Have a launcher ended with all others of its run, while this lasts."""
    with _lock:
        _running.setdefault(run, set()).add(launcher)
        if run in _ended:
            launcher.terminate()
    try:
        yield
    finally:
        with _lock:
            _running[run].discard(launcher)


def end_trials(run: str) -> None:
    """End at once what this process runs of a run, and what it would still begin."""
    with _lock:
        _ended.add(run)
        for launcher in _running.get(run, ()):
            launcher.terminate()  # which ends the trial, and goes itself


# One trial ----------------------------------------------------------------------------------------


class _Room:
    """The files of one trial."""

    def __init__(self, folder: Path) -> None:
        self.records = folder / "records"
        self.messages = folder / "messages"
        self.heartbeat = folder / "heartbeat"
        self.heartbeat.touch()
        self.files = folder / "files"
        self.files.mkdir()

    def pulse(self) -> Pulse:
        return read_pulse(self.heartbeat)

    def last_words(self) -> str:
        """The end of what the process wrote to standard error, but for the stack of C functions.

        Python 3.14 and later write that behind the stack that says something of the trial.
        """
        words = self.messages.read_text(encoding="utf-8", errors="replace")
        return words.partition("Current thread's C stack trace")[0][-LAST_WORDS:].strip()

    def written(self) -> Record | None:
        """The last record that the process wrote whole."""
        lines = self.records.read_text(encoding="utf-8") if self.records.exists() else ""
        whole = [line for line in lines.splitlines(keepends=True) if line.endswith("\n")]
        return Record.from_line(whole[-1]) if whole else None


def _watch(
    trial: Trial, launcher: subprocess.Popen[bytes], room: _Room, timeout: float
) -> tuple[list[sampler.Sample], Mapping[str, Any]]:
    """Wait for a trial's end, sampling it meanwhile where its instrument asks for that."""
    samples: list[sampler.Sample] = []
    try:
        if trial.instrument == Resident.name:
            samples = sampler.sample(room.heartbeat, lambda: launcher.poll() is None)
        answer, _ = launcher.communicate(timeout=timeout + GRACE)
    except BaseException as error:
        _end(launcher)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        answer = b""
    return samples, json.loads(answer) if answer else {}


def _end(launcher: subprocess.Popen[bytes]) -> None:
    """End a trial before its time: the launcher ends it, and goes itself."""
    launcher.terminate()
    try:
        launcher.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired:
        launcher.kill()
        launcher.communicate()


def _settled(trial: Trial, ending: Mapping[str, Any], room: _Room, timeout: float) -> Record:
    """The record of a trial whose process has ended, by what it left and how it ended."""
    written = room.written() or Record(trial, "killed")
    process = {name: ending.get(name) for name in ("peak_resident_bytes", "cpu_seconds")}
    pulse = room.pulse()
    record = replace(
        written,
        phase=pulse.phase,
        details={**written.details, "process": process},
    )
    if written.outcome == "ok":
        return record
    record = replace(record, at_least=_at_least(process["peak_resident_bytes"], pulse))
    status = ending.get("status")
    words = room.last_words()
    if ending.get("timed_out"):
        said = f"The trial took longer than its {timeout:g} seconds.\n{words}"
        return replace(record, outcome="timed out", error=said.strip())
    if record.outcome != "killed":
        return record
    if status is None or status < 0:
        return replace(record, error=f"{_signal_name(status)}\n{words}".strip())
    said = f"The process ended by itself, with status {status}, and left no record.\n{words}"
    return replace(record, outcome="failed", error=said.strip())


def _at_least(highest: float | None, pulse: Pulse) -> dict[str, float]:
    """What a trial that did not end well had in memory at its peak, at the least.

    highest: ru_maxrss of its process, from its launcher's wait4.
    """
    if highest is None or pulse.resident is None:
        return {}
    return {"peak_resident_bytes": max(0, highest - pulse.resident)}


def _signal_name(status: int | None) -> str:
    """How a process was ended, in words."""
    if status is None:
        return "The launcher of the trial was ended, and the trial with it."
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    why = " It was the system, if that was out of memory." if name == "SIGKILL" else ""
    return f"The process was ended by {name}.{why}"

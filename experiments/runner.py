"""A fresh process for each trial, and its record saved at once.

Between this process and the trial's stands the launcher, a small one. Whatever becomes of a trial,
it leaves a record: its process may raise, hang, run out of memory or be killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments import environment, sampler
from experiments.heartbeat import Pulse, read_pulse
from experiments.instruments.resident import Resident
from experiments.trial import Record, RecordError, Trial, read_records

RECORDS = "records.jsonl"
TIMEOUT = 600.0  # seconds for one trial
GRACE = 10.0  # seconds for the launcher to end a trial that is over its time
LAST_WORDS = 2000  # characters of what a process wrote before it ended without a record

LAUNCHER = Path(__file__).with_name("launcher.py")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after the trial that ran was ended: what was done before is kept."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(
            f"broken off after {done} of {total} trials; the same command runs the rest"
        )
        self.done = done
        self.total = total


def run(
    trials: Iterable[Trial],
    folder: Path | str,
    *,
    timeout: float = TIMEOUT,
    memory_limit: int | None = None,
    on_start: Callable[[Trial], None] | None = None,
    on_record: Callable[[Record], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> list[Record]:
    """Run every trial that has no record in the folder yet; the records of all of them, in order.

    timeout: seconds that a trial may take. memory_limit: bytes that it may have on top of what
    importing needs. on_start, on_record: called as a trial begins and as its record is saved.
    on_notice: called with a sentence where something was put right.
    Raises Interrupted on Ctrl-C, RecordError where the folder holds records that cannot be read.
    """
    wanted = list({trial.key: trial for trial in trials}.values())
    with RecordsFile(Path(folder) / RECORDS, on_notice or _ignore) as file:
        records = {record.trial.key: record for record in file.records}
        project = environment.of_project()
        try:
            for trial in wanted:
                if trial.key in records:
                    continue
                (on_start or _ignore)(trial)
                record = run_trial(trial, timeout=timeout, memory_limit=memory_limit)
                record = replace(record, environment={**record.environment, **project})
                file.append(record)
                records[trial.key] = record
                (on_record or _ignore)(record)
        except KeyboardInterrupt:
            done = sum(trial.key in records for trial in wanted)
            raise Interrupted(done, len(wanted)) from None
    return [records[trial.key] for trial in wanted]


def _ignore(_: object) -> None:
    pass


# The file ---------------------------------------------------------------------------------------


class RecordsFile:
    """The records of a run: a line each, written whole or not at all, and never changed."""

    def __init__(self, path: Path, on_notice: Callable[[str], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o644)
        try:
            self._mend(on_notice)
            self.records = read_records(path)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> RecordsFile:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._file)

    def append(self, record: Record) -> None:
        """Save a record. Raises OSError where it did not fit, and leaves the file as it was."""
        line = record.to_line().encode()
        size = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(f"{self.path}: only {written} of {len(line)} bytes could be written")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)
            raise

    def _mend(self, on_notice: Callable[[str], None]) -> None:
        """Drop what a writer that was killed left of a last line, or give a whole one its end."""
        content = self.path.read_bytes()
        if not content or content.endswith(b"\n"):
            return
        _, _, last = content.rpartition(b"\n")
        try:
            Record.from_line(last.decode(errors="replace"))
        except RecordError:
            os.ftruncate(self._file, len(content) - len(last))
            on_notice(
                f"{self.path}: the last line was half written ({len(last)} bytes) and was dropped; "
                "its trial will run again"
            )
        else:
            os.write(self._file, b"\n")


_BINARY = getattr(os, "O_BINARY", 0)  # Windows would write \r\n


# One trial ----------------------------------------------------------------------------------------


def run_trial(trial: Trial, *, timeout: float = TIMEOUT, memory_limit: int | None = None) -> Record:
    """Run a trial in a process of its own, and return its record, whatever becomes of it."""
    with tempfile.TemporaryDirectory(prefix="trial-") as folder:
        room = _Room(Path(folder))
        options = {"heartbeat": str(room.heartbeat), "leash": True, "memory_limit": memory_limit}
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
            os.write(leash, trial.to_line().encode())
            samples, ending = _watch(trial, launcher, room, timeout)
        finally:
            os.close(leash_end)
            os.close(leash)
        record = _settled(trial, ending, room, timeout)
        if trial.instrument == Resident.name:
            record = sampler.joined(record, samples, room.pulse().marks)
        return record


class _Room:
    """The files of one trial."""

    def __init__(self, folder: Path) -> None:
        self.records = folder / "records"
        self.messages = folder / "messages"
        self.heartbeat = folder / "heartbeat"
        self.heartbeat.touch()

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

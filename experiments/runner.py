"""A run: its trials handed to where they run, and each record saved at once.

Trials may run side by side; only this thread writes. A run that is broken off goes on where it
stopped, and never beside the records of another environment unless that is asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from experiments import environment
from experiments.executors import Engine, ExecutorError, threads
from experiments.instruments import INSTRUMENTS
from experiments.process import TIMEOUT, Finished, finished, run_trial
from experiments.trial import Record, RecordError, Trial, read_records

__all__ = [
    "FILES",
    "RECORDS",
    "Interrupted",
    "Locked",
    "OtherEnvironment",
    "RecordsFile",
    "run",
    "run_trial",
]

RECORDS = "records.jsonl"
FILES = "files"  # the folder for what instruments leave beside the records
LOOK = 1.0  # seconds between two looks at Ctrl-C, where waiting cannot be interrupted
RESUBMISSIONS = 3  # of a trial whose worker was lost


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after the trials that ran were ended: what was done before is kept."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(
            f"broken off after {done} of {total} trials; the same command runs the rest"
        )
        self.done = done
        self.total = total


class OtherEnvironment(Exception):
    """The folder's records were made somewhere else than these trials would be; says what differs.

    joinable: whether they can stand beside each other in one folder.
    """

    def __init__(self, folder: Path, apart: Sequence[str], *, joinable: bool) -> None:
        join = " add this environment's records beside them with --join," if joinable else ""
        super().__init__(
            f"{folder} holds records of another environment: {'; '.join(apart)}. Begin a new "
            f"folder with --output,{join} or go back to the environment that they were made in."
        )
        self.joinable = joinable


def run(
    trials: Iterable[Trial],
    folder: Path | str,
    *,
    timeout: float = TIMEOUT,
    memory_limit: int | None = None,
    engine: Engine | None = None,
    join: bool = False,
    on_plan: Callable[[int, int], None] | None = None,
    on_start: Callable[[Trial], None] | None = None,
    on_record: Callable[[Record], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> list[Record]:
    """Run every trial that has no record in the folder yet; the records of all of them, in order.

    timeout: seconds that a trial may take. memory_limit: bytes that it may have on top of what
    importing needs. engine: where trials run; without one, here, one after the other. join: whether
    records of other environments may stand beside these. on_plan: called with how many trials are
    done and how many there are. on_start, on_record: called as a trial begins and as its record is
    saved. on_notice: called with a sentence where something was put right.
    Raises Interrupted on Ctrl-C, RecordError where the folder holds records that cannot be read,
    Locked where another run has it, OtherEnvironment, and ExecutorError where the engine fails.
    """
    wanted = list({trial.key: trial for trial in trials}.values())
    with ExitStack() as stack:
        file = stack.enter_context(RecordsFile(Path(folder) / RECORDS, on_notice or _ignore))
        hands = Hands(engine or stack.enter_context(threads(1)), timeout, memory_limit)
        workloads = {r.trial.workload for r in file.records} | {t.workload for t in wanted}
        place = Place(file.path.parent, hands.expected(workloads), join)
        records = {r.trial.key: r for r in file.records if place.is_ours(r)}
        missing = [trial for trial in wanted if trial.key not in records]
        (on_plan or _ignore)(len(wanted) - len(missing), len(wanted))
        try:
            for found in hands.each(missing, on_start or _ignore):
                record = place.settled(found)
                file.append(record)
                records[record.trial.key] = record
                (on_record or _ignore)(record)
        except BaseException as error:
            hands.end()
            if not isinstance(error, KeyboardInterrupt):
                raise
            done = sum(trial.key in records for trial in wanted)
            raise Interrupted(done, len(wanted)) from None
    return [records[trial.key] for trial in wanted]


def _ignore(*_: object) -> None:
    """What is called where nobody wants to be told."""


@dataclass(frozen=True)
class Place:
    """The folder of a run, and which environments may leave records in it."""

    folder: Path
    expected: Mapping[str, Mapping[str, Any]]  # workload -> what its trials will have run on
    join: bool

    def is_ours(self, record: Record) -> bool:
        """Whether a record was made in this environment.

        Raises OtherEnvironment where it was not, and may not stand beside those that are.
        """
        here = self.expected[record.trial.workload]
        apart = environment.differences(here, record.environment)
        another_script = here["script"] != record.environment.get("script")
        if apart and (another_script or not self.join):
            raise OtherEnvironment(self.folder, apart, joinable=not another_script)
        return not apart

    def settled(self, found: Finished) -> Record:
        """The record as it is to be saved, with the files of its trial in the folder."""
        record = found.record
        if "python" not in record.environment:  # it was killed before it could say
            here = self.expected[record.trial.workload]
            record = replace(record, environment={**here, **record.environment})
        self.is_ours(record)
        if not found.files:
            return record
        within = f"{FILES}/{_digest(record)}"
        for name, content in found.files.items():
            path = self.folder / within / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        graph = record.details.get("flame_graph")
        linked = {"flame_graph": f"{within}/{graph}"} if graph in found.files else {}
        return replace(record, details={**record.details, **linked})


def _digest(record: Record) -> str:
    """A short name for a trial in its environment."""
    said = record.trial.key + json.dumps(environment.identity(record.environment), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:12]


# Handing out --------------------------------------------------------------------------------------


@dataclass
class Hands:
    """Hands trials to an engine, and takes what comes of each of them exactly once."""

    engine: Engine
    timeout: float
    memory_limit: int | None
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    def expected(self, workloads: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What the trials of each workload will have run on.

        Raises ExecutorError where the engine cannot say, since it could then run none either.
        """
        try:
            asked = self.engine.executor.submit(environment.expected, sorted(workloads))
            return asked.result()
        except Exception as error:
            raise ExecutorError(
                f"No trial can be run there ({type(error).__name__}: {error}). A worker needs this "
                "project and all that it needs installed, at the same version as here."
            ) from error

    def end(self) -> None:
        """End all that still runs of this run; where the engine is gone, nothing does."""
        with suppress(Exception):
            self.engine.end(self.run)

    def each(
        self, trials: Sequence[Trial], on_start: Callable[[Trial], None]
    ) -> Iterator[Finished]:
        """What came of each trial, as they end.

        Those whose instrument must be alone come last, one at a time. Within both parts trials
        begin in their order.
        """
        if self.engine.slots == 1:
            yield from self._side_by_side(trials, 1, on_start)
            return
        alone = [trial for trial in trials if _is_alone(trial)]
        others = [trial for trial in trials if not _is_alone(trial)]
        yield from self._side_by_side(others, self.engine.slots, on_start)
        yield from self._side_by_side(alone, 1, on_start)

    def _side_by_side(
        self, trials: Sequence[Trial], slots: int, on_start: Callable[[Trial], None]
    ) -> Iterator[Finished]:
        waiting, lost = deque(trials), Counter[str]()
        running: dict[Future[Finished], Trial] = {}
        while waiting or running:
            while waiting and len(running) < slots:
                trial = waiting.popleft()
                if not lost[trial.key]:
                    on_start(trial)
                running[self._submit(trial)] = trial
            done, _ = wait(running, timeout=LOOK, return_when=FIRST_COMPLETED)
            for future in [future for future in running if future in done]:
                trial = running.pop(future)
                found = self._result(future, trial, lost)
                if found:
                    yield found
                else:
                    waiting.appendleft(trial)

    def _submit(self, trial: Trial) -> Future[Finished]:
        try:
            return self.engine.executor.submit(
                finished, trial, self.run, self.timeout, self.memory_limit
            )
        except BrokenExecutor as error:
            raise ExecutorError(f"The executor takes no more trials ({error})") from error

    def _result(
        self, future: Future[Finished], trial: Trial, lost: Counter[str]
    ) -> Finished | None:
        """What came of a trial; None where its worker was lost and it is to run again."""
        try:
            return future.result()
        except self.engine.gives_up as error:
            return _given_up(trial, str(error))
        except BrokenExecutor as error:
            lost[trial.key] += 1
            if lost[trial.key] > RESUBMISSIONS:
                return _given_up(trial, str(error))
            return None
        except CancelledError:
            raise ExecutorError("The executor let go of the trials that it had") from None


def _is_alone(trial: Trial) -> bool:
    """Whether a trial is to have nothing beside it; one of an unknown instrument will say so."""
    instrument = INSTRUMENTS.get(trial.instrument)
    return instrument is not None and instrument.alone


def _given_up(trial: Trial, said: str) -> Finished:
    """What stands for a trial whose workers were lost one after the other."""
    error = (
        f"Every worker that had this trial was lost, and it was given to {RESUBMISSIONS} more "
        f"before it was given up.\n{said}"
    )
    return Finished(Record(trial, "killed", error=error.strip()), {})


# The file ---------------------------------------------------------------------------------------


class Locked(Exception):
    """Another run writes to the folder: says which, and since when."""


class RecordsFile:
    """The records of a run: a line each, written whole or not at all, and never changed.

    Only one process has it at a time. The lock goes with the process, however that ends.
    """

    def __init__(self, path: Path, on_notice: Callable[[str], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        with ExitStack() as stack:
            stack.enter_context(_locked(path.parent))
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o644)
            stack.callback(os.close, self._file)
            self._mend(on_notice)
            self.records = read_records(path)
            self._open = stack.pop_all()

    def __enter__(self) -> RecordsFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

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


def _locked(folder: Path) -> ExitStack:
    """The folder, for this process alone, and word of who has it. Raises Locked where it is taken.

    The word is in a file of its own: the one that is locked cannot be read everywhere.
    """
    word = folder / ".runner"
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / ".lock", timeout=0))
        except Timeout:
            raise Locked(
                f"{folder} is in use by another run ({_who(word)}). Wait for its end or stop it, "
                "or give another folder by --output."
            ) from None
        since = datetime.now().isoformat(" ", "seconds")
        word.write_text(json.dumps({"pid": os.getpid(), "since": since}), encoding="utf-8")
        stack.callback(word.unlink, missing_ok=True)
        return stack.pop_all()


def _who(word: Path) -> str:
    """Who has a folder, as far as can be known."""
    try:
        said = json.loads(word.read_text(encoding="utf-8"))
        return f"process {said['pid']}, since {said['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it does not say which"

"""How far a run is, on stderr."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from experiments.trial import Record, Trial

LINES = 20  # of progress, where there is no terminal to draw a bar on
SHOWN = 3  # trials that run side by side, on a line of plain progress
TRIAL_WIDTH = 46  # so that the bar does not jump from one trial to the next


def say(sentence: str) -> None:
    Console(stderr=True, highlight=False).print(sentence, markup=False, soft_wrap=True)


def trial_text(trial: Trial) -> str:
    collector = "" if trial.collector == "off" else f", collector {trial.collector}"
    where = f"{trial.workload}, {trial.mode}, {trial.instrument}{collector}"
    return f"{where}, repeat {trial.repeat + 1}"


class Progress:
    """How far a run is, on stderr: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int, done: int = 0) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.total, self.done = total, done
        self.running: dict[str, Trial] = {}
        self.begun = False
        self._since, self._before = time.monotonic(), done
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("", total=total, completed=done)

    def __enter__(self) -> Progress:
        if not self.bar.disable:
            self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if not self.bar.disable:
            self.bar.stop()

    def plan(self, done: int, total: int) -> None:
        """So much is done already, of so much."""
        self.total, self.done = total, done
        self._since, self._before = time.monotonic(), done
        self.bar.reset(self.task, total=total, completed=done)

    def start(self, trial: Trial) -> None:
        self.begun = True
        self.running[trial.key] = trial
        self._describe()

    def advance(self, record: Record) -> None:
        self.done += 1
        self.running.pop(record.trial.key, None)
        self.bar.update(self.task, completed=self.done)
        self._describe()
        text = trial_text(record.trial)
        if record.outcome != "ok":
            self.say(f"{record.outcome}: {text}: {first_line(record.error)}")
        elif self.bar.disable and self.done * LINES % self.total < LINES:
            self.say(f"{self.done} of {self.total} trials: {text}{self._beside()}{self._left()}")

    def _describe(self) -> None:
        """On the bar, what runs: how many, and the one that has run longest."""
        if not self.running:
            return
        first, *others = self.running.values()
        text = f"{len(self.running)} side by side: {trial_text(first)}" if others else None
        self.bar.update(self.task, description=f"{text or trial_text(first):<{TRIAL_WIDTH}}")

    def _beside(self) -> str:
        """In a line, what else still runs."""
        if not self.running:
            return ""
        shown = [trial_text(trial) for trial in self.running.values()][:SHOWN]
        more = len(self.running) - len(shown)
        return f" (running: {'; '.join(shown)}{f' and {more} more' if more else ''})"

    def _left(self) -> str:
        """In a line, how long the rest will take, if it goes on as it went."""
        measured, rest = self.done - self._before, self.total - self.done
        if not measured or not rest:
            return ""
        seconds = (time.monotonic() - self._since) / measured * rest
        return f", about {_duration(seconds)} left"

    def say(self, sentence: str) -> None:
        self.console.print(sentence, markup=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    """`40 s`, `3 min`: as exactly as one can know what is still to come."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]

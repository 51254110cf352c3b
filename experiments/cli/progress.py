"""How far a run is, on stderr."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from experiments.trial import Record, Trial

LINES = 20  # of progress, where there is no terminal to draw a bar on
TRIAL_WIDTH = 46  # so that the bar does not jump from one trial to the next


def say(sentence: str) -> None:
    Console(stderr=True, highlight=False).print(sentence, markup=False, soft_wrap=True)


def trial_text(trial: Trial) -> str:
    collector = "" if trial.collector == "off" else f", collector {trial.collector}"
    where = f"{trial.workload}, {trial.mode}, {trial.instrument}{collector}"
    return f"{where}, repeat {trial.repeat + 1}"


class Progress:
    """How far a run is, on stderr: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int, done: int) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.total, self.done = total, done
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

    def start(self, trial: Trial) -> None:
        self.bar.update(self.task, description=f"{trial_text(trial):<{TRIAL_WIDTH}}")

    def advance(self, record: Record) -> None:
        self.done += 1
        self.bar.update(self.task, completed=self.done)
        text = trial_text(record.trial)
        if record.outcome != "ok":
            self.say(f"{record.outcome}: {text}: {first_line(record.error)}")
        elif self.bar.disable and self.done * LINES % self.total < LINES:
            self.say(f"{self.done} of {self.total} trials: {text}")

    def say(self, sentence: str) -> None:
        self.console.print(sentence, markup=False, soft_wrap=True)


def first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]

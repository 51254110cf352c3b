"""`experiments list`: what there is to choose from."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Console

from autodiff import MODES
from experiments.cli.endings import OK
from experiments.instruments import INSTRUMENTS
from experiments.studies import DEFAULT_STUDY, Study, studies
from experiments.workloads import WORKLOADS


def list_() -> int:
    """List workloads, modes, instruments and studies, a line each."""
    console = Console(highlight=False, soft_wrap=True)
    for title, entries in (
        ("Workloads, with their parameters", {n: _workload_line(n) for n in WORKLOADS}),
        ("Modes, from the one that keeps most", {n: _mode_line(n) for n in MODES}),
        ("Instruments", {n: first_line(i.__doc__) for n, i in INSTRUMENTS.items()}),
        ("Studies", {n: _study_line(s) for n, s in studies().items()}),
    ):
        console.print(title, style="bold cyan")
        width = max(map(len, entries))
        for name, line in entries.items():
            console.print(f"  {name:<{width}}  {line}", markup=False)
        console.print()
    return OK


def first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _workload_line(name: str) -> str:
    workload = WORKLOADS[name]
    parameters = ", ".join(f"{p}={_text(value)}" for p, value in workload.defaults.items())
    return f"{workload.summary} ({parameters})"


def _mode_line(name: str) -> str:
    return ", ".join(f"{field}={_text(value)}" for field, value in asdict(MODES[name]).items())


def _study_line(study: Study) -> str:
    return study.question + (" (the default)" if study.name == DEFAULT_STUDY else "")


def _text(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)

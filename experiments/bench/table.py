"""What was found, as tables for a terminal, a file, or a program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from experiments.bench.engines import ENGINES, FLOOR, OURS
from experiments.bench.figures import Figure, Unit, figures
from experiments.bench.measuring import Measurement
from experiments.bench.problems import PROBLEMS
from experiments.estimates import Estimate

NAMES = {FLOOR: "by hand"}  # what an engine is called, where that is not its package's name
DIGITS = 3  # of a figure that was measured
GAP = 2  # characters between two columns
NARROW = 100  # characters of a line that has no room for what the other tables say

METHOD = (
    "Median (lowest to highest) over rounds; without a range, all are alike, only one was taken, "
    "or there is no room for it. "
    "Time is the processor's, with one thread, forward and backward, the collector on. × floor: "
    "how many times the figure by hand, of the same round. An operation is one that engines record."
)
GOALS = (
    "What says most of each problem; the less the better. At most: what is to be reached, and in "
    "part is in some rounds. Best peer: of those that were measured."
)


def shown(measurements: Sequence[Measurement], width: int) -> RenderableType:
    """A table for each problem, one of the chief figures, and what is not in them and why.

    width: in characters. Where it is too little for the ranges, these are left out.
    """
    found = figures(measurements)
    engines = _engines(measurements)
    parts: list[RenderableType] = []
    for name, problem in PROBLEMS.items():
        of_problem = {figure.name: figure for figure in found if figure.problem == name}
        if of_problem:
            parts += [Text(name, style="bold cyan"), Text(problem.says)]
            parts += [_by_engine(of_problem, engines, width), Text()]
    if chief := [figure for figure in found if figure.chief and OURS in figure.of]:
        parts += [Text("The chief figures", style="bold cyan"), Text(GOALS)]
        parts += [_beside_goals(chief, width), Text()]
    parts += [Text(said) for said in (*remarks(measurements), versions(measurements), METHOD)]
    return Group(*parts)


def _engines(measurements: Iterable[Measurement]) -> list[str]:
    there = {m.job.engine for m in measurements}
    return [engine for engine in ENGINES if engine in there]


def _by_engine(found: Mapping[str, Figure], engines: Sequence[str], width: int) -> Table:
    """A row for each figure, a column for each engine."""

    def rows(between: str | None) -> list[list[str]]:
        return [
            [name, *(cell(figure.of.get(e), figure.unit, between) for e in engines)]
            for name, figure in found.items()
        ]

    return _grid(["", *(NAMES.get(engine, engine) for engine in engines)], rows, width)


def _beside_goals(found: Sequence[Figure], width: int) -> Table:
    """A row for each figure: what it is to be, what it is here, and what the best peer has."""

    floor = [FLOOR] if width > NARROW else []

    def rows(between: str | None) -> list[list[str]]:
        return [
            [
                f"{figure.problem}: {figure.name}",
                "" if figure.goal is None else _of_unit(figure.goal, figure.unit),
                cell(figure.of[OURS], figure.unit, between),
                reached(figure),
                f"{figure.best_peer} {cell(figure.of[figure.best_peer], figure.unit, None)}"
                if figure.best_peer
                else "-",
                *(cell(figure.of.get(engine), figure.unit, None) for engine in floor),
            ]
            for figure in found
        ]

    titles = ["", "at most", OURS, "reached", "best peer", *(NAMES[engine] for engine in floor)]
    return _grid(titles, rows, width)


def reached(figure: Figure) -> str:
    """Whether what this project's engine has is what it is to have, both as they are printed."""
    if figure.goal is None:
        return ""
    ours = figure.of[OURS]
    under = [_as_printed(n, figure.unit) <= figure.goal for n in (ours.low, ours.median, ours.high)]
    return "yes" if all(under) else "in part" if any(under) else "no"


def _grid(
    titles: Sequence[str], made: Callable[[str | None], list[list[str]]], width: int
) -> Table:
    """made: the rows, with what is to stand between a figure and its range; None: no range."""
    for between in (" ", "\n", None):  # the first that fits
        rows = made(between)
        columns = list(zip(titles, *rows, strict=True))
        wide = [
            max(len(line) for text in column for line in text.split("\n")) for column in columns
        ]
        if sum(wide) + GAP * (len(wide) - 1) <= width:
            break
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def cell(found: Estimate | None, unit: Unit, between: str | None = " ") -> str:
    """A figure with its range, as in `1.86 (1.81-1.93)`; a dash for one that there is not.

    A range that does not show in so few digits is left out.
    """
    if found is None:
        return "-"
    scale, suffix = _scale(found.median, unit)
    median, low, high = (
        _number(value / scale, unit) for value in (found.median, found.low, found.high)
    )
    if between is None or low == median == high:
        return f"{median}{suffix}"
    return f"{median}{suffix}{between}({low}-{high})"


def _scale(value: float, unit: Unit) -> tuple[float, str]:
    if unit == "seconds":
        scales = ((1.0, " s"), (1e-3, " ms"), (1e-6, " µs"), (1e-9, " ns"))
        return next((s for s in scales if value >= s[0]), scales[-1])
    return (1024.0, " KiB") if unit == "bytes" else (1.0, "×" if unit == "ratio" else "")


def _of_unit(value: float, unit: Unit) -> str:
    """A number with its unit, as in `3.00×`."""
    scale, suffix = _scale(value, unit)
    return f"{_number(value / scale, unit)}{suffix}"


def _as_printed(value: float, unit: Unit) -> float:
    """A number of no other digits than its cell has."""
    scale, _ = _scale(value, unit)
    return scale * float(_number(value / scale, unit).replace(",", ""))


def _number(value: float, unit: Unit) -> str:
    """Three digits that count, and none less before the point."""
    if unit in ("arrays", "exponent"):
        return f"{value:.2f}"
    if unit == "count" and abs(value - round(value)) < 0.005:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.{DIGITS}g}".rstrip(".")


# In words -----------------------------------------------------------------------------------------


def remarks(measurements: Iterable[Measurement]) -> list[str]:
    """What the tables lack and why, and gradients of another type than what they belong to."""
    said: list[str] = []
    for m in measurements:
        job = m.job
        where = f"{job.problem}, {PROBLEMS[job.problem].label(job.size)}, {job.kind}"
        name = NAMES.get(job.engine, job.engine)
        if m.why.startswith("does not import"):
            said.append(f"{name}: {m.why}")
        elif m.outcome == "missing":
            said.append(f"{name}: {job.problem}: {m.why}")
        elif m.why:
            said.append(f"{name}: {where}: {m.why}")
        if m.dtypes:
            said.append(f"{name}: {job.problem}: its gradients are {m.dtypes}")
    return list(dict.fromkeys(said))


def versions(measurements: Iterable[Measurement]) -> str:
    """Which version of each engine was measured."""
    found = {m.job.engine: m.version for m in measurements if m.version}
    return "Measured: " + ", ".join(f"{name} {version}" for name, version in found.items()) + "."


def as_json(
    measurements: Sequence[Measurement], absent: dict[str, str], environment: dict[str, Any]
) -> dict[str, Any]:
    """The same for programs: times in seconds, memory in bytes or arrays, as the unit says."""
    return {
        "environment": environment,
        "absent": absent,
        "figures": [
            {**asdict(figure), "chief": figure.chief, "goal": figure.goal}
            for figure in figures(measurements)
        ],
        "remarks": remarks(measurements),
        "measurements": [asdict(m) for m in measurements],
    }

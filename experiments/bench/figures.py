"""Measurements summed up: medians over the rounds, ratios within a round, exponents of growth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from experiments.bench.engines import FLOOR, OURS
from experiments.bench.measuring import Measurement
from experiments.bench.problems import PROBLEMS, Kind, Problem
from experiments.estimates import Estimate, estimate

Unit = Literal["seconds", "bytes", "arrays", "count", "ratio", "exponent"]
Rounds = dict[str, dict[int, float]]  # engine -> round -> value


@dataclass(frozen=True)
class Figure:
    """One figure of a problem, for every engine that has it."""

    problem: str
    name: str
    unit: Unit
    of: dict[str, Estimate]  # engine ->

    @property
    def chief(self) -> bool:
        """Whether it is one of those that say most of the problem."""
        return self.name in PROBLEMS[self.problem].chief

    @property
    def goal(self) -> float | None:
        """The most that it is to be; None for one that nothing is wanted of."""
        return PROBLEMS[self.problem].chief.get(self.name)

    @property
    def best_peer(self) -> str | None:
        """The peer for which it is least; None where no peer has it."""
        return min(
            (engine for engine in self.of if engine not in (FLOOR, OURS)),
            key=lambda engine: self.of[engine].median,
            default=None,
        )


def figures(measurements: Sequence[Measurement]) -> list[Figure]:
    """Every figure that the measurements have, in the order of the problems."""
    return [
        figure
        for problem in PROBLEMS.values()
        for figure in _of(problem, _Readings(problem, measurements))
        if figure.of
    ]


class _Readings:
    """What was measured of a problem."""

    def __init__(self, problem: Problem, measurements: Iterable[Measurement]) -> None:
        self._found = [m for m in measurements if m.job.problem == problem.name]

    def sizes(self, kind: Kind) -> list[int]:
        return sorted({m.job.size for m in self._found if m.job.kind == kind})

    def rounds(self, kind: Kind, size: int, reading: str, divided_by: float = 1) -> Rounds:
        rounds: Rounds = {}
        for m in self._found:
            if (m.job.kind, m.job.size) == (kind, size) and reading in m.figures:
                value = m.figures[reading] / divided_by
                rounds.setdefault(m.job.engine, {})[m.job.round] = value
        return rounds


def over(rounds: Rounds, by: str = FLOOR) -> Rounds:
    """How many times one engine's figure each engine's is, of one round each time."""
    least = rounds.get(by, {})
    return {
        engine: {n: value / least[n] for n, value in values.items() if least.get(n)}
        for engine, values in rounds.items()
    }


def exponents(readings: _Readings, sizes: Sequence[int], reading: str) -> Rounds:
    """The power of the size that a time grows with, in each round, over the sizes that it has.

    1 is in step with the size; 2 is four times as long for twice the size.
    """
    points: dict[str, dict[int, list[tuple[int, float]]]] = {}
    for size in sizes:
        for engine, values in readings.rounds("time", size, reading).items():
            for n, value in values.items():
                points.setdefault(engine, {}).setdefault(n, []).append((size, value))
    return {
        engine: {n: _slope(found) for n, found in of.items() if len(found) > 1}
        for engine, of in points.items()
    }


def _slope(points: Sequence[tuple[int, float]]) -> float:
    """Of the straight line through points whose axes are both logarithmic."""
    sizes, values = zip(*points, strict=True)
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _of(problem: Problem, readings: _Readings) -> list[Figure]:
    made: list[Figure] = []

    def add(name: str, unit: Unit, rounds: Rounds) -> None:
        of = {engine: estimate(values.values()) for engine, values in rounds.items() if values}
        made.append(Figure(problem.name, name, unit, of))

    sizes = readings.sizes("time")
    for size in sizes:
        where = f", {problem.label(size)}" if len(problem.sizes) > 1 else ""
        operations = problem.operations(size) if problem.grows else 1
        times = readings.rounds("time", size, "seconds", operations)
        add(f"time{' an operation' if problem.grows else ''}{where}", "seconds", times)
        add(f"× floor{where}", "ratio", over(times))
        for peer in problem.beside:
            add(f"time × {peer}{where}", "ratio", over(times, peer))
    if problem.grows and len(sizes) > 1:
        add("exponent of backward", "exponent", exponents(readings, sizes, "backward_seconds"))
    for size in readings.sizes("graph"):
        add("bytes an operation", "count", readings.rounds("graph", size, "operation_bytes"))
        objects = readings.rounds("graph", size, "operation_objects_count")
        add("objects an operation", "count", objects)
    for size in readings.sizes("instructions"):
        counts = readings.rounds("instructions", size, "operation_instructions_count")
        add("instructions an operation", "count", counts)
        add("instructions × floor", "ratio", over(counts))
    for size in readings.sizes("peak"):
        unit: Unit = "arrays" if problem.array_bytes else "bytes"
        by = problem.array_bytes(size) if problem.array_bytes else 1
        peak = "peak in arrays" if problem.array_bytes else "peak"
        add(f"{peak}, forward", unit, readings.rounds("peak", size, "forward_peak_bytes", by))
        both = readings.rounds("peak", size, "peak_bytes", by)
        add(f"{peak}, both", unit, both)
        add("peak × floor", "ratio", over(both))
    for size in readings.sizes("loop"):
        by = problem.array_bytes(size) if problem.array_bytes else 1
        for part in ("forward", "both"):
            growth = readings.rounds("loop", size, f"{part}_growth_bytes", by)
            garbage = readings.rounds("loop", size, f"{part}_garbage_count")
            add(f"growth in arrays, {part}", "arrays", growth)
            add(f"garbage, {part}", "count", garbage)
    return made

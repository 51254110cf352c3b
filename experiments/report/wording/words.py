"""Numbers as people read them. Here, and nowhere before, bytes become KiB and MiB."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from experiments.estimates import Arm, Estimate, Subject
from experiments.intervals import WITHIN, Verdict
from experiments.trial import Record

KIB, MIB, GIB = 2**10, 2**20, 2**30
GAP = "\u202f"  # a narrow space that does not break, between a number and its unit
NBSP = "\u00a0"
TIMES = "\u00d7"
MINUS = "\u2212"
NONE = "\u2013"  # where a table has nothing to say

Format = Callable[[float], str]


def short(value: float) -> str:
    """A number to three digits, thousands set apart."""
    size = abs(value)
    places = 0 if size >= 100 else 1 if size >= 10 else 2
    text = f"{size:,.{places}f}".replace(",", GAP)
    return MINUS + text if value < 0 else text


def count_text(value: float) -> str:
    """A count: `12 345`."""
    if value != round(value):
        return short(value)
    text = f"{abs(value):,.0f}".replace(",", GAP)
    return MINUS + text if value < 0 else text


def bytes_text(value: float) -> str:
    """Bytes in the unit that keeps them readable: `160 B`, `12.3 KiB`, `6.10 MiB`."""
    divisor, unit = byte_unit(value)
    return f"{(count_text if divisor == 1 else short)(value / divisor)}{GAP}{unit}"


def byte_unit(largest: float) -> tuple[int, str]:
    """The unit in which amounts up to the largest are readable: how many bytes, and its name."""
    for divisor, unit in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(largest) >= 1000 * divisor / KIB:  # no number has four digits before its point
            return divisor, unit
    return 1, "B"


def seconds_text(value: float) -> str:
    """Seconds in the unit that keeps them readable: `45.0 µs`, `12.3 ms`, `1.20 s`."""
    if value == 0:
        return f"0{GAP}s"
    multiplier, unit = second_unit(value)
    return f"{short(value * multiplier)}{GAP}{unit}"


def second_unit(longest: float) -> tuple[float, str]:
    """The unit in which times up to the longest are readable: how many to a second; its name."""
    for least, multiplier, unit in ((1.0, 1.0, "s"), (1e-3, 1e3, "ms")):
        if abs(longest) >= least:
            return multiplier, unit
    return 1e6, "µs"


def times_text(value: float) -> str:
    """A ratio: `1.31 x`."""
    return f"{value:.2f}{GAP}{TIMES}" if value < 10 else f"{short(value)}{GAP}{TIMES}"


def share_text(value: float) -> str:
    """A share: `5 %`."""
    return f"{value * 100:.4g}{GAP}%"


def verdict_text(found: Verdict) -> str:
    """A verdict, with the share that it is of: `equivalent within 5 %`."""
    return f"equivalent within {share_text(WITHIN)}" if found == "equivalent" else found


def format_of(reading: str) -> Format:
    """How a reading is written, by the unit that its name ends in."""
    for ending, formatted in (
        ("_bytes", bytes_text),
        ("_seconds", seconds_text),
        ("_count", count_text),
    ):
        if reading.endswith(ending):
            return formatted
    return short


def range_text(estimate: Estimate, formatted: Format) -> str:
    """From the lowest to the highest of the repeats."""
    if estimate.n == 1:
        return "one trial"
    if estimate.spread == 0:
        return "all equal"
    return f"{formatted(estimate.low)} to {formatted(estimate.high)}"


def between_text(values: Sequence[float], formatted: Format) -> str:
    """The span of some figures in a sentence: `1.00 x to 1.31 x`, or one where all read alike."""
    low, high = formatted(min(values)), formatted(max(values))
    return low if low == high else f"{low} to {high}"


def listed(names: Iterable[str], joined: str = "and") -> str:
    """`a, b and c`."""
    *most, last = list(names) or [""]
    return f"{', '.join(most)} {joined} {last}" if most else last


def counted(n: int, one: str, many: str | None = None) -> str:
    """`1 trial`, `80 trials`."""
    return f"{count_text(n)} {one if n == 1 else many or one + 's'}"


def repeats_text(found: Iterable[Estimate]) -> str:
    """`Medians of 3 trials each.`"""
    numbers = sorted({e.n for e in found})
    if numbers == [1]:
        return "One trial each."
    fewest = f"{numbers[0]} to " if len(numbers) > 1 else ""
    return f"Medians of {fewest}{counted(numbers[-1], 'trial')} each."


def value_text(value: object) -> str:
    """A parameter or a piece of environment, as a person would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count_text(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {value_text(v)}" for k, v in value.items()) or NONE
    if isinstance(value, list | tuple):
        return ", ".join(value_text(v) for v in value) or NONE
    return NONE if value is None or value == "" else str(value)


def arm_text(arm: Arm, *, alone: bool) -> str:
    """An arm's name: its mode, and the collector's setting unless all arms share it."""
    return arm.mode if alone else f"{arm.mode}, {collector_text(arm.collector)}"


def row_text(arm: Arm, *, alone: bool) -> str:
    """An arm's name where the axis or the column says what its parts are: `step16, off`."""
    return arm.mode if alone else f"{arm.mode}, {arm.collector}"


def collector_text(collector: str) -> str:
    """`collector off`, `collector on`, `collected each step`."""
    return "collected each step" if collector == "each step" else f"collector {collector}"


def axis_title(*, alone: bool) -> str:
    """What the rows of a chart are."""
    return "memory mode" if alone else "memory mode, collector"


def share_collector(arms: Iterable[Arm]) -> bool:
    """Whether the collector's setting tells none of the arms apart."""
    return len({a.collector for a in arms}) < 2


def parameters_text(subject: Subject) -> str:
    """`size 10 000, rounds 10`."""
    return ", ".join(f"{name.replace('_', ' ')} {value_text(v)}" for name, v in subject.parameters)


def subject_names(subjects: Sequence[Subject]) -> dict[Subject, str]:
    """A name for each subject: its workload, and whatever tells it from its namesakes."""
    return {
        s: _subject_name(s, [o for o in subjects if o.workload == s.workload]) for s in subjects
    }


def _subject_name(subject: Subject, namesakes: Sequence[Subject]) -> str:
    telling: list[tuple[str, Any]] = [
        (name, value)
        for name, value in subject.parameters
        if any(dict(other.parameters).get(name) != value for other in namesakes)
    ]
    marks = ", ".join(f"{name.replace('_', ' ')} {value_text(value)}" for name, value in telling)
    name = workload_text(subject.workload)
    return f"{name}, {marks}" if marks else name


def workload_text(workload: str) -> str:
    """A workload's name; of a file of the user's, its own name without its folders."""
    name = workload.replace("\\", "/").rpartition("/")[2] if ".py:" in workload else workload
    return name.removesuffix(":__main__")


NO_RECORDS = (
    "This run has no record yet: no trial has ended. Start it, or let it go on, with "
    "`experiments run`, and build the report again with `experiments report`."
)


def tally(records: Sequence[Record]) -> str:
    """How much ran and how it ended: `80 trials, all ended well; 6 workloads, 5 modes, ...`"""
    failed = sum(r.outcome != "ok" for r in records)
    ended = f", {count_text(failed)} of which did not end well" if failed else ", all ended well"
    workloads = counted(len({r.trial.workload for r in records}), "workload")
    modes = counted(len({r.trial.mode for r in records}), "mode")
    instruments = counted(len({r.trial.instrument for r in records}), "instrument")
    return f"{counted(len(records), 'trial')}{ended}; {workloads}, {modes}, {instruments}."

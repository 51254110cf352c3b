"""What a comparison of two runs says: in the terminal, and as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from experiments.comparison import Case, Comparison, Figure, Result
from experiments.estimates import Estimate, Subject
from experiments.intervals import FEWEST, enough
from experiments.report.wording.words import (
    NONE,
    collector_text,
    count_text,
    counted,
    format_of,
    listed,
    share_text,
    short,
    subject_names,
    times_text,
)
from experiments.trial import Record

COLUMNS = ("", "A", "B", "B / A", "uncorrected", "")
MOST_NAMED = 5  # in a sentence; all stand in the table


def compared(
    comparison: Comparison, threshold: float, time_threshold: float, *, everything: bool = False
) -> RenderableType:
    """The comparison for a person: what differs, or everything, and the verdict in words."""
    c = comparison
    within = f"{share_text(threshold)} (times {share_text(time_threshold)})"
    shown = [f for f in c.figures if everything or f.verdict == "differs"]
    verdict = Text(in_words(c, within), style="bold red" if c.got_worse else "bold green")
    return Group(
        *_environments(c),
        *_tables(shown, c, everything=everything),
        *_counts(c, within),
        *_times(c),
        *_results(c),
        *_endings(c),
        *_doubts(c),
        Text(),
        verdict,
    )


def in_words(comparison: Comparison, within: str) -> str:
    """The verdict in one line: what got worse, or that nothing did."""
    worse, failed = comparison.worse, comparison.failed
    if not comparison.got_worse:
        return f"Nothing got worse by more than {within}."
    names = _names(comparison)
    parts = [
        f"{_case_text(case, names)}: {_some(_growth(f) for f in worse if f.case == case)}"
        for case in dict.fromkeys(f.case for f in worse)
    ]
    parts += [f"{_trial_text(r)}: {r.outcome}" for r in failed]
    numbers = [counted(len(worse), "figure")] if worse else []
    numbers += [counted(len(failed), "trial that fails", "trials that fail")] if failed else []
    return f"Worse: {listed(numbers)}. {_some(parts, '; ')}."


def _growth(f: Figure) -> str:
    return f"{f.reading} {_ratio_text(f.ratio)}"


def _some(parts: Iterable[str], joined: str = ", ") -> str:
    """The first of the parts, and how many more there are."""
    known = list(parts)
    more = [f"and {len(known) - MOST_NAMED} more"] if len(known) > MOST_NAMED else []
    return joined.join([*known[:MOST_NAMED], *more])


# The environments ---------------------------------------------------------------------------------


def _environments(c: Comparison) -> Iterator[Text]:
    if c.commits:
        was, now = (commit or "unknown" for commit in c.commits)
        yield Text(f"Commit: {was} in A, {now} in B.")
    if not c.environments:
        yield Text("Environment: the same in both.")
        return
    yield Text("Environments differ:", style="yellow")
    yield from (Text(f"  {sentence}") for sentence in c.environments)


# The figures --------------------------------------------------------------------------------------


def _tables(figures: Sequence[Figure], c: Comparison, *, everything: bool) -> Iterator[Text]:
    """A table for each case, all with columns of the same widths, whatever the terminal's is."""
    yield Text()
    if not figures:
        yield Text("No figure differs.")
        return
    yield Text("Every figure:" if everything else "What differs:", style="bold")
    names = _names(c)
    corrected = c.yardstick is not None and any(f.is_time for f in figures)
    kept = [n for n, title in enumerate(COLUMNS) if corrected or title != "uncorrected"]
    cells = {id(f): [_cells(f)[n] for n in kept] for f in figures}
    titles = [COLUMNS[n] for n in kept]
    widths = [max(map(len, column)) for column in zip(titles, *cells.values(), strict=True)]
    yield Text(_row(titles, widths), style="dim")
    for case in dict.fromkeys(f.case for f in figures):
        yield Text(_case_text(case, names), style="bold cyan")
        yield from (
            Text(_row(cells[id(f)], widths), style=_style(f)) for f in figures if f.case == case
        )


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The cells of a row in columns: names and verdicts to the left, figures to the right."""
    ends = 0, len(cells) - 1
    columns = enumerate(zip(cells, widths, strict=True))
    return (
        "  "
        + "  ".join(
            cell.ljust(width) if n in ends else cell.rjust(width) for n, (cell, width) in columns
        ).rstrip()
    )


def _cells(f: Figure) -> list[str]:
    formatted = format_of(f.reading)
    raw = times_text(f.after.median / f.before.median) if f.raw and f.before.median else NONE
    return [
        f.reading,
        formatted(f.before.median),
        formatted(f.after.median),
        f"{_ratio_text(f.ratio)}{_interval_text(f)}",
        raw if f.is_time else NONE,
        "worse" if f.worse else f.verdict,
    ]


def _ratio_text(ratio: float | None) -> str:
    if ratio is None:
        return NONE
    return "from nothing" if ratio == math.inf else times_text(ratio)


def _interval_text(f: Figure) -> str:
    """The interval behind a ratio, where it is more than the ratio itself."""
    if f.over is None:
        return "" if not f.is_time else " (too few)"
    if f.over.low == f.over.high:
        return ""
    return f" ({short(f.over.low)} to {short(f.over.high)})"


def _style(f: Figure) -> str:
    if f.worse:
        return "red"
    lower = f.verdict == "differs" and f.after.median < f.before.median
    return "green" if lower else ""


# What else there is to say ------------------------------------------------------------------------


def _counts(c: Comparison, within: str) -> Iterator[Text]:
    """How many figures came to which verdict, and what only one run has."""
    verdicts = Counter(f.verdict for f in c.figures)
    yield Text()
    yield Text(
        f"{counted(len(c.figures), 'figure')} compared: {count_text(verdicts['differs'])} differ, "
        f"{count_text(verdicts['equivalent'])} equivalent within {within}, "
        f"{count_text(verdicts['inconclusive'])} inconclusive."
    )
    names = _names(c)
    for run, cases in (("A", c.only_before), ("B", c.only_after)):
        if cases:
            some = _some((_case_text(case, names) for case in cases), "; ")
            yield Text(f"Only in {run}: {some}.")


def _times(c: Comparison) -> Iterator[Text]:
    """What times are set against, and how sure all their intervals are together."""
    times = [f for f in c.figures if f.is_time]
    if not times:
        return
    if c.yardstick is None:
        yield Text(
            "Times are not corrected for the machine's speed: it was not measured in both runs "
            f"(calibration, by {FEWEST} processes at least). Another load looks like another time.",
            style="yellow",
        )
    else:
        n, m = c.yardstick.n
        yield Text(
            "Times are corrected by the yardstick: the same work took "
            f"{times_text(c.yardstick.ratios['wall_seconds'])} as long in B "
            f"({times_text(c.yardstick.ratios['cpu_seconds'])} of the processor; {n} and {m} "
            "processes)."
        )
    if not c.times:
        yield Text(f"No time has the {FEWEST} processes in both runs that an interval needs.")
        return
    said = (
        f"{counted(c.times, 'time')} compared at once: each interval is a {_percent(c.confidence)} "
        f"one, so that all of them hold with {_percent(c.together)}."
    )
    fewest = min(min(f.before.n, f.after.n) for f in times if f.over and f.over.confidence < 1)
    if fewest < enough(c.confidence):
        said = (
            f"{counted(c.times, 'time')} compared at once, by {fewest} processes at the fewest: "
            f"all of their intervals hold with {_percent(c.together)} at the least. "
            f"--repeats {enough(c.confidence)} makes that 95 %."
        )
    yield Text(said)


def _percent(share: float) -> str:
    """A confidence, never rounded up to certainty: `95 %`, `99.3 %`, `99.98 %`."""
    places = 0 if share <= 0.95 else 1 if share < 0.999 else 2
    return f"{math.floor(share * 100 * 10**places + 1e-6) / 10**places:g} %"


def _results(c: Comparison) -> Iterator[Text]:
    """Whether both computed the same."""
    if not c.results:
        yield Text(f"Results: {count_text(c.results_compared)} compared, the same to the last bit.")
        return
    names = _names(c)
    yield Text("Results are not the same to the last bit:", style="yellow")
    yield from (Text(f"  {_result_text(r, names)}") for r in c.results)


def _result_text(r: Result, names: Mapping[Subject, str]) -> str:
    was, now = (", ".join(map(repr, values)) for values in (r.before, r.after))
    return f"{names[r.subject]}, {r.mode}: {r.name} {was} in A, {now} in B"


def _endings(c: Comparison) -> Iterator[Text]:
    """The trials that ended well in one run alone."""
    for run, records, style in (("B", c.failed, "red"), ("A", c.mended, "yellow")):
        if records:
            yield Text(f"Did not end well in {run}, and did in the other:", style=style)
        yield from (Text(f"  {_ending_text(r)}") for r in records)


def _ending_text(r: Record) -> str:
    why = r.error.strip().partition("\n")[0]
    bounds = [f"{name} at least {format_of(name)(v)}" for name, v in r.at_least.items()]
    where = f"{r.outcome} in phase {r.phase}" if r.phase else r.outcome
    return "; ".join([f"{_trial_text(r)}: {where}", *bounds, *([why] if why else [])])


def _doubts(c: Comparison) -> Iterator[Text]:
    """What makes a run less sure than it should be."""
    for run, instruments in c.uncalibrated.items():
        if instruments:
            yield Text(f"Beyond its bounds in {run}: {listed(instruments)}.", style="yellow")
    names = _names(c)
    for run, found in c.varying.items():
        for v in found:
            case = _case_text(Case(v.subject, v.arm, v.instrument), names)
            values = ", ".join(dict.fromkeys(map(format_of(v.reading), v.values)))
            yield Text(
                f"Not the same in every process of {run}: {case}: {v.reading} {values}.",
                style="yellow",
            )


# Names --------------------------------------------------------------------------------------------


def _names(c: Comparison) -> dict[Subject, str]:
    cases = [*(f.case for f in c.figures), *c.only_before, *c.only_after]
    varied = [v.subject for found in c.varying.values() for v in found]
    subjects = [*(case.subject for case in cases), *varied, *(r.subject for r in c.results)]
    return subject_names(list(dict.fromkeys(subjects)))


def _case_text(case: Case, names: Mapping[Subject, str]) -> str:
    """`chain, step16, traced`, and the collector where it was not off."""
    setting = [] if case.arm.collector == "off" else [collector_text(case.arm.collector)]
    name = names.get(case.subject, case.subject.workload)
    return ", ".join([name, case.arm.mode, case.instrument, *setting])


def _trial_text(r: Record) -> str:
    t = r.trial
    return f"{t.workload}, {t.mode}, {t.instrument}, repeat {t.repeat + 1}"


# For programs -------------------------------------------------------------------------------------


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON can hold it; a ratio to nothing is null."""
    c = comparison
    return {
        "got_worse": c.got_worse,
        "worse": [_figure(f) for f in c.worse],
        "failed": [_ended(r) for r in c.failed],
        "environments": list(c.environments),
        "commits": list(c.commits) if c.commits else None,
        "figures": [_figure(f) for f in c.figures],
        "verdicts": dict(Counter(f.verdict for f in c.figures)),
        "mended": [_ended(r) for r in c.mended],
        "only_in_a": [_case(case) for case in c.only_before],
        "only_in_b": [_case(case) for case in c.only_after],
        "results": [{**asdict(r), "subject": _subject(r.subject)} for r in c.results],
        "results_compared": c.results_compared,
        "not_calibrated": {run: list(names) for run, names in c.uncalibrated.items()},
        "varying": {
            run: [
                {**_case(Case(v.subject, v.arm, v.instrument)), "reading": v.reading}
                | {"values": list(v.values)}
                for v in found
            ]
            for run, found in c.varying.items()
        },
        "yardstick": asdict(c.yardstick) if c.yardstick else None,
        "times": {"compared": c.times, "confidence": c.confidence, "together": c.together},
    }


def _figure(f: Figure) -> dict[str, Any]:
    return {
        **_case(f.case),
        "reading": f.reading,
        "a": _estimate(f.before),
        "b": _estimate(f.after),
        "ratio": _finite(f.ratio),
        "interval": _interval(f.over),
        "uncorrected_interval": _interval(f.raw),
        "instrument_error": f.error,
        "verdict": f.verdict,
        "worse": f.worse,
    }


def _interval(over: Any) -> dict[str, Any] | None:
    return None if over is None else {name: _finite(v) for name, v in asdict(over).items()}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _estimate(found: Estimate) -> dict[str, Any]:
    return asdict(found)


def _case(case: Case) -> dict[str, Any]:
    how = {"mode": case.arm.mode, "collector": case.arm.collector, "instrument": case.instrument}
    return {**_subject(case.subject), **how}


def _subject(s: Subject) -> dict[str, Any]:
    return {"workload": s.workload, "parameters": dict(s.parameters)}


def _ended(r: Record) -> dict[str, Any]:
    told = {"outcome": r.outcome, "phase": r.phase, "error": r.error, "at_least": dict(r.at_least)}
    return {**asdict(r.trial), **told}

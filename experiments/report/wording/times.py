"""What is said of time: how many times as long, and by which verdict on which workloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from experiments.estimates import (
    Arm,
    Subject,
    TimesAsLong,
    arm,
    by_case,
    by_subject,
    collector_of,
    times_as_long,
)
from experiments.report.wording.accuracy import UNCALIBRATED, Calibrations, error_of
from experiments.report.wording.looks import in_order
from experiments.report.wording.words import between_text, counted, listed, short, verdict_text
from experiments.trial import Record

READING = "wall_seconds"
DEFAULT_MODE = "lean"


def cost(
    records: Sequence[Record],
    calibrations: Calibrations = UNCALIBRATED,
    *,
    before: str,
    after: str,
    doing: str,
    instead: str,
) -> str:
    """How many times as long one mode takes as another, and whether that is sure."""
    collector = collector_of(by_case(records, READING))
    found = beside(records, Arm(after, collector), Arm(before, collector), calibrations)
    if not found:
        return f"What {doing} costs in time cannot be told: no workload has times of both."
    times = f"{doing[:1].upper()}{doing[1:]} took {_times(found)} the time of {instead}"
    return f"{times}: {_verdicts(found)}."


def collecting_cost(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> str:
    """How many times as long strong references take when they are collected each step."""
    found = beside(records, Arm("step16", "each step"), Arm("step16", "off"), calibrations)
    if not found:
        return "What a collection each step costs in time cannot be told: it was not timed."
    times = f"A collection each step took {_times(found)} the time of none, in `step16`"
    return f"{times}: {_verdicts(found)}."


def fastest(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> str:
    """Which mode was fastest on how many workloads, and where that is sure."""
    error = error_of(calibrations, "clock", READING)
    firsts: Counter[str] = Counter()
    unsure = 0
    for s, group in by_subject(records).items():
        ranked = sorted(times := by_case(group, READING).get(s, {}), key=lambda a: times[a].median)
        if len(ranked) < 2:
            continue
        firsts[ranked[0].mode] += 1
        second = times_as_long(group, READING, ranked[1], ranked[0], error=error)
        unsure += second is None or second.verdict != "differs"
    if not firsts:
        return "Which mode is fastest cannot be told: no workload has figures of two modes."
    said = listed(f"`{mode}` was fastest on {n}" for mode, n in firsts.most_common())
    doubt = f"; on {unsure}, the second fastest does not differ for sure" if unsure else ""
    return f"Of {counted(firsts.total(), 'workload')}, {said}{doubt}."


def beside_default(
    records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED
) -> list[str]:
    """A sentence for each mode that was timed beside the default one."""
    collector = collector_of(by_case(records, READING))
    timed = in_order(arm(r) for r in records if READING in r.readings)
    said = []
    for mode in dict.fromkeys(a.mode for a in timed if a.mode != DEFAULT_MODE):
        found = beside(records, Arm(mode, collector), Arm(DEFAULT_MODE, collector), calibrations)
        if found:
            words = f"`{mode}` took {_times(found)} the time of `{DEFAULT_MODE}`"
            said.append(f"{words}: {_verdicts(found)}.")
    return said


def beside(
    records: Sequence[Record], of: Arm, to: Arm, calibrations: Calibrations
) -> dict[Subject, TimesAsLong]:
    """How many times as long each workload takes in an arm as in another, where both were timed."""
    error = error_of(calibrations, "clock", READING)
    pairs = {
        s: times_as_long(group, READING, of, to, error=error)
        for s, group in by_subject(records).items()
    }
    return {s: found for s, found in pairs.items() if found}


def _times(found: Mapping[Subject, TimesAsLong]) -> str:
    """`0.97 to 1.31 times`."""
    return f"{between_text([f.ratio for f in found.values()], short)} times"


def _verdicts(found: Mapping[Subject, TimesAsLong]) -> str:
    """`differs on 4 of 6 workloads, equivalent within 5 % on 1 and inconclusive on 1`."""
    each = Counter(f.verdict for f in found.values())
    if len(each) == 1:
        [verdict] = each
        where = ("", " on both workloads", f" on all {counted(len(found), 'workload')}")
        return verdict_text(verdict) + where[min(len(found), 3) - 1]
    first, *others = each.most_common()
    of = f"{verdict_text(first[0])} on {first[1]} of {counted(len(found), 'workload')}"
    return listed([of, *(f"{verdict_text(v)} on {n}" for v, n in others)])

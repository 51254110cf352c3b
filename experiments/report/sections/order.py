"""The sections of a report, in reading order.

A section is a pure function of the records, and of the calibrations where it shows figures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from experiments.estimates import Subject, by_subject
from experiments.recomputation import is_point
from experiments.report.blocks import Section
from experiments.report.sections.beside import beside
from experiments.report.sections.calibration import calibration, stamped
from experiments.report.sections.collector import collector
from experiments.report.sections.cycles import cycles
from experiments.report.sections.environment import environment
from experiments.report.sections.failures import failures
from experiments.report.sections.floors import floors
from experiments.report.sections.glance import glance, modes
from experiments.report.sections.ladder import ladder
from experiments.report.sections.lifetimes import lifetimes
from experiments.report.sections.lines import lines
from experiments.report.sections.method import method
from experiments.report.sections.moments import moments
from experiments.report.sections.native import native
from experiments.report.sections.objects import objects
from experiments.report.sections.pace import pace
from experiments.report.sections.recomputation import INSTRUMENTS, recomputation
from experiments.report.sections.resident import resident
from experiments.report.sections.results import results
from experiments.report.sections.tradeoff import tradeoff
from experiments.report.wording.accuracy import UNCALIBRATED, Calibrations
from experiments.report.wording.looks import WORKLOADS
from experiments.report.wording.sameness import sameness
from experiments.report.wording.words import count_text, listed, parameters_text, subject_names
from experiments.trial import Record

Make = Callable[[Sequence[Record], Calibrations], Section]

# What is told of each workload, and the instrument that it is told by.
OF_A_WORKLOAD: Mapping[Make, str] = {
    ladder: "traced",
    lifetimes: "lifetimes",
    moments: "traced",
    resident: "resident",
    pace: "clock",
    tradeoff: "clock",
    cycles: "cycles",
    collector: "collector",
    objects: "objects",
    native: "native",
    lines: "lines",
}
DETAIL = (lines,)  # what a reader opens first
WHOLE = 16  # workloads that are told of one by one: a page of more opens slowly and is not read


def workloads(records: Sequence[Record], calibrations: Calibrations) -> Section:
    """A section for each workload and its parameters."""
    groups = by_subject(records)
    names = subject_names(list(groups))
    used = {r.trial.instrument for r in records}
    whole = told_whole(list(groups))
    within = [
        Section(
            names[s],
            [
                _told(make, groups[s], calibrations)
                for make, instrument in OF_A_WORKLOAD.items()
                if instrument in used
            ],
            lead=_lead(s),
        )
        for s in whole
    ]
    lead = f"{_others(len(groups) - len(whole))} {_unused(used)}".strip()
    return Section("Workload by workload", within, lead=lead, listed=True)


def _told(make: Make, group: Sequence[Record], calibrations: Calibrations) -> Section:
    section = stamped(make(group, calibrations), calibrations, [OF_A_WORKLOAD[make]])
    return replace(section, folded=make in DETAIL)


def told_whole(subjects: Sequence[Subject]) -> list[Subject]:
    """As many as are told of one by one, some of every workload's, in the order given."""
    turns: dict[str, int] = {}
    placed = []
    for place, s in enumerate(subjects):
        turn = turns[s.workload] = turns.get(s.workload, -1) + 1
        placed.append((turn, place))
    return [subjects[place] for place in sorted(place for _, place in sorted(placed)[:WHOLE])]


def _others(n: int) -> str:
    """How to see the workloads that are not told of here."""
    if not n:
        return ""
    others = "The other one is" if n == 1 else f"The other {count_text(n)} are"
    return (
        f"{others} in the tables of all workloads and in the records alone; "
        "`experiments.report.show(folder, workload)` shows any of them."
    )


def _lead(s: Subject) -> str:
    """What the workload is, and its parameters."""
    parameters = f"Here with {parameters_text(s)}." if s.parameters else ""
    return f"{WORKLOADS.get(s.workload, '')} {parameters}".strip()


def _unused(used: Collection[str]) -> str:
    """What this run did not measure, and so does not show."""
    unused = [f"`{name}`" for name in dict.fromkeys(OF_A_WORKLOAD.values()) if name not in used]
    return f"This run measured nothing with {listed(unused)}." if unused else ""


def sections(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> list[Section]:
    """Every section of a run that has records.

    The points of a sweep are told of together, and not one by one with all other workloads.
    """
    others = [record for record in records if not is_point(record)]
    pairs = beside(others)
    bought = recomputation(records, calibrations)
    return [
        *(_compared(others, calibrations) if others else []),
        *([stamped(bought, calibrations, INSTRUMENTS)] if bought else []),
        *([stamped(pairs, calibrations, ["lifetimes"])] if pairs else []),
        calibration(calibrations, sorted({r.trial.instrument for r in records})),
        sameness(records),
        results(records),
        failures(records),
        environment(records),
        method(records),
    ]


def _compared(records: Sequence[Record], calibrations: Calibrations) -> list[Section]:
    """The modes side by side, on all workloads and on each."""
    return [
        stamped(glance(records, calibrations), calibrations, ["traced"]),
        modes(records),
        stamped(floors(records, calibrations), calibrations, ["traced", "operations"]),
        workloads(records, calibrations),
    ]

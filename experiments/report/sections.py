"""The sections of a report, in reading order.

A section is a pure function of the records, and of the calibrations where it shows figures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from experiments.estimates import Subject, by_subject
from experiments.report.accuracy import UNCALIBRATED, Calibrations
from experiments.report.blocks import Section
from experiments.report.calibration import calibration, stamped
from experiments.report.collector import collector
from experiments.report.cycles import cycles
from experiments.report.environment import environment
from experiments.report.failures import failures
from experiments.report.floors import floors
from experiments.report.glance import glance, modes
from experiments.report.ladder import ladder
from experiments.report.lifetimes import lifetimes
from experiments.report.lines import lines
from experiments.report.looks import WORKLOADS
from experiments.report.method import method
from experiments.report.moments import moments
from experiments.report.native import native
from experiments.report.objects import objects
from experiments.report.pace import pace
from experiments.report.resident import resident
from experiments.report.results import results
from experiments.report.sameness import sameness
from experiments.report.words import listed, parameters_text, subject_names
from experiments.trial import Record

Make = Callable[[Sequence[Record], Calibrations], Section]

# What is told of each workload, and the instrument that it is told by.
OF_A_WORKLOAD: Mapping[Make, str] = {
    ladder: "traced",
    moments: "traced",
    lifetimes: "lifetimes",
    cycles: "cycles",
    objects: "objects",
    collector: "collector",
    resident: "resident",
    lines: "lines",
    native: "native",
    pace: "clock",
}


def workloads(records: Sequence[Record], calibrations: Calibrations) -> Section:
    """A section for each workload and its parameters."""
    groups = by_subject(records)
    names = subject_names(list(groups))
    used = {r.trial.instrument for r in records}
    within = [
        Section(
            names[s],
            [
                stamped(section(group, calibrations), calibrations, [instrument])
                for section, instrument in OF_A_WORKLOAD.items()
                if instrument in used
            ],
            lead=_lead(s),
        )
        for s, group in groups.items()
    ]
    return Section("Workload by workload", within, lead=_unused(used), listed=True)


def _lead(s: Subject) -> str:
    """What the workload is, and its parameters."""
    parameters = f"Here with {parameters_text(s)}." if s.parameters else ""
    return f"{WORKLOADS.get(s.workload, '')} {parameters}".strip()


def _unused(used: Collection[str]) -> str:
    """What this run did not measure, and so does not show."""
    unused = [f"`{name}`" for name in dict.fromkeys(OF_A_WORKLOAD.values()) if name not in used]
    return f"This run measured nothing with {listed(unused)}." if unused else ""


def sections(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> list[Section]:
    """Every section of a run that has records."""
    return [
        stamped(glance(records, calibrations), calibrations, ["traced"]),
        modes(records),
        workloads(records, calibrations),
        stamped(floors(records, calibrations), calibrations, ["traced", "operations"]),
        results(records),
        sameness(records),
        calibration(calibrations, sorted({r.trial.instrument for r in records})),
        failures(records),
        environment(records),
        method(records),
    ]

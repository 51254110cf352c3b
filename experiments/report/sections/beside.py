"""Workloads that differ in one thing, on one time axis."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.estimates import Arm, Subject, by_subject
from experiments.report.blocks import Chart, Section
from experiments.report.sections.lifetimes import LEAD, key, shown_of, whole
from experiments.report.wording.looks import PAIRS, Pair
from experiments.report.wording.words import listed
from experiments.trial import Record

TITLE = "Side by side"


def beside(records: Sequence[Record]) -> Section | None:
    """The live arrays of each pair of workloads that a run has both of; None where it has none."""
    groups = by_subject(records)
    found = [made for pair in PAIRS if (made := _section(pair, groups))]
    return Section(TITLE, found, lead=LEAD, listed=True) if found else None


def _section(pair: Pair, groups: dict[Subject, list[Record]]) -> Section | None:
    """A chart for each mode that both workloads ran in, of the first subject of each."""
    firsts = [next((s for s in groups if s.workload == name), None) for name in pair.workloads]
    title = listed(pair.workloads)
    charts: dict[str, Chart] = {}
    lead = ""
    for mode in pair.modes:
        found = [shown_of(groups[s], Arm(mode), s.workload) for s in firsts if s]
        shown = [one for one in found if one]
        if len(shown) == len(pair.workloads):
            says = f"Under `{mode}`, both on the same scales."
            charts[mode] = whole(f"{title}, {mode}", says, shown)
            lead = lead or pair.says + key(shown)
    return Section(title, list(charts.values()), lead=lead) if charts else None

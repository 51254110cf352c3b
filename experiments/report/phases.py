"""Over how many phases of the collector a figure was taken, where the collector was on."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.estimates import Arm, arm
from experiments.report.words import counted
from experiments.trial import COLLECTOR_PHASES, Record


def phases(records: Sequence[Record], where: Arm, instrument: str) -> int:
    """In how many of its phases an instrument's trials of an arm met the collector."""
    return len(
        {
            r.trial.repeat % COLLECTOR_PHASES
            for r in records
            if arm(r) == where and r.trial.instrument == instrument and r.outcome == "ok"
        }
    )


def over_phases(records: Sequence[Record], where: Arm, instrument: str) -> str:
    """`, over 20 phases of the collector`; nothing where it was not on."""
    if where.collector != "on":
        return ""
    met = phases(records, where, instrument)
    if met < COLLECTOR_PHASES:
        return f", over {met} of {counted(COLLECTOR_PHASES, 'phase')} of the collector"
    return f", over {counted(met, 'phase')} of the collector"

"""Over how many phases of the collector a figure was taken, where the collector was on."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.estimates import Arm, arm
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
    """`, over 20 phases of the collector`, or in how few; nothing where it was not on."""
    if where.collector != "on":
        return ""
    met = phases(records, where, instrument)
    of_all = f"over {met}" if met == COLLECTOR_PHASES else f"in {met} of {COLLECTOR_PHASES}"
    return f", {of_all} phases of the collector"

"""Why a figure is not there. What is missing is said and never shown as zero."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.estimates import Arm, arm, why_unavailable
from experiments.trial import Record

NOT_MEASURED = "not measured"


def why_absent(records: Sequence[Record], where: Arm, reading: str, instrument: str) -> str:
    """Why the records of a workload have no such reading in an arm."""
    tried = [r for r in records if r.trial.instrument == instrument and arm(r) == where]
    if reason := why_unavailable(tried, reading).get(where):
        return f"not available here: {reason}"
    if not tried:
        return NOT_MEASURED
    if all(r.outcome != "ok" for r in tried):
        return "no trial ended well"
    if "backward" in reading:
        goes_back = any(reading in r.readings for r in records)
        return "no backward in this mode" if goes_back else "no backward in this workload"
    return NOT_MEASURED


def briefly(reason: str) -> str:
    """The reason as a chart has room for it; the table has it whole."""
    return reason.partition(":")[0]

"""Every trial that did not end well, and what it said."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.estimates import subject
from experiments.report.blocks import Section, Table, Text
from experiments.report.words import NONE, counted, parameters_text
from experiments.trial import Record


def failures(records: Sequence[Record]) -> Section:
    """Each trial whose outcome is not ok: where it was, and why it ended."""
    failed = [r for r in records if r.outcome != "ok"]
    if not failed:
        words = f"None: {counted(len(records), 'trial')} ran, and every one ended well."
        return Section("Failures", [Text(words, "good")])
    ended = len(records) - len(failed)
    words = (
        f"{counted(len(failed), 'trial')} of {len(records)} did not end well. "
        f"The figures of the report come from the other {ended}."
    )
    columns = ["Workload", "Mode", "Instrument", "Outcome", "Last phase", "What it said", "Trial"]
    rows = [
        [
            r.trial.workload,
            r.trial.mode,
            r.trial.instrument,
            r.outcome,
            r.phase or NONE,
            r.error.strip() or NONE,
            f"{parameters_text(subject(r))}; collector {r.trial.collector}; "
            f"repeat {r.trial.repeat}, seed {r.trial.seed}",
        ]
        for r in failed
    ]
    table = Table("Trials that did not end well", columns, rows, 2, prose=columns[2:])
    return Section("Failures", [Text(words, "warning"), table])

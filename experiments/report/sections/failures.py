"""Every trial that did not end well, and what it said."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.estimates import arm, subject
from experiments.report.blocks import Origin, Section, Table, Text, Verbatim
from experiments.report.wording.words import NONE, counted, parameters_text
from experiments.trial import Record


def failures(records: Sequence[Record]) -> Section:
    """Each trial whose outcome is not ok: where it was, and why it ended."""
    failed = [r for r in records if r.outcome != "ok"]
    if not failed:
        words = f"None: {counted(len(records), 'trial')} ran, and every one ended well."
        return Section("Failures", [Text(words, "good")])
    words = f"{len(failed)} of {counted(len(records), 'trial')} did not end well"
    if len(failed) < len(records):
        words += "; the figures of this report come from the others"
    columns = ["Workload", "Mode", "Instrument", "Outcome", "Last phase", "What it said", "Trial"]
    rows = [
        [
            r.trial.workload,
            r.trial.mode,
            r.trial.instrument,
            r.outcome,
            r.phase or NONE,
            _first_line(r) or NONE,
            f"{parameters_text(subject(r))}; collector {r.trial.collector}; "
            f"repeat {r.trial.repeat}, seed {r.trial.seed}",
        ]
        for r in failed
    ]
    origins = [Origin(subject(r), arm(r), r.trial.instrument) for r in failed]
    table = Table(
        "Trials that did not end well", columns, rows, 5, prose=columns[5:], origins=origins
    )
    return Section("Failures", [Text(f"{words}.", "warning"), table, *_in_full(failed)])


def _first_line(record: Record) -> str:
    return record.error.strip().partition("\n")[0]


def _in_full(failed: Sequence[Record]) -> list[Verbatim]:
    """What was said on more than a line, once for all trials that said the same."""
    said: dict[str, list[Record]] = {}
    for r in failed:
        if r.error.strip() != _first_line(r):
            said.setdefault(r.error.strip(), []).append(r)
    return [
        Verbatim(f"In full, of {counted(len(who), 'trial')}: {_first_line(who[0])}", lines)
        for lines, who in said.items()
    ]

"""Whether what should be the same in every process was: if not, that is a finding of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from experiments.estimates import Subject, Varying, by_subject, deterministic, varying
from experiments.report.blocks import Origin, Section, Table, Text
from experiments.report.wording.words import (
    collector_text,
    count_text,
    counted,
    format_of,
    subject_names,
)
from experiments.trial import Record

TITLE = "The same in every process"
LEAD = (
    "Bytes and counts of trials in which nothing is left to chance must not depend on the process "
    "that ran them. With the collector on they may: when it comes depends on what was there before."
)


def sameness(records: Sequence[Record]) -> Section:
    """Each deterministic reading that varied over processes, with all its values."""
    looked_at, odd = deterministic(records), varying(records)
    if not looked_at:
        words = "Cannot be told: no such reading was taken in more than one process."
        return Section(TITLE, [Text(words, "note")], lead=LEAD)
    if not odd:
        words = f"They did not: {counted(len(looked_at), 'reading')}, each with a range of 0 B."
        return Section(TITLE, [Text(words, "good")], lead=LEAD)
    names = subject_names(list(by_subject(records)))
    words = (
        f"**Not the same in every process**: {len(odd)} of {counted(len(looked_at), 'reading')}."
    )
    columns = ["Workload", "Mode", "Collector", "Instrument", "Reading", "Range", "Values"]
    rows = [_row(found, names) for found in odd]
    table = Table(
        "Readings that varied over processes",
        columns,
        rows,
        2,
        prose=("Values",),
        origins=[Origin(found.subject, found.arm, found.instrument) for found in odd],
    )
    return Section(TITLE, [Text(words, "warning"), table], lead=LEAD)


def _row(found: Varying, names: Mapping[Subject, str]) -> list[str]:
    lowest, highest = min(found.values), max(found.values)
    is_bytes = found.reading.endswith("_bytes")
    exact = [f"{count_text(v)} B" if is_bytes else count_text(v) for v in found.values]
    return [
        names[found.subject],
        found.arm.mode,
        collector_text(found.arm.collector),
        f"`{found.instrument}`",
        f"`{found.reading}`",
        format_of(found.reading)(highest - lowest),
        ", ".join(exact),
    ]

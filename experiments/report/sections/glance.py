"""The whole run on one screen: what the modes are, and a row of figures for each workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.estimates import NOTHING_BYTES, Arm, ByCase, Subject, by_case, by_subject
from experiments.report.blocks import Block, Columns, Origin, Section, Table, Text
from experiments.report.sections.results import equal_in_words
from experiments.report.wording.accuracy import UNCALIBRATED, Calibrations, error_text
from experiments.report.wording.answers import LETTING_GO, NO_GRAPH
from experiments.report.wording.looks import COLLECTORS, in_order
from experiments.report.wording.words import (
    KIB,
    NONE,
    bytes_text,
    repeats_text,
    subject_names,
    value_text,
)
from experiments.trial import Record

TITLE = "At a glance"
ENABLE = "enable_backprop"
MEANINGS = {
    ("enable_backprop", True): "A graph is built.",
    ("enable_backprop", False): "No graph is built at all: nothing can be differentiated.",
    (
        "output_refs",
        "strong",
    ): "A Function holds its outputs, and they hold it: a cycle for every operation.",
    ("output_refs", "weak"): "A Function refers to its outputs weakly: no cycle.",
    ("kept", "inputs"): "It holds its input Variables whole, as in the slides.",
    ("kept", "declared"): "It holds only the arrays that its gradient rule reads.",
    ("retain_grad", True): "Gradients of intermediate Variables stay.",
    ("retain_grad", False): "Gradients of intermediate Variables go once they are used.",
    ("retain_graph", True): "The graph stays after backward.",
    ("retain_graph", False): "The graph is released while backward runs.",
}


def modes(records: Sequence[Record]) -> Section:
    """What each mode means, each said against the one before it."""
    fields = {r.trial.mode: r.memory_mode for r in records if r.memory_mode}
    order = [a.mode for a in in_order(Arm(mode) for mode in {r.trial.mode for r in records})]
    rows, before = [], dict[str, Any]()
    for mode in order:
        now = dict(fields.get(mode, {}))
        rows.append([f"`{mode}`", _means(before, now)])
        before = now or before
    return Section(
        "The memory modes",
        [
            Table(
                "Each mode, by what it changes from the one above",
                ["Mode", "What it means"],
                rows,
                prose=("What it means",),
            )
        ],
        lead="A memory mode says what a graph keeps alive, and until when.",
    )


def _means(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if not now:
        return NONE
    if now.get(ENABLE) is False:
        return MEANINGS[ENABLE, False]
    known = list(dict.fromkeys(name for name, _ in MEANINGS))
    told = [
        MEANINGS.get((name, now[name]), f"{name} = {value_text(now[name])}.")
        for name in sorted(now, key=[*known, *now].index)
        if before.get(name) != now[name] and name != ENABLE
    ]
    return " ".join(told) or "As the one above."


def glance(records: Sequence[Record], calibrations: Calibrations = UNCALIBRATED) -> Section:
    """Every workload's peak in every mode, and what is left behind where something is."""
    peaks, left = by_case(records, "peak_bytes"), by_case(records, "left_bytes")
    blocks: list[Block] = [Text(words) for words in _in_words(records) if words]
    if not peaks:
        return Section(TITLE, [*blocks, Text("No peak was measured.", "note")])
    arms = [a for found in peaks.values() for a in found]
    modes = list(dict.fromkeys(a.mode for a in in_order(arms)))
    settings = [setting for setting in COLLECTORS if any(a.collector == setting for a in arms)]
    names = subject_names(list(by_subject(records)))

    def cell(s: Subject, a: Arm) -> str:
        if a not in peaks[s]:
            return NONE
        behind = left[s][a].median if a in left.get(s, {}) else 0.0
        words = bytes_text(peaks[s][a].median)
        return f"{words} ({bytes_text(behind)} left)" if behind > NOTHING_BYTES else words

    several = len(settings) > 1
    rows = [
        [
            f"`{names[s]}`",
            *([setting] if several else []),
            *(cell(s, Arm(m, setting)) for m in modes),
        ]
        for s in peaks
        for setting in settings
    ]
    columns = ["Workload", *(["Collector"] if several else []), *(f"`{mode}`" for mode in modes)]
    caption = f"Peak, and what was left behind where it is more than {NOTHING_BYTES // KIB} KiB"
    origins = [Origin(s) for s in peaks for _ in settings]
    table = Table(
        caption, columns, rows, 1 + several, origins=origins, data=lambda: _data(peaks, left, names)
    )
    return Section(TITLE, [*blocks, table, Text(_how_sure(peaks, calibrations), "note")])


def _data(peaks: ByCase, left: ByCase, names: Mapping[Subject, str]) -> Columns:
    """A row for each case: its peak and what it left behind, in bytes."""
    cases = [(s, a, e) for s, arms in peaks.items() for a, e in arms.items()]
    behind = [left.get(s, {}).get(a) for s, a, _ in cases]
    return {
        "workload": [names[s] for s, _, _ in cases],
        "mode": [a.mode for _, a, _ in cases],
        "collector": [a.collector for _, a, _ in cases],
        "peak, bytes": [e.median for _, _, e in cases],
        "lowest peak, bytes": [e.low for _, _, e in cases],
        "highest peak, bytes": [e.high for _, _, e in cases],
        "left behind, bytes": [e.median if e else None for e in behind],
        "trials": [e.n for _, _, e in cases],
    }


def _how_sure(peaks: ByCase, calibrations: Calibrations) -> str:
    """What stands behind each peak: how many trials, how far apart, by which error."""
    found = [e for arms in peaks.values() for e in arms.values()]
    spread = max(e.spread for e in found)
    apart = f"lie up to {bytes_text(spread)} apart" if spread else "are all equal"
    error = error_text(calibrations, "traced", "peak_bytes")
    trials = f"{repeats_text(found)} The peaks of one case {apart}."
    return f"{trials} Instrument error: {error}."


def _in_words(records: Sequence[Record]) -> list[str]:
    """What the rungs between do that the answer leaves out, and whether all computed the same."""
    ran = {r.trial.mode for r in records if r.outcome == "ok"}
    effects = {"step17": LETTING_GO, "no_grad": NO_GRAPH}
    said = [effect(records) for mode, effect in effects.items() if {mode, "step18"} <= ran]
    said.append(equal_in_words(records))
    return [" ".join(filter(None, said))]

"""How far to trust the instruments: what each read of truths that are known."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import replace

from experiments.calibration import Calibration, Check
from experiments.report.blocks import TRUTHS, Block, Origin, Section, Table, Text
from experiments.report.wording.accuracy import Calibrations
from experiments.report.wording.words import (
    GAP,
    NONE,
    TIMES,
    counted,
    format_of,
    listed,
    seconds_text,
)
from experiments.trial import CALIBRATION, Record

TITLE = "How far to trust the instruments"
PLACE = "#how-far-to-trust-the-instruments"  # of its section, on the page and in the findings
STAMP = "UNCALIBRATED"
COLUMNS = ("Instrument", "Reads", "a", "b", "Worst error", "Blank", "Bound", "Verdict")
WITHIN, NOT_HERE = "within", "not available here"


def ordinary(records: Iterable[Record]) -> list[Record]:
    """The records without those of known truths."""
    return [record for record in records if record.trial.study != CALIBRATION]


def calibration(calibrations: Calibrations, used: Collection[str]) -> Section:
    """The line through each instrument's readings of known truths, its errors and its bounds.

    used: the instruments that this run's figures come from.
    """
    blocks: list[Block] = [Text(words) for words in in_words(calibrations)]
    if missing := [f"`{name}`" for name in used if name not in calibrations]:
        blocks.append(Text(f"Not calibrated in this run: {listed(missing)}.", "warning"))
    blocks += [Text(words, "warning") for words in failures(calibrations)]
    if calibrations:
        prose = ("Reads", "Verdict")
        of = [Origin(TRUTHS, None, name) for name, c in calibrations.items() for _ in c.checks]
        table = Table(CAPTION, COLUMNS, rows(calibrations), 2, prose=prose, origins=of)
        blocks += [table, _bounds(calibrations)]
    blocks += [Text(words, "note") for words in absences(calibrations)]
    return Section(TITLE, blocks, lead=LEAD, looked_up=True)


LEAD = (
    "Under the same conditions as the trials each instrument was first shown what is known: "
    "nothing at all, so many bytes, so many cycles, so many seconds."
)
CAPTION = f"The line through what was read of known truths: reading = a + b {TIMES} truth"


def rows(calibrations: Calibrations) -> list[list[str]]:
    """A row of texts for each reading that was set beside a truth."""
    return [_row(check) for found in calibrations.values() for check in found.checks]


def _row(check: Check) -> list[str]:
    gate, fit, formatted = check.gate, check.fit, format_of(check.gate.reading)
    figures = [NONE] * 4
    if fit:
        line = [NONE, NONE] if math.isnan(fit.b) else [formatted(_rounded(fit.a)), f"{fit.b:.6f}"]
        blank = NONE if check.blank is None else formatted(check.blank)
        figures = [*line, formatted(fit.worst), blank]
    bound = gate.bound.in_words(gate.reading)
    return [f"`{gate.instrument}`", gate.what, *figures, bound, _verdict(check)]


def _rounded(intercept: float) -> float:
    """A line's intercept without what arithmetic in floating point leaves of an exact nothing."""
    return 0.0 if abs(intercept) < 1e-9 else intercept


def _verdict(check: Check) -> str:
    if check.failures:
        return f"**{STAMP}**"
    return WITHIN if check.fit else NOT_HERE


def in_words(calibrations: Calibrations) -> list[str]:
    """What the figures come to, in sentences."""
    said = []
    if passed := [f"`{name}`" for name, found in calibrations.items() if found.passed]:
        said.append(f"Within their bounds: {listed(passed)}.")
    said += [_seen(name, found) for name, found in calibrations.items() if found.seen]
    return said


def _seen(name: str, found: Calibration) -> str:
    """How many of the peaks that come and go the curve has seen."""
    shares = [f"{share:.0%} of those of {seconds_text(life)}" for life, share in found.seen.items()]
    return f"Of peaks that come and go, the curve of `{name}` saw {listed(shares)}.".replace(
        "%", f"{GAP}%"
    )


def failures(calibrations: Calibrations) -> list[str]:
    """What broke a bound: a sentence for each."""
    return [
        f"**{STAMP}.** {failure}" for found in calibrations.values() for failure in found.failures
    ]


def absences(calibrations: Calibrations) -> list[str]:
    """What could not be calibrated for want of a reading, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, found in calibrations.items():
        for reading, reason in found.unavailable.items():
            reasons.setdefault((name, reason), []).append(f"`{reading}`")
    return [
        f"`{name}`: {listed(readings)} not available here: {reason.rstrip('.')}."
        for (name, reason), readings in reasons.items()
    ]


def _bounds(calibrations: Calibrations) -> Table:
    """Each bound, and why it is where it is."""
    bounds: dict[tuple[str, str], list[str]] = {}
    for found in calibrations.values():
        for check in found.checks:
            bound = check.gate.bound
            key = bound.in_words(check.gate.reading), bound.source
            names = bounds.setdefault(key, [])
            names += [name] if (name := f"`{check.gate.instrument}`") not in names else []
    told = [[words, source, listed(names)] for (words, source), names in bounds.items()]
    columns = ["Bound", "Where it comes from", "Instruments"]
    return Table(
        "The bounds, and where they come from", columns, told, prose=columns[1:], folded=True
    )


# Where an instrument is not to be trusted ---------------------------------------------------------


def doubts(calibrations: Calibrations, instruments: Collection[str]) -> list[str]:
    """Why the figures of these instruments are not to be trusted: nothing where they are."""
    return [
        f"**{STAMP}.** `{name}` broke {_broken(calibrations[name])}."
        for name in instruments
        if name in calibrations and calibrations[name].failures
    ]


def _broken(found: Calibration) -> str:
    """`1 of 5 bounds: peaks`."""
    broken = [check.gate.what for check in found.checks if check.failures]
    return f"{len(broken)} of its {counted(len(found.checks), 'bound')}: {listed(broken)}"


def stamped(section: Section, calibrations: Calibrations, instruments: Collection[str]) -> Section:
    """The section, with a stamp on it and greyed, where an instrument of it is not calibrated."""
    reasons = [
        Text(f"{words} Its figures are greyed; see [{TITLE.lower()}]({PLACE}).", "warning")
        for words in doubts(calibrations, instruments)
    ]
    if not reasons:
        return section
    return replace(section, blocks=[*reasons, *section.blocks], doubted=True)

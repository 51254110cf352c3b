"""A figure as tables have it, with its error, range and number of trials; and as CSV does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from experiments.estimates import Arm, Estimate, of_reading
from experiments.report.blocks import Columns
from experiments.report.wording.absence import why_absent
from experiments.report.wording.accuracy import COLUMN, Calibrations, error_text
from experiments.report.wording.phases import over_phases
from experiments.report.wording.words import NONE, count_text, format_of, range_text
from experiments.trial import Record


class Cells(NamedTuple):
    """The cells of a figure; their titles are COLUMNS."""

    median: str  # where there is no figure: why not
    error: str = NONE
    spread: str = NONE
    n: str = NONE


COLUMNS = ("Median", COLUMN, "Lowest to highest", "Trials")


def cells_of(
    records: Sequence[Record],
    where: Arm,
    instrument: str,
    reading: str,
    calibrations: Calibrations,
) -> Cells:
    """What an instrument read in an arm; with the collector on, also in how many of its phases."""
    found, formatted = of_reading(records, reading).get(where), format_of(reading)
    if found is None:
        return Cells(why_absent(records, where, reading, instrument))
    return Cells(
        formatted(found.median),
        error_text(calibrations, instrument, reading),
        range_text(found, formatted) + over_phases(records, where, instrument),
        count_text(found.n),
    )


def columns_of(drawn: Sequence[tuple[Arm, str, Estimate]], called: str, unit: str) -> Columns:
    """Every estimate with its range, a row each; called: what tells those of one arm apart."""
    return {
        "mode": [a.mode for a, _, _ in drawn],
        "collector": [a.collector for a, _, _ in drawn],
        called: [name for _, name, _ in drawn],
        f"median, {unit}": [e.median for _, _, e in drawn],
        f"lowest, {unit}": [e.low for _, _, e in drawn],
        f"highest, {unit}": [e.high for _, _, e in drawn],
        "trials": [e.n for _, _, e in drawn],
    }

"""How far an instrument's figures are to be trusted, as its calibration in the same run found."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.calibration import Calibration
from experiments.report.wording.words import format_of

Calibrations = Mapping[str, Calibration]  # by instrument

UNCALIBRATED: Calibrations = {}
COLUMN = "Instrument error"
NOT_CALIBRATED = "not calibrated"


def error_of(calibrations: Calibrations, instrument: str, reading: str) -> float | None:
    """The worst error in such a reading, in its unit; None where it was not calibrated."""
    found = calibrations.get(instrument)
    return found.error(reading) if found else None


def error_text(calibrations: Calibrations, instrument: str, reading: str) -> str:
    """The error as a table has it: `0 B`, `± 2.10 KiB`, `not calibrated`."""
    error = error_of(calibrations, instrument, reading)
    if error is None:
        return NOT_CALIBRATED
    return f"± {format_of(reading)(error)}" if error else format_of(reading)(0)

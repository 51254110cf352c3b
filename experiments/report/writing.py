"""Everything that a run's report is, into the run's folder."""

from __future__ import annotations

from pathlib import Path

from experiments.calibration import calibrated
from experiments.report.answers import answers
from experiments.report.calibration import calibration, doubts, ordinary
from experiments.report.findings import findings
from experiments.report.page import page
from experiments.report.reading import read
from experiments.report.sections import sections


def write(folder: Path) -> Path:
    """Write report.html and findings.md from the folder's records; the path of the page."""
    everything = read(folder)
    calibrations = calibrated(everything)
    records = ordinary(everything)
    asked = answers(records)
    doubted = doubts(calibrations, list(calibrations)) if records else []
    told = sections(records, calibrations) if records else []
    if calibrations and not records:
        told = [calibration(calibrations, [])]
    (folder / "findings.md").write_text(findings(asked, told, records, doubted), encoding="utf-8")
    path = folder / "report.html"
    path.write_text(page(asked, told, records, doubted), encoding="utf-8")
    return path

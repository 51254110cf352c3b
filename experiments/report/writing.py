"""Everything that a run's report is, into the run's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from experiments.calibration import calibrated
from experiments.report.answers import answers
from experiments.report.calibration import calibration, doubts, ordinary
from experiments.report.findings import findings
from experiments.report.matrix import matrix, shown
from experiments.report.page import page
from experiments.report.reading import by_environment, read
from experiments.report.sections import sections


def write(folder: Path) -> Path:
    """Write report.html and findings.md from the folder's records; the path of the page.

    Of several environments in the folder one is shown whole, and all of them beside each other.
    """
    environments = by_environment(read(folder))
    everything = shown(environments)
    calibrations = calibrated(everything)
    records = ordinary(everything)
    everywhere = [record for found in environments for record in ordinary(found)]
    asked = answers(records, everywhere, calibrations)
    doubted = doubts(calibrations, list(calibrations)) if records else []
    told = sections(records, calibrations) if records else []
    if calibrations and not records:
        told = [calibration(calibrations, [])]
    if len(environments) > 1:
        told = [matrix(environments), *told]
    path = folder / "report.html"
    _put(
        {
            folder / "findings.md": findings(asked, told, records, doubted),
            path: page(asked, told, records, doubted),
        }
    )
    return path


def _put(texts: Mapping[Path, str]) -> None:
    """Write files whole and together: where one cannot be, those that were there stay."""
    drafts = {path: path.with_name(f".{path.name}.draft") for path in texts}
    try:
        for path, draft in drafts.items():
            draft.write_text(texts[path], encoding="utf-8")
        for path, draft in drafts.items():
            os.replace(draft, path)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)

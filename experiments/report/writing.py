"""Everything that a run's report is, into the run's folder."""

from __future__ import annotations

from pathlib import Path

from experiments.report.answers import answers
from experiments.report.findings import findings
from experiments.report.page import page
from experiments.report.reading import read
from experiments.report.sections import SECTIONS


def write(folder: Path) -> Path:
    """Write report.html and findings.md from the folder's records; the path of the page."""
    records = read(folder)
    asked = answers(records)
    sections = [section(records) for section in SECTIONS] if records else []
    (folder / "findings.md").write_text(findings(asked, sections, records), encoding="utf-8")
    path = folder / "report.html"
    path.write_text(page(asked, sections, records), encoding="utf-8")
    return path

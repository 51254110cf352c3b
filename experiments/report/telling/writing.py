"""Everything that a run's report is, into the run's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from experiments.report.story import story
from experiments.report.telling.findings import findings
from experiments.report.telling.page import page


def write(folder: Path) -> Path:
    """Write report.html and findings.md from the folder's records; the path of the page."""
    told = story(folder)
    path = folder / "report.html"
    _put({folder / "findings.md": findings(told), path: page(told)})
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

"""The report of a run: a page to look at and findings to read, made from the records alone.

reading    records.jsonl -> records, in the report's order
blocks     what sections are made of
wording/   how figures are put into words; each study's question and its answer
charts/    how figures are drawn
sections/  records -> sections, each of blocks: text, tables, charts
story      a run's folder -> answers and sections
telling/   the story -> report.html, findings.md, text for a terminal, what a notebook shows
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.report.telling.terminal import summary, trust

if TYPE_CHECKING:
    from rich.console import RenderableType

    from experiments.report.telling.notebook import Shown

__all__ = ["show", "summary", "text", "trust", "write"]


def write(folder: Path) -> Path:
    """Write the folder's report.html and findings.md from its records; the path of the page.

    Raises FileNotFoundError where the folder holds no run, and ValueError, naming file, line and
    field, where a line of its records is none.
    """
    from experiments.report.telling import writing  # the charts' library takes a second to import

    return writing.write(Path(folder))


def text(folder: Path) -> list[RenderableType]:
    """The same story as the page's, as text: to be printed by rich, one after the other.

    Raises what `write` does.
    """
    from experiments.report.story import story
    from experiments.report.telling.text import told

    return list(told(story(Path(folder))))


def show(
    folder: str | Path,
    workload: str | None = None,
    section: str | None = None,
    *,
    height: int = 640,
) -> Shown:
    """The report of a run inline in a notebook; of one workload, or one section by its title.

    height: of the frame that it is shown in, in pixels.

    Raises what `write` does, and ValueError, naming what there is, for any other workload or
    section.
    """
    from experiments.report.story import story
    from experiments.report.telling.notebook import Shown, part

    told = story(Path(folder), workload)
    return Shown(part(told, section) if section else told, height)

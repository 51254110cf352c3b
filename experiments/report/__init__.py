"""The report of a run: a page to look at and findings to read, made from the records alone.

reading   records.jsonl -> records, in the report's order
answers   records -> each study's question and its answer
sections  records -> sections, each of blocks: text, tables, charts
page      answers and sections -> report.html
findings  answers and sections -> findings.md
terminal  records -> the table at the end of a run
"""

from __future__ import annotations

from pathlib import Path

from experiments.report.terminal import summary, trust

__all__ = ["summary", "trust", "write"]


def write(folder: Path) -> Path:
    """Write the folder's report.html and findings.md from its records; the path of the page.

    Raises FileNotFoundError where the folder holds no run, and ValueError, naming file, line and
    field, where a line of its records is none.
    """
    from experiments.report import writing  # the charts' library takes a second to import

    return writing.write(Path(folder))

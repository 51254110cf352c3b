"""What is copied from the page: the figures of a chart or of a table as CSV (RFC 4180)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from itertools import zip_longest

from experiments.report.blocks import Chart, Columns, Table
from experiments.report.wording.words import GAP, MINUS, NBSP, NONE


def csv_of(block: Chart | Table) -> str:
    """The figures behind a block: its data, or else its table's; nothing where it has neither."""
    if block.data:
        return csv_text(block.data())
    if isinstance(block, Chart):
        return csv_of(block.table) if block.table else ""
    rows = [[plainly(cell) for cell in row] for row in block.rows]
    return _written([[plainly(name) for name in block.columns], *rows])


def csv_text(columns: Columns) -> str:
    """Columns under their names; a column that is shorter than others ends in empty fields."""
    return _written([columns, *zip_longest(*columns.values())])


def _written(rows: Iterable[Iterable[object]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)  # lines end as RFC 4180 has it
    return out.getvalue()


def plainly(words: str) -> str:
    """A cell as programs read it: no marks, no narrow spaces, empty where there is no figure."""
    if words == NONE:
        return ""
    text = unmarked(words)
    text = re.sub(rf"(?<=\d){GAP}(?=\d)", "", text).replace(MINUS, "-")
    return text.replace(GAP, " ").replace(NBSP, " ").strip()


def unmarked(words: str) -> str:
    """Words without the marks of code, of emphasis and of links."""
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", words).replace("`", "").replace("**", "")

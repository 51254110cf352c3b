"""What tests of reports share: the page and its elements, the parts of a section, its words."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

from rich.console import Console

from experiments.report import summary, write
from experiments.report.blocks import Block, Chart, Section, Table, Text
from experiments.report.wording import words
from experiments.trial import Record


class Page(HTMLParser):
    """The elements of a page, and the text that a reader sees."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = 0
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        self.text += "" if self._hidden else data

    def count(self, tag: str, **wanted: str) -> int:
        wanted = {name.rstrip("_"): value for name, value in wanted.items()}
        return sum(t == tag and wanted.items() <= a.items() for t, a in self.elements)


def saved(folder: Path, records: Sequence[Record]) -> Path:
    lines = "".join(record.to_line() for record in records)
    (folder / "records.jsonl").write_text(lines, encoding="utf-8")
    return folder


def page_of(folder: Path, records: Sequence[Record]) -> Page:
    return Page(write(saved(folder, records)).read_text(encoding="utf-8"))


def blocks_of(section: Section) -> Iterator[Block]:
    for block in section.blocks:
        yield block
        if isinstance(block, Section):
            yield from blocks_of(block)


def text_of(section: Section) -> str:
    return " ".join([section.lead, *(b.words for b in blocks_of(section) if isinstance(b, Text))])


def only_table(section: Section) -> Table:
    [table] = [
        found
        for b in section.blocks
        if (found := b.table if isinstance(b, Chart) else b if isinstance(b, Table) else None)
    ]
    return table


def normal(text: str) -> str:
    """The text with plain spaces."""
    return text.replace(words.GAP, " ").replace(words.NBSP, " ")


def rendered(records: Sequence[Record], width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(summary(records))
    return out.getvalue()

"""The story as text: what a terminal shows, and what can be piped on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table as Grid
from rich.text import Text as Words

from experiments.report.blocks import Block, Chart, Picture, Section, Table, Text, Verbatim
from experiments.report.copying import unmarked
from experiments.report.story import Story
from experiments.report.words import NO_RECORDS, tally

STYLES = {"plain": "", "note": "dim", "good": "green", "warning": "yellow"}
HEADS = {2: "bold underline", 3: "bold", 4: "bold dim"}
GAP = 2  # between two columns
PAGE = "report.html"


def told(story: Story) -> Iterator[RenderableType]:
    """The same story as the page's, with a table in place of each chart, and no other detail."""
    if not story.records:
        yield _Paragraph(NO_RECORDS)
    for answer in story.asked:
        yield Words(answer.question, style="bold")
        yield Words()
        for n, sentence in enumerate(answer.sentences, 1):
            yield _Paragraph(sentence, lead=f"{n}. ")
        yield Words()
    for doubt in story.doubted:
        yield _Paragraph(doubt, "warning")
    if story.records:
        yield _Paragraph(f"{tally(story.records)} The pictures are in `{PAGE}`.")
    for section in story.sections:
        yield from _section(section, 2)


def _section(section: Section, level: int) -> Iterator[RenderableType]:
    yield Words()
    if section.folded:
        yield _Paragraph(f"{section.title}: in `{PAGE}`.", "note")
        return
    yield Words(section.title, style=HEADS.get(level, "bold dim"))
    if section.lead:
        yield _Paragraph(section.lead)
    for block in section.blocks:
        yield from _block(block, level)


def _block(block: Block, level: int) -> Iterator[RenderableType]:
    match block:
        case Section():
            yield from _section(block, level + 1)
        case Text(words, tone):
            yield _Paragraph(words, tone)
        case Table(caption=caption, folded=True) | Verbatim(caption=caption):
            yield _Paragraph(f"{caption}: in `{PAGE}`.", "note")
        case Table():
            yield _Rows(block)
        case Chart(says=says, table=table) | Picture(says=says, table=table) if table:
            yield _Paragraph(says)
            yield _Rows(table)


@dataclass(frozen=True)
class _Paragraph:
    """Words from margin to margin; further lines stand under the first one's, past its lead."""

    words: str
    tone: str = "plain"
    lead: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        words = Words(unmarked(self.words), style=STYLES[self.tone])
        lead = self.lead
        for line in words.wrap(console, max(options.max_width - cell_len(lead), 1)):
            line.rstrip()
            yield Words.assemble(lead, line)
            lead = " " * cell_len(lead)


class _Rows:
    """A table as wide as it needs to be; where that is too wide, a row is told in lines.

    What is the same in every row is said once, before them.
    """

    def __init__(self, table: Table) -> None:
        self.caption = unmarked(table.caption)
        self.headings = table.headings
        rows = [[unmarked(cell) for cell in row] for row in table.rows]
        columns = list(zip(map(unmarked, table.columns), *rows, strict=True))
        shared = [
            n
            for n, (_, *cells) in enumerate(columns)
            if n >= self.headings and len(cells) > 1 and len(set(cells)) == 1
        ]
        self.shared = [columns[n][:2] for n in shared]
        self.columns = [column for n, column in enumerate(columns) if n not in shared]
        self.prose = set(map(unmarked, table.prose))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Words()
        yield Words(self.caption, style="italic")
        rows = [[column[n] for column in self.columns] for n in range(1, len(self.columns[0]))]
        if not rows:
            yield Words("Nothing.")
        if self.shared:
            yield _Paragraph(f"In every row: {_said(self.shared)}.")
        if sum(map(_width, self.columns)) + GAP * (len(self.columns) - 1) <= options.max_width:
            yield self._grid(rows)
        else:
            yield from self._lines(rows)

    def _grid(self, rows: Sequence[Sequence[str]]) -> Grid:
        grid = Grid(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for n, (name, *_) in enumerate(self.columns):
            left = n < self.headings or name in self.prose
            grid.add_column(name, justify="left" if left else "right", no_wrap=True)
        for n, row in enumerate(rows):
            again = n and self.headings > 1 and row[0] == rows[n - 1][0]
            grid.add_row(*map(Words, ["" if again else row[0], *row[1:]]))
        return grid

    def _lines(self, rows: Sequence[Sequence[str]]) -> Iterator[RenderableType]:
        names = [name for name, *_ in self.columns[self.headings :]]
        for row in rows:
            yield Words(", ".join(filter(None, row[: self.headings])), style="bold")
            said = zip(names, row[self.headings :], strict=True)
            yield _Paragraph(_said(said), lead="  ")


def _said(figures: Iterable[Sequence[str]]) -> str:
    return "; ".join(f"{name}: {cell}" for name, cell in figures)


def _width(column: Sequence[str]) -> int:
    return max(map(cell_len, column))

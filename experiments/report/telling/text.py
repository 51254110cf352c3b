"""The story as text: what a terminal shows, and what can be piped on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table as Grid
from rich.text import Text as Words

from experiments.report.blocks import Block, Chart, Picture, Section, Table, Text, Verbatim
from experiments.report.story import Story
from experiments.report.telling.copying import unmarked
from experiments.report.wording.words import NO_RECORDS, tally

STYLES = {"plain": "", "note": "dim", "good": "green", "warning": "yellow"}
HEADS = {2: "bold underline", 3: "bold", 4: "bold dim"}
SENTENCE = re.compile(r"(?<=\.) (?=[A-Z])")
GAP = 2  # between two columns
ELSEWHERE = (
    "Left out here: the tables behind the charts and those to look things up in, which are in "
    "`findings.md`; the charts themselves, the lines of code and the records of each case, which "
    "are in `report.html`. `experiments report` with the run's name writes both."
)


def told(story: Story) -> Iterator[RenderableType]:
    """The same story as the page's, with its words in place of each chart, and no detail."""
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
        yield _Paragraph(tally(story.records))
    yield from _sections(story.sections, 2, said=set())
    if story.sections:
        yield Words()
        yield _Paragraph(ELSEWHERE, "note")


def _sections(sections: Iterable[Section], level: int, said: set[str]) -> Iterator[RenderableType]:
    """Sections that have something to tell; what explains them in each workload is said once."""
    for section in sections:
        blocks = [block for block in section.blocks if _is_told(block, section)]
        if section.folded or not blocks:
            continue
        yield Words()
        yield Words(section.title, style=HEADS.get(level, "bold dim"))
        sentences = [s for s in SENTENCE.split(section.lead) if s and s not in said]
        if sentences:
            yield _Paragraph(" ".join(sentences))
        said.update(sentences)
        for block in blocks:
            if isinstance(block, Section):
                yield from _sections([block], level + 1, said)
            else:
                yield from _block(block)


def _is_told(block: Block, within: Section) -> bool:
    match block:
        case Table(folded=folded):
            return not (folded or within.looked_up)
        case Chart(a_key=a_key):
            return not a_key
        case Verbatim():
            return False
    return True


def _block(block: Text | Table | Verbatim | Chart | Picture) -> Iterator[RenderableType]:
    match block:
        case Text(words, tone):
            yield _Paragraph(words, tone)
        case Table():
            yield _Rows(block)
        case Chart(says=says) | Picture(says=says):
            yield _Paragraph(says)


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

"""The findings as Markdown, for people who read in a terminal or on a code host."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.report.blocks import Block, Chart, Picture, Section, Table, Text, Verbatim
from experiments.report.story import Story
from experiments.report.wording.words import NO_RECORDS, tally

SIGNS = {"plain": "", "note": "> ", "good": "", "warning": "> **Note.** "}


def findings(told: Story) -> str:
    """The same story as the page's, with a table in place of each chart, and no other detail."""
    parts = [
        "# Memory modes compared"
        + (f": {', '.join(a.study for a in told.asked)}" if told.asked else "")
    ]
    if not told.records:
        parts.append(NO_RECORDS)
    for answer in told.asked:
        parts.append(f"**Question.** {answer.question}")
        parts.append(
            "**Answer.**\n\n" + "\n".join(f"{n}. {s}" for n, s in enumerate(answer.sentences, 1))
        )
    parts += [SIGNS["warning"] + words for words in told.doubted]
    if told.records:
        where = "The pictures are in `report.html`, the figures in `records.jsonl`."
        parts.append(f"{tally(told.records)} {where}")
    for section in told.sections:
        parts += _section(section, 2)
    return "\n\n".join(parts) + "\n"


def _section(section: Section, level: int) -> Iterator[str]:
    if section.folded:
        yield f"*{section.title}: in `report.html`.*"
        return
    yield f"{'#' * level} {section.title}"
    if section.lead:
        yield section.lead
    for block in section.blocks:
        yield from _block(block, level)


def _block(block: Block, level: int) -> Iterator[str]:
    match block:
        case Text(words, tone):
            yield SIGNS[tone] + words
        case Table(caption=caption, folded=True):
            yield f"*{caption}: in `report.html`.*"
        case Table():
            yield _table(block)
        case Verbatim(caption, lines):
            yield f"*{caption}*\n\n````text\n{lines}\n````"
        case Chart(says=says, table=table) | Picture(says=says, table=table) if table:
            yield says
            yield _table(table)
        case Section():
            yield from _section(block, level + 1)


def _table(table: Table) -> str:
    if not table.rows:
        return f"*{table.caption}: nothing.*"
    marks = [
        ":--" if n < table.headings or name in table.prose else "--:"
        for n, name in enumerate(table.columns)
    ]
    rows = [table.columns, marks, *table.rows]
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return f"*{table.caption}*\n\n" + "\n".join(lines)


def _cell(text: str) -> str:
    """A cell on one line, its bars kept from ending it."""
    return " ".join(text.split()).replace("|", "\\|")

"""What a section is made of. The page and the findings each draw it in their own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # it takes a second to import
    from bokeh.plotting import figure

Tone = Literal["plain", "note", "good", "warning"]


@dataclass(frozen=True)
class Text:
    """A paragraph; what stands between backquotes is code."""

    words: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Table:
    """Rows of texts under column names. The first `headings` cells of a row say what the row is."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    headings: int = 1
    prose: Sequence[str] = ()  # columns of words, set to the left; the others hold figures
    folded: bool = False  # whether a reader opens it first: it stands behind a chart


@dataclass(frozen=True)
class Verbatim:
    """Lines as a program printed them, folded."""

    caption: str
    lines: str


@dataclass(frozen=True)
class Chart:
    """A picture, what there is to see on it, and the table that says the same."""

    title: str  # for those who do not see it
    says: str
    draw: Callable[[], figure]  # called only by the page: other readers take the table
    table: Table | None = None  # None where an earlier chart's table holds its figures, too


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]
    lead: str = ""  # a line under the title
    listed: bool = False  # whether its sections are in the list of contents
    doubted: bool = False  # whether its figures are of an instrument that broke its bounds


Block = Text | Table | Verbatim | Chart | Section

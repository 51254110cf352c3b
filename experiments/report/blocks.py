"""What a section is made of. The page, the findings and the terminal each draw it their own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from experiments.estimates import Arm, Subject

if TYPE_CHECKING:  # it takes a second to import
    from bokeh.models import LayoutDOM

Tone = Literal["plain", "note", "good", "warning"]

# What is copied as CSV: columns under names that end in their unit (`peak, bytes`), of numbers as
# they were read. A value of None is an empty field.
Columns = Mapping[str, Sequence[object]]


@dataclass(frozen=True)
class Origin:
    """The case that figures come from; the page leads from them to the lines of its records.

    An arm or an instrument of None stands for all of them.
    """

    subject: Subject
    arm: Arm | None = None
    instrument: str | None = None


# In place of a workload: the records that the instruments were calibrated with.
TRUTHS = Subject("known truths")


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
    origins: Sequence[Origin | None] = ()  # where the figures come from, one for each row, or none
    places: Sequence[Origin] = ()  # the case that a row is the place of: others lead to it
    data: Callable[[], Columns] | None = None  # its figures for CSV; without it its texts are taken


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
    draw: Callable[[], LayoutDOM]  # called only by the page: other readers take the table
    table: Table | None = None  # None where an earlier chart's table holds its figures, too
    data: Callable[[], Columns] | None = None  # what it is drawn from, for CSV; else its table's
    a_key: bool = False  # whether what it says is how to read the drawing, and nothing without it


@dataclass(frozen=True)
class Picture:
    """A drawing made elsewhere (a graph), what there is to see on it, and its table.

    svg gives an `<svg>` element that may stand within a page: coloured by the page's variables,
    its ids told from those of all other pictures. Called only by the page.
    """

    title: str
    says: str
    svg: Callable[[], str]
    table: Table | None = None


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]
    lead: str = ""  # a line under the title
    listed: bool = False  # whether its sections are in the list of contents
    doubted: bool = False  # whether its figures are of an instrument that broke its bounds
    folded: bool = False  # whether a reader opens it first: it is detail
    looked_up: bool = False  # whether its tables are to look things up in, and not to be read
    place: Origin | None = None  # the workload that it is the place of: others lead to it


Block = Text | Table | Verbatim | Chart | Picture | Section


def not_measured(title: str, instrument: str) -> Section:
    """The section where an instrument was never tried."""
    words = f"Not measured: this run has no `{instrument}` trial of it."
    return Section(title, [Text(words, "note")])

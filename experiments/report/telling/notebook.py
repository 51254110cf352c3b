"""The report of a run, or a part of it, inline in a notebook."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape

from rich.console import Console

from experiments.report.blocks import Section
from experiments.report.story import Story
from experiments.report.telling.page import page
from experiments.report.telling.text import told

WIDTH = 100  # of the text, where nothing shows HTML


@dataclass(frozen=True)
class Shown:
    """What a notebook draws: the page in a frame, so that its styles and scripts are its own."""

    story: Story
    height: int = 640  # pixels

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(page(self.story))}" title="Memory modes compared" '
            'sandbox="allow-scripts allow-modals" allow="clipboard-write" '
            f'style="width: 100%; height: {self.height}px; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        out = io.StringIO()
        Console(file=out, width=WIDTH).print(*told(self.story), sep="\n")
        return out.getvalue()


def part(story: Story, title: str) -> Story:
    """The sections of that title alone, wherever they stand.

    Raises ValueError, naming the titles that there are, where none has it.
    """
    found = [section for section in _all(story.sections) if section.title == title]
    if not found:
        titles = ", ".join(dict.fromkeys(section.title for section in _all(story.sections)))
        raise ValueError(f"section: {title!r} is none of this report; it has {titles}")
    opened = [replace(section, folded=False) for section in found]
    return replace(story, asked=(), sections=opened)


def _all(sections: Sequence[Section]) -> Iterator[Section]:
    for section in sections:
        yield section
        yield from _all([block for block in section.blocks if isinstance(block, Section)])

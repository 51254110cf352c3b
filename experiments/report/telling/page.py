"""The page: one HTML file that holds all it needs and asks no network for anything.

What only its scripts read (what charts are drawn from, what is copied as CSV) is on it deflated:
it is four fifths of the page otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Sequence

from bokeh.embed import json_item
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from experiments.refgraph.rendering import STYLE as PICTURES
from experiments.report.blocks import Block, Chart, Origin, Picture, Section, Table
from experiments.report.story import Story
from experiments.report.telling.copying import csv_of
from experiments.report.wording.words import NO_RECORDS, NONE, tally

STYLES = ("page.css",)
SCRIPTS = ("page.js", "drawing.js")
COUNTED = "Trials"  # the column whose cells lead to the records, where a table has it


def page(told: Story) -> str:
    """The report as HTML."""
    environment = Environment(
        loader=PackageLoader("experiments.report.telling", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    places = set(_places(told.sections))
    environment.filters |= {
        "marked": marked,
        "anchor": anchor,
        "drawn": drawn,
        "copied": copied,
        "kind": _kind,
        "place": place,
        "leads": lambda table: _leads(table, places),
    }
    loader = environment.loader
    assert isinstance(loader, PackageLoader)

    def sources(names: Sequence[str]) -> Markup:
        return Markup("\n".join(loader.get_source(environment, name)[0] for name in names))

    return environment.get_template("page.html").render(
        asked=told.asked,
        doubted=told.doubted,
        sections=told.sections,
        tally=tally(told.records),
        nothing="" if told.records else NO_RECORDS,
        failed=sum(r.outcome != "ok" for r in told.records),
        counted=COUNTED,
        none=NONE,
        style=Markup("\n".join([sources(STYLES), PICTURES.read_text(encoding="utf-8")])),
        script=sources(SCRIPTS),
        bokeh=[Markup(part) for part in Resources(mode="inline", components=["bokeh"]).js_raw],
    )


def marked(words: str) -> Markup:
    """Text as HTML: `code`, **strong**, and [words](path) as a link to a file or a place."""
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(words)))
    safe = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe)
    link = r"\[([^\]]+)\]\((\w[\w./-]*\.html|#[\w-]+)\)"
    return Markup(re.sub(link, r'<a href="\2">\1</a>', safe))


def anchor(title: str, within: str = "") -> str:
    """A place on the page to link to."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return f"{within}-{name}" if within else name


def drawn(chart: Chart) -> dict[str, object]:
    """What Bokeh's script draws the chart from, and how high it will be."""
    figure = chart.draw()
    # Bokeh needs the order of what it has written.
    item = json.dumps(json_item(figure), separators=(",", ":"))
    return {"packed": packed(item), "height": figure.height or figure.min_height}


def copied(block: Chart | Table) -> str:
    """What a reader copies of the block's figures, packed; nothing where it has none."""
    text = csv_of(block)
    return packed(text) if text else ""


def packed(text: str) -> str:
    """A text that the page's script unpacks."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


# Where figures come from --------------------------------------------------------------------------


def place(origin: Origin) -> str:
    """The place on the page of a case's records, the same in every report of the run."""
    told = repr((origin.subject.workload, origin.subject.parameters, origin.arm, origin.instrument))
    return f"records-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _places(blocks: Sequence[Block]) -> Iterator[str]:
    """Every place of records on the page."""
    for block in blocks:
        if isinstance(block, Section):
            if block.place:
                yield place(block.place)
            yield from _places(block.blocks)
        elif isinstance(block, Table):
            yield from map(place, block.places)
        elif isinstance(block, Chart | Picture) and block.table:
            yield from _places([block.table])


def _leads(table: Table, places: set[str]) -> list[str]:
    """The place of each row's records: its case's, or its workload's where it is of several."""
    return [_lead(origin, places) if origin else "" for origin in table.origins]


def _lead(origin: Origin, places: set[str]) -> str:
    wanted = (place(origin), place(Origin(origin.subject)))
    return next((found for found in wanted if found in places), "")


def _kind(block: object) -> str:
    return type(block).__name__

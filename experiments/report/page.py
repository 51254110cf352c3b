"""The page: one HTML file that holds all it needs and asks no network for anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bokeh.embed import json_item
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from experiments.report.answers import Answer
from experiments.report.blocks import Chart, Section
from experiments.report.words import NO_RECORDS, tally
from experiments.trial import Record


def page(
    asked: Sequence[Answer],
    sections: Sequence[Section],
    records: Sequence[Record],
    doubted: Sequence[str] = (),
) -> str:
    """The report as HTML; `doubted` says of which instruments the figures are in doubt."""
    environment = Environment(
        loader=PackageLoader("experiments.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"marked": marked, "anchor": anchor, "drawn": drawn, "kind": _kind}
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # Bokeh needs its order
    source = environment.loader.get_source  # type: ignore[union-attr]
    return environment.get_template("page.html").render(
        asked=asked,
        doubted=doubted,
        sections=sections,
        tally=tally(records),
        nothing="" if records else NO_RECORDS,
        failed=sum(r.outcome != "ok" for r in records),
        style=Markup(source(environment, "page.css")[0]),
        script=Markup(source(environment, "page.js")[0]),
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


def drawn(chart: Chart) -> dict[str, Any]:
    """The chart as the data that Bokeh's script draws it from."""
    return dict(json_item(chart.draw()))


def _kind(block: object) -> str:
    return type(block).__name__

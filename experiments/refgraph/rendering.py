"""A reference graph as a picture: DOT text, and what Graphviz makes of it.

No system package is needed: graphviz-pure is Graphviz as one program, which comes as a wheel.
Graphviz's own `dot` is used where that is missing.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from xml.etree import ElementTree

from experiments.refgraph import drawing, folding
from experiments.refgraph.drawing import FATES, PALETTE, amount, counted
from experiments.refgraph.model import Graph, Node

ENDINGS = ("html", "svg", "png", "dot", "json")
MOST_EDGES = 2500  # more take Graphviz minutes, and nobody reads them
STYLE = Path(__file__).with_name("graph.css")
_SVG = "{http://www.w3.org/2000/svg}"


class NotDrawn(RuntimeError):
    """There is no picture, and why, and what to do about it."""


def dot(graph: Graph) -> str:
    """The graph in the DOT language, runs of like units folded; any Graphviz draws it."""
    return drawing.dot(folding.closed(graph, folding.folds(graph)))


def svg(graph: Graph, *, prefix: str = "", timeout: float = 20.0) -> str:
    """The graph as an `<svg>` element, to be put into a page that has the style of `graph.css`.

    prefix: begins every id in it, so that several can stand on one page.
    timeout: seconds that Graphviz may take.
    Raises NotDrawn where there is no program that draws, or the graph is too much for it.
    """
    return svg_as_is(folding.closed(graph, folding.folds(graph)), prefix, timeout)


def svg_as_is(graph: Graph, prefix: str = "", timeout: float = 20.0) -> str:
    """As `svg`, but nothing is folded that was not before."""
    drawn = _graphviz(graph, drawing.dot(graph, prefix), "svg", timeout)
    return _element(drawn.decode(), graph, prefix)


def png(graph: Graph, *, scale: float = 2.0, timeout: float = 20.0) -> bytes:
    """The graph as a picture in pixels; at scale 1 its text is as large as on a page.

    Raises NotDrawn as `svg` does.
    """
    folded = folding.closed(graph, folding.folds(graph))
    options = [f"-Gdpi={72 * scale:g}", "-Gbgcolor=white"]
    return _graphviz(folded, drawing.dot(folded), "png", timeout, options)


def save(graph: Graph, path: Path) -> Path:
    """Write a graph as what the path's ending says. Raises ValueError for another ending."""
    ending = path.suffix.removeprefix(".").lower()
    if ending not in ENDINGS:
        raise ValueError(
            f"{path.name!r} does not say what to write: it has to end in one of "
            + ", ".join(f".{name}" for name in ENDINGS)
        )
    path.write_bytes(_written(graph, ending))
    return path


def _written(graph: Graph, ending: str) -> bytes:
    if ending == "png":
        return png(graph)
    if ending == "html":
        from experiments.refgraph.inspector import page  # which draws with this module

        return page(graph).encode()
    if ending == "json":
        return (json.dumps(graph.to_json(), indent=1) + "\n").encode()
    return (dot(graph) if ending == "dot" else alone(graph)).encode()


def alone(graph: Graph) -> str:
    """The graph as an SVG file, which brings its style with it."""
    opening, closing = svg(graph).split(">", 1)
    return f"{opening}><style>{STYLE.read_text(encoding='utf-8')}</style>{closing}\n"


def shown(graph: Graph) -> str:
    """The graph as a notebook shows it: the picture, or why there is none and the references."""
    try:
        picture = alone(graph)
    except NotDrawn as why:
        return f"<p>{escape(str(why))}</p>{_table(graph)}"
    notes = "".join(f"<p>{escape(note)}</p>" for note in graph.notes)
    return f'<div style="overflow-x:auto">{picture}</div>{notes}'


def _table(graph: Graph, most: int = 200) -> str:
    rows = [
        f"<tr><td>{escape(e.source)}</td><td>{'weak ' * e.weak}{escape(e.label)}</td>"
        f"<td>{escape(e.target)}</td></tr>"
        for e in graph.edges[:most]
    ]
    left = len(graph.edges) - len(rows)
    more = f"<tr><td colspan=3>and {left:,} more</td></tr>" if left else ""
    head = "<tr><th>holder</th><th>reference</th><th>held</th></tr>"
    table = f"<table>{head}{''.join(rows)}{more}</table>"
    return f"<details><summary>The references</summary>{table}</details>"


# Graphviz -----------------------------------------------------------------------------------------


def programs() -> list[str]:
    """The programs that can draw, the best first."""
    beside = Path(sys.executable).parent
    found = [shutil.which("graphviz-pure", path=str(beside)), shutil.which("graphviz-pure")]
    return list(dict.fromkeys(p for p in (*found, shutil.which("dot")) if p))


def _graphviz(
    graph: Graph, text: str, form: str, timeout: float, options: Sequence[str] = ()
) -> bytes:
    """What the first program that works makes of DOT text."""
    size = f"{counted(len(graph.nodes), 'object')} and {counted(len(graph.edges), 'reference')}"
    if len(graph.edges) > MOST_EDGES:
        raise NotDrawn(
            f"Not drawn: {size}, and a picture has {MOST_EDGES:,} references at most. {_INSTEAD}"
        )
    said = []
    for program in programs():
        command = [program, f"-T{form}", *options]
        try:
            done = subprocess.run(
                command, input=text.encode(), capture_output=True, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise NotDrawn(
                f"Not drawn: Graphviz was not done with {size} in {timeout:g} seconds. {_INSTEAD}"
            ) from None
        except OSError as why:
            said.append(f"{program}: {why}")
            continue
        if done.returncode == 0 and done.stdout:
            return done.stdout
        said.append(f"{program}: {done.stderr.decode(errors='replace').strip()[-300:]}")
    if said:
        raise NotDrawn(f"Not drawn: no Graphviz could draw {size}. " + "; ".join(said))
    raise NotDrawn(
        f"Not drawn ({size}): no Graphviz was found. `pip install graphviz-pure` brings one; any "
        "`dot` on PATH will do. As dot or json the graph can be saved without it."
    )


_INSTEAD = (
    "Show fewer objects (most=, --most), only the computation (--computation), or save it as json "
    "or dot and look there."
)


# The element --------------------------------------------------------------------------------------


def _element(text: str, graph: Graph, prefix: str) -> str:
    """Graphviz's SVG as an element of a page: with classes, colours that a page can set, titles."""
    text = re.sub(r"<!--.*?-->|<!DOCTYPE.*?>|<\?xml.*?\?>", "", text, flags=re.DOTALL)
    root = ElementTree.fromstring(text.strip())
    title = ElementTree.Element("title")
    title.text = described(graph)
    said = _said(graph, prefix)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        _let_be_coloured(element)
        if element.tag == "g" and (name := element.find(f"{_SVG}title")) is not None:
            if element.get("id") in said:
                name.text = said[element.get("id", "")]
            else:
                element.remove(name)
                element.set("id", prefix + element.get("id", ""))
    _raise_labels(root)
    left, top, width, height = (float(x) for x in root.attrib["viewBox"].split())
    root.attrib = {
        "xmlns": "http://www.w3.org/2000/svg",
        "class": "refgraph",
        "role": "img",
        "aria-label": title.text,
        "width": f"{width:.0f}",
        "height": f"{height:.0f}",
        "style": f"--rg-width: {width:.0f}px",  # as drawn: text is then as large as on a page
        "viewBox": f"{left:g} {top:g} {width:g} {height:g}",
    }
    return re.sub(r"\n+", "\n", ElementTree.tostring(root, encoding="unicode"))


def _raise_labels(root: ElementTree.Element) -> None:
    """Write what a cycle is called over the lines that cross it."""
    drawing_area = root.find("g")
    assert drawing_area is not None
    labels = ElementTree.SubElement(drawing_area, "g", {"class": "labels"})
    for cluster in drawing_area.findall("g"):
        if "cluster" in cluster.get("class", "").split():
            for text in cluster.findall("text"):
                cluster.remove(text)
                labels.append(text)


def _let_be_coloured(element: ElementTree.Element) -> None:
    """Give an element a class for each colour of the palette that it has."""
    classes = [
        f"{letter}-{name}"
        for letter, attribute in (("f", "fill"), ("s", "stroke"))
        for name, colour in PALETTE.items()
        if element.get(attribute) == colour
    ]
    if classes:
        element.set("class", " ".join([*element.get("class", "").split(), *classes]))
    for useless in ("font-family", "{http://www.w3.org/XML/1998/namespace}space"):
        element.attrib.pop(useless, None)


def _said(graph: Graph, prefix: str) -> dict[str, str]:
    """What a mouse at rest is told of each object and reference, by their ids in the picture."""
    nodes = {node.id: node for node in graph.nodes}
    told = {f"{prefix}n{i}": " · ".join(_facts(node)) for i, node in enumerate(graph.nodes)}
    for i, edge in enumerate(graph.edges):
        source, target = nodes[edge.source], nodes[edge.target]
        told[f"{prefix}e{i}"] = f"{source.id} {edge.label}{' (weak)' * edge.weak} → {target.id}" + (
            f" · in memory {edge.place}" if edge.place else ""
        )
    return told


def _facts(node: Node) -> Iterator[str]:
    yield node.title if node.kind == "fold" else node.id
    if node.detail:
        yield node.detail.replace("\n", ", ")
    if node.bytes:
        yield amount(node.bytes)
    if node.kind != "name":
        yield FATES[node.fate].said
    if node.only:
        yield f"only {node.only}"


def described(graph: Graph) -> str:
    """A graph in one line, for who does not see it."""
    numbers = {n.cycle for n in graph.nodes} - {None}
    objects = sum(n.kind != "name" for n in graph.nodes)
    folded = any(n.kind == "fold" for n in graph.nodes)
    parts = [
        f"{objects:,} boxes" if folded else counted(objects, "object"),
        counted(len(graph.edges), "reference"),
        *([counted(len(numbers), "cycle")] if numbers else []),
        amount(sum(n.bytes for n in graph.nodes)),
    ]
    return (f"{graph.title}: " if graph.title else "") + ", ".join(parts)

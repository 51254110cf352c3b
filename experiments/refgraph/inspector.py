"""The inspector: a reference graph as one HTML file that zooms, searches, folds and tells.

Everything is laid out and reckoned here: the picture with all runs folded, one with each run open,
and what dies with each reference. The page only shows it, and asks no network for anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from experiments.refgraph import folding
from experiments.refgraph.drawing import FATES, KINDS, amount, counted, roles, sides
from experiments.refgraph.fates import Drops, cycles
from experiments.refgraph.folding import Fold
from experiments.refgraph.model import Edge, Graph, Node
from experiments.refgraph.rendering import svg_as_is
from experiments.refgraph.why import ARROW, why

MOST_OPEN = 12  # runs that have a picture of their own in which they are open
MOST_BOXES = 400  # that a run's opening may add: a run of long units would take minutes to draw
LONGEST_CHAIN = 12  # objects of a chain that are told


@dataclass(frozen=True)
class View:
    """A picture on the page: its graph, the runs that are folded in it, and what it shows."""

    title: str
    graph: Graph
    folded: Sequence[Fold]


def page(graph: Graph, *, timeout: float = 20.0) -> str:
    """The inspector of a graph, as HTML.

    timeout: seconds that Graphviz may take for each picture.
    Raises NotDrawn where there can be no picture.
    """
    views = list(_views(graph))
    environment = Environment(
        loader=PackageLoader("experiments.refgraph", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source = environment.loader.get_source  # type: ignore[union-attr]
    told = _Told(graph, views)
    return environment.get_template("inspector.html").render(
        graph=graph,
        totals=list(_totals(graph)),
        views=views,
        pictures=[
            Markup(svg_as_is(view.graph, prefix=f"v{i}-", timeout=timeout))
            for i, view in enumerate(views)
        ],
        kinds=[(k, KINDS[k].said) for k in KINDS if k in roles(graph).values()],
        listed=_listed(graph, views[0].graph),
        nodes=views[0].graph.nodes,
        edges=views[0].graph.edges,
        fates=FATES,
        amount=amount,
        told=told.data(),
        styles=[Markup(source(environment, f"{name}.css")[0]) for name in ("graph", "inspector")],
        script=Markup(source(environment, "inspector.js")[0]),
    )


def _views(graph: Graph) -> Iterator[View]:
    folded = folding.folds(graph)
    closed = folding.closed(graph, folded)
    yield View("All runs folded" if folded else "The whole graph", closed, folded)
    titles = {node.id: node.title for node in closed.nodes}
    for fold in folded[:MOST_OPEN]:
        opened, left = folding.opened(graph, folded, fold)
        if len(opened.nodes) <= len(closed.nodes) + MOST_BOXES:
            yield View(f"{titles[fold.id]}, opened", opened, left)


def _totals(graph: Graph) -> Iterator[tuple[str, str]]:
    """What stands above the picture: a figure, and what it is of."""
    objects = [n for n in graph.nodes if n.kind != "name"]
    yield f"{len(objects):,}", "object" if len(objects) == 1 else "objects"
    names = len(graph.nodes) - len(objects)
    yield f"{names:,}", "name" if names == 1 else "names"
    yield f"{len(graph.edges):,}", "reference" if len(graph.edges) == 1 else "references"
    count = len(cycles(graph))
    yield f"{count:,}", "cycle" if count == 1 else "cycles"
    for fate, border in FATES.items():
        if size := sum(n.bytes for n in objects if n.fate == fate):
            yield amount(size), border.said


def _listed(graph: Graph, closed: Graph) -> tuple[str, str]:
    """What stands over the two tables: the same figures as above the picture, and the rows."""
    names = sum(n.kind == "name" for n in graph.nodes)
    objects = f"The objects ({len(graph.nodes) - names:,}) and names ({names:,})"
    if len(closed.nodes) < len(graph.nodes):
        objects += f", in {len(closed.nodes):,} rows"
    references = f"The references ({len(graph.edges):,})"
    if len(closed.edges) < len(graph.edges):
        references += f", in {len(closed.edges):,} rows"
    return objects, references


class _Told:
    """What the page says of each object and reference in any of its pictures."""

    def __init__(self, graph: Graph, views: Sequence[View]) -> None:
        self.graph = graph
        self.views = views
        self.whole = {node.id: node for node in graph.nodes}
        self.nodes = {node.id: node for view in views for node in view.graph.nodes}
        self.edges = {edge.key: edge for view in views for edge in view.graph.edges}
        self.place = {i: place for place, i in enumerate(self.nodes)}
        self.boxes = self._boxes()
        self.drops = Drops(graph)
        self.two = bool(sides(graph))  # laid side by side: in neither is all that is drawn
        self.behind: dict[tuple[str, str, str, bool], list[Edge]] = {}
        for view in views:
            self.behind |= folding.behind(graph, view.folded)

    def data(self) -> dict[str, Any]:
        """As JSON: objects and references once, and each picture by their places in the lists."""
        edge_place = {key: i for i, key in enumerate(self.edges)}
        return {
            "two": self.two,
            "nodes": [self._node(node) for node in self.nodes.values()],
            "edges": [self._edge(edge) for edge in self.edges.values()],
            "views": [
                {
                    "nodes": [self.place[node.id] for node in view.graph.nodes],
                    "edges": [edge_place[edge.key] for edge in view.graph.edges],
                }
                for view in self.views
            ],
        }

    def _boxes(self) -> dict[str, list[int]]:
        """Of each object, its place and those of the boxes that it is in in any picture."""
        boxes = {i: [self.place[i]] for i in self.whole if i in self.place}
        for fold in {fold.id: fold for view in self.views for fold in view.folded}.values():
            for i in fold.ids:
                boxes.setdefault(i, []).append(self.place[fold.id])
        return boxes

    def _node(self, node: Node) -> dict[str, Any]:
        folded = node.kind == "fold"
        opens = [i for i, view in enumerate(self.views) if view.title == f"{node.title}, opened"]
        return {
            "id": node.title if folded else node.id,
            "type": KINDS[node.kind].said if folded else node.type,
            "title": node.title,
            "detail": node.detail,
            "kind": node.kind,
            "bytes": amount(node.bytes) if node.bytes else "",
            "fate": "" if node.kind == "name" else FATES[node.fate].said,
            "cycle": node.cycle,
            "outside": node.outside,
            "only": node.only,
            "why": "" if folded or node.kind == "name" or self.two else _chain(self.graph, node.id),
            "opens": opens[0] if folded and opens else None,
            "boxes": self.boxes.get(node.id, [self.place[node.id]]),
        }

    def _edge(self, edge: Edge) -> dict[str, Any]:
        return {
            "source": self.place[edge.source],
            "target": self.place[edge.target],
            "label": edge.label,
            "place": edge.place,
            "weak": edge.weak,
            "only": edge.only,
            "drop": None if edge.weak or self.two else self._drop(self.behind[edge.key]),
        }

    def _drop(self, alike: Sequence[Edge]) -> dict[str, Any] | None:
        """What dies when a reference is dropped; None for a line that stands for several."""
        if len(alike) > 1:
            return None
        freed, waiting = self.drops.of(alike[0])
        return {
            "freed": self._shown(freed),
            "waits": self._shown(waiting),
            "said": [self._sum(freed), self._sum(waiting)],
        }

    def _shown(self, ids: Sequence[str]) -> list[int]:
        return sorted({place for i in ids for place in self.boxes.get(i, ())})

    def _sum(self, ids: Sequence[str]) -> str:
        size = sum(self.whole[i].bytes for i in ids)
        return f"{counted(len(ids), 'object')}, {amount(size)}"


def _chain(graph: Graph, what: str) -> str:
    """Why an object is alive, in a line; of a long chain its beginning and its end."""
    chains = why(graph, what, most=1)
    steps = chains[0].words.split(ARROW) if chains else []
    if len(steps) > LONGEST_CHAIN:
        left = len(steps) - LONGEST_CHAIN
        half = LONGEST_CHAIN // 2
        steps = [*steps[:half], f"({left:,} more)", *steps[-half:]]
    return " → ".join(steps)

"""A reference graph as a picture: DOT text, and what Graphviz makes of it, without a system package.

Source: graphviz-pure, Graphviz as one program in a wheel; Graphviz's own `dot` where that is missing.
"""

from __future__ import annotations

import json
from pathlib import Path

from experiments.refgraph.model import Graph


class NotDrawn(RuntimeError):
    """There is no picture, and why, and what to do about it."""


def dot(graph: Graph) -> str:
    """The graph in the DOT language, which any Graphviz draws."""
    raise NotDrawn("Drawings are being written.")


def svg(graph: Graph, *, prefix: str = "", timeout: float = 20.0) -> str:
    """The graph as an `<svg>` element to put into a page that has the style of `graph.css`.

    prefix: begins every id in it, so that several can stand on one page.
    Raises NotDrawn where there is no program that draws, or the graph is too much for it.
    """
    raise NotDrawn("Drawings are being written.")


def png(graph: Graph, *, scale: float = 2.0, timeout: float = 20.0) -> bytes:
    """The graph as a picture in pixels. Raises NotDrawn as `svg` does."""
    raise NotDrawn("Drawings are being written.")


ENDINGS = ("html", "svg", "png", "dot", "json")


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
    return (dot(graph) if ending == "dot" else svg(graph)).encode()


def shown(graph: Graph) -> str:
    """The graph as a notebook shows it: the picture, or why there is none and the edges."""
    return svg(graph)

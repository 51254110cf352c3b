"""The inspector: a reference graph as one HTML file that zooms, searches, folds and tells."""

from __future__ import annotations

from experiments.refgraph.model import Graph
from experiments.refgraph.rendering import svg


def page(graph: Graph) -> str:
    """The inspector of a graph: one file that asks no network for anything. Raises NotDrawn."""
    return svg(graph)

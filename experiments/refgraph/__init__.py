"""The reference graph of live objects: who holds whom, by which attribute, and what dies with what.

model        the graph as plain data
finding      live objects -> graph, by way of
  snapshot     all references at one moment, and the names that people know
  region       the objects around some roots
  sketch       containers folded into what they belong to
  naming       what objects and references are called; engine: in the words of the book
  numbering    ids that are the same from run to run
computation  the computation graph alone: Variables and Functions
fates        what dies with what; the cycles
why          what keeps an object alive
difference   what only one of two graphs has
telling      a graph in words
folding, drawing, rendering, inspector
             a graph as a picture, and as a page to look around in
"""

from experiments.refgraph.computation import computation
from experiments.refgraph.difference import Difference, difference
from experiments.refgraph.fates import Cycle, cycles, dropping
from experiments.refgraph.finding import MOST, among, of
from experiments.refgraph.model import Edge, Graph, Node
from experiments.refgraph.telling import summary
from experiments.refgraph.why import Chain, NotInGraph, spelt, why

__all__ = [
    "MOST",
    "Chain",
    "Cycle",
    "Difference",
    "Edge",
    "Graph",
    "Node",
    "NotInGraph",
    "among",
    "computation",
    "cycles",
    "difference",
    "dropping",
    "of",
    "spelt",
    "summary",
    "why",
]

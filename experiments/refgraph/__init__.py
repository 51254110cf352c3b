"""The reference graph of live objects: who holds whom, by which attribute, and what dies with what.

model      the graph as plain data
finding    live objects -> graph, by way of
snapshot     all references at one moment, and the names that people know
region       the objects around some roots
sketch       containers folded into what they belong to
naming       what objects and references are called; engine: in the words of the book
numbering    ids that are the same from run to run
fates      what dies with what
"""

from experiments.refgraph.fates import cycles, dropping
from experiments.refgraph.finding import among, of
from experiments.refgraph.model import Edge, Graph, Node

__all__ = ["Edge", "Graph", "Node", "among", "cycles", "dropping", "of"]

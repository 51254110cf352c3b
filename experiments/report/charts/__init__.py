"""The charts, drawn with Bokeh. A chart shows figures that its section has worked out."""

from experiments.report.charts.lines import LIMIT, Line, PhaseMark, lines
from experiments.report.charts.places import Pause, Place, against, pauses
from experiments.report.charts.rows import Mark, bars, counts, multiples, points

__all__ = [
    "LIMIT",
    "Line",
    "Mark",
    "Pause",
    "PhaseMark",
    "Place",
    "against",
    "bars",
    "counts",
    "lines",
    "multiples",
    "pauses",
    "points",
]

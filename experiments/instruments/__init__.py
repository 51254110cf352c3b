"""What measures. One instrument per trial: instruments disturb each other.

An instrument is told of the phases of its trial as they pass, in this order:

    baseline                    nothing of the workload exists yet
    built                       parameters and data stand; the measurement starts
    forward, backward, step     the workload's own moments, as often as it has them
    dropped                     the last reference to anything of the workload is gone
    collected                   and the collector has been called

and reads then. Its class says what it sees, what it is blind to, what it costs, and its source.
"""

from __future__ import annotations

from collections.abc import Mapping

from experiments.instruments.arrays import Arrays
from experiments.instruments.clock import Clock
from experiments.instruments.collector import Collector
from experiments.instruments.cycles import Cycles
from experiments.instruments.evaluations import Evaluations
from experiments.instruments.graph import ReferenceGraph
from experiments.instruments.instrument import MOMENTS, PHASES, Disagreement, Instrument
from experiments.instruments.lifetimes import Lifetimes
from experiments.instruments.lines import Lines
from experiments.instruments.native import Native
from experiments.instruments.objects import Objects
from experiments.instruments.operations import Operations
from experiments.instruments.resident import Resident
from experiments.instruments.traced import Traced

INSTRUMENTS: Mapping[str, type[Instrument]] = {
    instrument.name: instrument
    for instrument in (
        Traced,
        Resident,
        Lines,
        Cycles,
        Collector,
        Objects,
        Lifetimes,
        Clock,
        Native,
        Operations,
        Evaluations,
        Arrays,
    )
}

# What takes a picture: it has no figures that could be calibrated, and no study asks for it.
PICTURES: Mapping[str, type[Instrument]] = {ReferenceGraph.name: ReferenceGraph}

__all__ = ["INSTRUMENTS", "MOMENTS", "PHASES", "PICTURES", "Disagreement", "Instrument"]

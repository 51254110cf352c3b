"""Named questions. A study says what is asked, what would answer it, and which trials to run.

A study is one file of this folder that defines STUDY; it runs by itself as a script, too:
`python -m experiments.studies.cycles`.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import pkgutil
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.trial import COLLECTOR_PHASES, Collector, Trial, Value
from experiments.workloads import WORKLOADS

DEFAULT_STUDY = "ladder"

# Bytes of deterministic trials do not vary, and a second process is there to prove it. Times do.
REPEATS = {
    "traced": 2,
    "resident": 2,
    "lines": 1,
    "cycles": 1,
    "collector": 5,
    "objects": 1,
    "lifetimes": 1,
    "clock": 5,
    "native": 1,
    "operations": 1,
    "evaluations": 1,
    "arrays": 1,
}

# Where garbage waits for the collector, how high memory rises is a matter of when the collector
# comes: with it on, an instrument that reads a peak meets it in every one of its phases.
READ_PEAKS = ("traced", "resident", "lifetimes", "arrays")


def repeats_of(instrument: str, collector: Collector, *, quick: bool = False) -> int:
    """How many trials an instrument needs of the same kind."""
    if collector == "on" and instrument in READ_PEAKS:
        return COLLECTOR_PHASES
    return 1 if quick else REPEATS.get(instrument, 2)


Points = Sequence[Mapping[str, Value]]  # the parameters in which each point differs


@dataclass(frozen=True)
class Study:
    """A question, and its sweep: workload x point x mode x instrument x collector x repeat."""

    name: str
    question: str
    answered_by: str  # what would answer the question, and what would refute the folklore
    workloads: Sequence[str]
    modes: Sequence[str]
    instruments: Mapping[str, Sequence[Collector]]  # instrument -> the states of the collector
    parameters: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    sweep: Mapping[str, Points] = field(default_factory=dict)  # of workloads that have several
    quick_sweep: Mapping[str, Points] = field(default_factory=dict)
    repeats: Mapping[str, int] = field(default_factory=dict)  # where not as many as elsewhere
    at_first: Sequence[str] = ()  # instruments that look at the first point of each sweep alone

    def trials(
        self,
        *,
        workloads: Sequence[str] = (),
        modes: Sequence[str] = (),
        instruments: Sequence[str] = (),
        collectors: Sequence[Collector] = (),
        repeats: int | None = None,
        parameters: Mapping[str, Mapping[str, Value]] | None = None,
        quick: bool = False,
    ) -> list[Trial]:
        """Its trials in the order in which to run them; what is given replaces the study's own."""
        given = parameters or {}
        trials = [
            Trial(
                study=self.name,
                workload=workload,
                parameters=point,
                mode=mode,
                instrument=instrument,
                collector=collector,
                repeat=repeat,
            )
            for workload in workloads or self.workloads
            for number, point in enumerate(self._points(workload, given.get(workload, {}), quick))
            for mode, instrument in itertools.product(
                modes or self.modes, instruments or self.instruments
            )
            if number == 0 or instrument not in self.at_first
            for collector in collectors or self.instruments.get(instrument, ("off",))
            for repeat in range(repeats or self._repeats(instrument, collector, quick))
        ]
        return interleaved(trials)

    def _repeats(self, instrument: str, collector: Collector, quick: bool) -> int:
        usual = repeats_of(instrument, collector, quick=quick)
        return usual if quick else self.repeats.get(instrument, usual)

    def _points(
        self, workload: str, given: Mapping[str, Value], quick: bool
    ) -> list[dict[str, Value]]:
        """The parameters of each point of a workload's sweep; no two are alike."""
        if workload not in WORKLOADS:  # a file of the user's, which comes with its own
            return [dict(given)]
        chosen = WORKLOADS[workload]
        smaller = chosen.quick if quick else {}
        base = {**chosen.defaults, **self.parameters.get(workload, {}), **smaller}
        points = (self.quick_sweep if quick else self.sweep).get(workload, [{}])
        every = [{**base, **point, **given} for point in points]
        return [point for n, point in enumerate(every) if point not in every[:n]]


def interleaved(trials: Iterable[Trial]) -> list[Trial]:
    """Repeat by repeat, each shuffled: what drifts on the machine falls on every mode alike.

    The order is the same in every run, and a run that is broken off has whole repeats.
    """
    order: list[Trial] = []
    by_repeat = sorted(trials, key=lambda trial: trial.repeat)
    for repeat, block in itertools.groupby(by_repeat, key=lambda trial: trial.repeat):
        shuffled = list(block)
        random.Random(repeat).shuffle(shuffled)
        order += shuffled
    return order


@functools.cache
def studies() -> Mapping[str, Study]:
    """Every study by its name, the default one first.

    They are found when asked for and not on import, so that each can be run as a script as well.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    names.sort(key=lambda name: name != DEFAULT_STUDY)
    return {name: importlib.import_module(f"{__name__}.{name}").STUDY for name in names}

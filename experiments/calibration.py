"""How far an instrument is to be trusted: its readings of known truths, beside the truths.

A straight line is fitted through what it read of what was there, reading = a + b x truth, and the
worst error is kept. An instrument whose error goes beyond its bound is not calibrated, and what it
read of anything else is to be believed accordingly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.trial import CALIBRATION, Record

# What a reading counts, the narrower kind first: an error found in one reading of a kind holds for
# every other of it.
_KINDS = ("array_bytes", "resident_bytes", "bytes", "seconds", "count")


@dataclass(frozen=True)
class Fit:
    """The straight line through the readings of known truths: reading = a + b x truth."""

    a: float  # what is read where nothing is, in the reading's unit
    b: float
    worst: float  # the largest distance between a reading and its truth
    n: int


@dataclass(frozen=True)
class Calibration:
    """What the known truths say of one instrument, in one run."""

    instrument: str
    fits: Mapping[str, Fit] = field(default_factory=dict)  # by reading
    seen: Mapping[float, float] = field(default_factory=dict)  # life of a peak, seconds -> share
    failures: Sequence[str] = ()  # a sentence for each bound that was broken
    unavailable: Mapping[str, str] = field(default_factory=dict)  # reading -> why there is none

    @property
    def passed(self) -> bool:
        """Whether something was read, and everything within its bounds."""
        return bool(self.fits) and not self.failures

    def error(self, reading: str) -> float | None:
        """The worst absolute error in a reading, or in those of its kind.

        None where nothing of its kind was calibrated.
        """
        if reading in self.fits:
            return self.fits[reading].worst
        kind = _kind(reading)
        return max(
            (fit.worst for name, fit in self.fits.items() if _kind(name) == kind), default=None
        )


def calibrated(records: Iterable[Record]) -> Mapping[str, Calibration]:
    """What the records' known truths say, by instrument; other records are passed over."""
    instruments = {r.trial.instrument for r in records if r.trial.study == CALIBRATION}
    return {instrument: Calibration(instrument) for instrument in sorted(instruments)}


def _kind(reading: str) -> str:
    """What a reading counts, by the end of its name."""
    return next((kind for kind in _KINDS if reading.endswith(kind)), reading)

"""What was found in the user's own code, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from experiments.estimates import Arm, arm
from experiments.report.sections.objects import details, held
from experiments.report.wording.looks import in_order
from experiments.report.wording.words import TIMES, bytes_text, count_text, counted, listed
from experiments.trial import Record

QUESTION = "What does a file of yours leave behind, and who holds it (--script FILE.py:FUNCTION)?"
MOST = 3  # shapes, types and holders that a sentence names

Say = Callable[[Sequence[Record], Arm], str]


def left_in_cycles(records: Sequence[Record]) -> str:
    """How many cycles were left, of which shapes, with how many bytes."""
    return _mode_by_mode(records, "cycles", "Whether it leaves cycles", _cycles)


def grown(records: Sequence[Record]) -> str:
    """What became more from step to step."""
    return _mode_by_mode(records, "objects", "What grows from step to step", _growth)


def holders(records: Sequence[Record]) -> str:
    """What held the largest arrays, and what still does."""
    return _mode_by_mode(records, "objects", "Who holds the largest arrays", _holders)


SENTENCES = (left_in_cycles, grown, holders)


def of_script(records: Sequence[Record]) -> list[str]:
    """The sentences of a run of the user's own code; none of any other."""
    mine = [r for r in records if r.trial.study == "script"]
    return [sentence(mine) for sentence in SENTENCES] if mine else []


def _mode_by_mode(records: Sequence[Record], instrument: str, what: str, say: Say) -> str:
    found = [r for r in records if r.trial.instrument == instrument and r.outcome == "ok"]
    arms = in_order(arm(r) for r in found)
    if not arms:
        return f"{what} cannot be told: no `{instrument}` trial ended well."
    if len(arms) == 1:
        return say(records, arms[0])
    return " ".join(f"In `{a.mode}`, collector {a.collector}: {say(records, a)}" for a in arms)


def _cycles(records: Sequence[Record], where: Arm) -> str:
    mine = _first(records, where, "cycles")
    number = int(mine.readings["cycle_count"])
    if not number:
        return "It leaves no reference cycle."
    shapes = mine.details["shapes"]
    told = [_shape(shape) for shape in shapes[:MOST]]
    more = [f"{counted(len(shapes) - MOST, 'other shape')}"] if len(shapes) > MOST else []
    return (
        f"It leaves {counted(number, 'reference cycle')} that only a collection frees, holding "
        f"{bytes_text(mine.readings['cycle_bytes'])} of arrays: {listed([*told, *more])}."
    )


def _shape(shape: Mapping[str, Any]) -> str:
    """`5 x (2 Node) with 39.1 KiB`."""
    members = ", ".join(n if k == 1 else f"{count_text(k)} {n}" for n, k in shape["types"].items())
    return f"{count_text(shape['count'])} {TIMES} ({members}) with {bytes_text(shape['bytes'])}"


def _growth(records: Sequence[Record], where: Arm) -> str:
    types = details(records, where, "growth")
    reading = _first(records, where, "objects").readings.get("grown_objects_per_step_count")
    if reading is None:
        return "Growth cannot be told: there was one step."
    more = [f"{bytes_text(each)} of memory" for each in _bytes_each_step(records, where) if each]
    if not types:
        beside = f", though {more[0]} came with every step" if more else ""
        return f"From step to step no type of object becomes more{beside}."
    named = [f"{count_text(row['each_step'])} {row['type']}" for row in types[:MOST]]
    others = [f"{counted(len(types) - MOST, 'other type')}"] if len(types) > MOST else []
    told = listed([f"{count_text(reading)} objects", *more])
    return f"It grows with every step, by {told}: {listed([*named, *others])}."


def _bytes_each_step(records: Sequence[Record], where: Arm) -> Iterator[float]:
    """By how much what is alive after a step grows with every step; nothing where it does not."""
    for r in records:
        if arm(r) == where and r.outcome == "ok" and r.trial.instrument == "traced":
            rows = r.details.get("steps", ())
            live = [row["live_bytes"] for row in rows if row["phase"] == "step"]
            more = [b - a for a, b in pairwise(live)]
            yield median(more) if more and min(more) > 0 else 0
            return


def _holders(records: Sequence[Record], where: Arm) -> str:
    said = []
    for when, words in (
        ("alive", "After its last step the largest arrays are held so"),
        ("left", "When it is over there remain"),
    ):
        if found := held(records, where, when):
            told = "; ".join(f"{array}: {why}" for array, why in found[:MOST])
            said.append(f"{words}: {told}.")
    return " ".join(said) or "No array of it is alive after its last step, and none remains."


def _first(records: Sequence[Record], where: Arm, instrument: str) -> Record:
    return next(
        r
        for r in records
        if arm(r) == where and r.outcome == "ok" and r.trial.instrument == instrument
    )

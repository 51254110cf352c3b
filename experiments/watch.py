"""What a stretch of code takes and leaves, in the process that is running.

A trial measures in a process of its own; this is for where there is none, as in a test.
"""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from experiments.census import Array, Shape, array_bytes, take_census
from experiments.references import Held, cycles_spelt, take_references

MOST_ARRAYS = 5

_running: list[Watched] = []  # those within which others may run, which then share one peak


@dataclass
class Watched:
    """What a stretch of code took and left: filled in when the stretch has ended, and ended well.

    peak_bytes: the most that Python and NumPy had asked for at once, above what there was before.
    left_bytes, array_bytes: what is still there of it, in all and of arrays alone.
    cycles, cycle_bytes: what of this only a collection frees; shapes and spelt tell of which kind.
    holders: the largest arrays that are still there, and who holds them.
    """

    peak_bytes: int = 0
    left_bytes: int = 0
    array_bytes: int = 0
    cycles: int = 0
    cycle_bytes: int = 0
    shapes: Sequence[Shape] = ()
    spelt: Sequence[str] = ()  # one cycle of each shape, in the same order
    holders: Sequence[Held] = ()
    _peak: int = field(default=0, repr=False)  # as far as it is known while the stretch runs


@contextmanager
def watch() -> Iterator[Watched]:
    """Watch a stretch of code; the collector is off meanwhile and called once before.

    Everything is as it was afterwards, whatever happens. A stretch within another one is told of
    the shapes of both, and counts the cycles of its own. Where tracemalloc runs already it goes on,
    but its peak starts anew. Of a stretch that raises nothing is read.
    """
    with _collector_at_rest(), _tracing() as others:
        _note_peak()  # what is made here is not the stretch's, nor that of one around it
        there = take_census().cycles if _running else 0
        old = {id(a): weakref.ref(a) for a in take_references().arrays()} if others else {}
        arrays_before = array_bytes() if others else 0
        watched = Watched()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        _running.append(watched)
        try:
            yield watched
            _note_peak()
            watched.peak_bytes = watched._peak - before
            watched.left_bytes = tracemalloc.get_traced_memory()[0] - before
            watched.array_bytes = array_bytes() - arrays_before
            _look(watched, old)
            watched.cycles -= there
        finally:
            _running.remove(watched)
            tracemalloc.reset_peak()


def _look(watched: Watched, old: dict[int, weakref.ref[Array]]) -> None:
    """Find what is left, and who holds it."""
    census = take_census()
    watched.cycles, watched.cycle_bytes = census.cycles, census.bytes
    watched.shapes = census.shapes
    if census.cycles:
        spelt = cycles_spelt()
        lines = [spelt.get(tuple(sorted(shape.types.items())), "") for shape in census.shapes]
        watched.spelt = lines
    if watched.array_bytes > 0:
        references = take_references()
        new = [a for a in references.arrays() if _is_new(a, old)]
        watched.holders = references.held(new[:MOST_ARRAYS])


def _is_new(array: Array, old: dict[int, weakref.ref[Array]]) -> bool:
    """Whether an array was made since tracemalloc runs, and was not there before the stretch."""
    known = old.get(id(array))
    was_there = known is not None and known() is array
    return tracemalloc.get_object_traceback(array) is not None and not was_there


def _note_peak() -> None:
    """Let every stretch that runs know how high the peak was."""
    _, peak = tracemalloc.get_traced_memory()
    for watched in _running:
        watched._peak = max(watched._peak, peak)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """The collector off, and what there is out of its sight, unless somebody has frozen it."""
    was_on, frozen = gc.isenabled(), gc.get_freeze_count()
    if not _running:  # whose garbage has to stay, to be found at its end
        gc.collect()
    gc.disable()
    if not frozen:
        gc.freeze()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()
        if was_on:
            gc.enable()


@contextmanager
def _tracing() -> Iterator[bool]:
    """tracemalloc running; whether somebody else had started it."""
    others = tracemalloc.is_tracing()
    if not others:
        tracemalloc.start()
    try:
        yield others
    finally:
        if not others:
            tracemalloc.stop()

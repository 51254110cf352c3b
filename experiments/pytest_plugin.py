"""Memory in a test suite: markers that a test has to live up to, and a fixture for readings.

    @pytest.mark.no_cycles              it leaves no reference cycle
    @pytest.mark.peak_below("20 MB")    it takes less than that at its peak
    @pytest.mark.freed_by_refcount      its arrays are gone when it returns, without a collection

    def test_training(memory):
        with memory() as m:
            train()
        assert m.peak_bytes < 20_000_000

What counts is the call of the test function, without its fixtures. A failure tells the cycles or
who holds the arrays. NumPy is imported when the first marked test runs, not before.
"""

from __future__ import annotations

import inspect
import unittest
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from experiments.watch import Watched

MARKERS = {
    "no_cycles": "the test leaves no reference cycle behind",
    "peak_below(amount)": "the test takes less than this at its peak, as in peak_below('20 MB')",
    "freed_by_refcount": "all arrays of the test are gone when it returns, without a collection",
}
NAMES = tuple(marker.partition("(")[0] for marker in MARKERS)


def pytest_configure(config: pytest.Config) -> None:
    for marker, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{marker}: {meaning}.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse what cannot be kept, before any test runs."""
    for item in items:
        for marker in item.iter_markers():
            if marker.name in NAMES and (wrong := _wrong(item, marker)):
                raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.{marker.name}: {wrong}")


def _wrong(item: pytest.Item, marker: pytest.Mark) -> str:
    """What is wrong with a marker on a test; nothing if all is well."""
    if not isinstance(item, pytest.Function) or (
        item.cls is not None and issubclass(item.cls, unittest.TestCase)
    ):
        return "only test functions and methods of plain classes can be watched, no unittest"
    if inspect.iscoroutinefunction(item.obj):
        return "a coroutine runs among others and cannot be watched by itself"
    if marker.name != "peak_below":
        return "it takes no arguments" if marker.args or marker.kwargs else ""
    if len(marker.args) != 1 or marker.kwargs:
        return "it takes one amount of memory, as in peak_below('20 MB')"
    try:
        _limit(marker)
    except ValueError as error:
        return str(error)
    return ""


def _limit(marker: pytest.Mark) -> int:
    from experiments.units import read_bytes

    return read_bytes(str(marker.args[0]))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Watch the call of a marked test, and fail it for what it took or left."""
    markers = {m.name: m for m in reversed(list(pyfuncitem.iter_markers())) if m.name in NAMES}
    if not markers:
        return (yield)
    from experiments.watch import watch

    with watch() as watched:
        result = yield  # which raises what the test raises: its own failure stands
    broken = [words for m in markers.values() if (words := CHECKS[m.name](watched, m))]
    if broken:
        pytest.fail("\n\n".join(broken), pytrace=False)
    return result


@pytest.fixture
def memory() -> Iterator[Callable[[], AbstractContextManager[Watched]]]:
    """Readings of a stretch of the test: `with memory() as m: ...`, then `m.peak_bytes`.

    Also m.left_bytes, m.array_bytes, m.cycles, m.cycle_bytes, m.shapes, m.spelt, m.holders.
    """
    from experiments.watch import watch

    yield watch


# What each marker asks for ------------------------------------------------------------------------


def _no_cycles(watched: Watched, marker: pytest.Mark) -> str:
    if not watched.cycles:
        return ""
    cycles = "1 reference cycle" if watched.cycles == 1 else f"{watched.cycles} reference cycles"
    return f"no_cycles: the test left {cycles}, which only a collection frees:\n{_shapes(watched)}"


def _peak_below(watched: Watched, marker: pytest.Mark) -> str:
    limit = _limit(marker)
    if watched.peak_bytes < limit:
        return ""
    said = (
        f"peak_below: the test took {watched.peak_bytes:,} bytes at its peak, and "
        f"{marker.args[0]} is {limit:,}; {watched.left_bytes:,} of them are still there."
    )
    return "\n".join(filter(None, [said, _holders(watched), _shapes(watched)]))


def _freed_by_refcount(watched: Watched, marker: pytest.Mark) -> str:
    if watched.array_bytes <= 0:
        return ""
    said = (
        f"freed_by_refcount: {watched.array_bytes:,} bytes of arrays that the test made were still "
        f"there when it returned, {watched.cycle_bytes:,} of them in reference cycles."
    )
    return "\n".join(filter(None, [said, _holders(watched), _shapes(watched)]))


CHECKS = {
    "no_cycles": _no_cycles,
    "peak_below": _peak_below,
    "freed_by_refcount": _freed_by_refcount,
}


def _shapes(watched: Watched) -> str:
    """Each shape of cycle: how many, of what, with how many bytes of arrays; and one spelt out."""
    lines = []
    for shape, cycle in zip(watched.shapes, watched.spelt, strict=True):
        members = ", ".join(name if n == 1 else f"{n} {name}" for name, n in shape.types.items())
        lines.append(f"  {shape.count} x {{{members}}}, {shape.bytes:,} bytes of arrays")
        lines.append(f"      {cycle}")
    return "\n".join(lines)


def _holders(watched: Watched) -> str:
    """The largest arrays that are still there, and who holds them."""
    return "\n".join(
        f"  {held.bytes:,} bytes, {held.dtype} of shape {held.shape}\n      {held.why}"
        for held in watched.holders
    )

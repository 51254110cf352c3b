"""Which objects a graph is of: what the roots lead to, and who holds that, up to a name."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from experiments.references import FOLDED
from experiments.refgraph.snapshot import CARRIERS, Snapshot

CONTENTS = (*FOLDED, np.ndarray)


class Region:
    """The objects around some roots, by number, in the order in which they were met.

    numbers: the objects; a cell that is a variable of a function that runs is one of them.
    hurried: whether time was up before everything was found.
    """

    def __init__(self, snapshot: Snapshot, roots: Iterable[int], seconds: float) -> None:
        self.snapshot = snapshot
        self.roots = dict.fromkeys(roots)
        self.hurried = False
        self._end = time.monotonic() + seconds
        self.numbers = self._worth_showing(self._ahead())
        self._add_holders()

    @classmethod
    def within(cls, snapshot: Snapshot, numbers: Iterable[int]) -> Region:
        """The objects themselves, and what is in the containers and arrays that they hold."""
        region = cls(snapshot, (), 0.0)
        found = dict.fromkeys(numbers)
        queue = deque(found)
        while queue:
            for target in snapshot.edges[queue.popleft()]:
                if target not in found and isinstance(snapshot.nodes[target], CONTENTS):
                    found[target] = None
                    queue.append(target)
        region.numbers = region._worth_showing(found)
        return region

    def _is_late(self) -> bool:
        self.hurried = self.hurried or time.monotonic() > self._end
        return self.hurried

    def _ahead(self) -> dict[int, None]:
        """What the roots lead to, weak references included."""
        found = dict(self.roots)
        queue = deque(found)
        while queue and not self._is_late():
            for target in self.targets(queue.popleft()):
                if target not in found:
                    found[target] = None
                    queue.append(target)
        return found

    def targets(self, number: int) -> Iterator[int]:
        """What an object refers to, strongly or weakly."""
        snapshot = self.snapshot
        itself = snapshot.referent(number)  # of a Function its output
        if itself is not None and not snapshot.is_stop(itself):
            yield itself
        for target in snapshot.edges[number]:
            behind = snapshot.referent(target) if snapshot.is_weak(target) else target
            if behind is not None and not snapshot.is_stop(behind):
                yield behind

    def _worth_showing(self, ahead: dict[int, None]) -> dict[int, None]:
        """Those that are no mere carriers, and the carriers that lead to one."""
        snapshot = self.snapshot
        worth = {n for n in ahead if n in self.roots or not isinstance(snapshot.nodes[n], CARRIERS)}
        leading: dict[int, list[int]] = {}  # to what an object refers, the carriers that do
        for number in ahead:
            if number not in worth:
                for target in self.targets(number):
                    leading.setdefault(target, []).append(number)
        queue = deque(worth)
        while queue:
            fresh = [n for n in leading.get(queue.popleft(), ()) if n not in worth]
            worth.update(fresh)
            queue.extend(fresh)
        return {number: None for number in ahead if number in worth}

    def _add_holders(self) -> None:
        """Add who holds these, up to what has a name."""
        snapshot = self.snapshot
        queue = deque(self.numbers)
        while queue and not self._is_late():
            for holder in snapshot.holders[queue.popleft()]:
                if holder in self.numbers or self._is_no_holder(holder):
                    continue
                self.numbers[holder] = None
                if holder not in snapshot.cells and not snapshot.is_named(holder):
                    queue.append(holder)

    def _is_no_holder(self, number: int) -> bool:
        return self.snapshot.is_stop(number) or self.snapshot.is_weak(number)

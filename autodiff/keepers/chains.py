"""What a chain of stages needs in bytes, and what computing it costs.

A chain is x_0 -> x_1 -> ... -> x_n, one stage after the other. Backward takes the stages from the
last to the first. What that of stage i reads (its input x_(i-1), its result x_i, arrays inside it)
and is not held then is computed again from the nearest value before it that is. While it is, the
gradient of x_i waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a chain: what it costs, in any unit, and the bytes that it needs.

    cost: of computing its result from its input. again: of computing from its input what else its
        backward reads, its result being there or not read.
    result, gradient: bytes of its result, and of that one's gradient.
    forward: at most beside its input while its result is computed, with that result.
    backward: at most beside its input while what its backward reads is computed again and its
        backward runs: with that, and with the gradients of its result, input and parameters.
    inside: of what its backward reads beside its input and its result.
    made: of arrays that it has made and that stand until its backward, such as random masks.
    left: of gradients that its backward leaves standing: those of parameters.
    """

    cost: float
    result: int
    gradient: int
    forward: int
    backward: int
    reads_input: bool = True
    reads_result: bool = False
    inside: int = 0
    again: float = 0
    made: int = 0
    left: int = 0

    @property
    def reads(self) -> bool:
        """Whether its backward reads anything that need be there."""
        return self.reads_input or self.reads_result or self.inside > 0

    @property
    def is_plain(self) -> bool:
        """Whether it leads from array to array, of one size, and reads one of the two."""
        size = self.result
        return (
            self.reads_input is not self.reads_result
            and self.gradient == self.forward == size
            and self.backward == (2 if self.reads_input else 3) * size
            and not (self.inside or self.again or self.made or self.left)
        )


class Chain:
    """What a chain of stages needs, in bytes: the one account that all plans go by.

    input: bytes of x_0, which is held throughout.
    """

    def __init__(self, stages: Sequence[Stage], input: int) -> None:
        if not stages:
            raise ValueError("a chain has at least 1 stage")
        self.stages = tuple(stages)
        self.sizes = [input, *(stage.result for stage in stages)]
        made, left = 0, sum(stage.left for stage in stages)
        self._standing = [left]
        for stage in stages:
            made, left = made + stage.made, left - stage.left
            self._standing.append(made + left)
        self._alike_from = [0]  # for each value the first one from which on stages are alike
        for i, stage in enumerate(stages):
            same = i > 0 and stage == stages[i - 1]
            self._alike_from.append(self._alike_from[i] if same else i)

    def __len__(self) -> int:
        return len(self.stages)

    def stage(self, number: int) -> Stage:
        """Stage i, which leads from x_(i-1) to x_i."""
        return self.stages[number - 1]

    def last_reading(self) -> int:
        """The last stage whose backward reads anything; 0 where there is none."""
        return max((i for i, stage in enumerate(self.stages, 1) if stage.reads), default=0)

    def waiting(self, end: int) -> int:
        """What stands while the gradient of x_end waits, with that."""
        return self.stage(end).gradient + self._standing[end]

    def differentiating(self, end: int) -> int:
        """The most that stands beside its input during the backward of a stage."""
        return self.stage(end).backward + self._standing[end]

    def moving(self, start: int, end: int | None = None) -> Iterator[int]:
        """The most that stands beside x_start while x_start, ..., x_end are made, up to each."""
        most = 0
        yield most
        for i in range(start + 1, (len(self) if end is None else end) + 1):
            on_way = self.sizes[i - 1] if i - 1 > start else 0
            most = max(most, on_way + self.stage(i).forward)
            yield most

    def needed(self, start: int, end: int, moving: Sequence[int], given: bool = False) -> int:
        """The most that stands beside x_start until the backward of a stage is done.

        Nothing else is held but, where it is given, x_end. moving: what `moving(start)` gives.
        """
        stage = self.stage(end)
        to = max(start, self.to(end, given))
        before = 0
        if to > start:
            there = self.sizes[end] if given and stage.reads_result else 0
            before = moving[to - start] + self.waiting(end) + there
        on_way = self.sizes[end - 1] if stage.reads_input and end - 1 > start else 0
        return max(before, on_way + self.differentiating(end))

    def to(self, end: int, given: bool = False) -> int:
        """The last value that is computed for the backward of a stage; 0 where none need be."""
        stage = self.stage(end)
        return end - 1 if stage.reads_input else end if stage.reads_result and not given else 0

    def least(self) -> int:
        """The least bytes with which its backward can be done: x_0 alone is held."""
        moving = list(self.moving(0))
        most = max(self.needed(0, end, moving) for end in range(1, len(self) + 1))
        return self.sizes[0] + max(most, moving[-1])

    def alike(self, start: int, end: int) -> bool:
        """Whether all stages from x_start to x_end are plain and the same."""
        return start >= self._alike_from[end] and self.stage(end).is_plain

    def slots(self, start: int, end: int, free: int) -> int:
        """How many values may be held, x_start included, on the way to x_end.

        The stages there are alike. free: the bytes that there are beside what is held.
        """
        return (free - self._standing[end]) // self.stage(end).result - 2

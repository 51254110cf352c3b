"""The least that memory can come to: floors to set a measured peak beside.

For a chain of unary operations in closed form; for any graph, in the order in which its operations
ran, from a log of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal


def chain_floor(
    length: int,
    array_bytes: int,
    *,
    saves: Literal["input", "output"],
    result: Literal["held", "dropped"] = "dropped",
    temporaries: int = 0,
) -> int:
    """The least peak of forward and backward over a chain of unary operations, none done twice.

    length: how many operations, at least 1. array_bytes: of each array; the first is always held
    and counted. saves: what the gradient rule reads. temporaries: how many arrays a rule needs
    beside what it takes and gives.
    At the peak the first rule to run finds every saved array, one gradient coming and one going:
    (N + 2) arrays where inputs are saved, one more where outputs are or the result is held.
    Raises ValueError for a chain of no operations.
    """
    if length < 1:
        raise ValueError(f"a chain has at least 1 operation, not {length}")
    one_more = saves == "output" or result == "held"
    return (length + 2 + one_more + temporaries) * array_bytes


@dataclass(frozen=True)
class Value:
    """What an operation takes or gives: a part of a buffer, or all of it."""

    number: int
    buffer: int
    bytes: int


@dataclass(frozen=True)
class Application:
    """An operation ran: its inputs, and the outputs that it made of them."""

    inputs: Sequence[Value]
    outputs: Sequence[Value]


@dataclass(frozen=True)
class Rule:
    """The gradient rule of an application ran.

    reads: the buffers that it declares it reads. gradients: for each input, the buffer of what the
    rule gave for it; None where it gave nothing, NEW where that is in no buffer yet.
    """

    application: Application
    reads: Sequence[int]
    gradients: Sequence[int | None]


NEW = -1


@dataclass
class OperationLog:
    """What ran, in order. Buffers are numbers; what is in `standing` is there from start to end."""

    events: list[Application | Rule] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    standing: set[int] = field(default_factory=set)


def liveness_floor(log: OperationLog) -> int:
    """The least peak of a log's operations in their order, nothing computed twice: L*.

    A buffer is needed from when it is made to its last use: by an operation that takes it, or by a
    gradient rule that declares it. The gradient of a value is needed from the first rule that adds
    to it until the rule of what made the value has run; of a value that nothing made, until the
    backward pass ends. Sums are taken in place. The floor is the highest sum, over time, of all
    buffers that are needed at once.
    """
    return _Liveness(log).floor()


class _Liveness:
    """One walk over a log, which finds when each buffer is needed first and last."""

    def __init__(self, log: OperationLog) -> None:
        self.log = log
        self.sizes = dict(log.sizes)
        self.needed: dict[int, tuple[int, int]] = {}
        self.now = 0
        self.made: set[int] = set()  # values
        self.gradients: dict[int, int] = {}  # value -> buffer, of this backward pass

    def floor(self) -> int:
        for event in self.log.events:
            if isinstance(event, Application):
                self.end_pass()
                self.apply(event)
            else:
                self.run(event)
            self.now += 1
        self.end_pass()
        changes = [0] * (self.now + 1)
        for buffer, (first, last) in self.needed.items():
            changes[first] += self.sizes[buffer]
            changes[last + 1] -= self.sizes[buffer]
        standing = sum(self.sizes[buffer] for buffer in self.log.standing)
        return standing + max(accumulate(changes), default=0)

    def need(self, buffer: int, when: int | None = None) -> None:
        when = self.now if when is None else when
        if buffer not in self.log.standing:
            first, last = self.needed.get(buffer, (when, when))
            self.needed[buffer] = first, max(last, when)

    def apply(self, application: Application) -> None:
        for value in (*application.inputs, *application.outputs):
            self.need(value.buffer)
        self.made.update(value.number for value in application.outputs)

    def run(self, rule: Rule) -> None:
        outputs = rule.application.outputs
        if not self.made & self.gradients.keys() and not any(
            value.number in self.gradients for value in outputs
        ):
            self.end_pass()
        for read in rule.reads:
            self.need(read)
        for value in outputs:
            buffer = self.gradients.pop(value.number, None)
            self.need(self.new(value.bytes) if buffer is None else buffer)
        for value, gradient in zip(rule.application.inputs, rule.gradients, strict=True):
            if gradient is not None:
                self.add(value, gradient)

    def add(self, value: Value, buffer: int) -> None:
        """Add to the gradient of a value: the first to be added stands for it, then a sum does."""
        held = self.gradients.get(value.number)
        if held is not None:
            self.need(held, self.now - 1)
        if held is not None or buffer == NEW:
            buffer = self.new(value.bytes)
        self.gradients[value.number] = buffer
        self.need(buffer)

    def end_pass(self) -> None:
        """The gradients of what nothing made are needed until now, and no other any more."""
        for value, buffer in self.gradients.items():
            if value not in self.made:
                self.need(buffer, self.now - 1)
        self.gradients.clear()

    def new(self, size: int) -> int:
        buffer = -2 - len(self.sizes)
        self.sizes[buffer] = size
        return buffer

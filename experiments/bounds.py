"""The least that memory can come to: floors to set a measured peak beside.

For a chain of unary operations in closed form; for any graph, in the order in which its operations
ran, from a log of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import comb
from typing import Literal, NamedTuple, TypeAlias

Saves: TypeAlias = Literal["input", "output"]  # what the rule of a chain's operation reads
Result: TypeAlias = Literal["held", "dropped"]  # whether the caller has the result in backward


def chain_floor(
    length: int,
    array_bytes: int,
    *,
    saves: Saves,
    result: Result = "dropped",
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
    return (length + 2 + _one_more(saves, result) + temporaries) * array_bytes


def _one_more(saves: Saves, result: Result) -> bool:
    """Whether the result of a chain is there when its first rule runs."""
    return saves == "output" or result == "held"


# Chains of which values are computed again --------------------------------------------------------


def least_arrays_at_all(length: int, *, saves: Saves, result: Result = "dropped") -> int:
    """The fewest arrays within which a chain goes forward and backward at any cost.

    The input, the value that a rule reads where that is not the input, and two gradients; where
    the result stays, that too.
    """
    if length < 1:
        raise ValueError(f"a chain has at least 1 operation, not {length}")
    return 3 + (result == "held") + (length > 1 or (saves == "output" and result == "dropped"))


def least_evaluations(length: int, arrays: int, *, saves: Saves, result: Result = "dropped") -> int:
    """The fewest forward evaluations of a chain that never has more than so many arrays at once.

    length: N unary operations on arrays of one size, the input always held and counted, the seed of
    backward an array like the others. saves: what the gradient rule reads.
    Raises ValueError where so few arrays do at no cost.
    Source: A. Griewank and A. Walther, "Algorithm 799: revolve" (2000), with the two gradients of
    the rule that runs counted, which leaves M - 3 values to hold; an operation whose output is
    saved has its rule run as if one more operation stood behind it.
    """
    fewest = least_arrays_at_all(length, saves=saves, result=result)
    if arrays < fewest:
        raise ValueError(
            f"a chain of {length} operations whose {saves}s are saved, the result {result}, needs "
            f"{fewest} arrays at least, not {arrays}"
        )
    if result == "held":
        return _advances(length, arrays - 4) + 1
    if saves == "output":
        return _advances(length + 1, arrays - 3)
    return _advances(length, arrays - 3) + 1


def _advances(length: int, held: int) -> int:
    """t(l, s): how often so many steps are advanced over where s values are held at once."""
    sweeps = 0
    while comb(held + sweeps, held) < length:
        sweeps += 1
    return sweeps * length - comb(held + sweeps, held + 1)


def least_arrays(length: int, evaluations: int, *, saves: Saves, result: Result = "dropped") -> int:
    """The fewest arrays within which a chain needs no more than so many forward evaluations.

    Raises ValueError for fewer evaluations than there are operations.
    """
    if evaluations < length:
        raise ValueError(f"a chain of {length} operations evaluates {length}, not {evaluations}")
    arrays = least_arrays_at_all(length, saves=saves, result=result)
    while least_evaluations(length, arrays, saves=saves, result=result) > evaluations:
        arrays += 1
    return arrays


class Segmented(NamedTuple):
    """What a chain in segments comes to."""

    arrays: int  # at the peak
    evaluations: int


def uniform_segments(
    length: int, segments: int, *, saves: Saves, result: Result = "dropped"
) -> Segmented:
    """The peak and the forward evaluations of a chain in segments that are all as long.

    The first value of each segment is held, and the others are computed again when backward comes
    to it; those of the last segment, where it begins, are still there.
    Raises ValueError where the length is no multiple of the number of segments.
    Source: T. Chen et al., "Training deep nets with sublinear memory cost" (2016).
    """
    if segments < 1 or length < 1 or length % segments:
        raise ValueError(f"{length} operations are not cut into {segments} segments of one length")
    each = length // segments
    arrays = segments + each + 1 + _one_more(saves, result)
    return Segmented(arrays, length + (segments - 1) * (each - 1))


# Any graph ----------------------------------------------------------------------------------------


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
    rule gave for it; None where it gave nothing, NEW where that is in no buffer yet, SCATTERED
    where it is a few elements, to be added to what is there.
    """

    application: Application
    reads: Sequence[int]
    gradients: Sequence[int | None]


NEW, SCATTERED = -1, 0


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
    backward pass ends. Sums are taken in place: what a further rule gives is needed beside the
    gradient that it is added to, and no third array. The floor is the highest sum, over time, of
    all buffers that are needed at once.
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
                self.add(value, gradient, rule)

    def add(self, value: Value, buffer: int, rule: Rule) -> None:
        """Add what a rule gave to the gradient of a value.

        A few elements are added to what is there, and take an array only where there is none.
        """
        held = self.gradients.get(value.number)
        if held is None or buffer != SCATTERED:
            buffer = self.new(value.bytes) if buffer in (NEW, SCATTERED) else buffer
            self.need(buffer)
        if held is None:
            self.gradients[value.number] = buffer
            return
        self.need(held)
        others = {b for number, b in self.gradients.items() if number != value.number}
        others |= {b for b in rule.gradients if b is not None and rule.gradients.count(b) > 1}
        if buffer != SCATTERED and held in others:  # so the sum is taken in another array
            self.gradients[value.number] = self.new(value.bytes) if buffer in others else buffer
            self.need(self.gradients[value.number])

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

"""The least that memory can come to: floors to set a measured peak beside.

For a chain of unary operations in closed form; for any graph, in the order in which its operations
ran, from a log of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, zip_longest
from math import comb, gcd, inf
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


class Layers:
    """A network of layers, each a product of matrices and an activation whose output is saved.

    x_0 -> z_1 -> x_1 -> ... -> z_n -> x_n: the rule of a product reads its input x and makes the
    gradients of x and of the weight, which stays; that of an activation reads its output x. x_0 has
    no gradient. The result is dropped, and the seed of backward an array like the others. Backward
    of layer i is the activation's rule and then the product's, which needs x_(i - 1).
    """

    def __init__(self, values: Sequence[int], weights: Sequence[int]) -> None:
        """values: the bytes of x_0 to x_n. weights: of each layer's weight, and its gradient."""
        if len(values) != len(weights) + 1 or not weights:
            raise ValueError(f"{len(values)} values are not those of {len(weights)} layers")
        self.values = values
        self.weights = weights
        self._costs: dict[tuple[int, int, int], float] = {}
        self._left = [*accumulate(reversed(weights)), 0]  # by gradients of weights, of the last n
        self.grain = gcd(*values, *weights)  # no budget between two multiples of it makes another

    @property
    def length(self) -> int:
        """How many operations there are."""
        return 2 * len(self.weights)

    def least_evaluations(self, budget: int) -> int | None:
        """The fewest forward evaluations within so many bytes, x_0 and all weights among them.

        Of schedules that hold on to what they hold until backward has come to it, which for layers
        of different sizes is not always the best of all. None where there is no such schedule.
        """
        free = budget // self.grain * self.grain - self.values[0] - sum(self.weights)
        least = self._forward(0, free)
        return None if least == inf else int(least) + self.length

    def _forward(self, held: int, free: int) -> float:
        """What is computed again where x_held is the last value that is held on the way forward."""
        n = len(self.weights)
        if self._most(held, n, 0) > free or 3 * self.values[n] > free:
            return inf
        best = self._backward(held, n, free)
        for value in range(held + 1, n):
            if best == 0:
                break
            after = self._forward(value, free - self.values[value])
            if after < best:
                best = min(best, after + self._before(held, value, free))
        return best

    def _backward(self, held: int, layer: int, free: int) -> float:
        """What is computed again by the rules of a layer's product and of all layers before it.

        x_held is held, the gradient of z_layer is there, and free has room for it, too.
        """
        key = held, layer, free
        if key not in self._costs:
            self._costs[key] = self._searched(held, layer, free)
        return self._costs[key]

    def _searched(self, held: int, layer: int, free: int) -> float:
        waiting = self.values[layer]
        if layer == held + 1:
            made = (self.values[held] if held else 0) + self._standing(layer)
            return 0.0 if waiting + made <= free else inf
        best, once = inf, 2 * (layer - 1 - held)  # each value between is computed again at least
        for value in range(held + 1, layer):
            if best == once or self._most(held, value, waiting + self._standing(layer + 1)) > free:
                break
            after = self._backward(value, layer, free - self.values[value])
            again = 2 * (value - held) + after
            if again < best:
                best = min(best, again + self._before(held, value, free))
        return best

    def _before(self, held: int, value: int, free: int) -> float:
        """The same of the layers up to a value that is held, by which and whose gradient begin."""
        if 3 * self.values[value] + self._standing(value + 1) > free:
            return inf
        return self._backward(held, value, free)

    def _standing(self, layer: int) -> int:
        """The gradients of the weights from a layer on."""
        after = len(self.weights) - layer + 1
        return self._left[after - 1] if after else 0

    def _most(self, held: int, value: int, waiting: int) -> int:
        """The most that is there on the way from x_held to a value: that, and what waits."""
        steps = ((self.values[i - 1] if i > held + 1 else 0) for i in range(held + 1, value + 1))
        ways = zip(steps, self.values[held + 1 : value + 1], strict=True)
        return waiting + max(max(before + after, 2 * after) for before, after in ways)


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
    where it is a few elements, to be added to what is there. given: the buffer of each output's
    gradient, as the rule got it; a sum has one that the log did not see before.
    """

    application: Application
    reads: Sequence[int]
    gradients: Sequence[int | None]
    given: Sequence[int | None] = ()


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
        known: dict[int | None, int] = {}  # buffers that the rule got, by what they are called here
        for value, given in zip_longest(outputs, rule.given):
            buffer = self.gradients.pop(value.number, None)
            known[given] = self.new(value.bytes) if buffer is None else buffer
            self.need(known[given])
        gradients = [None if b is None else known.get(b, b) for b in rule.gradients]
        for value, gradient in zip(rule.application.inputs, gradients, strict=True):
            if gradient is not None:
                self.add(value, gradient, gradients)

    def add(self, value: Value, buffer: int, gradients: Sequence[int | None]) -> None:
        """Add what a rule gave, one of these gradients, to the gradient of a value.

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
        others |= {b for b in gradients if b is not None and gradients.count(b) > 1}
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

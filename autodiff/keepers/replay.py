"""Applications that can be repeated: in what order, and what a stage made of them takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.arrays import Array, gradient_spec, sole
from autodiff.gradients import Leaf
from autodiff.graph import Function
from autodiff.keepers.chains import Stage
from autodiff.keepers.footprints import PLAIN, UNDECLARED, footprint_of
from autodiff.keepers.ledger import owner
from autodiff.keepers.values import Making, Value


def order(targets: Iterable[Value], is_there: Callable[[Value], bool]) -> list[Making]:
    """The applications to repeat for some values, each after those that make its inputs."""
    ordered: dict[Making, None] = {}
    stack = [(value.making, False) for value in targets if not is_there(value)][::-1]
    while stack:
        making, inputs_done = stack.pop()
        if making is None or making in ordered:
            continue
        if inputs_done:
            ordered[making] = None
            continue
        stack.append((making, True))
        stack += [
            (x.making, False)
            for x in reversed(making.inputs)
            if isinstance(x, Value) and not is_there(x)
        ]
    return list(ordered)


def computed(targets: Sequence[Value]) -> dict[Value, Array]:
    """The arrays of some values, of which each is computed that nobody has.

    What is computed on the way goes as soon as nothing more needs it.
    """
    found = {value: array for value in targets if (array := value.found()) is not None}
    makings = order(targets, lambda value: value.found() is not None)
    uses = Counter(x for making in makings for x in making.inputs if isinstance(x, Value))
    wanted, fresh = set(targets), found
    for making in makings:
        arrays = list(making.again())
        for value, array in zip(making.outputs(), arrays, strict=True):
            if value is not None and (value in uses or value in wanted):
                value.hold(array)
                value.drop()  # who holds it is decided here, not by the Value
                fresh[value] = array
        del arrays, array
        for x in making.inputs:
            if x in uses:
                uses[x] -= 1
                if not uses[x] and x not in wanted:
                    fresh.pop(x, None)
    return fresh


class Application(NamedTuple):
    """A Making, and what the account is to know of it.

    sizes, gradients: bytes of each output, none for a view, and of its gradient. beside: of what
    its forward makes beside them for a moment. rule: of all that its rule makes. wanted: the inputs
    that want a gradient, parameters as Leaves, with its bytes. reads: the Values that its rule
    reads, but for constants. follows: whether it depends on the stage's input.
    """

    making: Making
    outputs: tuple[Value, ...]
    sizes: tuple[int, ...]
    gradients: tuple[int, ...]
    beside: int
    rule: int
    wanted: list[tuple[Value | Leaf, int]]
    reads: tuple[Value, ...]
    follows: bool


class Account:
    """The applications of one stage, as they are recorded, and what they come to.

    given: the stage's input.
    """

    def __init__(self, given: Value) -> None:
        self.given = given
        self.applications: dict[Making, Application] = {}
        self._owners: dict[Value, Value] = {}  # whose memory a view is of
        self._sizes: dict[Value, int] = {}
        self._constants: dict[int, Value] = {}  # by their arrays' ids

    def add(
        self, function: Function, kept: Sequence[Any], arrays: Sequence[Any], results: Sequence[Any]
    ) -> Application:
        """Take in an application that has just been recorded. kept: what `values_kept` gave."""
        making = function.making
        assert making is not None
        inputs = [self._input(x) for x in making.inputs]
        outputs = tuple([making.output(i, y) for i, y in enumerate(results)])
        sizes = tuple([self._own(*y, inputs, arrays) for y in zip(outputs, results, strict=True)])
        beside, rule = _made_meanwhile(function, arrays, results)
        wanted: list[tuple[Value | Leaf, int]] = []
        for x, source, array in zip(inputs, function.sources, arrays, strict=True):
            if x is None:
                continue
            parameter = source if isinstance(source, Leaf) and x is not self.given else None
            if source is not None:
                wanted.append((parameter or x, _gradient(array)))
            if parameter is None and self._is_constant(x):
                self._constants[id(array)] = x
        reads = [self._input(x) for x in kept]
        application = self.applications[making] = Application(
            making,
            outputs,
            sizes,
            tuple([_gradient(y) for y in results]),
            max(0, beside - sum(sizes)),
            rule,
            wanted,
            tuple(dict.fromkeys(x for x in reads if x is not None and not self._is_constant(x))),
            any(x is self.given or self._follows(x) for x in inputs if x is not None),
        )
        return application

    def _input(self, x: Any) -> Value | None:
        """An operand's Value, the same one wherever it is the stage's input; None for a number."""
        if not isinstance(x, Value):
            return None
        same = self.given.making is None and x.found() is self.given.held
        return self.given if same else x

    def _is_constant(self, x: Value) -> bool:
        return x.making is None and x is not self.given

    def _follows(self, x: Value) -> bool:
        return x.making in self.applications and self.applications[x.making].follows

    def _own(self, value: Value, array: Array, inputs: Sequence[Any], arrays: Sequence[Any]) -> int:
        """The bytes that an output has for itself: of a view of an input, none."""
        memory = owner(array)
        for x, of in zip(inputs, arrays, strict=True):
            if isinstance(of, np.ndarray) and owner(of) is memory:
                self._owners[value] = self._owners.get(x, x)
                return 0
        self._sizes[value] = memory.nbytes
        return memory.nbytes

    # What the stage comes to ----------------------------------------------------------------------

    def main(self, result: Value) -> list[Application]:
        """The applications between the stage's input and its result, in their order."""
        made = [self.applications[making] for making in self._order([result])]
        return [application for application in made if application.follows]

    def stage(self, result: Value, array: Array) -> Stage:
        """The stage that they make up, with its result and that one's array."""
        main = self.main(result)
        reads = list(dict.fromkeys(x for application in main for x in application.reads))
        inside = [x for x in reads if x is not self.given and x is not result]
        again = self._order(inside)
        repeated = self._forward(self._order([x for x in reads if x is not self.given]), reads)
        if result in reads:  # which may stand while the others are computed again
            beside = self._bytes([result])
            repeated = max(repeated, beside + self._forward(self._order(inside), inside))
        backward, left = self._backward(result, main, reads)
        return Stage(
            cost=len(self._order([result])),
            result=owner(array).nbytes,
            gradient=_gradient(array),
            forward=self._forward(self._order([result]), [result]),
            backward=max(repeated + _gradient(array), backward),
            reads_input=self.given in reads or any(self._reads_given(m) for m in again),
            reads_result=result in reads,
            inside=self._bytes(inside),
            again=len(again),
            made=self.made(),
            left=left,
        )

    def _order(self, targets: Iterable[Value]) -> list[Making]:
        return order(targets, lambda x: x is self.given or x.making not in self.applications)

    def _reads_given(self, making: Making) -> bool:
        return any(self._input(x) is self.given for x in making.inputs)

    def _owner(self, value: Value) -> Value:
        return self._owners.get(value, value)

    def _bytes(self, values: Iterable[Value]) -> int:
        """Of these Values, but for the memory of the stage's input."""
        return sum(self._sizes.get(owner, 0) for owner in {self._owner(x) for x in values})

    def _forward(self, makings: Sequence[Making], wanted: Sequence[Value]) -> int:
        """The most that stands while these are repeated, what is not wanted going after its use."""
        uses = Counter(x for making in makings for x in making.inputs if isinstance(x, Value))
        there: set[Value] = set()
        most = 0
        for making in makings:
            application = self.applications[making]
            there.update(application.outputs)
            most = max(most, self._bytes(there) + application.beside)
            uses.subtract(x for x in making.inputs if isinstance(x, Value))
            there = {x for x in there if uses[x] > 0 or x in wanted}
        return most

    def _backward(
        self, result: Value, main: Sequence[Application], reads: Sequence[Value]
    ) -> tuple[int, int]:
        """The most that stands while the rules run, and what of gradients they leave standing."""
        gradients = Gradients()
        readers = Counter(x for application in main for x in application.reads)
        most = 0
        for application in reversed(main):
            for y, size in zip(application.outputs, application.gradients, strict=True):
                if y not in gradients:  # the stage's result; of one that nothing reads it is zeros
                    gradients.add(y, size)
            there = self._bytes(x for x in reads if readers[x] > 0)
            most = max(most, there + gradients.standing() + application.rule)
            readers.subtract(application.reads)
            most = max(most, there + gradients.turned_over(application))
        gradients.drop(self.given)
        return most, gradients.standing()

    def made(self) -> int:
        """The bytes of constants so far that nobody else holds, such as random masks."""
        return sum(_alone(value) for value in self._constants.values())


def _gradient(array: Array) -> int:
    """The bytes of the gradient of an array."""
    return int(array.size * gradient_spec(array)[1].itemsize)


class Gradients:
    """The gradients on their way in a backward, and the memory behind them, which some share."""

    def __init__(self) -> None:
        self._memory: dict[Value | Leaf, tuple[object, int]] = {}

    def __contains__(self, key: Value | Leaf) -> bool:
        return key in self._memory

    def add(self, key: Value | Leaf, size: int) -> None:
        """Take in a gradient that has memory of its own."""
        self._memory[key] = object(), size

    def drop(self, key: Value | Leaf) -> None:
        self._memory.pop(key, None)

    def standing(self) -> int:
        """The bytes of all."""
        return sum(dict(self._memory.values()).values())

    def turned_over(self, application: Application) -> int:
        """Exchange the gradients of its outputs for those of its inputs; the most that stands.

        Those that its rule makes no memory for are views of its outputs' gradient. One that is
        added to one that is there may take memory for the sum.
        """
        shared = self._memory[application.outputs[0]]
        for y in application.outputs:
            self.drop(y)
        made, most = application.rule, 0
        for key, size in application.wanted:
            before = self._memory.get(key)
            own = size <= made or size > shared[1] or before is not None
            made -= size if size <= made else 0
            self._memory[key] = (object(), size) if own else shared
            most = max(most, self.standing() + (before[1] if before is not None else 0))
        return most


def _made_meanwhile(
    function: Function, arrays: Sequence[Any], results: Sequence[Array]
) -> tuple[int, int]:
    """The bytes that a forward makes, and those that its rule does.

    Operations of which nothing else is known make their results, and an array for each gradient.
    """
    footprint = footprint_of(function)
    pairs = list(zip(arrays, function.sources, strict=True))
    if footprint in (PLAIN, UNDECLARED):
        return 0, sum(_in_rule(x, results[0]) for x, source in pairs if source is not None)
    rule = footprint.of_rule(function, arrays, results)
    return footprint.of_forward(function, arrays), rule


def _in_rule(x: Array, y: Array) -> int:
    """The bytes of a gradient; of one that is summed to the input's shape those of the result's."""
    lead = y.ndim - x.ndim
    sides = zip(x.shape, y.shape[max(lead, 0) :], strict=False)
    broadcast = lead >= 0 and all(n in (1, m) for n, m in sides)
    return max(_gradient(x), _gradient(y)) if broadcast else _gradient(x)


def _alone(value: Value) -> int:
    """The bytes of a Value's array if nobody else holds it, else none."""
    box, value.held = [value.held], None
    alone = sole(box, 0)
    value.held = box[0]
    return value.held.nbytes if alone and value.held is not None else 0

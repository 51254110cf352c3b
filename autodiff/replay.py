"""Applications that can be repeated: in what order, and what a stage of a chain made of them takes.

What an operation makes for itself for a moment is not in the account.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.arrays import Array, gradient_spec, sole
from autodiff.chains import Stage
from autodiff.gradients import Leaf
from autodiff.graph import Function
from autodiff.values import Making, Value


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


def buffer(array: Array) -> Array:
    """The array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class Application(NamedTuple):
    """A Making, and what the account is to know of it.

    sizes, gradients: bytes of each output, none for a view, and of its gradient. wanted: the inputs
    that want a gradient, parameters as Leaves, with its bytes, and those while the rule makes it.
    reads: the Values that its rule reads, but for constants. follows: whether it depends on the
    stage's input.
    """

    making: Making
    outputs: tuple[Value, ...]
    sizes: tuple[int, ...]
    gradients: tuple[int, ...]
    wanted: list[tuple[Value | Leaf, int, int]]
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
        wanted: list[tuple[Value | Leaf, int, int]] = []
        for x, source, array in zip(inputs, function.sources, arrays, strict=True):
            if x is None:
                continue
            parameter = source if isinstance(source, Leaf) and x is not self.given else None
            if source is not None:
                wanted.append((parameter or x, _gradient(array), _in_rule(array, results[0])))
            if parameter is None and self._is_constant(x):
                self._constants[id(array)] = x
        reads = [self._input(x) for x in kept]
        application = self.applications[making] = Application(
            making,
            outputs,
            tuple([self._own(*y, inputs, arrays) for y in zip(outputs, results, strict=True)]),
            tuple([_gradient(y) for y in results]),
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
        memory = buffer(array)
        for x, of in zip(inputs, arrays, strict=True):
            if isinstance(of, np.ndarray) and buffer(of) is memory:
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
        backward, left = self._backward(result, main, reads)
        return Stage(
            cost=len(self._order([result])),
            result=buffer(array).nbytes,
            gradient=_gradient(array),
            forward=self._forward(self._order([result]), [result]),
            backward=max(repeated + _gradient(array), backward),
            reads_input=self.given in reads or any(self._reads_given(m) for m in again),
            reads_result=result in reads,
            inside=self._bytes(inside),
            again=len(again),
            made=self._made(),
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
            there.update(self.applications[making].outputs)
            most = max(most, self._bytes(there))
            uses.subtract(x for x in making.inputs if isinstance(x, Value))
            there = {x for x in there if uses[x] > 0 or x in wanted}
        return most

    def _backward(
        self, result: Value, main: Sequence[Application], reads: Sequence[Value]
    ) -> tuple[int, int]:
        """The most that stands while the rules run, and what of gradients they leave standing."""
        gradients: dict[Value | Leaf, int] = {}
        readers = Counter(x for application in main for x in application.reads)
        most = 0
        for application in reversed(main):
            for y, size in zip(application.outputs, application.gradients, strict=True):
                gradients.setdefault(y, size)  # of one that nothing reads it is zeros
            made = sum(size for _, _, size in application.wanted)
            there = [x for x in reads if readers[x] > 0]
            most = max(most, self._bytes(there) + sum(gradients.values()) + made)
            readers.subtract(application.reads)
            for y in application.outputs:
                del gradients[y]
            gradients.update({x: size for x, size, _ in application.wanted})
        gradients.pop(self.given, None)
        return most, sum(gradients.values())

    def _made(self) -> int:
        """The bytes of constants that nobody else holds, such as random masks."""
        return sum(_alone(value) for value in self._constants.values())


def _gradient(array: Array) -> int:
    """The bytes of the gradient of an array."""
    return int(array.size * gradient_spec(array)[1].itemsize)


def _in_rule(x: Array, y: Array) -> int:
    """The bytes that a rule makes for an input: those of y until they are summed back to x."""
    lead = y.ndim - x.ndim
    broadcast = lead >= 0 and all(n in (1, m) for n, m in zip(x.shape, y.shape[lead:], strict=True))
    return max(_gradient(x), _gradient(y)) if broadcast else _gradient(x)


def _alone(value: Value) -> int:
    """The bytes of a Value's array if nobody else holds it, else none."""
    box, value.held = [value.held], None
    alone = sole(box, 0)
    value.held = box[0]
    return value.held.nbytes if alone and value.held is not None else 0

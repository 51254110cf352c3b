"""How often forward is computed: once for every operation, and again where that buys memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from autodiff import Function
from experiments.instruments.applications import Applications, Method
from experiments.instruments.instrument import Instrument


class Evaluations(Instrument):
    """How many operations are evaluated, and how many of them again, by the operation's name.

    Sees: every evaluation of a Function's forward. It is the first where the Function is applied by
    code of the workload's, or for the gradient's own graph (create_graph); all others compute
    again. A Function that evaluates others in its forward, as a checkpoint does, is counted by
    these and not itself.
    Blind to: what an evaluation costs; what NumPy computes outside of Functions, gradient rules
    among it. What a checkpoint applies again for `grad`, or under create_graph, cannot be told from
    the gradient's own graph, and counts as the first; what is repeated without being applied, as
    budgets and sequences of checkpoints do, never does.
    Cost: some microseconds for each evaluation; that is why it measures nothing else.
    Source: the public classes autodiff.Function and Variable, wrapped while the trial runs.
    """

    name = "evaluations"

    def __init__(self) -> None:
        super().__init__()
        self._first: Counter[str] = Counter()
        self._again: Counter[str] = Counter()
        self._made_of_others: set[type[Function]] = set()
        self._number = 0  # of evaluations
        self._going_back = False  # whether what is applied now is computed again
        self._applied: Function | None = None  # the innermost that is being applied
        self._watched = Applications(self._apply, self._run, self._evaluate)

    def at(self, phase: str) -> None:
        if phase == "built":
            self._watched.watch()
            self._watched.watch_backward(self._pass)
        elif phase == "dropped":
            self._watched.restore()

    def close(self) -> None:
        again = sum(self._again.values())
        self.readings["evaluations_count"] = sum(self._first.values()) + again
        self.readings["recomputed_count"] = again
        self.details["evaluations"] = {
            name: {"first": self._first[name], "again": self._again[name]}
            for name, _ in (self._first + self._again).most_common()
        }

    def _apply(self, call: Method, function: Function, inputs: tuple[Any, ...]) -> Any:
        before, self._applied = self._applied, function
        try:
            return call(function, *inputs)
        finally:
            self._applied = before

    def _evaluate(self, forward: Method, function: Function, arrays: tuple[Any, ...]) -> Any:
        before = self._number
        result = forward(function, *arrays)
        if self._number > before:
            self._made_of_others.add(type(function))
            return result
        self._number += 1
        again = self._going_back or function is not self._applied
        (self._again if again else self._first)[type(function).__name__] += 1
        return result

    def _run(self, rule: Method, function: Function, gys: tuple[Any, ...]) -> Any:
        back = self._going_back or type(function) in self._made_of_others
        return self._within(back, rule, function, *gys)

    def _pass(self, run: Callable[[], None], create_graph: bool) -> None:
        self._within(not create_graph, run)

    def _within(self, back: bool, call: Method, *given: Any) -> Any:
        """What a call gives, while what is evaluated is computed again, or is not."""
        before, self._going_back = self._going_back, back
        try:
            return call(*given)
        finally:
            self._going_back = before

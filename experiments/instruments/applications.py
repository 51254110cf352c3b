"""Every application of a Function, evaluation of its forward and run of its gradient rule."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeAlias

from autodiff import Function, Variable, through_apply

Method: TypeAlias = Callable[..., Any]
Around: TypeAlias = Callable[[Method, Function, tuple[Any, ...]], Any]
AroundPass: TypeAlias = Callable[[Callable[[], None], bool], None]


class Applications:
    """The engine's public classes, wrapped from `watch` to `restore`.

    apply: called in the place of Function.apply with it, the Function and its inputs; returns
        what it returns. run: called in the place of a class's `backward` in the same way, with the
        outputs' gradients; not for a rule that another class's rule calls. evaluate: called in the
        place of a class's `forward` in the same way, with arrays.
    """

    def __init__(self, apply: Around, run: Around, evaluate: Around | None = None) -> None:
        self._apply, self._run, self._evaluate = apply, run, evaluate
        self._undo = ExitStack()
        self._wrapped: set[type] = set()

    def watch(self) -> None:
        """Hand over every application from here on."""
        self._undo.enter_context(through_apply())
        for kind in _kinds(Function):
            if "apply" in vars(kind):
                self._watch_apply(kind)

    def _watch_apply(self, kind: type[Function]) -> None:
        """Hand over what a class applies by a way of its own."""
        apply = kind.apply

        def applied(function: Function, *inputs: Any) -> Any:
            self._watch_kind(type(function))
            return self._apply(apply, function, inputs)

        self.replace(kind, "apply", applied)

    def _watch_kind(self, kind: type[Function]) -> None:
        """Hand over what a class's own methods do, when the first of it is applied."""
        if kind in self._wrapped:
            return
        self._wrapped.add(kind)
        if self._evaluate is not None:
            self._watch_forward(kind, self._evaluate)
        self._watch_rule(kind)

    def _watch_rule(self, kind: type[Function]) -> None:
        """Hand over every run of a class's gradient rule, whichever class it inherits it from."""
        rule = kind.backward

        def ran(function: Function, *gys: Any) -> Any:
            if type(function) is not kind:  # a subclass calls this one's rule
                return rule(function, *gys)
            return self._run(rule, function, gys)

        self.replace(kind, "backward", ran)

    def _watch_forward(self, kind: type[Function], evaluate: Around) -> None:
        """Hand over every evaluation of a class's forward, which may be a function of NumPy's."""
        given = inspect.getattr_static(kind, "forward")

        def forward(function: Function, *arrays: Any) -> Any:
            if hasattr(given, "__get__"):
                return given.__get__(function, kind)(*arrays)
            return given(*arrays)  # a ufunc, which is not bound

        def evaluated(function: Function, *arrays: Any) -> Any:
            if type(function) is not kind:  # a subclass calls this one's forward
                return forward(function, *arrays)
            return evaluate(forward, function, arrays)

        self.replace(kind, "forward", evaluated)

    def watch_backward(self, go: AroundPass) -> None:
        """Hand over every backward pass from here on.

        go: called with what runs the pass, and with whether it is to create a graph.
        """
        backward = Variable.backward

        def passed(
            variable: Variable,
            retain_grad: bool | None = None,
            retain_graph: bool | None = None,
            create_graph: bool = False,
        ) -> None:
            results = [variable]
            del variable  # or a result that nobody else holds would live until the pass is over
            go(
                lambda: backward(results.pop(), retain_grad, retain_graph, create_graph),
                create_graph,
            )

        self.replace(Variable, "backward", passed)

    def replace(self, owner: type, name: str, method: Method) -> None:
        """Put a method in another's place until all is restored."""
        was = vars(owner).get(name)
        setattr(owner, name, functools.wraps(getattr(owner, name))(method))
        self._undo.callback(lambda: setattr(owner, name, was) if was else delattr(owner, name))

    def restore(self) -> None:
        """Put every method back."""
        self._undo.close()


def _kinds(kind: type[Function]) -> Iterator[type[Function]]:
    """A class, and all that inherit from it."""
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)

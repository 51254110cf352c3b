"""All references at one moment, by number, and the names by which people know what is held.

What a person knows is a local variable of a function that runs, a module's global, and a class's
attribute. A variable that functions within one use is a cell to Python; to a person it is a name.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MethodType,
    ModuleType,
)

from experiments.census import Heap, is_untracked_holder
from experiments.references import FOLDED, Local
from experiments.refgraph.engine import is_shared, kind_of

# Held by everything and telling nothing: neither shown nor followed.
STOPS = (type, ModuleType, CodeType, property, staticmethod, classmethod)

# Shown only where they lead to something else.
CARRIERS = (*FOLDED, FunctionType, MethodType, BuiltinFunctionType)


@dataclass(frozen=True)
class Name:
    """A name that a person knows, and the number of what it holds."""

    title: str
    detail: str
    holds: int


def is_weak(node: object) -> bool:
    """Whether an object is a weak reference, and no vertex of an engine that is one besides."""
    if isinstance(node, weakref.ReferenceType):
        return kind_of(type(node)) is None
    return type(node) in weakref.ProxyTypes


class Snapshot:
    """Objects by number, and who refers to whom.

    variables: those of the functions that run.
    own: the ids of what refers to the objects only in order to look at them.
    given: names that the caller has for some objects, in place of all others.
    """

    def __init__(
        self,
        heap: Heap,
        variables: Iterable[Local] = (),
        own: Collection[int] = (),
        given: Mapping[str, int] | None = None,
    ) -> None:
        self.heap = heap
        self.nodes: Sequence[object] = self.heap.nodes
        self.edges = self.heap.edges
        self.numbers = {id(node): i for i, node in enumerate(self.nodes)}
        self.holders: list[list[int]] = [[] for _ in self.nodes]
        for number, targets in enumerate(self.edges):
            for target in targets:
                self.holders[target].append(number)
        self.own = {self.numbers[i] for i in own if i in self.numbers}
        self.cells: dict[int, Name] = {}  # those that are variables of functions that run
        self._locals: dict[int, list[Name]] = {}
        self._modules = {id(vars(module)) for module in list(sys.modules.values())}
        self._finds_names = given is None
        if given is None:
            self._claim(variables)
        else:
            for title, target in given.items():
                self._locals.setdefault(self.numbers[target], []).append(
                    Name(title, "", self.numbers[target])
                )

    def _claim(self, variables: Iterable[Local]) -> None:
        """Find what the variables hold, each by itself or by its cell."""
        taken: dict[int, int] = {}
        for variable in variables:
            number = self.numbers.get(variable.holds)
            if number is None:
                continue
            function = variable.function.replace("<locals>.", "")
            word = "variable around" if variable.outer else "local of"
            name = Name(variable.name, f"{word} {function}", number)
            cell = self._cell_of(number, taken) if variable.shared else None
            if cell is None:
                self._locals.setdefault(number, []).append(name)
                continue
            taken[cell] = taken.get(cell, 0) + 1
            if cell not in self.cells or not variable.outer:
                self.cells[cell] = name

    def _cell_of(self, number: int, taken: Mapping[int, int]) -> int | None:
        """The cell by which a function that runs holds an object."""
        for holder in self.holders[number]:
            free = self.heap.outside[holder] - taken.get(holder, 0)
            if type(self.nodes[holder]) is CellType and free > 0:
                return holder
        return None

    def numbers_of(self, objects: Iterable[object]) -> list[int]:
        """The numbers of those objects that have one."""
        return [self.numbers[id(one)] for one in objects if id(one) in self.numbers]

    def disown_copies(self, roots: tuple[object, ...]) -> bool:
        """Let no tuple count that a call like `of(*roots)` has its arguments from; is there one?"""
        first = self.holders[self.numbers[id(roots[0])]] if roots else ()
        found = {number for number in first if self._is_copy(number, roots)}
        self.own |= found
        return bool(found - {self.numbers.get(id(roots))})

    def _is_copy(self, number: int, roots: tuple[object, ...]) -> bool:
        node = self.nodes[number]
        if type(node) is not tuple or self.holders[number] or len(node) != len(roots):
            return False
        return all(one is other for one, other in zip(node, roots, strict=True))

    # What a number stands for -------------------------------------------------------------------

    def is_stop(self, number: int) -> bool:
        """Whether an object is neither shown nor followed."""
        node = self.nodes[number]
        return (
            number in self.own
            or isinstance(node, STOPS)
            or is_shared(type(node))
            or self._is_namespace(number)
        )

    def _is_namespace(self, number: int) -> bool:
        """Whether an object is what holds the globals of a module, or a class's attributes."""
        node = self.nodes[number]
        if type(node) is not dict:
            return False
        return (
            id(node) in self._modules
            or "__builtins__" in node
            or any(isinstance(self.nodes[holder], type) for holder in self.holders[number])
        )

    def referent(self, number: int) -> int | None:
        """What an object that is a weak reference refers to, if that is alive and known."""
        node = self.nodes[number]
        if isinstance(node, weakref.ReferenceType):
            return self.numbers.get(id(weakref.ReferenceType.__call__(node)))
        if type(node) in weakref.ProxyTypes:
            return self.numbers.get(id(_behind(node)))
        return None

    def is_weak(self, number: int) -> bool:
        return is_weak(self.nodes[number])

    # Names --------------------------------------------------------------------------------------

    def names_of(self, number: int) -> list[Name]:
        """The names that hold an object, but for those by a cell."""
        found = list(self._locals.get(number, ()))
        if self._finds_names:
            for holder in dict.fromkeys(self.holders[number]):
                if self._is_namespace(holder):
                    found += self._entries(holder, number)
        return found

    def is_named(self, number: int) -> bool:
        if number in self._locals:
            return True
        return self._finds_names and any(self._is_namespace(h) for h in self.holders[number])

    def _entries(self, namespace: int, number: int) -> Iterator[Name]:
        """The names for an object in the globals of a module or among a class's attributes."""
        entries = self.nodes[namespace]
        assert isinstance(entries, dict)
        target = self.nodes[number]
        cls = next((c for c in map(self._node, self.holders[namespace]) if _is_class(c)), None)
        is_module = id(entries) in self._modules or "__builtins__" in entries
        for key, value in entries.items():
            if value is not target:
                continue
            if is_module:
                yield Name(str(key), f"global of {entries.get('__name__')}", number)
            else:
                yield Name(f"{getattr(cls, '__qualname__', '?')}.{key}", "class attribute", number)

    def _node(self, number: int) -> object:
        return self.nodes[number]


def with_untracked(objects: list[object], more: Iterable[object]) -> list[object]:
    """A list of objects, and what else is to be in it though the collector does not list it."""
    known = set(map(id, objects))
    for one in more:
        if id(one) not in known and is_untracked_holder(one):
            objects.append(one)
            known.add(id(one))
    return objects


def _is_class(node: object) -> bool:
    return isinstance(node, type)


def _behind(proxy: object) -> object:
    """What a weak proxy stands for, by a method of it that is bound to that."""
    try:
        return proxy.__init__.__self__  # type: ignore[misc]
    except (AttributeError, ReferenceError):
        return None

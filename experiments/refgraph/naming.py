"""How what is drawn is called: each reference by its attribute, each object by what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Sized
from types import CellType, FunctionType, MethodType
from typing import Any

import numpy as np

from experiments.census import own_bytes, owner
from experiments.references import (
    FOLDED,
    asked_for,
    attribute_names,
    named_references,
    title,
)
from experiments.refgraph.engine import LINKS, MORE, SEVERAL, class_name, kind_of, property_for
from experiments.refgraph.model import Kind

NAMELESS = "(no name)"

_FIRST = re.compile(r"\.(\w+)(.*)", re.DOTALL)


class Labels:
    """What references and objects are called; each class and each holder is looked at once.

    asking: whether an object may be asked for its dict, which it then has if it had none before.
    """

    def __init__(self, asking: bool = True) -> None:
        self._asking = asking
        self._ways: dict[int, dict[int, list[str]]] = {}
        self._owners: dict[int, object] = {}  # a dict or closure -> the object whose own it is
        self._attributes: dict[type, list[str]] = {}

    def _names_of(self, cls: type) -> list[str]:
        if cls not in self._attributes:
            self._attributes[cls] = attribute_names(cls)
        return self._attributes[cls]

    def references(self, holder: object) -> Iterator[tuple[str, object]]:
        """What an object refers to by a name."""
        return named_references(holder, self._names_of)

    def of(self, way: Sequence[tuple[object, object, int]]) -> str:
        """What a reference is called that goes by a way of holders and what they hold."""
        return "".join(self._step(*hop) for hop in way) or NAMELESS

    def _step(self, holder: object, target: object, nth: int) -> str:
        ways = self._ways.get(id(holder))
        if ways is None:
            ways = self._ways[id(holder)] = self._found(holder)
        names = ways.get(id(target), [])
        if not names and self._is_own(holder, target):
            self._owners[id(target)] = holder
            return ""
        if not names and self._asking:
            names = [name for name, value in asked_for(holder) if value is target]
        return names[min(nth, len(names) - 1)] if names else NAMELESS

    def _is_own(self, holder: object, target: object) -> bool:
        """Whether an object is but the place where another one keeps its attributes or closure."""
        if type(holder) is FunctionType:
            return target is holder.__closure__
        if type(target) is not dict or not self._asking:
            return False
        try:
            return object.__getattribute__(holder, "__dict__") is target
        except (AttributeError, TypeError):
            return False

    def titles(self, node: object) -> tuple[str, str]:
        """The two lines that say what an object is: what it is called, and what it holds."""
        match node:
            case np.ndarray():
                view = "" if owner(node) is node else ", a view"
                return type(node).__name__, f"{_shape(node)}{view}"
            case MethodType():
                return f"method {node.__func__.__name__}", ""
            case FunctionType():
                return f"function {node.__qualname__.replace('<locals>.', '')}", ""
        if isinstance(node, FOLDED) and isinstance(node, Sized):
            return type(node).__name__, f"of {len(node)}"
        if kind(node) in ("variable", "function"):
            return self._of_engine(node)
        return title(node), ""

    def _of_engine(self, node: object) -> tuple[str, str]:
        """The lines of a Variable or a Function, of whichever engine."""
        attributes = dict(self.references(node))
        name = attributes.get(".name")
        data = attributes.get("._array", attributes.get(".data"))
        detail = _shape(data) if isinstance(data, np.ndarray) else ""
        generation = attributes.get(".generation")
        if kind(node) == "function" and isinstance(generation, int):
            detail = f"generation {generation}"
        return (name if isinstance(name, str) and name else type(node).__name__), detail

    def _found(self, holder: object) -> dict[int, list[str]]:
        """The names of all that an object refers to, by the id of that."""
        found: dict[int, list[str]] = {}
        entries = self.references(holder)
        its_owner = self._owners.get(id(holder))
        if type(holder) is CellType or class_name(type(holder)) in LINKS:
            entries = (("", value) for _, value in entries)
        elif type(its_owner) is FunctionType:
            variables = its_owner.__code__.co_freevars
            cells = its_owner.__closure__ or ()
            entries = ((f"closure {n}", c) for n, c in zip(variables, cells, strict=True))
        elif its_owner is not None and isinstance(holder, dict):
            entries = ((f".{name}", value) for name, value in holder.items())
        for name, value in entries:
            found.setdefault(id(value), []).append(name)
        return found


def for_readers(label: str, holder: object, target: object) -> str:
    """A label in the words of the book: `._kept[0]`, or `._kept` of one alone, is `.saved[0]`."""
    match = _FIRST.fullmatch(label.removeprefix(MORE))
    if not match:
        return label
    slot, rest = match.groups()
    word = property_for(type(holder), slot)
    if word == "creator":  # which is a Function; of several outputs, it stands beside their number
        return ".creator" if kind_of(type(target)) == "function" else label
    if kind_of(type(holder)) == "function" and word in SEVERAL and not rest.startswith("["):
        rest = f"[0]{rest}"
    return f".{word}{rest}"


def kind(node: object) -> Kind:
    if isinstance(node, np.ndarray):
        return "array"
    found: Any = kind_of(type(node))
    return found or "object"


def size(node: object) -> int:
    """The bytes of an object's own data; an array's buffer counts at the array that owns it."""
    if not isinstance(node, np.ndarray):
        return 0
    return own_bytes(node) or (node.nbytes if owner(node) is node else 0)


def _shape(array: np.ndarray[Any, Any]) -> str:
    return f"{array.shape} {array.dtype}"

"""Kept arrays in another form: `using_config("packer", Half())`, and None to switch it off.

A packer is any object with the two methods of Packer; packers.py has three.

What is packed is memory, and not arrays: of a view (a transpose, the windows of an image) the whole
array that it shows a part of, once, whoever keeps it. Memory of parameters and data, which stands
anyway, stays as it is, in views of it, too. An operand without gradient, such as dropout's mask, is
packed when the next operation begins, if nobody but the graph holds it then.

    Function -- kept --> Packages -- View -- Package    the packed memory, shared
                                  -- array              what stands anyway
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from autodiff.arrays import Array, sole
from autodiff.config import KEEPERS
from autodiff.gradients import Leaf
from autodiff.graph import Function
from autodiff.held import alone, several
from autodiff.keeping import Keeper, Kept


class Packer(Protocol):
    """What holds arrays in another form."""

    def pack(self, array: Array) -> Any:
        """What is held instead of the array."""

    def unpack(self, packed: Any) -> Array:
        """The array again, in its shape and dtype: a new one, or one that nobody writes to."""


class Packing(Keeper):
    """Has a packer hold what operations made, of what Functions keep.

    Raises TypeError for what is no packer.
    """

    def __init__(self, packer: Packer) -> None:
        if isinstance(packer, type):
            raise TypeError(
                f"packer = {packer.__name__}: that is a class; make one: {packer.__name__}()"
            )
        for method in ("pack", "unpack"):
            if not callable(getattr(packer, method, None)):
                raise TypeError(
                    f"packer = {packer!r} has no method {method}: a packer has pack(array) and "
                    "unpack(packed); None switches packing off"
                )
        self.packer = packer
        self._packages: weakref.WeakValueDictionary[int, Package] = weakref.WeakValueDictionary()
        self._standing: weakref.WeakValueDictionary[int, Array] = weakref.WeakValueDictionary()
        self._last: Callable[[], Packages | None] = lambda: None  # those of which some may wait

    def prepare(self, function: Function, arrays: Sequence[Any]) -> None:
        if (last := self._last()) is not None:
            for i in range(len(last.kept)):
                if sole(last.kept, i):
                    last.kept[i] = self._packed(last.kept[i])

    def keep(self, function: Function, arrays: Sequence[Any], results: Sequence[Array]) -> None:
        constants = set()
        for source, array in zip(function.sources, arrays, strict=True):
            if isinstance(array, np.ndarray) and (source is None or isinstance(source, Leaf)):
                memory = memory_of(array)
                if source is None:
                    constants.add(id(memory))
                else:
                    self._standing[id(memory)] = memory
        kept = several(function.kept)
        packed = [x if _is_of(x, constants) else self._packed(x) for x in kept]
        if constants or any(isinstance(x, View) for x in packed):
            function.kept = packages = Packages(packed)
            self._last = weakref.ref(packages)

    def _packed(self, x: Any) -> Any:
        """What stands for an array: a View of packed memory, or itself; for all else, itself."""
        if not isinstance(x, np.ndarray) or not x.size:
            return x
        memory = memory_of(x)
        if self._standing.get(id(memory)) is memory or not in_order(memory).flags.c_contiguous:
            return x
        package = self._packages.get(id(memory))
        if package is None or not package.is_of(memory):
            package = Package(self, memory)
            self.know(package, memory)
        return View(package, x.shape, x.dtype, x.strides, start_of(x) - start_of(memory))

    def know(self, package: Package, memory: Array) -> None:
        """Take down that this memory is packed already."""
        self._packages[id(memory)] = package


class Package:
    """Memory in packed form.

    Raises TypeError or ValueError where the packer does not give back what it was given.
    """

    __slots__ = ("_packing", "_packed", "_spec", "_first", "_last", "__weakref__")

    def __init__(self, packing: Packing, memory: Array) -> None:
        array = in_order(memory)
        self._packing = packing
        self._spec = (array.shape, array.dtype)
        self._first = self._last = weakref.ref(memory)
        self._packed = packing.packer.pack(array)

    def is_of(self, memory: Array) -> bool:
        """Whether this is what it was made of, or what was taken out of it last."""
        return memory is self._first() or memory is self._last()

    def memory(self) -> Array:
        """The memory, taken out."""
        packer = self._packing.packer
        found = packer.unpack(self._packed)
        giver = f"{type(packer).__name__}.unpack gave"
        if not isinstance(found, np.ndarray):
            raise TypeError(f"{giver} {type(found).__name__}, not an ndarray")
        if (found.shape, found.dtype) != self._spec:
            shape, dtype = self._spec
            raise ValueError(
                f"{giver} an array of shape {found.shape} and dtype {found.dtype}, where one of "
                f"shape {shape} and dtype {dtype} had been packed"
            )
        found = np.ascontiguousarray(found)
        memory = memory_of(found)
        if memory.nbytes == found.nbytes:
            self._last = weakref.ref(memory)
            self._packing.know(self, memory)
        return found


class View(NamedTuple):
    """An array in packed memory: where in it, and in what order."""

    package: Package
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...]
    start: int

    def of(self, memory: Array) -> Array:
        """The array, in this memory."""
        alike = (self.shape, self.dtype, self.strides) == (
            memory.shape,
            memory.dtype,
            memory.strides,
        )
        if alike:  # and so all of it
            return memory
        return np.ndarray(self.shape, self.dtype, memory, self.start, self.strides)


class Packages(Kept):
    """What a Function keeps, some of it packed: it is taken out for a rule, and let go after it."""

    __slots__ = ("kept", "__weakref__")

    def __init__(self, kept: list[Any]) -> None:
        self.kept = kept

    def arrays(self) -> Any:
        packages = {x.package for x in self.kept if isinstance(x, View)}
        memories = {package: package.memory() for package in packages}
        return alone(
            tuple([x.of(memories[x.package]) if isinstance(x, View) else x for x in self.kept])
        )


def _is_of(x: Any, memories: set[int]) -> bool:
    """Whether an array lies in one of these memories, given by their ids."""
    return isinstance(x, np.ndarray) and id(memory_of(x)) in memories


def memory_of(array: Array) -> Array:
    """The array whose memory it is a view of; itself, if it is none."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def in_order(memory: Array) -> Array:
    """It with its axes as they lie in memory: contiguous, unless there are gaps."""
    if memory.flags.c_contiguous:
        return memory
    return memory.transpose(sorted(range(memory.ndim), key=lambda i: -memory.strides[i]))


def start_of(array: Array) -> int:
    """Where in memory its first element is."""
    start: int = array.__array_interface__["data"][0]
    return start


KEEPERS["packer"] = Packing

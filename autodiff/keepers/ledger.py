"""Which arrays stand, and the bytes that they come to, while anybody holds them."""

from __future__ import annotations

import weakref
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.arrays import Array


class Ledger:
    """The memory behind arrays: counted once, however many share it, until the last one goes."""

    __slots__ = ("_buffers", "_gone", "_standing", "_forget", "__weakref__")

    def __init__(self) -> None:
        self._buffers: dict[int, Buffer] = {}
        self._gone: deque[int] = deque()  # bytes; an array may go in any thread, at any moment
        self._standing = 0
        self._forget = forgetting(weakref.ref(self))

    @property
    def standing(self) -> int:
        """The bytes of what stands."""
        gone = self._gone
        while gone:
            self._standing -= gone.popleft()
        return self._standing

    def met(self, array: Array, role: str) -> None:
        """Count an array that has not been met before."""
        if array.base is not None:
            array = owner(array)
        key = id(array)
        if key not in self._buffers:
            self._buffers[key] = buffer = Buffer(array, self._forget)
            buffer.key, buffer.size, buffer.role = key, array.nbytes, role
            self._standing += buffer.size

    def __contains__(self, array: Array) -> bool:
        return id(owner(array)) in self._buffers

    def by_role(self) -> Counter[str]:
        """The bytes of what stands, by what it was when it was first met."""
        found: Counter[str] = Counter()
        for buffer in list(self._buffers.values()):
            found[buffer.role] += buffer.size
        return found

    def forget(self, buffer: Buffer) -> None:
        """An array is gone."""
        del self._buffers[buffer.key]
        self._gone.append(buffer.size)


class Buffer(weakref.ref[Array]):
    """A reference to the array that owns its memory."""

    __slots__ = ("key", "size", "role")
    key: int
    size: int
    role: str


def forgetting(link: weakref.ref[Ledger]) -> Callable[[Any], None]:
    """What is called when an array goes; it does not hold the ledger, which holds it."""

    def forget(buffer: Any) -> None:
        if (ledger := link()) is not None:
            ledger.forget(buffer)

    return forget


def owner(array: Array) -> Array:
    """The array whose memory a view shares, whatever stands between the two."""
    base: Any = array.base
    while base is not None:
        if isinstance(base, np.ndarray):
            array = base
        base = getattr(base, "base", None)
    return array

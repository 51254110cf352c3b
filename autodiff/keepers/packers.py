"""Three packers: half precision, compressed, and in a file."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import weakref
import zlib
from collections import defaultdict, deque
from math import frexp, isfinite
from typing import Any, NamedTuple

import numpy as np

from autodiff.arrays import Array


class Halved(NamedTuple):
    array: Array
    dtype: np.dtype[Any]
    exponent: int


class Half:
    """Floats in half precision: a quarter of the bytes of float64, half of those of float32.

    Each array is scaled by a power of two, so that its largest value is just within range. An
    element then comes out with an error of at most 2**-11 of itself or 2**-39 of the largest,
    whichever is more. What that makes of a gradient is the rule's business: one that multiplies
    with what is kept passes the error on in proportion, 1 - y**2 near y = 1 makes it larger.
    Kept as they are: arrays of other dtypes, arrays with an infinity or a nan, and those with a
    value of more than half of what their dtype can hold.
    """

    def pack(self, array: Array) -> Any:
        if array.dtype.kind != "f" or array.dtype.itemsize <= 2:
            return array
        largest = float(max(array.max(initial=0), -array.min(initial=0)))
        power = frexp(largest)[1]
        if not isfinite(largest) or power == np.finfo(array.dtype).maxexp:
            return array
        halved = np.empty(array.shape, np.float16)
        with np.errstate(under="ignore"):
            np.ldexp(array, 15 - power, out=halved, casting="same_kind")
        return Halved(halved, array.dtype, 15 - power)

    def unpack(self, packed: Any) -> Array:
        if not isinstance(packed, Halved):
            array: Array = packed
            return array
        found: Array = packed.array.astype(packed.dtype)
        with np.errstate(under="ignore"):
            np.ldexp(found, -packed.exponent, out=found)
        return found


class Squeezed(NamedTuple):
    bytes: bytes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Compressed:
    """Arrays as zlib compresses them: when they are taken out again, the same to the last bit.

    Bytes of the same weight stand together, so that signs and exponents that are alike are seen to
    be. What it saves depends on the values: of zeros nearly all, of noise nearly nothing.

    level: from 1, the fastest, to 9. Raises ValueError for any other.
    """

    def __init__(self, level: int = 1) -> None:
        if level not in range(1, 10):
            raise ValueError(f"level = {level!r}: allowed are 1, the fastest, to 9")
        self.level = level

    def pack(self, array: Array) -> Any:
        by_weight = _bytes_of(array).reshape(array.size, array.dtype.itemsize).T
        squeezed = zlib.compress(by_weight.tobytes(), self.level)
        if len(squeezed) >= array.nbytes:
            return array
        return Squeezed(squeezed, array.shape, array.dtype)

    def unpack(self, packed: Any) -> Array:
        if not isinstance(packed, Squeezed):
            array: Array = packed
            return array
        by_weight = np.frombuffer(zlib.decompress(packed.bytes), np.uint8)
        in_order = by_weight.reshape(packed.dtype.itemsize, -1).T.copy()
        return in_order.reshape(-1).view(packed.dtype).reshape(packed.shape)


def _bytes_of(array: Array) -> Array:
    """The elements of an array in their order, as bytes."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


PAGE = mmap.ALLOCATIONGRANULARITY  # where a mapping may begin


class Disk:
    """Arrays in a memory-mapped file. Those of less than a page are kept as they are.

    The file never has a name where the system knows such files (Linux does); elsewhere it loses it
    at once, or on Windows is deleted when it is closed, as it is when the process is killed. So no
    file is left behind, however the process ends. After a fork, both processes begin a new one.
    The place of an array is used again when nobody needs the array, and the file is emptied when
    nobody needs any.

    folder: where it is; by default where the system has its temporary files. Mind that this may be
        memory, too, as /tmp is on some systems.
    Raises OSError, when the first array is packed, where the folder cannot be written to, and later
    where it is full.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder = folder
        self.begin_anew()
        _disks.add(self)

    def begin_anew(self) -> None:
        """Leave the file to the arrays that are in it, and write no more to it."""
        self._file: File | None = None
        self._opening = threading.Lock()

    def pack(self, array: Array) -> Any:
        if array.nbytes < PAGE:
            return array
        with self._opening:
            file = self._file = self._file or File(self._folder)
        return file.place_for(array)

    def unpack(self, packed: Any) -> Array:
        if not isinstance(packed, Place):
            array: Array = packed
            return array
        return Mapping.of(packed)


class File:
    """A file without a name, of which parts are free.

    free: by size, where parts begin that are free. freed: parts that have become so since; it is
        apart because a Place may be gone at any time, even while a free part is looked for.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self.file: Any = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        weakref.finalize(self, self.file.close)
        self.free: defaultdict[int, list[int]] = defaultdict(list)
        self.freed: deque[tuple[int, int]] = deque()
        self.end = self.taken = 0
        self._one_at_a_time = threading.Lock()

    def place_for(self, array: Array) -> Place:
        """Where the array has been written to."""
        size = -(-array.nbytes // PAGE) * PAGE
        with self._one_at_a_time:
            self._collect()
            free = self.free[size]
            place = Place(self, free.pop() if free else self.end, size, array)
            self.taken += 1
            if place.start == self.end:
                self.end += size
                self.file.truncate(self.end)  # whole pages, for the mapping
            self.file.seek(place.start)
            left = _bytes_of(array).data
            while left:
                left = left[self.file.write(left) :]
        return place

    def _collect(self) -> None:
        """Make those parts free that were freed."""
        while self.freed:
            size, start = self.freed.popleft()
            self.free[size].append(start)
            self.taken -= 1
        if not self.taken and self.end:
            self.free.clear()
            self.end = 0
            self.file.truncate(0)


class Place:
    """Where an array is in a file; free again when nobody refers to it."""

    __slots__ = ("file", "start", "size", "shape", "dtype")

    def __init__(self, file: File, start: int, size: int, array: Array) -> None:
        self.file, self.start, self.size = file, start, size
        self.shape, self.dtype = array.shape, array.dtype

    def __del__(self) -> None:
        self.file.freed.append((self.size, self.start))


class Mapping(mmap.mmap):
    """A place in memory, written to by nobody else: it holds the place as long as it is used."""

    place: Place

    @classmethod
    def of(cls, place: Place) -> Array:
        number = place.file.file.fileno()
        mapping = cls(number, place.size, access=mmap.ACCESS_COPY, offset=place.start)
        mapping.place = place
        array = np.frombuffer(mapping, place.dtype, int(np.prod(place.shape)))
        return array.reshape(place.shape)


_disks: weakref.WeakSet[Disk] = weakref.WeakSet()


def _after_fork() -> None:
    """Have no two processes write to one file."""
    for disk in list(_disks):
        disk.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_after_fork, after_in_child=_after_fork)

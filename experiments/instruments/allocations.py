"""The memory of NumPy's arrays as it is asked for and given back, event by event.

NumPy lets a program put an allocator of its own in the place of the C library's (NEP 49). The one
here hands every call on to the C library and says what it saw. Source: PyDataMem_SetHandler in
NumPy's C API, which stands at number 304 of its table from NumPy 1.22 on.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np

SET_HANDLER = 304
FINALIZE = 80  # Py_tp_finalize, in the interpreter's stable ABI
HANDLERS = 1024  # made at once

_Pointer, _Size = ctypes.c_void_p, ctypes.c_size_t
_Malloc = ctypes.CFUNCTYPE(_Pointer, _Pointer, _Size)
_Calloc = ctypes.CFUNCTYPE(_Pointer, _Pointer, _Size, _Size)
_Realloc = ctypes.CFUNCTYPE(_Pointer, _Pointer, _Pointer, _Size)


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", _Pointer),
        ("malloc", _Malloc),
        ("calloc", _Calloc),
        ("realloc", _Realloc),
        ("free", _Pointer),
    )


Born: TypeAlias = Callable[[int, int], None]  # is told the address and the size
Died: TypeAlias = Callable[[int], None]  # is told the address


class Allocations:
    """Tells of the memory of every array that is made, and of its end, from `start` to `stop`.

    NumPy keeps with each array the handler that it was made by, and frees it by that one, however
    late. So what is made here stays for ever.

    Many an array dies while an exception is on its way, and no Python code may run then, unless the
    exception is put aside and back. The function by which the interpreter calls `__del__` does
    that, but it is told of an object and of no address. Hence a handler for every array alive:
    NumPy frees by calling `__del__` of the object that belongs to it.
    """

    def __init__(self, born: Born, died: Died) -> None:
        """Raises NotImplementedError where this Python, NumPy or C library does not let us."""
        self._born, self._died = born, died
        self._telling = False
        self._end = _end_of(self._freed)
        self._finalize = _slot_of(self._end, FINALIZE)
        self._set_handler = _set_handler()
        self._library = _c_library()
        self._functions = (_Malloc(self._malloc), _Calloc(self._calloc), _Realloc(self._realloc))
        self._capsules: list[Any] = []
        self._spare: list[int] = []
        self._held: list[list[int]] = []  # of each handler, the addresses that it stands for
        self._late: dict[int, list[int]] = {}  # of a handler, those to be freed with its last one
        self._numbers: dict[int, int] = {}  # of each handler, by what NumPy passes to tell it
        self._was: Any = None
        self._make()
        _immortal(self)

    def start(self) -> None:
        self._telling = True
        self._was = self._set_handler(self._capsules[self._next()])

    def stop(self) -> None:
        """Tell of no further event."""
        self._set_handler(self._was)
        self._telling = False

    # What NumPy calls -----------------------------------------------------------------------------

    def _malloc(self, context: int, size: int) -> int | None:
        return self._took(context, self._library.malloc(size), size)

    def _calloc(self, context: int, count: int, size: int) -> int | None:
        return self._took(context, self._library.calloc(count, size), count * size)

    def _realloc(self, context: int, address: int, size: int) -> int | None:
        """The death of what was there, and a birth, though the array is the same."""
        moved: int | None = self._library.realloc(address, size)
        if moved is None:
            return None
        held = self._held[self._numbers[context]]
        held[held.index(address)] = moved
        if self._telling:
            self._died(address)
            self._born(moved, size)
        return moved

    def _freed(self, number: int) -> None:
        """A handler's memory is given back; called as the `__del__` of what belongs to it.

        NumPy may use one handler more than once: for the buffers of a sort, or in two contexts of
        which one is a copy of the other. The memory then goes when all of it has died.
        """
        held = self._held[number]
        address = held.pop() if len(held) == 1 else _untraced(held)
        if self._telling:
            self._died(address)
        if held:
            self._late.setdefault(number, []).append(address)
            return
        self._library.free(address)
        for late in self._late.pop(number, ()):
            self._library.free(late)
        self._spare.append(number)

    def _took(self, context: int, address: int | None, size: int) -> int | None:
        """Note the memory under its handler, and have the next array use another."""
        if address is None:
            return None
        number = self._numbers[context]
        self._held[number].append(address)
        if self._telling:
            self._born(address, size)
            self._change(number)
        return address

    def _change(self, number: int) -> None:
        """Put a fresh handler in the place of one that is in use, if it is the one in force."""
        fresh = self._next()
        was = self._set_handler(self._capsules[fresh])
        if was is not self._capsules[number]:
            self._set_handler(was)
            self._spare.append(fresh)

    # Handlers -------------------------------------------------------------------------------------

    def _next(self) -> int:
        """The number of a handler that no array alive was made by."""
        if not self._spare:
            self._make()
        return self._spare.pop()

    def _make(self) -> None:
        """More handlers, many at once and in one piece, so that the collector hardly notices."""
        block = _immortal((_Handler * HANDLERS)())
        for place in range(HANDLERS):
            number, end = len(self._capsules), _immortal(self._end(len(self._capsules)))
            handler = block[place]
            handler.name, handler.version, handler.context = b"experiments", 1, id(end)
            handler.malloc, handler.calloc, handler.realloc = self._functions
            handler.free = self._finalize
            address = ctypes.addressof(block) + place * ctypes.sizeof(_Handler)
            self._capsules.append(_immortal(_new_capsule(address, _NAME, None)))
            self._held.append([])
            self._numbers[id(end)] = number
            self._spare.append(number)


def _end_of(freed: Callable[[int], None]) -> type[int]:
    """The class of what NumPy calls to free a handler's memory; its value is the handler's."""

    class End(int):
        __slots__ = ()

        def __del__(self) -> None:
            freed(self)

    return End


def _untraced(held: list[int]) -> int:
    """Take the address that NumPy has told tracemalloc to forget; where none is known, the last."""
    domain = np.lib.tracemalloc_domain
    dead = [address for address in held if _traceback_of(domain, address) is None]
    address = dead[-1] if dead else held[-1]
    held.remove(address)
    return address


def _immortal(thing: Any) -> Any:
    """The thing itself: from now on it outlives every array, and the collector passes it by."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    if gc.is_tracked(thing):
        ctypes.pythonapi.PyObject_GC_UnTrack(ctypes.py_object(thing))
    return thing


# What NumPy, the interpreter and the C library offer ----------------------------------------------


def _set_handler() -> Callable[[Any], Any]:
    """NumPy's PyDataMem_SetHandler: takes the handler that is to be, gives the one that was."""
    if sys.implementation.name != "cpython":
        raise NotImplementedError(
            f"{sys.implementation.name} has no C API of CPython's to reach NumPy by"
        )
    try:
        table = import_module("numpy._core._multiarray_umath")._ARRAY_API
    except (ImportError, AttributeError) as error:
        raise NotImplementedError(f"this NumPy shows no table of its C API: {error}") from None
    start = ctypes.cast(_pointer_of(table, None), ctypes.POINTER(_Pointer))
    return ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(start[SET_HANDLER] or 0)


def _c_library() -> ctypes.PyDLL:
    """The C library, called without letting go of the interpreter's lock."""
    try:
        library = ctypes.PyDLL("msvcrt" if sys.platform == "win32" else None)
        library.malloc.argtypes, library.malloc.restype = [_Size], _Pointer
        library.calloc.argtypes, library.calloc.restype = [_Size, _Size], _Pointer
        library.realloc.argtypes, library.realloc.restype = [_Pointer, _Size], _Pointer
        library.free.argtypes, library.free.restype = [_Pointer], None
    except (OSError, AttributeError) as error:
        raise NotImplementedError(
            f"the C library's allocator cannot be called here: {error}"
        ) from None
    return library


_NAME = _immortal(b"mem_handler")  # as NumPy wants such a capsule called
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, _Pointer, ctypes.c_char_p, _Pointer)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_slot_of = ctypes.PYFUNCTYPE(_Pointer, ctypes.py_object, ctypes.c_int)(
    ("PyType_GetSlot", ctypes.pythonapi)
)
_traceback_of = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_uint, ctypes.c_size_t)(
    ("_PyTraceMalloc_GetTraceback", ctypes.pythonapi)
)
_pointer_of = ctypes.PYFUNCTYPE(_Pointer, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def probe() -> None:
    """Raises NotImplementedError where the birth and death of an array go unseen."""
    seen: list[int] = []
    allocations = Allocations(lambda _, size: seen.append(size), lambda _: seen.append(-1))
    allocations.start()
    try:
        array = np.empty(4_099, dtype=np.uint8)
        del array
    finally:
        allocations.stop()
    if seen != [4_099, -1]:
        raise NotImplementedError("NumPy did not call the allocator that it was given")

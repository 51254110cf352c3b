"""Debug mode: whether the arrays that are kept for backward are still what they were."""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

_noted: weakref.WeakKeyDictionary[Any, list[int]] = weakref.WeakKeyDictionary()


def note(function: Any, kept: Iterable[Any]) -> None:
    """Note a checksum of each array that a Function keeps."""
    _noted[function] = _checksums(kept)


def check(function: Any, kept: Iterable[Any]) -> None:
    """Raise RuntimeError where one of them was changed in place since it was noted."""
    if _noted.get(function, found := _checksums(kept)) != found:
        raise RuntimeError(
            f"an array that {type(function).__name__} kept for backward was changed in place after "
            "its forward, so its gradient would be wrong: make a new array instead"
        )


def _checksums(kept: Iterable[Any]) -> list[int]:
    return [zlib.crc32(np.ascontiguousarray(x).data) for x in kept if x is not None]

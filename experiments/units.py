"""Amounts of memory, as people type them."""

from __future__ import annotations

import re

_UNITS = {"": 1} | {
    f"{prefix}{unit}": base**power
    for base, unit in ((1000, "B"), (1024, "IB"))
    for power, prefix in enumerate(("", "K", "M", "G"))
}


def read_bytes(text: str) -> int:
    """The bytes that an amount such as 512MB, 20 MB or 2GiB means.

    Raises ValueError, saying what is allowed, where it means none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(\w*)", text.strip().upper())
    if not found or found[2] not in _UNITS or not float(found[1]):
        raise ValueError(
            f"{text!r} is no amount of memory; give bytes, or an amount with a unit, as in 512MB "
            "or 2GiB"
        )
    return int(float(found[1]) * _UNITS[found[2]])

"""How a command may end: well, or with an error that a person can act on."""

from __future__ import annotations

from pathlib import Path

REPORTS = Path("reports")

OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
GOT_WORSE = 1


class UsageError(Exception):
    """What the caller asked for cannot be done; says what can."""


class BrokenOff(Exception):
    """The run has stopped before its end; its folder holds what it had finished."""

    def __init__(self, why: str, folder: Path, code: int) -> None:
        super().__init__(why)
        self.folder = folder
        self.code = code

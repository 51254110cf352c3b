"""What tests ask of processes that they started: whether they began, and whether they ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def begun(folder: Path) -> list[tuple[int, int]]:
    """The `witnessed` trials that were begun, each as its process and that one's launcher."""
    path = folder / "begun"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(pid), int(launcher)) for pid, launcher in map(str.split, lines)]

"""What a trial's process is pinned to, and what is recorded of where it ran.

Sources: the glibc manual on memory allocation tunables; numpy.org on NUMPY_MADVISE_HUGEPAGE;
docs.python.org on the environment variables; proc(5) and personality(2).
"""

from __future__ import annotations

import gc
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
DISTRIBUTION = "autodiff-lab"

PINS: Mapping[str, str] = {
    "PYTHONHASHSEED": "0",  # the order of sets, and with it the addresses of what they hold
    "PYTHONNOUSERSITE": "1",
    "OMP_NUM_THREADS": "1",  # one thread: results to the last bit, and one arena
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",  # and not a threshold that follows what was freed last
    "MALLOC_TRIM_THRESHOLD_": "0",  # freed memory goes back to the system at once
    "MALLOC_TOP_PAD_": "0",
    "NUMPY_MADVISE_HUGEPAGE": "0",  # a huge page is resident whole as soon as one byte is touched
}
UNSET = ("PYTHONMALLOC", "PYTHONTRACEMALLOC", "PYTHONDEVMODE", "AUTODIFF_MODE")

_NO_RANDOMIZE = 0x0040000  # personality(2): ADDR_NO_RANDOMIZE


class NotPinned(RuntimeError):
    """The process was not started as a trial's process must be."""


def pinned(surroundings: Mapping[str, str]) -> dict[str, str]:
    """The environment variables for a trial's process, made of those of the runner."""
    inherited = {name: value for name, value in surroundings.items() if name not in UNSET}
    path = os.pathsep.join(filter(None, (str(PROJECT), surroundings.get("PYTHONPATH"))))
    return {**inherited, **PINS, "PYTHONPATH": path, "PYTHONFAULTHANDLER": "1"}


def check_pins() -> None:
    """Raises NotPinned, naming the variable, where this process is not pinned."""
    for name, wanted in PINS.items():
        if (found := os.environ.get(name)) != wanted:
            raise NotPinned(
                f"{name} is {found!r} and must be {wanted!r}, or the figures are of another "
                "experiment: start trials through experiments.runner"
            )
    for name in UNSET:
        if name in os.environ:
            raise NotPinned(f"{name} is set and must not be: start trials through the runner")


def of_process() -> dict[str, Any]:
    """What this process runs on, as JSON can hold it. Takes about a millisecond."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "build": sys.version,
        "free_threaded": not getattr(sys, "_is_gil_enabled", lambda: True)(),
        "gc_thresholds": list(gc.get_threshold()),
        "numpy": np.__version__,
        "blas": _blas(),
        "platform": sys.platform,
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "libc": _libc(),
        "transparent_hugepages": _chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
        "address_randomisation": _address_randomisation(),
        "memory_limit_of_container_bytes": _container_limit(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "pins": {name: os.environ.get(name) for name in PINS},
    }


def of_project() -> dict[str, Any]:
    """Which version of the project this is; None for what cannot be known."""
    return {"version": _version(), "commit": _git("rev-parse", "HEAD"), "changed": _changed()}


def _version() -> str | None:
    from importlib import metadata  # a tenth of a trial's start, and no trial needs it

    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None


def _changed() -> bool | None:
    """Whether the working tree differs from its commit."""
    status = _git("status", "--porcelain", "--untracked-files=no")
    return None if status is None else bool(status)


def _git(*arguments: str) -> str | None:
    import subprocess  # for the same reason

    if not (PROJECT / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _blas() -> str | None:
    try:
        found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{found['name']} {found['version']}"
    except (KeyError, TypeError):
        return None


def _libc() -> str | None:
    """The C library's name and version; platform.libc_ver would read the whole interpreter."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return None


def _address_randomisation() -> str:
    """Whether the system puts this process at random addresses."""
    mine, system = _read("/proc/self/personality"), _read("/proc/sys/kernel/randomize_va_space")
    if mine is not None and int(mine, 16) & _NO_RANDOMIZE:
        return "off for this process"
    return {"0": "off", None: "unknown"}.get(system, "on")


def _container_limit() -> int | None:
    """How much memory the control group allows, where it sets a limit."""
    limit = _read("/sys/fs/cgroup/memory.max")
    return int(limit) if limit is not None and limit.isdigit() else None


def _chosen(path: str) -> str | None:
    """The word that stands in brackets: how the kernel marks the setting in force."""
    text = _read(path) or ""
    return text.partition("[")[2].partition("]")[0] or None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None

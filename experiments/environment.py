"""What a trial's process is pinned to, and what is recorded of where it ran.

Sources: the glibc manual on memory allocation tunables; numpy.org on NUMPY_MADVISE_HUGEPAGE;
docs.python.org on the environment variables; proc(5) and personality(2).
"""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
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
UNSET = (
    "PYTHONMALLOC",
    "PYTHONTRACEMALLOC",
    "PYTHONDEVMODE",
    "AUTODIFF_MODE",
    "MALLOC_MMAP_MAX_",  # without mappings, freed arrays stay resident
)

# What makes two records comparable: where one of these differs, they are of two environments.
IDENTITY = (
    "python",
    "implementation",
    "free_threaded",
    "debug_build",
    "gc_thresholds",
    "numpy",
    "blas",
    "platform",
    "kernel",
    "machine",
    "cpu",
    "libc",
    "transparent_hugepages",
    "pins",
    "code",
    "script",
)

# The rooms that ask for trials or read records: none of them is there when a trial is measured.
NOT_MEASURING = frozenset(
    {
        "bench",
        "calibration",
        "cli",
        "comparison",
        "estimates",
        "executors",
        "intervals",
        "pytest_plugin",
        "report",
        "studies",
    }
)

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
        "debug_build": hasattr(sys, "gettotalrefcount"),
        "gc_thresholds": list(gc.get_threshold()),
        "numpy": np.__version__,
        "blas": _blas(),
        "platform": sys.platform,
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cpu_count": os.cpu_count(),
        "libc": _libc(),
        "transparent_hugepages": _chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
        "address_randomisation": _address_randomisation(),
        "memory_limit_of_container_bytes": _container_limit(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "pins": {name: os.environ.get(name) for name in PINS},
    }


@functools.cache
def of_project() -> dict[str, Any]:
    """Which version of the project this is; None for what cannot be known."""
    return {"version": _version(), "commit": _git("rev-parse", "HEAD"), "changed": _changed()}


def of_code(workload: str) -> dict[str, str | None]:
    """Digests of what is measured and of what measures it; no version control has a part in it.

    code: of the project. script: of the file of a workload that is named FILE.py:FUNCTION, or None.
    """
    file, colon, _ = workload.rpartition(":")
    script = [(Path(file).name, Path(file))] if colon and Path(file).is_file() else []
    return {"code": _digest(_measuring()), "script": _digest(script) if script else None}


def expected(workloads: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What a trial of each workload would say that it ran on, were it started from here.

    A process is asked that is started as a trial's: this one may have other settings.
    """
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "experiments.environment"],
        env=pinned(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    here = json.loads(done.stdout)
    return {workload: {**here, **of_code(workload)} for workload in workloads}


def _measuring() -> Iterator[tuple[str, Path]]:
    """Every file of the project that can change a measurement, with its name in the project."""
    for package in ("autodiff", "experiments"):
        for path in sorted((PROJECT / package).rglob("*")):
            name = path.relative_to(PROJECT)
            room = name.parts[1].removesuffix(".py")
            if path.is_file() and "__pycache__" not in name.parts and room not in NOT_MEASURING:
                yield name.as_posix(), path


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    """A digest of files and their names. How a checkout ends its lines is no difference."""
    digest = hashlib.sha256()
    for name, path in files:
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


# Two environments ---------------------------------------------------------------------------------


def identity(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What of an environment makes two records comparable; None for what it does not say."""
    return {name: environment.get(name) for name in IDENTITY}


def differences(
    one: Mapping[str, Any], other: Mapping[str, Any], names: tuple[str, str] = ("here", "there")
) -> list[str]:
    """What makes two environments another, as in `python: 3.11.7 here, 3.13.0 there`."""
    pairs = [(name, one.get(name), other.get(name)) for name in IDENTITY]
    return [
        f"{path}: {_said(a)} {names[0]}, {_said(b)} {names[1]}"
        for name, mine, theirs in pairs
        for path, a, b in _apart(name, mine, theirs)
    ]


def _apart(name: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each part of a value that differs, by its path: of the pins, only those that do."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys([*one, *other]):
            yield from _apart(f"{name}.{key}", one.get(key), other.get(key))
    elif one != other:
        yield name.replace("_", " ") if name.islower() else name, one, other


def _said(value: Any) -> str:
    """A value as a person would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "unknown" if value is None else str(value)


# Where it is found -------------------------------------------------------------------------------


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


def _cpu() -> str | None:
    """The processor's model, as its maker calls it."""
    try:
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            first = file.read(4096).decode(errors="replace")  # the rest is the other processors
    except OSError:
        return platform.processor() or None  # not on Linux, where it would start a process
    lines = (line.partition(":") for line in first.splitlines())
    models = [value.strip() for name, _, value in lines if name.strip() == "model name"]
    return models[0] if models else None


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


if __name__ == "__main__":
    print(json.dumps(of_process()))

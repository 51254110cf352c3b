"""The architecture, as a test reads it: which room may import which, and where a switch is read."""

from __future__ import annotations

import ast
import doctest
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import autodiff
from autodiff.functions import (
    correlation,
    elementwise,
    losses,
    products,
    reductions,
    shapes,
    sliding,
)
from autodiff.memory import AXES

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.forward  # none of this needs a graph

# Each room, and the rooms that it may import. `autodiff` stands for the public names alone.
AUTODIFF = {
    "quick_numpy": set(),
    "memory": set(),
    "arrays": {"quick_numpy"},
    "keeping": {"arrays"},
    "config": {"keeping", "memory"},
    "gradients": {"arrays", "config", "keeping", "memory", "quick_numpy"},
    "variable": {"arrays", "config", "gradients", "memory", "quick_numpy"},
    "held": {"arrays", "gradients", "memory"},
    "vertex": {"arrays", "gradients", "held", "keeping", "memory", "quick_numpy", "variable"},
    "unchanged": set(),
    "graph": {
        "arrays",
        "config",
        "gradients",
        "held",
        "keeping",
        "quick_numpy",
        "unchanged",
        "variable",
        "vertex",
    },
    "functions": {"arrays", "config", "gradients", "graph", "held", "quick_numpy", "variable"},
    "keepers": {
        "arrays",
        "config",
        "functions",
        "gradients",
        "graph",
        "held",
        "keeping",
        "variable",
    },
    "draws": set(),
    "checkpoint": {
        "arrays",
        "config",
        "draws",
        "gradients",
        "graph",
        "held",
        "keepers",
        "keeping",
        "variable",
    },
    "gradcheck": {"arrays", "config", "variable"},
    "derivatives": {"arrays", "config", "gradients", "variable"},
    "nn": set(),  # the public names alone
}
KEEPERS = {
    "values": set(),
    "packing": set(),
    "packers": set(),
    "budget": {"eviction", "footprint", "footprints", "ledger", "values"},
    "eviction": {"values"},
    "ledger": set(),
    "footprint": set(),
    "footprints": {"footprint"},
    "sequential": {"chains", "footprints", "ledger", "recomputation", "schedules"},
    "recomputation": {"chains", "ledger", "replay", "schedules", "values"},
    "replay": {"chains", "footprints", "ledger", "values"},
    "chains": set(),
    "schedules": {"chains"},
}
EXPERIMENTS = {
    "trial": set(),
    "bounds": set(),
    "calibration": {"trial"},
    "census": set(),
    "references": {"census"},
    "refgraph": {"census", "references"},
    "watch": {"census", "references"},
    "pytest_plugin": {"units", "watch"},
    "launcher": set(),
    "units": set(),
    "intervals": {"trial"},
    "estimates": {"intervals", "trial"},
    "comparison": {"calibration", "environment", "estimates", "intervals", "trial"},
    "recomputation": {"bounds", "estimates", "trial"},
    "environment": set(),
    "workloads": {"autodiff", "trial"},
    "scripts": {"workloads"},
    "instruments": {"autodiff", "bounds", "census", "references", "refgraph"},
    "heartbeat": {"instruments"},  # the phases, by their names
    "sampler": {"heartbeat", "instruments", "trial"},
    "truths": {"autodiff", "bounds", "trial", "workloads"},
    "child": {
        "autodiff",
        "environment",
        "heartbeat",
        "instruments",
        "scripts",
        "trial",
        "truths",
        "workloads",
    },
    "bench": {"autodiff", "environment", "estimates", "launcher"},
    "studies": {"autodiff", "trial", "workloads", "instruments", "cli"},
    "process": {"environment", "heartbeat", "instruments", "launcher", "sampler", "trial"},
    "executors": {"process"},
    "runner": {"environment", "executors", "instruments", "process", "trial"},
    "report": {
        "bounds",
        "calibration",
        "comparison",
        "environment",
        "estimates",
        "intervals",
        "recomputation",
        "refgraph",
        "trial",
    },
    "cli": {
        "autodiff",
        "bench",
        "calibration",
        "comparison",
        "environment",
        "executors",
        "instruments",
        "process",
        "refgraph",
        "report",
        "runner",
        "scripts",
        "studies",
        "trial",
        "truths",
        "units",
        "workloads",
    },
}


def rooms(package: str) -> dict[str, list[Path]]:
    """The rooms of a package, each with its files."""
    found: dict[str, list[Path]] = {}
    folder = ROOT.joinpath(*package.split("."))
    for path in sorted(folder.rglob("*.py")):
        first = path.relative_to(folder).parts[0].removesuffix(".py")
        if first not in ("__init__", "__main__"):
            found.setdefault(first, []).append(path)
    return found


def imported_when_it_runs(path: Path) -> Iterator[str]:
    """The modules that a file imports, but for those that only a type checker sees."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            if module in ("autodiff", "experiments"):
                yield from (f"{module}.{alias.name}" for alias in node.names)
            yield module


def arrows(package: str, files: list[Path]) -> set[str]:
    """The rooms of a package that files import."""
    names = {
        name.removeprefix(f"{package}.").split(".")[0]
        for f in files
        for name in imported_when_it_runs(f)
        if name.startswith(f"{package}.")
    }
    return names & rooms(package).keys()


@pytest.mark.parametrize("room", AUTODIFF)
def test_arrows_of_autodiff(room: str) -> None:
    assert arrows("autodiff", rooms("autodiff")[room]) - {room} <= AUTODIFF[room]


@pytest.mark.parametrize("room", KEEPERS)
def test_arrows_between_keepers(room: str) -> None:
    package = "autodiff.keepers"
    assert arrows(package, rooms(package)[room]) - {room} <= KEEPERS[room]


@pytest.mark.parametrize("room", EXPERIMENTS)
def test_arrows_of_experiments(room: str) -> None:
    files = rooms("experiments")[room]
    allowed = EXPERIMENTS[room]
    assert arrows("experiments", files) - {room} <= allowed
    for path in files:
        for name in imported_when_it_runs(path):
            if name.split(".")[0] == "autodiff":
                assert "autodiff" in allowed, f"{path.name} knows the engine"
                assert name == "autodiff" or name.split(".")[1] in (*autodiff.__all__, "nn"), (
                    f"{path.name} imports {name}: experiments uses the public names only"
                )


def test_every_room_has_its_arrows() -> None:
    assert rooms("autodiff").keys() == AUTODIFF.keys()
    assert rooms("autodiff.keepers").keys() == KEEPERS.keys()
    assert rooms("experiments").keys() == EXPERIMENTS.keys()


def test_autodiff_needs_numpy_alone() -> None:
    for files in rooms("autodiff").values():
        for path in files:
            packages = {name.split(".")[0] for name in imported_when_it_runs(path)}
            foreign = packages - set(sys.stdlib_module_names) - {"autodiff", "numpy"}
            assert not foreign, f"{path.name} imports {foreign}"


def test_an_instrument_knows_no_workload_and_a_workload_no_instrument() -> None:
    assert "workloads" not in EXPERIMENTS["instruments"]
    assert "instruments" not in EXPERIMENTS["workloads"]


def test_no_room_is_a_drawer() -> None:
    drawers = {"utils", "util", "common", "base", "helpers", "misc", "types", "errors"}
    for package in ("autodiff", "experiments"):
        for path in (ROOT / package).rglob("*.py"):
            assert path.stem not in drawers, path


def test_each_field_of_the_memory_mode_is_read_in_one_place() -> None:
    read: dict[str, list[str]] = {}
    for room, files in rooms("autodiff").items():
        for path in files:
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Attribute)
                    and node.attr in AXES
                    and ast.unparse(node.value).split(".")[-1]
                    in ("mode", "self" if room == "memory" else "mode")
                ):
                    read.setdefault(node.attr, []).append(room)
    assert read == {
        "enable_backprop": ["config"],  # is there a graph at all?
        "output_refs": ["memory"],  # link
        "kept": ["memory"],  # keep
        "retain_grad": ["gradients"],  # release
        "retain_graph": ["gradients"],
    }


def test_exports_are_sorted_and_there() -> None:
    names = autodiff.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert all(getattr(autodiff, name) is not None for name in names)
    assert len(set(names)) == len(names)
    for theme in (correlation, elementwise, losses, products, reductions, shapes, sliding):
        assert set(theme.__all__) <= set(names), theme.__name__


def test_the_example_of_the_package_is_true() -> None:
    with autodiff.using_mode("lean"):
        result = doctest.testmod(autodiff)
    assert result.attempted == 6
    assert result.failed == 0


def test_every_public_name_says_what_it_is() -> None:
    for name in autodiff.__all__:
        thing = getattr(autodiff, name)
        if callable(thing):
            first = (inspect.getdoc(thing) or "").split("\n\n")[0]
            assert first.rstrip().endswith((".", ":")), f"{name}: {first!r}"


@pytest.mark.parametrize("package", ["autodiff", "experiments"])
def test_rooms_stay_small(package: str) -> None:
    for files in rooms(package).values():
        for path in files:
            lines = len(path.read_text().splitlines())
            assert lines <= 620, f"{path.name}: {lines} lines: still one room?"

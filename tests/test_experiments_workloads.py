"""What is measured must mean the same in every mode, or no two figures can be compared."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from autodiff import MODES, Function, MemoryMode, Variable, using_mode
from experiments.trial import Value
from experiments.workloads import WORKLOADS
from experiments.workloads.digits import read_digits
from experiments.workloads.goldstein_price import goldstein

# One row for each workload (or each kind of it): small parameters, and how many rounds they make.
ROWS: list[tuple[str, dict[str, Value], int]] = [
    ("cnn_digits", {"channels": 1, "batch": 750, "epochs": 1}, 2),
    ("gradient_penalty", {"rounds": 3, "size": 5}, 3),
    ("losses_kept", {"hidden": 4, "batch": 10, "rounds": 3}, 3),
    ("lstm_sine", {"hidden": 3, "batch": 2, "length": 7, "epochs": 2, "span": 3}, 6),
    ("lstm_sine_whole", {"hidden": 3, "batch": 2, "length": 7, "epochs": 2}, 2),
    ("newton", {"rounds": 2, "size": 5, "iterations": 3}, 6),
    ("tanh_derivatives", {"order": 3, "size": 5}, 1),
    ("chain", {"kind": "square", "length": 5, "size": 7}, 1),
    ("chain", {"kind": "sin", "length": 5, "size": 7}, 1),
    ("chain", {"kind": "sqrt", "length": 5, "size": 7}, 1),
    ("chain", {"kind": "tanh", "length": 5, "size": 7}, 1),
    ("deep_chain", {"kind": "sin", "length": 5, "size": 7}, 1),
    ("deep_chain", {"kind": "tanh", "length": 5, "size": 7}, 1),
    ("uneven_layers", {"widths": "2-1-3", "unit": 2, "batch": 5}, 1),
    ("long_skips", {"depth": 3, "size": 7}, 1),
    ("funnel", {"size": 64, "stages": 4}, 1),
    ("goldstein_price", {"rounds": 3}, 3),
    ("inference", {"hidden": 8, "layers": 2, "batch": 600, "rounds": 2}, 6),
    ("mlp_digits", {"hidden": 8, "layers": 1, "batch": 500, "epochs": 2}, 6),
    ("square_loop", {"rounds": 4, "size": 9}, 4),
    ("square_loop", {"rounds": 4, "size": 9, "backward": True}, 4),
]
# Where it is not just strong references that leave something to the collector, what does.
LEAVES: dict[str, Callable[[MemoryMode], bool]] = {
    # a gradient that is kept has a graph, which may hold its inputs whole, and so itself
    "gradient_penalty": lambda mode: mode.kept == "inputs",
    # unchain_backward takes every cycle apart
    "lstm_sine": lambda mode: False,
    "lstm_sine_whole": lambda mode: False,
}
BUILDS_GRAPHS = [mode for mode in MODES if MODES[mode].enable_backprop]


def ran(
    name: str, parameters: Mapping[str, Value], mode: str
) -> tuple[Mapping[str, float], list[str]]:
    """The results and the phases of a workload in a mode."""
    phases: list[str] = []
    with using_mode(mode):
        results = WORKLOADS[name].start(1, parameters)(phases.append)
    return results, phases


def test_every_workload_has_a_row() -> None:
    assert {name for name, _, _ in ROWS} == set(WORKLOADS)


@pytest.mark.parametrize(("name", "parameters", "rounds"), ROWS)
def test_every_mode_computes_the_same_to_the_last_bit(
    name: str, parameters: Mapping[str, Value], rounds: int
) -> None:
    expected, _ = ran(name, parameters, BUILDS_GRAPHS[0])
    assert expected
    assert all(map(math.isfinite, expected.values()))
    for mode in BUILDS_GRAPHS[1:]:
        assert ran(name, parameters, mode)[0] == expected
    forward_only, _ = ran(name, parameters, "no_grad")
    assert forward_only
    assert forward_only.items() <= expected.items()


@pytest.mark.parametrize(("name", "parameters", "rounds"), ROWS)
@pytest.mark.parametrize("mode", MODES)
def test_phases_come_in_order_round_by_round(
    name: str, parameters: Mapping[str, Value], rounds: int, mode: str
) -> None:
    _, phases = ran(name, parameters, mode)
    goes_back = "backward" in phases
    assert phases == ["forward", *["backward"] * goes_back, "step"] * rounds
    forward_only = name == "inference" or (name == "square_loop" and "backward" not in parameters)
    assert goes_back == (mode != "no_grad" and not forward_only)


def graph_objects() -> int:
    return sum(isinstance(thing, Function | Variable) for thing in gc.get_objects())


@pytest.mark.parametrize(("name", "parameters", "rounds"), ROWS)
@pytest.mark.parametrize("mode", MODES)
def test_only_strong_references_leave_something_to_the_collector(
    collector_off: None, name: str, parameters: Mapping[str, Value], rounds: int, mode: str
) -> None:
    before = graph_objects()
    ran(name, parameters, mode)
    leaves = LEAVES.get(name, lambda mode: mode.output_refs == "strong")
    assert (graph_objects() > before) == leaves(MODES[mode])


BOUGHT: list[tuple[str, dict[str, Value]]] = [
    *(
        ("deep_chain", {"kind": kind, "length": 12, "size": 70, **how})
        for kind in ("sin", "tanh")
        for how in (
            {"recompute": "segments", "segments": 3},
            {"recompute": "binomial", "arrays": 8},
            {"recompute": "budget", "arrays": 12, "size": 20_000},  # more than idle buffers
            {"packer": "compressed"},
            {"packer": "disk"},
        )
    ),
    ("uneven_layers", {"batch": 64, "recompute": "segments", "segments": 3}),
    ("uneven_layers", {"batch": 64, "recompute": "binomial", "budget": 2_200_000}),
    ("uneven_layers", {"batch": 64, "recompute": "budget", "budget": 2_200_000}),
    ("uneven_layers", {"batch": 64, "packer": "compressed"}),
    ("long_skips", {"depth": 5, "size": 20_000, "recompute": "budget", "arrays": 11}),
    ("long_skips", {"depth": 5, "size": 70, "packer": "disk"}),
]


@pytest.mark.parametrize(("name", "parameters"), BOUGHT)
def test_however_memory_is_bought_the_same_is_computed_to_the_last_bit(
    collector_off: None, name: str, parameters: Mapping[str, Value]
) -> None:
    plain = {k: v for k, v in parameters.items() if k not in ("recompute", "packer")}
    expected, phases = ran(name, plain, "lean")
    before = graph_objects()
    assert ran(name, parameters, "lean") == (expected, phases)
    assert graph_objects() == before


def test_half_precision_computes_nearly_the_same() -> None:
    exact, _ = ran("deep_chain", {"length": 5}, "lean")
    found, _ = ran("deep_chain", {"length": 5, "packer": "half"}, "lean")
    assert found["gradients_sum"] == pytest.approx(exact["gradients_sum"], rel=1e-3)
    assert found["gradients_sum"] != exact["gradients_sum"]


@pytest.mark.parametrize("recompute", ["binomial", "budget"])
def test_a_budget_that_cannot_be_met_is_what_the_trial_finds(recompute: str) -> None:
    parameters = {"length": 9, "size": 700, "recompute": recompute, "arrays": 2}
    results, phases = ran("deep_chain", parameters, "lean")
    assert results["refused"] == 1.0
    assert results["least_bytes"] > 2 * 700 * 8
    assert phases[-1] == "step"


def traced(name: str, mode: str, parameters: Mapping[str, Value]) -> tuple[int, int]:
    """The peak of a step in NumPy's bytes and all others, and what is left when it is over."""
    with using_mode(mode):
        step = WORKLOADS[name].start(1, {**WORKLOADS[name].defaults, **parameters})
        tracemalloc.start()
        try:
            step(lambda phase: None)
            left, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    return peak, left


def test_strong_references_leave_all_ten_graphs_behind(collector_off: None) -> None:
    graphs = 10 * 4 * 10_000 * 8
    assert traced("square_loop", "step16", {})[1] > graphs
    assert traced("square_loop", "step17", {})[1] < graphs / 100


def test_lean_peaks_below_step18_in_training(collector_off: None) -> None:
    parameters = {"epochs": 1}
    assert traced("mlp_digits", "lean", parameters)[0] < (
        0.8 * traced("mlp_digits", "step18", parameters)[0]
    )


def test_without_a_graph_inference_holds_next_to_nothing(collector_off: None) -> None:
    parameters = {"rounds": 1}
    assert traced("inference", "no_grad", parameters)[0] < (
        0.8 * traced("inference", "lean", parameters)[0]
    )


@pytest.mark.parametrize("kind", ["square", "sin", "sqrt", "tanh"])
def test_chains_of_any_length_stay_finite(kind: str) -> None:
    with np.errstate(under="ignore"):
        results, _ = ran("chain", {"kind": kind, "length": 3_000, "size": 500}, "lean")
    assert all(map(math.isfinite, results.values()))


@pytest.mark.parametrize("kind", ["square", "sin", "sqrt", "tanh"])
def test_a_chain_of_the_default_length_computes_something(kind: str) -> None:
    results, _ = ran("chain", {**WORKLOADS["chain"].defaults, "kind": kind, "size": 500}, "lean")
    assert all(results.values())


def test_training_learns_the_digits() -> None:
    results, _ = ran("mlp_digits", WORKLOADS["mlp_digits"].defaults, "lean")
    assert results["loss"] < results["first_loss"] / 4
    assert results["accuracy_ratio"] > 0.85


def test_goldstein_price_is_least_where_it_should_be() -> None:
    x, y = Variable(np.array(0.0)), Variable(np.array(-1.0))
    z = goldstein(x, y)
    z.backward()
    assert (z.data, x.grad, y.grad) == (3.0, 0.0, 0.0)


def test_digits_are_all_there() -> None:
    images, labels = read_digits()
    assert images.shape == (1797, 64)
    assert images.min() == 0
    assert images.max() == 16
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_a_funnel_that_cannot_be_halved_says_so() -> None:
    with pytest.raises(ValueError, match="size 100 cannot be halved 3 times"):
        WORKLOADS["funnel"].start(0, {"size": 100, "stages": 3})


@pytest.mark.parametrize("name", WORKLOADS)
def test_parameters_read_back_what_they_show(name: str) -> None:
    chosen = WORKLOADS[name]
    assert {p: chosen.read(p, str(value)) for p, value in chosen.defaults.items()} == (
        chosen.defaults
    )
    assert chosen.quick.keys() <= chosen.defaults.keys()


@pytest.mark.parametrize(
    ("name", "parameter", "text", "allowed"),
    [
        ("chain", "length", "many", "a whole number above 0"),
        ("chain", "length", "2.5", "a whole number above 0"),
        ("chain", "length", "0", "a whole number above 0"),
        ("mlp_digits", "learning_rate", "nan", "a number above 0"),
        ("chain", "kind", "cos", "one of square, sin, sqrt, tanh"),
        ("square_loop", "backward", "perhaps", "yes or no"),
    ],
)
def test_a_value_that_cannot_be_says_what_can(
    name: str, parameter: str, text: str, allowed: str
) -> None:
    with pytest.raises(ValueError, match=allowed) as error:
        WORKLOADS[name].read(parameter, text)
    assert text in str(error.value)


def test_the_measured_process_imports_no_tool_of_the_harness() -> None:
    heavy = {"bokeh", "rich", "cyclopts", "jinja2", "psutil", "objgraph", "memory_profiler"}
    program = f"import sys, experiments.workloads; print(*({heavy!r} & sys.modules.keys()))"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []

"""Peak memory at the floor: under lean, what each workload needs is what its operations must have.

Bytes are the same in every run, so that this is no matter of luck.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from experiments.bounds import chain_floor
from experiments.runner import run_trial
from experiments.trial import Trial, Value
from experiments.workloads import WORKLOADS

OVER_FLOOR = 1.02  # at most, Python's objects counted

# What lies higher, and why.
HIGHER = {
    "chain": "the result has a name while backward runs, which the floor cannot see",
    "goldstein_price": "every array holds one number: it measures objects, and the floor is arrays",
    "inference": "the graph is kept for a backward that never comes, and that the floor cannot see",
    "square_loop": "as in the book, x and y hold one round's graph while the next one is built",
}
QUICKER: dict[str, dict[str, Value]] = {
    "losses_kept": {"rounds": 5},
    "lstm_sine_whole": {"length": 15},
    "mlp_digits": {"epochs": 1},
    "newton": {"iterations": 3},
}


def readings(workload: str, instrument: str, **parameters: Value) -> Mapping[str, float]:
    chosen = WORKLOADS[workload]
    given = {**chosen.defaults, **chosen.quick, **QUICKER.get(workload, {}), **parameters}
    record = run_trial(Trial("tests", workload, given, "lean", instrument))
    assert record.outcome == "ok", record.error
    for why in record.unavailable.values():
        pytest.skip(why)
    return record.readings


def of_floor(workload: str, reading: str = "peak_bytes", **parameters: Value) -> float:
    """A peak as a multiple of the floor."""
    instrument = "traced" if reading == "peak_bytes" else "arrays"
    peak = readings(workload, instrument, **parameters)[reading]
    return peak / readings(workload, "operations", **parameters)["floor_bytes"]


def test_what_lies_higher_is_among_the_workloads() -> None:
    assert HIGHER.keys() <= WORKLOADS.keys()


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name not in HIGHER])
def test_lean_peaks_at_the_floor(name: str) -> None:
    assert 1 <= of_floor(name) <= OVER_FLOOR


@pytest.mark.parametrize("kind", ["square", "tanh"])
def test_a_chain_peaks_at_its_formula(kind: str) -> None:
    """To the byte, but for the two numbers that it reports."""
    size, length = 16_384, 10
    peak = readings("chain", "arrays", kind=kind, length=length, size=size)["peak_array_bytes"]
    floor = chain_floor(
        length, 8 * size, saves="input" if kind == "square" else "output", result="held"
    )
    assert floor <= peak <= floor + 64


def test_the_gradients_of_goldstein_price_are_numbers_on_their_way_and_no_arrays() -> None:
    """So that its arrays are fewer than the floor, which has one for each gradient, by some."""
    peak = readings("goldstein_price", "arrays")["peak_array_bytes"]
    floor = readings("goldstein_price", "operations")["floor_bytes"]
    assert floor - 3 * 8 <= peak < floor


@pytest.mark.parametrize(("backward", "arrays"), [(False, 8), (True, 6)])
def test_the_loop_of_the_book_holds_one_round_more(backward: bool, arrays: int) -> None:
    """Without a backward x and three squares, twice; with one x, two squares, y and two gradients.

    The other numbers are the state of the generator and the sums that the loop reports.
    """
    peak = readings("square_loop", "arrays", backward=backward)["peak_array_bytes"]
    assert arrays * 80_000 <= peak <= arrays * 80_000 + 64

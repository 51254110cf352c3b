"""What the collector does is noted and not changed, and its phases show how high memory rises."""

from __future__ import annotations

import gc

import pytest
from specimens import collecting, cycles, named

from experiments.instruments.collector import READINGS, Collector
from experiments.runner import run_trial
from experiments.trial import COLLECTOR_PHASES, Trial
from experiments.workloads import WORKLOADS

THRESHOLD = gc.get_threshold()[0]


def measured(workload, instrument, mode="lean", collector="off", repeat=0, **parameters):
    """The record of a trial that is meant to go well."""
    record = run_trial(Trial("tests", workload, parameters, mode, instrument, collector, repeat))
    assert record.outcome == "ok", record.error
    return record


def test_a_collection_each_step_is_noted_with_what_it_freed():
    record = measured(named(collecting), "collector", collector="each step")
    assert record.readings["collector_runs_count"] == 3
    assert 3 <= record.readings["collector_collected_count"] <= 6
    assert record.readings["longest_pause_seconds"] > 0
    assert record.readings["longest_pause_seconds"] <= record.readings["collector_pause_seconds"]
    rows = record.details["collections"]
    assert [row["runs_count"] for row in rows] == [0] * (len(rows) - 1) + [3]
    assert (
        sum(row["collected_count"] for row in rows)
        == (record.readings["collector_collected_count"])
    )


def test_runs_that_come_by_themselves_are_noted_and_none_where_the_collector_is_off():
    count = 3 * THRESHOLD
    on = measured(named(cycles), "collector", collector="on", count=count, size=10).readings
    assert on["collector_runs_count"] >= 2
    assert 0 < on["collector_collected_count"] <= 2 * 2 * count
    off = measured(named(cycles), "collector", count=count, size=10).readings
    assert [off[reading] for reading in READINGS] == [0, 0, 0, 0]


@pytest.fixture
def instrument():
    """A Collector that is told of no run but those of the test."""
    was_on = gc.isenabled()
    gc.disable()
    yield Collector()
    if was_on:
        gc.enable()


def test_runs_are_counted_by_generation_with_their_pauses(instrument):
    before = list(gc.callbacks)
    instrument.at("built")
    for generation in (0, 0, 1, 2):
        gc.collect(generation)
    instrument.at("dropped")
    gc.collect()
    assert gc.callbacks == before
    rows = {row["generation"]: row for row in instrument.details["collections"]}
    assert [rows[generation]["runs_count"] for generation in (0, 1, 2)] == [2, 1, 1]
    pauses = [row["pause_seconds"] for row in rows.values()]
    assert instrument.readings["collector_pause_seconds"] == sum(pauses)
    assert 0 < instrument.readings["longest_pause_seconds"] <= max(pauses)


def test_a_generation_that_nobody_has_heard_of_is_counted_too(instrument):
    """In CPython 3.14 generations have been numbered otherwise, and may be again."""
    instrument.at("built")
    for stage in ("start", "stop"):
        instrument._on_run(stage, {"generation": 7, "collected": 5, "uncollectable": 0})
    instrument.at("dropped")
    assert instrument.details["collections"][-1]["generation"] == 7
    assert instrument.readings["collector_collected_count"] == 5


def test_a_collector_that_says_nothing_is_not_available_and_not_zero(instrument, monkeypatch):
    monkeypatch.delattr(gc, "callbacks")
    instrument.at("built")
    instrument.at("dropped")
    assert not instrument.readings
    assert instrument.unavailable.keys() == set(READINGS)


# Its phases ---------------------------------------------------------------------------------------


def peaks(mode):
    """The peaks of the slides' loop in two phases: the collector comes at its end, and midway."""
    parameters = {**WORKLOADS["square_loop"].defaults, "size": 1_000}
    parameters["rounds"] = THRESHOLD // 28  # of more than 20 objects each
    return [
        measured("square_loop", "traced", mode, "on", phase, **parameters).readings["peak_bytes"]
        for phase in (0, COLLECTOR_PHASES // 2)
    ]


def test_strong_references_peak_higher_or_lower_with_the_phase_of_the_collector():
    """And repeats that are all alike would never have shown it."""
    early, late = peaks("step16")
    assert early > 1.2 * late


def test_weak_references_peak_the_same_in_every_phase():
    early, late = peaks("step17")
    assert early == late

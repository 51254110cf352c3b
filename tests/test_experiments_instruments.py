"""Each instrument against a known truth, in processes of their own as they are used."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from itertools import pairwise

import numpy as np
import pytest
from instrumented import measured

from autodiff import MODES
from experiments.heartbeat import Mark
from experiments.instruments import INSTRUMENTS, Disagreement, Instrument, allocations
from experiments.instruments.arrays import Arrays
from experiments.instruments.cycles import Cycles
from experiments.runner import run_trial
from experiments.sampler import PAGE, Sample, joined, thinned
from experiments.trial import Record, Trial

OBJECTS = 4096  # bytes that the few Python objects of a specimen may take


@pytest.mark.parametrize("instrument", INSTRUMENTS.values())
def test_an_instrument_says_what_it_is(instrument):
    assert issubclass(instrument, Instrument)
    text = instrument.__doc__
    assert text.splitlines()[0].endswith(".")
    for part in ("Sees:", "Blind to:", "Cost:", "Source:"):
        assert part in text


def test_every_reading_ends_in_its_unit():
    for name in INSTRUMENTS:
        record = measured("square_loop", name, "step16", size=100, rounds=2)
        for reading in (*record.readings, *record.unavailable):
            assert reading.endswith(("_bytes", "_seconds", "_count")), reading


# traced -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "size", "touched"), [(1, 1, True), (7, 12_345, False)])
def test_traced_is_exact_for_arrays_touched_or_not(count, size, touched):
    readings = measured("held", "traced", count=count, size=size, touched=touched).readings
    assert readings["live_after_forward_array_bytes"] == count * size
    assert 0 <= readings["live_after_forward_bytes"] - count * size < OBJECTS
    assert readings["left_array_bytes"] == 0
    assert readings["left_bytes"] < OBJECTS


def test_traced_sees_a_peak_between_two_moments():
    readings = measured("transient", "traced", size=32_000_000, seconds=0.0).readings
    assert 0 <= readings["peak_bytes"] - 32_000_000 < OBJECTS
    assert readings["live_after_forward_array_bytes"] == 0


def test_traced_starts_its_peak_anew_at_each_moment():
    record = measured("transient", "traced", size=32_000_000, seconds=0.0, rounds=3)
    peaks = {phase: [] for phase in ("forward", "step")}
    for row in record.details["steps"]:
        peaks[row["phase"]].append(row["peak_bytes"] > 32_000_000)
    assert peaks == {"forward": [False] * 3, "step": [True] * 3}


def test_traced_takes_no_peak_of_the_building():
    assert measured("building", "traced", size=32_000_000).readings["peak_bytes"] < OBJECTS


def test_traced_does_not_count_what_the_interpreter_keeps_for_reuse():
    readings = measured("churning", "traced").readings
    assert readings["live_after_forward_bytes"] > 500_000
    assert readings["left_bytes"] < OBJECTS


def test_traced_keeps_its_notes_out_of_its_figures():
    record = measured("blank", "traced", rounds=300)
    steps = record.details["steps"]
    assert len(steps) == 900
    live = [row["live_bytes"] for row in steps]
    assert max(live) - min(live) < 512
    assert record.readings["peak_bytes"] < OBJECTS
    assert record.readings["built_array_bytes"] == 0


def test_traced_follows_every_step():
    record = measured("growing", "traced", rounds=10, size=100_000)
    live = [row["live_bytes"] for row in record.details["steps"] if row["phase"] == "step"]
    grown = [round((b - a) / 100_000, 1) for a, b in pairwise(live)]
    assert grown == [1.0] * 9
    assert record.readings["live_after_forward_array_bytes"] == 1_000_000  # of the last round


def test_traced_finds_what_is_forgotten():
    readings = measured("forgetful", "traced", size=1_000_000).readings
    assert readings["left_array_bytes"] == 1_000_000
    assert readings["left_after_collection_array_bytes"] == 1_000_000


def test_traced_tells_what_a_collection_frees():
    readings = measured("cycles", "traced", count=20, size=10_000).readings
    assert readings["left_array_bytes"] == 200_000
    assert readings["left_after_collection_array_bytes"] == 0
    assert readings["left_after_collection_bytes"] < OBJECTS


def test_traced_reads_the_same_in_every_process():
    first = measured("square_loop", "traced", "step16", size=1_000, rounds=5)
    again = run_trial(first.trial)
    assert again.readings == first.readings
    assert again.details["steps"] == first.details["steps"]


@pytest.mark.parametrize("mode", MODES)
def test_the_slides_loop_leaves_ten_graphs_with_strong_references_and_none_with_weak(mode):
    readings = measured("square_loop", "traced", mode, rounds=10, size=10_000).readings
    strong = MODES[mode].output_refs == "strong"
    assert readings["left_array_bytes"] == (10 * 4 * 80_000 if strong else 0)
    assert readings["left_after_collection_array_bytes"] == 0


# The collector ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("collector", "enabled", "left"), [("off", 0, 3), ("on", 1, 3), ("each step", 0, 0)]
)
def test_the_collector_is_as_the_trial_says(collector, enabled, left):
    record = measured("collecting", "traced", collector=collector)
    assert record.results == {"enabled": enabled}
    assert record.readings["left_array_bytes"] == left * 1_000_000


# cycles -------------------------------------------------------------------------------------------


def test_cycles_counts_them_and_weighs_their_arrays():
    record = measured("cycles", "cycles", count=50, size=10_000)
    assert record.readings["cycle_count"] == 50
    assert record.readings["cycle_bytes"] == 500_000
    (shape,) = record.details["shapes"]
    assert (shape["count"], shape["bytes"], shape["types"]["Node"]) == (50, 500_000, 2)
    assert shape["each_bytes"] == [10_000, 10_000]


@pytest.mark.parametrize("mode", MODES)
def test_cycles_agrees_with_the_collector_and_with_tracemalloc(mode):
    record = measured("square_loop", "cycles", mode, rounds=10, size=1_000)
    strong = MODES[mode].output_refs == "strong"
    held = 10 * 4 * 8_000 if strong else 0
    assert record.readings["cycle_count"] == (30 if strong else 0)
    assert record.readings["cycle_bytes"] == held
    objects = record.readings["cycle_objects_count"]
    assert record.details["cross_check"] == {
        "census_objects_count": objects,
        "collected_objects_count": objects,
        "census_array_bytes": held,
        "freed_array_bytes": held,
        "kept_array_bytes": 0,
    }


def test_cycles_is_borne_out_whatever_the_collector_freed_before():
    record = measured("cycles", "cycles", collector="on", count=2 * gc.get_threshold()[0], size=10)
    left = record.readings["cycle_count"]
    assert 0 < left < 2 * gc.get_threshold()[0]
    assert record.details["cross_check"]["freed_array_bytes"] == 10 * left


def censused(work):
    """A Cycles instrument, after a trial in which this was left to the collector."""
    instrument = Cycles()
    gc.disable()
    try:
        instrument.at("baseline")
        try:
            work()
            instrument.at("dropped")
            gc.collect()
        finally:
            instrument.at("collected")
            instrument.close()
    finally:
        gc.enable()
    return instrument


class Knot:
    """A cycle of one object that holds something."""

    def __init__(self, *held):
        self.me = self
        self.held = held


def test_cycles_weighs_views_empty_arrays_and_arrays_in_containers(small_heap):
    def work():
        base = np.ones(1_000, dtype=np.uint8)
        Knot(base[:10], base[5:], np.empty(0), {"a": np.empty((3, 0))}, [(np.ones(2), "b")])
        Knot(np.ma.array(np.ones(3), mask=[True, False, True]))

    work()  # NumPy imports its masked arrays when they are first asked for
    gc.collect()
    gc.freeze()
    instrument = censused(work)
    assert instrument.readings["cycle_count"] == 2
    # NumPy asks for a byte where an array has none; a masked one has data and mask.
    assert instrument.readings["cycle_bytes"] == 1_000 + 1 + 1 + 16 + 24 + 3


def test_cycles_leaves_arrays_of_before_the_baseline_out_in_both_ways(small_heap):
    old = [np.ones(500)]
    instrument = censused(lambda: Knot(old.pop(), np.ones(3)))
    assert instrument.readings["cycle_bytes"] == 24
    assert instrument.details["cross_check"]["freed_array_bytes"] == 24


def test_a_census_that_overlooks_objects_is_a_failed_trial(small_heap):
    class Lazarus(Knot):
        def __del__(self):
            FOUND.append(self)

    with pytest.raises(Disagreement, match=r"found \d+ objects .* freed 0\."):
        censused(Lazarus)
    FOUND.clear()


FOUND = []


def test_a_census_that_overlooks_bytes_is_a_failed_trial(small_heap):
    """What an array of dtype object holds is hidden from the collector, though not from its end."""

    def work():
        hiding = np.empty(1, dtype=object)
        hiding[0] = np.ones(1_000, dtype=np.uint8)
        Knot(hiding)

    with pytest.raises(Disagreement, match=r"found 8 bytes .* gave back 1,008 .* dtype object"):
        censused(work)


def test_a_cycle_through_an_array_of_objects_is_seen_by_neither_and_stays(small_heap):
    """Not by the collector, and so not by the census; but what it holds is known to have stayed."""
    seen = []

    def work():
        node = Knot(np.empty(1, dtype=object))
        node.me, node.data = None, np.ones(1_000, dtype=np.uint8)
        node.held[0][0] = node
        seen.append(weakref.ref(node))

    instrument = censused(work)
    assert instrument.readings["cycle_count"] == 0
    assert instrument.readings["cycle_bytes"] == 0
    assert instrument.details["cross_check"]["kept_array_bytes"] == 1_008
    seen[0]().held[0][0] = None


def test_cycles_takes_its_callback_back_and_stops_tracing(small_heap):
    before = list(gc.callbacks)
    censused(lambda: None)
    assert gc.callbacks == before
    assert not tracemalloc.is_tracing()


# resident -----------------------------------------------------------------------------------------

needs_high_water = pytest.mark.skipif(
    "peak_resident_bytes" in measured("blank", "resident", rounds=1).unavailable,
    reason="this system does not let a process reset its peak",
)


@needs_high_water
def test_resident_sees_a_peak_of_five_milliseconds():
    readings = measured("transient", "resident", size=32_000_000, seconds=0.005).readings
    assert readings["peak_resident_bytes"] == pytest.approx(32_000_000, rel=0.02)
    assert readings["left_resident_bytes"] < 1_000_000


@needs_high_water
def test_resident_takes_no_peak_of_the_building():
    readings = measured("building", "resident", size=32_000_000).readings
    assert readings["peak_resident_bytes"] < 1_000_000


@needs_high_water
def test_resident_does_not_see_what_was_never_touched():
    readings = measured("held", "resident", count=1, size=64_000_000, touched=False).readings
    assert readings["peak_resident_bytes"] < 1_000_000


def test_resident_has_a_curve_with_the_phases_on_it():
    record = measured("held", "resident", count=1, size=32_000_000, seconds=0.2)
    curve, phases = record.details["curve"], record.details["phases"]
    assert [phase for _, phase in phases] == [
        *("baseline", "built", "forward", "step", "dropped", "collected")
    ]
    at = {phase: seconds for seconds, phase in phases}
    between = [size for seconds, size in curve if at["forward"] < seconds < at["step"]]
    assert between
    assert min(between) == pytest.approx(32_000_000, rel=0.02)
    sampled = record.readings["sampled_peak_resident_bytes"]
    assert sampled == pytest.approx(32_000_000, rel=0.02)
    assert not record.details["peak_missed"]
    assert record.readings["largest_gap_seconds"] > 0
    assert all(size > -1_000_000 for _, size in curve)  # no zero of a process that had ended


def a_record(**readings):
    trial = Trial("tests", "held", {}, "lean", "resident")
    details = {"baseline_resident_bytes": 1_000_000}
    return Record(trial, "ok", readings=readings, details=details)


MARKS = [
    Mark(0.0, "warm-up"),
    Mark(0.5, "built"),
    Mark(1.0, "baseline"),
    Mark(2.0, "built"),
    Mark(4.0, "dropped"),
]


def test_the_curve_is_joined_from_the_baseline_on():
    samples = [Sample(0.5, 9_000_000), Sample(1.5, 1_500_000), Sample(3.5, 3_000_000)]
    record = joined(a_record(peak_resident_bytes=2_000_000), samples, MARKS)
    assert record.details["curve"] == [[0.5, 500_000], [2.5, 2_000_000]]
    assert record.details["phases"] == [[0.0, "baseline"], [1.0, "built"], [3.0, "dropped"]]
    assert record.readings["sampled_peak_resident_bytes"] == 2_000_000
    assert record.readings["largest_gap_seconds"] == 1.5  # from built at 2.0 to the sample at 3.5
    assert not record.details["peak_missed"]


@pytest.mark.parametrize(("peak", "missed"), [(2_100_000, False), (2_200_000, True)])
def test_a_curve_that_missed_its_peak_says_so(peak, missed):
    samples = [Sample(3.0, 3_000_000)]
    record = joined(a_record(peak_resident_bytes=peak), samples, MARKS)
    assert record.details["peak_missed"] is missed


def test_a_peak_is_never_under_a_sample():
    record = joined(a_record(peak_resident_bytes=1_900_000), [Sample(3.0, 3_000_000)], MARKS)
    assert record.readings["peak_resident_bytes"] == 2_000_000


@pytest.mark.parametrize("samples", [[], [Sample(1.5, 1_500_000)]])
def test_no_sample_is_no_reading_and_not_zero(samples):
    record = joined(a_record(peak_resident_bytes=5_000_000), samples, MARKS)
    for reading in ("sampled_peak_resident_bytes", "largest_gap_seconds"):
        assert reading not in record.readings
        assert "before the first sample" in record.unavailable[reading]
    assert record.details.get("peak_missed", True)


def test_a_trial_that_ended_badly_keeps_its_curve_and_gets_no_readings():
    samples = [Sample(1.5, 1_500_000), Sample(3.0, 3_000_000)]
    record = joined(Record(a_record().trial, "killed"), samples, MARKS[:-1])
    assert record.details["curve"] == [[0.5, 0], [2.0, 1_500_000]]
    assert not record.readings


def test_a_curve_is_thinned_without_losing_its_highest_point():
    curve = [Sample(float(i), PAGE * (i % 7)) for i in range(10_000)]
    curve[5_001] = Sample(5_001.0, PAGE * 1_000)
    few = thinned(curve, most=100)
    assert len(few) <= 100
    assert max(few, key=lambda one: one.bytes) == curve[5_001]
    assert [one.seconds for one in few] == sorted(one.seconds for one in few)


# arrays -----------------------------------------------------------------------------------------


def test_arrays_sees_a_peak_between_two_moments_and_nothing_else():
    readings = measured("transient", "arrays", size=32_000_000, seconds=0.0).readings
    assert 0 <= readings["peak_array_bytes"] - 32_000_000 < 64  # numbers that NumPy makes arrays of


def test_arrays_takes_no_peak_of_the_building():
    assert measured("building", "arrays", size=32_000_000).readings["peak_array_bytes"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_arrays_sees_of_a_chain_what_its_lifetimes_show(mode):
    known = measured("chain", "lifetimes", mode, length=10, size=1000).readings
    found = measured("chain", "arrays", mode, length=10, size=1000).readings
    assert found["peak_array_bytes"] == known["timeline_peak_bytes"]


def test_arrays_made_where_they_cannot_be_seen_are_a_failed_trial():
    instrument = Arrays()
    instrument.at("baseline")
    try:
        instrument._born(0, 8)
        with pytest.raises(Disagreement, match=r"come to 8 bytes .* and to 0 by tracemalloc"):
            instrument.at("dropped")
    finally:
        tracemalloc.stop()


def test_arrays_says_where_there_is_no_such_allocator(monkeypatch):
    def probe():
        raise NotImplementedError("there is no such allocator here")

    monkeypatch.setattr(allocations, "probe", probe)
    instrument = Arrays()
    for phase in ("baseline", "built", "dropped", "collected"):
        instrument.at(phase)
    instrument.close()
    assert instrument.readings == {}
    assert instrument.unavailable == {"peak_array_bytes": "there is no such allocator here"}


# clock --------------------------------------------------------------------------------------------


def test_clock_finds_forward_and_backward_within_the_whole():
    readings = measured("chain", "clock", length=5, size=100).readings
    assert readings["forward_seconds"] > 0
    assert readings["backward_seconds"] > 0
    parts = readings["forward_seconds"] + readings["backward_seconds"]
    assert parts <= readings["wall_seconds"]
    assert readings["cpu_seconds"] >= 0


def test_clock_has_no_reading_of_what_never_came():
    readings = measured("chain", "clock", "no_grad", length=5, size=100).readings
    assert "backward_seconds" not in readings

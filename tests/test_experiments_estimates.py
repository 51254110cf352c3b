"""Medians, ranges and ratios, and which trials they are of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import record

from experiments.estimates import (
    NOTHING_BYTES,
    Arm,
    Estimate,
    Subject,
    by_case,
    by_subject,
    collector_of,
    deterministic,
    differ,
    estimate,
    floor_of,
    of_reading,
    over_floor,
    pairs,
    ratio,
    subject,
    towering,
    varying,
    verdict_of_ranges,
    why_unavailable,
)

VALUES = st.lists(st.floats(1e-3, 1e12), min_size=1, max_size=9)


@given(VALUES, st.randoms())
def test_an_estimate_does_not_depend_on_the_order_of_trials(values, random) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    assert estimate(shuffled) == estimate(values)


@given(VALUES)
def test_an_estimate_lies_among_its_values(values) -> None:
    found = estimate(values)
    assert (found.low, found.high, found.n) == (min(values), max(values), len(values))
    assert found.low <= found.median <= found.high
    assert sum(v < found.median for v in values) <= len(values) / 2
    assert sum(v > found.median for v in values) <= len(values) / 2


def test_an_estimate_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        estimate([])


@pytest.mark.parametrize("outcome", ["failed", "timed out", "killed"])
def test_a_trial_that_did_not_end_well_counts_nowhere(outcome) -> None:
    ended = record(readings={"peak_bytes": 10})
    broken = record(repeat=1, outcome=outcome, error="no", readings={"peak_bytes": 99})
    assert of_reading([ended, broken], "peak_bytes") == {Arm("lean"): Estimate(10, 10, 10, 1)}


def test_trials_are_grouped_by_workload_parameters_mode_and_collector() -> None:
    apart = [
        record(readings={"peak_bytes": 1}),
        record("funnel", readings={"peak_bytes": 2}),
        record(parameters={"length": 2}, readings={"peak_bytes": 3}),
        record(mode="step16", readings={"peak_bytes": 4}),
        record(collector="on", readings={"peak_bytes": 5}),
    ]
    again = record(repeat=1, readings={"peak_bytes": 1})
    cases = by_case([*apart, again], "peak_bytes")
    found = [e for arms in cases.values() for e in arms.values()]
    assert sorted(e.median for e in found) == [1, 2, 3, 4, 5]
    assert [e.n for e in found if e.median == 1] == [2]
    assert len(by_subject(apart)) == 3


def test_a_subject_is_the_same_in_whatever_order_its_parameters_stand() -> None:
    one = record(parameters={"size": 2, "length": 1})
    other = record(parameters={"length": 1, "size": 2})
    assert subject(one) == subject(other)


def test_why_a_reading_is_missing_is_kept() -> None:
    missing = record(unavailable={"unique_left_bytes": "no such thing here"})
    assert why_unavailable([missing], "unique_left_bytes") == {Arm("lean"): "no such thing here"}
    assert why_unavailable([missing], "peak_bytes") == {}


@given(VALUES, VALUES)
def test_a_ratio_holds_the_ratio_of_any_two_trials(of, to) -> None:
    found = ratio(estimate(of), estimate(to))
    assert found is not None
    for a in of:
        for b in to:
            assert found.low * (1 - 1e-12) <= a / b <= found.high * (1 + 1e-12)


def test_nothing_is_a_multiple_of_nothing() -> None:
    assert ratio(estimate([1.0]), estimate([0.0, 5.0])) is None


@given(VALUES, VALUES)
def test_differing_goes_both_ways_and_never_where_ranges_meet(one, other) -> None:
    a, b = estimate(one), estimate(other)
    assert differ(a, b) == differ(b, a)
    assert not differ(a, a)
    if a.high >= b.low and b.high >= a.low:
        assert not differ(a, b)


def test_a_difference_within_what_the_instrument_cannot_tell_is_none() -> None:
    def differing(gap: float) -> bool:
        return differ(estimate([0]), estimate([gap]), nothing=NOTHING_BYTES)

    assert not differing(NOTHING_BYTES)
    assert differing(NOTHING_BYTES + 1)
    assert not differ(estimate([1_000_000]), estimate([1_009_000]))


def test_the_floor_is_that_of_the_mode_whatever_the_collector() -> None:
    records = [
        record(readings={"peak_bytes": 30}, collector="on"),
        record(readings={"peak_bytes": 30}, mode="step16"),
        record(instrument="operations", readings={"floor_bytes": 10}),
    ]
    assert floor_of(records, Arm("lean", "each step")) == Estimate(10, 10, 10, 1)
    assert over_floor(records) == {Arm("lean", "on"): Estimate(3, 3, 3, 1)}


def test_only_what_both_arms_have_is_compared() -> None:
    cases = {
        Subject("chain"): {Arm("step16"): estimate([2]), Arm("step17"): estimate([1])},
        Subject("funnel"): {Arm("step16"): estimate([2])},
    }
    assert list(pairs(cases, Arm("step16"), Arm("step17"))) == [Subject("chain")]


def test_modes_are_compared_with_the_collector_off_where_it_was_off() -> None:
    off, on = {Arm("lean", "off"): estimate([1])}, {Arm("lean", "on"): estimate([1])}
    assert collector_of({Subject("chain"): on | off}) == "off"
    assert collector_of({Subject("chain"): on}) == "on"
    assert collector_of({}) == "off"


def test_what_towers_over_the_others() -> None:
    a, b, c, d = (Arm(mode) for mode in ("step16", "step17", "step18", "lean"))
    assert towering({a: 100, b: 10, c: 9, d: 8}) == [a]
    assert towering({a: 100, b: 90, c: 9, d: 8}) == [a, b]
    assert towering({a: 30, b: 10, c: 9, d: 8}) == []
    assert towering({a: 100, b: 1}) == [], "a chart of one row shows no more than the figure does"
    assert towering({}) == []


def test_what_should_not_vary_and_does_is_found() -> None:
    def twice(instrument: str, reading: str, *values: float, **how) -> list:
        return [
            record(instrument=instrument, repeat=n, readings={reading: v}, **how)
            for n, v in enumerate(values)
        ]

    odd = twice("traced", "peak_bytes", 5, 5, 6)
    steady = twice("cycles", "cycle_count", 5, 5, 5)
    may_vary = [
        *twice("traced", "peak_bytes", 5, 6, collector="on"),
        *twice("resident", "peak_resident_bytes", 5, 6),
        *twice("cycles", "collector_pause_seconds", 5, 6),
        *twice("traced", "peak_bytes", 5, mode="step16"),
    ]
    everything = [*odd, *steady, *may_vary]
    [found] = varying(everything)
    assert (found.instrument, found.reading, found.values) == ("traced", "peak_bytes", [5, 5, 6])
    assert len(deterministic(everything)) == 2


def test_seeds_may_differ() -> None:
    one = record(readings={"peak_bytes": 5})
    assert not varying(
        [one, replace(one, trial=replace(one.trial, seed=1), readings={"peak_bytes": 6})]
    )


@given(VALUES, VALUES, st.floats(0, 1e6), st.floats(0, 1))
def test_ranges_differ_only_apart_and_are_equivalent_only_close(one, other, error, within) -> None:
    a, b = estimate(one), estimate(other)
    found = verdict_of_ranges(a, b, error=error, within=within)
    assert found == verdict_of_ranges(b, a, error=error, within=within)
    gaps = [abs(x - y) for x in one for y in other]
    if found == "differs":
        assert min(gaps) > 0 and abs(a.median - b.median) > error
    if found == "equivalent":
        assert max(gaps) <= max(error, within * min(*one, *other)) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("one", "other", "error", "expected"),
    [
        ([100], [101], 0, "differs"),
        ([100], [100], 0, "equivalent"),
        ([100], [104], 5, "equivalent"),
        ([100], [106], 5, "differs"),
        ([0], [0], 0, "equivalent"),
        ([0], [1], 0, "differs"),
        ([90, 110], [100, 130], 0, "inconclusive"),
        ([99, 101], [100, 103], 0, "equivalent"),
        ([-10, 10], [-8, 12], 30, "equivalent"),
    ],
)
def test_exact_figures_are_judged_by_their_ranges(one, other, error, expected) -> None:
    assert verdict_of_ranges(estimate(one), estimate(other), error=error, within=0.05) == expected

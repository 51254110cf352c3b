"""Intervals of ratios of times: that they hold the truth as often as they say, and the verdicts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import record

from experiments.instruments import clock
from experiments.intervals import (
    FEWEST,
    Interval,
    Process,
    confidence_of,
    enough,
    processes,
    ratio_of_times,
    verdict,
)

TRUTH = 1.3


def simulated(
    random: np.random.Generator, n: int, *, scale: float = 1.0, between: float = 0.08
) -> list[Process]:
    """Processes of five rounds each, whose noise has two levels: 8 % between, 5 % within."""
    whole = scale * np.exp(random.normal(0, between, (n, 1)))
    rounds = whole * np.exp(random.normal(0, 0.05, (n, 5)))
    return [Process(float(r.sum()) + 0.1 * scale, tuple(r.tolist()), 5) for r in rounds]


def found(over: list[Process], under: list[Process], confidence: float = 0.95) -> Interval:
    interval = ratio_of_times([over], [under], confidence=confidence)
    assert interval is not None
    return interval


@pytest.mark.parametrize("n", [4, 10])
def test_intervals_hold_the_true_ratio_as_often_as_they_claim(n) -> None:
    random = np.random.default_rng(n)
    intervals = [found(simulated(random, n, scale=TRUTH), simulated(random, n)) for _ in range(200)]
    covered = sum(i.low <= TRUTH <= i.high for i in intervals)
    assert covered >= 0.88 * len(intervals)
    told = sum(i.low > 1 for i in intervals)
    assert told > 0.5 * len(intervals), "an interval that always holds everything says nothing"


def test_more_processes_make_a_narrower_interval(rng) -> None:
    def width(n: int) -> float:
        samples = [found(simulated(rng, n), simulated(rng, n)) for _ in range(10)]
        return float(np.mean([i.high - i.low for i in samples]))

    assert width(40) < 0.7 * width(10) < 0.7 * width(4)


def test_rounds_that_vary_make_a_wider_interval_than_steady_ones() -> None:
    def group(spread: float) -> list[Process]:
        return [Process(5.0 + n / 100, (1 - spread, 1, 1, 1, 1 + spread), 5) for n in range(8)]

    steady, varying = found(group(0), group(0)), found(group(0.5), group(0.5))
    assert varying.high - varying.low > 3 * (steady.high - steady.low)


def test_of_many_rounds_some_stand_for_all() -> None:
    """A tenth of the rounds kept, ten times the rounds: the noise of the whole, not of the part."""
    part = [Process(50.0, (0.4, 0.5, 0.6), 100) for _ in range(5)]
    interval = found(part, [Process(50.0) for _ in range(5)])
    assert 0.8 < interval.low < 1 < interval.high < 1.2


TIMES = st.lists(st.floats(0.01, 100), min_size=FEWEST, max_size=6)


@settings(max_examples=25)
@given(TIMES)
def test_figures_set_against_themselves_have_a_ratio_of_one_in_their_interval(times) -> None:
    group = [Process(seconds) for seconds in times]
    interval = found(group, group)
    assert interval.low <= 1 <= interval.high
    assert found(group, group) == interval, "the same every time"


@settings(max_examples=25)
@given(TIMES, TIMES, st.floats(1e-3, 1e3))
def test_the_unit_of_time_does_not_matter(over, under, scale) -> None:
    plain = found([Process(t) for t in over], [Process(t) for t in under])
    scaled = found([Process(t * scale) for t in over], [Process(t * scale) for t in under])
    assert (scaled.low, scaled.high) == pytest.approx((plain.low, plain.high))


def test_a_yardstick_takes_the_machine_out_of_the_ratio_and_adds_its_own_doubt(rng) -> None:
    was, now = simulated(rng, 10), simulated(rng, 10, scale=2)
    yard_was, yard_now = simulated(rng, 10), simulated(rng, 10, scale=2)
    raw = found(now, was)
    corrected = ratio_of_times([now, yard_was], [was, yard_now])
    assert corrected is not None
    assert raw.low > 1.5
    assert corrected.low < 1 < corrected.high
    assert corrected.high / corrected.low > raw.high / raw.low


def test_of_too_few_processes_nothing_is_claimed() -> None:
    few, many = [Process(1.0)] * (FEWEST - 1), [Process(1.0)] * 9
    assert ratio_of_times([few], [many]) is None
    assert ratio_of_times([many], [few]) is None
    assert ratio_of_times([many, few], [many, many]) is None
    assert ratio_of_times([many], [[Process(0.0)] * 9]) is None


def test_no_interval_claims_more_than_its_processes_can_bear() -> None:
    three = [Process(t) for t in (1.0, 1.1, 1.2)]
    assert (
        found(three, three).confidence == pytest.approx(0.9) == pytest.approx(confidence_of(3, 3))
    )
    assert found(three * 2, three * 2).confidence == 0.95
    assert found(three * 2, three * 2, confidence=0.9999).confidence < 0.999
    assert enough(0.95) == 4 and confidence_of(4, 4) > 0.95 > confidence_of(3, 3)
    assert enough(0.5) == FEWEST


@pytest.mark.parametrize(
    ("interval", "gap", "error", "expected"),
    [
        (Interval(1.2, 1.4), 3.0, 1.0, "differs"),
        (Interval(0.5, 0.9), -3.0, 1.0, "differs"),
        (Interval(1.2, 1.4), 3.0, None, "differs"),
        (Interval(1.2, 1.4), 0.5, 1.0, "inconclusive"),
        (Interval(0.97, 1.04), 0.5, 0.0, "equivalent"),
        (Interval(1.01, 1.04), 0.5, 1.0, "equivalent"),
        (Interval(0.97, 1.06), 0.5, 0.0, "inconclusive"),
        (None, 9.0, 0.0, "inconclusive"),
    ],
)
def test_a_verdict_needs_the_interval_and_the_instrument(interval, gap, error, expected) -> None:
    assert verdict(interval, gap, error=error, within=0.05) == expected


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0, 1))
def test_a_verdict_is_the_same_whichever_figure_is_named_first(a, b, within) -> None:
    low, high = min(a, b), max(a, b)
    there = verdict(Interval(low, high), 1, error=0, within=within)
    back = verdict(Interval(1 / high, 1 / low), -1, error=0, within=within)
    edge = any(
        v == pytest.approx(w) for v in (low, high) for w in (1, 1 + within, 1 / (1 + within))
    )
    assert there == back or edge


# What the clock keeps of the rounds


def clocked(monkeypatch: pytest.MonkeyPatch, rounds: list[float]) -> clock.Clock:
    """The clock of a workload whose rounds take these seconds, and whose end takes one."""
    now = [100.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    watch = clock.Clock()
    watch.rehearsed = {"step": len(rounds)}
    watch.at("baseline")
    now[0] += 7
    watch.at("built")
    for seconds in rounds:
        now[0] += seconds
        watch.at("step")
    now[0] += 1
    watch.at("dropped")
    watch.close()
    return watch


def test_the_clock_keeps_the_time_of_each_round(monkeypatch) -> None:
    watch = clocked(monkeypatch, [0.5, 0.25, 2.0])
    assert watch.details == {"rounds_seconds": [0.5, 0.25, 2.0], "rounds_count": 3}
    assert watch.readings["wall_seconds"] == 3.75
    assert clocked(monkeypatch, []).details == {"rounds_seconds": [], "rounds_count": 0}


def test_of_many_rounds_the_clock_keeps_some_from_beginning_to_end(monkeypatch) -> None:
    details = clocked(monkeypatch, [float(n) for n in range(1, 1001)]).details
    kept = details["rounds_seconds"]
    assert len(kept) == clock.MOST_ROUNDS and details["rounds_count"] == 1000
    assert {b - a for a, b in itertools.pairwise(kept)} == {10.0}


def test_rounds_are_those_of_the_wall_and_of_trials_that_ended_well() -> None:
    details = {"rounds_seconds": [1.0, 2.0], "rounds_count": 9}
    readings = {"wall_seconds": 4.0, "cpu_seconds": 3.0}
    ended = record(instrument="clock", readings=readings, details=details)
    broken = record(instrument="clock", repeat=1, outcome="killed", readings=readings)
    assert processes([ended, broken], "wall_seconds") == [Process(4.0, (1.0, 2.0), 9)]
    assert processes([ended, broken], "cpu_seconds") == [Process(3.0)]

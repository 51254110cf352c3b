"""Two runs set side by side: what changed is named, and nothing else is."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import made_up
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import record
from rich.console import Console

from experiments.comparison import Comparison, NothingInCommon, compare
from experiments.report.telling.compared import as_json, compared
from experiments.report.wording.words import GAP
from experiments.trial import CALIBRATION, Record


@pytest.fixture(scope="module")
def run() -> list[Record]:
    return made_up.run()


def fixed_work(seconds: float, n: int = 5) -> list[Record]:
    """The yardstick of a run, as the calibration leaves it."""
    return [
        record(
            "fixed_work",
            "lean",
            "clock",
            study=CALIBRATION,
            repeat=repeat,
            readings=dict.fromkeys(("wall_seconds", "cpu_seconds"), seconds * (1 + repeat / 100)),
        )
        for repeat in range(n)
    ]


def timed(
    seconds: float, n: int = 6, workload: str = "chain", spread: float = 0.01
) -> list[Record]:
    return [
        record(
            workload,
            instrument="clock",
            repeat=repeat,
            readings={"wall_seconds": seconds * (1 + repeat * spread)},
        )
        for repeat in range(n)
    ]


def told(c: Comparison, **options: Any) -> str:
    out = io.StringIO()
    console = Console(file=out, highlight=False, soft_wrap=True)
    console.print(compared(c, 0.05, 0.10, **options))
    return out.getvalue().replace(GAP, " ")


def named(found: Iterable[Any]) -> set[tuple[str, str, str]]:
    return {(f.case.subject.workload, f.case.arm.mode, f.reading) for f in found}


def changed(records: Sequence[Record], workload: str, mode: str, **factors: float) -> list[Record]:
    """The records, with some readings of one workload and mode multiplied."""
    return [
        replace(r, readings={name: v * factors.get(name, 1.0) for name, v in r.readings.items()})
        if (r.trial.workload, r.trial.mode) == (workload, mode)
        else r
        for r in records
    ]


def test_a_run_beside_itself_shows_nothing(run) -> None:
    c = compare(run, run)
    assert not c.got_worse and not c.environments and c.commits is None
    assert not [f for f in c.figures if f.verdict == "differs"]
    assert "No figure differs." in told(c)
    assert told(c).splitlines()[-1] == "Nothing got worse by more than 5 % (times 10 %)."


@pytest.mark.parametrize("reading", ["peak_bytes", "left_bytes", "cycle_count", "floor_bytes"])
def test_a_regression_is_named_exactly(run, reading) -> None:
    worse = changed(run, "chain", "step16", **{reading: 1.2})
    c = compare(run, worse)
    assert named(c.worse) == {("chain", "step16", reading)}
    assert named(f for f in c.figures if f.verdict == "differs") == named(c.worse)
    last = told(c).splitlines()[-1]
    assert last.startswith("Worse: 1 figure. chain, step16, ") and f"{reading} 1.20 ×" in last
    better = compare(worse, run)
    assert not better.got_worse
    assert named(f for f in better.figures if f.verdict == "differs") == named(c.worse)


def test_what_grew_within_the_threshold_differs_and_is_not_worse(run) -> None:
    c = compare(run, changed(run, "chain", "lean", peak_bytes=1.04))
    assert not c.got_worse
    assert named(f for f in c.figures if f.verdict == "differs") == {
        ("chain", "lean", "peak_bytes")
    }
    assert compare(run, changed(run, "chain", "lean", peak_bytes=1.04), threshold=0.03).got_worse


def test_something_where_nothing_was_is_worse() -> None:
    def left(n: int) -> list[Record]:
        return [record(instrument="cycles", readings={"cycle_count": n})]

    c = compare(left(0), left(1))
    assert named(c.worse) == {("chain", "lean", "cycle_count")}
    assert "from nothing" in told(c)
    assert as_json(c)["worse"][0]["ratio"] is None
    assert not compare(left(0), left(0)).got_worse


def test_what_an_instrument_cannot_tell_is_no_difference() -> None:
    def held(n: float) -> list[Record]:
        return [record(readings={"left_bytes": n})]

    assert not compare(held(100), held(4000)).got_worse, "not calibrated: up to 4 KiB are nothing"
    assert compare(held(100), held(9000)).got_worse


def test_ranges_that_meet_are_inconclusive() -> None:
    def resident(*values: float) -> list[Record]:
        return [
            record(instrument="resident", repeat=n, readings={"peak_resident_bytes": v})
            for n, v in enumerate(values)
        ]

    before = resident(1e6, 2e6, 3e6)
    [meeting] = compare(before, resident(2.9e6, 4e6, 5e6)).figures
    assert (meeting.verdict, meeting.worse) == ("inconclusive", False)
    [apart] = compare(before, resident(3.2e6, 4e6, 5e6)).figures
    assert (apart.verdict, apart.worse) == ("differs", True)
    [near] = compare(before, resident(3.1e6, 4e6, 5e6)).figures
    assert (near.verdict, near.worse) == ("differs", False), "the nearest two are within 5 %"


# Times


def test_a_time_is_worse_where_its_whole_interval_is_beyond_the_threshold() -> None:
    [slow] = compare(timed(1.0), timed(1.5)).figures
    assert slow.worse and slow.over is not None and slow.over.low > 1.1
    [unsure] = compare(timed(1.0), timed(1.12)).figures
    assert not unsure.worse and unsure.verdict == "differs"
    [noisy] = compare(timed(1.0, spread=0.2), timed(1.3, spread=0.2)).figures
    assert not noisy.worse and noisy.verdict == "inconclusive"
    [few] = compare(timed(1.0, n=2), timed(9.0, n=2)).figures
    assert few.over is None and not few.worse


def test_a_slower_machine_is_no_slower_program() -> None:
    before, after = [*timed(1.0), *fixed_work(2.0)], [*timed(1.5), *fixed_work(3.0)]
    [figure] = compare(before, after).figures
    assert not figure.worse and figure.ratio == pytest.approx(1.0)
    assert figure.raw is not None and figure.raw.low > 1.1, "the raw ratio is there, too"
    text = told(compare(before, after), everything=True)
    assert "the same work took 1.50 × as long in B" in text and "1.50 ×" in text
    [hidden] = compare([*timed(1.0), *fixed_work(3.0)], [*timed(1.0), *fixed_work(2.0)]).figures
    assert hidden.worse, "on a faster machine, the same time is a slower program"


@pytest.mark.parametrize("n", [0, 2])
def test_without_a_yardstick_the_raw_ratio_counts_and_that_is_said(n) -> None:
    c = compare([*timed(1.0), *fixed_work(1.0, n)], [*timed(1.5), *fixed_work(1.5, n)])
    assert c.got_worse and c.yardstick is None
    assert "not corrected for the machine's speed" in told(c)


def test_many_times_at_once_have_wider_intervals_and_it_is_said_how_sure_they_are() -> None:
    def several(seconds: float, workloads: int, n: int) -> list[Record]:
        return [r for w in range(workloads) for r in timed(seconds, n, f"work{w}", spread=0.03)]

    [one] = compare(several(1, 1, 12), several(1, 1, 12)).figures
    many = compare(several(1, 10, 12), several(1, 10, 12))
    assert many.confidence == pytest.approx(0.995) and many.together == pytest.approx(0.95)
    assert "each interval is a 99.5 % one, so that all of them hold with 95 %" in told(many)
    assert one.over is not None
    for figure in many.figures:
        assert figure.over is not None
        assert figure.over.high / figure.over.low > one.over.high / one.over.low
    few = compare(several(1, 10, 4), several(1, 10, 4))
    assert few.together == pytest.approx(1 - 10 * 2 / 70)
    assert "--repeats 6 makes that 95 %" in told(few)


def test_pauses_that_never_were_are_equivalent_and_count_as_no_time() -> None:
    idle = [record(instrument="collector", readings={"collector_pause_seconds": 0.0})]
    c = compare([*idle, *timed(1.0)], [*idle, *timed(1.0)])
    assert {f.reading: f.verdict for f in c.figures} == {
        "collector_pause_seconds": "equivalent",
        "wall_seconds": "equivalent",
    }
    assert c.times == 1 and "by 1 process" not in told(c)


# Trials that do not end well


def test_a_trial_that_fails_now_is_worse_and_named_with_its_bound(run) -> None:
    [broken, *_] = [r for r in run if r.trial.instrument == "traced"]
    fails = replace(
        broken,
        outcome="killed",
        readings={},
        error="The process was ended by SIGKILL.\nmore",
        phase="backward",
        at_least={"peak_resident_bytes": 3 * 2**20},
    )
    after = [fails if r is broken else r for r in run]
    c = compare(run, after)
    assert c.failed == [fails] and not c.worse and c.got_worse
    text = told(c)
    assert "killed in phase backward; peak_resident_bytes at least 3.00 MiB; The process" in text
    assert text.splitlines()[-1].startswith("Worse: 1 trial that fails. ")
    mended = compare(after, run)
    assert mended.mended == [fails] and not mended.got_worse
    assert not compare(after, after).got_worse, "it failed before"


def test_a_failing_repeat_that_was_not_tried_before_counts_where_all_had_ended_well() -> None:
    good, bad = record(readings={"peak_bytes": 1}), record(repeat=1, outcome="failed", error="no")
    assert compare([good], [good, bad]).failed == [bad]
    flaky = record(repeat=2, outcome="failed", error="no")
    assert not compare([good, flaky], [good, bad]).failed


# What else differs


def test_differences_of_the_environment_are_named_and_its_load_is_not() -> None:
    def on(python: str, load: float, commit: str) -> list[Record]:
        there = {"python": python, "numpy": "2.4.6", "load": [load], "commit": commit}
        return [record(readings={"peak_bytes": 1}, environment=there)]

    c = compare(on("3.11.7", 0.1, "a" * 40), on("3.13.0", 9.9, "b" * 40))
    [said] = c.environments
    assert "python" in said and "3.11.7" in said and "3.13.0" in said
    assert c.commits == ("a" * 10, "b" * 10)
    assert "Environments differ" in told(c)
    assert not compare(on("3.11.7", 0.1, "a"), on("3.11.7", 9.9, "a")).environments


def test_what_only_one_run_has_is_named_and_never_worse(run) -> None:
    part = [r for r in run if r.trial.workload != "chain"]
    c = compare(part, run)
    assert {case.subject.workload for case in c.only_after} == {"chain"} and not c.only_before
    assert "Only in B: chain, step16, " in told(c)
    assert not c.got_worse and not compare(run, part).got_worse


def test_runs_with_nothing_in_common_are_not_compared(run) -> None:
    with pytest.raises(NothingInCommon):
        compare([record("chain")], [record("funnel")])
    with pytest.raises(NothingInCommon):
        compare(fixed_work(1.0), fixed_work(1.0))


def test_results_are_compared_to_the_last_bit() -> None:
    one, other = record(results={"loss": 0.1 + 0.2}), record(results={"loss": 0.3})
    c = compare([one], [other])
    assert [(r.name, r.before, r.after) for r in c.results] == [("loss", [0.1 + 0.2], [0.3])]
    assert "loss 0.30000000000000004 in A, 0.3 in B" in told(c)
    assert not compare([one], [one]).results
    seeded = replace(other, trial=replace(other.trial, seed=1))
    assert compare([one], [seeded]).results_compared == 0


def test_studies_do_not_matter_and_repeats_are_pooled() -> None:
    before = [record(study="ladder", repeat=n, readings={"peak_bytes": 5}) for n in range(2)]
    after = [record(study="mine", repeat=n, readings={"peak_bytes": 5}) for n in range(3)]
    [figure] = compare(before, after).figures
    assert (figure.before.n, figure.after.n, figure.verdict) == (2, 3, "equivalent")


def test_a_deterministic_reading_that_varies_is_named() -> None:
    uneven = [record(repeat=n, readings={"peak_bytes": 10_000 * (n + 1)}) for n in range(2)]
    text = told(compare(uneven, uneven))
    assert "Not the same in every process of A: chain, lean, traced: peak_bytes" in text


@settings(max_examples=20)
@given(st.data())
def test_any_two_parts_of_a_run_compare_or_say_that_they_cannot(data) -> None:
    whole = [*made_up.run(), *made_up.failures(), *fixed_work(1.0)]
    parts = [data.draw(st.lists(st.sampled_from(whole), max_size=30, unique_by=id)) for _ in "AB"]
    try:
        c = compare(*parts)
    except NothingInCommon:
        return
    assert told(c, everything=True).splitlines()[-1].startswith(("Nothing got worse", "Worse: "))
    assert json.loads(json.dumps(as_json(c), allow_nan=False))["got_worse"] == c.got_worse
    assert c.got_worse == bool(c.worse or c.failed)


def noisy(random: np.random.Generator, machine: float, slowed: float = 1.0) -> list[Record]:
    """Ten processes of each of five workloads on a machine of some speed, one workload slowed."""
    seconds = machine * np.exp(random.normal(0, 0.08, (5, 10)))
    seconds[0] *= slowed
    runs = [
        record(f"work{w}", instrument="clock", repeat=n, readings={"wall_seconds": float(s)})
        for w, times in enumerate(seconds)
        for n, s in enumerate(times)
    ]
    return [*runs, *fixed_work(machine)]


def test_chance_names_nothing_and_a_slower_workload_is_named_alone(rng) -> None:
    """Over simulated pairs of runs on machines of which the second is half as slow again."""
    alarms = [compare(noisy(rng, 1.0), noisy(rng, 1.5)).got_worse for _ in range(6)]
    assert not any(alarms)
    slowed = [compare(noisy(rng, 1.0), noisy(rng, 1.5, 1.6)).worse for _ in range(6)]
    found = [[f.case.subject.workload for f in worse] for worse in slowed]
    assert found.count(["work0"]) >= 5

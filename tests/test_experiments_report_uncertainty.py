"""Each figure of the report stands with its error, its range and how many trials it is of."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

import made_up
import pytest
from made_up import record
from reported import normal
from rich.console import Console

from experiments.calibration import Calibration, Fit
from experiments.estimates import by_subject
from experiments.report import summary
from experiments.report.blocks import Chart, Section, Table, Text
from experiments.report.sections.floors import floors
from experiments.report.sections.glance import glance
from experiments.report.sections.ladder import ladder
from experiments.report.sections.moments import moments
from experiments.report.sections.order import sections
from experiments.report.sections.pace import pace
from experiments.report.sections.resident import resident
from experiments.report.wording import words
from experiments.report.wording.accuracy import COLUMN, NOT_CALIBRATED, error_text
from experiments.report.wording.answers import answers
from experiments.report.wording.sameness import sameness
from experiments.report.wording.times import beside_default, cost, fastest
from experiments.trial import Record


def calibration(instrument: str, **worst: float) -> Calibration:
    return Calibration(instrument, {name: Fit(0.0, 1.0, w, 5) for name, w in worst.items()})


CALIBRATIONS = {
    c.instrument: c
    for c in (
        calibration("traced", peak_bytes=2048),
        calibration("resident", peak_resident_bytes=8192, largest_gap_seconds=1e-4),
        calibration("clock", wall_seconds=1e-4),
        calibration("operations", floor_bytes=0),
    )
}


@pytest.fixture(scope="module")
def run() -> list[Record]:
    return made_up.run()


def tables(section: Section) -> Iterator[Table]:
    for block in section.blocks:
        if isinstance(block, Section):
            yield from tables(block)
        elif isinstance(block, Chart) and block.table:
            yield block.table
        elif isinstance(block, Table):
            yield block


def text_of(section: Section) -> str:
    return normal(" ".join(b.words for b in section.blocks if isinstance(b, Text)))


def column(table: Table, name: str) -> list[str]:
    return [normal(row[list(table.columns).index(name)]) for row in table.rows]


@pytest.mark.parametrize("make", [ladder, moments, resident, pace, floors])
def test_each_figure_has_its_error_its_range_and_its_number_of_trials(run, make) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "chain"]
    for found in tables(make(group, CALIBRATIONS)):
        assert {COLUMN, "Trials"} <= set(found.columns)
        assert [name for name in found.columns if "ange" in name or "Lowest" in name]
        trials = column(found, "Trials")
        for error, n in zip(column(found, COLUMN), trials, strict=True):
            assert error in ("± 2.00 KiB", "± 8.00 KiB", "± 100 µs", "0 B") or n == words.NONE
        assert any(n.isdigit() for n in trials)


def test_what_was_not_calibrated_is_said_to_be_so(run) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "chain"]
    [found, *_] = tables(ladder(group))
    assert set(column(found, COLUMN)) == {NOT_CALIBRATED, words.NONE}
    assert error_text(CALIBRATIONS, "clock", "peak_bytes") == NOT_CALIBRATED


def test_the_first_screen_says_how_sure_its_figures_are(run) -> None:
    text = text_of(glance(run, CALIBRATIONS))
    assert "Medians of 2 trials each." in text
    assert "lie up to 640 B apart. Instrument error: ± 2.00 KiB." in text
    assert "Instrument error: not calibrated." in text_of(glance(run))


# What should be the same in every process


def test_a_range_above_nothing_in_what_is_deterministic_is_a_finding(run) -> None:
    section = sameness(run)
    assert "Not the same in every process" in text_of(section)
    [found] = tables(section)
    assert {tuple(row[1:5]) for row in found.rows} == {
        ("step18", "collector off", "`traced`", "`peak_bytes`")
    }
    peaks = [
        r.readings["peak_bytes"]
        for r in run
        if (r.trial.workload, r.trial.mode, r.trial.instrument) == ("chain", "step18", "traced")
    ]
    [row] = [row for row in found.rows if row[0] == "chain"]
    assert normal(row[-1]) == ", ".join(normal(f"{words.count_text(v)} B") for v in peaks)
    assert normal(row[-2]) == "640 B"
    assert section in sections(run)


def test_where_nothing_varies_that_is_said_with_how_much_was_looked_at(run) -> None:
    steady = [r for r in run if r.trial.mode != "step18"]
    text = text_of(sameness(steady))
    assert "each with a range of 0 B" in text and not list(tables(sameness(steady)))
    once = [r for r in run if r.trial.repeat == 0]
    assert "Cannot be told" in text_of(sameness(once))


# Times and their verdicts


def timed(mode: str, *seconds: float, workload: str = "chain") -> list[Record]:
    return [
        record(workload, mode, "clock", repeat=n, readings={"wall_seconds": s})
        for n, s in enumerate(seconds)
    ]


STEADY = [1.0, 1.01, 1.02, 1.03, 1.04]


def verdicts(records: Sequence[Record], calibrations=CALIBRATIONS) -> dict[str, tuple[str, str]]:
    [found] = tables(pace(records, calibrations))
    return {
        normal(row[0]): (normal(row[5]), normal(row[6]))
        for row in found.rows
        if row[1] == "elapsed"
    }


def test_times_stand_beside_the_default_mode_s_with_interval_and_verdict() -> None:
    records = [
        *timed("lean", *STEADY),
        *timed("step16", *(2 * s for s in STEADY)),
        *timed("step17", *STEADY),
        *timed("step18", 0.5, 0.9, 1.0, 1.5, 2.0),
    ]
    found = verdicts(records)
    assert found["lean"] == (words.NONE, words.NONE)
    ratio, verdict = found["step16"]
    assert ratio.startswith("2.00 × (1.9") and verdict == "differs"
    assert found["step17"][1] == "equivalent within 5 %"
    assert found["step18"][1] == "inconclusive"


def test_an_interval_that_cannot_be_had_is_not_claimed() -> None:
    two = [*timed("lean", *STEADY[:2]), *timed("step16", 9.0, 9.0)]
    assert verdicts(two)["step16"] == ("8.96 ×", "inconclusive: fewer than 3 processes")
    three = [*timed("lean", *STEADY[:3]), *timed("step16", 9.0, 9.0, 9.0)]
    assert verdicts(three)["step16"][0].endswith(", 90 %)"), "as much as three can bear"


def test_a_difference_below_the_clock_s_error_is_none() -> None:
    records = [*timed("lean", *STEADY), *timed("step16", *(2 * s for s in STEADY))]
    coarse = {"clock": calibration("clock", wall_seconds=5.0)}
    assert verdicts(records)["step16"][1] == "differs"
    assert verdicts(records, coarse)["step16"][1] == "inconclusive"
    told = cost(records, coarse, before="lean", after="step16", doing="it", instead="that")
    assert told.endswith("times the time of that: inconclusive.")


def test_sentences_count_the_verdicts_over_the_workloads() -> None:
    def both(workload: str, factor: float) -> list[Record]:
        slow = timed("step16", *(factor * s for s in STEADY), workload=workload)
        return [*timed("lean", *STEADY, workload=workload), *slow]

    records = [*both("chain", 2.0), *both("funnel", 3.0), *both("mlp_digits", 1.0)]
    [said] = beside_default(records)
    assert normal(said) == (
        "`step16` took 1.00 to 3.00 times the time of `lean`: differs on 2 of 3 workloads and "
        "equivalent within 5 % on 1."
    )
    assert fastest(records).startswith("Of 3 workloads, `lean` was fastest on 3; on 1, the second")
    out = io.StringIO()
    Console(file=out, width=200).print(summary(records))
    assert normal(said).replace("`", "") in normal(out.getvalue())


def test_the_answer_about_time_comes_last(run) -> None:
    asked = [replace(r, trial=replace(r.trial, study="no_grad")) for r in run]
    [answer] = answers(asked, calibrations=CALIBRATIONS)
    assert len(answer.sentences) == 3
    assert "building no graph took 0.40 times" in answer.sentences[-1].lower()
    assert answer.sentences[-1].endswith("differs on all 3 workloads.")

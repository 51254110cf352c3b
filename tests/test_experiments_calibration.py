"""Known truths, what was read of them, and what is said of an instrument that reads wrongly."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_up
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from experiments import cli, runner, truths
from experiments.calibration import (
    BLANK,
    EXACT,
    GATES,
    HOLDER,
    KEPT,
    NAMED,
    PAGES,
    REQUESTED,
    TYPE,
    Bound,
    Calibration,
    Fit,
    Gate,
    calibrated,
    fitted,
)
from experiments.instruments import INSTRUMENTS
from experiments.report import summary, trust, write
from experiments.report.blocks import Section, Table
from experiments.report.sections.calibration import STAMP, calibration, rows
from experiments.report.sections.order import OF_A_WORKLOAD, sections
from experiments.runner import run_trial
from experiments.studies import studies
from experiments.trial import CALIBRATION, Record, Trial
from experiments.truths import PLANS, TRUTHS, calibration_trials
from experiments.workloads import WORKLOADS

KIB = 1024
TRUTH_NAMES = (
    "live_bytes",
    "resident_bytes",
    "left_bytes",
    "kept_bytes",
    "cycles_count",
    "objects_count",
    "runs_count",
    "freed_count",
    "floor_bytes",
    "operations_count",
    "evaluations_count",
    "recomputed_count",
    "grown_count",
    "grown_per_step_count",
    "holders_count",
    "wall_seconds",
    "cpu_seconds",
)


def shown(instrument: str, read: Any = lambda gate, truth: truth) -> list[Record]:
    """A made-up calibration: what `read` says of each truth is what the instrument read of it."""
    records = []
    for number, trial in enumerate(calibration_trials([instrument], quick=True)):
        truth = 0.0 if trial.workload == BLANK else 1e6 * (number + 1)
        results = {**dict.fromkeys(TRUTH_NAMES, truth), "arrays_count": 2}
        mine = [gate for gate in GATES if gate.instrument == instrument]
        readings = {gate.reading: read(gate, truth) for gate in mine if trial.workload in gate.of}
        held = {"count": readings.pop(NAMED, 0), "why": f"global {HOLDER}[0]"}
        details = {"holders": {"left": [held]}, "types": {KEPT: readings.pop(TYPE, 0)}}
        environment = made_up.environment(0)
        records.append(
            Record(trial, "ok", readings, results=results, details=details, environment=environment)
        )
    return records


def calibration_of(records: Sequence[Record]) -> Calibration:
    [found] = calibrated(records).values()
    return found


# The line, and the bounds -------------------------------------------------------------------------


@given(
    a=st.floats(-1e6, 1e6),
    b=st.floats(0.5, 2.0),
    truths=st.lists(st.integers(0, 2**26), min_size=2, max_size=8, unique=True),
)
def test_a_line_is_found_again(a: float, b: float, truths: list[int]) -> None:
    fit = fitted([(float(truth), a + b * truth) for truth in truths])
    assert fit.n == len(truths)
    assert fit.worst == max(abs(a + b * truth - truth) for truth in truths)
    for truth in truths:
        assert fit.a + fit.b * truth == pytest.approx(a + b * truth, rel=1e-6, abs=1e-3)


def test_truths_that_are_all_alike_have_an_error_and_no_line() -> None:
    fit = fitted([(5.0, 5.0), (5.0, 8.0)])
    assert fit.worst == 3.0
    assert math.isnan(fit.a)
    assert math.isnan(fit.b)


def test_a_bound_grows_with_the_truth_and_the_arrays() -> None:
    assert EXACT.at(1e9, 10) == 0
    assert REQUESTED.at(1_000_000, 7) == 4096 + 1000
    assert PAGES.at(1_000_000, 3) == (128 + 3 * 4) * KIB
    assert REQUESTED.in_words("peak_bytes") == "4 KiB + 0.1 %"
    assert PAGES.in_words("peak_bytes") == "128 KiB + 4 KiB an array"
    assert EXACT.in_words("cycle_count") == "exact"


@pytest.mark.parametrize("instrument", PLANS)
def test_every_instrument_passes_at_its_bounds_and_fails_beyond_them(instrument: str) -> None:
    def at_the_bound(gate: Gate, truth: float) -> float:
        return truth + 0.999999 * gate.bound.at(truth, 2)

    found = calibration_of(shown(instrument, at_the_bound))
    assert found.passed, found.failures
    assert found.fits.keys() == {g.reading for g in GATES if g.instrument == instrument}
    for sign in (1, -1):
        beyond = calibration_of(
            shown(
                instrument, lambda gate, t, s=sign: t + s * (gate.bound.at(t, 2) * 1.000001 + 0.001)
            )
        )
        assert not beyond.passed
        assert all(check.failures for check in beyond.checks)


def test_a_failure_names_reading_truth_error_and_bound() -> None:
    trial = next(t for t in calibration_trials(["traced"]) if t.workload == "held")
    readings = {"peak_bytes": 1_000_000.0, "live_after_forward_array_bytes": 1_048_577.0}
    results = {"live_bytes": 1_048_576.0, "arrays_count": 16}
    found = calibration_of([Record(trial, "ok", readings=readings, results=results)])
    failures = [failure for failure in found.failures if "read" in failure]
    assert failures == [
        "`traced` on `held` (count 16, size 65,536): live_after_forward_array_bytes read "
        "1,048,577 B of 1,048,576 B, which is 1 B off; allowed are 0 B.",
        "`traced` on `held` (count 16, size 65,536): peak_bytes read 1,000,000 B of "
        "1,048,576 B, which is 48,576 B off; allowed are 5,145 B.",
    ]


def test_the_error_of_a_reading_is_that_of_its_kind() -> None:
    fits = {
        "live_array_bytes": Fit(0, 1, 0.0, 3),
        "peak_bytes": Fit(0, 1, 30.0, 3),
        "live_bytes": Fit(0, 1, 20.0, 3),
        "wall_seconds": Fit(0, 1, 0.5, 3),
    }
    found = Calibration("made up", fits=fits)
    assert found.error("live_bytes") == 20.0
    assert found.error("left_bytes") == 30.0
    assert found.error("left_array_bytes") == 0.0
    assert found.error("backward_seconds") == 0.5
    assert found.error("cycle_count") is None


# What is missing ----------------------------------------------------------------------------------


def test_ordinary_records_calibrate_nothing() -> None:
    assert calibrated(made_up.run()) == {}


def test_a_truth_that_was_never_shown_fails_its_gate() -> None:
    without = [record for record in shown("traced") if record.trial.workload != "forgotten"]
    found = calibration_of(without)
    assert not found.passed
    assert found.failures == ["`traced` was never shown `forgotten`: there is no trial of it."]
    assert [c.gate.reading for c in found.checks if c.failures] == [
        "left_array_bytes",
        "left_after_collection_array_bytes",
    ]


@pytest.mark.parametrize("outcome", ["failed", "timed out", "killed"])
def test_a_trial_that_did_not_end_well_fails_its_gates(outcome: Any) -> None:
    records = [
        replace(r, outcome=outcome, readings={}, error="Oh no: a reason\nand more")
        if r.trial.workload == "transient"
        else r
        for r in shown("traced")
    ]
    found = calibration_of(records)
    assert not found.passed
    [said] = found.failures
    assert "`transient`" in said
    assert said.endswith("Oh no: a reason")


def test_a_reading_that_is_left_out_without_a_reason_fails_its_gate() -> None:
    records = [replace(record, readings={}) for record in shown("cycles")]
    found = calibration_of(records)
    assert not found.passed
    assert any("it gave no cycle_count" in failure for failure in found.failures)


def test_what_is_not_available_here_is_no_failure_and_says_why() -> None:
    reason = "only Linux lets a process reset its peak"
    records = [
        replace(record, readings={}, unavailable=dict.fromkeys(record.readings, reason))
        for record in shown("resident")
    ]
    found = calibration_of(records)
    assert not found.passed
    assert not found.failures
    assert set(found.unavailable.values()) == {reason}
    words = text_of(calibration(calibrated(records), ["resident"]))
    assert "not available here" in words
    assert reason in words
    assert STAMP not in words


# Peaks that come and go ---------------------------------------------------------------------------


def transient(milliseconds: int, heights: Sequence[float | None]) -> Record:
    """Rounds of a transient; `heights` are what a sample read of each, as a share of the truth."""
    parameters = {"milliseconds": milliseconds, "size": 1000, "rounds": len(heights)}
    trial = Trial(CALIBRATION, "transient", parameters, "lean", "resident")
    curve = [[n + 0.5, 1000 * h] for n, h in enumerate(heights) if h is not None]
    phases = [[0.0, "built"]]
    for n in range(len(heights)):
        phases += [[n + 0.4, "forward"], [n + 1.0, "step"]]
    details = {"curve": curve, "phases": phases}
    return Record(trial, "ok", results={"resident_bytes": 1000.0}, details=details)


def test_a_peak_is_seen_by_a_sample_that_is_high_enough() -> None:
    records = [
        transient(5, [1.0, 0.95, 0.94, None]),
        transient(20, [1.0, 0.2]),
        transient(20, [1.0, 1.0]),
        transient(100, [1.0]),
    ]
    assert calibration_of(records).seen == {0.005: 0.5, 0.02: 0.75, 0.1: 1.0}


def test_two_samples_of_one_peak_do_not_stand_for_another() -> None:
    record = transient(5, [1.0, None])
    curve = [[0.5, 1000.0], [0.6, 1000.0]]
    record = replace(record, details={**record.details, "curve": curve})
    assert calibration_of([record]).seen == {0.005: 0.5}


# The trials ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("quick", [False, True])
def test_every_bound_is_put_to_the_test(quick: bool) -> None:
    trials = calibration_trials(list(PLANS), quick=quick)
    assert len({trial.key for trial in trials}) == len(trials)
    there = {(trial.instrument, trial.workload) for trial in trials}
    assert {(gate.instrument, name) for gate in GATES for name in gate.of} <= there
    assert {gate.instrument for gate in GATES} == PLANS.keys()
    assert all(trial.study == CALIBRATION for trial in trials)
    assert all(t.parameters.keys() == TRUTHS[t.workload].defaults.keys() for t in trials)


def test_truths_have_the_names_that_an_instrument_should_say() -> None:
    assert isinstance(getattr(truths, HOLDER), list)
    assert f"{truths.Kept.__module__}.{truths.Kept.__name__}" == KEPT


def test_every_instrument_has_truths() -> None:
    assert INSTRUMENTS.keys() <= PLANS.keys()


def test_a_quick_calibration_is_a_part_of_the_whole() -> None:
    whole, quick = (calibration_trials(list(PLANS), quick=q) for q in (False, True))
    assert {trial.key for trial in quick} < {trial.key for trial in whole}
    assert {t.instrument for t in calibration_trials(["cycles", "clock"])} == {"cycles", "clock"}


def test_truths_are_no_workloads_to_choose(capsys: pytest.CaptureFixture[str]) -> None:
    assert not TRUTHS.keys() & WORKLOADS.keys()
    assert not any(TRUTHS.keys() & set(study.workloads) for study in studies().values())
    assert cli.main(["list"]) == 0
    workloads = capsys.readouterr().out.partition("\n\n")[0]
    assert "chain" in workloads
    assert not TRUTHS.keys() & {line.split()[0] for line in workloads.splitlines()}


# Where it is shown --------------------------------------------------------------------------------


def text_of(section: Section) -> str:
    """Everything that a section says, tables included."""
    said = [section.title, section.lead]
    for block in section.blocks:
        if isinstance(block, Section):
            said.append(text_of(block))
        elif isinstance(block, Table):
            said += [block.caption, *(cell for row in block.rows for cell in row)]
        else:
            said += [str(getattr(block, name, "")) for name in ("words", "says", "lines")]
    return "\n".join(said)


def printed(thing: Any, width: int = 160) -> str:
    """What a terminal would show, without colours."""
    file = io.StringIO()
    Console(file=file, width=width).print(thing)
    return file.getvalue()


def too_high(instrument: str) -> list[Record]:
    """A calibration of an instrument that reads 1 % too much."""
    return shown(instrument, lambda gate, truth: 1.01 * truth)


def test_the_table_has_the_line_the_errors_the_bound_and_a_verdict() -> None:
    found = calibrated([*shown("cycles", lambda gate, t: t), *too_high("operations")])
    table = {(row[0], row[1]): row[2:] for row in rows(found)}
    assert len(table) == sum(gate.instrument in ("cycles", "operations") for gate in GATES)
    a, b, worst, blank, bound, verdict = table["`cycles`", "cycles"]
    assert (a, b, worst, blank, bound, verdict) == ("0", "1.000000", "0", "0", "exact", "within")
    assert table["`operations`", "operations"][1] == "1.010000"
    assert table["`operations`", "operations"][-1] == f"**{STAMP}**"


def test_an_instrument_that_reads_one_percent_too_much_is_stamped(tmp_path: Path) -> None:
    ordinary = [r for r in made_up.run() if r.trial.mode in ("step16", "lean")]
    records = [*too_high("traced"), *shown("clock"), *ordinary]
    lines = "".join(record.to_line() for record in records)
    (tmp_path / "records.jsonl").write_text(lines, encoding="utf-8")
    page = write(tmp_path).read_text(encoding="utf-8")
    findings = (tmp_path / "findings.md").read_text(encoding="utf-8")
    assert STAMP in findings
    assert STAMP in printed(summary(records))
    assert "`traced` broke" in findings
    assert "`clock` broke" not in findings
    of_traced = sum(instrument == "traced" for instrument in OF_A_WORKLOAD.values())
    subjects = len({record.trial.workload for record in ordinary})
    at_a_glance_and_floors = 2
    assert page.count(' doubted"') == of_traced * subjects + at_a_glance_and_floors


def test_only_the_figures_of_the_instrument_that_failed_are_doubted() -> None:
    calibrations = calibrated([*too_high("cycles"), *shown("traced")])
    found = sections(made_up.run(), calibrations)
    doubted = {s.title for s in walked(found) if s.doubted}
    assert doubted == {"What waits for the collector"}
    assert not any(s.doubted for s in walked(sections(made_up.run())))


def walked(found: Sequence[Section]) -> list[Section]:
    """Sections with those within them."""
    within = [s for section in found for s in section.blocks if isinstance(s, Section)]
    return [*found, *walked(within)] if within else list(found)


def test_records_of_known_truths_are_not_among_ordinary_results(tmp_path: Path) -> None:
    ordinary = [r for r in made_up.run() if r.trial.workload == "chain"]
    for folder, records in (("with", [*shown("traced"), *ordinary]), ("without", ordinary)):
        (tmp_path / folder).mkdir()
        lines = "".join(record.to_line() for record in records)
        (tmp_path / folder / "records.jsonl").write_text(lines)
        write(tmp_path / folder)
    with_, without = (
        (tmp_path / folder / "findings.md").read_text(encoding="utf-8").partition("## At a glance")
        for folder in ("with", "without")
    )
    assert with_[0] == without[0]  # the question, the answer and how many trials there were
    assert "small_objects" not in with_[2]
    assert printed(summary([*shown("traced"), *ordinary])) == printed(summary(ordinary))


def test_an_instrument_that_was_not_calibrated_is_named() -> None:
    words = text_of(calibration(calibrated(shown("traced")), ["clock", "traced"]))
    assert "Not calibrated in this run: `clock`." in words


def test_a_calibration_alone_makes_a_report_of_its_own(tmp_path: Path) -> None:
    lines = "".join(record.to_line() for record in shown("traced"))
    (tmp_path / "records.jsonl").write_text(lines)
    page = write(tmp_path).read_text(encoding="utf-8")
    assert "How far to trust the instruments" in page
    assert "Within their bounds" in page


def test_the_terminal_s_table_fits_its_width_and_keeps_every_verdict() -> None:
    records = [*shown("cycles"), *too_high("operations"), *shown("resident")]
    for width in (80, 160):
        lines = printed(trust(records), width).splitlines()
        assert all(len(line) <= width for line in lines)
        told = "\n".join(lines)
        assert told.count("within") >= sum(g.instrument in ("cycles", "resident") for g in GATES)
        assert STAMP in told
        assert "…" not in told


@pytest.mark.parametrize(("read", "code"), [(1.0, 0), (1.01, 1)])
def test_calibrate_prints_the_table_and_ends_by_what_it_found(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    read: float,
    code: int,
) -> None:
    given: list[Trial] = []

    def run(trials: Sequence[Trial], folder: Path, **options: Any) -> list[Record]:
        given.extend(trials)
        records = shown("cycles", lambda gate, truth: read * truth)
        lines = "".join(record.to_line() for record in records)
        (folder / "records.jsonl").write_text(lines, encoding="utf-8")
        return records

    monkeypatch.setattr(runner, "run", run)
    words = ["calibrate", "-i", "cycles", "--quick", "-o", str(tmp_path)]
    assert cli.main(words) == code
    assert given == calibration_trials(["cycles"], quick=True)
    *table, page = capsys.readouterr().out.splitlines()
    assert Path(page).parent == tmp_path
    assert table[0].split() == "instrument reads a b error blank bound verdict".split()
    assert any(STAMP in line for line in table) == bool(code)
    assert not any("\x1b" in line for line in table)  # no colour: this is no terminal


# For real -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> dict[str, Calibration]:
    """The quick set of every instrument, in processes of their own."""
    trials = calibration_trials(list(INSTRUMENTS), quick=True)
    alone = [trial for trial in trials if INSTRUMENTS[trial.instrument].alone]
    with ThreadPoolExecutor(2) as pool:
        records = [*pool.map(run_trial, [trial for trial in trials if trial not in alone])]
    records += [run_trial(t) for t in alone if t.workload != "fixed_work"]
    assert [(r.trial.key, r.error) for r in records if r.outcome != "ok"] == []
    return dict(calibrated(records))


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_every_instrument_is_within_its_bounds_here(
    real: dict[str, Calibration], instrument: str
) -> None:
    found = real[instrument]
    if instrument != "clock":  # which a busy machine may keep from its bound
        assert not found.failures
    assert found.fits or found.unavailable


def test_the_kernel_sees_a_peak_however_short(real: dict[str, Calibration]) -> None:
    found = real["resident"]
    if "peak_resident_bytes" in found.unavailable:
        pytest.skip(found.unavailable["peak_resident_bytes"])
    assert found.seen.keys() == {0.005, 0.02, 0.1}
    assert found.seen[0.1] == 1.0


def test_a_bound_is_words_that_say_all_of_it() -> None:
    assert Bound(0.005, share=0.01).in_words("wall_seconds") == "5 ms + 1 %"

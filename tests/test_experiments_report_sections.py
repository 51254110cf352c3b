"""Each section of a report, from made-up records."""

from __future__ import annotations

from dataclasses import replace

import made_up
import pytest
from reported import normal, only_table, page_of, rendered, text_of

from experiments.estimates import Arm, by_subject, of_reading
from experiments.instruments import INSTRUMENTS
from experiments.report.blocks import Chart, Table, Text, Verbatim
from experiments.report.sections import method
from experiments.report.sections.collector import collector
from experiments.report.sections.cycles import cycles
from experiments.report.sections.environment import environment
from experiments.report.sections.failures import failures
from experiments.report.sections.floors import floors
from experiments.report.sections.ladder import ladder
from experiments.report.sections.lines import lines
from experiments.report.sections.native import native
from experiments.report.sections.pace import pace
from experiments.report.sections.results import results
from experiments.report.telling.page import marked
from experiments.report.wording import looks, words
from experiments.trial import Record
from experiments.workloads import WORKLOADS


@pytest.fixture(scope="module")
def run() -> list[Record]:
    return made_up.run()


@pytest.mark.parametrize(
    ("make", "called", "name", "reading", "unit"),
    [
        (ladder, "figure", "peak", "peak_bytes", "bytes"),
        (pace, "time", "elapsed", "wall_seconds", "seconds"),
    ],
)
def test_what_is_copied_of_a_chart_is_each_estimate_with_its_range(
    run, make, called, name, reading, unit
) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "chain"]
    [chart] = [b for b in make(group).blocks if isinstance(b, Chart)]
    assert chart.data is not None
    columns = chart.data()
    parts = (called, "mode", *(f"{part}, {unit}" for part in ("lowest", "median", "highest")))
    rows = list(zip(*(columns[part] for part in (*parts, "trials")), strict=True))
    expected = of_reading(group, reading)
    assert any(e.low < e.median < e.high for e in expected.values())
    assert [row[1:] for row in rows if row[0] == name] == [
        (a.mode, e.low, e.median, e.high, e.n) for a, e in expected.items()
    ]


def test_cycles_are_told_by_shape_and_modes_alike_share_a_row(run) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "square_loop"]
    table, *_ = [b for b in cycles(group).blocks if isinstance(b, Table)]
    strong, *others = table.rows
    each = words.bytes_text(80_000)
    assert strong[0] == "step16" and f"40 × {{Square, Variable}}, {each} each" in strong
    assert words.bytes_text(40 * 80_000) in strong
    assert any(row[0].startswith("step17, step18, lean, no_grad") for row in others)


def test_cycles_of_one_shape_that_hold_more_and_less_are_told_so() -> None:
    shape = {"types": {"Node": 2}, "count": 7, "objects": 14, "bytes": 9_000}
    shape["each_bytes"] = [0, 3_000]
    record = made_up.record("chain", "step16", "cycles", details={"shapes": [shape]})
    assert "7 × {2 Node}, 0 B to 2.93 KiB each" in normal(only_table(cycles([record])).rows[0][-1])


def test_a_census_says_in_how_many_trials_the_collection_bore_it_out(run) -> None:
    assert "Cross-checked in 15 trials" in text_of(cycles(run))


def test_a_census_that_the_collection_does_not_bear_out_is_a_warning() -> None:
    said = "The census found 7 objects, and the collection freed 9."
    odd = made_up.record("chain", "step16", "cycles", outcome="failed", error=said)
    [warning] = [b for b in cycles([odd]).blocks if isinstance(b, Text) and b.tone == "warning"]
    assert said in warning.words
    assert "Cross-checked" not in text_of(cycles([odd]))


def test_arrays_that_no_collection_frees_are_named() -> None:
    check = {"kept_array_bytes": 2048}
    kept = made_up.record("chain", "lean", "cycles", details={"cross_check": check})
    assert "2.00 KiB of arrays outlived the collection" in normal(text_of(cycles([kept])))
    assert "dtype object" in text_of(cycles([kept]))


def test_the_collectors_runs_and_pauses_are_told_over_its_phases(run) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "chain"]
    blocks = collector(group).blocks
    [chart] = [b for b in blocks if isinstance(b, Chart)]
    [generations] = [b for b in blocks if isinstance(b, Table)]
    table = chart.table
    rows = {row[1]: row for row in table.rows if row[0] == "step16"}
    assert rows["runs"][2] == "6"
    assert rows["runs"][4] == "4 to 8, in 5 of 20 phases of the collector"
    assert normal(rows["longest pause"][2]) == "1.20 ms"
    assert rows["objects freed"][-1] == "5"
    assert normal(" ".join(generations.rows[0])) == "step16 0 4 1 300 4.00 ms"


def over_phases(*peaks: float) -> list[Record]:
    return [
        made_up.record(collector="on", repeat=n, readings={"peak_bytes": peak})
        for n, peak in enumerate(peaks)
    ]


def test_peaks_with_the_collector_on_say_over_how_many_phases() -> None:
    records = over_phases(*(10_240 * n for n in range(1, 21)))
    [peak] = [row for row in only_table(ladder(records)).rows if row[1] == "peak"]
    assert normal(peak[3]) == "10.0 KiB to 200 KiB, over 20 phases of the collector"
    [line] = [text for text in rendered(records).splitlines() if text.endswith("20")]
    assert normal(line).split() == "chain lean 10.0 KiB 105 KiB 200 KiB 20".split()


def test_peaks_over_fewer_phases_say_so_and_those_without_a_collector_say_nothing() -> None:
    [peak] = [row for row in only_table(ladder(over_phases(5, 7))).rows if row[1] == "peak"]
    assert normal(peak[3]) == "5 B to 7 B, in 2 of 20 phases of the collector"
    off = [made_up.record(repeat=n, readings={"peak_bytes": 5}) for n in range(2)]
    [peak] = [row for row in only_table(ladder(off)).rows if row[1] == "peak"]
    assert "phase" not in peak[4] and "collector on" not in rendered(off)


def test_lines_are_shown_with_their_source_and_what_not_to_believe(run) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "chain"]
    section = lines(group)
    assert "To be read with care" in text_of(section)
    largest, first, *_ = [b for b in section.blocks if isinstance(b, Table)]
    assert {row[1] for row in largest.rows} == {"`y = compute()`"}
    assert first.folded and len(first.rows) == 5
    assert first.rows[2][1] == words.NBSP * 8 + "`y = compute()`"
    assert first.rows[4][2:] == [words.NONE] * 3  # a line that was not passed has no figure


def test_a_flame_graph_is_a_link_and_missing_memray_is_said(tmp_path) -> None:
    path = "files/0123abcd/flame_graph.html"
    there = made_up.record(
        instrument="native", readings={"native_peak_bytes": 2048}, details={"flame_graph": path}
    )
    reason = "memray is not installed"
    absent = made_up.record(
        mode="step16", instrument="native", unavailable={"native_peak_bytes": reason}
    )
    rows = {row[0]: row for row in only_table(native([there, absent])).rows}
    assert normal(rows["lean"][1]) == "2.00 KiB"
    assert rows["step16"][1] == f"not available here: {reason}"
    page = page_of(tmp_path, [there, absent])
    assert path in {a.get("href") for t, a in page.elements if t == "a"}
    assert f"[flame graph]({path})" in (tmp_path / "findings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ["javascript:alert(1)", "https://x.org/a.html", "//x.org/a.html"])
def test_what_leads_away_from_the_run_is_no_link(path) -> None:
    assert "<a" not in marked(f"[here]({path})")


def test_peaks_are_set_beside_the_floor_and_chains_beside_their_formula() -> None:
    size, length = 1000, 10
    peak = (length + 3) * size * 8 + 8000
    given = {"kind": "sqrt", "length": length, "size": size}
    records = [
        made_up.record(parameters=given, readings={"peak_bytes": peak}),
        made_up.record(
            instrument="operations", parameters=given, readings={"floor_bytes": peak / 2}
        ),
    ]
    section = floors(records)
    assert "`lean` 2.00" in text_of(section)
    [chain] = [b for b in section.blocks if isinstance(b, Table)]
    assert chain.rows[0][-1] == "1.00 arrays"


def test_results_that_are_not_bit_equal_are_shown_with_who_computed_them() -> None:
    loss = 0.1 + 0.2
    same = [made_up.record(mode=m, results={"loss": loss}) for m in ("step16", "lean")]
    assert "All modes computed the same to the last bit" in text_of(results(same))
    one_mode = [made_up.record(repeat=n, results={"loss": loss}) for n in range(2)]
    assert "All trials computed the same to the last bit" in text_of(results(one_mode))
    other = made_up.record(mode="step17", results={"loss": 0.3})
    section = results([*same, other])
    assert "did not all compute the same" in text_of(section)
    row = " ".join(only_table(section).rows[0])
    assert "0.30000000000000004 in step16, lean; 0.3 in step17" in row


def test_results_of_other_seeds_are_not_compared() -> None:
    one = made_up.record(results={"loss": 1.0})
    other = replace(one, trial=replace(one.trial, seed=1), results={"loss": 2.0})
    assert "no result was computed twice" in text_of(results([one, other]))


def test_every_failure_is_listed_with_what_it_said(run) -> None:
    broken = made_up.failures()
    section = failures([*run, *broken])
    table = only_table(section)
    assert [row[3] for row in table.rows] == ["killed", "timed out", "failed"]
    assert [row[4] for row in table.rows] == [r.phase for r in broken]
    assert [row[5] for row in table.rows] == [r.error.partition("\n")[0] for r in broken]
    assert [b.lines for b in section.blocks if isinstance(b, Verbatim)] == [broken[-1].error]
    assert "every one ended well" in text_of(failures(run))


def test_what_differs_between_environments_is_named() -> None:
    one = made_up.record(environment={"python": "3.11.7", "pins": {"OMP": "1"}, "load": [0.1]})
    other = replace(one, environment={"python": "3.13.0", "pins": {"OMP": "1"}, "load": [0.2]})
    section = environment([one, other])
    assert "Trials differ in python and load." in text_of(section)
    same, differing = [b for b in section.blocks if isinstance(b, Table)]
    assert same.rows == [["pins.OMP", "1"]]
    assert differing.rows[0] == ["python", "3.11.7 (1 ×); 3.13.0 (1 ×)"]


def test_whatever_can_be_measured_is_described() -> None:
    assert method.INSTRUMENTS.keys() == INSTRUMENTS.keys()
    assert looks.WORKLOADS.keys() == WORKLOADS.keys()


def test_modes_stand_in_the_ladders_order() -> None:
    from autodiff import MODES

    assert list(looks.MODES) == list(MODES)
    arms = [Arm("mine"), Arm("lean"), Arm("step16", "on"), Arm("step16")]
    assert looks.in_order(arms) == [Arm("step16"), Arm("step16", "on"), Arm("lean"), Arm("mine")]

"""What a report makes of lifetimes: the bands, the peak taken apart, and words for the pointer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bokeh.models import Quad
from instrumented import lived, there_and_back

from autodiff import Variable, square
from experiments.instruments import timeline
from experiments.instruments.lifetimes import Lifetimes
from experiments.instruments.timeline import ROLES
from experiments.report.blocks import Chart, Table
from experiments.report.charts.panels import Timeline as TimelineOf
from experiments.report.sections.beside import beside
from experiments.report.sections.lifetimes import lifetimes as report
from experiments.report.wording.looks import PAIRS
from experiments.report.wording.looks import ROLES as LOOKS
from experiments.report.wording.words import NONE, bytes_text
from experiments.trial import Record, Trial

SIZE = 1_000
S = 8 * SIZE  # bytes of an array in these tests


def a_record(mode, instrument, **fields):
    trial = Trial("tests", "chain", {"size": SIZE}, mode, "lifetimes")
    found = Record(trial, "ok", instrument.readings, details=instrument.details, **fields)
    return Record.from_line(found.to_line())  # as a report reads it


@pytest.fixture(scope="module")
def two_modes():
    return [
        a_record(mode, lived(there_and_back, lambda: Variable(np.ones(SIZE)), mode))
        for mode in ("step16", "lean")
    ]


def quads(panel):
    """The renderers of a panel's rectangles have one source."""
    [source] = {r.data_source for r in panel.renderers if isinstance(r.glyph, Quad) and r.name}
    return next(r for r in panel.renderers if r.data_source is source)


def test_a_section_has_a_panel_for_each_mode_and_takes_the_peak_apart(two_modes):
    section = report(two_modes)
    [chart] = [block for block in section.blocks if isinstance(block, Chart)]
    panels = chart.draw().children
    assert [panel.title.text.partition(":")[0] for panel in panels] == ["step16", "lean"]
    peaks, figures = [block for block in section.blocks if isinstance(block, Table)]
    drawn = peaks.columns[2:-2]
    assert drawn == [
        role
        for role in ROLES
        if any(role in r.details["timeline"]["peak"]["roles"] for r in two_modes)
    ]
    for row, record in zip(peaks.rows, two_modes, strict=True):
        peak = record.details["timeline"]["peak"]
        assert row[1] == bytes_text(peak["bytes"])
        sizes = dict(zip(drawn, row[2:-2], strict=True))
        assert all(sizes[role].startswith(bytes_text(n)) for role, n in peak["roles"].items())
        first = row[-1].split(", ")[0]
        assert first.endswith(bytes_text(max(peak["operations"].values())))
    assert len(figures.rows) == 2 * 6
    for table in (chart.table, peaks, figures):
        assert {origin.arm.mode for origin in table.origins} == {"step16", "lean"}
        assert len(table.origins) == len(table.rows)


def test_the_rectangles_are_the_bytes_of_the_record(two_modes):
    chart = report(two_modes).blocks[0]
    for record, panel in zip(two_modes, chart.draw().children, strict=True):
        curve = record.details["timeline"]["curve"]
        drawn = quads(panel).data_source.data
        for event, total in zip(curve["event"], curve["bytes"], strict=True):
            here = (drawn["left"] <= event) & (event < drawn["right"])
            tops, bottoms = (drawn[edge][here].astype(int) for edge in ("top", "bottom"))
            assert tops.max(initial=0) == total == (tops - bottoms).sum()
        assert panel.y_range.end > max(curve["bytes"])


def test_the_table_behind_the_chart_and_its_csv_are_of_the_record(two_modes):
    chart = report(two_modes).blocks[0]
    first = chart.table.rows[0]
    assert first[1].startswith("Square, activation") or first[2] == bytes_text(S)
    assert any("held by" in row[-1] for row in chart.table.rows)
    columns = chart.data()
    curve = two_modes[0].details["timeline"]["curve"]
    mine = [n for n, trial in enumerate(columns["trial"]) if trial == "step16"]
    assert [columns["event"][n] for n in mine] == curve["event"]
    by_role = [columns[f"{role}, bytes"] for role in ROLES]
    assert [sum(column[n] for column in by_role) for n in mine] == curve["bytes"]


def test_a_record_without_holders_is_reported_as_ever(two_modes):
    old = []
    for record in two_modes:
        detail = dict(record.details["timeline"])
        del detail["held"], detail["holders"]
        detail["curve"] = {k: v for k, v in detail["curve"].items() if k != "beyond"}
        old.append(replace(record, details={"timeline": detail}))
    chart = report(old).blocks[0]
    assert len(chart.draw().children) == 2
    assert {row[-1] for row in chart.table.rows} == {NONE}


def test_of_an_array_that_was_not_looked_at_one_like_it_tells():
    def work(x, at):
        for _ in range(5):
            y = square(x)
            at("step")
            del y

    instrument = Lifetimes()
    instrument.rehearsed = {"step": 5}
    lived(work, lambda: Variable(np.ones(SIZE)), instrument=instrument)
    told = TimelineOf(instrument.details["timeline"])
    squares = [n for n in range(len(told.arrays.sizes)) if told.what(n).startswith("Square")]
    words = [told.held(n) for n in squares]
    assert (
        words[0] == words[-1] == "held by y.data in " + work.__qualname__.replace("<locals>.", "")
    )
    assert set(words[1:-1]) == {words[0].replace("held", "one like it was held")}


def test_a_place_in_time_is_told_with_its_round():
    def work(at):
        for _ in range(3):
            np.ones(SIZE)
            at("forward")
            at("step")

    told = TimelineOf(lived(work).details["timeline"])
    births = told.arrays.born[told.arrays.sizes == S].tolist()
    ways = [told.way(born) for born in births]
    assert ways == [f"on the way forward, round {n} of 3" for n in (1, 2, 3)]
    assert told.way(told.detail["events"] + 1) == "at the end"


def test_a_workload_without_arrays_has_a_chart_of_nothing():
    nothing = a_record("lean", lived(lambda at: at("forward")))
    chart, peaks, _ = report([nothing]).blocks
    assert chart.draw().children
    assert peaks.rows[0][1] == bytes_text(0)


def test_two_workloads_are_set_side_by_side_in_the_modes_that_both_ran_in(two_modes):
    [pair] = PAIRS
    found = [
        replace(r, trial=replace(r.trial, workload=name))
        for name in pair.workloads
        for r in two_modes
    ]
    section = beside(found)
    [within] = section.blocks
    [chart] = within.blocks  # step16 is no mode of the pair, and step18 was not run
    assert chart.title.endswith("lean")
    titles = [panel.title.text.partition(":")[0] for panel in chart.draw().children]
    assert titles == list(pair.workloads)
    assert beside(found[:2]) is None


def test_the_section_says_where_there_is_none():
    [note] = report([]).blocks
    assert "Not measured" in note.words
    trial = Trial("tests", "chain", {}, "lean", "lifetimes")
    names = dict.fromkeys(["timeline_peak_bytes", "array_count"], "no such allocator here")
    section = report([Record(trial, "ok", unavailable=names)])
    assert "not available here: no such allocator here" in section.blocks[-1].rows[0]
    assert report([Record(trial, "killed", error="signal 9")]).blocks


def many_rounds(x, at):
    for n in range(60):
        y = square(x)
        y = square(square(y)) if n == 40 else y
        at("step")
        del y
    at("forward")


def test_of_a_long_trial_the_round_of_the_peak_is_kept_whole(monkeypatch):
    monkeypatch.setattr(timeline, "POINTS", 50)
    instrument = lived(many_rounds, lambda: Variable(np.ones(SIZE)))
    detail = instrument.details["timeline"]
    assert len(detail["curve"]["event"]) <= 50
    closer, peak = detail["closer"], detail["peak"]["event"]
    steps = [
        event
        for event, phase in zip(*(detail["phases"][c] for c in ("event", "phase")), strict=True)
        if phase == "step"
    ]
    assert closer["event"] == list(range(steps[39], steps[40] + 1))
    assert max(closer["bytes"]) == detail["peak"]["bytes"]
    assert peak in closer["event"]
    charts = [b for b in report([a_record("lean", instrument)]).blocks if isinstance(b, Chart)]
    assert [chart.title.endswith("closer") for chart in charts] == [False, True]
    for chart in charts:
        [panel] = chart.draw().children
        assert quads(panel).data_source.data["top"].max() == detail["peak"]["bytes"]


def test_every_role_looks_like_itself():
    assert tuple(LOOKS) == ROLES
    assert len({look.colour for look in LOOKS.values()}) == len(ROLES)

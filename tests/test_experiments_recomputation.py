"""Memory against recomputation: each point where it was measured, theory where it is known."""

from __future__ import annotations

import io
from dataclasses import replace

import made_up
import pytest
from bokeh.models import GlyphRenderer, HoverTool, Scatter, Step
from rich.console import Console

from experiments.bounds import least_evaluations
from experiments.estimates import Subject
from experiments.recomputation import graphs
from experiments.report import summary
from experiments.report.blocks import Chart, Section, Text
from experiments.report.sections.order import sections
from experiments.report.sections.recomputation import TITLE, recomputation
from experiments.report.wording.answers import answers
from experiments.report.wording.recomputing import (
    against_theory,
    budgets_kept,
    halved,
    same_gradients,
)
from experiments.trial import Record

S = made_up.S


@pytest.fixture(scope="module")
def sweep() -> list[Record]:
    return made_up.sweep()


@pytest.fixture(scope="module")
def chain(sweep):
    return graphs(sweep)[0]


def at(graph, way, asked=None):
    """The point of a way, of so many arrays or segments."""
    [found] = [
        point
        for point in graph.points
        if point.way == way and asked in (None, point.segments, (point.budget or 0) / S)
    ]
    return found


# What is made of the records


def test_points_of_one_graph_stand_together_whatever_they_were_bought_by(sweep) -> None:
    chain, skips = graphs(sweep)
    assert chain.subject == Subject(
        "deep_chain", (("kind", "sin"), ("length", 100), ("size", S // 8))
    )
    assert [point.way for point in chain.points] == (
        ["none"] + ["binomial"] * 3 + ["budget"] * 2 + ["half", "segments"]
    )
    assert len(skips.points) == 2
    assert graphs(made_up.run()) == []


def test_what_was_asked_for_is_a_budget_in_bytes_or_a_number_of_segments(chain) -> None:
    budgets = [point.budget and point.budget / S for point in chain.points]
    assert budgets == [None, 3, 5, 10, 20, 21, None, None]
    assert [point.segments for point in chain.points] == [None] * 7 + [10]


@pytest.mark.parametrize(("asked", "within"), [(5, True), (10, True), (20, True), (21, False)])
def test_a_budget_is_kept_or_overstepped_but_for_single_numbers(chain, asked, within) -> None:
    [point] = [p for p in chain.points if p.budget == asked * S]
    assert point.within is within
    assert at(chain, "none").within is None


def test_evaluations_are_the_chain_s_own_and_those_computed_again(chain) -> None:
    assert chain.operations == 100
    assert chain.evaluations(at(chain, "none")) == 100
    assert chain.evaluations(at(chain, "binomial", 5)) == 846
    assert chain.times_evaluated(at(chain, "binomial", 5)) == 8.46


@pytest.mark.parametrize("arrays", [5, 10])
def test_the_optimum_is_that_of_the_budget(chain, arrays) -> None:
    best = least_evaluations(100, arrays, saves="input")
    assert chain.optimum(at(chain, "binomial", arrays)) == best
    assert chain.evaluations(at(chain, "binomial", arrays)) == best


def test_where_no_budget_was_given_the_optimum_is_that_of_the_peak(chain) -> None:
    assert chain.optimum(at(chain, "segments")) == least_evaluations(100, 21, saves="input")


def test_there_is_no_optimum_below_the_least_nor_of_packing_nor_of_any_other_graph(sweep) -> None:
    chain, skips = graphs(sweep)
    assert chain.optimum(at(chain, "binomial", 3)) is None
    assert chain.optimum(at(chain, "half")) is None
    assert [skips.optimum(point) for point in skips.points] == [None, None]


def test_a_point_that_was_refused_has_no_figures_of_a_gradient(chain) -> None:
    point = at(chain, "binomial", 3)
    assert point.refused
    assert chain.evaluations(point) is chain.times_as_long(point) is chain.off(point) is None


def test_the_floor_is_the_formula_s_or_what_was_counted(sweep) -> None:
    counted = made_up.point("long_skips", 42 * S, 0)[0]
    log = replace(
        counted,
        trial=replace(counted.trial, instrument="operations"),
        readings={"floor_bytes": 41 * S},
    )
    chain, skips = graphs([*sweep, log])
    assert chain.floor == 102 * S
    assert skips.floor == 41 * S
    assert graphs(sweep)[1].floor is None


def test_segments_that_others_beat_are_not_drawn(chain) -> None:
    cut = chain.theory.segmented()
    assert [peak for _, peak, _ in cut] == sorted({peak for _, peak, _ in cut})
    assert [n for _, _, n in cut] == sorted({n for _, _, n in cut}, reverse=True)
    assert (10, 21 * S, 181) in cut


def layers(**how) -> list[Record]:
    """The records of points of a network of layers of unequal width."""
    graph = {"widths": "2-1-4-1", "unit": 16, "batch": 512}
    given = {**graph, "recompute": "none", "budget": 0, "segments": 2, "packer": "none", **how}
    return [
        made_up.record(
            "uneven_layers",
            instrument="arrays",
            study="recomputation",
            parameters=given,
            readings={"peak_array_bytes": 5e5},
        )
    ]


def test_the_best_of_layers_is_drawn_in_the_steps_in_which_it_falls() -> None:
    [graph] = graphs([*layers(), *layers(recompute="binomial", budget=900_000)])
    theory = graph.theory
    assert theory is not None
    steps = theory.optimal()
    assert [n for _, n in steps] == sorted({n for _, n in steps}, reverse=True)
    assert steps[0][0] == theory.least and steps[-1] == (theory.floor, 6)
    for peak, n in steps:
        assert theory.evaluations(peak) == n
        before = theory.evaluations(peak - 1)
        assert before is None or before > n
    assert graph.optimum(at(graph, "binomial")) == theory.evaluations(900_000)
    section = recomputation(layers())
    assert section is not None


# In words


def test_budgets_are_counted_as_they_came_out(sweep) -> None:
    found = graphs(sweep)
    assert budgets_kept(found) == (
        "Of 6 budgets: 4 kept, 1 refused as too small and 1 overstepped, by 9.5\u202f% at most."
    )
    assert budgets_kept(found[1:]) == "Every budget was kept: the one peak stayed within."
    assert "cannot be told" in budgets_kept([])


def test_each_way_is_set_beside_the_optimum(chain) -> None:
    said = against_theory([chain])
    assert "`binomial` needed exactly as many at all 2 points" in said
    assert "`budget` needed 1.10\u202f\u00d7 to 1.26\u202f\u00d7" in said
    assert "`half`" not in said
    assert "cannot be told" in against_theory([])


def test_what_packing_took_is_all_that_was_asked_for(chain) -> None:
    assert at(chain, "half").took.median == 27 * S + 30_000
    assert at(chain, "segments").took.median == 21 * S


def test_half_of_the_peak_is_bought_where_it_is_cheapest(chain) -> None:
    assert "on `deep_chain` 1.81\u202f\u00d7 the evaluations" in halved([chain])
    assert "(`segments`)" in halved([chain])
    assert "cannot be told" in halved([])


def test_gradients_that_are_not_the_same_are_named(sweep) -> None:
    found = graphs(sweep)
    assert "but for `half` (sums up to 1.0e-04 off)" in same_gradients(found)
    assert "All 1 gave" in same_gradients(found[1:])


def test_the_study_s_question_is_answered(sweep) -> None:
    [answer] = answers(sweep)
    assert answer.study == "recomputation"
    assert [sentence.split()[0] for sentence in answer.sentences] == ["Of", "Of", "Half"]


# In the report


@pytest.fixture(scope="module")
def charts(sweep) -> list[Chart]:
    section = recomputation(sweep)
    assert section is not None
    return [
        block
        for graph in section.blocks
        if isinstance(graph, Section)
        for block in graph.blocks
        if isinstance(block, Chart)
    ]


def sources(chart):
    return [r.data_source.data for r in chart.draw().select(GlyphRenderer)]


def test_a_chart_of_evaluations_and_one_of_time_for_each_graph(charts) -> None:
    assert [chart.title for chart in charts] == [
        "Evaluations and memory, deep_chain",
        "Time and memory, deep_chain",
        "Evaluations and memory, long_skips",
        "Time and memory, long_skips",
    ]
    for chart in charts:
        drawn = chart.draw()
        assert "times" in drawn.yaxis.axis_label
        assert drawn.xaxis.axis_label == "peak, in arrays"


def test_every_point_is_where_it_was_measured(charts, chain) -> None:
    drawn = {
        (data["name"][n], x, data["y"][n])
        for data in sources(charts[0])
        if "least" in data
        for n, x in enumerate(data["x"])
    }
    assert drawn == {
        (p.way, p.took.median / S, chain.times_evaluated(p)) for p in chain.points if not p.refused
    }


def test_no_point_of_recomputing_lies_under_the_line_of_the_optimum(charts) -> None:
    [line] = [data for data in sources(charts[0]) if set(data.get("name", [])) == {"optimum"}]
    best = dict(zip(line["x"], line["y"], strict=True))
    assert (best[4], best[10], best[102]) == (49.51, 2.56, 1.0)
    assert (
        len([r for r in charts[0].draw().select(GlyphRenderer) if isinstance(r.glyph, Step)]) == 2
    )


def test_the_legend_has_all_and_each_mark_words_for_the_pointer(charts) -> None:
    drawn = charts[0].draw()
    labels = [item.label.value for item in drawn.legend[0].items]
    assert labels == [
        *("none", "binomial", "budget", "half", "segments"),
        *("optimum", "uniform segments", "floor L*", "least of all", "its budget", "refused"),
    ]
    [hover] = drawn.select(HoverTool)
    said = [line for r in hover.renderers for line in r.data_source.data["first"]]
    assert "10 arrays, peak 10 arrays" in said
    assert "binomial: 3 arrays; it knew of 4 arrays that would do" in said


def test_a_budget_is_marked_beside_its_peak(charts) -> None:
    marked = [
        (x, budget)
        for r in charts[0].draw().select(GlyphRenderer)
        if isinstance(r.glyph, Scatter) and "budget" in r.data_source.data
        for x, budget in zip(r.data_source.data["x"], r.data_source.data["budget"], strict=True)
    ]
    assert sorted(budget for _, budget in marked) == [5, 10, 20, 21]
    assert (23, 21) in marked


def test_the_table_says_asked_took_cost_and_how_far_from_the_best(charts) -> None:
    table = charts[0].table
    rows = {(row[0], row[1]): dict(zip(table.columns, row, strict=True)) for row in table.rows}
    row = rows["budget", "21 arrays"]
    assert (row["Peak of arrays"], row["Within"]) == ("23 arrays", "**no**")
    assert (row["Evaluations"], row["Fewest possible"], row["More"]) == ("199", "181", "18")
    assert rows["binomial", "3 arrays"]["Peak of arrays"] == "refused"
    assert rows["half", "\u2013"]["Gradients"] == "sum 1.0e-04 off"
    assert all(origin is not None for origin in table.origins)


def test_its_figures_can_be_copied_as_they_were_read(charts) -> None:
    data = charts[0].data()
    assert len({len(column) for column in data.values()}) == 1
    assert data["budget, bytes"][2] == 5 * S
    assert data["evaluations"][2] == 846


def test_points_of_a_sweep_are_not_told_of_one_by_one(sweep) -> None:
    alone = [section.title for section in sections(sweep)]
    assert alone[0] == TITLE
    assert "Workload by workload" not in alone
    both = sections([*made_up.run(), *sweep])
    [each] = [section for section in both if section.title == "Workload by workload"]
    assert [block.title for block in each.blocks] == list(made_up.WORKLOADS)
    assert TITLE in [section.title for section in both]


def test_a_terminal_is_told_what_a_sweep_found_and_no_line_for_each_point(sweep) -> None:
    out = io.StringIO()
    Console(file=out, width=200).print(summary(sweep))
    assert "6 budgets: 4 kept" in out.getvalue()
    assert "recompute" not in out.getvalue()


def test_a_run_without_a_sweep_has_no_such_section() -> None:
    assert recomputation(made_up.run()) is None


def test_where_too_little_was_measured_that_is_said(sweep) -> None:
    section = recomputation([r for r in sweep if r.trial.instrument == "clock"])
    assert section is not None
    for graph in section.blocks:
        assert isinstance(graph, Section)
        assert isinstance(graph.blocks[0], Text)

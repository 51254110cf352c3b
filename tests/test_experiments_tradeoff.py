"""Time against memory: the best trade-offs are those that nothing beats."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import made_up
import numpy as np
import pytest
from bokeh.models import GlyphRenderer, HoverTool, Scatter, Step, glyphs
from hypothesis import given
from hypothesis import strategies as st

from experiments.estimates import by_subject
from experiments.intervals import Process, of_median
from experiments.report.blocks import Chart, Text
from experiments.report.sections.tradeoff import byte_ticks, front, tradeoff
from experiments.trial import Record

places = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]


@given(places)
def test_of_the_front_none_is_beaten_and_of_the_others_each(found) -> None:
    best = [found[n] for n in front(found)]
    for place in found:
        assert (place in best) == (not any(beats(other, place) for other in found))
        assert place in best or any(beats(other, place) for other in best)
    assert best == sorted(best)
    assert [y for _, y in best] == sorted((y for _, y in best), reverse=True)


@given(st.lists(st.floats(1.0, 9.0), min_size=3, max_size=9))
def test_an_interval_of_a_median_holds_it_and_claims_no_more_than_so_many_bear(times) -> None:
    found = of_median([Process(time) for time in times])
    assert found is not None
    assert min(times) <= found.low <= median(times) <= found.high <= max(times)
    assert found.confidence <= 1 - 2.0 ** (1 - len(times))
    assert found.confidence >= 0.95 or len(times) < 6


def test_two_processes_bear_no_interval() -> None:
    assert of_median([Process(1.0), Process(2.0)]) is None


@pytest.mark.parametrize("n", [3, 5, 6, 7, 12, 30])
def test_an_interval_of_a_median_keeps_its_promise(n) -> None:
    random = np.random.default_rng(n)
    held, promised = 0, 0.0
    for times in random.lognormal(0.0, 0.3, size=(2000, n)):
        found = of_median([Process(time) for time in times])
        assert found is not None
        promised = found.confidence
        held += found.low <= 1.0 <= found.high
    assert abs(held / 2000 - promised) < 0.02  # two standard deviations at least


def records(**modes: tuple[float, float]) -> list[Record]:
    """Trials of a workload by mode: seconds and bytes; all but `no_grad` go backward."""
    told = []
    for mode, (seconds, peak) in modes.items():
        readings = {"peak_bytes": peak}
        told += [
            made_up.record("chain", mode, "traced", repeat=n, readings=readings) for n in (0, 1)
        ]
        times = {"wall_seconds": seconds, "forward_seconds": seconds / 2}
        if mode != "no_grad":
            times["backward_seconds"] = seconds / 2
        told += [made_up.record("chain", mode, "clock", repeat=n, readings=times) for n in range(4)]
    return told


def only_chart(found: Sequence[Record]) -> Chart:
    [chart] = tradeoff(found).blocks
    assert isinstance(chart, Chart)
    return chart


def test_a_mode_that_makes_no_gradients_is_shown_and_not_ranked() -> None:
    chart = only_chart(records(step16=(2.0, 9e6), lean=(1.0, 2e6), no_grad=(0.1, 1e5)))
    assert chart.table is not None
    ranks = {row[0]: row[-2] for row in chart.table.rows}
    assert ranks == {"step16": "no", "lean": "yes", "no_grad": "not ranked: no gradients"}
    assert "`lean` is the fastest and holds the least" in chart.says
    assert "`no_grad`, hollow, makes no gradients" in chart.says
    [hollow] = [r for r in marks(chart) if r.glyph.fill_alpha == 0]
    assert hollow.data_source.data["name"] == ["no_grad"]


def test_where_no_mode_makes_gradients_all_are_ranked() -> None:
    chart = only_chart(
        [
            r
            for r in records(lean=(1.0, 2e6), no_grad=(0.1, 1e5))
            if r.readings.pop("backward_seconds", True)
        ]
    )
    assert "`no_grad` is the fastest" in chart.says and "hollow" not in chart.says


def marks(chart: Chart) -> list[GlyphRenderer]:
    """The points of the modes, without the rings around the best."""
    return [
        r
        for r in chart.draw().select(GlyphRenderer)
        if isinstance(r.glyph, Scatter) and "name" in r.data_source.data
    ]


def test_the_best_are_joined_and_every_point_is_where_its_medians_are() -> None:
    found = {"step16": (3.0, 9e6), "step18": (1.0, 4e6), "lean": (2.0, 2e6)}
    chart = only_chart(records(**found))
    per = 2**20
    at = {
        r.data_source.data["name"][0]: (r.data_source.data["value"][0], r.data_source.data["y"][0])
        for r in marks(chart)
    }
    assert at == {
        mode: (pytest.approx(time), pytest.approx(peak / per))
        for mode, (time, peak) in found.items()
    }
    [line] = [r for r in chart.draw().select(GlyphRenderer) if isinstance(r.glyph, Step)]
    assert line.data_source.data["x"] == [1.0, 2.0]
    assert "`step18` and `lean`" in chart.says


def test_the_chart_has_units_a_legend_and_words_for_the_pointer() -> None:
    chart = only_chart(records(step16=(3.0, 9e6), lean=(2.0, 2e6)))
    drawn = chart.draw()
    assert drawn.xaxis.axis_label == "elapsed time, s"
    assert drawn.yaxis.axis_label == "peak above the start, MiB"
    labels = [item.label.value for item in drawn.legend[0].items]
    assert labels == ["step16", "lean", "best trade-off"]
    [hover] = drawn.select(HoverTool)
    assert len(hover.renderers) == 2
    assert chart.data is not None
    assert chart.data()["peak, bytes"] == [9e6, 2e6]


def test_names_of_points_that_lie_together_lie_apart() -> None:
    alike = dict.fromkeys(("step16", "step17", "step18", "lean", "no_grad"), (2.0, 5e6))
    names = [r.glyph for r in only_chart(records(**alike)).draw().select(GlyphRenderer)]
    places = [
        (glyph.x_offset, glyph.y_offset, str(glyph.text_align))
        for glyph in names
        if isinstance(glyph, glyphs.Text)
    ]
    assert len(set(places)) == len(alike)


def test_peaks_far_apart_stand_on_a_logarithmic_scale_that_is_said() -> None:
    drawn = only_chart(records(step16=(3.0, 9e8), lean=(2.0, 2e5))).draw()
    assert drawn.yaxis.axis_label == "peak, log scale"
    per = 2**20
    for at, label in drawn.yaxis.major_label_overrides.items():
        n, unit = label.split("\u202f")
        assert at * per == float(n) * {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]


@given(st.floats(1, 1e9), st.floats(9, 1e6))
def test_a_logarithmic_axis_has_marks_enough(low, times) -> None:
    assert 2 <= len(byte_ticks(low, low * times)) <= 12


def test_too_few_processes_bear_no_interval_and_that_is_said() -> None:
    found = [r for r in records(step16=(3.0, 9e6), lean=(2.0, 2e6)) if r.trial.repeat < 2]
    chart = only_chart(found)
    assert "Of all modes, the range of the times: fewer than 3 processes" in chart.says
    assert chart.table is not None
    assert all("no interval" in row[2] for row in chart.table.rows)


def test_times_and_peaks_of_other_settings_of_the_collector_are_said_to_be() -> None:
    [group] = [g for s, g in by_subject(made_up.run()).items() if s.workload == "chain"]
    chart = only_chart(group)
    assert "Times with the collector on, peaks with the collector off." in chart.says
    assert chart.table is not None
    assert {origin.arm for origin in chart.table.origins if origin} == {None}


def test_without_both_figures_there_is_no_chart() -> None:
    for instrument in ("traced", "clock"):
        found = [r for r in records(lean=(1.0, 1e6)) if r.trial.instrument == instrument]
        [words] = tradeoff(found).blocks
        assert isinstance(words, Text) and words.words.startswith("Not measured")

"""Arrays on top of each other over time: what is drawn against what was alive."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from bokeh.models import GroupFilter, HoverTool, Quad, Segment
from hypothesis import given
from hypothesis import strategies as st

from experiments.report.charts.bands import Life, Panel, Passed, timelines
from experiments.report.charts.stacking import (
    FEWEST_COLUMNS,
    TOGETHER,
    Arrays,
    fewer,
    stacked,
    tiles,
)
from experiments.report.wording.looks import ROLES

KINDS = len(ROLES)


@st.composite
def histories(draw, most=40):
    """Arrays with sizes, roles, births and deaths, one event each, in the order of their birth."""
    log = draw(
        st.lists(
            st.tuples(st.integers(1, 9), st.integers(0, KINDS - 1), st.integers(0, 12)),
            min_size=1,
            max_size=most,
        )
    )
    sizes, roles, born, died, living, event = [], [], [], [], [], 0
    for size, role, victim in log:
        event += 1
        living.append(len(sizes))
        sizes.append(size)
        roles.append(role)
        born.append(event)
        died.append(None)
        if victim < len(living):
            event += 1
            died[living.pop(victim)] = event
    ends = [event + 1 if end is None else end for end in died]
    return Arrays(*(np.array(found, np.int64) for found in (sizes, roles, born, ends))), event + 1


def totals_of(arrays, columns):
    """The bytes of each role that are alive after each of some events, counted one by one."""
    alive = [(arrays.born <= event) & (arrays.died > event) for event in columns]
    return [
        [int(arrays.sizes[now & (arrays.roles == role)].sum()) for now in alive]
        for role in range(KINDS)
    ]


def at(stack, event):
    """What is drawn at an event, from the bottom up: array, role, bottom, top."""
    here = (stack.left <= event) & (event < stack.right)
    found = zip(*(getattr(stack, n)[here] for n in ("array", "role", "bottom", "top")), strict=True)
    return sorted(found, key=lambda row: row[2])


def assert_tiles(stack, totals):
    """At every column rectangles stand on each other from zero to the top, each role as high."""
    for column, heights in zip(stack.columns, np.transpose(totals), strict=True):
        found = at(stack, column)
        edges = [0, *(top for *_, top in found)]
        assert [bottom for *_, bottom, _ in found] == edges[:-1]
        assert edges[-1] == heights.sum()
        by_role = np.zeros(KINDS, int)
        for _, role, bottom, top in found:
            by_role[role] += top - bottom
        assert by_role.tolist() == heights.tolist()


@given(histories())
def test_at_every_event_the_bands_are_what_is_alive(history):
    arrays, events = history
    columns = range(events)
    stack = stacked(arrays, columns, totals_of(arrays, columns))
    assert_tiles(stack, totals_of(arrays, columns))
    assert (stack.array != TOGETHER).all()
    for event in columns:
        found = at(stack, event)
        alive = np.flatnonzero((arrays.born <= event) & (arrays.died > event))
        assert [array for array, *_ in found] == alive.tolist()  # the newest on top
        assert [top - bottom for *_, bottom, top in found] == arrays.sizes[alive].tolist()


@given(histories())
def test_the_areas_add_up_to_the_integral(history):
    arrays, events = history
    stack = stacked(arrays, range(events), totals_of(arrays, range(events)))
    areas = (stack.right - stack.left) * (stack.top - stack.bottom)
    for array in range(len(arrays.sizes)):
        life = min(arrays.died[array], events) - arrays.born[array]
        assert areas[stack.array == array].sum() == arrays.sizes[array] * life
    assert areas.sum() == np.sum(totals_of(arrays, range(events)))


@given(histories(), st.integers(0, 9), st.integers(-1, 60), st.integers(1, 60), st.data())
def test_what_is_drawn_together_leaves_every_height_exact(history, least, beyond, most, data):
    arrays, events = history
    columns = sorted(data.draw(st.sets(st.integers(0, events - 1), min_size=1)))
    totals = totals_of(arrays, columns)
    stack = stacked(arrays, columns, totals, least_bytes=least, beyond=beyond, most=most)
    places = [columns.index(column) for column in stack.columns]
    assert_tiles(stack, np.array(totals)[:, places])
    assert all(arrays.sizes[array] >= least for array in stack.apart)
    is_few = len(stack.columns) < 2 * FEWEST_COLUMNS
    assert len(stack.array) <= most or (not len(stack.apart) and is_few)


@given(histories(), st.integers(1, 80))
def test_arrays_of_the_same_bytes_and_life_are_drawn_alike(history, most):
    arrays, events = history
    stack = stacked(arrays, range(events), totals_of(arrays, range(events)), most=most)
    area = arrays.sizes * (np.minimum(arrays.died, events) - arrays.born)
    apart = set(stack.apart.tolist())
    assert not {area[n] for n in apart} & {area[n] for n in range(len(area)) if n not in apart}


def test_arrays_that_nobody_tells_of_are_drawn_together():
    known = Arrays(*(np.array([n]) for n in (10, 0, 1, 3)))
    totals = [[0] * 4 for _ in ROLES]
    totals[0], totals[2] = [0, 17, 17, 0], [5, 5, 5, 5]
    stack = stacked(known, range(4), totals)
    assert at(stack, 1) == [(0, 0, 0, 10), (TOGETHER, 0, 10, 17), (TOGETHER, 2, 17, 22)]
    assert at(stack, 3) == [(TOGETHER, 2, 0, 5)]


def test_a_band_moves_down_when_one_below_it_dies():
    arrays = Arrays(*map(np.array, ([4, 3], [2, 2], [1, 2], [3, 5])))
    stack = stacked(arrays, range(5), totals_of(arrays, range(5)))
    second = stack.array == 1
    rectangles = zip(*(getattr(stack, n)[second] for n in ("left", "right", "bottom")), strict=True)
    assert list(rectangles) == [(2, 3, 4), (3, 5, 0)]


def test_of_too_many_columns_half_are_left_and_the_peak_is_among_them():
    rng = np.random.default_rng(0)
    totals = rng.integers(1, 1_000, (KINDS, 600))
    totals[3, 333] = 99_999
    none = Arrays(*(np.array([], np.int64) for _ in range(4)))
    stack = stacked(none, range(600), totals, most=1_500)
    assert len(stack.array) <= 1_500
    assert 333 in stack.columns
    assert stack.top.max() == totals.sum(axis=0).max()
    assert_tiles(stack, totals[:, stack.columns])


def test_rows_take_the_fewest_rectangles():
    found = tiles(np.array([[1, 1, 1, 1], [2, 2, 0, 2]]))
    assert len(found.row) == 3
    assert found.left.tolist() == [0, 0, 3]
    assert found.right.tolist() == [4, 2, 4]


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=300), st.integers(4, 50))
def test_fewer_places_keep_the_ends_the_highest_and_the_lowest(curve, most):
    places = fewer(curve, most)
    assert len(places) <= most
    assert all(a < b for a, b in pairwise(places))
    assert {0, len(curve) - 1} <= set(places)
    assert {max(curve), min(curve)} <= {curve[place] for place in places}


# Drawn --------------------------------------------------------------------------------------------


def a_panel(title="lean", *, scale=1, floor=None, start=0):
    known = ([4 * scale, 3 * scale], [2, 4], [start + 1, start + 2], [start + 99, start + 99])
    arrays = Arrays(*map(np.array, known))
    columns = range(start, start + 4)
    stack = stacked(arrays, columns, totals_of(arrays, columns), beyond=6 * scale)
    lives = {n: Life("Square, activation", "held by x", (1, 0.5, "forward"), None) for n in (0, 1)}
    peak = Passed(start + 2, 7 * scale, "forward")
    return Panel(title, stack, lives, [Passed(start + 3, 7 * scale, "forward")], peak, floor)


def quads(chart):
    return [r for r in chart.renderers if isinstance(r.glyph, Quad)]


def test_panels_share_the_time_axis_and_the_scale():
    drawn = timelines(
        [a_panel("step16", scale=1_000), a_panel(floor=2)], ROLES, x_title="time", same_scale=True
    )
    one, other = drawn.children
    assert one.x_range is other.x_range
    assert one.y_range.end == other.y_range.end > 7_000
    assert (one.xaxis.visible, other.xaxis.visible) == (False, True)
    assert other.xaxis.axis_label == "time"
    assert one.frame_height == other.frame_height
    assert drawn.min_height > 2 * one.frame_height  # what the page keeps free for it
    own = timelines([a_panel(scale=1_000), a_panel()], ROLES, x_title="", same_scale=False)
    assert own.children[1].y_range.end < 10


def test_a_role_of_the_legend_hides_it_in_every_panel():
    drawn = timelines([a_panel("step16"), a_panel()], ROLES, x_title="time", same_scale=True)
    [legend] = drawn.children[0].legend
    assert legend.click_policy == "hide"
    assert {item.label.value for item in legend.items} == {"activation", "gradient"}
    for item in legend.items:
        assert len(item.renderers) == 2
    assert not drawn.children[1].legend


def test_a_role_that_only_a_lower_panel_has_is_in_the_legend_of_the_first():
    only_gradient = a_panel()
    stack = only_gradient.stack
    keep = stack.role == 4
    cut = {n: getattr(stack, n)[keep] for n in ("array", "role", "left", "right", "bottom", "top")}
    first = Panel("no_grad", type(stack)(stack.columns, **cut), {}, [], only_gradient.peak, None)
    drawn = timelines([first, a_panel()], ROLES, x_title="time", same_scale=True)
    [legend] = drawn.children[0].legend
    for item in legend.items:
        assert item.renderers[0] in drawn.children[0].renderers  # it shows what the role looks like
        assert item.renderers[0].data_source.data["left"] is not None


def test_the_rectangles_are_drawn_in_their_role_and_packed_small():
    [chart] = timelines([a_panel(start=1_000)], ROLES, x_title="time", same_scale=True).children
    source = quads(chart)[0].data_source
    assert {column.dtype.itemsize for column in source.data.values()} == {1}
    assert source.data["left"].min() == 1  # since the panel's own start
    assert {r.view.filter.group for r in quads(chart)} == set(source.data["role"].tolist())
    assert all(isinstance(r.view.filter, GroupFilter) for r in quads(chart))


def test_the_floor_is_drawn_where_it_is_known():
    charts = timelines(
        [a_panel(floor=5.0), a_panel(floor=None)], ROLES, x_title="time", same_scale=True
    ).children
    lines = [[r for r in c.renderers if isinstance(r.glyph, Segment)] for c in charts]
    assert [len(found) for found in lines] == [1, 0]
    assert lines[0][0].data_source.data["y"] == [5.0]


def test_the_pointer_is_told_of_every_rectangle_of_every_panel():
    drawn = timelines([a_panel("step16"), a_panel()], ROLES, x_title="time", same_scale=True)
    told = set()
    for place, chart in enumerate(drawn.children):
        hovers = [t for t in chart.tools if isinstance(t, HoverTool) and t.formatters]
        [hover] = hovers
        assert set(hover.renderers) == set(quads(chart))
        assert {r.name for r in hover.renderers} == {str(place)}
        told |= set(hover.formatters.values())
    [formatter] = told
    assert len(formatter.args["panels"]) == len(formatter.args["arrays"]) == 2
    known = formatter.args["arrays"][0]
    assert [formatter.args["words"][n] for n in known["what"]] == ["Square, activation"]
    assert known["died"].tolist() == [-1]


@pytest.mark.parametrize("top", [1, 7, 999, 2**20, 255.3 * 2**20, 3 * 2**30])
def test_a_scale_has_a_few_round_numbers(top):
    panel = a_panel(scale=max(1, round(top / 7)))
    [chart] = timelines([panel], ROLES, x_title="time", same_scale=True).children
    ticks = chart.yaxis[0].ticker.ticks
    assert 2 <= len(ticks) <= 6
    assert ticks[0] == 0
    assert set(ticks) == set(chart.yaxis[0].major_label_overrides)

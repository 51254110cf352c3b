"""Every chart is drawn, says what it shows, and answers to the pointer."""

from __future__ import annotations

import re

import pytest
import visits


@pytest.fixture(scope="module", params=["small", "reference"])
def page(visit, request):
    with visit(request.getfixturevalue(request.param)) as page:
        yield page


@pytest.fixture(scope="module")
def charts(page):
    return page.evaluate("witness.charts()")


@pytest.fixture(scope="module")
def kinds(charts):
    """The place of the first chart of each kind, as its axes and its legend tell."""
    first = {}
    for n, chart in enumerate(charts):
        axes = [UNIT.sub("", axis) for axis in chart["axes"]]
        first.setdefault((*axes, *chart["legend"]), n)
    return list(first.values())


UNIT = re.compile(r", ([KMG]?i?B|m?s|µs)$|times|rounds|^births and deaths of arrays$")


def test_every_chart_is_drawn_in_more_than_one_colour(charts) -> None:
    assert len(charts) > 10
    assert [chart["title"] for chart in charts if chart["colours"] < 3] == []


def test_every_axis_has_its_title_on_the_chart_and_what_is_measured_its_unit(charts) -> None:
    for chart in charts:
        assert len(chart["axes"]) >= 2
        assert set(chart["axes"]) <= set(chart["written"]), chart["title"]
        assert any(UNIT.search(axis) for axis in chart["axes"]), chart["axes"]


def test_every_chart_has_a_legend_and_words_for_the_pointer(charts) -> None:
    for chart in charts:
        assert len(set(chart["legend"])) == len(chart["legend"]) > 1, chart["title"]
        assert chart["clicks"] == ["hide"]
        assert chart["tooltips"] and all(chart["pointed"]), chart["title"]


def entry(page, chart, place):
    """An entry of a chart's legend, which is made anew with every change."""
    asked = "([chart, place]) => witness.entries(chart)[place]"
    return page.evaluate_handle(asked, [chart, place]).as_element()


def test_a_click_in_the_legend_hides_what_it_names_and_another_shows_it(
    page, charts, kinds
) -> None:
    for n in kinds:
        title = charts[n]["title"]
        before = page.evaluate("n => witness.visible(n)", n)
        assert before == [[True] * len(shown) for shown in before]
        last = len(before) - 1
        entry(page, n, last).click()
        after = page.evaluate("n => witness.visible(n)", n)
        assert after[:last] == before[:last], title
        assert not any(after[last]), title
        entry(page, n, last).click()
        assert page.evaluate("n => witness.visible(n)", n) == before, title


def test_the_legend_is_worked_by_keyboard_and_says_what_is_shown(page, charts, kinds) -> None:
    for n in kinds:
        title = charts[n]["title"]
        before = page.evaluate("n => witness.visible(n)", n)
        entry(page, n, 0).focus()
        for key, shown in (("Enter", False), (" ", True)):
            page.keyboard.press(key)
            assert all(page.evaluate("n => witness.visible(n)[0]", n)) is shown, title
            now = page.evaluate_handle("witness.focused()").as_element()
            assert now.get_attribute("role") == "button", title
            assert now.get_attribute("aria-pressed") == str(shown).lower(), title
            assert now.inner_text().strip() == charts[n]["legend"][0], title
        assert page.evaluate("n => witness.visible(n)", n) == before, title


def test_the_pointer_over_a_chart_is_told_what_it_points_at(page, charts, kinds, request) -> None:
    if request.node.callspec.params["page"] == "reference":
        why = "Bokeh's hover does not find the outline of the areas"
        request.applymarker(pytest.mark.xfail(reason=why, strict=True))
    for n in kinds:
        title = charts[n]["title"]
        places = page.evaluate("n => witness.marks(n)", n)
        assert places, title
        page.mouse.move(*places[0])
        told = visits.in_time(page, "() => witness.told().join(' ')")
        assert re.search(r"\d", told), title
        page.mouse.move(0, 0)

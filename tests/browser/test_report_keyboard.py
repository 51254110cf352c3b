"""All of the report can be reached and worked without a pointer."""

from __future__ import annotations

import pytest
import visits


@pytest.fixture(scope="module", params=[visits.WIDE, visits.PHONE])
def page(visit, small, request):
    with visit(small, width=request.param) as page:
        yield page


@pytest.fixture
def from_the_top(page):
    """The page as it is before the first key."""
    page.evaluate(
        "focus(); document.activeElement.blur(); scrollTo({ behavior: 'instant', top: 0 })"
    )
    page.evaluate("getSelection().setPosition(document.body, 0)")


def test_the_first_key_leads_past_the_contents(page, from_the_top) -> None:
    page.keyboard.press("Tab")
    skip = page.evaluate_handle("witness.focused()").as_element()
    assert skip.get_attribute("class") == "skip"
    assert skip.bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("witness.focused().id") == "report"
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_tab_visits_all_that_can_be_worked_and_it_is_seen_where_it_is(page, from_the_top) -> None:
    wanted = page.evaluate("witness.workable()")
    assert len(wanted) > 50
    visited, faults = [], []
    while visited.count(wanted[0]) < 2:
        page.keyboard.press("Tab")
        name, fault = page.evaluate("witness.stop()")
        assert len(visited) < 3 * len(wanted), f"caught at {name}"
        visited.append(name)
        if fault:
            faults.append(fault)
    assert [name for name in wanted if name not in visited] == []
    assert not faults, "\n".join(faults)


def test_what_is_folded_opens_and_closes_by_key(page) -> None:
    folds = page.locator("main summary:visible")
    assert folds.count() > 5
    for n in range(0, folds.count(), 3):
        fold = folds.nth(n)
        folded = fold.evaluate("one => !one.parentElement.open")
        fold.focus()
        page.keyboard.press("Enter")
        assert fold.evaluate("one => one.parentElement.open") is folded
        page.keyboard.press("Enter")
        assert fold.evaluate("one => !one.parentElement.open") is folded


def test_what_scrolls_can_have_the_focus_and_has_a_name(page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("witness.unreachable()") == []

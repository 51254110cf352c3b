"""The page reads well wherever it is read: light and dark, wide, on a phone, on paper."""

from __future__ import annotations

import pytest
import visits


@pytest.fixture(scope="module", params=visits.LOOKS)
def page(visit, small, request):
    with visit(small, **visits.LOOKS[request.param]) as page:
        yield page


def test_no_text_is_cut_off(page) -> None:
    found = page.evaluate("witness.cut()")
    assert not found, "\n".join(found)


def test_no_text_is_written_over_another(page) -> None:
    found = page.evaluate("witness.overlapping()")
    assert not found, "\n".join(found)


def test_the_page_is_no_wider_than_where_it_is_read(page) -> None:
    found = page.evaluate("witness.sideways()")
    assert not found, "\n".join(found)


def test_axe_finds_nothing_against_it(page) -> None:
    on_paper = page.evaluate("matchMedia('print').matches")
    found = visits.violations(page, *["color-contrast"] * on_paper)
    assert not found, "\n".join(found)

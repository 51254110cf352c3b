"""The figures of every chart and table can be copied as CSV, where there is a clipboard or none."""

from __future__ import annotations

import csv
import io
import re

import pytest
import visits


def read(text):
    """The columns of a CSV text under their names."""
    names, *rows = csv.reader(io.StringIO(text))
    assert all(len(row) == len(names) for row in rows)
    return {name: [row[n] for row in rows] for n, name in enumerate(names)}


@pytest.fixture(scope="module")
def page(visit, small):
    with visit(small, permissions=["clipboard-read", "clipboard-write"]) as page:
        yield page


def copied(page, button):
    """What is on the clipboard after a press of the button."""
    page.evaluate("navigator.clipboard.writeText('')")
    button.click()
    return visits.in_time(page, "() => navigator.clipboard.readText()")


def test_the_figures_of_every_chart_are_copied_in_columns_with_names(page) -> None:
    charts = page.locator("figure:has(> .chart)")
    assert charts.count() > 10
    for n in range(charts.count()):
        title = charts.nth(n).locator("> .chart").get_attribute("aria-label")
        columns = read(copied(page, charts.nth(n).locator("> .tools .copy").first))
        assert len(columns) > 1 and all(columns), title
        figures = [cell for column in columns.values() for cell in column]
        assert any(re.fullmatch(r"-?[\d.]+(e-?\d+)?", cell) for cell in figures), title


def test_what_is_copied_of_a_table_has_all_its_rows(page) -> None:
    tables = page.locator("main table:visible")
    assert tables.count() > 5
    for n in range(tables.count()):
        table = tables.nth(n)
        button = table.locator("xpath=../following-sibling::*[1]/button")
        columns = read(copied(page, button))
        [rows] = {len(column) for column in columns.values()}
        assert rows >= table.locator("tbody tr").count()


def test_without_a_clipboard_the_figures_are_there_to_be_copied_by_hand(visit, small) -> None:
    with visit(small) as page:
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
        button = page.locator(".copy:visible").first
        button.click()
        area = page.locator(".tools textarea")
        area.wait_for()
        assert area.evaluate("one => document.activeElement === one")
        assert page.evaluate("getSelection().toString()") or area.evaluate(
            "one => one.selectionEnd - one.selectionStart === one.value.length"
        )
        assert len(read(area.input_value())) > 1
        assert page.locator("#said").inner_text()

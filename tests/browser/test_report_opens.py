"""The report opens from its file, and every chart on it is drawn."""

from __future__ import annotations

import pytest

REPORTS = ["small", "reference"]


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_opens_from_file_with_no_request_and_no_word_of_complaint(
    visit, report, request
) -> None:
    path = request.getfixturevalue(report)
    with visit(path) as page:
        assert page.title().startswith("Memory modes compared")
        assert page.locator(".chart").count() == page.evaluate("Bokeh.documents.length") > 10

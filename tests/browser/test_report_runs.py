"""Every run gives a sound page: none asks for anything, none complains, all charts are drawn."""

from __future__ import annotations

import time
from itertools import count, islice, product

import made_up
import pytest
import visits

from experiments.report import write

REPEATED = ("traced", "clock", "cycles", "operations")


def test_a_run_with_failures_says_how_each_ended(small_page) -> None:
    assert small_page.locator(".chart").count() > 10
    small_page.get_by_role("link", name="See the failures.").click()
    table = small_page.locator("#failures table").first
    assert table.is_visible()
    for record in made_up.failures():
        assert record.outcome in table.inner_text()
        assert record.error.partition("\n")[0] in table.inner_text()


def test_the_reference_run_opens_with_no_request_and_no_word_of_complaint(reference_page) -> None:
    assert reference_page.locator(".chart").count() > 30
    assert reference_page.locator("h1").count() == 1


def test_a_run_in_which_nothing_ended_well_has_a_page(visit, tmp_path) -> None:
    with visit(visits.built(tmp_path, made_up.failures())) as page:
        assert "3 of which did not end well" in page.locator(".tally").inner_text()
        assert page.locator("#failures").is_visible()


@pytest.mark.parametrize("instrument", made_up.INSTRUMENTS)
def test_a_run_of_one_trial_has_a_page(visit, tmp_path, instrument) -> None:
    collector = made_up.INSTRUMENTS[instrument][1][0]
    found = made_up.found("chain", "lean", instrument, collector, 0)
    trial = made_up.record("chain", "lean", instrument, collector=collector, **found)
    with visit(visits.built(tmp_path, [trial])) as page:
        assert "1 trial, all ended well" in page.locator(".tally").inner_text()
        assert not page.evaluate("witness.sideways()")


@pytest.mark.parametrize("size", [10_000, 50_000])
def test_a_run_of_many_records_has_a_page_that_is_small(visit, tmp_path, size) -> None:
    (tmp_path / "records.jsonl").write_text("".join(islice(lines(), size)), encoding="utf-8")
    begun = time.perf_counter()
    path = write(tmp_path)
    took, weight = time.perf_counter() - begun, path.stat().st_size / 1e6
    print(f"{size} records: {took:.1f} s, {weight:.2f} MB")
    assert weight < 5
    with visit(path) as page:
        assert f"{size // 1000}\u202f000 trials" in page.locator(".tally").inner_text()
        assert page.evaluate("witness.charts().every(({ colours }) => colours > 2)")


def lines():
    """The lines of a run that was repeated and repeated: the same figures, 20 times 20 times."""
    kinds = list(product(made_up.WORKLOADS, made_up.MODES, REPEATED, range(20)))
    first = [line(*kind) for kind in kinds]
    for again in count():
        for (*_, repeat), one in zip(kinds, first, strict=True):
            yield one.replace(f'"repeat": {repeat},', f'"repeat": {again * 20 + repeat},')


def line(workload, mode, instrument, repeat):
    """The line of one of the trials of the made-up run."""
    collector = made_up.INSTRUMENTS[instrument][1][0]
    found = made_up.found(workload, mode, instrument, collector, repeat)
    told = {"collector": collector, "repeat": repeat, **found}
    return made_up.record(workload, mode, instrument, **told).to_line()

"""What the page says is what the records say, worked out here anew from their lines alone."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from statistics import median
from urllib.parse import unquote, urlsplit

import pytest

READINGS = {
    "peak": "peak_bytes",
    "live after forward": "live_after_forward_bytes",
    "live after backward": "live_after_backward_bytes",
    "left behind": "left_bytes",
    "left after a collection": "left_after_collection_bytes",
}
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@pytest.fixture(scope="module", params=["small", "reference"])
def page(request):
    return request.getfixturevalue(f"{request.param}_page")


@pytest.fixture(scope="module")
def lines(page):
    """The lines of the records, as they are in the file."""
    report = Path(unquote(urlsplit(page.url).path))
    text = report.with_name("records.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def cases(lines):
    """The numbers of the lines of each case: what was done to what, and measured with what."""
    found = defaultdict(list)
    for number, record in enumerate(lines, start=1):
        if record["trial"]["study"] != "calibration":
            found[case(record)].append(number)
    return found


def case(record):
    trial = record["trial"]
    parameters = json.dumps(trial["parameters"], sort_keys=True)
    return (trial["workload"], parameters, trial["mode"], trial["collector"], trial["instrument"])


def tables(page, caption):
    """The rows of each table of a caption as texts, with the place that each leads to."""
    return page.evaluate(
        """(caption) => [...document.querySelectorAll("table")]
          .filter((table) => table.caption.textContent === caption)
          .map((table) => ({
            within: table.closest(".level3")?.querySelector("h3").textContent ?? "",
            columns: [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim()),
            rows: [...table.tBodies[0].rows].map((row) => ({
              cells: [...row.cells].map((cell) => cell.textContent.trim()),
              leads: row.querySelector("td a[href^='#']")?.getAttribute("href").slice(1) ?? "",
            })),
          }))""",
        caption,
    )


def told(text):
    """The number that a text tells, and how far it may be off for being rounded."""
    number, unit = re.fullmatch(r"([\d.\s]+)\s(B|KiB|MiB|GiB)", text).groups()
    digits = re.sub(r"\s", "", number)
    places = len(digits.partition(".")[2])
    return float(digits) * UNITS[unit], 0.5000001 * 10**-places * UNITS[unit]


def numbers(text):
    """The lines that are named: `3, 5-9`."""
    for part in text.split(", "):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def lines_told(page, place):
    """The lines that the table of records tells at a place, which is opened as a reader does."""
    row = page.evaluate(
        """(place) => {
          const row = document.getElementById(place);
          const columns = [...row.closest("table").tHead.rows[0].cells];
          const at = columns.findIndex((cell) => cell.textContent.trim() === "Lines");
          return row.cells[at].textContent.trim();
        }""",
        place,
    )
    return list(numbers(row))


def test_the_table_of_the_ladder_tells_the_medians_of_its_records(page, lines, cases) -> None:
    checked = 0
    for table in tables(page, "Memory held, above what was there at the start"):
        name = table["within"].partition(",")[0]
        for row in table["rows"]:
            arm, figure, text = row["cells"][:3]
            if figure not in READINGS or not re.match(r"\d", text):
                continue
            mode, _, collector = arm.partition(", ")
            found = lines_told(page, row["leads"])
            [of] = {case(lines[n - 1]) for n in found}
            assert cases[of] == found, "these and no others"
            assert of[0].endswith(name) and of[2] == mode and of[4] == "traced"
            assert not collector or collector in (
                of[3],
                f"collector {of[3]}",
                "collected each step",
            )
            values = [
                lines[n - 1]["readings"][READINGS[figure]]
                for n in found
                if lines[n - 1]["outcome"] == "ok" and READINGS[figure] in lines[n - 1]["readings"]
            ]
            value, off = told(text)
            assert value == pytest.approx(median(values), abs=off), (name, arm, figure)
            assert row["cells"][table["columns"].index("Trials")] == str(len(values))
            checked += 1
    measured = {of for of in cases if of[4] == "traced" and '"recompute"' not in of[1]}
    assert checked >= 3 * len(measured) > 10


def test_the_table_of_live_arrays_tells_what_each_timeline_holds_at_its_peak(page, lines) -> None:
    checked = 0
    for table in tables(page, "The peak of arrays, and what it is made of"):
        roles = {"parameter", "input", "activation", "output", "gradient", "temporary"}
        roles &= set(table["columns"])
        for row in table["rows"]:
            mode = row["cells"][0].partition(", ")[0]
            peak = next(
                record["details"]["timeline"]["peak"]
                for n in lines_told(page, row["leads"])
                if (record := lines[n - 1])["outcome"] == "ok" and record["trial"]["mode"] == mode
            )
            cells = dict(zip(table["columns"], row["cells"], strict=True))
            value, off = told(cells["Peak"])
            assert value == pytest.approx(sum(peak["roles"].values()), abs=off)
            for role in roles:
                said = cells[role].partition(" (")[0]
                value, off = told(said) if re.match(r"\d", said) else (0, 0)
                assert value == pytest.approx(peak["roles"].get(role, 0), abs=off), (mode, role)
            checked += 1
    assert checked == len({case(r) for r in lines if has_timeline(r)})


def has_timeline(record):
    return record["trial"]["study"] != "calibration" and "timeline" in record["details"]


def test_every_link_to_records_leads_to_a_row_that_names_lines_of_the_file(page, lines) -> None:
    places = page.evaluate(
        """[...new Set([...document.querySelectorAll("td a[href^='#']")]
             .map((link) => link.getAttribute("href").slice(1)))]"""
    )
    assert len(places) > 10
    for place in places:
        assert page.evaluate("(place) => !!document.getElementById(place)", place), place


def test_the_table_of_records_names_every_line_once(page, lines) -> None:
    told = page.evaluate(
        """[...document.querySelectorAll("table")]
          .filter((table) => table.tHead.rows[0].lastElementChild.textContent.trim() === "Lines")
          .flatMap((table) => [...table.tBodies[0].rows])
          .map((row) => row.lastElementChild.textContent.trim())"""
    )
    assert sorted(n for text in told for n in numbers(text)) == list(range(1, len(lines) + 1))


def test_a_link_to_records_opens_what_they_are_folded_in(page) -> None:
    link = page.locator("td a[href^='#']:visible").first
    place = link.get_attribute("href")[1:]
    link.click()
    row = page.locator(f"[id='{place}']")
    assert row.is_visible()
    box = row.bounding_box()
    assert 0 <= box["y"] < 200

"""Figures lead to the lines they came from, and can be copied, printed and shown anywhere."""

from __future__ import annotations

import csv
import html
import io
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import made_up
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reported import saved
from rich.console import Console

from experiments.calibration import BLANK
from experiments.estimates import Subject
from experiments.report import show, text, write
from experiments.report.blocks import TRUTHS, Block, Chart, Origin, Picture, Section, Table, Text
from experiments.report.sections.order import WHOLE, told_whole
from experiments.report.sections.records import ranges
from experiments.report.story import Story, story
from experiments.report.telling.copying import csv_of, csv_text, plainly
from experiments.report.telling.page import page, place
from experiments.report.telling.text import told
from experiments.report.wording.words import bytes_text, count_text
from experiments.trial import CALIBRATION, Record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with failures, its records in the order of chance, with one trial that ran twice."""
    run = [*made_up.run(), *made_up.failures()]
    random.Random(4).shuffle(run)
    return saved(tmp_path_factory.mktemp("run"), [replace(run[-1], outcome="killed"), *run])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of one workload, where what is drawn does not matter: drawing takes seconds."""
    run = [r for r in [*made_up.run(), *made_up.failures()] if r.trial.workload == "chain"]
    return saved(tmp_path_factory.mktemp("small"), run)


def tables_of(blocks: Sequence[Block]) -> Iterator[Table]:
    for block in blocks:
        if isinstance(block, Section):
            yield from tables_of(block.blocks)
        elif isinstance(block, Table):
            yield block
        elif isinstance(block, Chart | Picture) and block.table:
            yield block.table


def numbers(lines: str) -> set[int]:
    """The numbers of `3, 5-9`."""
    ends = [[int(end) for end in part.split("-")] for part in lines.split(", ")]
    return {n for first, *last in ends for n in range(first, [first, *last][-1] + 1)}


# Records ------------------------------------------------------------------------------------------


def test_each_case_names_exactly_the_lines_of_its_trials(folder) -> None:
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    written = [Record.from_line(line) for line in lines]
    named: set[int] = set()
    for table in tables_of(story(folder).sections):
        for origin, row in zip(table.places, table.rows, strict=False):
            mine = numbers(row[-1])
            trials = [written[n - 1].trial for n in mine]
            assert origin.arm is not None
            assert {(t.workload, t.mode, t.collector, t.instrument) for t in trials} == {
                (origin.subject.workload, origin.arm.mode, origin.arm.collector, origin.instrument)
            }
            assert count_text(len(mine)) in row and not named & mine
            named |= mine
    assert named == set(range(2, len(lines) + 1)), "the first line's trial ran again"


def test_every_row_with_an_origin_leads_to_the_records_of_its_case(small) -> None:
    source = write(small).read_text(encoding="utf-8")
    ids = re.findall(r'\bid="(records-[0-9a-f]{12})"', source)
    assert len(ids) == len(set(ids))
    origins = [o for t in tables_of(story(small).sections) for o in t.origins if o]
    assert len(origins) > 50
    # A row of several cases leads to all of its workload's.
    places = {place(o if o.arm or o.subject == TRUTHS else Origin(o.subject)) for o in origins}
    assert places <= set(ids)
    assert places <= set(re.findall(r'href="#(records-[0-9a-f]{12})"', source))


def test_a_table_has_an_origin_for_each_row_or_for_none(folder) -> None:
    for table in tables_of(story(folder).sections):
        assert len(table.origins) in (0, len(table.rows)), table.caption
        assert len(table.places) in (0, len(table.rows)), table.caption


def test_known_truths_have_their_lines_too(tmp_path) -> None:
    truth = made_up.record(BLANK, study=CALIBRATION, parameters={})
    told = story(saved(tmp_path, [made_up.record(), truth]))
    rows = [
        row
        for table in tables_of(told.sections)
        for origin, row in zip(table.places, table.rows, strict=False)
        if origin == Origin(TRUTHS, None, "traced")
    ]
    assert [row[-1] for row in rows] == ["2"]


@given(st.sets(st.integers(1, 60), min_size=1))
def test_ranges_name_each_number_once(wanted) -> None:
    assert numbers(ranges(wanted)) == wanted


# Large runs ---------------------------------------------------------------------------------------


def test_thousands_of_records_are_counted_and_summed_up_rightly(tmp_path) -> None:
    repeats = range(2_001)
    records = [
        made_up.record("chain", mode, repeat=n, readings={"peak_bytes": scale * n})
        for mode, scale in {"step17": 3000, "lean": 1000}.items()
        for n in repeats
    ]
    told = story(saved(tmp_path, records))
    [row] = next(t for t in tables_of(told.sections) if t.caption.startswith("Peak, and")).rows
    assert row[1:] == [bytes_text(3_000_000), bytes_text(1_000_000)]
    [first, second] = next(t for t in tables_of(told.sections) if t.places).rows
    assert (first[-1], second[-1]) == ("1-2001", "2002-4002")
    assert len(page(told)) < 5_000_000


def test_of_many_workloads_some_of_each_are_told_whole() -> None:
    chains = [Subject("chain", (("size", n),)) for n in range(40)]
    whole = told_whole([*chains, Subject("funnel"), Subject("inference")])
    assert len(whole) == WHOLE
    assert whole == [*chains[: WHOLE - 2], Subject("funnel"), Subject("inference")]


# Copying ------------------------------------------------------------------------------------------


FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(FIELDS, min_size=1, max_size=4, unique=True), st.data())
def test_what_is_copied_is_read_back_as_it_was(names, data) -> None:
    length = data.draw(st.integers(0, 4))
    columns = {
        name: data.draw(st.lists(FIELDS, min_size=length, max_size=length)) for name in names
    }
    copied = csv_text(columns)
    back = list(csv.reader(io.StringIO(copied, newline="")))
    assert back == [list(columns), *map(list, zip(*columns.values(), strict=True))]
    assert copied.endswith("\r\n")


def test_no_figure_is_an_empty_field() -> None:
    assert csv_text({"peak, bytes": [1.5, None], "mode": ["lean", "step16"]}) == (
        '"peak, bytes",mode\r\n1.5,lean\r\n,step16\r\n'
    )


@pytest.mark.parametrize(
    ("words", "copied"),
    [
        (count_text(-1_234_567), "-1234567"),
        (bytes_text(2048), "2.00 KiB"),
        ("`lean`, **UNCALIBRATED**", "lean, UNCALIBRATED"),
        ("[flame graph](files/a.html)", "flame graph"),
        ("\u2013", ""),
    ],
)
def test_a_tables_texts_are_copied_without_marks(words, copied) -> None:
    assert plainly(words) == copied
    table = Table("A", ["What"], [[words]])
    assert next(csv.reader(io.StringIO(csv_of(table).partition("\r\n")[2])), [""]) == [copied]


def test_a_charts_own_data_comes_before_its_tables() -> None:
    table = Table("A", ["What"], [["from the table"]])
    chart = Chart("A", "A.", lambda: None, table, data=lambda: {"n": [1]})
    assert csv_of(chart) == "n\r\n1\r\n"
    assert csv_of(replace(chart, data=None)) == "What\r\nfrom the table\r\n"


# In a terminal and in a notebook ------------------------------------------------------------------


def printed(of: Story, width: int, **how: bool) -> str:
    out = io.StringIO()
    Console(file=out, width=width, **how).print(*told(of), sep="\n")
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_text_keeps_to_its_width_and_says_the_answer(folder, width) -> None:
    of = story(folder)
    said = printed(of, width)
    assert max(map(len, said.splitlines())) <= width
    assert "\x1b" not in said
    words = " ".join(said.split())
    for sentence in of.asked[0].sentences:
        assert " ".join(sentence.replace("`", "").split()) in words


def test_the_text_leaves_to_the_page_what_is_drawn_or_folded_and_says_where_it_is() -> None:
    behind, folded, read = (Table(name, ["What"], [[name]]) for name in ("Drawn", "Folded", "Read"))
    drawn = Chart("A", "What it shows.", lambda: None, behind)
    key = Chart("B", "What its marks mean.", lambda: None, behind, a_key=True)
    sections = [
        Section("First", [drawn, key, replace(folded, folded=True), read], lead="Explained."),
        Section("Second", [read], lead="Explained."),
        Section("Marks alone", [key], lead="Not explained."),
        Section("Looked up", [folded, Text("Said.")], looked_up=True),
        Section("Detail", [read], folded=True),
    ]
    said = printed(Story((), sections, [made_up.record()]), 80)
    for told_of, times in {"What it shows.": 1, "Read": 4, "Explained.": 1, "Said.": 1}.items():
        assert said.count(told_of) == times, told_of
    for left in ("Drawn", "What its marks", "Folded", "Marks alone", "Not explained", "Detail"):
        assert left not in said
    assert "findings.md" in said.split("Left out here")[1]


def test_colours_are_for_terminals_alone(folder) -> None:
    assert "\x1b[" in printed(story(folder), 80, force_terminal=True)
    assert len(text(folder)) > 50


def test_a_table_that_is_too_wide_is_told_in_lines_with_nothing_lost() -> None:
    rows = [["lean", "x" * 30, "y" * 30], ["step16", "z" * 30, "same"]]
    section = Section("S", [Table("T", ["Mode", "First", "Second"], rows)])
    narrow, wide = (printed(Story((), [section], [made_up.record()]), w) for w in (40, 120))
    assert "First: " in narrow and "First: " not in wide
    for cell in (cell for row in rows for cell in row):
        assert cell in narrow and cell in wide


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(small) -> None:
    shown = show(small)
    [source] = re.findall(r'srcdoc="([^"]*)"', shown._repr_html_())
    whole = html.unescape(source)
    assert whole.rstrip().endswith("</html>") and whole.count("<main") == 1
    assert "What does each memory mode keep alive" in repr(shown)


def test_a_notebook_shows_one_workload_or_one_section(folder) -> None:
    mine = show(folder, "chain", "What each mode holds")
    assert [s.title for s in mine.story.sections] == ["What each mode holds"]
    assert {r.trial.workload for r in mine.story.records} == {"chain"}
    assert "no record yet" not in page(mine.story) and "square_loop" not in repr(mine)
    with pytest.raises(ValueError, match="'chian' is none of this run; it has chain, "):
        show(folder, "chian")
    with pytest.raises(ValueError, match="'Peaks' is none of this report; it has At a glance"):
        show(folder, section="Peaks")

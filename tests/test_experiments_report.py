"""The report says what the records say, in people's units, on a page that stands alone."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import made_up
import numpy as np
import pytest
from bokeh.models import GlyphRenderer, HoverTool, Scatter, Whisker
from hypothesis import given, settings
from hypothesis import strategies as st
from reported import Page, blocks_of, normal, only_table, page_of, rendered, saved, text_of

from experiments.estimates import by_subject
from experiments.report import write
from experiments.report.blocks import Chart, Section, Table
from experiments.report.charts.traces import POINTS, thinned
from experiments.report.reading import in_reading_order, read
from experiments.report.sections.glance import glance
from experiments.report.sections.ladder import ladder
from experiments.report.sections.order import sections
from experiments.report.sections.resident import resident
from experiments.report.story import story
from experiments.report.telling import page as page_room
from experiments.report.telling.findings import findings
from experiments.report.telling.page import SCRIPTS, STYLES
from experiments.report.wording import looks, words
from experiments.report.wording.answers import ASKED, answers
from experiments.studies import studies
from experiments.trial import Record


def charts_of(records: Sequence[Record]) -> list[Chart]:
    blocks = [b for section in sections(in_reading_order(records)) for b in blocks_of(section)]
    return [b for b in blocks if isinstance(b, Chart)]


@pytest.fixture(scope="module")
def run() -> list[Record]:
    return made_up.run()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, run: list[Record]) -> tuple[str, str]:
    """The page and the findings of a whole run with some failures."""
    folder = saved(tmp_path_factory.mktemp("run"), [*run, *made_up.failures()])
    source = write(folder).read_text(encoding="utf-8")
    return source, (folder / "findings.md").read_text(encoding="utf-8")


# The page


def test_the_page_asks_no_network_for_anything(whole) -> None:
    source, _ = whole
    page = Page(source)
    links = [a.get("src") or a.get("href") for _, a in page.elements]
    assert {link for link in links if link and not link.startswith("#")} == {"data:,"}
    own = "".join(
        Path(page_room.__file__).with_name(name).read_text() for name in (*STYLES, *SCRIPTS)
    )
    assert not re.search(r"https?:|@import|url\(|fetch\(", own)
    [policy] = [a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a]
    assert policy is not None and policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_the_page_is_small(whole) -> None:
    assert len(whole[0].encode()) < 3_000_000


def test_every_chart_is_on_the_page_with_its_data(whole, run) -> None:
    source, _ = whole
    drawn = re.findall(
        r'<div class="chart".*?<script type="text/plain">(.*?)</script>', source, re.S
    )
    assert len(drawn) == len(charts_of([*run, *made_up.failures()])) > 10
    for packed in drawn:
        item = zlib.decompress(base64.b64decode(packed))
        assert json.loads(item)["doc"]["roots"][0]["name"] == "Figure"


def test_every_link_in_the_contents_leads_somewhere_and_only_to_one_place(whole) -> None:
    page = Page(whole[0])
    places = [a["id"] for _, a in page.elements if "id" in a]
    assert len(places) == len(set(places))
    wanted = {a["href"] for t, a in page.elements if t == "a" and "href" in a}
    assert {link[1:] for link in wanted if link} <= set(places)
    for workload in made_up.WORKLOADS:
        assert f"#workload-by-workload-{workload.replace('_', '-')}" in wanted


def test_tables_can_be_reached_by_keyboard_and_have_names(whole) -> None:
    page = Page(whole[0])
    assert page.count("table") == page.count("caption") > 20
    scrolled = page.count("div", class_="scroll", tabindex="0")
    assert scrolled == page.count("table") + page.count("pre")


def test_what_a_trial_said_is_text_and_never_markup(whole) -> None:
    source, found = whole
    assert "<script>alert(1)" not in source
    assert "<script>alert(1)</script>" in Page(source).text
    assert "1 MiB \\| with <script>" in found


def test_the_same_records_make_the_same_findings_in_whatever_order_they_came(
    tmp_path, run, rng
) -> None:
    def told(records: Sequence[Record]) -> str:
        return findings(story(saved(tmp_path, records)))

    assert told([run[n] for n in rng.permutation(len(run))]) == told(run)


# The charts


def test_a_chart_has_titles_with_units_a_legend_that_toggles_and_words_for_the_pointer(run) -> None:
    for chart in charts_of(run):
        drawn = chart.draw()
        for axis in drawn.axis:
            assert axis.axis_label
        assert re.search(r", ([KMG]?i?B|m?s|µs)$|, times|rounds", drawn.xaxis.axis_label)
        assert [legend.click_policy for legend in drawn.legend] == ["hide"]
        assert len(drawn.legend[0].items) > 1
        [hover] = drawn.select(HoverTool)
        assert hover.renderers and hover.tooltips


def test_every_chart_has_a_table_or_stands_beside_the_one_that_has(run) -> None:
    whole = [*run, *made_up.failures()]
    for told in sections(whole):
        for section in [told, *blocks_of(told)]:
            if isinstance(section, Section):
                charts = [b for b in section.blocks if isinstance(b, Chart)]
                assert not charts or any(chart.table for chart in charts)


def test_modes_differ_without_their_colours() -> None:
    for kind in ("colour", "marker"):
        assert len({getattr(look, kind) for look in looks.MODES.values()}) == len(looks.MODES)
    assert looks.MODES["step16"].dash != looks.MODES["step17"].dash != looks.MODES["step18"].dash
    assert looks.mode_look("mine") == looks.mode_look("mine")


def test_bars_and_table_of_the_ladder_are_the_medians_of_the_records(run) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "chain"]
    section = ladder(group)
    [chart, *_] = [b for b in section.blocks if isinstance(b, Chart)]
    sources = [
        r.data_source.data
        for r in chart.draw().select(GlyphRenderer)
        if r.data_source.data.get("measure")
    ]
    table = only_table(section)
    for mode in made_up.MODES:
        for reading, name in (("peak_bytes", "peak"), ("left_bytes", "left behind")):
            values = [
                r.readings[reading] for r in group if r.trial.mode == mode and reading in r.readings
            ]
            wanted = words.bytes_text(median(values))
            [row] = [row for row in table.rows if row[:2] == [mode, name]]
            assert row[2] == wanted and row[-1] == str(len(values))
            drawn = {
                (m, r): (v, t)
                for data in sources
                for m, r, v, t in zip(
                    data["measure"], data["row"], data["value"], data["text"], strict=True
                )
            }
            value, text = drawn[name, mode]
            assert value * words.MIB == pytest.approx(median(values))
            assert text == wanted


def test_a_range_is_drawn_where_trials_differ_and_nowhere_else(run) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "mlp_digits"]
    [chart, *_] = [b for b in ladder(group).blocks if isinstance(b, Chart)]
    [whisker] = chart.draw().select(Whisker)
    assert whisker.source.data["row"] == ["step18"]
    alike = [r for r in group if r.trial.repeat == 0]
    [chart, *_] = [b for b in ladder(alike).blocks if isinstance(b, Chart)]
    assert not list(chart.draw().select(Whisker))


def test_modes_that_tower_over_the_rest_do_not_hide_it(run) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "mlp_digits"]
    whole, closer = [b for b in ladder(group).blocks if isinstance(b, Chart)]
    assert "step16" in whole.draw().yaxis.major_label_overrides.values()
    assert "step16" not in closer.draw().yaxis.major_label_overrides.values()


def test_the_floor_is_drawn_across_each_row(run) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "chain"]
    [chart, *_] = [b for b in ladder(group).blocks if isinstance(b, Chart)]
    [floor] = [
        r.data_source.data
        for r in chart.draw().select(GlyphRenderer)
        if "top" in r.data_source.data
    ]
    heights = dict(zip(floor["row"], floor["value"], strict=True))
    assert heights == {
        mode: made_up.Shape("chain", mode).floor / words.MIB for mode in made_up.MODES
    }


@given(st.integers(1, 5 * POINTS), st.integers(0, 2**32 - 1))
def test_a_thinned_line_keeps_its_ends_its_highest_and_its_lowest(length, seed) -> None:
    heights = np.random.default_rng(seed).permutation(length).tolist()
    x, y = thinned(range(len(heights)), heights)
    assert len(x) <= POINTS and x == sorted(set(x))
    assert (min(y), max(y)) == (min(heights), max(heights))
    assert (x[0], x[-1]) == (0, len(heights) - 1)
    assert y == [heights[at] for at in x]


def test_phases_are_marked_on_the_curve_and_a_missed_peak_is_flagged(run) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "chain"]
    section = resident(group)
    assert "`no_grad` missed its peak" in text_of(section)
    assert "`lean` missed its peak" not in text_of(section)
    [chart] = [b for b in section.blocks if isinstance(b, Chart)]
    marked = [
        r.data_source.data
        for r in chart.draw().select(GlyphRenderer)
        if isinstance(r.glyph, Scatter) and "marker" in r.data_source.data
    ]
    assert len(marked) == len(made_up.MODES)
    assert all("forward done" in data["about"][1] for data in marked)


# What is missing


def test_what_is_not_available_is_said_and_is_no_zero(run) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "chain"]
    reason = "not available here: the kernel does not tell which pages are shared"
    rows = [row for row in only_table(resident(group)).rows if reason in row]
    assert len(rows) == len(made_up.MODES)
    assert all(row[3:] == [words.NONE] * 3 for row in rows)


def test_a_bar_that_is_missing_says_why_in_its_place(run) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "chain"]
    [chart, *_] = [b for b in ladder(group).blocks if isinstance(b, Chart)]
    for renderer in chart.draw().select(GlyphRenderer):
        data = renderer.data_source.data
        if "live after backward" in data.get("measure", []) and "top" not in data:
            value, text = dict(
                zip(data["row"], zip(data["value"], data["text"], strict=True), strict=True)
            )["no_grad"]
            assert value != value, "a bar of no length would read as nothing left"
            assert text == "no backward in this mode"
            return
    pytest.fail("no such bars")


def test_a_workload_that_never_goes_back_shows_what_its_forward_left(run) -> None:
    [group] = [g for s, g in by_subject(run).items() if s.workload == "square_loop"]
    [chart, *_] = [b for b in ladder(group).blocks if isinstance(b, Chart)]
    labels = [item.label.value for item in chart.draw().legend[0].items]
    assert labels == ["peak", "live after forward", "left behind", "floor L*"]
    rows = [row for row in only_table(ladder(group)).rows if row[1] == "live after backward"]
    assert {row[2] for row in rows} == {"no backward in this workload"}


def test_an_instrument_that_a_run_did_not_use_is_named(tmp_path) -> None:
    of_one = (r for r in made_up.run() if r.trial.workload == "chain")
    traced = [r for r in of_one if r.trial.instrument == "traced"]
    page = page_of(tmp_path, traced)
    assert re.search(r"This run measured nothing with .*resident, .*cycles, ", page.text)
    assert "The floor was not measured." in page.text
    assert "Resident memory over time" not in page.text


# Runs of every size


def test_a_run_without_a_record_says_so(tmp_path) -> None:
    page = page_of(tmp_path, [])
    assert "This run has no record yet" in page.text
    assert "no record yet" in (tmp_path / "findings.md").read_text(encoding="utf-8")
    assert "no record yet" in rendered([])


@pytest.mark.parametrize("instrument", made_up.INSTRUMENTS)
def test_a_run_of_one_trial(tmp_path, instrument) -> None:
    [*_, one] = [r for r in made_up.run() if r.trial.instrument == instrument]
    page = page_of(tmp_path, [one])
    assert "1 trial, all ended well" in page.text
    assert "cannot be told" in page.text


def test_a_run_of_failures_alone(tmp_path) -> None:
    broken = made_up.failures()
    page = page_of(tmp_path, broken)
    assert "No answer: 3 trials ran, and none ended well." in page.text
    for record in broken:
        assert record.error.splitlines()[-1].split(" |")[0] in page.text
    assert "3 of which did not end well" in rendered(broken)


@settings(max_examples=40)
@given(st.data())
def test_any_part_of_a_run_makes_sections_findings_and_answers(data) -> None:
    run = [*made_up.run(), *made_up.failures()]
    part = in_reading_order(data.draw(st.lists(st.sampled_from(run), max_size=12, unique_by=id)))
    assert all(answer.sentences for answer in answers(part))
    for section in sections(part):
        for block in blocks_of(section):
            if isinstance(block, Table):
                assert all(len(row) == len(block.columns) for row in block.rows)


def test_two_studies_in_one_run_each_get_their_answer(tmp_path) -> None:
    both = [made_up.record(study=s, readings={"peak_bytes": 1}) for s in ("ladder", "mine")]
    page = page_of(tmp_path, both)
    assert ASKED["ladder"].question in page.text
    assert "How do these memory modes compare?" in page.text


def test_a_trial_that_ran_again_counts_once_and_as_it_went_last(tmp_path) -> None:
    first = made_up.record(outcome="killed", error="killed")
    again = made_up.record(readings={"peak_bytes": 5})
    assert read(saved(tmp_path, [first, again])) == [again]


def test_a_folder_that_is_no_run_is_an_error_that_says_what_is_missing(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"records\.jsonl.*the folder of a run"):
        write(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('{"schema": 2, "trial"', "no JSON"),
        (made_up.record().to_line().replace('"ok"', '"fine"'), "outcome"),
        (made_up.record().to_line().replace('"mode"', '"mood"'), "mood"),
        (made_up.record().to_line().replace('"schema": 2', '"schema": 99'), "schema"),
    ],
)
def test_a_bad_line_is_an_error_that_names_file_line_and_field(tmp_path, line, field) -> None:
    saved(tmp_path, [made_up.record()])
    with (tmp_path / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=rf"records\.jsonl, line 2: .*{field}"):
        write(tmp_path)


# The answers


def figures(reading: str, **by_mode: float) -> list[Record]:
    return [
        made_up.record(workload, mode, readings={reading: value * scale})
        for workload, scale in (("chain", 1), ("funnel", 2))
        for mode, value in by_mode.items()
    ]


@pytest.mark.parametrize(
    ("strong", "weak", "said"),
    [
        (10e6, 100, "lowered what is left behind"),
        (100, 10e6, "raised what is left behind"),
        (10e6, 10e6, "left what is left behind"),
    ],
)
def test_the_answer_goes_whichever_way_the_figures_go(strong, weak, said) -> None:
    [answer] = answers(figures("left_bytes", step16=strong, step17=weak))
    assert said in answer.sentences[0]
    assert "both workloads" in answer.sentences[0]


def test_an_answer_names_where_the_change_is_largest_and_where_it_goes_the_other_way() -> None:
    records = [
        made_up.record("chain", "step17", readings={"peak_bytes": 9e6}),
        made_up.record("chain", "lean", readings={"peak_bytes": 3e6}),
        made_up.record("funnel", "step17", readings={"peak_bytes": 9e6}),
        made_up.record("funnel", "lean", readings={"peak_bytes": 2e6}),
        made_up.record("inference", "step17", readings={"peak_bytes": 1e6}),
        made_up.record("inference", "lean", readings={"peak_bytes": 4e6}),
    ]
    [answer] = answers(records)
    assert "on 2 of 3 workloads, most on `funnel` (from 8.58 MiB to 1.91 MiB; one" in normal(
        answer.sentences[1]
    )
    assert "raised it on 1 of 3 workloads, `inference`" in answer.sentences[1]


@pytest.mark.parametrize(
    ("step17", "lean", "said"),
    [
        ([9e6], [2e6], "one trial each"),
        ([9e6, 9e6], [2e6, 2e6], "the same in each of 2 trials"),
        ([9e6, 8e6], [2e6, 2e6, 2e6], "2 to 3 trials each, whose ranges lie apart"),
    ],
)
def test_an_answer_says_how_sure_its_figure_is(step17, lean, said) -> None:
    records = [
        made_up.record("chain", mode, repeat=n, readings={"peak_bytes": peak})
        for mode, peaks in {"step17": step17, "lean": lean}.items()
        for n, peak in enumerate(peaks)
    ]
    [answer] = answers(records)
    assert f"MiB to 1.91 MiB; {said})" in normal(answer.sentences[1])


def test_what_no_graph_saves_is_told_of_work_that_never_goes_back() -> None:
    forward = figures("peak_bytes", step18=9e6, no_grad=1e6)
    back = made_up.record("mlp_digits", "step18", readings={"live_after_backward_bytes": 5})
    apart = [
        replace(back, readings={**back.readings, "peak_bytes": 1e9}),
        made_up.record("mlp_digits", "no_grad", readings={"peak_bytes": 1e6}),
    ]
    assert "on both workloads, most on `funnel`" in text_of(glance([*forward, *apart]))


@pytest.mark.parametrize(
    ("lean", "said"),
    [
        ([1.0, 1.5, 2.0, 2.5, 3.0], "1.00 times the time of keeping it all: inconclusive."),
        ([8.0, 8.1, 8.2, 8.3, 8.4], "4.10 times the time of keeping it all: differs."),
        ([8.0, 8.1], "4.03 times the time of keeping it all: inconclusive."),
    ],
)
def test_what_is_said_of_times_has_a_verdict(lean, said) -> None:
    times = {"step17": [1.0, 1.5, 2.0, 2.5, 3.0], "lean": lean}
    records = [
        made_up.record("chain", mode, "clock", repeat=n, readings={"wall_seconds": seconds})
        for mode, trials in times.items()
        for n, seconds in enumerate(trials)
    ]
    [answer] = answers(records)
    assert said in answer.sentences[2]


def test_what_the_collector_makes_of_it_is_told_with_the_worst_of_its_phases() -> None:
    records = [
        made_up.record("chain", mode, collector="on", repeat=n, readings={"peak_bytes": peak})
        for mode, peaks in {"step16": (2e6, 3e6, 8e6), "step17": (1e6, 1e6, 1e6)}.items()
        for n, peak in enumerate(peaks)
    ]
    [answer] = answers([replace(r, trial=replace(r.trial, study="cycles")) for r in records])
    said = answer.sentences[2]
    assert "3.00 times the peak of `step17`, and at up to 8.00 times by when" in said


def test_without_both_figures_the_answer_says_that_it_cannot_be_told() -> None:
    [answer] = answers(figures("left_bytes", step16=1e6))
    assert all("cannot be told" in sentence for sentence in answer.sentences)


def test_every_study_has_its_question_and_three_sentences(run) -> None:
    assert {name: study.question for name, study in studies().items()} == {
        name: asked.question for name, asked in ASKED.items()
    }
    for name in ASKED:
        [answer] = answers([replace(r, trial=replace(r.trial, study=name)) for r in run])
        assert len(answer.sentences) == 3
        assert not re.search(r"[{}]|nan|None", " ".join(answer.sentences))


# The findings and the terminal


def test_every_row_of_the_findings_has_the_cells_of_its_table(whole) -> None:
    _, found = whole
    width, tables = 0, 0
    for line in found.splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (width and cells) or cells == width, line
        tables += bool(cells and not width)
        width = cells
    assert tables > 20


def test_page_and_findings_tell_the_same(whole, run) -> None:
    source, found = whole
    text = " ".join(Page(source).text.split())
    [answer] = answers([*run, *made_up.failures()])
    for sentence in answer.sentences:
        assert sentence in found
        assert " ".join(sentence.replace("`", "").split()) in text


def test_the_summary_fits_a_terminal_and_counts_the_failures(run) -> None:
    longest = replace(run[0], trial=replace(run[0].trial, workload="goldstein_price"))
    text = rendered([*run, longest, *made_up.failures()])
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    assert "3 of which did not end well" in text
    assert text.index("square_loop") < text.index("chain") < text.index("mlp_digits")


# Words


@given(st.floats(0, 1e15))
def test_bytes_are_written_to_three_digits(size) -> None:
    number, unit = normal(words.bytes_text(size)).rsplit(" ", 1)
    per = {"B": 1, "KiB": words.KIB, "MiB": words.MIB, "GiB": words.GIB}[unit]
    assert float(number.replace(" ", "")) * per == pytest.approx(size, rel=0.006, abs=0.5)


@given(st.floats(1e-7, 1e6))
def test_seconds_are_written_to_three_digits(time) -> None:
    number, unit = normal(words.seconds_text(time)).rsplit(" ", 1)
    per = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}[unit]
    assert float(number.replace(" ", "")) * per == pytest.approx(time, rel=0.006, abs=1e-8)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (0.5, "0.5"),
        (131_072, "131 072"),
        ([700, 10], "700, 10"),
        (None, words.NONE),
        ("", words.NONE),
    ],
)
def test_values_are_written_as_people_write_them(value: Any, text: str) -> None:
    assert normal(words.value_text(value)) == text


def test_workloads_of_one_name_are_told_apart_by_what_differs() -> None:
    records = [made_up.record(parameters={"kind": k, "size": 9}) for k in ("sin", "sqrt")]
    names = words.subject_names(list(by_subject([*records, made_up.record("funnel")])))
    assert list(names.values()) == ["chain, kind sin", "chain, kind sqrt", "funnel"]

"""What the charts of a workload show is what its records hold, and what they leave out is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import made_up
import pytest
from bokeh.core.properties import value
from bokeh.models import GlyphRenderer, Scatter
from bokeh.plotting import figure

from experiments.estimates import by_subject
from experiments.refgraph.model import Edge, Graph, Node
from experiments.report.blocks import Chart, Picture, Section, Table
from experiments.report.sections import cycles as cycles_room
from experiments.report.sections.collector import collector
from experiments.report.sections.cycles import cycles
from experiments.report.sections.ladder import ladder
from experiments.report.sections.moments import moments
from experiments.report.sections.objects import objects
from experiments.report.sections.pace import pace
from experiments.report.sections.resident import resident
from experiments.trial import Record


def charts(section: Section) -> list[Chart]:
    return [b for b in section.blocks if isinstance(b, Chart)]


def group(workload: str) -> list[Record]:
    [found] = [g for s, g in by_subject(made_up.run()).items() if s.workload == workload]
    return found


def legend(drawn: figure) -> list[str]:
    return [item.label.value for item in drawn.legend[0].items]


def scatters(drawn: figure, marker: str) -> list[GlyphRenderer]:
    return [
        r
        for r in drawn.select(GlyphRenderer)
        if isinstance(r.glyph, Scatter) and r.glyph.marker == value(marker)
    ]


@pytest.mark.parametrize("told", [ladder, moments, resident, pace, cycles, collector])
def test_every_row_of_figures_says_which_records_it_is_from(told) -> None:
    for workload in made_up.WORKLOADS:
        for block in told(group(workload)).blocks:
            table = block if isinstance(block, Table) else getattr(block, "table", None)
            if table and not table.caption.startswith("Generation"):
                assert len(table.origins) == len(table.rows), table.caption
                modes = [origin.arm.mode for origin in table.origins if origin and origin.arm]
                assert set(modes) <= set(made_up.MODES)


@pytest.mark.parametrize("told", [ladder, moments, resident, pace])
def test_the_figures_behind_a_chart_are_in_bytes_and_seconds(told) -> None:
    for workload in made_up.WORKLOADS:
        for chart in charts(told(group(workload))):
            assert chart.data is not None
            columns = chart.data()
            assert len({len(column) for column in columns.values()}) == 1
            assert any(name.endswith((", bytes", ", seconds")) for name in columns)


# Lines over time


def curve(mode: str, top: float, **details: Any) -> Record:
    return made_up.record(
        "chain",
        mode,
        "resident",
        readings={"peak_resident_bytes": 2 * top, "sampled_peak_resident_bytes": top},
        details={"curve": [[0.0, 0], [1.0, top], [2.0, 0]], "phases": [], **details},
    )


def test_lines_far_below_another_have_a_chart_of_their_own() -> None:
    low, high = (2**20, 2**30)
    whole, closer = charts(
        resident([curve("step16", high), curve("step18", low), curve("lean", low)])
    )
    assert legend(whole.draw()) == ["step16", "step18", "lean"]
    assert legend(closer.draw()) == ["step18", "lean"]
    assert "without `step16`, on a scale of its own" in closer.says
    [one] = charts(resident([curve("step18", low), curve("lean", low)]))
    assert legend(one.draw()) == ["step18", "lean"]


def test_a_peak_that_the_samples_missed_is_flagged_as_high_as_it_was() -> None:
    found = [curve("step18", 2**20, peak_missed=True), curve("lean", 2**20)]
    [chart] = charts(resident(found))
    drawn = chart.draw()
    assert legend(drawn) == ["step18", "lean", "missed peak"]
    [star] = [r for r in scatters(drawn, "asterisk") if "name" in r.data_source.data]
    assert star.data_source.data["y"] == [2.0]
    assert star.data_source.data["name"] == ["step18"]
    assert "missed peak, which no sample saw" in chart.says
    [plain] = charts(resident(found[1:]))
    assert not scatters(plain.draw(), "asterisk") and "missed" not in plain.says


# The collector


RUNS = {
    "seconds": [0.25, 0.5],
    "pause_seconds": [0.001, 0.004],
    "generation": [0, 2],
    "collected_count": [7, 1200],
}


def paused(**details: Any) -> Record:
    readings = {
        "collector_runs_count": 2,
        "collector_collected_count": 1207,
        "collector_pause_seconds": 0.005,
        "longest_pause_seconds": 0.004,
    }
    return made_up.record(
        "chain", "step16", "collector", collector="on", readings=readings, details=details
    )


def test_each_run_of_the_collector_stands_where_and_as_high_as_it_was() -> None:
    _, runs = charts(collector([paused(runs=RUNS)]))
    [points] = scatters(runs.draw(), "circle")
    data = points.data_source.data
    assert (data["x"], data["y"]) == ([250.0, 500.0], [1.0, 4.0])
    assert "7 objects freed, of generation 0" in data["about"][0]
    assert runs.table is not None and runs.data is not None
    assert [row[-1] for row in runs.table.rows] == ["7", "1\u202f200"]
    assert runs.data()["pause, seconds"] == RUNS["pause_seconds"]


def test_records_that_did_not_note_each_run_have_the_pauses_in_all() -> None:
    [chart] = charts(collector([paused()]))
    assert chart.data is not None
    assert chart.data()["pauses, seconds"] == [0.005]


# Objects


def counted(mode: str, steps: Sequence[int], **types: int) -> Record:
    details = {"step_objects": list(steps), "types": types, "growth": [], "holders": {}}
    return made_up.record("chain", mode, "objects", readings={}, details=details)


def test_objects_are_shown_round_by_round_and_by_type() -> None:
    found = [counted("step16", [3, 6, 9], Square=9, tuple=2), counted("lean", [0, 0, 0])]
    over, by_type = charts(objects(found))
    lines = {
        r.data_source.data["name"][0]: (r.data_source.data["x"], r.data_source.data["y"])
        for r in over.draw().select(GlyphRenderer)
        if "name" in r.data_source.data
    }
    assert lines == {"step16": ([1, 2, 3], [3, 6, 9]), "lean": ([1, 2, 3], [0, 0, 0])}
    [points] = scatters(by_type.draw(), "circle")
    assert points.data_source.data["value"] == [9, 2]
    assert list(by_type.draw().yaxis.major_label_overrides.values()) == ["Square", "tuple"]


# Cycles


GRAPH = Graph(
    [Node("a", "variable", "Variable", "x"), Node("b", "function", "Square", "Square 1")],
    [Edge("a", "b", ".creator"), Edge("b", "a", ".outputs[0]", weak=True)],
    title="a cycle",
)


def census(mode: str, *shapes: dict[str, int], example: bool = True) -> Record:
    found = [
        {"types": types, "count": 3, "objects": 6, "bytes": 30 - n, "each_bytes": [10, 10]}
        | ({"example": GRAPH.to_json()} if example else {})
        for n, types in enumerate(shapes)
    ]
    readings = {"cycle_count": 3, "cycle_objects_count": 6, "cycle_bytes": 30}
    return made_up.record("chain", mode, "cycles", readings=readings, details={"shapes": found})


def pictures(found: Sequence[Record]) -> list[Picture]:
    return [b for b in cycles(found).blocks if isinstance(b, Picture)]


def test_a_shape_that_several_modes_have_is_drawn_once(monkeypatch) -> None:
    monkeypatch.setattr(cycles_room, "svg", lambda graph, prefix: f"<svg id='{prefix}'/>")
    shape, other = {"Variable": 1, "Square": 1}, {"Variable": 2}
    found = pictures([census("step16", shape, other), census("step17", shape)])
    assert [p.title for p in found] == ["A cycle of Square, Variable", "A cycle of 2 Variable"]
    assert "`step16` (3" in found[0].says and "`step17` (3" in found[0].says
    assert "step17" not in found[1].says
    assert len({p.svg() for p in found}) == 2


def test_the_table_behind_a_picture_has_each_reference() -> None:
    [picture] = pictures([census("step16", {"Variable": 1, "Square": 1})])
    assert picture.table is not None
    assert picture.table.rows == [
        ["x", "`.creator`", "Square 1", "strong"],
        ["Square 1", "`.outputs[0]`", "x", "weak"],
    ]


def test_a_picture_that_cannot_be_drawn_says_why(monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise cycles_room.NotDrawn("No program <draws>.")

    monkeypatch.setattr(cycles_room, "svg", refuse)
    [picture] = pictures([census("step16", {"Variable": 1})])
    assert "No program &lt;draws&gt;." in picture.svg() and "The table has" in picture.svg()


def test_records_without_examples_are_told_of_without_pictures() -> None:
    assert not pictures([census("step16", {"Variable": 1}, example=False)])
    assert isinstance(cycles([census("step16", {"Variable": 1}, example=False)]).blocks[0], Table)

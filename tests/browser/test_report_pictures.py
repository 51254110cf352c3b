"""The pictures of a report: their own fonts and colours on every screen and on paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import visits

from experiments import refgraph
from experiments.refgraph import rendering
from experiments.report.blocks import Picture, Section
from experiments.report.story import Story
from experiments.report.telling.page import page as written

if TYPE_CHECKING:
    from conftest import Visit
    from playwright.sync_api import Page

LEAST = 0.8  # of the size in which a picture is drawn, below which it scrolls
STICKING_OUT = """() => [...document.querySelectorAll(".refgraph g.node")].flatMap((node) => {
    const box = node.querySelector("polygon, ellipse, path").getBoundingClientRect();
    return [...node.querySelectorAll("text")].filter((text) => {
        const { left, right } = text.getBoundingClientRect();
        const out = left < box.left || right > box.right;
        return out && text.textContent.trim();
    }).map((text) => text.textContent);
})"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    detail = "(10000,) float64"
    nodes = [
        refgraph.Node("Square 1", "function", "Square", "Square", "generation 0", 0, 1),
        refgraph.Node("Variable 1", "variable", "Variable", "Variable", detail, 0, 1),
        refgraph.Node("array 1", "array", "ndarray", "array", detail, 80_000),
        refgraph.Node("array 2", "array", "ndarray", "array", detail, 80_000),
    ]
    edges = [
        refgraph.Edge("Square 1", "Variable 1", ".outputs[0]"),
        refgraph.Edge("Variable 1", "Square 1", ".creator"),
        refgraph.Edge("Variable 1", "array 1", ".data"),
        refgraph.Edge("Square 1", "array 2", ".saved[0]"),
    ]
    graph = refgraph.Graph(nodes, edges)
    picture = Picture("A cycle", "One cycle.", lambda: rendering.svg(graph, prefix="p-"))
    path = tmp_path_factory.mktemp("pictures") / "report.html"
    path.write_text(written(Story((), [Section("Cycles", [picture])], [])), encoding="utf-8")
    return path


def size(page: Page) -> tuple[float, float]:
    """The width of the picture, and that in which it is drawn."""
    drawn = page.locator(".refgraph")
    box = drawn.bounding_box()
    assert box
    return box["width"], float(drawn.get_attribute("width") or 0)


@pytest.mark.parametrize("look", visits.LOOKS)
def test_the_text_of_a_picture_is_inside_its_boxes(visit: Visit, report: Path, look: str) -> None:
    with visit(report, **visits.LOOKS[look]) as page:
        assert page.evaluate(STICKING_OUT) == []


@pytest.mark.parametrize(
    ("look", "dark"), [("wide", False), ("phone, dark", True), ("paper, dark", False)]
)
def test_the_boxes_of_a_picture_are_dark_on_a_dark_screen_alone(
    visit: Visit, report: Path, look: str, dark: bool
) -> None:
    with visit(report, **visits.LOOKS[look]) as page:
        fill: Any = page.locator(".refgraph .f-array").first.evaluate(
            "e => getComputedStyle(e).fill"
        )
        brightest = max(int(part) for part in fill.removeprefix("rgb(").rstrip(")").split(","))
        assert (brightest < 128) == dark


@pytest.mark.parametrize("look", visits.LOOKS)
def test_a_picture_scrolls_before_its_text_is_too_small(
    visit: Visit, report: Path, look: str
) -> None:
    with visit(report, **visits.LOOKS[look]) as page:
        width, drawn = size(page)
        assert LEAST * drawn - 1 <= width <= drawn + 1
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= visits.LOOKS[look]["width"]


def test_a_picture_passes_axe(visit: Visit, report: Path) -> None:
    for look in ("wide", "phone, dark"):
        with visit(report, **visits.LOOKS[look]) as page:
            assert visits.violations(page) == []

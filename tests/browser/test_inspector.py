"""The inspector of reference graphs, as a reader uses it: by mouse, by keyboard, on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import visits

from experiments.refgraph import Edge, Graph, Node

if TYPE_CHECKING:
    from conftest import Visit
    from playwright.sync_api import Page

LENGTH = 300


def chain() -> Graph:
    """y holds a chain of operations, each in a cycle with its result, down to x."""
    nodes = [Node("y", "name", "local", "y", "local of f"), Node("x", "name", "local", "x")]
    edges = [Edge("y", "Variable 0", "y"), Edge("x", "Variable x", "x")]
    for i in range(LENGTH):
        nodes += [
            Node(f"Variable {i}", "variable", "Variable", "Variable", "(9,) float64", 0, i + 1),
            Node(f"Sin {i}", "function", "Sin", "Sin", f"generation {LENGTH - i}", 0, i + 1),
            Node(f"ndarray {i}", "array", "ndarray", "ndarray", "(9,) float64", 72),
        ]
        after = f"Variable {i + 1}" if i + 1 < LENGTH else "Variable x"
        edges += [
            Edge(f"Variable {i}", f"Sin {i}", ".creator"),
            Edge(f"Sin {i}", f"Variable {i}", ".outputs[0]"),
            Edge(f"Variable {i}", f"ndarray {i}", ".data"),
            Edge(f"Sin {i}", after, ".inputs[0]"),
        ]
    waiting = [Node(**{**vars(n), "fate": "waits"}) if n.kind != "name" else n for n in nodes]
    waiting += [Node("Variable x", "variable", "Variable", "x", "(9,) float64", fate="waits")]
    return Graph(waiting, edges, title="a chain under step16", notes=["A note."])


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chain().save(tmp_path_factory.mktemp("inspector") / "chain.html")


def panel(page: Page) -> str:
    return page.locator("#panel").inner_text()


def scale(page: Page) -> float:
    return float(page.evaluate("place.scale"))


def drawn(page: Page, text: str) -> Any:
    """The object or reference of the picture that is shown whose tooltip begins with a text."""
    each = page.locator(".view:not([hidden])").locator("g.node, g.edge")
    return each.filter(has=page.locator(f'title:text("{text}")')).first


@pytest.mark.parametrize("look", visits.LOOKS)
def test_it_opens_and_passes_axe(visit: Visit, inspector: Path, look: str) -> None:
    with visit(inspector, **visits.LOOKS[look]) as page:
        page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        assert visits.violations(page) == []


@pytest.mark.parametrize("width", [visits.PHONE, visits.WIDE])
def test_nothing_is_wider_than_the_window(visit: Visit, inspector: Path, width: int) -> None:
    with visit(inspector, width=width) as page:
        page.locator("g.node.variable").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_whole_picture_is_in_sight_at_first(visit: Visit, inspector: Path) -> None:
    with visit(inspector) as page:
        stage, picture = (page.locator(s).bounding_box() for s in ("#stage", ".view svg >> nth=0"))
        assert stage and picture
        assert picture["x"] >= stage["x"] - 1 and picture["y"] >= stage["y"] - 1
        assert picture["height"] <= stage["height"] + 1


def test_an_object_tells_what_it_is_who_holds_it_and_why(visit: Visit, inspector: Path) -> None:
    with visit(inspector) as page:
        drawn(page, "Variable 0 ").click()
        told = panel(page)
        for words in ("Variable (9,) float64", "waits for a collection", "Held by", "Holds"):
            assert words in told
        assert "y" in told.split("Alive because")[1]
        page.locator("#panel").get_by_role("button", name="Sin 0").first.click()
        assert panel(page).startswith("Sin 0")


def test_dropping_a_reference_shows_what_dies(visit: Visit, inspector: Path) -> None:
    with visit(inspector) as page:
        drawn(page, "Variable 0 ").click()
        page.get_by_role("button", name="drop y").click()
        assert f"{3 * LENGTH:,} objects, 21.1 KiB wait for a collection" in panel(page)
        assert page.locator(".view:not([hidden]) g.node.fold.waits-then").count() == 1
        assert page.locator("g.node.name.waits-then").count() == 0


def test_search_finds_counts_and_goes_on(visit: Visit, inspector: Path) -> None:
    with visit(inspector) as page:
        page.keyboard.press("/")
        page.keyboard.type("SIN")
        count = page.locator(".view:not([hidden]) .found").count()
        assert count > 1
        assert page.locator("#found").inner_text() == f"{count} found"
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        assert page.locator("#found").inner_text() == f"2 of {count}"
        assert "Sin" in panel(page)
        page.keyboard.press("Shift+Enter")
        assert page.locator("#found").inner_text() == f"1 of {count}"
        page.locator("#search").fill("no such thing")
        assert page.locator("#found").inner_text() == "none"


def test_keys_zoom_and_move(visit: Visit, inspector: Path) -> None:
    with visit(inspector) as page:
        page.locator("#stage").focus()
        before = scale(page)
        page.keyboard.press("+")
        assert scale(page) > before
        page.keyboard.press("0")
        assert scale(page) == pytest.approx(before)
        x = page.evaluate("place.x")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("place.x") < x


def test_the_wheel_zooms_where_the_pointer_is_and_a_drag_moves(
    visit: Visit, inspector: Path
) -> None:
    with visit(inspector) as page:
        box = page.locator("#stage").bounding_box()
        assert box
        x, y = box["x"] + 200, box["y"] + 150
        under = "([x, y]) => [(x - place.x) / place.scale, (y - place.y) / place.scale]"
        before, there = scale(page), page.evaluate(under, [200, 150])
        page.mouse.move(x, y)
        page.mouse.wheel(0, -100)
        page.wait_for_function("before => place.scale > before", arg=before)
        assert page.evaluate(under, [200, 150]) == pytest.approx(there, abs=2)
        left = page.evaluate("place.x")
        page.mouse.down()
        page.mouse.move(x + 80, y, steps=4)
        page.mouse.up()
        assert page.evaluate("place.x") == pytest.approx(left + 80, abs=2)
        assert "Select an object" in panel(page), "a drag selects nothing"


def test_a_run_opens_and_closes_and_the_selection_stays(visit: Visit, inspector: Path) -> None:
    with visit(inspector) as page:
        assert "×" in page.locator(".view:not([hidden]) g.node.fold").text_content()
        drawn(page, "Variable 0 ").click()
        page.locator("#views").select_option("1")
        assert panel(page).startswith("Variable 0")
        assert page.locator(".view:not([hidden]) g.node").count() > 12
        page.locator("#views").select_option("0")
        page.locator(".view:not([hidden]) g.node.fold").click()
        page.get_by_role("button", name="Open this run").click()
        assert page.locator("#views").input_value() == "1"


def test_kinds_can_be_hidden_with_their_references(visit: Visit, inspector: Path) -> None:
    with visit(inspector) as page:
        page.get_by_text("Show", exact=True).click()
        page.get_by_label("array", exact=True).uncheck()
        assert not page.locator(".view:not([hidden]) g.node.array").first.is_visible()
        assert not drawn(page, "Variable 0 .data").is_visible()
        assert drawn(page, "Variable 0 .creator").is_visible()


def test_the_tables_lead_to_the_picture(visit: Visit, inspector: Path) -> None:
    with visit(inspector) as page:
        page.get_by_text("The references (").click()
        row = page.get_by_role("button", name=".outputs[0]").first
        row.focus()
        page.keyboard.press("Enter")
        assert panel(page).startswith(".outputs[0]")
        assert page.locator(".view:not([hidden]) g.edge.selected").count() == 1


def test_print_has_the_whole_picture_and_no_tools(visit: Visit, inspector: Path) -> None:
    with visit(inspector, **visits.LOOKS["paper"]) as page:
        assert not page.locator(".tools").is_visible()
        picture = page.locator(".view:not([hidden]) svg").bounding_box()
        assert picture and picture["x"] >= 0
        assert picture["x"] + picture["width"] <= visits.PAPER

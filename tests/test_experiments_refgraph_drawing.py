"""Pictures of reference graphs: what they say, any text comes out right, and no silent nothing."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from experiments.refgraph import Edge, Graph, Node, drawing, rendering
from experiments.refgraph.rendering import NotDrawn, dot, png, svg

pytestmark = pytest.mark.forward

SVG = "{http://www.w3.org/2000/svg}"


def square(*, strong: bool) -> Graph:
    """One operation: its result refers to it, and it to its result."""
    fate = "waits" if strong else "freed"
    cycle = 1 if strong else None
    return Graph(
        nodes=[
            Node("y", "name", "local", "y", "local of f"),
            Node("Variable 1", "variable", "Variable", "Variable", cycle=cycle, fate=fate),
            Node("Square 1", "function", "Square", "Square", cycle=cycle, fate=fate),
            Node("ndarray 1", "array", "ndarray", "ndarray", "(1000,) float64", 8000, fate=fate),
            Node("ndarray 2", "array", "ndarray", "ndarray", "(1000,) float64", 8000, fate=fate),
        ],
        edges=[
            Edge("y", "Variable 1", "y"),
            Edge("Variable 1", "Square 1", ".creator", place="._source"),
            Edge("Square 1", "Variable 1", ".outputs[0]", weak=not strong),
            Edge("Square 1", "ndarray 1", ".saved[0]"),
            Edge("Variable 1", "ndarray 2", ".grad"),
        ],
        title="one square",
        notes=[],
    )


def element(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def groups(text: str, kind: str) -> list[set[str]]:
    """The classes of each node, edge or cluster of a picture."""
    found = (set((g.get("class") or "").split()) for g in element(text).iter(f"{SVG}g"))
    return [classes for classes in found if kind in classes]


def texts(text: str) -> str:
    return " ".join("".join(t.itertext()) for t in element(text).iter(f"{SVG}text"))


def test_kinds_fates_references_and_cycles_are_told_apart() -> None:
    picture = svg(square(strong=True))
    assert groups(picture, "name") and groups(picture, "variable") and groups(picture, "function")
    assert groups(picture, "gradient"), "an array that is held as .grad"
    assert len(groups(picture, "waits")) == 4
    assert sum("cycle" in classes for classes in groups(picture, "edge")) == 2
    assert len(groups(picture, "cluster")) == 1
    assert texts(picture).count("15.6 KiB") == 1, "the bytes that a cycle holds are written once"
    lean = svg(square(strong=False))
    assert len(groups(lean, "weak")) == 1
    assert not groups(lean, "cycle")


@pytest.mark.parametrize("strong", [True, False])
def test_every_reference_is_labelled_but_that_of_a_name(strong: bool) -> None:
    picture = texts(svg(square(strong=strong)))
    for label in (".creator", ".outputs[0]", ".saved[0]", ".grad"):
        assert label in picture


def test_the_legend_says_what_occurs_and_nothing_else() -> None:
    strong, lean = texts(svg(square(strong=True))), texts(svg(square(strong=False)))
    assert "waits for a collection" in strong and "weak" not in strong
    assert "a cycle: only a collection frees it" in strong
    assert "a reference count frees it" in lean and "weak: does not" in lean
    assert "cycle" not in lean and "Leaf" not in lean


def test_what_is_told_by_colour_is_told_by_shape_or_line_as_well() -> None:
    shapes = [look.shape + look.style for look in drawing.KINDS.values()]
    assert len({*shapes}) >= len(shapes) - 1  # a gradient is an array, and says so
    assert len({(b.width, b.lines, b.style) for b in drawing.FATES.values()}) == 4
    assert 'style="dashed"' in dot(square(strong=False))


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", 'a "quoted" \\ name', "naïve Größe λ 数", "a & b", "</title>"],
)
def test_any_text_comes_out_as_it_is(text: str) -> None:
    graph = Graph(
        [Node("a", "name", "local", text), Node("b", "object", "T", text, text)],
        [Edge("a", "b", text), Edge("b", "b", f".x['{text}']")],
        title=text,
    )
    picture = svg(graph)
    assert "<script" not in picture
    assert texts(picture).count(text) == 5  # two titles, a detail, the caption, a label
    assert f".x['{text}']" in texts(picture)


def test_a_control_character_does_no_harm() -> None:
    graph = Graph([Node("a", "object", "T", "bell \a and \x00 null")], [])
    assert "bell" in texts(svg(graph))


def test_ids_begin_with_the_prefix_and_are_there_once() -> None:
    picture = svg(square(strong=True), prefix="g3-")
    ids = re.findall(r'\bid="([^"]*)"', picture)
    assert len({*ids}) == len(ids)
    assert all(name.startswith("g3-") for name in ids)


def test_it_is_an_element_to_put_into_a_page() -> None:
    picture = svg(square(strong=True))
    assert picture.startswith("<svg")
    root = element(picture)
    assert root.get("role") == "img" and "one square" in root.get("aria-label", "")
    assert root.get("viewBox", "").split()[2:] != []
    assert "5 references" in root.get("aria-label", "")


def test_the_style_knows_every_colour_of_the_palette() -> None:
    style = rendering.STYLE.read_text()
    for name, colour in drawing.PALETTE.items():
        assert f"var(--rg-{name}, {colour})" in style
        assert f"--rg-{name}: #" in style, f"{name} has no colour for the dark"
    picture = svg(square(strong=True))
    drawn = set(re.findall(r'(?:fill|stroke)="(#\w+)"', picture))
    assert drawn <= set(drawing.PALETTE.values())


def test_the_same_graph_has_the_same_text() -> None:
    graph = square(strong=True)
    again = Graph.from_json(json.loads(json.dumps(graph.to_json())))
    assert dot(graph) == dot(again)
    assert svg(graph) == svg(again)


def test_a_difference_marks_what_only_one_has() -> None:
    graph = square(strong=True)
    nodes = [replace(n, only="step16") if n.id == "ndarray 1" else n for n in graph.nodes]
    edges = [replace(e, only="lean") if e.label == ".grad" else e for e in graph.edges]
    both = replace(graph, nodes=nodes, edges=edges, facts={"difference": ["step16", "lean"]})
    picture = svg(both)
    assert groups(picture, "only-0") and groups(picture, "only-1")
    assert "only step16" in texts(picture) and "(only lean)" in texts(picture)


def test_a_computation_is_drawn_as_the_book_does() -> None:
    graph = Graph(
        [
            Node("1", "variable", "Variable", "x"),
            Node("2", "function", "Square", "Square"),
            Node("3", "variable", "Variable", ""),
        ],
        [Edge("1", "2", ""), Edge("2", "3", "")],
    )
    picture = svg(graph)
    assert "reference count" not in texts(picture)
    heights = {
        name: float(re.search(rf'id="{name}".*? c?y="(-?[\d.]+)"', picture, re.S)[1])  # type: ignore[index]
        for name in ("n0", "n2")
    }
    assert heights["n0"] < heights["n2"], "from what is given to what is computed"


def test_pixels() -> None:
    small, large = png(square(strong=True), scale=1), png(square(strong=True), scale=2)
    assert small.startswith(b"\x89PNG")
    assert int.from_bytes(large[16:20]) > 1.8 * int.from_bytes(small[16:20])


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1020 * 1024, "1020 KiB"),
        (8_000_000, "7.63 MiB"),
        (5000 * 2**30, "5000 GiB"),
    ],
)
def test_amounts(size: int, told: str) -> None:
    assert drawing.amount(size) == told


def test_what_refers_to_itself_is_a_cycle() -> None:
    graph = Graph([Node("a", "object", "T", "T", cycle=1)], [Edge("a", "a", ".me")])
    assert [e for e in groups(svg(graph), "edge") if "cycle" in e]


# No picture ---------------------------------------------------------------------------------------


def test_too_many_references_are_not_drawn_and_it_says_what_to_do() -> None:
    nodes = [Node(f"o{i}", "object", f"T{i}", f"T{i}") for i in range(60)]
    edges = [Edge(a.id, b.id, ".x") for a in nodes for b in nodes]
    with pytest.raises(NotDrawn, match=r"60 objects and 3,600 references.*2,500.*--most.*json"):
        svg(Graph(nodes, edges))


def test_without_graphviz_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "programs", lambda: [])
    with pytest.raises(NotDrawn, match="pip install graphviz-pure"):
        svg(square(strong=True))
    shown = square(strong=True)._repr_html_()
    assert "pip install graphviz-pure" in shown and ".creator" in shown


def program(folder: Path, body: str) -> str:
    """A program that takes the place of Graphviz."""
    path = folder / "dot"
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_a_layout_that_takes_too_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow = program(tmp_path, "import time; time.sleep(60)")
    monkeypatch.setattr(rendering, "programs", lambda: [slow])
    with pytest.raises(NotDrawn, match=r"not done with 5 objects.* in 0.2 seconds"):
        svg(square(strong=True), timeout=0.2)


def test_what_graphviz_says_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = program(tmp_path, "import sys; sys.exit('no such font')")
    monkeypatch.setattr(rendering, "programs", lambda: [broken])
    with pytest.raises(NotDrawn, match="no such font"):
        svg(square(strong=True))


def test_another_program_is_tried_where_the_first_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = [program(tmp_path, "raise SystemExit(1)"), *rendering.programs()]
    monkeypatch.setattr(rendering, "programs", lambda: found)
    assert svg(square(strong=True)).startswith("<svg")


# Saved --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", rendering.ENDINGS)
def test_saved_as_its_ending_says(tmp_path: Path, ending: str) -> None:
    graph = square(strong=True)
    written = graph.save(tmp_path / f"graph.{ending}").read_bytes()
    begins = {"html": b"<!DOCTYPE html>", "svg": b"<svg", "png": b"\x89PNG", "dot": b"digraph"}
    if ending == "json":
        assert Graph.from_json(json.loads(written)) == graph
    else:
        assert written.startswith(begins[ending])


@pytest.mark.parametrize("name", ["graph.pdf", "graph", "graph.svg.gz"])
def test_another_ending_is_an_error_that_lists_the_valid_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"\.html, \.svg, \.png, \.dot, \.json"):
        square(strong=True).save(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_notebook_shows_the_picture() -> None:
    assert "<svg" in square(strong=True)._repr_html_()

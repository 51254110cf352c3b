"""The inspector's page: what it brings with it, and that its figures are those of the graph."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from experiments.refgraph import Edge, Graph, Node, dropping
from experiments.refgraph.inspector import page

pytestmark = pytest.mark.forward


def graph() -> Graph:
    """y holds a cycle of two with 80 bytes; z holds an array of 16 bytes, and so does the cycle."""
    return Graph(
        nodes=[
            Node("y", "name", "local", "y", "local of f"),
            Node("z", "name", "local", "z", "local of f"),
            Node("Variable 1", "variable", "Variable", "Variable", cycle=1, fate="waits"),
            Node("Sin 1", "function", "Sin", "Sin", cycle=1, fate="waits"),
            Node("ndarray 1", "array", "ndarray", "ndarray", "(10,) float64", 80, fate="waits"),
            Node("ndarray 2", "array", "ndarray", "ndarray", "(2,) float64", 16, fate="waits"),
            Node("ndarray 3", "array", "ndarray", "ndarray", "(4,) float64", 32),
        ],
        edges=[
            Edge("y", "Variable 1", "y"),
            Edge("z", "ndarray 2", "z"),
            Edge("z", "ndarray 3", "z"),
            Edge("Variable 1", "Sin 1", ".creator"),
            Edge("Sin 1", "Variable 1", ".outputs[0]"),
            Edge("Sin 1", "ndarray 1", ".saved[0]"),
            Edge("Sin 1", "ndarray 2", ".saved[1]"),
            Edge("Sin 1", "ndarray 3", ".seen", weak=True),
        ],
        title="a cycle",
        notes=["Code that ran is not shown."],
    )


def chain(length: int) -> Graph:
    nodes = [Node("y", "name", "local", "y")]
    nodes += [Node(f"f{i}", "function", "Sin", "Sin", bytes=8) for i in range(length)]
    edges = [Edge("y", "f0", "y")]
    edges += [Edge(f"f{i}", f"f{i + 1}", ".sources[0]") for i in range(length - 1)]
    return Graph(nodes, edges)


def told(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="told">(.*?)</script>', html, re.S)
    assert found
    return dict(json.loads(found[1]))


def test_it_is_one_file_that_asks_no_network_for_anything() -> None:
    html = page(graph())
    assert html.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in html
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", html)
    assert "unsafe-eval" not in html


def test_the_totals_are_those_of_the_graph() -> None:
    html = re.sub(r"<[^>]+>|\s+", " ", page(graph())[:60_000])
    text = re.sub(r" +", " ", html)
    for total in ("5 objects", "8 references", "1 cycle", "96 B waits for a collection", "32 B a"):
        assert total in text
    assert "Code that ran is not shown." in text


def test_the_tables_are_headed_by_the_same_figures_as_the_page() -> None:
    html = page(graph())
    names = sum(n.kind == "name" for n in graph().nodes)
    assert f"<li><b>5</b> objects</li>\n        <li><b>{names}</b> name" in html
    assert f"<summary>The objects (5) and names ({names})</summary>" in html
    assert "<summary>The references (8)</summary>" in html
    html, rows = page(chain(300)), len(told(page(chain(300)))["views"][0]["nodes"])
    objects = sum(n.kind != "name" for n in chain(300).nodes)
    assert f"<b>{objects}</b> objects" in html
    assert re.search(rf"The objects \({objects}\) and names \(\d\), in {rows} rows<", html)


def test_each_reference_tells_what_dies_when_it_is_dropped() -> None:
    data = told(page(graph()))
    ids = [node["id"] for node in data["nodes"]]
    edges = {(e.source, e.target, e.label): e for e in graph().edges}
    assert len(data["edges"]) == len(edges)
    for edge in data["edges"]:
        mine = edges[ids[edge["source"]], ids[edge["target"]], edge["label"]]
        if mine.weak:
            assert edge["drop"] is None
            continue
        freed, waits = dropping(graph(), mine)
        assert {ids[i] for i in edge["drop"]["freed"]} == set(freed)
        assert {ids[i] for i in edge["drop"]["waits"]} == set(waits)
    of_y = next(e for e in data["edges"] if e["label"] == "y")
    assert of_y["drop"]["said"] == ["0 objects, 0 B", "3 objects, 80 B"]


def test_each_object_tells_why_it_is_alive() -> None:
    why = {node["id"]: node["why"] for node in told(page(graph()))["nodes"]}
    assert why["Sin 1"] == "y → Variable 1 .creator → Sin 1" or why["Sin 1"].startswith("y")
    assert why["y"] == ""


def test_both_tables_have_every_object_and_every_reference() -> None:
    html = page(graph())
    assert len(re.findall(r'data-node="\d+"', html)) == len(graph().nodes)
    assert len(re.findall(r'data-edge="\d+"', html)) == len(graph().edges)


def test_a_run_has_a_picture_in_which_it_is_open() -> None:
    html = page(chain(500))
    assert html.count('class="refgraph"') == 2
    data = told(html)
    closed, opened = (set(view["nodes"]) for view in data["views"])
    assert len(closed) < len(opened) < 20
    (box,) = [n for n in data["nodes"] if n["kind"] == "fold" and n["opens"] is not None]
    assert box["opens"] == 1
    inside = [n for n in data["nodes"] if data["nodes"].index(box) in n["boxes"][1:]]
    assert inside, "what is inside of a box knows the box, so that a selection can stay"


def test_a_run_of_long_units_is_not_opened_as_it_could_not_be_drawn_in_time() -> None:
    length = 80
    nodes = [Node(f"o {i}", "object", f"T{i % length}", f"T{i % length}") for i in range(640)]
    edges = [Edge(f"o {i}", f"o {i + 1}", ".next") for i in range(639)]
    data = told(page(Graph(nodes, edges)))
    assert len(data["views"]) == 1
    assert [n["opens"] for n in data["nodes"] if n["kind"] == "fold"] == [None]


def test_what_dies_is_counted_in_the_whole_graph_though_it_is_folded() -> None:
    data = told(page(chain(500)))
    first = next(e for e in data["edges"] if e["label"] == "y")
    assert first["drop"]["said"][0] == "500 objects, 3.91 KiB"
    assert {data["nodes"][i]["kind"] for i in first["drop"]["freed"]} == {"function", "fold"}


def test_text_cannot_break_out_of_the_page() -> None:
    evil = "</script><script>alert(1)</script>"
    nodes = [replace(n, title=evil, detail=evil) for n in graph().nodes]
    edges = [replace(e, label=f"['{evil}']") for e in graph().edges]
    html = page(replace(graph(), nodes=nodes, edges=edges, title=evil, notes=[evil]))
    assert "<script>alert" not in html


def test_a_large_graph_is_no_large_page() -> None:
    nodes = [Node("y", "name", "local", "y")]
    nodes += [Node(f"o {i}", "object", f"T{i}", f"T{i}", bytes=i) for i in range(400)]
    edges = [Edge("y", "o 0", "y")]
    edges += [Edge(f"o {i // 2}", f"o {i}", f".x{i}") for i in range(1, 400)]
    edges += [Edge(f"o {i}", f"o {i - 1}", f".y{i}") for i in range(1, 400, 3)]
    assert len(page(Graph(nodes, edges), timeout=60)) < 1_500_000

"""A reference graph in the DOT language: what each object and reference looks like.

What an object is stands in its shape and fill, what becomes of it in its border, what a reference
is in its line: nothing is told by colour alone. Every colour is in PALETTE, so that a page can put
its own in its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape

from experiments.refgraph.fates import cycles
from experiments.refgraph.folding import HELD
from experiments.refgraph.model import Edge, Fate, Graph, Node

UNITS = (("KiB", 1), ("MiB", 2), ("GiB", 3))
FONT = "Helvetica"  # a list of fonts would be laid out by guessed widths
TEXT, SMALL = 12.5, 11
ARROW = "——&gt;&#160;"
DEEPEST_ACROSS = 4  # more levels from left to right would be wider than a page
WIDEST, LONGEST = 44, 120  # characters of a line in a box, and of a reference's label

PALETTE = {
    "ink": "#1b1f24",
    "soft": "#4a5460",
    "line": "#5f6b78",
    "name": "#24292e",
    "name-ink": "#fefefe",
    "variable": "#ffe3b3",
    "variable-line": "#a65f00",
    "function": "#cde4f9",
    "function-line": "#1a66a8",
    "leaf": "#d7efd9",
    "leaf-line": "#2f7a3b",
    "array": "#e8e2f6",
    "array-line": "#6546a8",
    "gradient": "#f9dfd2",
    "gradient-line": "#a8481f",
    "object": "#ebedf0",
    "object-line": "#68717c",
    "fold": "#f7f7f0",
    "fold-line": "#55554d",
    "cycle": "#c2185b",
    "cycle-shade": "#fdeaf2",
    "one": "#b45309",
    "other": "#00736a",
}


@dataclass(frozen=True)
class Look:
    """How a kind of object is drawn, and what the legend says of it."""

    shape: str
    said: str
    style: str = "filled"


KINDS = {
    "name": Look("box", "a name in the program", "filled,rounded"),
    "variable": Look("ellipse", "Variable"),
    "function": Look("box", "Function"),
    "leaf": Look("hexagon", "Leaf"),
    "array": Look("cylinder", "array"),
    "gradient": Look("cylinder", "gradient"),
    "object": Look("tab", "other object"),
    "fold": Look("box3d", "a run of like units"),
}


@dataclass(frozen=True)
class Border:
    """How what becomes of an object is drawn, and what it is."""

    said: str
    width: float = 1.2
    lines: int = 1
    style: str = ""


FATES: Mapping[Fate, Border] = {
    "freed": Border("a reference count frees it"),
    "waits": Border("waits for a collection", lines=2),
    "stays": Border("stays: held from elsewhere", width=3),
    "garbage": Border("garbage already, not collected yet", width=2.2, style="dotted"),
}


def dot(graph: Graph, prefix: str = "") -> str:
    """A graph in the DOT language, the same text for the same graph.

    prefix: begins the id of each object and reference in a picture made of it.
    """
    picture = _Picture(graph, prefix)
    return "\n".join(["digraph references {", *picture.lines(), "}", ""])


def amount(size: int) -> str:
    """Bytes as a reader takes them in."""
    if size < 1024:
        return f"{size} B"
    unit, power = next((u, p) for u, p in UNITS if size < 1024 ** (p + 1) or u == UNITS[-1][0])
    value = size / 1024**power
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def sides(graph: Graph) -> list[str]:
    """Of two graphs laid side by side, what the two are called; of a graph by itself, nothing."""
    given = [str(side) for side in graph.facts.get("difference", ())]
    return given or sorted(_only(graph))


def is_computation(graph: Graph) -> bool:
    """Whether a graph is of what is computed from what, not of who holds whom."""
    return all(
        n.kind in ("variable", "function", "fold") and not n.bytes for n in graph.nodes
    ) and not any(e.weak or e.label.startswith(".creator") for e in graph.edges)


def _only(graph: Graph) -> set[str]:
    return ({n.only for n in graph.nodes} | {e.only for e in graph.edges}) - {""}


def roles(graph: Graph) -> dict[str, str]:
    """What each object is drawn as: its kind, but a gradient as such."""
    gradients = {e.target for e in graph.edges if e.label.split(" ")[0] in (".grad", ".grad.data")}
    return {
        n.id: "gradient" if n.kind == "array" and n.id in gradients else n.kind for n in graph.nodes
    }


class _Picture:
    """What is drawn of a graph."""

    def __init__(self, graph: Graph, prefix: str) -> None:
        self.graph = graph
        self.prefix = prefix
        self.number = {node.id: i for i, node in enumerate(graph.nodes)}
        self.nodes = {node.id: node for node in graph.nodes}
        self.roles = roles(graph)
        self.sides = sides(graph)
        self.plain = is_computation(graph)

    def lines(self) -> Iterator[str]:
        yield _attributes(
            "graph",
            fontname=FONT,
            fontsize=TEXT,
            fontcolor=PALETTE["ink"],
            rankdir=self.direction(),
            nodesep=0.28,
            ranksep=0.32,
            pad=0.15,
            bgcolor="transparent",
            labelloc="b",
            labeljust="l",
            label=_Html(self.legend()),
        )
        yield _attributes("node", fontname=FONT, fontsize=TEXT, height=0.36, margin="0.13,0.06")
        yield _attributes("edge", fontname=FONT, fontsize=SMALL, arrowsize=0.7)
        grouped = self.in_cycles()
        for node in self.graph.nodes:
            if node.id not in grouped:
                yield self.node(node)
        yield from self.clusters()
        names = [f"n{self.number[n.id]}" for n in self.graph.nodes if n.kind == "name"]
        if 1 < len(names) <= 6:
            yield "{ rank=source; " + " ".join(names) + " }"
        for i, edge in enumerate(self.graph.edges):
            yield self.edge(i, edge)

    def in_cycles(self) -> set[str]:
        return {n.id for n in self.graph.nodes if n.cycle is not None and n.kind != "fold"}

    def clusters(self) -> Iterator[str]:
        held = self.graph.facts.get(HELD) or {c.number: c.bytes for c in cycles(self.graph)}
        members: dict[int, list[Node]] = {}
        for node in self.graph.nodes:
            if node.cycle is not None and node.kind != "fold":
                members.setdefault(node.cycle, []).append(node)
        for number, inside in members.items():
            yield f"subgraph cluster_{number} {{"
            yield _attributes(
                "graph",
                **{"class": "cycle", "id": f"{self.prefix}c{number}"},
                style="filled,rounded",
                margin=10,
                fillcolor=PALETTE["cycle-shade"],
                pencolor=PALETTE["cycle"],
                fontcolor=PALETTE["cycle"],
                fontsize=SMALL,
                labelloc="t",
                labeljust="l",
                label=f"cycle {number}\nholds {amount(held[number])}",
            )
            yield from map(self.node, inside)
            yield "}"

    def node(self, node: Node) -> str:
        role = self.roles[node.id]
        look = KINDS[role]
        told = "freed" if self.plain or node.kind == "name" else node.fate
        border = FATES[told]
        line = PALETTE["name" if role == "name" else f"{role}-line"]
        if node.only:
            line = PALETTE[self.side(node.only)]
        elif node.cycle is not None:
            line = PALETTE["cycle"]
        classes = [role, node.fate, *(["cycle"] if node.cycle is not None else [])]
        classes += [f"only-{self.sides.index(node.only)}"] if node.only in self.sides else []
        return _attributes(
            f"n{self.number[node.id]}",
            **{"class": " ".join(classes), "id": f"{self.prefix}n{self.number[node.id]}"},
            label=_Html(self.text(node)),
            shape=look.shape,
            style=",".join(filter(None, (look.style, border.style))),
            fillcolor=PALETTE[role],
            color=line,
            fontcolor=PALETTE["name-ink" if role == "name" else "ink"],
            penwidth=border.width,
            peripheries=border.lines,
        )

    def text(self, node: Node) -> str:
        """What stands in a box."""
        role = self.roles[node.id]
        title = {"ndarray": role}.get(node.title, node.title)
        lines = [f"<B>{_line(title)}</B>"] if title else []
        if node.kind == "variable" and node.title not in ("", node.type) and not self.plain:
            lines = [f"{_line(node.type)} <B>{_line(title)}</B>"]
        parts = node.detail.replace("ndarray", "array").split("\n")
        lines += [_small(_line(part)) for part in parts if part]
        if node.bytes:
            lines.append(_small(f"<B>{amount(node.bytes)}</B>"))
        if node.only:
            lines.append(_small(f"<I>only {_line(node.only)}</I>"))
        if KINDS[role].shape == "cylinder":  # whose lid takes the room of a line
            lines.insert(0, '<FONT POINT-SIZE="5"> </FONT>')
        return "<BR/>".join(lines) or "&#160;"

    def edge(self, i: int, edge: Edge) -> str:
        source, target = self.nodes[edge.source], self.nodes[edge.target]
        tied = not edge.weak and source.cycle is not None and source.cycle == target.cycle
        label = "" if source.kind == "name" and edge.label == source.title else edge.label
        lines = [label, f"(only {edge.only})" if edge.only else ""]
        colour = PALETTE["cycle" if tied else "line"]
        if edge.only:
            colour = PALETTE[self.side(edge.only)]
        classes = ["weak" if edge.weak else "strong", *(["cycle"] if tied else [])]
        classes += [f"only-{self.sides.index(edge.only)}"] if edge.only in self.sides else []
        return _attributes(
            f"n{self.number[edge.source]} -> n{self.number[edge.target]}",
            **{"class": " ".join(classes), "id": f"{self.prefix}e{i}"},
            label="\n".join(f"  {line[:LONGEST]}  " for line in lines if line),
            color=colour,
            fontcolor=colour if tied or edge.only else PALETTE["soft"],
            style="dashed" if edge.weak else "solid",
            arrowhead="vee" if edge.weak else "normal",
            penwidth=2.4 if tied or edge.only else 1.2,
            constraint=not edge.weak,
            weight=1 if target.kind == "array" else 3,
        )

    def side(self, side: str) -> str:
        """The colour of what only one of two graphs has, by its name."""
        return "one" if self.sides.index(side) == 0 else "other"

    def direction(self) -> str:
        """From top to bottom, or from left to right where that would be too wide to read."""
        depth: dict[str, int] = {}
        holds: dict[str, list[str]] = {}
        for edge in self.graph.edges:
            if not edge.weak:
                holds.setdefault(edge.source, []).append(edge.target)
        for root in self.graph.nodes:  # breadth first, from what nobody before it holds
            layer, level = [root.id], 0
            while layer:
                fresh = [i for i in dict.fromkeys(layer) if i not in depth]
                depth |= dict.fromkeys(fresh, level)
                layer = [t for i in fresh for t in holds.get(i, ()) if t not in depth]
                level += 1
        breadth = max(Counter(depth.values()).values(), default=0)
        return "LR" if breadth > 7 and max(depth.values()) <= DEEPEST_ACROSS else "TB"

    # What it means -------------------------------------------------------------------------------

    def legend(self) -> str:
        """Below the picture: what it is of, and what of each look in it means."""
        kinds = [kind for kind in KINDS if kind in self.roles.values()]
        fates = [
            f for f in FATES if any(n.fate == f for n in self.nodes.values() if n.kind != "name")
        ]
        borders = [] if self.plain else [_bordered(fate) for fate in fates]
        lines = self.edge_samples()
        rows = [[self.caption()], [_swatch(kind) for kind in kinds]]
        rows += [borders, lines] if len(borders) + len(lines) > 5 else [[*borders, *lines]]
        found = [_cells(row) for row in rows]
        return _table("".join(f"<TR><TD>{_table(row, 5, 3)}</TD></TR>" for row in found if row))

    def caption(self) -> str:
        graph = self.graph
        title = _line(graph.title, LONGEST)
        return f"<B>{title}</B>" if title else ""

    def edge_samples(self) -> list[str]:
        nodes, edges = self.nodes.values(), self.graph.edges
        samples = []
        if any(not e.weak for e in edges) and not self.plain:
            samples.append(_coloured("line", ARROW) + " keeps alive")
        if any(e.weak for e in edges):
            samples.append(_coloured("line", "- - -&gt;&#160;") + " weak: does not")
        tied = {n.fate for n in nodes if n.cycle is not None}
        if tied:
            said = " a cycle" + (": only a collection frees it" if not tied & {"stays"} else "")
            samples.append(_coloured("cycle", f"<B>{ARROW}</B>{said}"))
        for side in self.sides:
            if side in _only(self.graph):
                samples.append(_coloured(self.side(side), f"<B>{ARROW}</B> only {_line(side)}"))
        return [_small(sample) for sample in samples]


class _Html(str):
    """A label in Graphviz's own HTML."""


def _attributes(what: str, **values: object) -> str:
    return f"{what} [" + ", ".join(f"{k}={_quoted(v)}" for k, v in values.items()) + "];"


def _quoted(value: object) -> str:
    if isinstance(value, _Html):
        return f"<{value}>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = _printable(str(value)).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("\n", "\\n") + '"'


def _printable(text: str) -> str:
    """Text without the characters that no SVG may have."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def _line(text: str, most: int = WIDEST) -> str:
    text = " ".join(_printable(text).split())
    return escape(text if len(text) <= most else text[: most - 1] + "…")


def _small(text: str) -> str:
    return f'<FONT POINT-SIZE="{SMALL}">{text}</FONT>'


def _coloured(colour: str, text: str) -> str:
    return f'<FONT COLOR="{PALETTE[colour]}">{text}</FONT>'


def _cells(cells: Iterable[str]) -> str:
    found = [c if c.startswith("<TD") else f"<TD>{c}</TD>" for c in cells if c]
    return f"<TR>{''.join(found)}</TR>" if found else ""


def _table(rows: str, space: int = 0, padding: int = 0, attributes: str = 'BORDER="0"') -> str:
    inside = f'CELLBORDER="0" CELLSPACING="{space}" CELLPADDING="{padding}"'
    return f"<TABLE {attributes} {inside}>{rows}</TABLE>"


def _swatch(kind: str) -> str:
    style = ' STYLE="ROUNDED"' if kind in ("name", "variable") else ""
    line = PALETTE["name" if kind == "name" else f"{kind}-line"]
    text = _small(KINDS[kind].said)
    if kind == "name":
        text = _coloured("name-ink", text)
    return f'<TD BORDER="1"{style} BGCOLOR="{PALETTE[kind]}" COLOR="{line}">{text}</TD>'


def _bordered(fate: Fate) -> str:
    text, colour = _small(FATES[fate].said), f'COLOR="{PALETTE["soft"]}"'
    if fate == "waits":
        inner = _table(f"<TR><TD>{text}</TD></TR>", 0, 1, f'BORDER="1" {colour}')
        return f'<TD BORDER="1" CELLPADDING="2" {colour}>{inner}</TD>'
    borders = {"freed": "1", "stays": "3", "garbage": '2" STYLE="DOTTED'}
    return f'<TD BORDER="{borders[fate]}" {colour}>{text}</TD>'

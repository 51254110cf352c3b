"use strict";
// The picture zooms and moves, is searched and filtered; a selection says what it is and what dies
// with it. All figures come with the page: nothing is reckoned here.

const told = JSON.parse(document.getElementById("told").textContent);
const stage = document.getElementById("stage");
const panel = document.getElementById("panel");
const views = [...document.querySelectorAll(".view")];
const search = document.getElementById("search");
const found = document.getElementById("found");
const chooser = document.getElementById("views");

const place = { x: 0, y: 0, scale: 1 };
const hidden = new Set(); // kinds
let shown = 0; // the view
let selection = null; // {node: n} or {edge: e}, by their places in `told`
let hits = [];
let hit = -1;

// The picture ------------------------------------------------------------------------------------

const element = (view, letter, i) => document.getElementById(`v${view}-${letter}${i}`);

/** Each object (letter n) or reference (e) of the view that is shown, with its element. */
function* drawn(letter) {
  const numbers = told.views[shown][letter === "n" ? "nodes" : "edges"];
  for (let i = 0; i < numbers.length; i++) yield [numbers[i], element(shown, letter, i)];
}

const drawnNode = (node) => [...drawn("n")].find(([n]) => n === node)?.[1];
const drawnEdge = (edge) => [...drawn("e")].find(([e]) => e === edge)?.[1];

function move() {
  views[shown].style.transform = `translate(${place.x}px, ${place.y}px) scale(${place.scale})`;
}

function size() {
  const svg = views[shown].querySelector("svg");
  return [svg.width.baseVal.value, svg.height.baseVal.value];
}

function fit() {
  const [width, height] = size();
  place.scale = Math.min(1.5, stage.clientWidth / width, stage.clientHeight / height);
  place.x = (stage.clientWidth - width * place.scale) / 2;
  place.y = Math.max(0, (stage.clientHeight - height * place.scale) / 2);
  move();
}

/** Zoom about a point of the stage, its middle if none is given. */
function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const scale = Math.min(8, Math.max(0.02, place.scale * factor));
  place.x = x - ((x - place.x) * scale) / place.scale;
  place.y = y - ((y - place.y) * scale) / place.scale;
  place.scale = scale;
  move();
}

/** Bring an element into sight, large enough to be read. */
function show(target) {
  if (!target || getComputedStyle(target).display === "none") return;
  if (place.scale < 0.7) zoom(0.9 / place.scale);
  const box = target.getBoundingClientRect();
  const frame = stage.getBoundingClientRect();
  const inside = box.left >= frame.left && box.right <= frame.right && box.top >= frame.top && box.bottom <= frame.bottom;
  if (inside) return;
  place.x += frame.left + frame.width / 2 - (box.left + box.width / 2);
  place.y += frame.top + frame.height / 2 - (box.top + box.height / 2);
  move();
}

function open(view) {
  shown = view;
  views.forEach((each, i) => (each.hidden = i !== view));
  if (chooser) chooser.value = view;
  fit();
  filter();
  find(false);
  if (selection && "node" in selection) {
    const here = told.nodes[selection.node].boxes.find(drawnNode);
    if (here !== undefined) selection = { node: here };
  }
  tell(selection);
}

function filter() {
  const away = new Set();
  for (const [node, g] of drawn("n")) {
    const gone = [...hidden].some((kind) => g.classList.contains(kind));
    g.classList.toggle("away", gone);
    if (gone) away.add(node);
  }
  for (const [edge, g] of drawn("e")) {
    const { source, target } = told.edges[edge];
    g.classList.toggle("away", away.has(source) || away.has(target));
  }
}

// Search -----------------------------------------------------------------------------------------

function matches(words) {
  const has = (text) => text && text.toLowerCase().includes(words);
  const nodes = [...drawn("n")].filter(([n]) => {
    const { id, type, title, detail } = told.nodes[n];
    return [id, type, title, detail].some(has);
  });
  const edges = [...drawn("e")].filter(([e]) => has(told.edges[e].label) || has(told.edges[e].place));
  return [...nodes.map(([node, g]) => ({ node, g })), ...edges.map(([edge, g]) => ({ edge, g }))];
}

function find(first = true) {
  for (const { g } of hits) g.classList.remove("found");
  const words = search.value.trim().toLowerCase();
  hits = words ? matches(words) : [];
  hit = -1;
  for (const { g } of hits) g.classList.add("found");
  found.textContent = words && !hits.length ? "none" : hits.length ? `${hits.length} found` : "";
  if (first && hits.length) show(hits[0].g);
}

function next(step) {
  if (!hits.length) return;
  hit = (hit + step + hits.length) % hits.length;
  found.textContent = `${hit + 1} of ${hits.length}`;
  const { node, edge, g } = hits[hit];
  tell(node === undefined ? { edge } : { node });
  show(g);
}

// What is selected -------------------------------------------------------------------------------

function make(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function button(text, what, kind = "link") {
  const made = make("button", text, { class: kind });
  made.addEventListener("click", () => {
    tell(what);
    show("node" in what ? drawnNode(what.node) : drawnEdge(what.edge));
  });
  return made;
}

function clear() {
  const marks = ["selected", "lit", "dies", "waits-then"];
  for (const letter of "ne") for (const [, g] of drawn(letter)) g.classList.remove(...marks);
  views[shown].classList.remove("told");
}

function tell(what) {
  clear();
  selection = what;
  if (!what) {
    panel.replaceChildren(make("p", "Select an object or a reference.", { class: "hint" }));
    return;
  }
  panel.replaceChildren(...("node" in what ? aboutNode(what.node) : aboutEdge(what.edge)));
}

function facts(pairs) {
  const list = make("dl");
  for (const [name, value] of pairs) {
    if (value !== "" && value !== null && value !== 0) list.append(make("dt", name), make("dd", String(value)));
  }
  return list;
}

/** One end of a reference: a link to it, and a button that drops the reference. */
function end(edge, node) {
  const { label, weak, drop } = told.edges[edge];
  const item = make("li");
  item.append(make("code", label + (weak ? " (weak)" : "")), button(told.nodes[node].id, { node }));
  if (drop) {
    const dropped = button("drop", { edge }, "drop");
    dropped.setAttribute("aria-label", `drop ${label}`);
    item.append(dropped);
  }
  return item;
}

function ends(title, edges, which) {
  const list = make("ul");
  for (const edge of edges) list.append(end(edge, told.edges[edge][which]));
  return edges.length ? [make("h3", title), list] : [];
}

function aboutNode(n) {
  const node = told.nodes[n];
  const here = told.views[shown].edges;
  const into = here.filter((e) => told.edges[e].target === n);
  const out = here.filter((e) => told.edges[e].source === n);
  views[shown].classList.add("told");
  for (const [edge, g] of drawn("e")) g.classList.toggle("lit", into.includes(edge) || out.includes(edge));
  const near = new Set([n, ...into.map((e) => told.edges[e].source), ...out.map((e) => told.edges[e].target)]);
  for (const [other, g] of drawn("n")) g.classList.toggle("lit", near.has(other));
  drawnNode(n)?.classList.add("selected");
  const parts = [
    make("h2", node.title && node.title !== node.type && !node.id.startsWith(node.title) ? `${node.id}: ${node.title}` : node.id),
    facts([
      ["is", `${node.type} ${node.detail}`.trim()],
      ["own data", node.bytes],
      ["fate", node.fate],
      ["cycle", node.cycle],
      ["held from outside", node.outside],
      ["only in", node.only],
    ]),
  ];
  if (node.opens !== null) {
    const opener = make("button", "Open this run");
    opener.addEventListener("click", () => open(node.opens));
    parts.push(opener);
  }
  parts.push(...ends("Held by", into, "source"), ...ends("Holds", out, "target"));
  if (node.why) parts.push(make("h3", "Alive because"), make("p", node.why, { class: "why" }));
  return parts;
}

function aboutEdge(e) {
  const edge = told.edges[e];
  views[shown].classList.add("told");
  drawnEdge(e)?.classList.add("selected", "lit");
  for (const n of [edge.source, edge.target]) drawnNode(n)?.classList.add("lit");
  const title = make("h2", edge.label);
  const from = make("li");
  from.append("from ", button(told.nodes[edge.source].id, { node: edge.source }));
  const to = make("li");
  to.append("to ", button(told.nodes[edge.target].id, { node: edge.target }));
  const list = make("ul");
  list.append(from, to);
  const parts = [title, list, facts([["in memory", edge.place], ["only in", edge.only]])];
  if (edge.weak) return [...parts, make("p", "A weak reference: it keeps nothing alive, and to drop it frees nothing.")];
  if (told.two) return [...parts, make("p", "Two graphs are laid side by side here. What dies with a reference is told where one is drawn by itself.")];
  if (!edge.drop) return [...parts, make("p", "A line that stands for several references. Open the run to choose one.")];
  return [...parts, ...dropped(edge.drop)];
}

function dropped({ freed, waits, said }) {
  for (const [marks, nodes] of [["dies", freed], ["waits-then", waits]]) {
    for (const [node, g] of drawn("n")) if (nodes.includes(node)) g.classList.add(marks);
  }
  if (!freed.length && !waits.length) return [make("h3", "When it is dropped"), make("p", "Nothing dies: something else still holds it.")];
  const parts = [make("h3", "When it is dropped")];
  const outcome = (nodes, sum, words, kind) => {
    if (!nodes.length) return;
    const box = make("p", "", { class: `fate ${kind}` });
    box.append(make("b", sum), ` ${words}`);
    parts.push(box);
  };
  outcome(freed, said[0], "freed at once, by reference counts.", "freed");
  outcome(waits, said[1], "wait for a collection.", "waits");
  return parts;
}

// What people do ---------------------------------------------------------------------------------

const pointers = new Map();
let travelled = 0;

const apart = ([a, b]) => Math.hypot(a.x - b.x, a.y - b.y);

function at(event) {
  const frame = stage.getBoundingClientRect();
  return { x: event.clientX - frame.left, y: event.clientY - frame.top };
}

stage.addEventListener("pointerdown", (event) => {
  if (!pointers.size) travelled = 0;
  pointers.set(event.pointerId, at(event));
  stage.classList.add("dragged");
});

addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const now = at(event);
  const old = [...pointers.values()];
  pointers.set(event.pointerId, now);
  travelled += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
  if (pointers.size === 1) {
    place.x += now.x - before.x;
    place.y += now.y - before.y;
    move();
  } else {
    const both = [...pointers.values()];
    zoom(apart(both) / Math.max(1, apart(old)), (both[0].x + both[1].x) / 2, (both[0].y + both[1].y) / 2);
  }
});

for (const name of ["pointerup", "pointercancel"]) {
  addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    stage.classList.toggle("dragged", pointers.size > 0);
  });
}

stage.addEventListener("click", (event) => {
  if (travelled > 6) return; // the end of a drag
  const g = event.target.closest("g.node, g.edge");
  if (!g) return tell(null);
  const letter = g.classList.contains("node") ? "n" : "e";
  const [which] = [...drawn(letter)].find(([, each]) => each === g);
  tell(letter === "n" ? { node: which } : { edge: which });
});

stage.addEventListener("dblclick", (event) => {
  const g = event.target.closest("g.node.fold");
  const which = g && [...drawn("n")].find(([, each]) => each === g)[0];
  if (g && told.nodes[which].opens !== null) open(told.nodes[which].opens);
});

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const { x, y } = at(event);
  zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 250), x, y);
}, { passive: false });

const KEYS = {
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "0": fit,
  ArrowLeft: () => (place.x += 60), ArrowRight: () => (place.x -= 60),
  ArrowUp: () => (place.y += 60), ArrowDown: () => (place.y -= 60),
  Escape: () => tell(null),
};

stage.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
  move();
});

search.addEventListener("input", () => find());
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") next(event.shiftKey ? -1 : 1);
});
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, select")) return;
  event.preventDefault();
  search.focus();
});
document.getElementById("in").addEventListener("click", () => zoom(1.25));
document.getElementById("out").addEventListener("click", () => zoom(0.8));
document.getElementById("fit").addEventListener("click", fit);
chooser?.addEventListener("change", () => open(Number(chooser.value)));
for (const box of document.querySelectorAll("[data-kind]")) {
  box.addEventListener("change", () => {
    hidden[box.checked ? "delete" : "add"](box.dataset.kind);
    filter();
  });
}
for (const link of document.querySelectorAll("[data-node], [data-edge]")) {
  link.addEventListener("click", () => {
    const { node, edge } = link.dataset; // places in the first view
    if (shown !== 0) open(0);
    const what = node === undefined ? { edge: told.views[0].edges[edge] } : { node: told.views[0].nodes[node] };
    tell(what);
    show("node" in what ? drawnNode(what.node) : drawnEdge(what.edge));
    panel.focus();
  });
}
let width = 0; // a phone's window changes its height alone as its bars come and go
function fitWhereWider() {
  if (stage.clientWidth !== width) fit();
  width = stage.clientWidth;
}
addEventListener("resize", fitWhereWider);
fitWhereWider();

// What a reader of the page would see, told to the tests: it is put into each page before its own
// scripts. Everything here looks, and changes nothing but where the page is scrolled to.
"use strict";
self.witness = (() => {
  // Words that are written on a canvas -----------------------------------------------------------

  const written = new WeakMap(); // canvas -> words on it, each with the corners of its box
  const clips = new WeakMap(); // context -> what it may draw in, for each state that is saved

  const drawing = CanvasRenderingContext2D.prototype;
  const wrap = (name, before) => {
    const original = drawing[name];
    drawing[name] = function (...given) {
      before.call(this, ...given);
      return original.apply(this, given);
    };
  };
  const state = (context) => {
    if (!clips.has(context)) clips.set(context, [{ clip: null, path: [] }]);
    return clips.get(context);
  };
  const onCanvas = (context, x, y, width, height) => {
    const to = context.getTransform();
    const corners = [[x, y], [x + width, y], [x, y + height], [x + width, y + height]].map(
      ([a, b]) => [to.a * a + to.c * b + to.e, to.b * a + to.d * b + to.f],
    );
    return boxAround(corners);
  };
  const boxAround = (corners) => {
    const [xs, ys] = [0, 1].map((n) => corners.map((corner) => corner[n]));
    return {
      left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys),
    };
  };

  wrap("save", function () {
    const states = state(this);
    states.push({ ...states.at(-1) });
  });
  wrap("restore", function () {
    if (state(this).length > 1) state(this).pop();
  });
  wrap("beginPath", function () { state(this).at(-1).path = []; });
  wrap("rect", function (x, y, width, height) {
    const now = state(this).at(-1);
    now.path = [...now.path, onCanvas(this, x, y, width, height)];
  });
  wrap("clip", function () {
    const now = state(this).at(-1);
    const [box] = now.path;
    if (box) now.clip = now.clip ? overlap(now.clip, box) : box;
  });
  wrap("clearRect", function (x, y, width, height) {
    const cleared = onCanvas(this, x, y, width, height);
    const left = (written.get(this.canvas) ?? []).filter(({ box }) => !within(box, cleared, 1));
    written.set(this.canvas, left);
  });
  wrap("fillText", function (text, x, y) {
    if (!text.trim() || this.globalAlpha === 0) return;
    const size = this.measureText(text);
    const box = onCanvas(
      this,
      x - size.actualBoundingBoxLeft,
      y - size.actualBoundingBoxAscent,
      size.actualBoundingBoxLeft + size.actualBoundingBoxRight,
      size.actualBoundingBoxAscent + size.actualBoundingBoxDescent,
    );
    const { width, height } = this.canvas;
    const whole = { left: 0, top: 0, right: width, bottom: height };
    const clip = state(this).at(-1).clip;
    const words = { text, box, clip: clip ? overlap(whole, clip) : whole };
    written.set(this.canvas, [...(written.get(this.canvas) ?? []), words]);
  });

  // Boxes ------------------------------------------------------------------------------------------

  function overlap(one, other) {
    return {
      left: Math.max(one.left, other.left), right: Math.min(one.right, other.right),
      top: Math.max(one.top, other.top), bottom: Math.min(one.bottom, other.bottom),
    };
  }
  const empty = (box, by = 0) => box.right - box.left <= by || box.bottom - box.top <= by;
  const within = (box, outer, by) =>
    box.left >= outer.left - by && box.right <= outer.right + by &&
    box.top >= outer.top - by && box.bottom <= outer.bottom + by;
  const rounded = (box) =>
    ["left", "top", "right", "bottom"].map((side) => Math.round(box[side])).join(" ");

  // Elements, those in shadow trees too --------------------------------------------------------------

  function* elements(root = document.body) {
    for (const element of root.children) {
      yield element;
      if (element.shadowRoot) yield* elements(element.shadowRoot);
      yield* elements(element);
    }
  }
  const parent = (element) =>
    element.assignedSlot ?? element.parentElement ?? element.getRootNode().host ?? null;
  function* ancestors(element) {
    for (let one = parent(element); one; one = parent(one)) yield one;
  }
  const shown = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true });
  // Said to screen readers alone, or moved off the page until it has the focus.
  const forEars = (element) =>
    [element, ...ancestors(element)].some((one) => {
      const style = getComputedStyle(one);
      if (style.position !== "absolute" && style.position !== "fixed") return false;
      const box = one.getBoundingClientRect();
      return (box.width <= 1 && box.height <= 1) || box.right <= 0;
    });

  const NOT_READ = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "TITLE", "DESC", "METADATA"]);

  // Every piece of text that is to be seen, with a box for each of its lines.
  function texts() {
    const found = [];
    for (const element of elements()) {
      if (NOT_READ.has(element.tagName.toUpperCase())) continue;
      const own = [...element.childNodes].filter((n) => n.nodeType === 3 && n.data.trim());
      if (!own.length || !shown(element) || forEars(element)) continue;
      for (const node of own) {
        const range = document.createRange();
        range.selectNodeContents(node);
        const boxes = [...range.getClientRects()].filter((box) => !empty(box));
        if (boxes.length) found.push({ element, text: node.data.trim(), boxes });
      }
    }
    return found;
  }

  // What an element lets be seen of what is in it, and whether the rest can be scrolled to.
  function window_(element) {
    const style = getComputedStyle(element);
    const cuts = (value) => value !== "visible";
    if (!cuts(style.overflowX) && !cuts(style.overflowY)) return null;
    if (style.display === "inline" || element === document.documentElement) return null;
    if (element === document.body) return null; // the window scrolls it
    const scrolls = matchMedia("screen").matches; // nobody scrolls on paper
    const box = element.getBoundingClientRect();
    const everywhere = { left: -1e9, right: 1e9, top: -1e9, bottom: 1e9 };
    const [hides, shows] = [{ ...everywhere }, { ...everywhere }];
    for (const [value, low, high] of [
      [style.overflowX, "left", "right"], [style.overflowY, "top", "bottom"],
    ]) {
      if (!cuts(value)) continue;
      [shows[low], shows[high]] = [box[low], box[high]];
      if (scrolls && (value === "auto" || value === "scroll")) continue;
      [hides[low], hides[high]] = [box[low], box[high]];
    }
    return { hides, shows };
  }

  // Text that is cut off, with the element that cuts it.
  function cut() {
    const found = [];
    for (const { element, text, boxes } of texts()) {
      for (const one of [element, ...ancestors(element)]) {
        const window = window_(one);
        if (!window) continue;
        const over = boxes.find((box) => !within(box, window.hides, 1.5));
        if (over) {
          found.push(`"${text.slice(0, 60)}" (${rounded(over)}) is cut by ${named(one)}`);
          break;
        }
      }
    }
    for (const { canvas, words } of canvases()) {
      for (const { text, box, clip } of words) {
        if (!within(box, clip, 1.5)) {
          found.push(`"${text}" (${rounded(box)}) leaves (${rounded(clip)}) in ${named(canvas)}`);
        }
      }
    }
    return found;
  }

  function named(element) {
    const place = [element, ...ancestors(element)].find((one) => one.id || one.ariaLabel);
    const where = place ? ` in ${place.ariaLabel ?? `#${place.id}`}` : "";
    const kind = element.getAttribute("class");
    return `<${element.tagName.toLowerCase()}${kind ? ` class="${kind}"` : ""}>${where}`;
  }

  // Canvases that are shown, with the words on each in pixels of the canvas.
  function canvases() {
    return [...elements()]
      .filter((one) => one.tagName === "CANVAS" && written.has(one) && shown(one))
      .map((canvas) => ({ canvas, words: written.get(canvas) }));
  }

  // Pairs of texts of which one is written over the other.
  function overlapping() {
    const placed = [];
    for (const { element, text, boxes } of texts()) {
      const windows = [element, ...ancestors(element)].map(window_).filter(Boolean);
      for (const box of boxes) {
        let seen = { left: box.left, right: box.right, top: box.top, bottom: box.bottom };
        for (const { shows } of windows) seen = overlap(seen, shows);
        if (!empty(seen)) placed.push({ text, element, box: seen, owner: element });
      }
    }
    for (const { canvas, words } of canvases()) {
      const at = canvas.getBoundingClientRect();
      const scale = at.width / canvas.width;
      for (const { text, box } of words) {
        const [left, right] = [box.left, box.right].map((x) => at.left + x * scale);
        const [top, bottom] = [box.top, box.bottom].map((y) => at.top + y * scale);
        placed.push({ text, element: canvas, box: { left, right, top, bottom }, owner: {} });
      }
    }
    return crossings(placed.map((one) => ({ ...one, box: inked(one) })));
  }

  // The box of a line of text is as high as its font, which is higher than most of its letters.
  function inked({ element, box }) {
    const by = element.tagName === "CANVAS" ? 0 : (box.bottom - box.top) * 0.22;
    return { left: box.left + 1, right: box.right - 1, top: box.top + by, bottom: box.bottom - by };
  }

  function crossings(placed) {
    placed.sort((one, other) => one.box.top - other.box.top);
    const found = [];
    let open = [];
    for (const one of placed) {
      open = open.filter((other) => other.box.bottom > one.box.top);
      for (const other of open) {
        if (one.owner !== other.owner && !empty(overlap(one.box, other.box), 0.5)) {
          const where = `${rounded(one.box)} and ${rounded(other.box)}`;
          found.push(
            `"${one.text.slice(0, 60)}" over "${other.text.slice(0, 60)}" (${where}), ` +
              named(one.element),
          );
        }
      }
      open.push(one);
    }
    return found;
  }

  // The text that reaches out of the window on the right, where the page can be scrolled there.
  function sideways() {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const out = texts().filter(({ boxes }) => boxes.some((box) => box.right > clientWidth + 1));
    return [
      `the page is ${scrollWidth} wide and its window ${clientWidth}`,
      ...out.map(({ element, text }) => `${named(element)}: "${text.slice(0, 60)}"`),
    ];
  }

  // Charts -------------------------------------------------------------------------------------------

  // The charts in the order of the page: a place may have several, one under the other.
  function figures() {
    const within = (view) =>
      view.model.type === "Figure" ? [view] : (view.child_views ?? []).flatMap(within);
    const roots = self.Bokeh ? [...Bokeh.index].filter((view) => view.el.closest(".chart")) : [];
    return [...document.querySelectorAll(".chart")].flatMap((place) =>
      roots.filter((view) => place.contains(view.el)).flatMap(within),
    );
  }

  // What each chart is made of, as Bokeh knows it, and what can be seen of it.
  function charts() {
    return figures().map((view) => {
      const models = [...view.model.references()];
      const of = (type) => models.filter((model) => model.type === type);
      return {
        title: placeOf(view).ariaLabel ?? "",
        axes: models.filter((model) => model.type.endsWith("Axis")).map((axis) => axis.axis_label),
        written: wordsOn(view),
        legend: of("Legend").flatMap((legend) => legend.items.map((item) => item.label.value)),
        clicks: of("Legend").map((legend) => legend.click_policy),
        tooltips: of("HoverTool").flatMap((tool) => tool.tooltips ?? []).length,
        pointed: of("HoverTool").map((tool) => tool.renderers.length ?? 0),
        colours: colours(view),
      };
    });
  }

  const placeOf = (view) => [...ancestors(view.el)].find((one) => one.matches(".chart"));
  const canvasesOf = (view) =>
    [...elements(view.el.shadowRoot)].filter((one) => one.tagName === "CANVAS");
  const wordsOn = (view) =>
    canvasesOf(view).flatMap((canvas) => (written.get(canvas) ?? []).map(({ text }) => text));

  // How many colours the largest canvas of a chart has: an empty one has none.
  function colours(view) {
    const [canvas] = canvasesOf(view).sort((a, b) => b.width * b.height - a.width * a.height);
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const found = new Set();
    for (let at = 0; at < data.length && found.size < 50; at += 4) {
      if (data[at + 3] === 255) found.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
    }
    return found.size;
  }

  // Whether what each entry of a chart's legend names is shown.
  const visible = (chart) => {
    const models = [...figures()[chart].model.references()];
    const items = models.filter((one) => one.type === "Legend").flatMap((legend) => legend.items);
    return items.map((item) => item.renderers.map((renderer) => renderer.visible));
  };

  // Where in the window a mark is that the pointer is told of, one for each thing that has some.
  function marks(chart) {
    const view = figures()[chart];
    view.el.scrollIntoView({ block: "center", behavior: "instant" });
    const at = view.el.getBoundingClientRect();
    const tools = [...view.model.references()].filter((one) => one.type === "HoverTool");
    const places = tools.flatMap((tool) => tool.renderers).flatMap((renderer) => {
      const { glyph } = view.views.find_one(renderer);
      const some = [...Array(glyph.data_size ?? 0).keys()].map((n) => glyph.scenterxy(n, [0, 0]));
      const drawn = some.filter(([x, y]) => Number.isFinite(x + y));
      return drawn.slice(drawn.length >> 1, (drawn.length >> 1) + 1);
    });
    return places.map(([x, y]) => [at.left + x, at.top + y]);
  }

  // What stands beside the pointer.
  const told = () =>
    texts()
      .filter(({ element }) => [...ancestors(element)].some((one) => one.matches(".bk-Tooltip")))
      .map(({ text }) => text);

  // The entries of a chart's legend, as elements.
  const entries = (chart) =>
    [...elements(figures()[chart].el.shadowRoot)].filter((one) => one.matches(".bk-item"));

  // What has the focus, in a shadow tree too.
  function focused() {
    let one = document.activeElement;
    while (one?.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
    return one;
  }

  // Keys ---------------------------------------------------------------------------------------------

  // Each thing that is to be worked has a number, so that a stop can be told from others.
  const numbers = new Map();
  const number = (element) => {
    if (!numbers.has(element)) numbers.set(element, numbers.size);
    return `${numbers.get(element)} ${named(element)}: ${element.textContent.trim().slice(0, 40)}`;
  };

  const WORKED = "a[href], button, summary, input, select, textarea, [tabindex='0'], .bk-item";

  // All that a reader may want to work and that is there to be seen, first to last.
  const workable = () =>
    [...elements()]
      .filter((one) => one.matches(WORKED) && shown(one) && !one.disabled)
      .filter((one) => getComputedStyle(one).pointerEvents !== "none")
      .map(number);

  // Where the focus is, and what is wrong with how that is shown.
  function stop() {
    const one = focused();
    if (!one || one === document.body) return ["", ""];
    if (!one.textContent.trim() && !one.ariaLabel) return [number(one), `no name: ${number(one)}`];
    const style = getComputedStyle(one);
    const box = one.getBoundingClientRect();
    const seen = overlap(box, { left: 0, top: 0, right: innerWidth, bottom: innerHeight });
    if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1) {
      return [number(one), `no outline: ${number(one)}`];
    }
    if (empty(seen)) return [number(one), `out of sight: ${number(one)} (${rounded(box)})`];
    const [x, y] = [(seen.left + seen.right) / 2, (seen.top + seen.bottom) / 2];
    const [top] = document.elementsFromPoint(x, y);
    const host = [one, ...ancestors(one)].includes(top) || one.contains(top);
    return [number(one), host ? "" : `under ${named(top)}: ${number(one)}`];
  }

  // What scrolls and cannot have the focus, or has no name.
  const unreachable = () =>
    [...elements()]
      .filter((one) => {
        const { overflowX, overflowY } = getComputedStyle(one);
        const scrolls = (way) => way === "auto" || way === "scroll";
        return shown(one) && (
          (scrolls(overflowX) && one.scrollWidth > one.clientWidth) ||
          (scrolls(overflowY) && one.scrollHeight > one.clientHeight)
        );
      })
      .filter((one) => !(one.tabIndex >= 0 && one.ariaLabel) && !one.querySelector(WORKED))
      .map(named);

  return { charts, cut, entries, focused, marks, overlapping, sideways, stop, told, unreachable, visible, workable };
})();

"use strict";
// The charts: drawn when they are about to be seen, coloured as the page is, worked by keyboard.
(() => {
  const COLOURS = {
    light: { ink: "#1b1f24", paper: "#ffffff", soft: "#57606a", rule: "#dfe3e8" },
    dark: { ink: "#e4e7eb", paper: "#14171b", soft: "#a2abb5", rule: "#2e343b" },
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const places = [...document.querySelectorAll(".chart")];
  const begun = new Map(); // place -> the promise of its chart
  const views = [];

  Bokeh.set_log_level("warn");
  const scheme = () => (dark.matches ? "dark" : "light");

  function colourAll() {
    document.documentElement.dataset.charts = scheme();
    views.forEach(colour);
  }

  // Charts are drawn on the page's own ground, so their ink follows the page's.
  function colour(view) {
    const { ink, paper, soft, rule } = COLOURS[scheme()];
    for (const model of view.model.references()) {
      const has = (name) => name in model.properties;
      if (model.tags.includes("ink")) {
        const drawn = model.glyph ?? model;
        if ("text_color" in drawn.properties) {
          drawn.text_color = ink;
          drawn.background_fill_color = paper;
        } else {
          drawn.line_color = ink;
        }
      }
      if (has("axis_label_text_color")) {
        model.axis_label_text_color = soft;
        model.major_label_text_color = ink;
      }
      if (has("grid_line_color") && model.grid_line_color !== null) model.grid_line_color = rule;
      if (has("label_text_color")) model.label_text_color = ink;
    }
  }

  // A legend wider than its chart goes into columns; beside the longest bar its figure has room.
  // Both are a matter of the width between the axes, which Bokeh knows once it has drawn.
  function fit(view) {
    const width = Math.max(view.model.inner_width, 100);
    for (const model of view.model.references()) {
      if (model.tags[0] === "room") model.end = (model.tags[1] * width) / (width - 74);
      if (model.type !== "Legend") continue;
      const columns = columnsOf(model, width);
      if (model.ncols !== columns) {
        model.ncols = columns;
        view.invalidate_layout();
      }
    }
  }

  // How many entries of a legend there is room for side by side; "auto" for all of them.
  function columnsOf(legend, width) {
    const said = legend.items.map((item) => item.get_labels_list_from_label_prop()[0]);
    const rooms = said.map((label) => 42 + 6.3 * label.length);
    if (rooms.reduce((a, b) => a + b, 0) <= width) return "auto";
    return Math.max(1, Math.floor(width / Math.max(...rooms)));
  }

  // Bokeh's legend listens to the pointer alone, and is made anew with every change: its entries
  // become buttons that keys press, and the one that had the focus has it again.
  function keyed(view) {
    view.canvas_view.events_el.tabIndex = -1; // it listens to keys, and no tool here does
    for (const model of view.model.references()) {
      if (model.type !== "Legend") continue;
      const legend = view.views.find_one(model);
      let pressed = -1; // by a key; it is given the focus however often the legend is made anew
      const mark = () => {
        legend.entries.forEach(({ el, item }, n) => {
          el.tabIndex = 0;
          el.setAttribute("role", "button");
          el.setAttribute("aria-pressed", item.renderers.every((drawn) => drawn.visible));
          el.addEventListener("focus", () => { if (n !== pressed) pressed = -1; });
          el.addEventListener("keydown", (event) => {
            if (event.key === "Tab") pressed = -1;
            if (event.key !== "Enter" && event.key !== " ") return;
            event.preventDefault();
            pressed = n;
            for (const drawn of item.renderers) drawn.visible = !drawn.visible;
          });
        });
        if (pressed >= 0) legend.entries[pressed].el.focus();
      };
      new MutationObserver(mark).observe(legend.grid_el, { childList: true });
      mark();
    }
  }

  function draw(place) {
    if (!begun.has(place)) begun.set(place, drawn(place));
    return begun.get(place);
  }

  // The charts of a column of them; nothing of what Bokeh adds of its own.
  const figures = (view) =>
    view.model.type === "Figure" ? [view] : (view.child_views ?? []).flatMap(figures);

  async function drawn(place) {
    const item = JSON.parse(await report.unpacked(place.querySelector("script").textContent));
    const manager = await Bokeh.embed.embed_item(item, place);
    for (const view of [...manager.roots].flatMap(figures)) {
      views.push(view);
      colour(view);
      fit(view);
      keyed(view);
      setTimeout(() => fit(view), 100);
    }
    place.dataset.drawn = "";
  }

  // Those near the window first, the others while nothing else is to be done.
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "800px" });

  async function drawRest() {
    const soon = self.requestIdleCallback ?? ((then) => setTimeout(then, 50));
    for (const place of places) {
      await new Promise((then) => soon(then));
      await draw(place);
    }
  }

  // Paper is white and does not wait for charts to be drawn anew: page.css turns dark ones round.
  let printing = false;
  addEventListener("beforeprint", () => {
    printing = true;
    places.forEach(draw);
  });
  addEventListener("afterprint", () => {
    printing = false;
    colourAll();
  });
  dark.addEventListener("change", () => { if (!printing) colourAll(); });

  let resized;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(() => views.forEach(fit), 200);
  });

  document.documentElement.dataset.charts = scheme();
  places.forEach((place) => near.observe(place));
  drawRest();
})();

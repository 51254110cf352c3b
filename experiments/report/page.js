"use strict";
(() => {
  const COLOURS = {
    light: { ink: "#1b1f24", paper: "#ffffff", soft: "#57606a", rule: "#dfe3e8" },
    dark: { ink: "#e4e7eb", paper: "#14171b", soft: "#a2abb5", rule: "#2e343b" },
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const views = [];

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
    const columns = width < 220 ? 1 : width < 480 ? 2 : "auto";
    for (const model of view.model.references()) {
      if (model.tags[0] === "room") model.end = (model.tags[1] * width) / (width - 74);
      if (model.type === "Legend" && model.ncols !== columns) {
        model.ncols = columns;
        view.invalidate_layout();
      }
    }
  }

  async function draw() {
    document.documentElement.dataset.charts = scheme();
    for (const place of document.querySelectorAll(".chart")) {
      const item = JSON.parse(place.querySelector("script").textContent);
      const manager = await Bokeh.embed.embed_item(item, place);
      for (const view of manager.roots) {
        if (view.model.type !== "Figure") continue; // what Bokeh adds of its own
        views.push(view);
        colour(view);
        fit(view);
        setTimeout(() => fit(view), 100);
      }
    }
    document.documentElement.dataset.drawn = views.length;
  }

  // Paper is white and does not wait for charts to be drawn anew: page.css turns dark ones round.
  let printing = false;
  addEventListener("beforeprint", () => { printing = true; });
  addEventListener("afterprint", () => { printing = false; colourAll(); });
  dark.addEventListener("change", () => { if (!printing) colourAll(); });

  let resized;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(() => views.forEach(fit), 200);
  });
  draw();
})();

"use strict";
(() => {
  const COLOURS = {
    light: { ink: "#1b1f24", paper: "#ffffff", soft: "#57606a", rule: "#dfe3e8" },
    dark: { ink: "#e4e7eb", paper: "#14171b", soft: "#a2abb5", rule: "#2e343b" },
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const views = [];
  let printing = false;

  // Charts are drawn on the page's own ground, so their ink follows the page's.
  function colour(view) {
    const { ink, paper, soft, rule } = COLOURS[dark.matches && !printing ? "dark" : "light"];
    for (const model of view.model.references()) {
      const has = (name) => name in model.properties;
      if (model.tags.includes("ink")) {
        if (has("line_color")) model.line_color = ink;
        if (has("glyph")) {
          for (const glyph of [model.glyph, model.nonselection_glyph, model.muted_glyph]) {
            if (!glyph?.properties) continue; // "auto"
            if ("text_color" in glyph.properties) {
              glyph.text_color = ink;
              glyph.background_fill_color = paper;
            } else if ("line_color" in glyph.properties) {
              glyph.line_color = ink;
            }
          }
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

  // A legend that is wider than its chart goes into columns; beside a bar there is room for its figure.
  function fit(view) {
    const width = view.el.clientWidth;
    for (const model of view.model.references()) {
      if (model.type === "Legend") model.ncols = width < 560 ? 2 : "auto";
      if (model.tags[0] === "room") {
        const frame = Math.max(view.frame.bbox.width, 160);
        model.end = (model.tags[1] * frame) / (frame - 74);
      }
    }
  }

  async function draw() {
    for (const place of document.querySelectorAll(".chart")) {
      const item = JSON.parse(place.querySelector("script").textContent);
      const manager = await Bokeh.embed.embed_item(item, place);
      for (const view of manager.roots) {
        views.push(view);
        colour(view);
        fit(view);
      }
    }
    document.documentElement.dataset.drawn = views.length;
  }

  const folded = () => document.querySelectorAll("details");
  addEventListener("beforeprint", () => {
    printing = true;
    views.forEach(colour);
    folded().forEach((each) => { each.dataset.was = each.open; each.open = true; });
  });
  addEventListener("afterprint", () => {
    printing = false;
    views.forEach(colour);
    folded().forEach((each) => { each.open = each.dataset.was === "true"; });
  });
  dark.addEventListener("change", () => views.forEach(colour));
  addEventListener("resize", () => views.forEach(fit));
  draw();
})();

"use strict";
// What is not drawn: the contents, links into what is folded, and copying.
const report = (() => {
  const wide = matchMedia("(min-width: 76rem)");

  // What only scripts read is on the page deflated, as base64.
  async function unpacked(packed) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(inflated).text();
  }

  function say(words) {
    document.getElementById("said").textContent = words;
  }

  // Contents: beside the report where there is room, else to be opened and gone with a choice.
  const contents = document.querySelector("nav details");
  if (contents) {
    const fold = () => { contents.open = wide.matches; };
    fold();
    wide.addEventListener("change", fold);
    contents.addEventListener("click", ({ target }) => {
      if (target.closest("a") && !wide.matches) contents.open = false;
    });
    contents.addEventListener("keydown", ({ key }) => {
      if (key !== "Escape" || wide.matches) return;
      contents.open = false;
      contents.querySelector("summary").focus();
    });
    const links = new Map(
      [...contents.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]),
    );
    const passed = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const link = links.get(target.id);
        if (isIntersecting) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }, { rootMargin: "-20% 0px -75% 0px" });
    for (const id of links.keys()) passed.observe(document.getElementById(id));
  }

  // A link into something folded opens it first.
  function show(id) {
    const place = id && document.getElementById(id);
    if (!place) return false;
    for (let fold = place.closest("details"); fold; fold = fold.parentElement.closest("details")) {
      fold.open = true;
    }
    place.scrollIntoView();
    return true;
  }
  const shown = () => show(decodeURIComponent(location.hash.slice(1)));
  addEventListener("hashchange", shown);
  addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link) return;
    const within = location.protocol === "about:"; // in a frame, whose address is another page's
    if (within || link.hash === location.hash) {
      event.preventDefault();
      show(decodeURIComponent(link.hash.slice(1)));
    }
  });
  shown();

  // On paper nothing can be opened: what stands behind a chart is shown.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("figure details:not([open])")];
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
  });

  // Copying: where the clipboard is not allowed, as a text that is ready to be copied.
  addEventListener("click", async ({ target }) => {
    const button = target.closest?.("button.copy");
    if (!button) return;
    const text = await unpacked(button.parentElement.querySelector("script").textContent);
    try {
      await navigator.clipboard.writeText(text);
      tell(button);
    } catch {
      offer(button, text);
    }
  });

  function tell(button) {
    button.classList.add("copied");
    say("Copied.");
    setTimeout(() => {
      button.classList.remove("copied");
      say("");
    }, 2500);
  }

  function offer(button, text) {
    const tools = button.parentElement;
    let area = tools.querySelector("textarea");
    if (!area) {
      area = document.createElement("textarea");
      area.readOnly = true;
      area.rows = 6;
      area.setAttribute("aria-label", "The figures as CSV, selected to be copied");
      tools.append(area);
    }
    area.value = text;
    area.focus();
    area.select();
    say("The clipboard is not allowed here. The text is selected: copy it.");
  }

  return { unpacked };
})();

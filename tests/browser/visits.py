"""One visit to a page: it is opened from its file, as a reader does, and watched all the while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDE = 1280
PHONE = 360
PAPER = 718  # A4 between the margins that a browser leaves
HERE = ("data:", "blob:", "about:")
WITNESS = Path(__file__).with_name("witness.js")


@contextmanager
def visited(
    browser: Browser,
    path: Path,
    *,
    width: int = WIDE,
    scheme: str = "light",
    media: str = "screen",
    **how: Any,
) -> Iterator[Page]:
    """The page with all its charts drawn; at the end, it must have done nothing that it must not.

    It may write no error or warning to the console, raise none, and ask for nothing but itself.
    `how` is handed to the browser's context.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",  # what is scrolled to is there at once
        **how,
    )
    context.set_default_timeout(60_000)
    context.add_init_script(path=WITNESS)
    address = path.as_uri()
    faults: list[str] = []
    page = context.new_page()
    page.on("console", lambda said: faults.extend(_heard(said.type, said.text)))
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("request", lambda asked: faults.extend(_asked(asked.url, address)))
    try:
        page.goto(address)
        draw_all(page)
        if media != "screen":
            printed(page, media)
        yield page
    finally:
        context.close()
    assert not faults, "\n".join(faults)


def _heard(kind: str, text: str) -> list[str]:
    return [f"console {kind}: {text}"] if kind in ("error", "warning", "assert") else []


def _asked(url: str, address: str) -> list[str]:
    own = url.partition("#")[0] == address or url.startswith(HERE)
    return [] if own else [f"request: {url}"]


def draw_all(page: Page) -> None:
    """Wait until each chart is drawn; come by it first, as some are drawn only when seen."""
    page.evaluate(
        """async () => {
          const pause = () => new Promise((done) => setTimeout(done, 20));
          for (const place of document.querySelectorAll(".chart")) {
            place.scrollIntoView({ behavior: "instant" });
            while (place.dataset.drawn === undefined) await pause();
          }
          for (let n = 0; n < 10; n += 1) await pause(); // they are fitted once they are there
          while (self.Bokeh && !Bokeh.documents.every((one) => one.is_idle)) await pause();
          scrollTo({ top: 0, behavior: "instant" });
        }"""
    )


def printed(page: Page, media: str) -> None:
    """Have the page as it is printed; the events are those that a browser sends before it does."""
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media=media)
    page.evaluate("new Promise((done) => setTimeout(done, 300))")


def in_time(page: Page, asked: str, argument: object = None) -> Any:
    """What a question is answered once the answer is not empty or false; that, after a second."""
    return page.evaluate(
        f"""async (argument) => {{
          const end = performance.now() + 1000;
          for (;;) {{
            const answer = ({asked})(argument);
            if (answer || performance.now() > end) return answer;
            await new Promise((done) => setTimeout(done, 20));
          }}
        }}""",
        argument,
    )


def violations(page: Page, *rules: str) -> list[str]:
    """What axe-core finds against a page, by all its rules or by some."""
    from axe_playwright_python.sync_playwright import Axe

    asked: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        asked["runOnly"] = list(rules)
    return [
        f"{found['id']}, {found['help']}: {node['target']}: {node['html'][:160]}"
        for found in Axe().run(page, options=asked).response["violations"]
        for node in found["nodes"]
    ]

"""Pages in a real browser: headless Chromium, and pages that are watched for what they must not do.

Where Playwright or a browser is missing each test is skipped and says what to install. Where
REQUIRE_BROWSER is set, as in .ci/run, it fails. CHROMIUM names a browser that is not on PATH.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import made_up
import pytest
import visits

from experiments.report import write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

REFERENCE = Path(__file__).parents[2] / "reports" / "reference" / "records.jsonl"
ARGUMENTS = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
INSTALL = "install Chromium (apt-get install chromium, playwright install chromium), or name one"

Visit = Callable[..., AbstractContextManager["Page"]]


def absent(why: str) -> NoReturn:
    """Skip, or fail where the tests were asked for."""
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def chromium(playwright: Playwright) -> str | None:
    """The path of a browser: the one that is named, one on PATH, or Playwright's own."""
    if named := os.environ.get("CHROMIUM"):
        return named
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), playwright.chromium.executable_path)
    return found if Path(found).exists() else None


# Of the folder and not of the session: while it runs, Playwright's event loop does in this thread,
# and the tests that start one of their own could not.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium without a window, started once."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("browser tests need Playwright: tox run -e browser has it")
    with sync_playwright() as playwright:
        path = chromium(playwright)
        if path is None:
            absent(f"no browser was found: {INSTALL} in CHROMIUM")
        # Chromium refuses its sandbox to root; these pages are the project's own.
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        running = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *root])
        yield running
        running.close()


@pytest.fixture(scope="package")
def visit(browser: Browser) -> Visit:
    """Open a page from its file, as `visits.visited` says."""

    def visit(path: Path, **how: object) -> AbstractContextManager[Page]:
        return visits.visited(browser, path, **how)

    return visit


@pytest.fixture(scope="package", autouse=True)
def first(browser: Browser) -> None:
    """Without a browser nothing is built for it."""


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the run that nobody ran, with failures in it."""
    records = [*made_up.run(), *made_up.sweep(), *made_up.failures()]
    return visits.built(tmp_path_factory.mktemp("small"), records)


@pytest.fixture(scope="package")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the reference run, from the records that are committed."""
    folder = tmp_path_factory.mktemp("reference")
    shutil.copy(REFERENCE, folder)
    return write(folder)


@pytest.fixture(scope="package")
def small_page(visit: Visit, small: Path) -> Iterator[Page]:
    """The small report, open for tests that leave it as they found it."""
    with visit(small) as page:
        yield page


@pytest.fixture(scope="package")
def reference_page(visit: Visit, reference: Path) -> Iterator[Page]:
    """The report of the reference run, open for tests that leave it as they found it."""
    with visit(reference) as page:
        yield page

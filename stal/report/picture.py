"""A picture of a report, as a browser shows it."""

import io
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stal.errors import ConfigError, DataNotFoundError
from stal.report.choice import Kind
from stal.visualize.files import write_small_png

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""Names of the programs that a browser is looked for by."""

_WIDTH, _HEIGHT = 1280, 900
_FILTER = """(kind) => {
    const choice = document.querySelector("#clip-filters [name=kind]");
    choice.value = kind;
    choice.dispatchEvent(new Event("input", { bubbles: true }));
    choice.scrollIntoView();
}"""
# Clips are loaded when they come into view.
_IN_VIEW = "[...document.querySelectorAll('.clip')].filter((card) => card.getClientRects()[0]?.top < innerHeight)"
_LOADED = f"() => {_IN_VIEW}.every((card) => card.dataset.frame)"
_SHOW_IN_SPACE = f"() => {_IN_VIEW}.forEach((card) => card.querySelector('.turn').click())"
_PATIENCE_SECONDS = 60.0


def draw_report_picture(page: Path, path: Path, *, kind: Kind = "scene-reliant") -> Path:
    """Draw the clips of one kind as the page of a report shows them, also in space and time, and return the picture.

    Args:
        page: the `index.html` that `make_report` wrote.
        path: of the PNG.
        kind: which clips.

    Raises:
        DataNotFoundError: there is no such page.
        ConfigError: Playwright or a browser is not installed.
    """
    if not page.is_file():
        raise DataNotFoundError(f"{page} is not there: make it with tools/report.py, or name another report")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise ConfigError(f"none of {', '.join(BROWSERS)} is installed, which draw the picture: install one")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ConfigError("Playwright, which draws the picture, is not installed: pip install 'stal[dev]'") from error
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])  # of our own page alone
        write_small_png(path, look_at_clips(browser, page, kind))
        browser.close()
    return path


def look_at_clips(browser: Any, page: Path, kind: Kind) -> UInt8[np.ndarray, "H W 3"]:
    """Return what a browser of Playwright shows of the clips of one kind in the page of a report."""
    tab = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
    tab.goto(page.resolve().as_uri())
    tab.evaluate(_FILTER, kind)
    _wait(tab, _LOADED)
    tab.evaluate(_SHOW_IN_SPACE)
    tab.wait_for_timeout(2000)  # until it is drawn
    picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    tab.close()
    return np.asarray(picture)


def _wait(tab: Any, expression: str) -> None:
    """Wait until an expression is true; Playwright's own way would need a page that evaluates texts."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not tab.evaluate(expression):
        if time.monotonic() > end:
            raise ConfigError(
                f"the page does not load its clips in {_PATIENCE_SECONDS:.0f} s; does it open in a browser?"
            )
        tab.wait_for_timeout(50)

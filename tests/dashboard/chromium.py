"""Chromium, driven by Playwright: a page as a person has it, and what axe-core finds wrong in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

__all__ = ["SCHEMES", "WIDTHS", "Chromium", "chromium_or_skip", "look", "violations"]

WIDTHS: Final = (1280, 390)
SCHEMES: Final = ("light", "dark")
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SHOTS: Final = os.environ.get("SCREENSHOTS")
"""A directory: each page that is looked at is kept there as a picture."""


class Chromium:
    """A running browser. Each page is opened in a context of its own; what it complains of is an error."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @contextmanager
    def page(self, *, width: int = 1280, scheme: str = "light", scripts: bool = True) -> Iterator[Any]:
        """A page. On leaving it is checked that nothing was complained of, no dialog was opened, and nothing was
        asked of another host."""
        context = self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        complaints: list[str] = []
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: complaints.append(request.url) if not _is_near(request.url) else None)
        try:
            yield page
        finally:
            context.close()
        assert complaints == []

    def version(self) -> str:
        """Its version."""
        return str(self._browser.version)


def _is_near(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "http://localhost:", "file://", "data:"))


@contextmanager
def chromium_or_skip() -> Iterator[Chromium]:
    """The machine's Chromium. Skips the test, with a word, where there is none or nothing that drives it."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine (on Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield Chromium(browser)
        finally:
            browser.close()


def violations(page: Any) -> list[str]:
    """What axe-core finds wrong, each with the first elements that it is wrong of."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-core is not installed")
    page.evaluate(axe.AXE_SCRIPT)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {each['help']}: {[node['target'] for node in each['nodes'][:4]]}"
        for each in found["violations"]
    ]


def look(page: Any, name: str) -> None:
    """Keep a picture of the whole page, where pictures are wanted; none is wider than the window."""
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)

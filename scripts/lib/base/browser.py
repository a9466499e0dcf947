"""A headless Chromium of this machine, driven through Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from scripts.lib.base.cli import UserError

# Chromium's own calls home, which are no part of the page, are off. It runs as root in CI, where
# its sandbox does not start; it only ever opens pages of this project.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def chromium() -> str | None:
    """Path of the Chromium or Chrome of this machine, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return None


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Runs the browser for the block. Raises UserError where there is none."""
    path = chromium()
    if path is None:
        raise UserError("no Chromium here: install it, on Debian by apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()

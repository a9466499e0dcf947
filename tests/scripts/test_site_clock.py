"""How old the pages of the insights site say they are, by the clock of whoever looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from scripts.lib.base.browser import chromium
from scripts.lib.site.state import State, tell_failure, write_state
from tests.support.browsing import build_site
from tests.support.warehouse import AS_OF, Warehouse

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium"),
]
BUILT_AT = datetime.fromisoformat(AS_OF)


@pytest.fixture(scope="module")
def warehouse(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """A new installation on its first day: one user, one event of each kind that charts need."""
    with create_warehouse() as warehouse:
        at = "2026-10-31T12:00:00Z"
        activities: dict[str, dict[str, object]] = {
            "page_viewed": {"path": "/"},
            "application_submitted": {},
            "task_scheduled": {"taskType": "Call", "taskId": "1"},
            "credit_score_updated": {"ficoScore": 700},
        }
        warehouse.land(
            *(
                {"eventType": kind, "eventId": kind, "userId": 1, "occurredAt": at}
                | {"activity": activity}
                for kind, activity in activities.items()
            )
        )
        warehouse.run(reports=True)
        yield warehouse


@pytest.fixture(scope="module")
def folder(warehouse: Warehouse) -> Path:
    """The site of these marts, without the documentation."""
    output = warehouse.project.parent / "site"
    build_site(warehouse, output, "--no-docs")
    return output


def looked_at(browser: Browser, file: Path, after: timedelta) -> Page:
    """A page, opened so long after the build of its data."""
    page = browser.new_page()
    page.clock.install(time=BUILT_AT + after)
    page.goto(file.as_uri())
    return page


@pytest.mark.parametrize("file", ["index.html", "health.html"])
def test_dead_pipeline_looks_dead(browser: Browser, folder: Path, file: str) -> None:
    page = looked_at(browser, folder / file, timedelta())
    expect(page.locator("#fresh")).to_contain_text("less than a minute ago")
    expect(page.locator("#stale")).to_be_hidden()
    page.clock.fast_forward(timedelta(hours=2) // timedelta(milliseconds=1))
    expect(page.locator("#fresh")).to_contain_text("2 hours ago")
    expect(page.locator("#stale")).to_contain_text("These data are 2 hours old")
    page.close()
    page = looked_at(browser, folder / file, timedelta(days=5))
    expect(page.locator("#stale")).to_contain_text("These data are 5 days old")
    page.close()


def test_page_says_that_it_could_not_be_built_again(browser: Browser, folder: Path) -> None:
    state = folder / "assets" / "state.js"
    before = state.read_bytes()
    try:
        tell_failure(folder)
        page = looked_at(browser, folder / "tasks.html", timedelta())
        expect(page.locator("#stale")).to_contain_text("could not be built again")
        page.close()
        now = BUILT_AT
        write_state(folder, State(built_at=now, data_up_to=now, max_age=3600, every=60))
        page = looked_at(browser, folder / "tasks.html", timedelta(minutes=10))
        expect(page.locator("#stale")).to_contain_text("does not answer")
        page.close()
    finally:
        state.write_bytes(before)


def test_first_day_is_drawn(browser: Browser, folder: Path) -> None:
    """Each chart that has numbers has a mark that can be seen."""
    for file, charts in {
        "conversion.html": ["funnel", "cohorts"],
        "tasks.html": ["flow", "backlog"],
        "credit.html": ["distribution"],
    }.items():
        page = browser.new_page()
        page.goto((folder / file).as_uri())
        page.wait_for_selector("body[data-ready]")
        for chart in charts:
            marks = page.locator(f"#{chart} .plot svg .mark-rect path, #{chart} .mark-symbol path")
            boxes = [mark.bounding_box() for mark in marks.all()]
            assert any(box and box["width"] > 2 and box["height"] > 2 for box in boxes), chart
        page.close()

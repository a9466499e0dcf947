"""The insights site at its ends: a dead pipeline, a first day, three years of sixty funnels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from scripts.lib.base.browser import chromium
from scripts.lib.site.state import State, tell_failure, write_state
from tests.support.browsing import build_site
from tests.support.reporting import printed
from tests.support.warehouse import AS_OF, Warehouse

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium"),
]
BUILT_AT = datetime.fromisoformat(AS_OF)
# The labels of the axes of all charts.
LABELS = """
    [...document.querySelectorAll(".plot .role-axis-label")].map(
        axis => [...axis.querySelectorAll("text")].filter(text => text.style.opacity !== "0")
            .map(text => text.textContent))
"""
# A chart of retention, of counts or of shares with a highest value, in a plot of its own.
DRAW = """
    async ([kind, most]) => {
        const plot = Object.assign(document.createElement("div"), { className: "plot drawn" });
        document.querySelectorAll(".drawn").forEach(each => each.remove());
        document.querySelector(".card").append(plot);
        const rows = kind === "weeks" ? null : [0, most].map(y => ({ x: String(y), y }));
        const axis = kind === "counts" ? countAxis("y") : rateAxis;
        const age = (weeks) => [{ day: 0, users_active: Array(weeks + 1).fill(9) }];
        const result = rows === null
            ? curves([["old", age(most)], ["new", age(0)]], [], "")
            : { rows, spec: { mark: "line", encoding: {
                x: { field: "x", type: "nominal", axis: null },
                y: { field: "y", type: "quantitative", axis } } } };
        await vegaEmbed(plot, complete(result, {}), EMBED);
        return [".role-axis-label text", ".role-legend-label text"].map(
            path => [...plot.querySelectorAll(path)].map(text => text.textContent));
    }
"""


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
            "payment_made": {},
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


@pytest.mark.parametrize("file", ["index", "conversion", "traffic", "retention", "tasks", "credit"])
def test_first_day_is_said_as_it_is(browser: Browser, folder: Path, file: str) -> None:
    """Its day once, no label of an axis twice, whole things by whole numbers."""
    page = browser.new_page()
    page.goto((folder / f"{file}.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    assert re.match(r"\d+ Oct 2026, by day\b", page.locator("#shown").inner_text())
    for labels in page.evaluate(LABELS):
        assert len(labels) == len(set(labels))
        assert not [label for label in labels if re.search(r"\d(m|\.\d+)$", label)]
    page.close()


def test_report_says_the_first_day_once(warehouse: Warehouse) -> None:
    assert re.match(r"5 events of 1 user, 2026-10-\d\d\n", printed(warehouse))


def test_notes_of_tiles_are_about_what_is_there(browser: Browser, folder: Path) -> None:
    page = browser.new_page()
    page.goto((folder / "index.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    expect(page.locator("#punctual-note")).to_have_text("1 of 1 due (95 % interval 21 to 100 %)")
    page.goto((folder / "conversion.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    expect(page.locator("#time")).to_have_text("\N{EN DASH}")
    expect(page.locator("#time-note")).to_have_text("none converted, in all segments")
    page.close()


def test_axes_of_few_have_each_label_once(browser: Browser, folder: Path) -> None:
    page = browser.new_page()
    page.goto((folder / "retention.html").as_uri())
    page.wait_for_selector("body[data-ready]")
    for weeks in (*range(1, 30), 104):
        [labels, legend] = page.evaluate(DRAW, ["weeks", weeks])
        whole = [label for label in labels if "%" not in label]
        assert whole
        assert len(whole) == len(set(whole))
        assert all(map(str.isdecimal, whole)), whole
        assert legend == ["\u2068old\u2069"]  # the other one has no line yet
    for most in (*range(1, 40), 999, 1000, 1500, 123_456):
        [labels, _] = page.evaluate(DRAW, ["counts", most])
        assert len(labels) == len(set(labels)), most
        assert not [label for label in labels if label.endswith("m")], labels
        assert most > 39 or all(map(str.isdecimal, labels)), labels
    for percent in (0.02, 0.3, 1, 1.5, 2, 4, 7, 33, 100):
        [labels, _] = page.evaluate(DRAW, ["shares", percent / 100])
        assert len(labels) == len(set(labels)), percent
    page.close()


def test_sixty_funnels_over_three_years_open_at_once(
    browser: Browser, warehouse: Warehouse, tmp_path: Path
) -> None:
    """In three seconds of one core, and with a megabyte of their own at most."""
    warehouse.execute(
        "update intermediate.int_events set occurred_on = date '2023-11-01'"
        " where event_type = 'page_viewed'"
    )
    warehouse.execute(
        """
        insert into marts.conversion_funnel_daily (
            funnel_day_key, funnel, step_order, step, cohort_on, segment, segment_value, entered,
            reached_previous, reached, users_entered, users_reached, overall_rate
        )
        select row_number() over (), 'funnel ' || funnel, step, 'step ' || step, cohort_on, segment,
            value, 30, 30, 30 / step, 30, 30 / step, 1.0 / step
        from generate_series(1, 60) as funnels (funnel),
            generate_series(date '2023-11-01', date '2026-10-30', '3 days') as days (cohort_on),
            (values ('all', 'all'), ('device', 'mobile'), ('device', 'desktop'), ('band', 'good'),
                ('band', 'poor'), ('source', 'web')) as segments (segment, value),
            generate_series(1, 2) as steps (step)
        """
    )
    warehouse.execute(
        """
        insert into marts.retention_weekly (
            retention_key, cohort_week, weeks_since, active_week, cohort_users, users_active,
            retention_rate, is_complete
        )
        select week || '/' || since, date '2023-10-30' + 7 * week, since,
            date '2023-10-30' + 7 * (week + since), 30, 30 / (since + 1), 1.0 / (since + 1), true
        from generate_series(0, 155) as weeks (week), generate_series(0, 155 - week) as ages (since)
        """
    )
    build_site(warehouse, tmp_path, "--no-docs", "--days", "1200")
    pages = {"index": "overview"} | {name: name for name in ("conversion", "credit", "retention")}
    for name, part in pages.items():
        page = browser.new_page()
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(f"{(tmp_path / name).as_uri()}.html#period=all")
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        metrics = session.send("Performance.getMetrics")["metrics"]
        [seconds] = [metric["value"] for metric in metrics if metric["name"] == "TaskDuration"]
        parts = [file.stat().st_size for file in tmp_path.glob(f"data/{part}-*.js")]
        size = (tmp_path / f"{name}.html").stat().st_size + max(parts, default=0)
        assert (seconds < 3, size < 1_000_000) == (True, True), (name, seconds, size)
        if name == "index":
            assert page.locator("#funnels tbody tr").count() >= 60
        page.close()

"""The pages of the insights site in a browser: for everybody, on paper, and of failed builds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from scripts.lib.base.browser import chromium
from scripts.lib.site import definitions
from scripts.lib.site.build import FILES, MAX_PAGE_BYTES
from tests.support.browsing import (
    build_site,
    copy_empty,
    opened,
    send_stream,
    serious_faults,
    table,
)
from tests.support.warehouse import Warehouse

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium: apt-get install chromium"),
]


DOCS_MILLISECONDS = 30_000  # that the page of the docs may take on a machine that is busy
NOTHING = "\N{EN DASH}"


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(part * share for part, share in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@pytest.fixture(scope="module")
def warehouse(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """Marts of a generated stream, with one task whose type is an attack on the page."""
    with create_warehouse() as warehouse:
        send_stream(warehouse.database_url)
        warehouse.build()
        # One column as if the builds before had not known it.
        warehouse.execute(
            "update staging.mart_columns set since_build_id = 0 where column_name <> 'email_hash'"
        )
        yield warehouse


@pytest.mark.parametrize("file", [*FILES.values(), definitions.FILE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_serious_accessibility_fault(
    browser: Browser, folder: Path, file: str, scheme: str
) -> None:
    with opened(browser, folder / file, color_scheme=scheme) as page:
        for summary in page.locator("summary").all():
            summary.click()
        plots = page.locator(".plot:not(:has(.none))")
        assert page.locator(".plot svg").count() == plots.count()
        assert page.locator(".spark svg").count() == page.locator(".spark").count()
        assert serious_faults(page) == []


@pytest.mark.parametrize("file", [*FILES.values(), definitions.FILE])
def test_page_fits_a_phone(browser: Browser, folder: Path, file: str) -> None:
    with opened(browser, folder / file, viewport={"width": 390, "height": 844}) as page:
        for summary in page.locator("summary").all():
            summary.click()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        # Texts of a picture lie within it, and no legend is cut short.
        beyond = page.locator(".plot svg").evaluate_all(
            "pictures => pictures.flatMap(picture => {"
            " const box = picture.closest('.card').getBoundingClientRect();"
            " return [...picture.querySelectorAll('text')].filter(text => {"
            " const { left, right } = text.getBoundingClientRect();"
            " return left < box.left || right > box.right"
            " || (text.closest('.role-legend') && text.textContent.endsWith('\u2026'));"
            " }).map(text => text.textContent); })"
        )
        assert beyond == []


def test_pages_are_light(folder: Path) -> None:
    assets = sum(asset.stat().st_size for asset in (folder / "assets").iterdir())
    for page, file in FILES.items():
        parts = max((part.stat().st_size for part in folder.glob(f"data/{page}-*")), default=0)
        assert assets + (folder / file).stat().st_size + parts < MAX_PAGE_BYTES


def test_docs_open_without_a_server(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "retention.html") as page:
        page.locator("#cohorts .model a").click()
        expect(page.locator(".app-content")).to_contain_text(
            "One row per segment, value and", timeout=DOCS_MILLISECONDS
        )
        page.goto(f"{folder.as_uri()}/docs/index.html#!/overview")
        expect(page.locator(".app-content")).to_contain_text(
            "How to read them", timeout=DOCS_MILLISECONDS
        )
        page.goto("about:blank")
        page.goto(f"{folder.as_uri()}/docs/index.html#!/model/model.headwater.fct_tasks?g_v=1")
        expect(page.get_by_text("Lineage Graph")).to_be_visible(timeout=DOCS_MILLISECONDS)
    assert (folder / "docs" / "index.html").stat().st_size < 3_000_000


def test_definitions_go_from_the_number_to_the_property(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "index.html") as page:
        page.get_by_role("link", name="Definitions").click()
        metric = page.locator("#metric-conversion_rate")
        expect(metric).to_contain_text("conversions / attempts where attempt__is_complete")
        expect(metric).to_contain_text("Growth, growth@example.com")
        expect(metric).to_contain_text("success, data up to")
        expect(metric.locator("dd").last).to_have_text(re.compile(r"[1-9]\d* of \d+ passed"))
        metric.get_by_role("link", name="fct_funnel_progress").click()
        expect(page.locator("#fct_funnel_progress")).to_contain_text("One row per user")
        column = page.locator("[id='credit_profiles.current_score']")
        expect(column).to_be_hidden()
        page.evaluate("location.hash = 'credit_profiles.current_score'")
        expect(column).to_be_visible()
        expect(column).to_contain_text("raw.events.payload.activity.ficoScore")
        assert page.locator("article[id^=metric-]").count() > 15
        assert page.locator("article:not([id^=metric-])").count() > 200
        page.locator("#dim_users h2 a").click()
        expect(page.locator(".app-content")).to_contain_text("dim_users")
    assert (folder / definitions.FILE).stat().st_size < MAX_PAGE_BYTES


def test_failed_dbt_test_is_visible(
    browser: Browser, folder: Path, warehouse: Warehouse, tmp_path: Path
) -> None:
    with opened(browser, folder / "health.html") as page:
        assert page.locator("#problems").count() == 0
        [passed, of, ran] = page.locator("#tests").inner_text().split()
        assert (of, passed) == ("of", ran)
        [built, _, all_of_them] = page.locator("#models").inner_text().split()
        assert built == all_of_them
    broken = warehouse.project / "tests" / "nobody_has_a_task.sql"
    broken.write_text("select task_key from {{ ref('fct_tasks') }}")
    try:
        assert warehouse.try_dbt("test", "--select", broken.stem).returncode == 1
    finally:
        broken.unlink()
    build_site(warehouse, tmp_path, "--no-docs")
    with opened(browser, tmp_path / "health.html") as page:
        expect(page.locator("#problems")).to_contain_text("nobody_has_a_task")
        assert [row[:3] for row in table(page, "history")] == [["nobody_has_a_task", "fail", "1"]]
        expect(page.locator("#tests")).to_have_text("0 of 1")
    with opened(browser, tmp_path / "index.html") as page:
        expect(page.locator("#failed")).to_contain_text("numbers here may be wrong")


def test_failed_build_stays_visible(browser: Browser, warehouse: Warehouse, tmp_path: Path) -> None:
    """Also where its results are elsewhere, or a later command has overwritten them."""
    warehouse.execute(
        "insert into staging.builds"
        " (invocation_id, as_of, as_of_xid, finished_at, failures, is_whole)"
        " select 'failed', now(), '1', now(), 3, true"
    )
    output = tmp_path / "site"
    try:
        build_site(warehouse, output, "--no-docs", target=str(tmp_path))
    finally:
        warehouse.execute("delete from staging.builds where invocation_id = 'failed'")
    with opened(browser, output / "health.html") as page:
        expect(page.locator("#problems")).to_contain_text("3 failed or were skipped")
        assert table(page, "builds")[0][2] == "3 failed or were skipped"
        expect(page.locator("nav .badge")).to_have_text("3 failed")
    with opened(browser, output / "tasks.html") as page:
        expect(page.locator("#failed")).to_contain_text("numbers here may be wrong")


def test_health_is_that_of_the_marts(browser: Browser, folder: Path, warehouse: Warehouse) -> None:
    [(events, last)] = warehouse.query(
        "select count(*)::integer, to_char(max(received_at), 'FMDD Mon YYYY, HH24:MI')"
        " from marts.fct_events"
    )
    refused = warehouse.query(
        "select rejection_code, sum(events_rejected)::integer from marts.rejection_reasons_daily"
        " where events_rejected > 0 group by 1"
    )
    with opened(browser, folder / "health.html") as page:
        shown = [(row[1], int(row[2].replace(",", ""))) for row in table(page, "events")]
        assert sum(count for _, count in shown) == events
        counts: dict[str, int] = {}
        for _, reason, count in table(page, "rejections"):
            counts[reason] = counts.get(reason, 0) + int(count.replace(",", ""))
        assert counts == dict(refused)
        assert sum(int(row[1].replace(",", "")) for row in table(page, "freshness")) == events
        assert table(page, "freshness")[0][2] == last
        [[source, newest, *limits]] = table(page, "limits")
        assert (source, limits) == ("raw.events", ["12 hours", "48 hours"])
        assert newest.endswith(" ago")
        [(came, properties)] = warehouse.query(
            "select (select to_char(max(started_at), 'FMDD Mon YYYY') from staging.builds),"
            " (select count(*) from reports.rpt_property_changes)"
        )
        [[day, *column]] = [row for row in table(page, "schema") if row[1] == "dim_users"]
        assert column == ["dim_users", "email_hash", "added", NOTHING, "text"]
        assert day == came
        assert len(table(page, "schema")) == 1 + properties
        broken = warehouse.query(
            "select event_type || '.' || property, sum(events_missing)::text"
            " from marts.tracking_plan_violations group by 1"
        )
        assert sorted((row[0], row[1]) for row in table(page, "violations")) == sorted(broken)


def test_print_shows_whole_tables(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "health.html") as page:
        page.emulate_media(media="print")
        for region in page.locator(".scroll").all():
            assert region.evaluate("box => box.scrollHeight <= box.clientHeight")


def test_results_of_others(browser: Browser, warehouse: Warehouse, tmp_path: Path) -> None:
    results = warehouse.project / "target" / "run_results.json"
    (tmp_path / "run_results.json").write_text(
        results.read_text().replace('"invocation_id": "', '"invocation_id": "other-')
    )
    output = tmp_path / "site"
    build_site(warehouse, output, "--no-docs", target=str(tmp_path))
    with opened(browser, output / "health.html") as page:
        expect(page.locator("#tests")).to_have_text(NOTHING)


def test_no_marts(browser: Browser, database: str, tmp_path: Path, folder: Path) -> None:
    nothing = Warehouse(database, folder.parent / "dbt_project")
    said = build_site(nothing, tmp_path, "--no-docs")
    assert "run scripts/dbt build" in said
    for file in FILES.values():
        with opened(browser, tmp_path / file) as page:
            expect(page.locator(".empty")).to_contain_text("Nothing is built yet")


def test_no_events(browser: Browser, warehouse: Warehouse, tmp_path: Path) -> None:
    copy_empty(warehouse.database_url)
    empty = {"DBT_TARGET": "dev", "DBT_SCHEMA": "empty"}
    said = build_site(warehouse, tmp_path, "--no-docs", **empty)
    assert "no events yet" in said
    with opened(browser, tmp_path / "index.html") as page:
        expect(page.locator(".empty")).to_contain_text("No events yet")

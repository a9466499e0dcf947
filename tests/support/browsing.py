"""A browser on the insights site: opening pages, choosing filters, reading tables."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
from playwright.sync_api import Browser, Locator, Page

from collector.settings import ROOT
from scripts.lib.base.client import Client, encode
from scripts.lib.demo.generator import generate
from tests.support.collector import running_collector
from tests.support.warehouse import Warehouse

FUNNEL_SUM = """
    select sum(reached)::integer
    from marts.conversion_funnel_daily
    where funnel = %s and segment = %s and segment_value = %s and cohort_on between %s and %s
    group by step_order
    order by step_order
"""
LEFTS = """
    (element, name) => {
        const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
        while (walk.nextNode() && !walk.currentNode.data.includes(name));
        const left = (place) => {
            const range = document.createRange();
            range.setStart(walk.currentNode, place);
            range.setEnd(walk.currentNode, place + 1);
            return range.getBoundingClientRect().left;
        };
        const start = walk.currentNode.data.indexOf(name);
        const [first, last] = [left(start), left(start + name.length - 1)];
        return [start ? left(0) : last, first, last];
    }
"""
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
HOSTILE = "</script><script>document.title='broken'</script>"


def send_stream(database_url: str) -> None:
    """Sends a generated stream, and one task whose type is an attack on the page."""
    stream = generate(users=150, seed=5)
    task = {"taskType": HOSTILE, "taskId": "hostile"}
    hostile = [
        {"eventType": f"task_{verb}", "eventId": verb, "userId": 1, "activity": task}
        | {"occurredAt": f"2026-10-01T{hour}:00:00Z"}
        for verb, hour in (("scheduled", "08"), ("started", "09"), ("completed", "12"))
    ]
    with (
        running_collector(database_url) as collector,
        closing(Client(collector.url)) as client,
    ):
        client.send("/users", [encode(user) for user in stream.users])
        events = [encode(event) for event in stream.events + hostile]
        for start in range(0, len(events), 2000):
            client.send("/events", events[start : start + 2000])


def build_site(
    warehouse: Warehouse, output: Path, *arguments: str, target: str = "", **environment: str
) -> str:
    """Runs `scripts/site`, which has to succeed, and returns what it printed."""
    finished = subprocess.run(
        [ROOT / "scripts" / "site", "--output", output, *arguments],
        env={
            **os.environ,
            "DATABASE_URL": warehouse.database_url,
            "HEADWATER_DATA": str(warehouse.project.parent),
            "DBT_TARGET_PATH": target or str(warehouse.project / "target"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@contextmanager
def opened(
    browser: Browser,
    file: Path,
    address: str = "period=all",
    **options: Any,  # noqa: ANN401
) -> Iterator[Page]:
    """A page of all days, opened by double-click, so to say; no complaints, nothing of the network.

    `address` has its filters.
    """
    faults: list[str] = []
    context = browser.new_context(**options)
    page = context.new_page()
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.append(request.url) if is_away(request.url) else None)
    page.goto(f"{file.as_uri()}#{address}")
    page.wait_for_selector("body[data-ready], .empty")
    yield page
    context.close()
    assert faults == [], faults


def is_away(url: str) -> bool:
    """Whether a request leaves the machine."""
    return not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1"))


def choose(page: Page, name: str, value: str) -> None:
    """Sets a filter, or adds a value where it takes several, and waits until all is drawn again."""
    field = page.locator(f"#filters [name={name}]")
    if name in ("from", "to"):
        page.locator("#filters [name=period]").select_option("days")
        field.fill(value)
    elif (several := page.locator(f"#filters [data-name={name}]")).count():
        several.locator("summary").click()
        several.get_by_label(value, exact=True).check()
        several.locator("summary").press("Escape")
    else:
        field.select_option(label=value)
    page.evaluate("queue")


def table(page: Page, chart: str) -> list[list[str]]:
    """The cells of a chart's table, below its header."""
    rows: list[list[str]] = page.locator(f"#{chart} tbody").evaluate(
        "body => [...body.rows].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


def sort(page: Page, name: str, title: str) -> list[str]:
    """Sorts a table by a column, by the keyboard, and returns that column from above."""
    page.evaluate(
        "() => { window.sorted = new Promise(done =>"
        " addEventListener('sort-end', () => done(), { once: true })); }"
    )
    page.locator(f"#{name} thead").get_by_role("button", name=title, exact=True).press("Enter")
    page.evaluate("window.sorted")
    titles = page.locator(f"#{name} thead th").all_inner_texts()
    place = [text.strip() for text in titles].index(title)
    return [cells[place] for cells in table(page, name)]


def middle(mark: Locator) -> tuple[float, float]:
    """Where the middle of a mark is, from the left and from above."""
    box = mark.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def lefts(element: Locator, name: str) -> tuple[float, float, float]:
    """How far from the left a name in an element has its first and its last character; before
    them, where the text that it is in begins.
    """
    left, first, last = element.evaluate(LEFTS, name)
    return left, first, last


def reached(page: Page) -> list[int]:
    """How many attempts reached each step, by the table of the funnel."""
    return [int(row[1].replace(",", "")) for row in table(page, "funnel")]


def copy_empty(database_url: str) -> None:
    """Makes a copy of the marts without rows, and its reports, in schemas that begin `empty_`."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for layer in ("marts", "staging", "seeds"):
            connection.execute(f"create schema empty_{layer}".encode())
            names = connection.execute(
                "select table_name from information_schema.tables where table_schema = %s", [layer]
            ).fetchall()
            for (name,) in names:
                new = f"create table empty_{layer}.{name} "
                rows = f"as table seeds.{name}" if layer == "seeds" else f"(like {layer}.{name})"
                connection.execute((new + rows).encode())
        connection.execute("create schema empty_reports")
        connection.execute("set search_path to pg_catalog")
        views = "select viewname, definition from pg_views where schemaname = 'reports'"
        for name, query in connection.execute(views.encode()).fetchall():
            empty = re.sub(r"\b(marts|seeds)\.", r"empty_\1.", query)
            connection.execute(f"create view empty_reports.{name} as {empty}".encode())


def attempts(warehouse: Warehouse, funnel: str, segment: str, value: str, *days: str) -> list[int]:
    """How many attempts reached each step, by the mart."""
    first, last = days or ("2000-01-01", "2100-01-01")
    counts = warehouse.query(FUNNEL_SUM, funnel, segment, value, first, last)
    return [count for (count,) in counts]


def serious_faults(page: Page) -> list[tuple[str, str]]:
    """What axe-core finds that keeps people from using the page: rule and first element."""
    page.evaluate(AXE)
    return [
        (violation["id"], violation["nodes"][0]["html"])
        for violation in page.evaluate("axe.run({preload: false})")["violations"]
        if violation["impact"] in ("serious", "critical")
    ]

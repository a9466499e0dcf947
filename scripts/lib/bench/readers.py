"""The rows about who reads the marts: typical questions, and the insights site."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from statistics import median

import psycopg

from scripts.lib.base.browser import open_browser
from scripts.lib.base.cli import UserError
from scripts.lib.bench.bench import Bench
from scripts.lib.bench.load import SQL
from scripts.lib.bench.measure import Goal, Row, Sample, alternated
from scripts.lib.bench.warehouse import LARGE, built
from scripts.lib.site.build import FILES

TIMES_ASKED = 5


def questions(bench: Bench) -> Iterator[Row]:
    """Ten typical questions to the marts, the slowest of them."""
    large = built(bench, bench.count(LARGE))
    answers: dict[str, list[float]] = {}
    with closing(psycopg.connect(large.database_url, autocommit=True)) as connection:
        for name, statement in asked():
            bench.say(f"question: {name}")
            for _ in range(1 + TIMES_ASKED):
                started = time.monotonic()
                connection.execute(statement.encode()).fetchall()
                answers.setdefault(name, []).append((time.monotonic() - started) * 1000)
    warm = {name: values[1:] for name, values in answers.items()}
    slowest = max(warm, key=lambda name: median(warm[name]))
    yield Row(
        f"ten typical questions at {large.events} events: the slowest",
        Sample(slowest, "ms", tuple(warm[slowest])),
        None,
        Goal("<=", 100, "ms"),
        f"Each asked {TIMES_ASKED} times after a first.",
        detail=warm,
    )


def site(bench: Bench) -> Iterator[Row]:
    """`scripts/site` of the marts, with the dbt docs made anew and with those of the last time."""
    large = built(bench, bench.count(LARGE))

    def written() -> Mapping[str, float]:
        started = time.monotonic()
        large.run("site")
        return {"wall": time.monotonic() - started}

    def written_anew() -> Mapping[str, float]:
        bench.say(f"scripts/site at {large.events} events")
        shutil.rmtree(large.folder / "docs", ignore_errors=True)
        return written()

    anew, again = alternated(bench.runs, written_anew, written)
    for figures, how in ((anew, "dbt docs made anew"), (again, "dbt docs up to date")):
        yield Row(
            f"scripts/site at {large.events} events, {how}",
            Sample("Headwater", "s", figures["wall"]),
            None,
            Goal("<=", 10, "s"),
        )
    bench.say("opening the pages in Chromium")
    try:
        opened = _opened(large.folder / "site", bench.runs)
    except UserError as error:
        yield Row("opening a page of the site", missing=str(error))
        return
    slowest = max(opened, key=lambda page: median(opened[page]))
    yield Row(
        f"opening a page of the site at {large.events} events: the slowest",
        Sample(f"{slowest}, until its last chart is drawn", "s", tuple(opened[slowest])),
        None,
        Goal("<=", 1, "s"),
        detail=opened,
    )


def _opened(site: Path, runs: int) -> dict[str, list[float]]:
    """Seconds that each page took, with nothing of it in the browser's cache."""
    seconds: dict[str, list[float]] = {file: [] for file in FILES.values()}
    with open_browser() as browser:
        for _ in range(runs):
            for file, taken in seconds.items():
                page = browser.new_page()
                started = time.monotonic()
                page.goto((site / file).as_uri())
                page.wait_for_selector("body[data-ready]")
                taken.append(time.monotonic() - started)
                page.close()
    return seconds


def asked() -> list[tuple[str, str]]:
    """The questions of questions.sql by name."""
    text = (SQL / "questions.sql").read_text()
    return re.findall(r"^-- ([^\n.]+)\n(select .*?);$", text, re.MULTILINE | re.DOTALL)

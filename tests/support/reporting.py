"""What site and report show, read back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from io import StringIO
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.console import Console

from scripts.lib.base.settings import Settings
from scripts.lib.report import show
from scripts.lib.site.datasets import Dataset
from scripts.lib.site.warehouse import read
from tests.support.from_facts import DURATIONS, LABELLED
from tests.support.warehouse import Warehouse

Row = dict[str, Any]
PROD = Settings.from_environment({})


def tasks_of_many_types() -> Iterator[Row]:
    """Tasks of twenty types, more than a page names; of one type a short and a long one, and one
    that somebody with a personal name left open.
    """
    yield {
        "eventType": "task_scheduled",
        "eventId": "left",
        "userId": 1,
        "occurredAt": "2026-09-03T00:00:00Z",
        "activity": {"taskType": "kind 2", "taskId": "left", "assignee": "eve@example.com"},
    }
    for number in range(21):
        kind = "two" if number < 2 else f"kind {number}"
        activity = {"taskType": kind, "taskId": f"t{number}"}
        seconds = 6000 if number == 1 else 60
        for verb, second in (("scheduled", 0), ("started", 0), ("completed", seconds)):
            yield {
                "eventType": f"task_{verb}",
                "eventId": f"{verb} {number}",
                "userId": 1,
                "occurredAt": f"2026-10-02T{second // 3600:02}:{second // 60 % 60:02}:00Z",
                "activity": activity,
            }


def decoded(dataset: Dataset, first: date) -> list[Row]:
    """The rows of a dataset, as app.js reads them."""
    rows = []
    for values in zip(*dataset["values"].values(), strict=True):
        row = dict(zip(dataset["values"], values, strict=True))
        for column, places in row.items():
            known = dataset["levels"].get(column)
            if places is not None and (column == "day" or column.endswith("_on")):
                row[column] = first + timedelta(days=places)
            elif known is not None and places is not None:
                many = isinstance(places, list)
                row[column] = [known[p] for p in places] if many else known[places]
        rows.append(row)
    return rows


def shown_by_site(warehouse: Warehouse, settings: Settings = PROD) -> dict[str, list[Row]]:
    """The rows by dataset of all pages; of a view that two pages show, those of the first."""
    site = read(settings, warehouse.database_url, days=8000)
    assert site.first
    shown: dict[str, list[Row]] = {}
    for page, datasets in site.datasets.items():
        own: dict[str, list[Row]] = {}
        for part in (datasets, *site.parts[page].values()):
            for name, dataset in part.items():
                own.setdefault(name, []).extend(decoded(dataset, site.first))
        shown = own | shown
    return shown


def printed(warehouse: Warehouse, settings: Settings = PROD) -> str:
    """The screen of `scripts/report`."""
    console = Console(file=StringIO(), width=90)
    show(settings, warehouse.database_url, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def facts(warehouse: Warehouse, query: str) -> list[Row]:
    """The rows of a query as the site would have them."""
    with closing(psycopg.connect(warehouse.database_url, row_factory=dict_row)) as connection:
        connection.execute("set timezone to 'UTC'")
        return connection.execute((LABELLED + query).encode()).fetchall()


def comparable(rows: list[Row], columns: set[str]) -> list[str]:
    """Rows as text, numbers with the six decimals that marts have."""

    def text(value: object) -> str:
        if value is None or isinstance(value, str | bool | date | list):
            return str(value)
        return f"{float(str(value)):.6f}"

    return sorted(str({key: text(row[key]) for key in sorted(columns)}) for row in rows)


def percentile(times: list[float], share: float) -> float:
    """PostgreSQL's percentile_cont."""
    times = sorted(times)
    place = share * (len(times) - 1)
    low = times[int(place)]
    return low + (place - int(place)) * (times[min(int(place) + 1, len(times) - 1)] - low)


def durations(warehouse: Warehouse, name: str) -> dict[tuple[str, date], list[float]]:
    """The times by kind and day, from the facts."""
    found: dict[tuple[str, date], list[float]] = {}
    for kind, day, seconds in warehouse.query(DURATIONS[name][1]):
        found.setdefault((kind, day), []).append(float(seconds))
    return found


def counted(rows: list[Row], kind: str) -> dict[tuple[str, date], list[float]]:
    """The times by kind and day, from a dataset that counts them."""
    return {
        (row[kind], row["day"]): [
            time
            for time, count in zip(row["seconds"], row["counts"], strict=True)
            for _ in range(count)
        ]
        for row in rows
    }

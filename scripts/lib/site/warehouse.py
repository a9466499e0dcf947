"""Reads what the site shows from the marts: small aggregates, bounded whatever their size."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from scripts.lib.cli import UserError
from scripts.lib.database import refusal

QUERIES = Path(__file__).parent / "queries"
PAGES = {
    "conversion": ("funnels", "funnel_days", "conversion_times", "attribution", "retention"),
    "tasks": ("task_days", "task_times"),
    "credit": ("band_days", "band_moves", "band_conversion"),
    "health": ("rejections",),
}
Dataset = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SourceFreshness:
    """How many events of a sending application are in the marts, and when the last came."""

    source: str
    events: int
    last_received_at: datetime


@dataclass(frozen=True, slots=True)
class Build:
    """A run of dbt. `failures` are what failed or was skipped for it, null until it ends.

    `is_whole` says whether it built and tested everything; `models` counts incremental models that
    none has advanced since.
    """

    invocation_id: str
    as_of: datetime
    started_at: datetime
    finished_at: datetime | None
    failures: int | None
    is_whole: bool | None
    models: int

    @property
    def result(self) -> str:
        """How it ended, in words."""
        if self.failures is None:
            return "runs, or was killed"
        part = "" if self.is_whole else " (a part)"
        return f"{self.failures} failed or were skipped{part}" if self.failures else f"good{part}"


@dataclass(frozen=True, slots=True)
class Warehouse:
    """What the pages show. `first` and `last` are the days of the site; None without events.

    `datasets` has those of each page by name, as JSON that `datasets.js` decodes.
    """

    time_zone: str
    events: int
    first: date | None
    last: date | None
    sources: list[SourceFreshness]
    builds: list[Build]
    datasets: dict[str, dict[str, Dataset]]

    @property
    def failed_build(self) -> Build | None:
        """The last build of everything that ended, if it failed."""
        ended = [build for build in self.builds if build.is_whole and build.finished_at]
        return ended[0] if ended and ended[0].failures else None

    @property
    def last_received(self) -> date | None:
        """The last day of the health page, on which events may be received that happened before."""
        days = [row[1] for row in self.datasets["health"]["rejections"]["rows"]]
        if self.first is None or self.last is None:
            return None
        return max([self.last, *(self.first + timedelta(days=day) for day in days)])


class NothingBuiltError(Exception):
    """The schema has no marts yet."""


def read(database_url: str, schema: str, days: int) -> Warehouse:
    """Reads the last `days` days of the marts in `schema`. Raises NothingBuiltError without marts.

    All queries see one state of the database. The tables of builds and seeds are in the schemas
    that the project builds beside `schema`. Raises UserError where the role may not read them.
    """
    prefix = schema.removesuffix("marts")
    schemas = (schema, f"{prefix}staging", f"{prefix}seeds")
    path = ", ".join(f'"{name}"' for name in schemas)
    with psycopg.connect(database_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute("select set_config('search_path', %s, true)", [path])
        try:
            return _read(connection, days)
        except psycopg.errors.UndefinedTable as error:
            connection.rollback()
            if reason := refusal(connection, schemas):
                raise UserError(reason) from error
            raise NothingBuiltError(f"the schema {schema} has no marts yet") from error


def _read(connection: psycopg.Connection[Any], days: int) -> Warehouse:
    [(time_zone,)] = connection.execute(
        "select value from project_settings where setting = 'time_zone'"
    ).fetchall()
    connection.execute("select set_config('timezone', %s, true)", [time_zone])
    events = _rows(connection, "events", {})
    builds = [Build(*row) for row in _rows(connection, "builds", {})]
    last = max((row[2] for row in events), default=None)
    if last is None:
        return Warehouse(time_zone, 0, None, None, [], builds, {})
    first = max(min(row[2] for row in events), last - timedelta(days=days - 1))
    window = {"first": first, "last": last}
    datasets = {
        page: {name: _dataset(connection, name, window) for name in names}
        for page, names in PAGES.items()
    }
    datasets["health"]["events"] = _encode(
        ["event_subject", "day", "events"],
        [(row[1], (row[2] - first).days, row[3]) for row in events if row[2] >= first],
    )
    return Warehouse(
        time_zone,
        sum(row[3] for row in events),
        first,
        last,
        _freshness(events),
        builds,
        datasets,
    )


def _freshness(events: list[tuple[Any, ...]]) -> list[SourceFreshness]:
    return [
        SourceFreshness(
            source,
            sum(row[3] for row in events if row[0] == source),
            max(row[4] for row in events if row[0] == source),
        )
        for source in sorted({row[0] for row in events})
    ]


def _rows(
    connection: psycopg.Connection[Any], name: str, window: dict[str, date]
) -> list[tuple[Any, ...]]:
    query = sql.SQL((QUERIES / f"{name}.sql").read_text())
    return connection.execute(query, window).fetchall()


def _dataset(connection: psycopg.Connection[Any], name: str, window: dict[str, date]) -> Dataset:
    query = sql.SQL((QUERIES / f"{name}.sql").read_text())
    cursor = connection.execute(query, window)
    return _encode([column.name for column in cursor.description or ()], cursor.fetchall())


def _encode(columns: list[str], rows: list[tuple[Any, ...]]) -> Dataset:
    """Rows with each text replaced by its place in the list of the column's `levels`."""
    levels: dict[str, dict[str, int]] = {}

    def encoded(column: str, value: object) -> object:
        if isinstance(value, str):
            known = levels.setdefault(column, {})
            return known.setdefault(value, len(known))
        return int(value) if isinstance(value, Decimal) else value

    encoded_rows = [
        [encoded(column, value) for column, value in zip(columns, row, strict=True)] for row in rows
    ]
    return {
        "columns": columns,
        "levels": {column: list(known) for column, known in levels.items()},
        "rows": encoded_rows,
    }

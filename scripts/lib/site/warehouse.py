"""Reads what the site shows: views of dbt, small aggregates whatever the number of events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg import sql
from psycopg.rows import tuple_row

from scripts.lib.base.settings import Settings
from scripts.lib.dbt import reports
from scripts.lib.dbt.reports import Connection
from scripts.lib.site.datasets import Dataset, Row, by_funnel, encode

BUILDS = (Path(__file__).parent / "builds.sql").read_bytes()
# Of builds of everything, as scripts/status has it; of parts where there is none.
_DATA_UP_TO = """
    select coalesce(
        max(greatest(as_of, checked_at)) filter (where is_whole and failures = 0),
        max(as_of) filter (where failures = 0)
    )
    from builds
"""
# The views of each page, and which of their rows. Each view is a dataset of its name, without
# `rpt_`; one with a `day` has the days of the site.
PAGES: dict[str, dict[str, dict[str, str]]] = {
    "overview": {
        "attention": {},
        "funnels_daily": {},
        "conversion_times_daily": {},
        "tasks_daily": {},
        "task_times_daily": {},
        "credit_bands_daily": {},
        "credit_moves_daily": {},
    },
    "conversion": {
        "funnel_totals": {},
        "segment_values": {},
        "conversion_daily": {},
        "conversion_times_daily": {},
        "attribution_daily": {},
        "retention_weekly": {},
    },
    "tasks": {"tasks_daily": {}, "task_times_daily": {}},
    "credit": {
        "credit_bands_daily": {},
        "credit_moves_daily": {},
        "conversion_daily": {"segment": "band"},
    },
    "health": {"rejections_daily": {}},
}
# Of these a page needs all funnels at once; of others with a funnel and days one at a time.
OF_ALL_FUNNELS = {"funnels_daily"}
Rows = list[dict[str, Any]]


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

    `data_up_to` is when the last good build began, or last found nothing new. `datasets` has those
    of each page by name, as JSON that `app.js` decodes; `parts` those of each
    page and funnel that only that funnel needs; `rates` the columns that are part and whole of each
    rate.
    """

    time_zone: str
    events: int
    first: date | None
    last: date | None
    sources: list[SourceFreshness]
    builds: list[Build]
    data_up_to: datetime | None
    rates: dict[str, tuple[str, str]]
    datasets: dict[str, dict[str, Dataset]]
    parts: dict[str, dict[str, dict[str, Dataset]]]

    @property
    def failed_build(self) -> Build | None:
        """The last build of everything that ended, if it failed."""
        ended = [build for build in self.builds if build.is_whole and build.finished_at]
        return ended[0] if ended and ended[0].failures else None

    @property
    def last_received(self) -> date | None:
        """The last day of the health page, on which events may be received that happened before."""
        days = self.datasets["health"]["rejections_daily"]["values"]["day"]
        if self.first is None or self.last is None:
            return None
        return max([self.last, *(self.first + timedelta(days=day) for day in days)])


def read(settings: Settings, database_url: str, days: int) -> Warehouse:
    """Reads the last `days` days of the target in `settings`.

    Raises NothingBuiltError where dbt has built nothing, UserError where the role may not read it.
    """

    def query(connection: Connection) -> Warehouse:
        return _read(connection, days)

    return reports.read(settings, database_url, query)


def _read(connection: Connection, days: int) -> Warehouse:
    [totals] = _rows(connection, "totals")
    connection.execute("select set_config('timezone', %s, true)", [totals["time_zone"]])
    builds = [Build(**row) for row in connection.execute(BUILDS).fetchall()]
    [[up_to]] = connection.cursor(row_factory=tuple_row).execute(_DATA_UP_TO).fetchall()
    rates = {row["rate"]: (row["part"], row["whole"]) for row in _rows(connection, "rates")}
    last = totals["last_on"]
    if last is None:
        return Warehouse(totals["time_zone"], 0, None, None, [], builds, up_to, rates, {}, {})
    first = max(totals["first_on"], last - timedelta(days=days - 1))
    datasets: dict[str, dict[str, Dataset]] = {page: {} for page in PAGES}
    parts: dict[str, dict[str, dict[str, Dataset]]] = {page: {} for page in PAGES}
    for page, views in PAGES.items():
        for name, where in views.items():
            columns, rows = _dataset(connection, name, first, where)
            if {"funnel", "day"} <= set(columns) and name not in OF_ALL_FUNNELS:
                for funnel, dataset in by_funnel(columns, rows, first).items():
                    parts[page].setdefault(funnel, {})[name] = dataset
            else:
                datasets[page][name] = encode(columns, rows, first)
    events = _rows(connection, "events_daily")
    datasets["health"]["events_daily"] = encode(
        ["event_subject", "day", "events"],
        [
            (row["event_subject"], row["day"], row["events"])
            for row in events
            if row["day"] >= first
        ],
        first,
    )
    return Warehouse(
        totals["time_zone"],
        totals["events"],
        first,
        last,
        _freshness(events),
        builds,
        up_to,
        rates,
        datasets,
        parts,
    )


def _freshness(events: Rows) -> list[SourceFreshness]:
    sources: dict[str, Rows] = {}
    for row in events:
        sources.setdefault(row["source"], []).append(row)
    return [
        SourceFreshness(
            source,
            sum(row["events"] for row in rows),
            max(row["last_received_at"] for row in rows),
        )
        for source, rows in sorted(sources.items())
    ]


def _view(name: str) -> sql.Identifier:
    return sql.Identifier(f"rpt_{name}")


def _rows(connection: Connection, name: str) -> Rows:
    return connection.execute(
        sql.SQL("select * from {} as dataset order by dataset").format(_view(name))
    ).fetchall()


def _dataset(
    connection: Connection, name: str, first: date, where: dict[str, str]
) -> tuple[list[str], list[Row]]:
    """A view's columns, and rows from the week of `first` on; pages pass over what is before."""
    conditions = [
        sql.SQL("{} = {}").format(sql.Identifier(key), value) for key, value in where.items()
    ]
    if name.endswith(("_daily", "_weekly")):
        conditions.append(sql.SQL("day > {}::date - 7").format(first))
    query = sql.SQL("select * from {} as dataset where {} order by dataset").format(
        _view(name), sql.SQL(" and ").join([*conditions, sql.SQL("true")])
    )
    cursor = connection.cursor(row_factory=tuple_row).execute(query)
    return [column.name for column in cursor.description or ()], cursor.fetchall()

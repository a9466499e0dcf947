"""Reads what the site shows: views of dbt, small aggregates whatever the number of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from psycopg import sql
from psycopg.rows import tuple_row

from scripts.lib.base.cli import UserError
from scripts.lib.base.settings import Settings
from scripts.lib.dbt import reports
from scripts.lib.dbt.reports import Connection
from scripts.lib.site.datasets import Dataset, Row, by_funnel, encode
from scripts.lib.site.pipeline import Pipeline, read_pipeline

# The views that every page reads.
ON_ALL_PAGES: dict[str, dict[str, str]] = {"goals": {}, "annotations": {}}
# The views of each page besides, and which of their rows. Each view is a dataset of its name,
# without `rpt_`; one with a `day` has the days of the site.
PAGES: dict[str, dict[str, dict[str, str]]] = {
    "overview": {
        "alerts": {},
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
        "outcomes_daily": {},
        "conversion_times_daily": {},
        "attribution_daily": {},
    },
    "traffic": {"visits_daily": {}, "pages_daily": {}, "last_hour": {}, "paths_weekly": {}},
    "retention": {"retention_segments_weekly": {}},
    "tasks": {
        "tasks_daily": {},
        "task_times_daily": {},
        "task_waits_daily": {},
        "task_assignees_daily": {},
        "tasks_overdue": {},
    },
    "credit": {
        "credit_bands_daily": {},
        "credit_moves_daily": {},
        "conversion_daily": {"segment": "band"},
        "credit_scores": {},
        "credit_changes": {},
        "missed_payments": {},
        "credit_profiles": {},
    },
    "users": {"users": {}, "user_stories": {}},  # of the users whose story is there
    "health": {
        "rejections_daily": {},
        "violations_daily": {},
        "anomalies": {},
        "column_changes": {},
        "property_changes": {},
    },
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
class Warehouse:
    """What the pages show. `first` and `last` are the days of the site; None without events.

    `freshness` has the limits of the sources of dbt and when their newest rows came, `datasets`
    the rows of each page by name, as JSON that `app.js` decodes; `parts` those of each page and
    funnel that only that funnel needs; `rates` the columns that are part and whole of each rate.
    """

    time_zone: str
    events: int
    first: date | None
    last: date | None
    sources: list[SourceFreshness]
    freshness: Rows
    pipeline: Pipeline
    rates: dict[str, tuple[str, str]]
    datasets: dict[str, dict[str, Dataset]]
    parts: dict[str, dict[str, dict[str, Dataset]]]

    @property
    def last_received(self) -> date | None:
        """The last day of the health page, on which events may be received that happened before."""
        days = self.datasets["health"]["rejections_daily"]["values"]["day"]
        if self.first is None or self.last is None:
            return None
        return max([self.last, *(self.first + timedelta(days=day) for day in days)])


def read(settings: Settings, database_url: str, days: int, users: Sequence[str] = ()) -> Warehouse:
    """Reads the last `days` days of the target in `settings`, and the stories of notable users.

    `users` are ids of others whose story is wanted. Raises NothingBuiltError where dbt has built
    nothing, UserError where the role may not read it or there is no such user.
    """

    def query(connection: Connection) -> Warehouse:
        return _read(connection, days, users)

    return reports.read(settings, database_url, query)


def _read(connection: Connection, days: int, users: Sequence[str]) -> Warehouse:
    [totals] = _rows(connection, "totals")
    connection.execute("select set_config('timezone', %s, true)", [totals["time_zone"]])
    pipeline = read_pipeline(connection)
    freshness = _rows(connection, "source_freshness")
    rates = {row["rate"]: (row["part"], row["whole"]) for row in _rows(connection, "rates")}
    last = totals["last_on"]
    if last is None:
        return Warehouse(totals["time_zone"], 0, None, None, [], freshness, pipeline, rates, {}, {})
    first = max(totals["first_on"], last - timedelta(days=days - 1))
    of_users = {"user_id": _ids(connection, users)}
    datasets: dict[str, dict[str, Dataset]] = {page: {} for page in PAGES}
    parts: dict[str, dict[str, dict[str, Dataset]]] = {page: {} for page in PAGES}
    for page, views in PAGES.items():
        for name, where in (ON_ALL_PAGES | views).items():
            which = of_users if name in ("users", "user_stories") else where
            columns, rows = _dataset(connection, name, first, which)
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
        freshness,
        pipeline,
        rates,
        datasets,
        parts,
    )


def _ids(connection: Connection, asked: Sequence[str]) -> list[str]:
    """Users whose story is there; by id, so that PostgreSQL reads no others' events."""
    query = "select user_id from rpt_users where is_notable or user_id = any(%s)"
    users = [row["user_id"] for row in connection.execute(query, [list(asked)])]
    if unknown := sorted(set(asked) - set(users)):
        raise UserError(f"there is no user {unknown[0]} in the marts; ids are as in dim_users")
    return users


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
    connection: Connection, name: str, first: date, where: Mapping[str, str | list[str]]
) -> tuple[list[str], list[Row]]:
    """A view's columns, and rows from the week of `first` on; pages pass over what is before.

    Ids of users stay here: pages have their keys.
    """
    conditions: list[sql.Composable] = [
        sql.SQL("{} = any({})").format(
            sql.Identifier(key), [value] if isinstance(value, str) else value
        )
        for key, value in where.items()
    ]
    if name.endswith(("_daily", "_weekly")):
        conditions.append(sql.SQL("day > {}::date - 7").format(first))
    query = sql.SQL("select * from {} as dataset where {} order by dataset").format(
        _view(name), sql.SQL(" and ").join([*conditions, sql.SQL("true")])
    )
    cursor = connection.cursor(row_factory=tuple_row).execute(query)
    columns = [column.name for column in cursor.description or ()]
    kept = [place for place, column in enumerate(columns) if column != "user_id"]
    return [columns[place] for place in kept], [
        tuple(row[place] for place in kept) for row in cursor
    ]

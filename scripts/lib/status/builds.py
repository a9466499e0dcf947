"""Whether the builds of a database succeed and come on time, and whether raw has its partitions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import psycopg

from collector.connection import described, open_connection
from scripts.lib.base.cli import UserError
from scripts.lib.base.database import refusal

State = Literal["ok", "failed", "missed", "unreachable", "partitions"]
STATES: tuple[State, ...] = get_args(State)
MONTHS_AHEAD = 3  # of partitions; the collector, builds and scripts/migrate make a year of them
_MONTHS_AHEAD = """
    select coalesce(extract(year from span) * 12 + extract(month from span), 0)::integer
    from age(raw.event_partitions_end() at time zone 'UTC', now() at time zone 'UTC') as span
"""
# Of what builds everything, tests included: how the last that ended did, and the last that was
# good, or found nothing new since. A build of a part says nothing about the rest; a killed one
# never ends.
_BUILDS = """
    select
        now() - max(greatest(started_at, checked_at)) filter (where failures = 0),
        max(greatest(started_at, checked_at)) filter (where failures = 0),
        (array_agg(failures order by build_id desc))[1],
        (array_agg(finished_at order by build_id desc))[1],
        (array_agg(reason order by build_id desc))[1]
    from builds
    where is_whole and finished_at is not null
"""
_LAG = """
    select
        raw_table,
        coalesce(unread_rows, 0),
        coalesce(extract(epoch from now() - oldest_received_at), 0)::float
    from unnest(array['raw.events', 'raw.users']) as raw_tables (raw_table)
    left join stg_raw_lag using (raw_table)
"""


@dataclass(frozen=True, slots=True)
class Status:
    """How it is about the builds of one database; `text` is for people.

    `last_good` is when the last good build began, `failures` what failed in the last one, and `lag`
    has the rows of each raw table that are in no build, and the seconds since the oldest came.
    `partitions` has for how many more months raw.events has partitions, by database.
    """

    status: State
    database: str
    text: str
    last_good: datetime | None = None
    failures: int | None = None
    lag: tuple[tuple[str, int, float], ...] = ()
    partitions: Mapping[str, int] = field(default_factory=dict)


def builds_status(database_url: str, max_age: timedelta, schema: str) -> Status:
    """Whether the last whole build, as `schema` knows of it, succeeded, and began within `max_age`.

    Raises UserError where the role of the connection may not see that.
    """
    database = described(database_url)
    try:
        with open_connection(database_url, autocommit=True, connect_timeout=10) as connection:
            connection.execute("select set_config('search_path', quote_ident(%s), false)", [schema])
            try:
                [(age, began, failures, ended, reason)] = connection.execute(_BUILDS).fetchall()
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
                if refused := refusal(connection, [schema]):
                    raise UserError(refused) from error
                age = began = failures = reason = None
            lag = _lag(connection)
    except psycopg.OperationalError:
        return Status("unreachable", database, f"{database} cannot be reached")
    if failures:
        text = f"dbt build, ended {ended:%Y-%m-%d %H:%M %Z}: {failures} failed or were skipped"
        if reason:
            text += f": {reason}"
        return Status("failed", database, text, began, failures, lag)
    if age is None:
        text = "No dbt build of everything has succeeded yet"
        return Status("missed", database, text, None, None, lag)
    text = f"The last good dbt build began {began:%Y-%m-%d %H:%M %Z}"
    if age > max_age:
        text = f"{text}, more than {max_age // timedelta(minutes=1)} minutes ago"
        return Status("missed", database, text, began, failures, lag)
    return Status("ok", database, text, began, failures, lag)


def with_partitions(status: Status, *database_urls: str) -> Status:
    """`status`, and how far the partitions of the databases go; not ok below `MONTHS_AHEAD`.

    A database that cannot be reached, or that the role may not ask, is passed over.
    """
    months: dict[str, int] = {}
    for url in dict.fromkeys(database_urls):
        with suppress(psycopg.Error), open_connection(url, connect_timeout=10) as connection:
            [(months[described(url)],)] = connection.execute(_MONTHS_AHEAD).fetchall()
    status = replace(status, partitions=months)
    database = min(months, key=lambda name: months[name], default="")
    if status.status == "ok" and database and months[database] < MONTHS_AHEAD:
        text = f"raw.events of {database} has partitions for {months[database]} more months only"
        text += ": run scripts/migrate"
        return replace(status, status="partitions", database=database, text=text)
    return status


def _lag(connection: psycopg.Connection[Any]) -> tuple[tuple[str, int, float], ...]:
    """What no build has read yet; nothing where no build has made the view, or it is not ours."""
    try:
        return tuple(connection.execute(_LAG).fetchall())
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return ()

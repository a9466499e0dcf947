"""Reads the views that site and report show (`dbt_project/models/reports`), while dbt builds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import DictRow, dict_row

from collector.connection import open_connection
from scripts.lib.base.cli import UserError
from scripts.lib.base.database import refusal
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.target import layer_schema

Connection = psycopg.Connection[DictRow]
Answer = TypeVar("Answer")
_TRIES = 60
_PAUSE_SECONDS = 0.5
_HAS_VIEWS = "select viewname from pg_views where schemaname = %s limit 1"
# Below PostgreSQL's `deadlock_timeout` of a second. A reader locks a view and then its table, a
# build that puts another table in its place the other way round: it is the reader who gives way.
_LOCK_TIMEOUT = "300ms"


class NothingBuiltError(UserError):
    """The views are not there yet."""


def read(settings: Settings, database_url: str, query: Callable[[Connection], Answer]) -> Answer:
    """What `query` reads from the views of `settings`' target; all its queries see one state.

    It finds staging and seeds as well, and is called again where it met a build. Raises
    NothingBuiltError where there are no views, UserError where the role may not read them.
    """
    schemas = [layer_schema(settings, layer) for layer in ("reports", "staging", "seeds")]
    path = sql.SQL(", ").join(map(sql.Identifier, schemas))
    with open_connection(database_url, row_factory=dict_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        for attempt in range(1, _TRIES + 1):
            try:
                with connection.transaction():
                    connection.execute(
                        "select set_config('search_path', %s, true),"
                        " set_config('lock_timeout', %s, true)",
                        [path.as_string(connection), _LOCK_TIMEOUT],
                    )
                    return query(connection)
            except psycopg.errors.UndefinedTable as error:
                reason = refusal(connection, schemas)
                if reason:
                    raise UserError(reason) from error
                if connection.execute(_HAS_VIEWS, [schemas[0]]).fetchone():
                    raise UserError(
                        f"a view of the schema {schemas[0]} is not there: a build is making it "
                        "anew, or failed; run scripts/dbt build"
                    ) from error
                raise NothingBuiltError(
                    f"the schema {schemas[0]} has no views yet; run scripts/dbt build"
                ) from error
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                if attempt == _TRIES:
                    raise
                time.sleep(_PAUSE_SECONDS)
    raise AssertionError

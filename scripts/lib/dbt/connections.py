"""dbt on one connection a thread, and not a new one for each model and each test.

For each PostgreSQL starts a process that reads the catalog anew: more work than most queries are.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache

import psycopg2  # type: ignore[import-untyped]
from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.postgres.connections import PostgresConnectionManager

_release = PostgresConnectionManager.release
_set_connection_name = PostgresConnectionManager.set_connection_name


@cache
def keep_connections() -> None:
    """Has dbt of this process keep them until its run ends, when it closes all."""
    PostgresConnectionManager.release = _keep  # type: ignore[assignment, method-assign]
    PostgresConnectionManager.set_connection_name = _take  # type: ignore[assignment, method-assign]


def _keep(manager: PostgresConnectionManager) -> None:
    connection = manager.get_if_exists()
    if connection and connection.state == ConnectionState.OPEN:
        with suppress(psycopg2.Error):  # broken: closed below
            connection.handle.rollback()
            connection.transaction_open = False
            connection.name = None  # it is nobody's
            return
    _release(manager)


def _take(manager: PostgresConnectionManager, name: str | None = None) -> Connection:
    connection = manager.get_if_exists()
    if connection and connection.state == ConnectionState.OPEN and connection.name is None:
        handle = connection.handle
        try:
            autocommit, handle.autocommit = handle.autocommit, True  # which `discard all` needs
            with handle.cursor() as cursor:
                cursor.execute("discard all")  # back to what it began with, the role too
            handle.autocommit = autocommit
        except psycopg2.Error:  # ended while it idled, as by `idle_session_timeout`
            manager.close(connection)
    return _set_connection_name(manager, name)

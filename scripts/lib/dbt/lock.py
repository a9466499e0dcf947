"""One writing run of dbt at a time and target, and what a killed one leaves behind."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from types import FrameType
from typing import Any

import psycopg

from collector.connection import open_connection
from scripts.lib.dbt.target import STAGING

RUN_NAME = "headwater-dbt"
LOCK_NAME = "headwater-dbt-lock"
CANCEL_SECONDS = 1  # that dbt has to cancel its queries by itself
_TRY_LOCK = "select pg_try_advisory_lock(hashtext('headwater'), hashtext(%s))"
_WAIT_FOR_LOCK = "select pg_advisory_lock(hashtext('headwater'), hashtext(%s))"
_HOLDER = """
    select activity.pid, activity.backend_start::timestamptz(0)
    from pg_locks as locks
    inner join pg_stat_activity as activity using (pid)
    where locks.locktype = 'advisory'
        and locks.granted
        and locks.classid = hashtext('headwater')::oid
        and locks.objid = hashtext(%s)::oid
        and locks.objsubid = 2
        and activity.datname = current_database()
"""
_END_ORPHANS = """
    select pid, pg_terminate_backend(pid)
    from pg_stat_activity
    where application_name = %s and datname = current_database()
"""


def run_name(schema: str = STAGING) -> str:
    """What the connections of a writing run into a target call themselves."""
    return RUN_NAME if schema == STAGING else f"{RUN_NAME} {schema}"[:63]  # PostgreSQL cuts it


@contextmanager
def writing_lock(
    database_url: str, say: Callable[[str], None], schema: str = STAGING
) -> Iterator[int]:
    """Holds the lock of the runs that write into a target; yields the descriptor of its connection.

    A process that inherits the descriptor keeps the lock, even when this one is killed.
    """
    key = ["dbt" if schema == STAGING else f"dbt {schema}"]
    with _as_login_role(database_url) as connection:
        connection.execute("set idle_session_timeout = 0")
        if connection.execute(_TRY_LOCK, key).fetchone() != (True,):
            holder = connection.execute(_HOLDER, key).fetchone()
            if holder:
                say(f"Waiting for another dbt run (its backend {holder[0]}, since {holder[1]}) ...")
            connection.execute(_WAIT_FOR_LOCK, key)
        orphans = [str(pid) for pid, _ in connection.execute(_END_ORPHANS, [run_name(schema)])]
        if orphans:
            say(f"Ended what a killed dbt run left behind: backend {', '.join(orphans)}")
        yield connection.fileno()


def _as_login_role(database_url: str) -> psycopg.Connection:
    """A connection that may end dbt's backends, whatever role PGOPTIONS has dbt take."""
    return open_connection(
        database_url, autocommit=True, application_name=LOCK_NAME, options="-c role=none"
    )


def end_backends(database_url: str, schema: str = STAGING) -> None:
    """Ends dbt's backends by the login role, since dbt's own may not cancel its queries."""
    with suppress(psycopg.Error), _as_login_role(database_url) as connection:
        connection.execute(_END_ORPHANS, [run_name(schema)])


def end_backends_when_told(database_url: str, schema: str = STAGING) -> list[int]:
    """Has SIGINT and SIGTERM end dbt's backends until this process is gone; returns those come."""
    told: list[int] = []

    def end() -> None:
        while True:
            time.sleep(CANCEL_SECONDS)
            end_backends(database_url, schema)

    def handler(before: Any) -> Callable[[int, FrameType | None], None]:  # noqa: ANN401
        def handle(number: int, frame: FrameType | None) -> None:
            told.append(number)
            Thread(target=end, daemon=True).start()
            before(number, frame)

        return handle

    for number in (signal.SIGINT, signal.SIGTERM):
        if callable(before := signal.getsignal(number)):  # else ignored, as in the background
            signal.signal(number, handler(before))
    return told

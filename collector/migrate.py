"""Applies the numbered SQL migrations of the raw schema.

Safe to repeat and to race: one advisory lock serialises all runs, each migration commits together
with the row that records it.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg.errors import Diagnostic, LockNotAvailable

from collector.connection import open_connection

MIGRATIONS = Path(__file__).parent / "migrations"
KNOWN = frozenset(path.stem for path in MIGRATIONS.glob("*.sql"))
PARTITION_MONTHS_AHEAD = 12
ATTEMPTS = 30  # a pause of a second after each, to get a lock that a reader holds
# Who waits for a lock holds up all who come after: inserts too, where it is one on raw.
_BE_BRIEF = "set lock_timeout = '1s'"
_PARTITIONS_LACK = f"""
    select coalesce(raw.event_partitions_end(), '-infinity')
        < now() + interval '{PARTITION_MONTHS_AHEAD} months'
"""
_LOCK = "select pg_advisory_lock(hashtext('headwater migrations'))"
_RECORDS = """
    create table if not exists public.headwater_migrations (
        name text primary key,
        applied_at timestamptz not null default now()
    )
"""


logger = logging.getLogger("collector")


class NewerSchemaError(Exception):
    """The database was migrated by a later version than this one."""


def migrate(database_url: str) -> list[str]:
    """Brings the raw schema of a database up to date and returns the names of what was applied.

    Raises `psycopg.Error` when the database is unreachable, the role may not create schemas, or
    somebody holds a lock on raw for longer than `ATTEMPTS` seconds; `NewerSchemaError` for a
    database of a later version.
    """
    applied: list[str] = []
    with open_connection(database_url, autocommit=True) as connection:
        connection.add_notice_handler(_warn)
        connection.execute(_LOCK)
        connection.execute(_RECORDS)
        done = {
            name for (name,) in connection.execute("select name from public.headwater_migrations")
        }
        if unknown := done - KNOWN:
            raise NewerSchemaError(
                f"The raw schema is of a later version, with {', '.join(sorted(unknown))}: "
                "update this checkout, or use the one that made it."
            )
        connection.execute(_BE_BRIEF)
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.stem in done:
                continue
            record = "insert into public.headwater_migrations (name) values (%s)"
            _retry(connection, (path.read_bytes(), None), (record.encode(), [path.stem]))
            applied.append(path.stem)
        for call in (b"apply_roles()", b"adopt_models()", b"stamp_rows_of_another_cluster()",
                     b"renew_publication()"):  # fmt: skip
            _retry(connection, (b"select raw." + call, None))
        _keep_partitions(connection)
    return applied


def _retry(connection: psycopg.Connection[Any], *statements: tuple[bytes, Any]) -> None:
    """Runs statements in one transaction, again and again while a lock is not to be had."""
    for attempt in range(ATTEMPTS):
        try:
            with connection.transaction():
                for statement, values in statements:
                    connection.execute(statement, values)
        except LockNotAvailable:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(1)
        else:
            return


def _keep_partitions(connection: psycopg.Connection[Any]) -> None:
    """Makes partitions ahead, after what met none has got its own. Warns where it cannot."""
    for _ in range(ATTEMPTS):
        try:
            connection.execute("call raw.empty_default_partition()")
            connection.execute("select raw.ensure_event_partitions(%s)", [PARTITION_MONTHS_AHEAD])
        except LockNotAvailable:
            pass
        else:
            if connection.execute(_PARTITIONS_LACK.encode()).fetchone() == (False,):
                return
        time.sleep(1)
    logger.warning("raw.events lacks partitions while somebody reads it: run scripts/migrate again")


def _warn(notice: Diagnostic) -> None:
    if notice.severity_nonlocalized == "WARNING":
        logger.warning(notice.message_primary)

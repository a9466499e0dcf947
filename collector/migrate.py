"""Applies the numbered SQL migrations of the raw schema.

Safe to repeat and to race: one advisory lock serialises all runs, each migration commits together
with the row that records it.
"""

from __future__ import annotations

import logging
from pathlib import Path

import psycopg
from psycopg.errors import Diagnostic

MIGRATIONS = Path(__file__).parent / "migrations"
PARTITION_MONTHS_AHEAD = 12
_LOCK = "select pg_advisory_lock(hashtext('headwater migrations'))"
_RECORDS = """
    create table if not exists public.headwater_migrations (
        name text primary key,
        applied_at timestamptz not null default now()
    )
"""


logger = logging.getLogger("collector")


def migrate(database_url: str) -> list[str]:
    """Brings the raw schema of a database up to date and returns the names of what was applied.

    Raises `psycopg.Error` when the database is unreachable or the role may not create schemas.
    """
    applied: list[str] = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.add_notice_handler(_warn)
        connection.execute(_LOCK)
        connection.execute(_RECORDS)
        done = {
            name for (name,) in connection.execute("select name from public.headwater_migrations")
        }
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.stem in done:
                continue
            with connection.transaction():
                connection.execute(path.read_bytes())
                connection.execute(
                    "insert into public.headwater_migrations (name) values (%s)", [path.stem]
                )
            applied.append(path.stem)
        connection.execute("select raw.apply_roles()")
        connection.execute("select raw.adopt_models()")
        connection.execute("select raw.stamp_rows_of_another_cluster()")
        connection.execute("select raw.renew_publication()")
        connection.execute("select raw.ensure_event_partitions(%s)", [PARTITION_MONTHS_AHEAD])
    return applied


def _warn(notice: Diagnostic) -> None:
    if notice.severity_nonlocalized == "WARNING":
        logger.warning(notice.message_primary)

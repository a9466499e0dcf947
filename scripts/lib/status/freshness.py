"""Whether rows still come: a collector that nobody sends to fails no build."""

from __future__ import annotations

from contextlib import suppress

import psycopg
from psycopg import sql

from collector.connection import open_connection

_STALE = sql.SQL("""
    select
        source_table, last_received_at, status,
        (case status when 'error' then error_seconds else warn_seconds end / 3600.0)::float
    from {}.rpt_source_freshness
    where status <> 'pass'
    order by 1
""")


def stale_sources(database_url: str, schema: str) -> list[str]:
    """What to say of each source that got no row for too long, by the reports of `schema`.

    Nothing where that cannot be known.
    """
    with suppress(psycopg.Error), open_connection(database_url, connect_timeout=10) as connection:
        rows = connection.execute(_STALE.format(sql.Identifier(schema))).fetchall()
        return [
            f"{status}: nothing came to {table} since {last:%Y-%m-%d %H:%M %Z}, "
            f"for longer than {hours:g} hours"
            for table, last, status, hours in rows
        ]
    return []

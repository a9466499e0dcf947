"""Whether events still come, by what is usual: a collector that nobody sends to fails no build."""

from __future__ import annotations

from contextlib import suppress

import psycopg
from psycopg import sql

_QUIET = sql.SQL("""
    select last_received_at, usual_hours from {}.rpt_receipts
    where last_received_at < now() - make_interval(hours => usual_hours)
""")


def silence(database_url: str, schema: str) -> str | None:
    """What to say where the last event in the reports of `schema` came longer ago than usual.

    None where that is not so, or cannot be known.
    """
    with suppress(psycopg.Error), psycopg.connect(database_url, connect_timeout=10) as connection:
        for last, hours in connection.execute(_QUIET.format(sql.Identifier(schema))).fetchall():
            return (
                f"no event came since {last:%Y-%m-%d %H:%M %Z}, "
                f"longer than the {hours} hours that are usual"
            )
    return None

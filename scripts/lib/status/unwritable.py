"""Rows of raw that cannot be written out as text: `scripts/status --raw`."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from collector.connection import described, open_connection
from scripts.lib.base.cli import UserError, say

# Rows stored before the collector had a limit: what they expand to cannot be dumped, replicated or
# answered. Reads all of raw.
_LONG_NUMBERS = """
    select {row_id}, source from raw.{table}
    where exists (
        select from jsonb_path_query(payload, 'strict $.** ? (@.type() == "number")') as number
        where abs(number::numeric) >= 1e1000 or scale(number::numeric) > 1000
    )
    order by 1
"""
_ROW_IDS = {"events": "event_row_id", "users": "user_row_id"}


def unwritable_rows(database_url: str) -> list[str]:
    """Rows of raw with numbers of more than a thousand digits, each as a line that names it.

    Raises UserError where the role of the connection may not read raw.
    """
    lines = []
    with open_connection(database_url, connect_timeout=10) as connection:
        for table, row_id in _ROW_IDS.items():
            query = _LONG_NUMBERS.format(table=table, row_id=row_id)
            try:
                rows = connection.execute(query.encode()).fetchall()
            except psycopg.errors.InsufficientPrivilege as error:
                raise UserError(
                    f"{described(database_url)}: {error.diag.message_primary}"
                ) from None
            lines += [f"raw.{table}: {row_id} {number}, from {source!r}" for number, source in rows]
    return lines


def show_unwritable_rows(urls: Iterable[str]) -> int:
    """Prints the rows of raw that cannot be written out, and what to do; returns 1 where any is."""
    found = False
    for url in urls:
        lines = unwritable_rows(url)
        found = found or bool(lines)
        say(f"{described(url)}: {len(lines):,} rows of raw have numbers too long to be written out")
        for line in lines:
            say(f"  {line}")
    if found:
        say(
            "No backup, replication or answer can have them. As the owner of raw delete each, on\n"
            "both sides where raw is replicated: delete from raw.events where event_row_id = ...\n"
            "Then build anew: scripts/dbt build --full-refresh --vars 'reload_raw: true'"
        )
    return int(found)

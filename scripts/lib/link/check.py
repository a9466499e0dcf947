"""Compares raw of the source with that of the destination, day by day: `scripts/link --check`."""

from __future__ import annotations

import time
from datetime import date, datetime
from typing import Any

from psycopg import sql

from collector.connection import described
from scripts.lib.base.alert import alert
from scripts.lib.base.cli import UserError, counted, say
from scripts.lib.base.database import Databases
from scripts.lib.base.replication import End, opened

ALL_DAYS = 100_000
SETTLED_SECONDS = 60  # younger rows may be on their way, or in a transaction that is still open
CATCH_UP_SECONDS = 60
ATTEMPTS = 3  # a row that was received before and committed after the first look is no difference
# What tells a row from any other, by table.
ROWS = {
    "events": ("event_row_id", "source", "event_id"),
    "users": ("user_row_id", "source", "user_id"),
    "rejected_events": ("rejected_row_id", "source", "code"),
}
_UNTIL = "select now() - make_interval(secs => %s), current_date - %s::integer"
# The sum does not depend on the order; the function is the same in all versions of PostgreSQL.
_BY_DAY = """
    select
        (received_at at time zone 'UTC')::date,
        count(*),
        sum(hashtextextended(jsonb_build_array({row})::text, 0)::numeric)
    from raw.{table}
    where received_at >= {since} and received_at < {until}
    group by 1
"""

Rows = tuple[int, Any]  # their number and checksum
_NONE: Rows = (0, 0)


def check(databases: Databases, days: int, webhook: str) -> int:
    """Prints which of the last `days` (UTC) differ between the two sides.

    Where any does, tells the `webhook`, if there is one, and returns 1; else 0.
    Reads all rows of these days on both sides; those of the last minute are left out. Raises
    UserError where the destination does not catch up in `CATCH_UP_SECONDS`.
    """
    with (
        opened("destination", databases.destination) as destination,
        opened("source", databases.migration) as source,
    ):
        if destination.subscription() is None:
            raise UserError("the destination has no subscription: run scripts/link")
        times = source.connection.execute(_UNTIL, [SETTLED_SECONDS, days])
        [(until, since)] = times.fetchall()
        for attempt in range(ATTEMPTS):
            sent = _by_day(source, since, until)
            _catch_up(source, destination)
            came = _by_day(destination, since, until)
            differing = sorted(day for day in sent | came if sent.get(day) != came.get(day))
            if not differing:
                break
            if attempt < ATTEMPTS - 1:
                time.sleep(1)
    for table in ROWS:
        of_table = [day for day in sent if day[0] == table]
        rows = sum(sent[day][0] for day in of_table)
        say(f"source: raw.{table} has {counted(rows, 'row')} of {counted(len(of_table), 'day')}")
    if not differing:
        say("destination: has the same rows on each day")
        return 0
    faults = [_difference(day, sent.get(day, _NONE), came.get(day, _NONE)) for day in differing]
    for fault in faults:
        say(f"wrong: {fault}")
    say("scripts/link --replace copies all of raw anew")
    text = f"{faults[0]}; {len(faults)} such days in all: see scripts/link --check"
    alert(webhook, "differs", described(databases.destination), text)
    return 1


def _difference(day: tuple[str, date], sent: Rows, came: Rows) -> str:
    others = ", not the same" if sent[0] == came[0] else ""
    return (
        f"raw.{day[0]} of {day[1]}: {counted(sent[0], 'row')} in the source, "
        f"{came[0]:,} in the destination{others}"
    )


def _by_day(end: End, since: date, until: datetime) -> dict[tuple[str, date], Rows]:
    found: dict[tuple[str, date], Rows] = {}
    for table, row in ROWS.items():
        query = sql.SQL(_BY_DAY).format(
            row=sql.SQL(", ").join(map(sql.Identifier, row)),
            table=sql.Identifier(table),
            since=sql.Literal(since),
            until=sql.Literal(until),
        )
        with end.asked("It takes a role that reads raw."):
            for day, count, checksum in end.connection.execute(query):
                found[table, day] = count, checksum
    return found


def _catch_up(source: End, destination: End) -> None:
    """Waits until the destination has confirmed all that the source has now. Raises UserError."""
    position = source.position()
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while time.monotonic() < deadline:
        if source.has_confirmed(destination.slot_name, position):
            return
        time.sleep(0.2)
    raise UserError("the destination is too far behind to be compared: scripts/link --status")

"""The rows about what one client can make of the marts: histories that multiply what it chooses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from psycopg import sql

from scripts.lib.base.client import Client
from scripts.lib.bench.bench import Bench
from scripts.lib.bench.measure import Goal, Row, Sample, check_count
from scripts.lib.bench.server import query
from scripts.lib.bench.warehouse import NONE, Run, Warehouse, landed

LONG_AGO = timedelta(days=18_200)  # what is older is moved to 50 years before receipt
A_REQUEST = 5_000
# The marts that are tables: views have no rows of their own.
MARTS = """
    select relname, pg_total_relation_size(oid) from pg_class
    where relnamespace = 'marts'::regnamespace and relkind = 'r'
    order by relname
"""
Event = dict[str, Any]


def adversary(bench: Bench) -> Iterator[Row]:
    """Legal events of one client whose products fill the marts, then one event more."""
    none = landed(bench, "nobody", NONE)
    attacked = landed(bench, "adversary", NONE)
    none.as_of = attacked.as_of = None  # events are of the last fifty years, as the collector takes
    events = list(histories(datetime.now(UTC), bench.quick))
    bench.say(f"adversary: {len(events):,} events")
    first = _after(bench, attacked, events)
    rows = _marts(bench, attacked, first)
    bench.say("adversary: one event more")
    more = _after(bench, attacked, [_event("page_viewed", "late", datetime.now(UTC))])
    _after(bench, none, [])
    ordinary = _after(bench, none, [_event("page_viewed", "late", datetime.now(UTC))])
    largest = max(rows.values())
    yield Row(
        "adversary: the mart with most rows",
        Sample("rows", "rows", (float(largest),)),
        Sample("events sent", "events", (float(len(events)),)),
        Goal("<=", 10),
        f"Of histories of one client, built in {first.sum_seconds:.0f} s of model time.",
        detail={
            name: [float(count), first.model_seconds[name], more.model_seconds[name]]
            for name, count in rows.items()
        },
    )
    yield Row(
        "adversary: one event more, sum of model time",
        Sample("after the histories", "s", (more.sum_seconds,)),
        Sample("in empty tables", "s", (ordinary.sum_seconds,)),
        Goal("<=", 2),
        detail={
            name: [ordinary.model_seconds[name], seconds]
            for name, seconds in sorted(more.model_seconds.items(), key=lambda item: -item[1])
        },
    )


def histories(now: datetime, quick: bool = False) -> Iterator[Event]:
    """What multiplies: each by another mart. With `quick` a tenth of each."""
    share = 10 if quick else 1
    today = now - timedelta(hours=1)
    # Types of tasks that stay open since the beginning of time: types times days.
    for number in range(40 // share):
        yield _event("task_scheduled", number, now - LONG_AGO, taskType=f"type {number}")
    # A cohort a week, each of one user: cohorts times weeks.
    for week in range(1_000 // share):
        yield _event("page_viewed", f"week {week}", now - timedelta(weeks=week))
    # One clock that is wrong: bands times days.
    yield _event("credit_score_updated", "clock", now - LONG_AGO, ficoScore=700)
    # One user with nearly all scores, and the attempts of others: attempts times scores.
    for number in range(6_000 // share):
        at = now - timedelta(days=30, minutes=number)
        yield _event("credit_score_updated", "scored", at, ficoScore=300 + number % 550)
    for number in range(2_000 // share):
        yield _event("user_signed_up", f"other {number}", today)
    # Devices that nobody else has: values times steps of the funnel.
    for number in range(4_000 // share):
        yield _event("application_submitted", f"device {number}", today, device=f"of {number}")
    # One user's visits and conversions: visits times conversions.
    for number in range(400 // share):
        at = now - timedelta(minutes=31 * number + 31)
        yield _event("page_viewed", "visitor", at, path="/pricing")
    for number in range(100 // share):
        for event_type in ("user_signed_up", "page_viewed", "application_submitted", "conversion"):
            yield _event(event_type, "visitor", now - timedelta(seconds=number), path="/pricing")


def _event(event_type: str, user: object, at: datetime, **activity: object) -> Event:
    occurred_at = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = {"eventType": event_type, "userId": user, "occurredAt": occurred_at}
    return event | {"activity": activity}


def _after(bench: Bench, warehouse: Warehouse, events: list[Event]) -> Run:
    """The events sent over HTTP, then dbt. Raises ViolationError where one is not in the marts."""
    if events:
        [(before,)] = query(warehouse.database_url, "select count(*) from raw.events")
        with (
            bench.collector(warehouse.database_url) as collector,
            closing(Client(collector.url)) as client,
        ):
            for start in range(0, len(events), A_REQUEST):
                batch = events[start : start + A_REQUEST]
                client.send("/events", [msgspec.json.encode(event) for event in batch])
        [(after,)] = query(warehouse.database_url, "select count(*) from raw.events")
        check_count("adversary", len(events), after - before)
    return warehouse.dbt("run")


def _marts(bench: Bench, warehouse: Warehouse, run: Run) -> dict[str, int]:
    """How many rows each mart has; says also its bytes and the seconds of its model."""
    rows = {}
    for name, size in query(warehouse.database_url, MARTS):
        count = sql.SQL("select count(*) from marts.{}").format(sql.Identifier(name))
        [(rows[name],)] = query(warehouse.database_url, count.as_string())
        bench.say(f"{name}: {rows[name]:,} rows, {size:,} bytes, {run.model_seconds[name]:.1f} s")
    return rows

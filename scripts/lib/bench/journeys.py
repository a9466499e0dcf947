"""The rows about the whole way: backfill of a file, event to marts."""

from __future__ import annotations

import gzip
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import msgspec

from collector.settings import ROOT
from scripts.lib.base.client import Client
from scripts.lib.bench.bench import Bench, run_command
from scripts.lib.bench.measure import Goal, Row, Sample, ViolationError, alternated, check_count
from scripts.lib.bench.server import execute, query
from scripts.lib.bench.warehouse import landed

TYPES = ("page_viewed", "task_completed", "application_submitted", "payment_made")
BEGIN, STEP = datetime(2026, 6, 1, tzinfo=UTC), timedelta(seconds=5)  # of a history
EVENTS_PER_SECOND = 1000
SENDINGS_PER_SECOND = 10
# The moment at which a build had ended, for each event that its fct_events was the first to have.
SEEN = """
    create table public.bench_seen (event_key text primary key, latency interval not null);
"""
SEE = """
    insert into public.bench_seen (event_key, latency)
    select event_key, %s - received_at
    from marts.fct_events
    where event_id like 'fresh-%%'
    on conflict do nothing
"""
LATENCIES = """
    select
        count(*),
        extract(epoch from percentile_cont(0.5) within group (order by latency))::double precision,
        extract(epoch from percentile_cont(0.95) within group (order by latency))::double precision
    from public.bench_seen
"""


def backfill(bench: Bench) -> Iterator[Row]:
    """Files through scripts/replay; every event and every user lands exactly once."""
    yield _replayed(
        bench,
        "events",
        bench.count(500_000),
        "gzipped NDJSON in order of time",
        Goal(">=", 100_000, "events/s"),
    )
    yield _replayed(
        bench,
        "users",
        bench.count(100_000),
        "gzipped NDJSON, each with id and email",
        Goal(">=", 20_000, "users/s"),
    )


def _replayed(bench: Bench, kind: str, count: int, form: str, goal: Goal) -> Row:
    file = bench.folder / f"{kind}.ndjson.gz"
    bench.say(f"writing a file of {count:,} {kind}")
    (_write_history if kind == "events" else _write_users)(file, count)
    url = bench.server.create("intake")
    identity = "event_id" if kind == "events" else "user_id"

    def replayed(address: str) -> Mapping[str, float]:
        bench.say(f"scripts/replay of {count:,} {kind}")
        execute(url, "truncate raw.events, raw.users, raw.user_ids")
        bench.server.settle()
        data = bench.folder / "replay"
        shutil.rmtree(data, ignore_errors=True)
        command = [str(ROOT / "scripts" / "replay"), str(file), "--url", address]
        command += ["--users"] if kind == "users" else []
        started = time.monotonic()
        run_command(command, {**os.environ, "HEADWATER_DATA": str(data)})
        seconds = time.monotonic() - started
        [(rows, distinct)] = query(
            url,
            f"select count(*), count(distinct {identity}) from raw.{kind}",  # noqa: S608
        )
        check_count(f"scripts/replay of {kind}", count, rows)
        check_count(f"scripts/replay, different {kind}", count, distinct)
        return {"per_second": count / seconds}

    with bench.collector(url) as collector:
        [figures] = alternated(bench.runs, lambda: replayed(collector.url))
    return Row(
        f"scripts/replay of {count:,} {kind}, {form}",
        Sample("Headwater, one process", f"{kind}/s", figures["per_second"]),
        None,
        goal,
        "Start and every commit included; rows counted: exactly equal.",
    )


def freshness(bench: Bench) -> Iterator[Row]:
    """From the collector's receipt of an event to the end of the build that has it in the marts."""
    warehouse = landed(bench, "fresh", bench.count(20_000))
    warehouse.as_of = None  # events are of now
    execute(warehouse.database_url, SEEN)
    seconds = 20 if bench.quick else 60
    builds = 0
    with (
        bench.collector(warehouse.database_url) as collector,
        closing(Client(collector.url)) as client,
        warehouse.rounds(pause=0) as next_round,
    ):
        bench.say("freshness: first build, dbt staying in one process")
        next_round()
        bench.say(f"freshness: {EVENTS_PER_SECOND:,} events/s for {seconds} s, builds repeating")
        sender = Thread(target=_send, args=(client, seconds))
        sender.start()
        total = EVENTS_PER_SECOND * seconds
        seen = 0
        while seen < total or sender.is_alive():
            next_round()
            execute(warehouse.database_url, SEE, datetime.now(UTC))
            builds += 1
            [(seen, p50, p95)] = query(warehouse.database_url, LATENCIES)
            if not sender.is_alive() and builds > seconds:
                raise ViolationError(f"freshness: {total:,} events sent, {seen:,} in fct_events")
        sender.join()
    check_count("freshness", total, seen)
    yield Row(
        f"event → marts at {EVENTS_PER_SECOND:,} events/s: p95",
        Sample("one warm process", "s", (p95,)),
        None,
        Goal("<=", 4, "s"),
        f"One run, {builds} builds (`scripts/dbt --every 0 run`) on a history of "
        f"{warehouse.users * 10:,} events; p50 {p50:.1f} s.",
    )


def _write_users(file: Path, count: int) -> None:
    with gzip.open(file, "wb", compresslevel=1) as lines:
        for n in range(count):
            user = {"userId": n, "email": f"u{n}@example.com", "name": f"User {n}", "plan": "gold"}
            lines.write(msgspec.json.encode(user) + b"\n")


def _write_history(file: Path, events: int) -> None:
    with gzip.open(file, "wb", compresslevel=1) as lines:
        for number in range(events):
            event = _event(
                "history",
                number,
                BEGIN + number * STEP,
                path="/loans/calculator",
                taskId=f"task-{number % 500}",
                amount=number % 997 / 4,
                locale="en-US",
            )
            lines.write(event + b"\n")


def _event(kind: str, number: int, occurred_at: datetime, **activity: object) -> bytes:
    event = {
        "eventId": f"{kind}-{number}",
        "eventType": TYPES[number % len(TYPES)],
        "userId": 1 + number * 7919 % 20_000,
        "occurredAt": occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "activity": {"device": "mobile", "taskType": "Upload pay stub", **activity},
    }
    return msgspec.json.encode(event)


def _send(client: Client, seconds: int) -> None:
    started = time.monotonic()
    size = EVENTS_PER_SECOND // SENDINGS_PER_SECOND
    for sending in range(seconds * SENDINGS_PER_SECOND):
        time.sleep(max(0, started + sending / SENDINGS_PER_SECOND - time.monotonic()))
        now = datetime.now(UTC)
        numbers = range(sending * size, (sending + 1) * size)
        client.send("/events", [_event("fresh", number, now, path="/") for number in numbers])

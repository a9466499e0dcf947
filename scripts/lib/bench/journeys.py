"""The rows about the whole way: backfill of a file, event to marts."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import msgspec

from collector.settings import ROOT
from scripts.lib.base.cli import UserError
from scripts.lib.base.client import Client
from scripts.lib.bench.bench import Bench, run_command
from scripts.lib.bench.measure import Goal, Row, Sample, ViolationError, alternated, check_count
from scripts.lib.bench.server import execute, query
from scripts.lib.bench.warehouse import Warehouse, landed

TYPES = ("page_viewed", "task_completed", "application_submitted", "payment_made")
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
        command = [sys.executable, "-P", "-m", "scripts.lib.replay", str(file), "--url", address]
        command += ["--users"] if kind == "users" else []
        started = time.monotonic()
        run_command(command, {**os.environ, "PYTHONPATH": str(ROOT), "HEADWATER_DATA": str(data)})
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
    execute(warehouse.database_url, SEEN)
    seconds = 20 if bench.quick else 60
    builds = 0
    with (
        bench.collector(warehouse.database_url) as collector,
        closing(Client(collector.url)) as client,
        _builds(warehouse) as ended,
    ):
        bench.say("freshness: first build, dbt staying in one process")
        _next(ended)
        bench.say(f"freshness: {EVENTS_PER_SECOND:,} events/s for {seconds} s, builds repeating")
        sender = Thread(target=_send, args=(client, seconds))
        sender.start()
        total = EVENTS_PER_SECOND * seconds
        seen = 0
        while seen < total or sender.is_alive():
            at = _next(ended)
            execute(warehouse.database_url, SEE, at)
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


_BEGIN, _STEP = datetime(2026, 6, 1), timedelta(seconds=5)  # noqa: DTZ001  in UTC, in order


def _write_history(file: Path, events: int) -> None:
    with gzip.open(file, "wb", compresslevel=1) as out:
        for number in range(events):
            event = {
                "eventId": f"history-{number}",
                "eventType": TYPES[number % len(TYPES)],
                "userId": 1 + number * 7919 % 20_000,
                "occurredAt": (_BEGIN + number * _STEP).isoformat(timespec="milliseconds") + "Z",
                "activity": {
                    "path": "/loans/calculator",
                    "device": "mobile",
                    "taskId": f"task-{number % 500}",
                    "taskType": "Upload pay stub",
                    "amount": number % 997 / 4,
                    "locale": "en-US",
                },
            }
            out.write(msgspec.json.encode(event) + b"\n")


def _send(client: Client, seconds: int) -> None:
    started = time.monotonic()
    size = EVENTS_PER_SECOND // SENDINGS_PER_SECOND
    for sending in range(seconds * SENDINGS_PER_SECOND):
        time.sleep(max(0, started + sending / SENDINGS_PER_SECOND - time.monotonic()))
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        numbers = range(sending * size, (sending + 1) * size)
        client.send(
            "/events",
            [
                msgspec.json.encode(
                    {
                        "eventId": f"fresh-{number}",
                        "eventType": TYPES[number % len(TYPES)],
                        "userId": 1 + number * 7919 % 20_000,
                        "occurredAt": now,
                        "activity": {
                            "path": "/",
                            "device": "mobile",
                            "taskType": "Upload pay stub",
                        },
                    }
                )
                for number in numbers
            ],
        )


@contextmanager
def _builds(warehouse: Warehouse) -> Iterator[Queue[datetime | str]]:
    """dbt run again and again in one process; the queue gets the moment at which each ended."""
    ended: Queue[datetime | str] = Queue()
    with subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-m",
            "scripts.lib.dbt.run",
            "--every",
            "0",
            "--no-use-colors",
            "run",
        ],
        env=warehouse.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:

        def follow() -> None:
            lines: list[str] = []
            for line in process.stdout or ():
                lines.append(line)
                if match := re.search(r"^Run \d+ (\w+)", line):
                    if match[1] == "succeeded":
                        ended.put(datetime.now(UTC))
                    elif match[1] == "failed":
                        ended.put("".join(lines[-40:]))
                    lines.clear()
            ended.put("".join(lines[-40:]))

        follower = Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield ended
        finally:
            process.terminate()
            follower.join()


def _next(ended: Queue[datetime | str]) -> datetime:
    try:
        at = ended.get(timeout=300)
    except Empty:
        raise UserError("a build of the freshness row did not end within 300 s") from None
    if isinstance(at, str):
        raise UserError(f"dbt failed:\n{at}")
    return at

"""The rows about single events: requests a second, two processes, latency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial

from scripts.lib.bench.bench import Bench
from scripts.lib.bench.load import pgbench, wrk
from scripts.lib.bench.measure import Goal, Row, Sample, alternated, check_answers, check_count
from scripts.lib.bench.posting import SECONDS, WARM_UP_SECONDS, Requests, cores_busy, posted
from scripts.lib.bench.server import execute, query

SINGLE = Requests(connections=64)
WITHOUT_TIMES = Requests(connections=64, says_when=False)
PGBENCH_TABLE = """
    create table bench_events (
        id bigint generated always as identity primary key,
        payload jsonb not null,
        received_at timestamptz not null default now()
    )
"""
LIMIT_NOTE = "pgbench: single-row inserts, a commit each, no HTTP, no checks; ours share commits."


def single(bench: Bench) -> Iterator[Row]:
    """One event a request over 64 connections: one process, two, the peer, and pgbench."""
    missing = bench.prepare_peer(events=0)
    url = bench.server.create("intake")
    execute(url, PGBENCH_TABLE)
    with ExitStack() as stack:
        one = stack.enter_context(bench.collector(url)).url
        two = stack.enter_context(bench.collector(url, WORKERS="2")).url
        measurements = [
            partial(posted, bench, url, one, SINGLE),
            partial(posted, bench, url, two, SINGLE),
            partial(posted, bench, url, one, WITHOUT_TIMES),
            partial(_inserted, bench, url, 64),
        ]
        if not missing:
            peer_url = stack.enter_context(bench.peer.serving())
            measurements.append(partial(_posted_to_peer, bench, peer_url))
        for each in (one, two, *([] if missing else [peer_url])):
            wrk(f"{each}/events", SINGLE.connections, WARM_UP_SECONDS)
        first, second, untimed, limit, *peer = alternated(bench.runs, *measurements)
    work = f"one event a request, {SINGLE.connections} connections"
    for figure, unit, title, goal in (
        ("per_second", "events/s", work, Goal(">=", 5)),
        ("p99", "ms", f"{work}: p99", Goal("<=", 0.5)),
    ):
        ours = Sample("one process", unit, first[figure])
        other = Sample("Express + Prisma", unit, peer[0][figure]) if peer else None
        yield Row(title, ours, other, goal, cores_busy("one process", first), missing)
    ours = Sample("one process", "events/s", first["per_second"])
    clients = Sample("pgbench, 64 clients", "events/s", limit["per_second"])
    yield Row(work, ours, clients, Goal(">=", 0.75), LIMIT_NOTE)
    yield Row(
        f"{work}, without occurredAt and sentAt",
        Sample("one process", "events/s", untimed["per_second"]),
    )
    both = Sample("two processes", "events/s", second["per_second"])
    yield Row(
        f"{work}, two processes", both, ours, Goal(">=", 1.3), cores_busy("two processes", second)
    )


def latency(bench: Bench) -> Iterator[Row]:
    """One connection at a time."""
    url = bench.server.create("intake")
    execute(url, PGBENCH_TABLE)
    with bench.collector(url) as collector:
        ours, limit = alternated(
            bench.runs,
            partial(posted, bench, url, collector.url, Requests(connections=1)),
            partial(_inserted, bench, url, 1),
        )
    yield Row(
        "one event a request, one connection: p50",
        Sample("one process", "ms", ours["p50"]),
        Sample("pgbench, one client", "ms", limit["p50"]),
        Goal("<=", 2.2),
        LIMIT_NOTE,
    )


def _posted_to_peer(bench: Bench, url: str) -> Mapping[str, float]:
    bench.say("wrk on Express + Prisma")
    execute(bench.peer.source_url, 'truncate "Event"')
    bench.server.settle()
    load = wrk(f"{url}/events", SINGLE.connections, bench.seconds(SECONDS))
    check_answers("Express + Prisma", load.refused)
    [(count,)] = query(bench.peer.source_url, 'select count(*) from "Event"')
    check_count("Express + Prisma", load.ok, count, SINGLE.connections)
    return {"per_second": load.per_second, "p99": load.p99}


def _inserted(bench: Bench, database_url: str, clients: int) -> Mapping[str, float]:
    bench.say(f"pgbench, {clients} clients")
    execute(database_url, "truncate bench_events")
    bench.server.settle()
    return pgbench(database_url, clients, bench.seconds(4))

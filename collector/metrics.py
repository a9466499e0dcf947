"""What Prometheus reads at /metrics, and one line a request where LOG_REQUESTS asks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from time import perf_counter

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SIZES = [1, 4, 16, 64, 256, 1024, 4096, 16384]
SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]


logger = logging.getLogger("collector.requests")


class Metrics:
    """The metrics of one collector. Those with labels are functions from these to a counter."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, meaning: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(f"headwater_{name}", meaning, labels, registry=registry).labels)

        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(f"headwater_{name}", meaning, registry=registry)

        def histogram(name: str, meaning: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(f"headwater_{name}", meaning, buckets=buckets, registry=registry)

        self.requests = counter("requests", "Requests answered", "method", "route", "status")
        self.accepted = counter("events_accepted", "Events committed", "source")
        self.rejected = counter("events_rejected", "Events refused", "code")
        self.held_bytes = gauge("held_bytes", "Bytes being read or waiting to be stored")
        self.replication_lag = Gauge(
            "headwater_replication_lag_bytes",
            "WAL that a destination has yet to confirm",
            ["slot"],
            registry=registry,
        )
        self.database_up = gauge("database_up", "1 while the database is reachable")
        self.oldest_transaction = gauge(
            "oldest_transaction_seconds", "Age of the transaction that keeps rows from dbt"
        )
        self.commit_events = histogram("commit_events", "Events in one commit", SIZES)
        self.commit_seconds = histogram("commit_seconds", "From a batch to its commit", SECONDS)


class Observer:
    """ASGI middleware that counts each answer by method, route and status, and may log it.

    What it says is of a closed set, whatever clients send: no path, query, address, id or payload.
    A line of the log is a JSON object; `bytes` are those of the body as it came, `source` is the
    name of the key.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, *, log: bool) -> None:
        self.app = app
        self.requests = metrics.requests
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, size, status = perf_counter(), 0, 500

        async def count() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            return message

        async def note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, count if self.log else receive, note)
        finally:
            found = scope.get("route")
            route = found.path_format if isinstance(found, Route) else "other"
            self.requests(scope["method"], route, status).inc()
            if self.log:
                _log(scope, route, status, perf_counter() - started, size)


def _log(scope: Scope, route: str, status: int, seconds: float, size: int) -> None:
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "method": scope["method"],
        "route": route,
        "status": status,
        "seconds": round(seconds, 6),
        "bytes": size,
    }
    if source := scope.get("source"):
        line["source"] = source
    if received := scope.get("received"):
        line["accepted"] = len(received.events)
        line["rejected"] = len(received.rejections)
    logger.info(msgspec.json.encode(line).decode())

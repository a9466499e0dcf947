"""What Prometheus reads at /metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

SIZES = [1, 4, 16, 64, 256, 1024, 4096, 16384]
SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]


class Metrics:
    """The metrics of one collector. Those with labels are functions from these to a counter."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, meaning: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(f"headwater_{name}", meaning, labels, registry=registry).labels)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"headwater_{name}", meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(f"headwater_{name}", meaning, buckets=buckets, registry=registry)

        self.requests = counter("requests", "Requests answered", "method", "route", "status")
        self.accepted = counter("events_accepted", "Events committed", "source")
        self.rejected = counter("events_rejected", "Events refused", "code")
        self.left_out = counter("events_left_out", "Events not stored: not to be counted", "source")
        self.held_bytes = gauge("held_bytes", "Bytes being read or waiting to be stored")
        self.replication_lag = gauge(
            "replication_lag_bytes", "WAL that a destination has yet to confirm", "slot"
        )
        self.database_up = gauge("database_up", "1 while the database is reachable")
        self.oldest_transaction = gauge(
            "oldest_transaction_seconds", "Age of the transaction that keeps rows from dbt"
        )
        self.commit_events = histogram("commit_events", "Events in one commit", SIZES)
        self.commit_seconds = histogram("commit_seconds", "From a batch to its commit", SECONDS)

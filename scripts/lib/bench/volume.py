"""The rows about large requests: batches beside COPY, and the collector's memory."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg
import urllib3

from scripts.lib.bench.attacks import ATTACKS, Attack, strike
from scripts.lib.bench.bench import Bench
from scripts.lib.bench.intake import SINGLE
from scripts.lib.bench.load import wrk
from scripts.lib.bench.measure import (
    Goal,
    Row,
    Sample,
    ViolationError,
    alternated,
    check_answers,
    check_count,
)
from scripts.lib.bench.posting import Requests, posted
from scripts.lib.bench.server import execute, query

BATCHES = Requests(connections=8, events=500)
# Just below 4 MiB a request; eight of them are more than the collector admits at once.
LARGEST = Requests(connections=8, events=4900, event_bytes=830, may_be_refused=True)
COPY_OUT = b"""
    copy (select received_at, source, key_id, event_id, payload from raw.events limit %s) to stdout
"""
COPY_IN = b"copy raw.events (received_at, source, key_id, event_id, payload) from stdin"


def batches(bench: Bench) -> Iterator[Row]:
    """500 events a request, beside COPY of the same rows into the same table."""
    url = bench.server.create("intake")
    with bench.collector(url) as collector:
        wrk(f"{collector.url}/events", BATCHES.connections, 2, str(BATCHES.events))
        rows = _rows(url, bench.count(200_000))
        ours, copy = alternated(
            bench.runs,
            partial(posted, bench, url, collector.url, BATCHES),
            partial(_copied, bench, url, rows),
        )
    yield Row(
        f"{BATCHES.events} events a request, {BATCHES.connections} connections",
        Sample("one process", "events/s", ours["per_second"]),
        Sample("COPY", "events/s", copy["per_second"]),
        Goal(">=", 0.8),
        "COPY: the same rows into raw.events over one connection, in one transaction, their text "
        "made beforehand.",
    )


def memory(bench: Bench) -> Iterator[Row]:
    """The most memory that one collector ever had resident, under both kinds of load."""
    work = f"memory: {SINGLE.connections} connections, then 8 bodies of 4 MiB at a time"
    if not Path("/proc/self/status").exists():
        yield Row(work, missing="measured on Linux only")
        return
    url = bench.server.create("intake")

    def loaded() -> Mapping[str, float]:
        with bench.collector(url) as collector:
            posted(bench, url, collector.url, SINGLE)
            after_single = _peak_mib(collector.pid)
            large = posted(bench, url, collector.url, LARGEST)
            check_answers("bodies of 4 MiB", _unexpected(collector.url))
            return {"peak": _peak_mib(collector.pid), "single": after_single, **large}

    [figures] = alternated(bench.runs, loaded)
    peak = Sample("most resident", "MiB", figures["peak"])
    note = (
        f"Memory after the single events alone: {max(figures['single']):.0f} MiB. Of the bodies of "
        f"4 MiB {sum(figures['ok']):.0f} were stored and {sum(figures['refused']):.0f} refused "
        "with 429, since eight are more than is admitted at once."
    )
    yield Row(work, peak, None, Goal("<=", 110, "MiB"), note)
    for name, attack in ATTACKS.items():
        yield _attacked(bench, url, name, attack)


def _attacked(bench: Bench, url: str, name: str, attack: Attack) -> Row:
    """The memory of one collector under an attack, and how long others waited for an answer."""
    bench.say(f"attack: {name}")

    def attacked() -> Mapping[str, float]:
        with bench.collector(url) as collector:
            try:
                wait = strike(url, collector.url, attack)
            except AssertionError as error:
                raise ViolationError(f"{name}: {error}") from error
            return {"peak": _peak_mib(collector.pid), "wait": wait}

    [figures] = alternated(bench.runs, attacked)
    peak = Sample("most resident", "MiB", figures["peak"])
    wait = Sample("longest wait for /healthz", "ms", figures["wait"])
    note = f"Longest wait for /healthz meanwhile: {wait.median:,.0f} ms."
    return Row(f"attack: {name}", peak, None, Goal("<=", 110, "MiB"), note)


def _rows(database_url: str, count: int) -> bytes:
    """Rows as the collector stored them, in the text format of COPY."""
    with closing(psycopg.ClientCursor(psycopg.connect(database_url))) as cursor:
        with cursor.copy(COPY_OUT, [count]) as copy:
            rows = b"".join(bytes(block) for block in copy)
        cursor.connection.close()
    return rows


def _copied(bench: Bench, database_url: str, rows: bytes) -> Mapping[str, float]:
    count = rows.count(b"\n")
    bench.say(f"COPY of {count:,} rows")
    execute(database_url, "truncate raw.events")
    bench.server.settle()
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        started = time.monotonic()
        with connection.cursor().copy(COPY_IN) as copy:
            copy.write(rows)
        seconds = time.monotonic() - started
    [(landed,)] = query(database_url, "select count(*) from raw.events")
    check_count("COPY", count, landed)
    return {"per_second": count / seconds}


def _unexpected(url: str) -> int:
    """How many requests were answered with anything but 200 and 429, or 400 when wrk hung up."""
    text = urllib3.request("GET", f"{url}/metrics").data.decode()
    counted = re.findall(
        r'^headwater_requests_total\{.*route="/events",status="(\d+)"\} (\S+)', text, re.MULTILINE
    )
    return round(
        sum(float(count) for status, count in counted if status not in ("200", "400", "429"))
    )


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak) / 1024

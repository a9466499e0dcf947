"""The rows of docs/scale.md: what events cost, in CPU and in bytes, and how that grows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil

from scripts.lib.base.cli import UserError
from scripts.lib.bench.bench import Bench
from scripts.lib.bench.intake import SINGLE
from scripts.lib.bench.load import wrk
from scripts.lib.bench.measure import Row, Sample
from scripts.lib.bench.posting import SIDES, WARM_UP_SECONDS, posted
from scripts.lib.bench.server import measured, query
from scripts.lib.bench.volume import BATCHES
from scripts.lib.bench.warehouse import AS_OF, NEW_EVENTS, Warehouse, landed

USERS = (20_000, 200_000)
MOST_USERS = 1_000_000
SAMPLE_SECONDS = 0.5
SCHEMAS = ("raw", "staging", "intermediate", "marts")
_BYTES = """
    select coalesce(sum(pg_total_relation_size(pg_class.oid)), 0)
    from pg_class
    inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
    where pg_namespace.nspname = %s and pg_class.relkind in ('r', 'm')
"""


def scale(bench: Bench) -> Iterator[Row]:
    """Taking events, then builds of 200,000 and of 2,000,000 on PostgreSQL and on Spark."""
    yield from _taken(bench)
    for users in USERS:
        warehouse = landed(bench, "scale", bench.count(users))
        yield from _on_postgresql(bench, warehouse)
        yield from _on_spark(bench, warehouse)


def scale_10m(bench: Bench) -> Iterator[Row]:
    """Builds of 10,000,000 events on PostgreSQL."""
    yield from _on_postgresql(bench, landed(bench, "scale", bench.count(MOST_USERS)))


def _taken(bench: Bench) -> Iterator[Row]:
    url = bench.server.create("intake")
    with bench.collector(url) as collector:
        for requests in (SINGLE, BATCHES):
            warm_up = (requests.connections, WARM_UP_SECONDS, str(requests.events))
            wrk(f"{collector.url}/events", *warm_up)
            with measured(url) as used:
                figures = posted(bench, url, collector.url, requests)
            [(count,)] = query(url, "select count(*) from raw.events")
            seconds = {side: figures[side] / figures["per_second"] * 1e6 for side in SIDES}
            yield Row(
                f"a million events, {requests}",
                Sample("the collector", "s of CPU", (seconds["collector"],)),
                note=f"PostgreSQL {seconds['PostgreSQL']:.1f} s of CPU, "
                f"{used.wal / count * 1e6 / 1e9:.2f} GB of WAL.",
            )


def _on_postgresql(bench: Bench, warehouse: Warehouse) -> Iterator[Row]:
    events = warehouse.events
    yield _built(bench, warehouse, f"dbt run, first build of {events} events")
    count = int(events.replace(",", ""))
    by_schema = {
        schema: int(query(warehouse.database_url, _BYTES, schema)[0][0]) / count
        for schema in SCHEMAS
    }
    yield Row(
        f"on disk after it, of {events} events",
        Sample("indexes included", "bytes an event", (sum(by_schema.values()),)),
        note=", ".join(f"{schema} {size:,.0f}" for schema, size in by_schema.items()) + ".",
    )
    warehouse.land_increment()
    yield _built(bench, warehouse, f"dbt run after {NEW_EVENTS:,} more than {events} events")


def _built(bench: Bench, warehouse: Warehouse, work: str) -> Row:
    bench.say(work)
    bench.server.settle()
    with measured(warehouse.database_url) as used:
        run = warehouse.dbt("run")
    return Row(
        work,
        Sample("PostgreSQL", "s of CPU", (used.postgres,)),
        note=f"dbt {used.dbt:.1f} s of CPU, {used.wal / 1e9:.2f} GB of WAL; "
        f"{run.wall_seconds:.0f} s by the clock at a load of {used.load:.1f}.",
    )


def _on_spark(bench: Bench, warehouse: Warehouse) -> Iterator[Row]:
    if not (find_spec("pyspark") and shutil.which("java")):
        yield Row("scripts/spark", missing="needs scripts/install --spark and Java 17")
        return
    lake = bench.folder / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    _run(warehouse, "lake", "--to", str(lake))
    for workers in (1, 2):
        to, events = bench.folder / "marts", bench.folder / "events"
        bench.say(f"scripts/spark --workers {workers} of {warehouse.events} events")
        started = time.monotonic()
        seconds = _run(
            warehouse, "spark", "--lake", str(lake), "--to", str(to), "--workers", str(workers),
            "--event-log", str(events), "--as-of", f"{AS_OF}:00",
        )  # fmt: skip
        wall = time.monotonic() - started
        count = int(warehouse.events.replace(",", ""))
        yield Row(
            f"scripts/spark --workers {workers} of {warehouse.events} events",
            Sample("tasks", "s of CPU", (_task_seconds(events),)),
            note=f"All processes, dbt's and those of the cluster included, {seconds:.0f} s of CPU; "
            f"{wall:.0f} s by the clock at a load of {os.getloadavg()[0]:.1f}. Of the lake "
            f"{_size(lake) / count:.0f} bytes an event, of the marts "
            f"{_size(to / 'current' / 'marts.db') / count:.0f}.",
        )
        shutil.rmtree(to)
        shutil.rmtree(events)


def _run(warehouse: Warehouse, room: str, *arguments: str) -> float:
    """Runs a command: seconds of CPU of all its processes. Raises UserError where it fails.

    They are looked at while they run, since nobody waits for those of a cluster.
    """
    used: dict[psutil.Process, float] = {}
    log = warehouse.folder / f"{room}.log"
    with log.open("w") as output, subprocess.Popen(
        [sys.executable, "-P", "-m", f"scripts.lib.{room}", *arguments],
        env=warehouse.environment(), stdout=output, stderr=output,
    ) as process:  # fmt: skip
        first = psutil.Process(process.pid)
        while process.poll() is None:
            for each in (first, *first.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    used[each] = sum(each.cpu_times()[:2])
            time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise UserError(f"{room} failed:\n{log.read_text()[-3000:]}")
    return sum(used.values())


def _task_seconds(events: Path) -> float:
    """CPU seconds of tasks, by Spark's own account."""
    nanoseconds = 0
    for path in events.rglob("events_*"):
        for line in path.read_bytes().splitlines():
            event: Mapping[str, Mapping[str, int]] = json.loads(line)
            nanoseconds += event.get("Task Metrics", {}).get("Executor CPU Time", 0)
    return nanoseconds / 1e9


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))

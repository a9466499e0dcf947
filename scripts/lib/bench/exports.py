"""The row about the lake: how fast raw becomes files."""

from __future__ import annotations

import argparse
import io
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from statistics import median

from scripts.lib.base.settings import Settings
from scripts.lib.bench.bench import Bench
from scripts.lib.bench.measure import Goal, Row, Sample, alternated, check_count
from scripts.lib.bench.server import execute, postgres_seconds, query
from scripts.lib.bench.warehouse import EVENTS_PER_USER, land_script
from scripts.lib.lake import command

USERS = 100_000
_SIZE = "select sum(pg_total_relation_size(relid)) from pg_partition_tree('raw.events')"


def export(bench: Bench) -> Iterator[Row]:
    """`scripts/export` of events and users of 90 days into an empty folder."""
    users = bench.count(USERS)
    rows = users * (EVENTS_PER_USER + 1)
    url = bench.server.create("export")
    land_script(url, "land_history", {"users": users})
    execute(url, "vacuum analyze")
    lake = bench.folder / "lake"
    options = argparse.Namespace(
        to=str(lake), name="", step=2_000_000, reconcile=False, compact=False
    )

    def exported() -> Mapping[str, float]:
        shutil.rmtree(lake, ignore_errors=True)
        execute(url, "delete from raw.lakes")
        bench.server.settle()
        bench.say(f"scripts/export of {rows:,} rows")
        before = time.monotonic(), time.process_time(), postgres_seconds(url)
        with redirect_stdout(io.StringIO()) as said:
            command.export(Settings.from_environment({"DATABASE_URL": url}), options)
        wall, ours = time.monotonic() - before[0], time.process_time() - before[1]
        check_count("scripts/export", rows, rows if f"exported {rows:,} " in said.getvalue() else 0)
        return {
            "wall": rows / wall,
            "ours": rows / ours,
            "postgres": (postgres_seconds(url) - before[2]) / rows * 1e6,
            "bytes": sum(path.stat().st_size for path in lake.rglob("*.parquet")) / rows,
        }

    exported()  # imports, and pages of the table
    [figures] = alternated(bench.runs, exported)
    [(size,)] = query(url, _SIZE)
    yield Row(
        f"scripts/export of {rows:,} rows of 90 days, by seconds of its own CPU",
        Sample("one process", "rows/s", figures["ours"]),
        None,
        Goal(">=", 500_000, "rows/s"),
        f"By the clock {median(figures['wall']):,.0f} rows/s; PostgreSQL takes "
        f"{median(figures['postgres']):.1f} µs of CPU a row beside, most of it to write JSON out. "
        f"{median(figures['bytes']):.0f} bytes a row, in raw.events "
        f"{int(size) / users / EVENTS_PER_USER:.0f}.",
    )

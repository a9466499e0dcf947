"""Work is counted, not timed: what a request and an increment cost stays what the file says.

A figure that leaves its margin, upwards or downwards, fails. HEADWATER_UPDATE_COUNTS=1 writes the
new figures to counted_work.json; commit them with the reason.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from collector.app import create_app
from collector.settings import Settings
from scripts.lib.bench.warehouse import land_script
from tests.support.api import event
from tests.support.collector import rows_of, wait_until
from tests.support.postgres import GIVEN_URL, WAIT_SECONDS
from tests.support.warehouse import Warehouse

pytestmark = pytest.mark.every_postgres

FIGURES = Path(__file__).with_name("counted_work.json")
REQUESTS = 100
BATCH = 500
NEW_EVENTS = 500
COMMITS = "select xact_commit from pg_stat_database where datname = current_database()"
WAL_POSITION = "select pg_current_wal_insert_lsn() - '0/0'"
ROWS_READ = """
    select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) from pg_stat_user_tables
"""
SESSIONS = "select count(*) from pg_stat_activity where datname = %s"
# The collector has done what it does once: connected, loaded the keys, seen to the partitions.
SETTLED = """
    select bool_and(state = 'idle') and bool_or(query = 'select raw.keep_event_partitions()')
    from pg_stat_activity where datname = %s
"""
VACUUMING = "select count(*) from pg_stat_activity where backend_type = 'autovacuum worker'"
FULL_PAGES = "select full_page_writes from pg_control_checkpoint()"


def compare(name: str, figure: float, margin: float) -> None:
    """Fails where a figure is further from the committed one than the share `margin`."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if os.environ.get("HEADWATER_UPDATE_COUNTS"):
        figures[name] = round(figure, 2)
        FIGURES.write_text(json.dumps(figures, indent=4, sort_keys=True) + "\n")
        return
    low, high = figures[name] * (1 - margin), figures[name] * (1 + margin)
    assert low <= figure <= high, (
        f"{name}: {figure:.2f} now, {figures[name]} before; HEADWATER_UPDATE_COUNTS=1 accepts it"
    )


@contextmanager
def undisturbed(server: str) -> Iterator[None]:
    """Keeps the server from work of its own: what it does when is nobody's request.

    Autovacuum writes, and takes statistics that change plans. The first change of a page after a
    checkpoint writes the whole page to the WAL, unless that is switched off.
    """
    settings = ("autovacuum",) if GIVEN_URL else ("autovacuum", "full_page_writes")
    with closing(psycopg.connect(server, autocommit=True)) as connection:

        def configure(change: str) -> None:
            for setting in settings:
                connection.execute(change.format(setting).encode())
            connection.execute("select pg_reload_conf()")

        def in_force() -> bool:
            if not GIVEN_URL:
                connection.execute("checkpoint")
                if connection.execute(FULL_PAGES).fetchone() != (False,):
                    return False
            return connection.execute(VACUUMING).fetchone() == (0,)

        try:
            configure("alter system set {} = off")
            wait_until(in_force)
            yield
        finally:
            configure("alter system reset {}")


def wait_for_statistics(server: str, database: str) -> None:
    """Returns when no session of the database is left: each adds its statistics when it ends.

    Asked from elsewhere, for the question is a commit and a reading, too.
    """
    name = urlsplit(database).path[1:]
    wait_until(lambda: rows_of(server, SESSIONS, name) == [(0,)])


def posted(server: str, database: str, body: bytes, requests: int) -> tuple[float, float, float]:
    """Posts the body so often to a collector in this process, one request after the other.

    Returns Python function calls, commits and bytes of WAL a request.
    """
    app = create_app(Settings.from_environment({"DATABASE_URL": database}))
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "path": "/events", "raw_path": b"/events", "query_string": b"", "root_path": "",
        "scheme": "http",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),  # nothing listens on either
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "headwater.connection": {},
    }  # fmt: skip
    calls = 0

    def count(_frame: FrameType, kind: str, _argument: object) -> None:
        nonlocal calls
        calls += kind == "call"

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def request() -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:  # noqa: ANN401
            sent.append(message)

        await app(dict(scope), receive, send)
        assert sent[0]["status"] == 200, sent

    async def settled() -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while rows_of(server, SETTLED, urlsplit(database).path[1:]) != [(True,)]:
                await asyncio.sleep(0.05)

    async def all_requests() -> tuple[float, int]:
        nonlocal calls
        async with app.lifespan_context(app):
            await settled()
            for _ in range(10):
                await request()
            before = rows_of(database, WAL_POSITION)[0][0]
            sys.setprofile(count)
            try:
                for _ in range(requests):
                    await request()
            finally:
                sys.setprofile(None)
            counted = calls
            return counted / requests, rows_of(database, WAL_POSITION)[0][0] - before

    commits_before = rows_of(database, COMMITS)[0][0]
    with undisturbed(server):
        calls_each, wal = asyncio.run(all_requests())
    wait_for_statistics(server, database)
    commits = rows_of(database, COMMITS)[0][0] - commits_before
    assert rows_of(database, "select count(*) > 0 from raw.events") == [(True,)]
    return calls_each, commits / requests, float(wal) / requests


def test_single_event(postgres_url: str, database: str) -> None:
    calls, commits, wal = posted(postgres_url, database, json.dumps(event()).encode(), REQUESTS)
    compare("Python calls, one event a request", calls, 0.25)
    compare("commits, one event a request", commits, 0.35)
    if not GIVEN_URL:  # others write to it too
        compare("WAL bytes, one event a request", wal, 0.25)


def test_batch(postgres_url: str, database: str) -> None:
    body = json.dumps([event() for _ in range(BATCH)]).encode()
    calls, _, wal = posted(postgres_url, database, body, 10)
    compare("Python calls an event, 500 a request", calls / BATCH, 0.25)
    if not GIVEN_URL:
        compare("WAL bytes an event, 500 a request", wal / BATCH, 0.25)


def test_twice_the_work_is_noticed(
    postgres_url: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from collector import events, validation  # noqa: PLC0415

    def twice(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        yield from validation.read_events(*arguments, **options)
        return (yield from validation.read_events(*arguments, **options))

    monkeypatch.setattr(events, "read_events", twice)
    monkeypatch.delenv("HEADWATER_UPDATE_COUNTS", raising=False)
    with pytest.raises(AssertionError, match="Python calls an event"):
        test_batch(postgres_url, database)


@pytest.mark.slow
def test_increment(warehouse: Warehouse, postgres_url: str) -> None:
    with undisturbed(postgres_url):
        count_increment(postgres_url, warehouse)


def count_increment(server: str, warehouse: Warehouse) -> None:
    sizes = {"users": 1000, "new_users": 100, "new_events": NEW_EVENTS, "batch": 1}
    land_script(warehouse.database_url, "land_history", sizes)
    warehouse.run()
    warehouse.execute("analyze")
    land_script(warehouse.database_url, "land_increment", sizes)
    read = []
    for _ in range(2):
        read.append(rows_read(server, warehouse))
        warehouse.dbt("run", "--threads", "1")
    read.append(rows_read(server, warehouse))
    assert warehouse.query("select count(*) from marts.fct_events") == [(10_000 + NEW_EVENTS,)]
    compare("rows read for a new event in an increment", (read[1] - read[0]) / NEW_EVENTS, 0.2)
    compare("rows read with nothing new", read[2] - read[1], 0.2)


def rows_read(server: str, warehouse: Warehouse) -> float:
    """Rows that scans of all tables have read so far."""
    wait_for_statistics(server, warehouse.database_url)
    return float(warehouse.query(ROWS_READ)[0][0])

"""Partitions of raw.events are there before their months, and nobody waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from collector.migrate import migrate
from scripts.lib.status.builds import Status, with_partitions
from tests.support.collector import rows_of, running_collector, wait_until

pytestmark = pytest.mark.every_postgres

LAND = """
    insert into raw.events (received_at, source, event_id, payload)
    values (now() + %s::interval, 'default', %s, '{}') returning tableoid::regclass::text
"""
IN_DEFAULT = "select count(*) from raw.events_default"
# As a database is whose partitions nobody made for a year.
FORGET_PARTITIONS = """
    do $$
    declare
        partition regclass;
    begin
        for partition in
            select inhrelid::regclass from pg_inherits
            where inhparent = 'raw.events'::regclass and inhrelid <> 'raw.events_default'::regclass
        loop
            execute 'drop table ' || partition;
        end loop;
    end
    $$
"""


def execute(database_url: str, *statements: str) -> None:
    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@contextmanager
def reader(database_url: str) -> Iterator[None]:
    """Somebody who reads raw in a transaction that stays open."""
    with closing(psycopg.connect(database_url)) as connection:
        connection.execute("select count(*) from raw.events")
        yield


@contextmanager
def writer(database_url: str, ahead: str) -> Iterator[list[str]]:
    """Lands an event after the other, `ahead` of now: the keys of those committed."""
    landed: list[str] = []
    stopping = threading.Event()

    def land() -> None:
        with closing(psycopg.connect(database_url)) as connection:
            while not stopping.is_set():
                key = str(len(landed))
                connection.execute(LAND.encode(), [ahead, key])
                time.sleep(0.001)  # so that transactions are open at any moment
                connection.commit()
                landed.append(key)

    thread = threading.Thread(target=land)
    thread.start()
    try:
        wait_until(lambda: len(landed) > 100)
        yield landed
    finally:
        stopping.set()
        thread.join()


def test_nobody_waits_for_a_partition_and_it_for_nobody_long(database: str) -> None:
    execute(database, FORGET_PARTITIONS)
    with reader(database), closing(psycopg.connect(database, autocommit=True)) as connection:
        began = time.monotonic()
        with writer(database, "2 years") as landed:
            connection.execute("select raw.ensure_event_partitions(1)")
            before = len(landed)
            wait_until(lambda: len(landed) > before + 100)
        assert time.monotonic() - began < 30
    assert rows_of(database, "select raw.ensure_event_partitions(1)") == [(2,)]


def test_collector_makes_partitions_ahead(database: str) -> None:
    execute(database, FORGET_PARTITIONS)
    assert rows_of(database, "select raw.event_partitions_end()") == [(None,)]
    with running_collector(database):
        wait_until(
            lambda: (
                rows_of(
                    database,
                    "select raw.event_partitions_end() > now() + interval '12 months'",
                )
                == [(True,)]
            )
        )


def test_status_tells_three_months_before_the_last_one(database: str) -> None:
    good = Status("ok", "here", "good", None, 0, ())
    assert with_partitions(good, database).status == "ok"
    execute(database, FORGET_PARTITIONS, "select raw.ensure_event_partitions(2)")
    wanting = with_partitions(good, database)
    assert list(wanting.partitions.values()) == [2]
    assert wanting.status == "partitions"
    assert "for 2 more months only: run scripts/migrate" in wanting.text


def test_clock_moved_on_by_30_months(database: str) -> None:
    """Rows of a month that began without its partition get it while more of them are landed."""
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        [row] = connection.execute(LAND.encode(), ["29 months", "before"]).fetchall()
        assert row == ("raw.events_default",)
        with writer(database, "30 months") as landed:
            before = len(landed)
            migrate(database)
            wait_until(lambda: len(landed) > before + 100)
        assert rows_of(database, IN_DEFAULT) == [(0,)]
        assert rows_of(
            database, "select event_id, count(*) from raw.events group by 1 order by 1"
        ) == sorted((key, 1) for key in [*landed, "before"])
        ahead = "select raw.ensure_event_partitions(12, now() + interval '30 months')"
        connection.execute(ahead.encode())
        for months in range(29, 42):
            [(partition,)] = connection.execute(LAND.encode(), [f"{months} months", "x"]).fetchall()
            assert partition != "raw.events_default"


def test_detached_partition_is_never_touched(database: str) -> None:
    execute(
        database,
        "create table raw.events_2001_02 (kept integer)",
        "insert into raw.events (received_at, source, event_id, payload)"
        " values ('2001-02-03', 'default', 'e', '{}')",
    )
    migrate(database)
    assert rows_of(database, "select count(*) from raw.events_2001_02") == [(0,)]
    assert rows_of(database, IN_DEFAULT) == [(1,)]

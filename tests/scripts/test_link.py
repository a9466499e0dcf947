"""Raw is replicated from a source server to a destination server, where dbt builds as ever."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.faults.trial import trial
from tests.support.collector import rows_of, wait_until
from tests.support.replication import IN_A_YEAR, NOWHERE, RAW, UPDATE_USER, WITH_NOTE, Pair
from tests.support.webhook import webhook

pytestmark = pytest.mark.every_postgres

PARTITION_AND_NOTE = """
    select tableoid = 'raw.events_default'::regclass, note
    from raw.events where event_id = 'in a year' order by event_row_id
"""
UNREADABLE = """
    select count(*) from raw.events where loaded_xid >= pg_snapshot_xmin(pg_current_snapshot())
"""


def with_user(url: str, user: str) -> str:
    """The URL for another role."""
    address = urlsplit(url)
    return address._replace(netloc=f"{user}@").geturl()


def test_refusals_say_what_to_change(pair: Pair) -> None:
    source, destination = pair.source.url, pair.destination.url
    assert "are the same database" in pair.refused(DESTINATION_DATABASE_URL=source)
    assert "the source (none on 127.0.0.1) is unreachable" in pair.refused(
        SOURCE_DATABASE_URL=NOWHERE
    )
    assert "Check DESTINATION_DATABASE_URL" in pair.refused(DESTINATION_DATABASE_URL=NOWHERE)
    assert "alter system set wal_level = logical" in pair.refused(
        SOURCE_DATABASE_URL=destination, DESTINATION_DATABASE_URL=source
    )
    assert "run scripts/link" in pair.refused("--status")
    elsewhere = "postgresql://postgres@127.0.0.1:1/none"
    assert "has to reach the source (--connection)" in pair.refused("--connection", elsewhere)
    for server in (pair.source, pair.destination):
        server.execute("create role plain login")
    pair.destination.execute("create database plain owner plain")
    try:
        plain = with_user(source, "plain")
        assert "grant headwater_transformer to plain" in pair.refused("--connection", plain)
        pair.source.execute("grant headwater_transformer to plain")
        assert "as a role with REPLICATION" in pair.refused("--connection", plain)
        assert "take the owner of raw" in pair.refused(MIGRATION_DATABASE_URL=plain)
        plain = with_user(destination, "plain").replace("/hw_warehouse", "/plain")
        assert "has to be allowed subscriptions" in pair.refused(DESTINATION_DATABASE_URL=plain)
    finally:
        pair.destination.execute("drop database plain")
        pair.source.execute("revoke headwater_transformer from plain")
        for server in (pair.source, pair.destination):
            server.execute("drop role plain")
    # Nothing is left that would hold back the source's WAL.
    assert rows_of(source, "select slot_name from pg_replication_slots") == []
    pair.link("--remove")


def test_linked_and_linked_again(linked: Pair) -> None:
    slots = "select slot_name from pg_replication_slots where slot_name like 'headwater%'"
    [(slot,)] = rows_of(linked.source.url, slots)
    assert f"source: slot {slot}, read, " in linked.link("--status")
    assert "is up to date" in linked.link()
    told = linked.link("--replace", "--dry-run")
    assert "destination: would empty raw.users, 1 row, and copy 1 row" in told
    assert f"source: would drop the slot {slot}" in linked.link("--remove", "--dry-run")
    assert rows_of(linked.source.url, slots) == [(slot,)]
    linked.link("--status")
    linked.agree()

    half = linked.script("link", "--remove", SOURCE_DATABASE_URL=NOWHERE)
    assert half.returncode == 1
    assert f"select pg_drop_replication_slot('{slot}')" in half.stdout
    assert rows_of(linked.destination.url, "select subname from pg_subscription") == []
    linked.link("--remove")
    assert rows_of(linked.source.url, slots) == []
    assert "--replace" in linked.refused()
    linked.source.execute(UPDATE_USER)
    linked.link("--replace")
    linked.agree()

    linked.destination.stop("immediate")
    half = linked.script("link", "--remove")
    linked.destination.start()
    assert half.returncode == 1
    assert "When it is back, run this again" in half.stdout
    assert rows_of(linked.source.url, slots) == []
    linked.link("--remove")
    assert rows_of(linked.destination.url, "select subname from pg_subscription") == []


def test_migrate_has_the_destination_follow_a_new_table(linked: Pair) -> None:
    for server in (linked.destination, linked.source):  # as a migration adds it
        server.execute(
            "create table raw.parcels (parcel integer)",
            "alter table raw.parcels add loaded_xid xid8 default pg_current_xact_id()",
        )
    try:
        linked.source.execute("insert into raw.parcels (parcel) values (1)")
        migrated = linked.script("migrate")
        assert migrated.returncode == 0, migrated.stderr
        linked.source.execute("insert into raw.parcels (parcel) values (2)")
        parcels = "select parcel from raw.parcels order by 1"
        wait_until(lambda: rows_of(linked.destination.url, parcels) == [(1,), (2,)])
    finally:
        for server in (linked.source, linked.destination):
            server.execute("drop table raw.parcels")


def test_check_tells_of_the_days_that_differ(linked: Pair) -> None:
    yesterday = "update raw.users set received_at = now() - interval '1 day'"
    for server in (linked.source, linked.destination):
        server.execute(yesterday)
    assert "has the same rows on each day" in linked.link("--check", "3")
    linked.destination.execute("delete from raw.users")
    with webhook() as (url, posted):
        found = linked.script("link", "--check", "3", ALERT_WEBHOOK_URL=url)
    assert found.returncode == 1
    assert "1 row in the source, 0 in the destination" in found.stdout
    assert [post["status"] for post in posted] == ["differs"]
    assert "raw.users of " in posted[0]["text"]


def test_status_notices_a_row_that_cannot_be_applied(linked: Pair) -> None:
    """And no longer once it can: the errors that are past mean nothing."""
    add = "alter table raw.users add constraint poison check (user_id <> '1') not valid"
    linked.destination.execute(add)
    try:
        linked.source.execute(UPDATE_USER)

        def errors() -> bool:
            counts = "select apply_error_count from pg_stat_subscription_stats"
            return rows_of(linked.destination.url, counts) != [(0,)]

        wait_until(errors)
        status = linked.script("link", "--status")
        assert status.returncode == 1, status.stdout
        assert "wrong: " in status.stdout
    finally:
        linked.destination.execute("alter table raw.users drop constraint poison")
    linked.agree()
    assert ", 0 errors" not in linked.link("--status")


def test_replication_under_load(linked: Pair, tmp_path: Path) -> None:
    """Either side stops, months and a column are added; in the end both have the same rows."""
    both = (linked.destination, linked.source)  # what is new comes to the destination first
    with trial("replication", linked.source, tmp_path) as it:
        it.load()
        linked.destination.stop("immediate")
        it.load()
        [behind] = httpx.get(f"{it.url}/readyz").json()["replication"]
        assert not behind["active"]
        assert behind["lagBytes"] > 0
        lag = f'headwater_replication_lag_bytes{{slot="{behind["slot"]}"}} '
        [sample] = [
            line for line in httpx.get(f"{it.url}/metrics").text.splitlines() if lag in line
        ]
        assert float(sample.removeprefix(lag)) > 0
        assert "the destination (hw_warehouse on " in linked.refused("--status")
        linked.destination.start()
        it.load()
        linked.source.stop("immediate")
        linked.source.start()
        it.recover(time.monotonic())
        for server in both:
            server.execute("select raw.ensure_event_partitions(14)")
        linked.source.execute(IN_A_YEAR)
        for server in both:
            server.execute("alter table raw.events add column note text")
        linked.link()
        linked.source.execute(WITH_NOTE)
        it.finish(1)
    linked.agree(events=RAW["events"] + ", note")
    for server in both:
        assert rows_of(server.url, PARTITION_AND_NOTE) == [(False, None), (False, "x")]
    assert rows_of(linked.destination.url, UNREADABLE) == [(0,)]
    linked.link("--status")

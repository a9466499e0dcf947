"""Raw is replicated from a source server to a destination server, where dbt builds as ever."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from collector.settings import ROOT
from scripts.lib.base.database import Databases
from scripts.lib.privacy.erasure import NotYetError, erase, go_on, preview
from scripts.lib.privacy.people import Identity, all_identities, targets
from scripts.lib.privacy.place import opened_place
from tests.faults.servers import Postgres, own_postgres
from tests.faults.trial import trial
from tests.support.collector import rows_of, wait_until
from tests.support.warehouse import Warehouse, assert_raw_and_marts_agree, event_ids, page_view
from tests.support.webhook import webhook
from tests.support.writer import Writer

pytestmark = pytest.mark.every_postgres

# Stamps are the destination's own; all else is the same on both sides, to the row.
RAW = {
    "events": "event_row_id, received_at, source, key_id, event_id, payload",
    "users": "user_row_id, received_at, occurred_at, source, key_id, user_id, payload",
    "rejected_events": "rejected_row_id, received_at, source, key_id, code, message, payload",
}
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
REJECT = """
    insert into raw.rejected_events (received_at, source, code, message, payload)
    values (now(), 'default', 'missing_field', 'eventType is missing', '{}')
"""
UPDATE_USER = """
    insert into raw.users (received_at, occurred_at, source, user_id, payload)
    values (now(), '2026-10-01 00:00:00+00', 'default', '1', '{"userId": 1, "ficoScore": 700}')
"""
DROP_SLOT = """
    select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active
"""
IN_A_YEAR = """
    insert into raw.events (received_at, source, event_id, payload)
    values (
        now() + interval '13 months', 'default', 'in a year',
        '{"eventType": "page_viewed", "userId": 1, "activity": {}}'
    )
"""
WITH_NOTE = """
    insert into raw.events (received_at, source, event_id, payload, note)
    values (now() + interval '13 months', 'default', 'in a year', '{}', 'x')
"""
PARTITION_AND_NOTE = """
    select tableoid = 'raw.events_default'::regclass, note
    from raw.events where event_id = 'in a year' order by event_row_id
"""
UNREADABLE = """
    select count(*) from raw.events where loaded_xid >= pg_snapshot_xmin(pg_current_snapshot())
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A source and a destination, each a server of its own, and `scripts/link` on them."""

    source: Postgres
    destination: Postgres
    folder: Path

    def script(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a script on both databases."""
        return subprocess.run(
            [ROOT / "scripts" / arguments[0], *arguments[1:]],
            env={
                "PATH": os.environ["PATH"],
                "HEADWATER_DATA": str(self.folder),
                "SOURCE_DATABASE_URL": self.source.url,
                "DESTINATION_DATABASE_URL": self.destination.url,
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def link(self, *arguments: str, **environment: str) -> str:
        """Runs `scripts/link`, which has to succeed, and returns what it printed."""
        finished = self.script("link", *arguments, **environment)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def refused(self, *arguments: str, **environment: str) -> str:
        """Runs `scripts/link`, which has to fail, and returns its one line of error."""
        finished = self.script("link", *arguments, **environment)
        assert finished.returncode == 1, finished.stdout
        assert finished.stderr.startswith("error: ")
        assert finished.stderr.count("\n") == 1, finished.stderr
        return finished.stderr

    def agree(self, **columns: str) -> None:
        """Waits until raw is the same on both sides, row by row."""
        for table, names in (RAW | columns).items():
            query = f"select {names} from raw.{table} order by 1"  # noqa: S608
            here = rows_of(self.source.url, query)
            wait_until(lambda: len(rows_of(self.destination.url, query)) == len(here))  # noqa: B023
            assert rows_of(self.destination.url, query) == here


def with_user(url: str, user: str) -> str:
    """The URL for another role."""
    address = urlsplit(url)
    return address._replace(netloc=f"{user}@").geturl()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two servers; the source can be replicated from."""
    with own_postgres() as source, own_postgres() as destination:
        source.execute("alter system set wal_level = logical")
        source.stop("fast")
        source.start()
        yield Pair(source, destination, tmp_path_factory.mktemp("pair"))


@pytest.fixture
def linked(pair: Pair) -> Iterator[Pair]:
    """A pair with rows in the source, all of them replicated, and none when the test ends."""
    pair.source.execute(UPDATE_USER, REJECT)
    pair.link()
    pair.agree()
    yield pair
    pair.script("link", "--remove")
    for server in (pair.source, pair.destination):
        server.execute("alter table raw.events drop column if exists note")
        server.execute("truncate raw.heartbeats, " + ", ".join(f"raw.{table}" for table in RAW))
        server.execute(
            "drop schema if exists staging, intermediate, marts, reports, failing_rows cascade"
        )


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
    assert "destination: would empty raw.users, 1 rows, and copy 1 rows" in told
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
    assert "1 rows in the source, 0 in the destination" in found.stdout
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


@pytest.mark.slow
def test_raw_and_marts_agree_after_each_disturbance(linked: Pair, parsed_project: Path) -> None:
    project = shutil.copytree(parsed_project, linked.folder / "disturbed" / "dbt_project")
    source = Warehouse(linked.source.url, project)
    destination = Warehouse(linked.destination.url, project)
    both = (linked.destination, linked.source)
    sent: list[str] = []

    def agree(after: str) -> None:
        sent.append(after)
        source.land(page_view(after))
        linked.agree()
        destination.run("--select", "+fct_events")
        assert event_ids(destination) == sorted(sent)

    agree("copied")
    linked.destination.stop("immediate")
    sent.append("while it was away")
    source.land(page_view("while it was away"))
    linked.destination.start()
    agree("destination stopped")
    linked.source.stop("immediate")
    linked.source.start()
    agree("source restarted")
    for server in both:
        server.execute("select raw.ensure_event_partitions(14)")
    linked.source.execute(IN_A_YEAR)
    sent.append("in a year")
    agree("partitions made")
    for server in both:
        server.execute("alter table raw.events add column note text")
    linked.link()
    linked.source.execute(WITH_NOTE)
    agree("column added")


@pytest.mark.slow
def test_builds_in_the_destination(linked: Pair, parsed_project: Path) -> None:
    project = shutil.copytree(parsed_project, linked.folder / "dbt_project")
    warehouse = Warehouse(linked.destination.url, project)
    with Writer(linked.source.url, seed=8) as writer:
        warehouse.run()
        linked.destination.stop("fast")
        linked.destination.start()
        warehouse.run()
    assert writer.failure is None
    linked.agree()
    warehouse.build()
    assert "raw is replicated, " in linked.script("report").stdout
    copies = (
        "select source, event_id, count(*)::integer from raw.events group by 1, 2 order by 1, 2"
    )
    assert rows_of(linked.source.url, copies) == warehouse.query(
        """
        select source, event_id, 1 + cardinality(duplicate_row_ids)
        from staging.stg_events order by 1, 2
        """
    )
    assert_raw_and_marts_agree(warehouse)

    # The source fails over, has lost its last event, and gives the id of it to another one.
    warehouse.keep_marts()
    last = "(select max(event_row_id) from raw.events)"
    linked.source.execute(
        f"delete from raw.events where event_row_id = {last}",  # noqa: S608
        f"select setval('raw.events_event_row_id_seq', {last})",
    )
    linked.destination.execute("alter subscription headwater disable")
    wait_until(lambda: rows_of(linked.source.url, DROP_SLOT) != [])
    assert "wrong: the source keeps no WAL" in linked.script("link", "--status").stdout
    assert "--replace" in linked.refused()
    linked.link("--replace")
    linked.source.execute(IN_A_YEAR)
    linked.agree()
    [(rows,)] = rows_of(linked.source.url, "select count(*) from raw.events")
    found = f"of its {rows} rows, {rows - 1} are known and 1 are new; 1 known ones are no longer"
    assert found in warehouse.run()
    new = "(table marts.fct_events except table kept.fct_events) as new"
    assert warehouse.query(f"select event_id from {new}") == [("in a year",)]  # noqa: S608
    assert warehouse.query("table kept.fct_events except table marts.fct_events") == []


@pytest.mark.slow
def test_build_while_raw_is_copied_anew(linked: Pair, parsed_project: Path) -> None:
    project = shutil.copytree(parsed_project, linked.folder / "copied" / "dbt_project")
    warehouse = Warehouse(linked.destination.url, project)
    Warehouse(linked.source.url, project).land(*map(page_view, "abbb"))
    linked.agree()
    warehouse.run("--select", "+stg_events")
    staged = "select event_id, event_row_id, duplicate_row_ids from staging.stg_events order by 1"
    before = warehouse.query(staged)

    # Stands for a copy that takes longer than until the next build.
    set_copying(linked, "0")
    linked.link("--replace")
    refused = warehouse.try_dbt("run", "--select", "+stg_events")
    assert refused.returncode == 1
    assert "raw.events is still being copied from the source" in refused.stdout
    set_copying(linked, "2")
    linked.agree()
    warehouse.run("--select", "+stg_events")
    warehouse.dbt("test", "--select", "staging_conserves_every_raw_row")
    assert warehouse.query(staged) == before


def set_copying(pair: Pair, workers: str) -> None:
    pair.destination.execute(
        f"alter system set max_sync_workers_per_subscription = {workers}",
        "select pg_reload_conf()",
    )


@pytest.mark.slow
def test_destination_from_a_snapshot_of_its_disk(linked: Pair, parsed_project: Path) -> None:
    """It is seen to lack what the source had sent and takes for delivered."""
    project = shutil.copytree(parsed_project, linked.folder / "restored" / "dbt_project")
    source = Warehouse(linked.source.url, project)
    warehouse = Warehouse(linked.destination.url, project)
    data = linked.destination.data
    snapshot = data.with_name("snapshot")

    def send(event_id: str) -> None:
        source.land(page_view(event_id))
        source.execute("select raw.beat()")  # as the collector does every ten seconds
        [(beat,)] = source.query("select max(beat) from raw.heartbeats")
        newest = "select max(beat) from raw.heartbeats"
        wait_until(lambda: warehouse.query(newest) == [(beat,)])

    send("before the snapshot")
    linked.agree()
    assert "has the same rows on each day" in linked.link("--check")
    linked.destination.stop("fast")
    subprocess.run(["cp", "-a", data, snapshot], check=True)
    linked.destination.start()
    send("lost")
    linked.agree()
    # Until the source is told that it is delivered, every ten seconds, it sends it again.
    [(sent,)] = source.query("select pg_current_wal_lsn()::text")
    delivered = "select bool_and(confirmed_flush_lsn >= %s::pg_lsn) from pg_replication_slots"
    wait_until(lambda: source.query(delivered, sent) == [(True,)])
    linked.destination.stop("immediate")
    shutil.rmtree(data)
    snapshot.rename(data)
    linked.destination.start()
    send("after it")

    assert event_ids_in_raw(warehouse) == ["after it", "before the snapshot"]
    status = linked.script("link", "--status")
    assert status.returncode == 1
    assert "lacks 1 heartbeats of the source" in status.stdout
    check = linked.script("link", "--check", "1000")
    assert check.returncode == 1
    assert "raw.events of 2026-10-01: 3 rows in the source, 2 in the destination" in check.stdout
    refused = warehouse.try_dbt("build", "--select", "+stg_events")
    assert "scripts/link --replace" in refused.stdout
    linked.link("--replace")
    linked.agree()
    linked.link("--status")
    linked.link("--check")
    warehouse.run("--select", "+stg_events")


def event_ids_in_raw(warehouse: Warehouse) -> list[str]:
    return [i for (i,) in warehouse.query("select event_id from raw.events order by 1")]


@pytest.mark.slow
def test_people_are_erased_on_both_sides(linked: Pair, parsed_project: Path) -> None:
    """Also from rows that no build has read; what comes under their ids afterwards stays."""
    project = shutil.copytree(parsed_project, linked.folder / "erased" / "dbt_project")
    source = Warehouse(linked.source.url, project)
    destination = Warehouse(linked.destination.url, project)
    other_slot = "headwater_other"

    def build() -> None:
        source.land(page_view("after"))
        linked.agree()
        destination.run("--select", "+dim_users")

    of_others = page_view("of-others", "bob", activity={"path": "/?of=jane@example.com"})
    source.land(page_view("built"), of_others)
    source.execute("insert into raw.user_ids (user_id, email) values ('1', 'jane@example.com')")
    linked.agree()
    destination.run("--select", "+dim_users")
    source.land(page_view("unread"))
    source.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", other_slot)
    urls = (source.database_url, destination.database_url, source.database_url)
    with opened_place(Databases(*urls, embedded=False)) as place:
        people = all_identities(
            [Identity("email", "jane@example.com")],
            place.source, place.destination, *targets(place.destination),
        )  # fmt: skip
        linked.agree()
        previewed = preview(place, people)
        with pytest.raises(NotYetError, match=other_slot):
            erase(place, people, build, print)
        source.execute("select pg_drop_replication_slot(%s)", other_slot)
        assert go_on(place, build, print)

    assert previewed["raw.events"] == 4  # two on each side
    linked.agree()
    for server in (source, destination):
        assert server.query("select event_id from raw.events order by 1") == [
            ("after",), ("of-others",),
        ]  # fmt: skip
        assert server.query("select from raw.users") == []
        assert server.query("select state from raw.erasures") == [("finished",)]
        assert server.query("select from secret.erasing_rows") == []
    assert destination.query(
        "select event_id, activity ->> 'path' from marts.fct_events order by 1"
    ) == [("after", "/"), ("of-others", "/?of=erased")]
    before = destination.query("select * from marts.dim_users order by user_id")
    destination.run("--select", "+dim_users", "--full-refresh", reload_raw=True)
    assert destination.query("select * from marts.dim_users order by user_id") == before

"""dbt builds in the destination whatever becomes of the replication of raw."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scripts.lib.base.database import Databases
from scripts.lib.privacy.erasure import NotYetError, erase, go_on, preview
from scripts.lib.privacy.people import Identity, all_identities, targets
from scripts.lib.privacy.place import opened_place
from scripts.lib.privacy.retain import retain
from tests.support.collector import rows_of, wait_until
from tests.support.replication import IN_A_YEAR, WITH_NOTE, Pair
from tests.support.warehouse import Warehouse, assert_raw_and_marts_agree, event_ids, page_view
from tests.support.writer import Writer

pytestmark = pytest.mark.slow


DROP_SLOT = """
    select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active
"""


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
        previewed, _ = preview(place, people)
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


def test_old_months_go_on_both_sides_once_every_destination_has_them(
    linked: Pair, parsed_project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also: who opted out in the source is not counted in the destination."""
    project = shutil.copytree(parsed_project, linked.folder / "retained" / "dbt_project")
    source = Warehouse(linked.source.url, project)
    destination = Warehouse(linked.destination.url, project)
    urls = (source.database_url, destination.database_url, source.database_url)
    old, other_slot = "2024-02-10 12:00:00+00", "headwater_other"

    def said() -> list[str]:
        capsys.readouterr()
        retain(Databases(*urls, embedded=False), 400, 90)
        return capsys.readouterr().out.splitlines()

    for server in (destination, source):
        server.execute("select raw.ensure_event_partitions(0, %s::timestamptz)", old)
    source.execute(
        "insert into raw.opt_outs (changed_at, id_kind, id, is_out)"
        " values ('2024-01-01', 'user', 'eve', true)"
    )
    source.execute(
        "insert into raw.rejected_events (received_at, source, code, message, payload)"
        " values (%s, 'default', 'x', 'x', 'refused')",
        old,
    )
    source.land(page_view("old"), page_view("opted-out", "eve"), received_at=old)
    source.land(page_view("new"), received_at=f"{datetime.now(UTC)}")
    linked.agree()
    first, second, _ = said()
    assert "destination: keeps raw.events_2024_02 (2 rows, " in first
    assert "source: keeps raw.events_2024_02 (2 rows, " in second
    assert first.endswith(second[-30:])
    assert "nothing is built yet" in second
    destination.run("--select", "+dim_users")
    assert event_ids(destination) == ["new", "old"]

    source.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", other_slot)
    source.land(page_view("newer"), received_at=f"{datetime.now(UTC)}")
    wait_until(lambda: "newer" in event_ids_in_raw(destination))
    first, second, third = said()
    assert "destination: dropped raw.events_2024_02" in first
    assert "source: keeps raw.events_2024_02 (2 rows, " in second
    assert f"the destination {other_slot} has not got what the source has" in second
    assert third == "source: dropped the text of 0 refused (0 bytes)"
    source.execute("select pg_drop_replication_slot(%s)", other_slot)
    assert "source: dropped raw.events_2024_02" in said()[0]

    for server in (source, destination):
        assert event_ids_in_raw(server) == ["new", "newer"]
        assert server.query("select from raw.rejected_events where payload = 'refused'") == []
    destination.run("--select", "+dim_users")
    assert event_ids(destination) == ["new", "newer", "old"]
    destination.run("--select", "+dim_users", "--full-refresh")
    assert event_ids(destination) == ["new", "newer", "old"]

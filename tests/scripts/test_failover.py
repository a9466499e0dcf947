"""Failing over to a standby: loss-free where replication is synchronous, said where it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.faults.servers import Postgres, own_postgres
from tests.faults.trial import trial
from tests.support.api import event
from tests.support.collector import rows_of, running_collector, wait_until
from tests.support.postgres import pg_ctl, programs
from tests.support.warehouse import Warehouse, event_ids, page_view

pytestmark = pytest.mark.slow


@contextmanager
def standby_of(primary: Postgres) -> Iterator[Postgres]:
    """A physical standby of a server, as pg_basebackup makes it."""
    data = primary.data.parent / "standby"
    data.mkdir(mode=0o700)
    shutil.chown(data, primary.data.owner())
    copy = ["-h", str(primary.data), "-U", "postgres", "-D", str(data), "-R", "-c", "fast"]
    subprocess.run(
        [programs() / "pg_basebackup", *copy],
        check=True,
        user=data.owner() if os.geteuid() == 0 else None,
        cwd="/",
    )
    (data / ".s.PGSQL.5432.lock").unlink()  # the primary's, whose socket is in its data folder
    standby = Postgres(primary.url.replace(str(primary.data), str(data)), data)
    try:
        standby.start()
        yield standby
    finally:
        if standby.postmaster():
            standby.stop("immediate")


def multihost_url(first: Postgres, second: Postgres) -> str:
    """The URL by which a client finds whichever of the two takes writes."""
    hosts = ",".join(parse_qs(urlsplit(each.url).query)["host"][0] for each in (first, second))
    query = f"host={hosts}&target_session_attrs=read-write"
    return urlsplit(first.url)._replace(query=query).geturl()


def test_synchronous_standby_has_every_acknowledged_event(tmp_path: Path) -> None:
    with own_postgres() as primary, standby_of(primary) as standby:
        primary.execute("alter system set synchronous_standby_names = '*'")
        primary.execute("select pg_reload_conf()")
        is_synchronous = "select sync_state from pg_stat_replication"
        wait_until(lambda: rows_of(primary.url, is_synchronous) == [("sync",)])
        both = Postgres(multihost_url(primary, standby), primary.data)
        with trial("failover", both, tmp_path) as it:
            process = it.supervisor.collector.process
            it.load()
            primary.kill()
            killed = time.monotonic()
            pg_ctl(standby.data, "promote")
            it.recover(killed)
            outcome = it.finish(1)
            assert process.poll() is None
        assert it.ledger.acknowledged == it.ledger.sent
        assert outcome.lost == 0
        assert outcome.in_raw == outcome.sent


def test_without_the_standby_nothing_is_acknowledged() -> None:
    reload = "select pg_reload_conf()"
    with own_postgres() as primary, running_collector(primary.url) as collector:
        primary.execute("alter system set synchronous_standby_names = '*'", reload)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{collector.url}/events", json=event(), timeout=2)
        primary.execute("alter system reset synchronous_standby_names", reload)
        assert httpx.post(f"{collector.url}/events", json=event()).status_code == 200


def test_build_after_an_asynchronous_failover_says_what_differs(
    parsed_project: Path, tmp_path: Path
) -> None:
    project = shutil.copytree(parsed_project, tmp_path / "dbt_project")
    with own_postgres() as primary, standby_of(primary) as standby:
        warehouse = Warehouse(primary.url, project)
        warehouse.land(page_view("a"), page_view("b"), page_view("b"))
        warehouse.run("--select", "+fct_events")
        warehouse.land(page_view("not yet read"))
        landed = "select count(*) from raw.events"
        wait_until(lambda: rows_of(standby.url, landed) == [(4,)])
        standby.stop("fast")
        warehouse.land(page_view("only in the primary"))
        primary.kill()
        standby.start()
        pg_ctl(standby.data, "promote")

        promoted = Warehouse(standby.url, project)
        promoted.land(page_view("after the failover"))
        found = "of its 5 rows, 3 are known and 2 are new; 0 known ones are no longer there"
        assert found in promoted.run("--select", "+fct_events")
        assert event_ids(promoted) == ["a", "after the failover", "b", "not yet read"]
        promoted.land(page_view("c"))
        assert "are known" not in promoted.run("--select", "+fct_events")
        assert "c" in event_ids(promoted)

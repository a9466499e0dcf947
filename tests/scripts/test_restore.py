"""A dump restored into a new cluster, where transaction ids start anew, keeps builds exact."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from collector.migrate import migrate
from tests.support.postgres import WAREHOUSE, own_server, programs
from tests.support.warehouse import Warehouse, event_ids, page_view

# More than a new cluster has used, so that the rows landed after it carry ids of its future.
PAST_TRANSACTIONS = 20_000
NO_REPLICATION = ("--no-publications", "--no-subscriptions")
USE_TRANSACTIONS = """
    do $$ begin for number in 1..{count} loop perform pg_current_xact_id(); commit; end loop; end $$
"""
UPDATE_USER = """
    insert into raw.users (received_at, occurred_at, source, user_id, payload)
    values (now(), now(), 'default', '1', '{"userId": 1, "ficoScore": 700}')
"""


@pytest.fixture
def new_cluster() -> Iterator[str]:
    """The URL of a server that has nothing in it."""
    with own_server() as (url, _):
        yield url


def run(program: str, *arguments: str | Path) -> None:
    """Runs one of PostgreSQL's programs."""
    subprocess.run([programs() / program, *arguments], check=True, env=os.environ)


@pytest.mark.slow
def test_dump_restored_into_a_new_cluster(
    warehouse: Warehouse, new_cluster: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse.execute(USE_TRANSACTIONS.format(count=PAST_TRANSACTIONS))
    warehouse.land(page_view("a"), page_view("b"), page_view("b"))
    warehouse.execute(UPDATE_USER)
    warehouse.run()
    warehouse.land(page_view("landed before the dump and not yet read"))

    # As docs/topologies.md has it.
    roles, dump = tmp_path / "roles.sql", tmp_path / "dump"
    run("pg_dumpall", "-d", warehouse.database_url, "--roles-only", "-f", roles)
    run("pg_dump", "-d", warehouse.database_url, "-Fc", *NO_REPLICATION, "-f", dump)
    url = urlsplit(new_cluster)._replace(path=f"/{WAREHOUSE}").geturl()
    run("psql", "-qd", new_cluster, "-f", roles, "-c", f"create database {WAREHOUSE}")
    run("pg_restore", "--exit-on-error", "-d", url, dump)
    restored = Warehouse(url, warehouse.project)

    refused = restored.try_dbt("run", "--select", "stg_events")
    assert refused.returncode == 1
    assert "raw.events holds rows that were landed in another cluster" in refused.stdout
    assert "scripts/migrate" in refused.stdout
    migrate(url)
    assert "4 rows of raw.events were landed in another cluster" in caplog.text
    caplog.clear()
    migrate(url)
    assert caplog.text == ""

    restored.land(page_view("c"))
    said = restored.run()
    assert "of its 5 rows, 3 are known and 2 are new; 0 known ones are no longer there" in said
    assert "of its 1 rows, 1 are known and 0 are new; 0 known ones are no longer there" in said
    # From here on it goes by marks, also when the ids of the other cluster are given out again.
    restored.execute(USE_TRANSACTIONS.format(count=PAST_TRANSACTIONS))
    restored.land(page_view("d"), page_view("a"))
    assert "are known" not in restored.run()

    assert event_ids(restored) == ["a", "b", "c", "d", "landed before the dump and not yet read"]
    assert restored.query(
        "select event_id, cardinality(duplicate_row_ids) from staging.stg_events order by 1 limit 2"
    ) == [("a", 1), ("b", 1)]
    assert restored.query("select count(*) from marts.fct_credit_scores") == [(1,)]
    restored.dbt("test", "--select", "test_type:singular")

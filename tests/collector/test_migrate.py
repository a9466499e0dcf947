"""Migrations: once each, safe to repeat and to race, partitions ahead."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing

import psycopg
import pytest

from collector.migrate import MIGRATIONS, NewerSchemaError, migrate
from tests.support.collector import rows_of

pytestmark = pytest.mark.every_postgres

NAMES = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))


@pytest.fixture
def empty(database: str) -> str:
    """A database that was never migrated."""
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        connection.execute("drop schema raw cascade")
        connection.execute("drop schema secret cascade")
        connection.execute("drop table public.headwater_migrations")
    return database


def test_first_run_applies_all_in_order(empty: str) -> None:
    assert migrate(empty) == NAMES
    recorded = rows_of(empty, "select name from public.headwater_migrations order by applied_at")
    assert recorded == [(name,) for name in NAMES]


def test_second_run_applies_nothing_and_keeps_what_is_there(database: str) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        connection.execute(
            "insert into raw.events (received_at, source, event_id, payload)"
            " values (now(), 'default', 'e', '{}')"
        )
    assert migrate(database) == []
    assert rows_of(database, "select event_id from raw.events") == [("e",)]


def test_racing_runs_apply_each_once(empty: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        runs = list(threads.map(migrate, [empty] * 8))
    assert sorted(run for run in runs if run) == [NAMES]


def test_partitions_for_a_year_ahead_and_a_net(database: str) -> None:
    insert = (
        "insert into raw.events (received_at, source, event_id, payload)"
        " values (now() + %s::interval, 'default', 'e', '{}') returning tableoid::regclass::text"
    )
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        for ahead in ("0", "11 months"):
            [(partition,)] = connection.execute(insert, [ahead]).fetchall()
            assert partition.startswith("raw.events_2")
        for elsewhere in ("-2 months", "20 months"):
            rows = connection.execute(insert, [elsewhere]).fetchall()
            assert rows == [("raw.events_default",)]


def test_schema_of_a_later_version_is_left_alone(database: str) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        connection.execute("insert into public.headwater_migrations (name) values ('9999_later')")
    with pytest.raises(NewerSchemaError, match="9999_later"):
        migrate(database)


def test_rows_in_the_default_partition_do_not_stop_a_later_run(database: str) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        connection.execute(
            "insert into raw.events (received_at, source, event_id, payload)"
            " values (now() + interval '13 months', 'default', 'e', '{}')"
        )
        connection.execute("select raw.ensure_event_partitions(14)")
    assert rows_of(database, "select count(*) from raw.events_default") == [(1,)]


@pytest.mark.parametrize("has_collected", [False, True])
def test_emails_are_hashed_where_nothing_is_there_that_would_change(
    database: str, *, has_collected: bool
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("alter table secret.email_hash_key drop column hashes_user_ids")
        connection.execute("drop function secret.user_id_in_marts")
        connection.execute(
            "delete from public.headwater_migrations where name = '0019_hashed_user_ids'"
        )
        if has_collected:
            connection.execute(
                "insert into raw.events (received_at, source, event_id, payload)"
                " values (now(), '', '', '{}')"
            )
        assert migrate(database) == ["0019_hashed_user_ids"]
        hashes = connection.execute("select hashes_user_ids from secret.email_hash_key").fetchall()
        assert hashes == [(not has_collected,)]


def test_unreachable_database(create_database: Callable[[], AbstractContextManager[str]]) -> None:
    with create_database() as url:
        pass
    with pytest.raises(psycopg.OperationalError):
        migrate(url)

"""Least privilege: what each role may do, and that the collector does take its role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from psycopg import sql

from collector.connection import Connection
from collector.migrate import migrate
from tests.support.api import event
from tests.support.collector import Collector, readiness, rows_of, running_collector
from tests.support.postgres import own_server

pytestmark = pytest.mark.every_postgres

FORBIDDEN = [
    "select from raw.events",
    "select from raw.rejected_events",
    "update raw.events set source = 'x'",
    "delete from raw.events",
    "truncate raw.events",
    "update raw.users set source = 'x'",
    "delete from raw.users",
    "update raw.user_ids set user_id = 'x'",
    "delete from raw.user_ids",
    "insert into raw.api_keys (name, scope, key_hash) values ('x', 'read', sha256('x'))",
    "update raw.api_keys set revoked_at = null",
    "select from secret.email_hash_key",
    "select from raw.erasures",
    "select from secret.erasing_identities",
    "create table raw.x ()",
    "create schema x",
    "select raw.ensure_event_partitions(24)",
    "set role headwater_transformer",
]


@pytest.fixture
def as_collector(database: str) -> Iterator[psycopg.Connection]:
    """A connection that took the collector's role the way the collector's own do."""
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        connection.execute("set session authorization headwater_collector")
        yield connection


def test_connections_of_the_collector_take_its_role(database: str) -> None:
    async def user() -> tuple[str, str]:
        async with await Connection.connect(database, autocommit=True) as connection:
            await connection.configure()
            row = await (
                await connection.execute("select current_user, current_setting('role')")
            ).fetchone()
            assert row is not None
            return row[0], row[1]

    assert asyncio.run(user()) == ("headwater_collector", "headwater_collector")


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_forbidden_to_the_collector(as_collector: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_collector.execute(statement.encode())


def test_whom_an_erasure_is_about_is_for_the_owner_alone(database: str) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        connection.execute("set session authorization headwater_transformer")
        connection.execute("select from raw.erasures")
        for statement in (
            "select from secret.erasing_identities",
            "select from secret.erasing_rows",
            "update raw.erasures set state = 'finished'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_running_collector_has_no_more_than_its_role(collector: Collector) -> None:
    """What needs a right that the role lacks fails in the process, whoever it logged in as."""
    with (
        httpx.Client(base_url=collector.url) as client,
        closing(psycopg.connect(collector.database_url, autocommit=True)) as owner,
    ):
        assert client.post("/events", json=event()).status_code == 200
        assert client.post("/users", json={"email": "a@b"}).status_code == 201
        assert client.post("/users", json={"email": "a@b", "userId": 1}).status_code == 200
        assert client.get("/users").status_code == 200
        for revoke, path in (
            ("insert on raw.events", "/events"),
            ("insert on raw.users", "/users"),
        ):
            owner.execute(f"revoke {revoke} from headwater_collector".encode())
            body = event() if path == "/events" else {"userId": 2}
            assert client.post(path, json=body).status_code == 503
        readiness(client, 503)
        owner.execute("select raw.apply_roles()")
        readiness(client, 200)
        assert client.post("/events", json=event()).status_code == 200


def test_transformer_does_what_dbt_does(database: str) -> None:
    migrate(database)  # a database made from a template has not its grants
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        connection.execute("select raw.ensure_event_partitions(14)")  # of later
        connection.execute(
            "insert into raw.events (received_at, source, event_id, payload)"
            " values (now() + interval '14 months', 'default', 'e', '{}')"
        )
        connection.execute("set session authorization headwater_transformer")
        for statement in (
            "create schema marts",
            "create table marts.one as select 1 as one",
            "comment on table marts.one is 'x'",
            "create temporary table two as table marts.one",
            "alter table marts.one rename to other",
            "drop table marts.other",
            "select * from raw.users, raw.user_ids, raw.rejected_events",
            "select inner_pad, outer_pad from secret.email_hash_key",
            "select system_identifier from pg_control_system()",
            "select pg_snapshot_xmin(pg_current_snapshot())",
        ):
            connection.execute(statement.encode())
        assert connection.execute("select count(*) from raw.events").fetchone() == (1,)
        [(partition,)] = connection.execute(
            "select distinct tableoid::regclass::text from raw.events"
        )
        assert partition != "raw.events_default"
        connection.execute(f"select from {partition}".encode())
        for statement in (
            "insert into raw.users select from raw.users",
            "delete from raw.events",
            "select from raw.api_keys",
            "create table raw.x ()",
            "update secret.email_hash_key set only_row = true",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_analyst_sees_nothing_of_raw(database: str) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        connection.execute("set session authorization headwater_analyst")
        for table in ("raw.events", "raw.users", "raw.api_keys", "secret.email_hash_key"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select from {table}".encode())


def test_databases_of_a_cluster_race_for_the_roles(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    with ExitStack() as stack, own_server() as (server, _):
        urls = []
        with closing(psycopg.connect(server, autocommit=True)) as connection:
            for number in range(4):
                name = f"race_{number}"
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
                urls.append(urlsplit(server)._replace(path=f"/{name}").geturl())
        threads = stack.enter_context(ThreadPoolExecutor(8))
        assert len(list(threads.map(migrate, urls * 2))) == 8
        roles = "select count(*) from pg_roles where rolname like 'headwater%'"
        assert rows_of(server, roles) == [(3,)]


def test_owner_that_may_not_create_roles(caplog: pytest.LogCaptureFixture) -> None:
    with own_server() as (server, _):
        with closing(psycopg.connect(server, autocommit=True)) as connection:
            connection.execute("create role plain login")
            connection.execute("create database plain owner plain")
        address = urlsplit(server)
        host = address.netloc.rpartition("@")[2]
        url = address._replace(netloc=f"plain@{host}", path="/plain").geturl()
        migrate(url)
        assert "create role headwater_collector nologin" in caplog.text
        with running_collector(url) as collector:
            assert httpx.post(f"{collector.url}/events", json=event()).status_code == 200
            assert "rights of the login role" in collector.log.read_text()
        with closing(psycopg.connect(server, autocommit=True)) as connection:
            for role in ("collector", "transformer", "analyst"):
                connection.execute(f"create role headwater_{role}".encode())
                connection.execute(f"grant headwater_{role} to plain".encode())
        caplog.clear()
        migrate(url)
        assert caplog.text == ""
        with running_collector(url) as collector:
            assert httpx.post(f"{collector.url}/events", json=event()).status_code == 200
            assert "rights of the login role" not in collector.log.read_text()

"""Liveness and readiness."""

from __future__ import annotations

import re

import httpx
import psycopg
import pytest

from collector.app import create_app
from collector.settings import Settings
from tests.support.api import assert_problem, event
from tests.support.collector import Collector, readiness, wait_until


def test_healthz(client: httpx.Client) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_readyz(client: httpx.Client) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})


def test_not_migrated(client: httpx.Client, collector: Collector) -> None:
    with psycopg.connect(collector.database_url, autocommit=True) as connection:
        connection.execute("alter schema raw rename to elsewhere")
        try:
            ready, healthy = readiness(client, 503), client.get("/healthz")
            stored = client.post("/events", json=event())
        finally:
            connection.execute("alter schema elsewhere rename to raw")
    problem = assert_problem(ready, 503, "not_migrated")
    assert "scripts/migrate" in problem["message"]
    assert healthy.status_code == 200
    assert_problem(stored, 503, "not_migrated")
    readiness(client, 200)


def test_schema_of_a_later_version(client: httpx.Client, collector: Collector) -> None:
    """The collector goes on, and says so."""
    with psycopg.connect(collector.database_url, autocommit=True) as connection:
        connection.execute("insert into public.headwater_migrations (name) values ('9999_later')")
        wait_until(lambda: "warning" in client.get("/readyz").json())
        ready = client.get("/readyz")
        stored = client.post("/events", json=event())
        connection.execute("delete from public.headwater_migrations where name = '9999_later'")
    assert (ready.status_code, stored.status_code) == (200, 200)
    assert "later version, with 9999_later" in ready.json()["warning"]
    assert collector.log.read_text().count("later version, with 9999_later") == 1
    wait_until(lambda: client.get("/readyz").json() == {"status": "ready"})


def test_greeting_leads_on(client: httpx.Client) -> None:
    response = client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    for path in re.findall("href=([^ >]+)", response.text):
        assert client.get(path).status_code == 200
    for text in ("/docs", "/openapi.json", "scripts/keys create"):
        assert text in response.text


def test_no_database_is_named() -> None:
    with pytest.raises(ValueError, match="DATABASE_URL"):
        create_app(Settings.from_environment({}))


FAULTY_DISK = """
    create function raw.no_space() returns trigger language plpgsql as $$
    begin
        raise disk_full using message = 'could not extend file';
    end
    $$;
    create trigger no_space before insert on raw.events execute function raw.no_space();
"""


def test_full_disk_turns_readiness_until_there_is_space(
    client: httpx.Client, collector: Collector
) -> None:
    """What the database says of a disk, without one: tests/faults/test_faults.py fills one up."""
    with psycopg.connect(collector.database_url, autocommit=True) as connection:
        connection.execute(FAULTY_DISK)
        assert client.get("/readyz").status_code == 200  # nobody has tried to store
        assert_problem(client.post("/events", json=event()), 503, "storage_unavailable")
        for _ in range(2):
            problem = assert_problem(readiness(client, 503), 503, "storage_unavailable")
            assert "DiskFull" in problem["message"]
        assert client.get("/healthz").status_code == 200
        connection.execute("drop function raw.no_space() cascade")
    readiness(client, 200)
    assert client.post("/events", json=event()).status_code == 200
    assert collector.query("select count(*) from raw.events") == [(1,)]

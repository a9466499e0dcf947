"""Liveness and readiness."""

from __future__ import annotations

import httpx
import psycopg
import pytest

from collector.app import create_app
from collector.settings import Settings
from tests.conftest import Collector
from tests.test_bad_requests import assert_problem
from tests.test_events import event


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
            ready, healthy = client.get("/readyz"), client.get("/healthz")
            stored = client.post("/events", json=event())
        finally:
            connection.execute("alter schema elsewhere rename to raw")
    problem = assert_problem(ready, 503, "not_migrated")
    assert "scripts/migrate" in problem["message"]
    assert healthy.status_code == 200
    assert_problem(stored, 503, "storage_unavailable")
    assert client.get("/readyz").status_code == 200


def test_no_database_is_named() -> None:
    with pytest.raises(ValueError, match="DATABASE_URL"):
        create_app(Settings.from_environment({}))

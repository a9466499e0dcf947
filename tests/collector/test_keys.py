"""API keys: scopes, sources, revocation, and who is served without any."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, closing

import httpx
import psycopg
import pytest

from collector.migrate import migrate
from scripts.lib.keys import revoke_keys
from tests.support.api import assert_problem, bearer, event, make_key
from tests.support.collector import Collector, running_collector, wait_until
from tests.support.postgres import own_server, stopped


def post(collector: Collector, key: str) -> httpx.Response:
    return httpx.post(f"{collector.url}/events", json=event(), headers=bearer(key))


def get(collector: Collector, key: str) -> httpx.Response:
    return httpx.get(f"{collector.url}/users", headers=bearer(key))


def test_name_of_the_key_is_the_source(keyed: Collector) -> None:
    key = make_key(keyed.database_url, "web \\shop", "write")
    wait_until(lambda: post(keyed, key).status_code == 200)
    basic = httpx.post(
        f"{keyed.url}/events", json=[event(eventId="basic"), event(userId=[])], auth=(key, "")
    )
    assert basic.json()["eventIds"] == ["basic"]
    user = httpx.post(f"{keyed.url}/users", json={"userId": 1}, headers=bearer(key))
    assert user.status_code == 201
    [(key_id,)] = keyed.query("select key_id from raw.api_keys where name = %s", "web \\shop")
    for table in ("events", "users", "rejected_events"):
        rows = keyed.query(f"select distinct source, key_id from raw.{table}")  # noqa: S608
        assert rows == [("web \\shop", key_id)]


def test_each_scope_may_only_do_its_own(keyed: Collector) -> None:
    write = make_key(keyed.database_url, "w", "write")
    read = make_key(keyed.database_url, "r", "read")
    wait_until(lambda: get(keyed, read).status_code == 200)
    assert post(keyed, write).status_code == 200
    for refused in (
        get(keyed, write),
        httpx.get(f"{keyed.url}/users/1", headers=bearer(write)),
        post(keyed, read),
        httpx.post(f"{keyed.url}/users", json={"userId": 1}, headers=bearer(read)),
    ):
        assert_problem(refused, 403, "wrong_scope")


def test_a_write_key_reads_nothing(keyed: Collector) -> None:
    """No door answers a stored value that the request did not bring, to any source."""
    stored = {"email": "hidden@example.com", "name": "Hidden", "ficoScore": 711, "ssn": "078-05"}
    keys = [make_key(keyed.database_url, name, "write") for name in ("owner", "other")]
    wait_until(lambda: post(keyed, keys[1]).status_code == 200)
    made = httpx.post(f"{keyed.url}/users", json={"userId": 77, **stored}, headers=bearer(keys[0]))
    assert made.status_code == 201
    identify = {"type": "identify", "userId": 77, "traits": {"plan": "gold"}}
    doors: list[tuple[str, dict[str, object]]] = [
        ("/users", {"userId": 77}),
        ("/users", {"email": stored["email"]}),
        ("/users", {"userId": 77, "email": "changed@example.com"}),
        ("/users", {"userId": 78, "email": stored["email"]}),
        ("/users", {"userId": 77, "ssn": None}),
        ("/users", {"userId": 77, "name": []}),
        ("/v1/identify", identify),
        ("/v1/batch", {"batch": [identify, {**identify, "traits": []}]}),
        ("/v1/alias", {"previousId": 77, "userId": 79}),
        ("/events", event(userId=77)),
        ("/events", event(userId=77, activity=[])),
    ]
    for key in keys:
        for path, body in doors:
            response = httpx.post(keyed.url + path, json=body, headers=bearer(key))
            text = response.text + str(response.headers)
            assert response.status_code in (200, 201, 422), text
            for value in {str(value) for value in stored.values()} - set(map(str, body.values())):
                assert value not in text, (path, body)
        for path in ("/users", "/users/77", "/users?after=77", "/users?after=nobody"):
            refused = httpx.get(keyed.url + path, headers=bearer(key))
            assert_problem(refused, 403, "wrong_scope")


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        "Bearer \u00e9",
        "Basic ???",
        "Basic Og==",
        "Digest abc",
        "nonsense",
    ],
)
def test_no_valid_key(keyed: Collector, authorization: str | None) -> None:
    headers = httpx.Headers(encoding="latin-1")
    if authorization is not None:
        headers["Authorization"] = authorization
    for refused in (
        httpx.post(f"{keyed.url}/events", json=event(), headers=headers),
        httpx.post(f"{keyed.url}/users", json={"userId": 1}, headers=headers),
        httpx.get(f"{keyed.url}/users", headers=headers),
        httpx.get(f"{keyed.url}/users/1", headers=headers),
    ):
        assert_problem(refused, 401, "invalid_key")
        assert "Bearer" in refused.headers["www-authenticate"]
        assert "Basic" in refused.headers["www-authenticate"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"])
def test_needs_no_key(keyed: Collector, path: str) -> None:
    assert httpx.get(keyed.url + path).status_code == 200


def test_revoked_within_seconds_without_a_restart(keyed: Collector) -> None:
    key = make_key(keyed.database_url, "old", "write")
    wait_until(lambda: post(keyed, key).status_code == 200)
    newer = make_key(keyed.database_url, "old", "write")
    with closing(psycopg.connect(keyed.database_url, autocommit=True)) as connection:
        assert revoke_keys(connection, "old", keep_newest=True) == 1
        wait_until(lambda: post(keyed, key).status_code == 401)
        assert post(keyed, newer).status_code == 200
        assert revoke_keys(connection, "old") == 1
    wait_until(lambda: post(keyed, newer).status_code == 401)


def test_only_the_hash_is_stored(database: str) -> None:
    key = make_key(database, "a", "write")
    assert len(key) >= 43
    with closing(psycopg.connect(database)) as connection:
        rows = connection.execute("select key_hash, api_keys::text from raw.api_keys").fetchall()
    [(key_hash, row)] = rows
    assert key_hash == hashlib.sha256(key.encode()).digest()
    assert key not in row


def test_without_keys_only_this_machine_is_served(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    with create_database() as url, running_collector(url) as collector:
        assert httpx.post(f"{collector.url}/events", json=event()).status_code == 200
        assert httpx.get(f"{collector.url}/users").status_code == 200
        assert "No API key is configured" in collector.log.read_text()
        # A proxy on this machine speaks for clients elsewhere, and is not believed either.
        for client in ("203.0.113.9", "127.0.0.1", ""):
            headers = {"X-Forwarded-For": client}
            refused = httpx.post(f"{collector.url}/events", json=event(), headers=headers)
            assert (
                "scripts/keys create" in assert_problem(refused, 401, "no_key_configured")["detail"]
            )
        key = make_key(url, "proxied", "write")
        wait_until(lambda: httpx.post(f"{collector.url}/events", json=event()).status_code == 401)
        headers = {**bearer(key), "X-Forwarded-For": "203.0.113.9"}
        accepted = httpx.post(f"{collector.url}/events", json=event(), headers=headers)
        assert accepted.status_code == 200
        # Revoking the last key does not open it again.
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            revoke_keys(connection, "proxied")
        wait_until(lambda: post(collector, key).status_code == 401)
        assert httpx.post(f"{collector.url}/events", json=event()).status_code == 401


def test_forwarded_headers_of_a_trusted_proxy(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    with (
        create_database() as url,
        running_collector(url, FORWARDED_ALLOW_IPS="127.0.0.1") as collector,
    ):
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        refused = httpx.post(f"{collector.url}/events", json=event(), headers=headers)
        assert_problem(refused, 401, "no_key_configured")


def test_keys_outlast_the_database() -> None:
    with own_server() as (url, data):
        migrate(url)
        key = make_key(url, "a", "write")
        with running_collector(url) as collector:
            assert post(collector, key).status_code == 200
            with stopped(data):
                assert_problem(post(collector, key), 503, "storage_unavailable")
                assert_problem(post(collector, "other"), 401, "invalid_key")
            wait_until(lambda: post(collector, key).status_code == 200)

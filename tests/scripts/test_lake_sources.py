"""Two databases that collect, and one lake: what holds over both, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from scripts.lib.lake.folder import open_lake
from tests.support.api import bearer, event, make_key
from tests.support.collector import Collector, rows_of, running_collector, wait_until
from tests.support.lake import export, rows_in
from tests.support.warehouse import Warehouse

_KEY = "select name, scope, key_hash from raw.api_keys where name = 'shop'"
_KEEP_KEYS = "insert into raw.api_keys (name, scope, key_hash) values (%s, %s, %s)"
_LAND = (
    "insert into raw.events (received_at, source, event_id, payload) values (%s, %s, %s, %s::jsonb)"
)


@pytest.fixture(scope="module")
def pair(
    create_database: Callable[..., AbstractContextManager[str]],
) -> Iterator[tuple[Collector, Collector]]:
    """Two collectors, each with a database and keys of its own."""
    with ExitStack() as stack:
        urls = [stack.enter_context(create_database()) for _ in range(2)]
        for url in urls:
            make_key(url, "other", "write")
        eu, us = (stack.enter_context(running_collector(url)) for url in urls)
        yield eu, us


def post(collector: Collector, path: str, body: Any, key: str) -> httpx.Response:  # noqa: ANN401
    return httpx.post(f"{collector.url}{path}", json=body, headers=bearer(key), timeout=30)


def source_of(key: str, collector: Collector) -> object:
    """Whose key it is to a collector, which looks every few seconds."""
    answer = httpx.get(f"{collector.url}/key", headers=bearer(key), timeout=30)
    return answer.json().get("source")


def test_keys_users_and_events_over_two_databases(
    pair: tuple[Collector, Collector],
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
    tmp_path: Path,
) -> None:
    eu, us = pair
    key = make_key(eu.database_url, "shop", "write")

    # A key is known where it was made. Its hash, brought over, makes it known there too.
    wait_until(lambda: source_of(key, eu) == "shop")
    assert post(eu, "/events", event(eventId="only-eu"), key).status_code == 200
    assert post(us, "/events", event(eventId="refused"), key).status_code == 401
    [of_shop] = rows_of(eu.database_url, _KEY)
    with psycopg.connect(us.database_url) as connection:
        connection.execute(_KEEP_KEYS, of_shop)
    wait_until(lambda: source_of(key, us) == "shop")

    # An event that is sent again to the other one is the same event, by source and eventId.
    for collector in (eu, us):
        assert post(collector, "/events", [event(eventId="both")], key).status_code == 200
    assert post(us, "/events", event(eventId="only-us"), key).status_code == 200

    # Ids that applications give are the same everywhere. Those that are given out for an email are
    # each database's own: one person has two, and two persons have one ...
    def user_id(collector: Collector, **sent: str) -> str:
        answer = post(collector, "/users", sent, key)
        assert answer.status_code in (200, 201)
        return str(answer.json()["userId"])

    assert {user_id(each, userId="u-1", email="ann@example.com") for each in pair} == {"u-1"}
    first = user_id(eu, email="bob@example.com")
    assert first == user_id(us, email="eve@example.com")
    assert user_id(us, email="bob@example.com") != first
    # ... unless each counts in a row of its own: then one person still has two.
    for place, each in enumerate(pair, start=1):
        with psycopg.connect(each.database_url) as connection:
            connection.execute(
                f"alter sequence raw.user_id_seq increment by 2 restart {100 + place}".encode()
            )
    given = [
        {user_id(each, email=f"{place}-{number}@example.com") for number in range(5)}
        for place, each in enumerate(pair)
    ]
    assert not given[0] & given[1]
    assert user_id(eu, email="cid@example.com") != user_id(us, email="cid@example.com")

    lake, named = tmp_path / "lake", ((eu, "eu"), (us, "us"))
    with ThreadPoolExecutor() as at_once:
        list(at_once.map(lambda each: export(each[0].database_url, lake, name=each[1]), named))
    export(eu.database_url, lake, compact=True)
    assert [manifest.database for manifest in open_lake(str(lake)).manifests()] == ["eu", "us"]
    rows = rows_in(lake, "events", ("database", "received_at", "source", "event_id", "payload"))
    assert sorted((row[0], row[3]) for row in rows) == [
        ("eu", "both"), ("eu", "only-eu"), ("us", "both"), ("us", "only-us"),
    ]  # fmt: skip

    # The models count it once.
    with create_warehouse() as warehouse:
        for _, *row in rows:
            warehouse.execute(_LAND, *row)
        warehouse.run("--select", "+fct_events")
        assert warehouse.query(
            "select source, event_id, cardinality(duplicate_row_ids)"
            " from staging.stg_events order by 2"
        ) == [("shop", "both", 1), ("shop", "only-eu", 0), ("shop", "only-us", 0)]
        assert warehouse.query("select count(*) from marts.fct_events") == [(3,)]

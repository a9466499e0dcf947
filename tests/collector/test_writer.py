"""Group commit: acknowledged means committed, and one client's poison is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

import httpx
import psycopg
import pytest

from collector.migrate import migrate
from tests.support.api import (
    JSON,
    NDJSON,
    POISON,
    SECRET,
    assert_problem,
    event,
    post,
    post_at_once,
)
from tests.support.collector import Collector, rows_of, running_collector, wait_until
from tests.support.postgres import own_server, stopped

pytestmark = pytest.mark.every_postgres


def test_requests_in_flight_share_transactions(collector: Collector) -> None:
    bodies = [event(eventId=f"e-{n}") for n in range(500)]
    answers = post_at_once(collector.url, bodies)
    assert [answer["eventIds"] for _, answer in answers] == [[f"e-{n}"] for n in range(500)]
    [(rows, events, transactions)] = collector.query(
        "select count(*), count(distinct event_id), count(distinct loaded_xid) from raw.events"
    )
    assert (rows, events) == (500, 500)
    assert transactions < 250


def test_poison_fails_only_its_own_request(collector: Collector) -> None:
    good = [event(eventId=f"e-{n}") for n in range(200)]
    bodies: list[Any] = [*good]
    for n in range(0, 200, 20):
        bodies.insert(n, POISON[n // 20 % 2])
    answers = post_at_once(collector.url, bodies)
    for (status, answer), body in zip(answers, bodies, strict=True):
        expected = (422, "not_storable") if body in POISON else (200, None)
        assert (status, answer.get("code")) == expected
    assert collector.query("select count(distinct event_id), count(*) from raw.events") == [
        (200, 200)
    ]
    kept = collector.query("select code, payload from raw.rejected_events")
    assert sorted(kept) == sorted([("not_storable", text) for text in POISON] * 5)


def test_poison_within_one_request(client: httpx.Client, collector: Collector) -> None:
    lines = [*POISON, '{"eventType":"conversion","userId":1,"activity":{},"eventId":"good"}', "{}"]
    for body, headers in (("\n".join(lines), NDJSON), (f"[{','.join(lines)}]", JSON)):
        answer = client.post("/events", content=body, headers=headers).json()
        assert answer["eventIds"] == ["good"]
        assert [(each["index"], each["code"]) for each in answer["rejected"]] == [
            (0, "not_storable"),
            (1, "not_storable"),
            (3, "missing_field"),
        ]
    assert collector.query("select event_id, count(*) from raw.events group by 1") == [("good", 2)]
    assert collector.query("select count(*) from raw.rejected_events") == [(6,)]


def test_personal_data_stays_out_of_log_and_answers(
    client: httpx.Client, collector: Collector
) -> None:
    activity = f'{{"email":"{SECRET}","a":1e200000}}'
    body = f'{{"eventType":"page_viewed","userId":"{SECRET}","activity":{activity}}}'
    assert_problem(client.post("/events", content=body, headers=JSON), 422, "not_storable")
    with psycopg.connect(collector.database_url, autocommit=True) as connection:
        connection.execute("alter table raw.rejected_events rename to elsewhere")
        client.post("/events", content=body, headers=JSON)
        connection.execute("alter table raw.elsewhere rename to rejected_events")
        connection.execute("alter table raw.events rename to elsewhere")
        answer = client.post("/events", json=event(userId=SECRET))
        connection.execute("alter table raw.elsewhere rename to events")
    assert_problem(answer, 503, "not_migrated")
    assert client.post("/events", json=event(userId=SECRET)).status_code == 200
    log = collector.log.read_text()
    assert "Refused events cannot be kept: UndefinedTable" in log
    assert "Events cannot be stored: UndefinedTable" in log
    assert "Events are being stored again" in log
    assert SECRET not in log


def test_good_events_land_where_quarantine_fails(collector: Collector) -> None:
    with psycopg.connect(collector.database_url, autocommit=True) as connection:
        connection.execute("alter table raw.rejected_events rename to elsewhere")
        try:
            bodies = [*POISON, [event(eventId="a"), {}], event(eventId="b"), {}]
            answers = post_at_once(collector.url, bodies)
        finally:
            connection.execute("alter table raw.elsewhere rename to rejected_events")
    assert [status for status, _ in answers] == [422, 422, 200, 200, 422]
    assert collector.query("select event_id from raw.events order by 1") == [("a",), ("b",)]


def test_overload_is_refused_and_passes(
    create_database: Callable[[], AbstractContextManager[str]],
) -> None:
    with (
        create_database() as url,
        running_collector(url, MAX_WAITING_BYTES="1000") as collector,
        psycopg.connect(url) as blocker,
    ):
        blocker.execute("lock table raw.events")
        bodies = [event(eventId=f"e-{n}") for n in range(50)]

        async def send() -> list[tuple[int, Any]]:
            sending = [asyncio.create_task(post(collector.url, body)) for body in bodies]
            # Behind the lock nothing is stored: the first answers are refusals.
            await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            blocker.rollback()
            return await asyncio.gather(*sending)

        answers = asyncio.run(send())
        accepted = [(answer["eventIds"][0],) for status, answer in answers if status == 200]
        refused = {(status, answer["code"]) for status, answer in answers if status != 200}
        assert refused == {(429, "overloaded")}
        assert 0 < len(accepted) < 50
        assert sorted(collector.query("select event_id from raw.events")) == sorted(accepted)


async def post_until_gone(url: str, acked: list[str]) -> None:
    """Sends events one after the other until the collector is gone; notes the acknowledged ones."""
    with suppress(OSError, IndexError):
        while True:
            status, answer = await post(url, event())
            assert status == 200
            acked.extend(answer["eventIds"])


SLOW_COMMITS = """
    create function raw.wait() returns trigger language plpgsql as
        'begin perform pg_sleep(0.2); return null; end';
    create trigger wait after insert on raw.events for each statement execute function raw.wait();
"""


def acknowledged_until_terminated(database: str, **of: str) -> tuple[set[str], set[str], str]:
    """Ends a collector by SIGTERM under load, while a commit is under way: each takes 0.2 s.

    Returns the eventIds that it acknowledged, those that are stored, and its log.
    """
    acked: list[str] = []

    async def send_and_end(collector: Collector) -> None:
        senders = [asyncio.create_task(post_until_gone(collector.url, acked)) for _ in range(30)]
        while len(acked) < 60:
            await asyncio.sleep(0.01)
        collector.process.terminate()
        await asyncio.gather(*senders)

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SLOW_COMMITS)
    with running_collector(database, **of) as collector:
        asyncio.run(send_and_end(collector))
        collector.process.wait(30)
        log = collector.log.read_text()
    stored = {event_id for (event_id,) in rows_of(database, "select event_id from raw.events")}
    assert len(acked) == len(set(acked)) >= 60
    return set(acked), stored, log


def test_what_a_terminated_collector_stored_it_acknowledged(database: str) -> None:
    """One that is killed may have stored more than it said: see test_faults."""
    acked, stored, log = acknowledged_until_terminated(database)
    assert acked == stored
    assert "Traceback" not in log


def test_acknowledging_before_the_commit_would_show(database: str) -> None:
    acked, stored, _ = acknowledged_until_terminated(
        database, module="tests.faults.planted", PLANTED_DEFECT="early_acknowledgement"
    )
    assert acked - stored


def test_database_away_and_back() -> None:
    with own_server() as (url, data):
        migrate(url)
        with (
            running_collector(url) as collector,
            httpx.Client(base_url=collector.url, timeout=60) as client,
        ):
            assert client.post("/events", json=event(eventId="before")).status_code == 200
            with stopped(data):
                for answer in (
                    client.post("/events", json=event(eventId="during")),
                    client.post("/events", json=event(eventId="during")),
                    client.post("/events", json={}),
                    client.post("/users", json={"userId": 2}),
                    client.get("/users"),
                    client.get("/users/1"),
                    client.get("/readyz"),
                ):
                    problem = assert_problem(answer, 503, "storage_unavailable")
                    assert "send the request again" in problem["message"]
                    assert 1 <= int(answer.headers["retry-after"]) <= 5
                assert client.get("/healthz").status_code == 200
            wait_until(lambda: client.get("/readyz").status_code == 200)
            wait_until(lambda: client.post("/events", json=event()).status_code == 200)
            assert client.post("/events", json=event(eventId="after")).status_code == 200
            assert client.get("/users").json() == []
            log = collector.log.read_text()

            # One that fails has all connections renewed, not each in its turn.
            with stopped(data):
                pass
            wait_until(lambda: client.get("/users").status_code == 200)
            assert [client.get("/users").status_code for _ in range(8)] == [200] * 8
        query = "select event_id from raw.events where length(event_id) < 10 order by 1"
        assert rows_of(url, query) == [("after",), ("before",)]
    assert log.count("Events cannot be stored") == 1
    assert log.count("Events are being stored again") == 1
    assert "Traceback" not in log

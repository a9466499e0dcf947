"""A database that is busy, stuck or refuses: each answer says which, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import httpx
import psycopg
import pytest
from psycopg.errors import _sqlcodes as sqlcodes

from collector.migrate import migrate
from collector.problems import CAUSES, problem_of
from tests.support.api import assert_problem, event
from tests.support.collector import Collector, rows_of, running_collector, wait_until
from tests.support.postgres import own_server

BACKENDS = "select pid from pg_stat_activity where application_name ~ %s"
SENT = "select event_id from raw.events where event_id in ('before', 'during', 'after') order by 1"


def ready(client: httpx.Client) -> httpx.Response:
    return client.get("/readyz")


def test_lock(client: httpx.Client, collector: Collector) -> None:
    with closing(psycopg.connect(collector.database_url)) as blocker:
        blocker.execute("lock table raw.events")
        problem = assert_problem(
            client.post("/events", json=event(eventId="during")), 503, "storage_stuck"
        )
        assert "A lock is held" in problem["message"]
        for _ in range(2):
            assert_problem(ready(client), 503, "storage_stuck")
        assert client.get("/users").status_code == 200
        assert "database_up 1.0" in client.get("/metrics").text
    wait_until(lambda: ready(client).status_code == 200)
    assert client.post("/events", json=event(eventId="after")).status_code == 200
    # What was not acknowledged was not stored either.
    assert collector.query(SENT) == [("after",)]
    log = collector.log.read_text()
    assert log.count("Events cannot be stored: LockNotAvailable") == 1
    assert log.count("Events are being stored again") == 1


def test_readiness_tells_of_a_commit_that_waits(client: httpx.Client, collector: Collector) -> None:
    """Before the writer itself gives up, and while others than the writer are answered."""

    async def send(blocker: psycopg.Connection) -> httpx.Response:
        async with httpx.AsyncClient(base_url=collector.url, timeout=30) as sender:
            sending = asyncio.create_task(sender.post("/events", json=event()))
            while (answer := await sender.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.1)
            assert not sending.done()
            problem = assert_problem(answer, 503, "storage_stuck")
            assert "have waited for their commit" in problem["message"]
            blocker.rollback()
            return await sending

    with closing(psycopg.connect(collector.database_url)) as blocker:
        blocker.execute("lock table raw.events")
        assert asyncio.run(send(blocker)).status_code == 200
    assert ready(client).status_code == 200


@contextmanager
def stopped_backends(url: str, names: str) -> Iterator[None]:
    """Stops the server processes of connections of these names for the block (SIGSTOP)."""
    pids = [pid for (pid,) in rows_of(url, BACKENDS, names)]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
def test_backends_that_hang() -> None:
    with own_server() as (url, _):
        migrate(url)
        with (
            running_collector(url) as collector,
            httpx.Client(base_url=collector.url, timeout=60) as client,
        ):
            client.post("/events", json=event(eventId="before")).raise_for_status()
            with stopped_backends(url, "headwater writer"):
                answer = client.post("/events", json=event(eventId="during"))
                assert_problem(answer, 503, "storage_stuck")
                # Its connection is given up; the other writer's comes next, then all are new.
                wait_until(
                    lambda: client.post("/events", json=event(eventId="after")).status_code == 200
                )
                wait_until(lambda: ready(client).status_code == 200)
            with stopped_backends(url, "headwater"):
                assert_problem(ready(client), 503, "storage_stuck")
                for answer in (client.post("/events", json=event()), client.get("/users")):
                    assert_problem(answer, 503, "storage_stuck")  # at once
                assert client.get("/healthz").status_code == 200
            wait_until(lambda: ready(client).status_code == 200)
            wait_until(lambda: client.post("/events", json=event()).status_code == 200)
            log = collector.log.read_text()
        stored = {event_id for (event_id,) in rows_of(url, SENT)}
    assert {"before", "after"} <= stored  # `during` may be: nobody was told
    assert "Events cannot be stored: Stuck" in log
    assert "Traceback" not in log


def test_probes_and_readers_do_not_take_from_writers(
    client: httpx.Client, collector: Collector
) -> None:
    """While 100 clients probe and all connections for users hang on a lock, events are stored."""

    async def storm(blocker: psycopg.Connection) -> list[int]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=collector.url, timeout=60, limits=limits) as sender:
            readers = [asyncio.create_task(sender.get("/users")) for _ in range(12)]
            probes = [asyncio.create_task(sender.get("/readyz")) for _ in range(100)]
            statuses = []
            while not all(reader.done() for reader in readers[4:]):
                statuses.append((await sender.post("/events", json=event())).status_code)
                statuses.append((await sender.get("/readyz")).status_code)
                if len([1 for reader in readers if reader.done()]) == 8:
                    blocker.rollback()
            for reader in await asyncio.gather(*readers):
                if reader.status_code != 200:
                    assert_problem(reader, 429, "overloaded")
            assert {probe.status_code for probe in await asyncio.gather(*probes)} == {200}
            assert "database_up 1.0" in (await sender.get("/metrics")).text
            return statuses

    with closing(psycopg.connect(collector.database_url)) as blocker:
        blocker.execute("lock table raw.users")
        assert set(asyncio.run(storm(blocker))) == {200}


REFUSALS = {
    "missing column": (
        "alter table raw.events rename event_id to elsewhere",
        "alter table raw.events rename elsewhere to event_id",
        "not_migrated",
        "UndefinedColumn",
    ),
    "missing right": (
        "revoke insert on raw.events from headwater_collector",
        "grant insert on raw.events to headwater_collector",
        "not_migrated",
        "InsufficientPrivilege",
    ),
    "constraint": (
        "alter table raw.events add constraint none check (false) not valid",
        "alter table raw.events drop constraint none",
        "storage_refused",
        "CheckViolation",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_for_good(
    create_database: Callable[..., AbstractContextManager[str]], name: str
) -> None:
    """Nobody is asked to send again what needs an operator; once one acted, all goes on."""
    begin, end, code, error = REFUSALS[name]
    with (
        create_database() as url,
        running_collector(url) as collector,
        httpx.Client(base_url=collector.url, timeout=60) as client,
        closing(psycopg.connect(url, autocommit=True)) as operator,
    ):
        operator.execute(begin.encode())
        for _ in range(2):
            refused = client.post("/events", json=event(userId="somebody"))
            problem = assert_problem(refused, 503, code)
            assert error in problem["message"]
            assert "an operator has to act" in problem["message"]
            assert "send the request again" not in problem["message"]
            assert "retry-after" not in refused.headers
            sdk = client.post("/v1/track", json={"userId": "somebody", "event": "conversion"})
            assert_problem(sdk, 429, code)  # keeps it, as it does every 503
        wait_until(lambda: ready(client).status_code == 503)
        assert assert_problem(ready(client), 503, code)["message"].count("operator") == 1
        operator.execute(end.encode())
        wait_until(lambda: ready(client).status_code == 200)
        assert client.post("/events", json=event()).status_code == 200
        log = collector.log.read_text()
        assert log.count(f"Events cannot be stored: {error}") == 1
        assert "somebody" not in log


def test_why_there_is_no_connection(
    create_database: Callable[..., AbstractContextManager[str]], postgres_url: str
) -> None:
    """What the pool would keep to itself is in the log, once."""
    with (
        create_database(name="hw_closed") as url,
        running_collector(url) as collector,
        closing(psycopg.connect(postgres_url, autocommit=True)) as admin,
    ):
        admin.execute("alter database hw_closed allow_connections false")
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'hw_closed'"
        )
        wait_until(lambda: "not currently accepting" in collector.log.read_text())
        answer = httpx.get(f"{collector.url}/readyz", timeout=60)
        assert_problem(answer, 503, "storage_unavailable")
        admin.execute("alter database hw_closed allow_connections true")
        wait_until(lambda: httpx.get(f"{collector.url}/readyz", timeout=60).status_code == 200)
        assert collector.log.read_text().count("not currently accepting") == 1


def test_each_error_has_one_meaning() -> None:
    """None that PostgreSQL knows is a 500, or both passes by itself and needs an operator."""
    for state in {state for state in sqlcodes if len(state) == 5}:
        error = psycopg.errors.lookup(state)("text with somebody's data")
        problem = problem_of(error)
        passes = "send the request again" in problem.message
        assert problem.status in (422, 503), state
        assert "somebody" not in problem.message
        assert passes == ("Retry-After" in (problem.headers or {}))
        assert problem.status == 422 or passes != ("operator" in problem.message)
    for prefix, cause in CAUSES.items():
        known = [state for state in sqlcodes if state.startswith(prefix)]
        assert known, prefix
        assert cause.problem().code == cause.code

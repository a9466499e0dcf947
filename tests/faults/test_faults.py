"""A 2xx means committed and, with an eventId, once in the marts, whatever is killed.

Each fault strikes real processes at random moments under load. The table at the end of pytest's
output says what came of it; `HEADWATER_FAULT_SEED` repeats the moments of a run.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from collector.settings import ROOT
from tests.faults.client import leave
from tests.faults.outcome import TABLE, Outcome, Summary
from tests.faults.servers import Disk, Postgres, own_postgres, small_disk
from tests.faults.trial import EVENTS_BEFORE_A_FAULT, SEED, Trial, trial
from tests.support.api import assert_problem, event
from tests.support.collector import wait_until
from tests.support.warehouse import Warehouse

TIMES = 3
TIMES_OF_ALL = 20  # in scripts/test --all
CLIENTS_THAT_LEAVE = 20
REQUESTS_IN_OUTAGE = 40

Judge = Callable[[Trial, int], Outcome]


@pytest.fixture(scope="module")
def times(pytestconfig: pytest.Config) -> int:
    """How often each fault strikes."""
    is_short = "not slow" in pytestconfig.option.markexpr
    return TIMES if is_short else TIMES_OF_ALL


@pytest.fixture(scope="module")
def summary(pytestconfig: pytest.Config) -> Iterator[Summary]:
    """Collects what the trials come to, which the end of pytest's output shows."""
    summary = Summary(SEED)
    yield summary
    pytestconfig.stash[TABLE] = summary.table()


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk | str]:
    with small_disk() as disk:
        yield disk


@pytest.fixture(scope="module")
def postgres(disk: Disk | str) -> Iterator[Postgres]:
    """One for all trials, so that one build shows what came of them; gone before the disk is."""
    with own_postgres() as postgres:
        yield postgres


@pytest.fixture
def judge(summary: Summary) -> Judge:
    """Ends a trial: all that was sent is acknowledged, and all that is acknowledged is in raw."""

    def end(trial: Trial, times: int) -> Outcome:
        outcome = trial.finish(times)
        summary.add(outcome, trial.ledger)
        assert trial.ledger.acknowledged == trial.ledger.sent
        assert outcome.lost == 0
        assert outcome.sent == outcome.in_raw >= EVENTS_BEFORE_A_FAULT
        # A request is stored, or put off with the time to come back, or its connection is lost.
        for status, _, retry_after in trial.ledger.answers:
            assert status in (0, 200, 429, 503), trial.ledger.answers
            assert status in (0, 200) or 1 <= int(retry_after or 0) <= 5
        assert "Traceback" not in trial.supervisor.collector.log.read_text()
        return outcome

    return end


def test_disk_full(
    times: int, judge: Judge, postgres: Postgres, disk: Disk | str, tmp_path: Path
) -> None:
    if isinstance(disk, str):
        pytest.skip(disk)
    with disk.holding_raw(postgres), trial("disk full", postgres, tmp_path) as it:
        process = it.supervisor.collector.process
        for _ in range(times):
            it.load()
            refused = it.refused()
            disk.fill()
            wait_until(lambda: it.refused() > refused)  # noqa: B023
            assert it.get("/healthz") == 200
            wait_until(lambda: it.get("/readyz") == 503)
            time.sleep(it.random.uniform(0.1, 1))
            freed = time.monotonic()
            disk.free()
            it.recover(freed)
            wait_until(lambda: it.get("/readyz") == 200)
        assert process.poll() is None
        judge(it, times)


def test_collector_killed(times: int, judge: Judge, postgres: Postgres, tmp_path: Path) -> None:
    with trial("collector kill -9", postgres, tmp_path) as it:
        for _ in range(times):
            it.load()
            it.supervisor.collector.process.kill()
            it.supervisor.collector.process.wait()
            ended = time.monotonic()
            it.supervisor.restart()
            it.recover(ended)
        judge(it, times)


def test_collector_terminated(times: int, judge: Judge, postgres: Postgres, tmp_path: Path) -> None:
    with trial("collector SIGTERM", postgres, tmp_path) as it:
        for _ in range(times):
            it.load()
            it.supervisor.collector.process.terminate()
            assert it.supervisor.collector.process.wait(30) in (-signal.SIGTERM, 128 + 15)
            ended = time.monotonic()
            assert "Traceback" not in it.supervisor.collector.log.read_text()
            it.supervisor.restart()
            it.recover(ended)
        judge(it, times)


def test_postgres_killed(times: int, judge: Judge, postgres: Postgres, tmp_path: Path) -> None:
    with trial("PostgreSQL kill -9", postgres, tmp_path) as it:
        for _ in range(times):
            it.load()
            it.postgres.kill()
            ended = time.monotonic()
            it.postgres.start()
            it.recover(ended)
        judge(it, times)


def test_postgres_stopped(times: int, judge: Judge, postgres: Postgres, tmp_path: Path) -> None:
    with trial("PostgreSQL stopped", postgres, tmp_path) as it:
        process = it.supervisor.collector.process
        for number in range(times):
            it.load()
            it.postgres.stop("fast")
            began = time.monotonic()
            wait_until(lambda: it.get("/readyz") == 503)
            assert it.get("/healthz") == 200
            with httpx.Client(base_url=it.url) as client:
                asked = time.monotonic()
                for _ in range(REQUESTS_IN_OUTAGE):
                    answer = client.post("/events", json=event(eventId="never-sent-again"))
                    assert_problem(answer, 503, "storage_unavailable")
                    assert 1 <= int(answer.headers["Retry-After"]) <= 5
            # At once: none waited for a connection, which would be a second each.
            assert time.monotonic() - asked < REQUESTS_IN_OUTAGE / 2
            outage = 30 if number == 0 and times == TIMES_OF_ALL else it.random.uniform(0.5, 2)
            time.sleep(max(0, began + outage - time.monotonic()))
            assert it.get("/readyz") == 503
            assert it.get("/healthz") == 200
            given_back = time.monotonic()
            it.postgres.start()
            it.recover(given_back)
            wait_until(lambda: it.get("/readyz") == 200)
        assert process.poll() is None
        judge(it, times)


def test_clients_leave_without_an_answer(
    times: int, judge: Judge, postgres: Postgres, tmp_path: Path
) -> None:
    with trial("client gone in mid-request", postgres, tmp_path) as it:
        process = it.supervisor.collector.process
        gone = [f"{it.prefix}-gone-{number}" for number in range(times * CLIENTS_THAT_LEAVE)]
        for number in range(times):
            it.load()
            for event_id in gone[number * CLIENTS_THAT_LEAVE :][:CLIENTS_THAT_LEAVE]:
                leave(it.url, event(eventId=event_id), it.random)
            it.recover(time.monotonic())
        # They come back and send the event again, whose fate they do not know.
        answer = httpx.post(it.url + "/events", json=[event(eventId=each) for each in gone])
        assert answer.json()["eventIds"] == gone
        it.ledger.sent.update(gone)
        it.ledger.acknowledged.update(gone)
        assert process.poll() is None
        outcome = judge(it, times * CLIENTS_THAT_LEAVE)
        assert outcome.copies > 0  # some had sent all of it before they left
        assert it.ledger.statuses() == {200}  # no other client noticed anything


def test_acknowledged_events_are_once_in_the_marts(
    summary: Summary, postgres: Postgres, tmp_path: Path
) -> None:
    """Builds from what all trials above left; copies that clients sent again are collapsed."""
    assert summary.outcomes, "run this test together with those above"
    ignored = shutil.ignore_patterns("target", "logs")
    project = shutil.copytree(ROOT / "dbt_project", tmp_path / "dbt_project", ignore=ignored)
    warehouse = Warehouse(postgres.url, project)
    warehouse.run("--select", "+fct_events")
    copies = Counter(i for (i,) in warehouse.query("select event_id from marts.fct_events"))
    for outcome, ledger in zip(summary.outcomes, summary.ledgers, strict=True):
        found = [copies[event_id] for event_id in ledger.acknowledged if event_id in copies]
        outcome.in_marts = len(found)
        outcome.doubled = sum(count > 1 for count in found)
    assert [each.in_marts for each in summary.outcomes] == [each.sent for each in summary.outcomes]
    assert {each.doubled for each in summary.outcomes} == {0}
    assert set(copies) == set().union(*(ledger.sent for ledger in summary.ledgers))

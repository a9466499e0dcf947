"""scripts/replay --rejected: what was refused lands once after a fix, as its first sender's."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import closing

import httpx
import psycopg
import pytest

from collector.settings import ROOT
from scripts.lib.keys import create_key
from tests.support.api import SECRET, event
from tests.support.collector import Collector, rows_of, running_collector

# Too large for a collector that takes 300 bytes an event: the fix is a larger limit.
LONG = {"note": SECRET * 20, "price": [1.10, 12345678901234567890]}
LANDED = """
    select source, event_id, payload -> 'activity', payload ->> 'occurredAt' from raw.events
    order by source, event_id
"""


def run(database: str, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command, whose output never tells what was sent."""
    finished = subprocess.run(
        [ROOT / "scripts" / "replay", "--rejected", "--url", url, *arguments],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database},
        capture_output=True,
        text=True,
        check=False,
    )
    assert SECRET not in finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    return finished


def outcomes(finished: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines of the table, with single spaces."""
    return [" ".join(line.split()) for line in finished.stdout.splitlines()[1:]]


def test_what_was_refused_lands_once_after_a_fix(database: str) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        keys = {name: create_key(connection, name, "write") for name in ("app", "shop")}
    with running_collector(database, MAX_EVENT_BYTES="300") as strict:

        def refuse(source: str, *lines: bytes) -> None:
            headers = {"Authorization": f"Bearer {keys[source]}"}
            headers["Content-Type"] = "application/x-ndjson"
            content = b"\n".join(lines)
            answer = httpx.post(f"{strict.url}/events", content=content, headers=headers)
            assert answer.status_code == 422, answer.text

        identified = event(eventId="own", occurredAt="2026-01-31T12:00:00Z", activity=LONG)
        refuse("app", json.dumps(identified).encode(), json.dumps(event(activity=LONG)).encode())
        huge = event(eventId="huge", activity={"note": SECRET * 6000})
        broken = json.dumps(event(eventId="broken", activity={"a": "?"})).encode()
        refuse(
            "shop",
            json.dumps(identified | {"eventType": "page_viewed"}).encode(),
            json.dumps(event(eventType="no_such_type")).encode(),
            json.dumps(huge).encode(),
            broken.replace(b"?", b"\xff"),
        )
        [(refused_at,)] = rows_of(
            database,
            "select to_char(received_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"
            " || '+00:00' from raw.rejected_events where rejected_row_id = 2",
        )
        for _ in range(2):  # once more refused is refused as before, not more often
            finished = run(database, strict.url)
            assert finished.returncode == 1, finished.stderr
            assert outcomes(finished) == [
                "app accepted 0",
                "app refused: too_large 2",
                "shop accepted 0",
                "shop refused: too_large 1",
                "shop refused: unsupported_event_type 1",
                "shop not sent: it was not UTF-8 1",
                "shop not sent: only its beginning was kept 1",
            ]
        assert rows_of(database, "select count(*) from raw.events") == [(0,)]

    with running_collector(database) as collector:
        finished = run(database, collector.url, "--code", "too_large")
        assert outcomes(finished)[:2] == ["app accepted 2", "shop accepted 1"]
        landed = rows_of(database, LANDED)
        [made] = [event_id for _, event_id, *_ in landed if event_id != "own"]
        assert made.startswith("rejected-2-")
        assert landed == [
            ("app", "own", LONG, "2026-01-31T12:00:00Z"),
            ("app", made, LONG, refused_at),
            ("shop", "own", LONG, "2026-01-31T12:00:00Z"),
        ]
        finished = run(database, collector.url)
        assert not [line for line in outcomes(finished) if line.startswith("app")]
        assert rows_of(database, LANDED) == landed

        # Killed before it could note what was acknowledged, it sends the same events again.
        again = "update raw.rejected_events set resent_at = null where code = 'too_large'"
        with closing(psycopg.connect(database, autocommit=True)) as connection:
            connection.execute(again)
        assert run(database, collector.url, "--source", "app").returncode == 0
        copies = rows_of(database, LANDED)
        assert len(copies) > len(landed)
        assert sorted(set(map(str, copies))) == sorted(map(str, landed))

    valid = "select name from raw.api_keys where revoked_at is null order by name"
    assert rows_of(database, valid) == [("app",), ("shop",)]


def test_without_any_key_the_collector_stays_open(collector: Collector) -> None:
    httpx.post(f"{collector.url}/events", json=event(eventType="no_such_type"))
    for since, left in (("2026-01-01", True), ("2999-01-01T00:00:00Z", False)):
        finished = run(collector.database_url, collector.url, "--since", since)
        assert finished.returncode == left, finished.stderr
        assert ("unsupported_event_type" in finished.stdout) is left
        assert ("Nothing that was refused is left" in finished.stdout) is not left
    assert collector.query("select count(*) from raw.api_keys") == [(0,)]
    assert httpx.post(f"{collector.url}/events", json=event()).status_code == 200


def test_each_goes_back_to_where_it_came_in_and_adds_no_row(database: str) -> None:
    loan = {"event": "Loan Quoted", "userId": "u1", "properties": {"a": 1}}
    with running_collector(database, SEGMENT_UNKNOWN_EVENTS="reject") as strict:
        for path, sent in (
            ("/v1/batch", {"batch": [{**loan, "type": "track", "messageId": "m1"}]}),
            ("/v1/track", {**loan, "messageId": "m2"}),
            ("/v1/t", loan),
            ("/events", event(eventType="no_such_type", eventId="own")),
        ):
            httpx.post(f"{strict.url}{path}", json=sent)
        kept = rows_of(database, "select * from raw.rejected_events order by rejected_row_id")
        assert len(kept) == 4
        for _ in range(2):
            assert run(database, strict.url).returncode == 1
        now = rows_of(database, "select * from raw.rejected_events order by rejected_row_id")
        assert now == kept
    with running_collector(database) as collector:
        finished = run(database, collector.url)
        assert outcomes(finished) == [
            "default accepted 3",
            "default refused: unsupported_event_type 1",
            "Next: scripts/dbt build",
        ]
        landed = rows_of(
            database,
            "select event_id, payload ->> 'eventType', payload -> 'activity' from raw.events"
            " order by event_row_id",
        )
        assert [(kind, activity) for _, kind, activity in landed] == [("Loan Quoted", {"a": 1})] * 3
        assert [event_id for event_id, *_ in landed][:2] == ["m1", "m2"]
        assert "1 of default put away" in run(database, collector.url, "--put-away").stdout
        assert "Nothing that was refused is left" in run(database, collector.url).stdout
        assert rows_of(database, "select count(*) from raw.rejected_events") == [(4,)]


def test_messages_go_again_in_requests_that_the_collector_takes(database: str) -> None:
    messages = [
        {"type": "track", "event": "Loan Quoted", "userId": "u", "messageId": f"m{n}"}
        for n in range(40)
    ]
    with running_collector(database, SEGMENT_UNKNOWN_EVENTS="reject") as strict:
        httpx.post(f"{strict.url}/v1/batch", json={"batch": messages})
    with running_collector(database, MAX_EVENTS="7", MAX_BODY_BYTES="400") as collector:
        finished = run(database, collector.url)
        assert outcomes(finished)[0] == "default accepted 40", finished.stdout + finished.stderr
        assert run(database, collector.url).returncode == 0
    landed = "select count(*), count(distinct event_id) from raw.events"
    assert rows_of(database, landed) == [(40, 40)]


@pytest.mark.parametrize("arguments", [("file.csv",), ("--since", "yesterday"), ("--dry-run",)])
def test_what_makes_no_sense_is_said(arguments: tuple[str, ...]) -> None:
    finished = run("postgresql://nowhere", "http://127.0.0.1:1", *arguments)
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: ")
    assert finished.stderr.endswith("; see scripts/replay --help\n")
    assert finished.stderr.count("\n") == 1


def test_collector_of_another_database_is_said(database: str, collector: Collector) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        create_key(connection, "shop", "write")
        connection.execute(
            "insert into raw.rejected_events (received_at, source, code, message, payload)"
            " values (now(), 'shop', 'too_large', '', '{}')"
        )
    finished = run(database, collector.url)
    assert finished.returncode == 1
    assert "does not know the keys of this database; check --url" in finished.stderr
    assert collector.query("select count(*) from raw.events") == [(0,)]

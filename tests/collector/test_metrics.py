"""/metrics, CORS and what the log holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

import httpx
import psycopg

from tests.support.api import SECRET, event, samples
from tests.support.collector import Collector, running_collector, wait_until

ORIGIN = "https://shop.example"


def test_metrics_count_what_happened(client: httpx.Client) -> None:
    before = samples(client)
    client.post("/events", json=[event(), event(), event(eventType=SECRET), {}])
    client.post("/users", json={"email": SECRET})
    client.get(f"/users/{SECRET}")
    client.get(f"/{SECRET}")
    client.request("PURGE", "/events")
    after = samples(client)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown("headwater_events_accepted_total source=default") == 2
    assert grown("headwater_events_rejected_total code=unsupported_event_type") == 1
    assert grown("headwater_events_rejected_total code=missing_field") == 1
    requests = "headwater_requests_total method="
    assert grown(f"{requests}POST route=/events status=200") == 1
    assert grown(f"{requests}POST route=/users status=201") == 1
    assert grown(f"{requests}GET route=/users/{{user_id}} status=404") == 1
    assert grown(f"{requests}GET route=other status=404") == 1
    assert grown(f"{requests}PURGE route=/events status=405") == 1
    assert grown("headwater_commit_events_sum") == 2
    assert grown("headwater_commit_seconds_count") == 1
    assert after["headwater_database_up"] == 1
    assert after["headwater_held_bytes"] == 0
    assert after["process_resident_memory_bytes"] > 0
    assert SECRET not in str(after)


def test_no_cors_unless_told(client: httpx.Client) -> None:
    response = client.get("/healthz", headers={"Origin": ORIGIN})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


def test_cors_for_listed_origins_only(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    with create_database() as url, running_collector(url, CORS_ORIGINS=ORIGIN) as collector:
        preflight = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type, x-retry-count",
        }
        for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example", None)):
            headers = {"Origin": origin}
            asked = httpx.options(f"{collector.url}/events", headers=headers | preflight)
            assert (asked.status_code == 200) == (allowed is not None)
            assert asked.headers.get("access-control-allow-origin") == allowed
            sent = httpx.post(f"{collector.url}/events", json=event(), headers=headers)
            assert sent.headers.get("access-control-allow-origin") == allowed
            refused = httpx.post(f"{collector.url}/events", json={}, headers=headers)
            assert refused.status_code == (422 if allowed else 401)  # there is no key
            assert refused.headers.get("access-control-allow-origin") == allowed


def test_requests_are_lines_of_the_log_where_that_is_asked_for(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    with create_database() as url, running_collector(url, LOG_REQUESTS="on") as collector:
        started = len(collector.log.read_text().splitlines())
        content = json.dumps([event(userId=SECRET), event(eventType=SECRET)]).encode()
        httpx.post(f"{collector.url}/events?{SECRET}", content=content)
        httpx.get(f"{collector.url}/users/{SECRET}", headers={"User-Agent": SECRET})
        httpx.request("PURGE", f"{collector.url}/{SECRET}")
        log = collector.log.read_text()
    assert SECRET not in log
    lines = [json.loads(line) for line in log.splitlines()[started:]]
    assert all(0 < line.pop("seconds") < 60 for line in lines)
    assert all(datetime.fromisoformat(line.pop("time")).tzinfo for line in lines)
    assert lines == [
        {
            "method": "POST",
            "route": "/events",
            "status": 200,
            "bytes": len(content),
            "source": "default",
            "accepted": 1,
            "rejected": 1,
        },
        {
            "method": "GET",
            "route": "/users/{user_id}",
            "status": 404,
            "bytes": 0,
            "source": "default",
        },
        {"method": "PURGE", "route": "other", "status": 404, "bytes": 0},
    ]


def test_log_has_no_line_a_request_otherwise(client: httpx.Client, collector: Collector) -> None:
    before = collector.log.read_text()
    client.post("/events", json=event(userId=SECRET))
    client.post("/events", json={"email": SECRET})
    client.get(f"/users/{SECRET}")
    assert collector.log.read_text() == before


def test_metrics_tell_of_a_transaction_that_stays_open(
    client: httpx.Client, collector: Collector
) -> None:
    name = "headwater_oldest_transaction_seconds"
    with psycopg.connect(collector.database_url) as slow:
        slow.execute("select pg_current_xact_id()")
        wait_until(lambda: samples(client)[name] > 1)
    wait_until(lambda: samples(client)[name] < 1)

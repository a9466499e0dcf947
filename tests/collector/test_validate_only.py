"""What a client can ask before it sends: what would be refused, whose its key is, the limits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx

from tests.support.api import POISON, bearer, event, make_key
from tests.support.collector import Collector, running_collector, wait_until


def test_a_trial_answers_as_the_real_one_and_keeps_nothing(
    collector: Collector, client: httpx.Client
) -> None:
    lines = [httpx.Request("POST", "http://x", json=each).content for each in (event(), {"a": 1})]
    body = b"\n".join([lines[0], lines[1], POISON[0].encode(), lines[0]])
    ndjson = {"Content-Type": "application/x-ndjson"}
    trial = client.post("/events?validateOnly=true", content=body, headers=ndjson).json()
    message = {"type": "identify", "userId": "u", "traits": {"email": "a@b"}}
    sdk = client.post("/v1/batch?validateOnly=true", json={"batch": [message, {}]}).json()
    assert (sdk["accepted"], [each["index"] for each in sdk["rejected"]]) == (1, [1])
    counts = "select (select count(*) from raw.events), (select count(*) from raw.rejected_events)"
    assert collector.query(counts) == [(0, 0)]
    assert collector.query("select count(*) from raw.users") == [(0,)]
    real = client.post("/events", content=body, headers=ndjson).json()
    assert trial["rejected"] == real["rejected"]
    assert (trial["accepted"], real["accepted"]) == (2, 2)
    assert collector.query(counts) == [(2, 2)]
    refused = client.post("/events?validateOnly=1", json=event())
    assert (refused.status_code, refused.json()["field"]) == (422, "validateOnly")
    untried = client.post("/users?validateOnly=true", json={"userId": "u"})
    assert (untried.status_code, untried.json()["field"]) == (422, "validateOnly")
    assert collector.query("select count(*) from raw.users") == [(0,)]
    assert collector.query(counts) == [(2, 2)]


def test_what_is_refused_keeps_the_route_it_came_by(
    collector: Collector, client: httpx.Client
) -> None:
    for path in ("/events", "/v1/t", "/v1/track"):
        client.post(path, json={"activity": 3, "event": "x", "properties": 3})
    client.post("/v1/b", json={"batch": [{"type": "nothing"}]})
    rows = collector.query("select route from raw.rejected_events order by rejected_row_id")
    assert rows == [("/events",), ("/v1/track",), ("/v1/track",), ("/v1/batch",)]


def test_limits_and_source_are_told(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    with create_database() as url, running_collector(url, MAX_EVENTS="7") as collector:
        document = httpx.get(f"{collector.url}/openapi.json").json()
        assert document["info"]["x-limits"]["maxEvents"] == 7
        content = document["paths"]["/events"]["post"]["requestBody"]["content"]
        assert content["application/json"]["schema"]["oneOf"][1]["maxItems"] == 7
        assert "7 at most" in document["paths"]["/events"]["post"]["description"]
        own = {"source": "default", "scopes": ["read", "write"]}
        assert httpx.get(f"{collector.url}/key").json() == own
        headers = bearer(make_key(url, "shop", "write"))

        def answers() -> bool:
            answer = httpx.get(f"{collector.url}/key", headers=headers).json()
            return bool(answer == {"source": "shop", "scopes": ["write"]})

        wait_until(answers)

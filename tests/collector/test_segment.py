"""POST /v1/{call}: the messages of Segment's SDKs, what they become, and what is refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest

from collector.segment_body import CALLS
from tests.support.api import SECRET, assert_problem, bearer, make_key, samples
from tests.support.collector import Collector, running_collector, wait_until
from tests.support.segment import LATER, TIME, message, post

CAMPAIGN = {"name": "spring", "source": "letter", "medium": "email", "term": "x"}
PAGE = {"path": "/pricing", "url": "https://shop.example/pricing", "utmSource": "own"}


def payloads(collector: Collector) -> list[dict[str, Any]]:
    rows = collector.query("select payload from raw.events order by event_row_id")
    return [payload for (payload,) in rows]


@pytest.mark.parametrize(
    ("sent", "event_type", "activity"),
    [
        (message("track", event="Order Completed", properties=PAGE), "Order Completed", PAGE),
        (message("track", event="conversion", properties=None), "conversion", {}),
        (message("identify", traits={"email": "a@b.example", "age": 7}), "user_identified", {}),
        (
            message("page", name="Prices", category=None, properties=PAGE),
            "page_viewed",
            {**PAGE, "name": "Prices"},
        ),
        (
            message("page", properties={"path": "/"}, context={"campaign": CAMPAIGN}),
            "page_viewed",
            {"path": "/", "utmSource": "letter", "utmMedium": "email", "utmCampaign": "spring"},
        ),
        (
            message("screen", name="Home", category="main"),
            "screen_viewed",
            {"screen": "Home", "category": "main"},
        ),
        (message("group", groupId="g", traits={"n": 1}), "group_joined", {"groupId": "g"}),
        (message("alias", previousId="p"), "user_aliased", {"previousId": "p"}),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) and "type" in value else "",
)
def test_what_a_message_becomes(
    client: httpx.Client,
    collector: Collector,
    sent: dict[str, Any],
    event_type: str,
    activity: dict[str, Any],
) -> None:
    sent = {**sent, "messageId": "node-next-1-free text", "_metadata": {"a": [1.50, None]}}
    assert post(client, sent) == []
    [payload] = payloads(collector)
    segment = payload.pop("segment")
    assert payload == {
        "eventType": event_type,
        "eventId": "node-next-1-free text",
        "userId": "u",
        "occurredAt": TIME,
        "activity": activity,
    } | ({"anonymousId": "p"} if sent["type"] == "alias" else {})
    # Nothing of the message is lost; when its batch was sent is added, the key is not.
    properties = sent.pop("properties", None) or {}
    assert activity | properties == activity
    assert segment == {**sent, "sentAt": LATER}
    assert collector.query("select event_id from raw.events") == [("node-next-1-free text",)]


@pytest.mark.parametrize("call", CALLS)
def test_paths(client: httpx.Client, collector: Collector, call: str) -> None:
    """By name, and by letter as text/plain, as the browser's SDK sends."""
    sent = message("track", event="conversion", messageId="m") | {"sentAt": LATER}
    body = {"batch": [sent]} if CALLS[call] == "batch" else sent | {"writeKey": "key"}
    headers = {"Content-Type": "text/plain" if len(call) == 1 else "application/json"}
    response = client.post(f"/v1/{call}", content=json.dumps(body), headers=headers)
    assert (response.status_code, response.json()["accepted"]) == (200, 1)
    [payload] = payloads(collector)
    assert payload["segment"]["sentAt"] == LATER
    assert "writeKey" not in payload["segment"]
    expected = {"identify": "user_identified", "page": "page_viewed", "screen": "screen_viewed"}
    expected |= {"group": "group_joined", "alias": "user_aliased"}
    assert payload["eventType"] == expected.get(CALLS[call], "conversion")


def test_what_a_batch_says_of_all_its_messages(client: httpx.Client, collector: Collector) -> None:
    own = message("track", event="a", context={"ip": "1.2.3.4", "app": "own"}, sentAt=TIME)
    none = {"type": "track", "event": "b", "userId": 7, "anonymousId": ""}
    post(client, own, none, context={"app": "batch", "os": "x"}, integrations={"All": False})
    first, second = (payload["segment"] for payload in payloads(collector))
    assert first["context"] == {"ip": "1.2.3.4", "app": "own", "os": "x"}
    assert (first["integrations"], first["sentAt"]) == ({}, TIME)
    assert second["context"] == {"app": "batch", "os": "x"}
    assert (second["integrations"], second["sentAt"]) == ({"All": False}, LATER)


def test_gzip(client: httpx.Client, collector: Collector) -> None:
    body = gzip.compress(json.dumps({"batch": [message("track", event="conversion")]}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert client.post("/v1/batch", content=body, headers=headers).json()["accepted"] == 1
    assert len(payloads(collector)) == 1


def test_fifteen_large_events_of_node(client: httpx.Client, collector: Collector) -> None:
    """Its limit of 500 KB counts wrong, so that it sends 1.5 MB at once."""
    large = {"text": '"' * 50_000}
    post(client, *(message("track", event="conversion", properties=large) for _ in range(15)))
    assert len(payloads(collector)) == 15


def test_times_of_any_form(client: httpx.Client, collector: Collector) -> None:
    """What is no RFC 3339 is read as far as can be, and kept as it was sent; nothing is lost."""
    local, later = "2026-01-31T12:00:00.5", "2026-01-31T12:00:09.5"
    for message_id, timestamp, sent_at in (
        ("swift", f"{local}:Z", LATER),
        ("flutter", local, later),
        ("flutter, sentAt in UTC", local, LATER),
        ("epoch", 1769860800500, LATER),
        ("none", "yesterday", LATER),
    ):
        fields = {"messageId": message_id, "timestamp": timestamp, "event": "conversion"}
        post(client, message("track", **fields), message("identify", **fields), sentAt=sent_at)
    rows = collector.query(
        "select event_id, payload from raw.events where payload ->> 'eventType' = 'conversion'"
    )
    payloads = dict(rows)
    utc = f"{local}00000+00:00"
    assert {name: payload.get("occurredAt") for name, payload in payloads.items()} == {
        "swift": utc, "flutter": utc, "flutter, sentAt in UTC": None, "epoch": utc, "none": None,
    }  # fmt: skip
    assert payloads["flutter"]["segmentSentAt"] == f"{later}00000+00:00"
    assert "segmentSentAt" not in payloads["swift"]
    assert payloads["none"]["segment"]["timestamp"] == "yesterday"
    assert payloads["epoch"]["segment"]["timestamp"] == 1769860800500
    users = collector.query(
        "select occurred_at = received_at, payload ->> 'segmentSentAt' from raw.users order by 1, 2"
    )
    assert users == [(False, LATER), (True, None), (True, None)]  # the same moment once


def test_bad_messages_are_kept_apart(client: httpx.Client, collector: Collector) -> None:
    before = samples(client).get("headwater_events_rejected_total code=invalid_field", 0)
    good = message("track", event="conversion", properties={"product": "x"}, messageId="good")
    bad: list[Any] = [
        {**good, "type": "teleport"},
        {**good, "event": None},
        {**good, "event": "x" * 257},
        {**good, "userId": None},
        {**good, "userId": []},
        {**good, "messageId": 1},
        {**good, "properties": [SECRET]},
        message("identify", traits="none"),
        {**good, "properties": {"a": "\0"}, "writeKey": "a key in a message"},
        None,
    ]
    rejected = post(client, *bad, good, accepted=1)
    assert [each["index"] for each in rejected] == list(range(len(bad)))
    fields = ["type", "event", "event", "userId", "userId", "messageId", "properties"]
    assert [each.get("field") for each in rejected] == [*fields, "traits", None, None]
    assert "messageId must be" in rejected[5]["message"]
    assert [payload["eventId"] for payload in payloads(collector)] == ["good"]
    rows = collector.query("select code, payload from raw.rejected_events order by 1")
    assert len(rows) == len(bad)
    assert "a key in a message" not in str(rows)
    assert "not_storable" in {code for code, _ in rows}
    assert {"node" in payload for _, payload in rows} == {False}
    assert samples(client)["headwater_events_rejected_total code=invalid_field"] == before + 7
    assert SECRET not in str(rejected)


def test_what_is_no_json_but_for_python(client: httpx.Client, collector: Collector) -> None:
    """NaN and half a surrogate pair spoil their own message, and not the batch."""
    texts = [json.dumps(message("track", event="conversion", n=0.1 + 0.2, big=2**70))]
    texts += [json.dumps(message("track", event="a", n=float("nan")))]
    texts += [json.dumps(message("track", event="a", n="\ud800"))]
    body = '{"batch": [' + ", ".join(texts) + '], "sentAt": "' + LATER + '", "writeKey": "k"}'
    answer = client.post("/v1/batch", content=body).json()
    assert answer["accepted"] == 1
    assert [(each["index"], each["code"]) for each in answer["rejected"]] == [
        (1, "malformed_json"),
        (2, "malformed_json"),
    ]
    [payload] = payloads(collector)
    assert payload["segment"]["n"] == 0.1 + 0.2
    assert payload["segment"]["big"] == 2**70
    assert payload["segment"]["sentAt"] == LATER
    [(kept,)] = collector.query("select payload from raw.rejected_events where payload ~ 'NaN'")
    assert '"n": NaN' in kept or '"n":NaN' in kept


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b'{"batch": [{}', "malformed_json"),
        (b'{"batch": [], "a": "\xff"}', "malformed_json"),
        (b'{"batch": {}}', "malformed_batch"),
        (b"{}", "malformed_batch"),
        (b'{"batch": ' + b"[" * 100_000, "too_deep"),
        (b'{"batch": [' + b"[" * 2000 + b"]" * 2000 + b"]}", "too_deep"),
    ],
    ids=range(7),
)
def test_bodies_that_are_refused(client: httpx.Client, body: bytes, code: str) -> None:
    assert_problem(client.post("/v1/batch", content=body), 400, code)


def test_unknown_events_where_they_are_not_accepted(
    create_database: Callable[..., AbstractContextManager[str]],
) -> None:
    with (
        create_database() as url,
        running_collector(url, SEGMENT_UNKNOWN_EVENTS="reject") as collector,
        httpx.Client(base_url=collector.url) as client,
    ):
        known = [message("track", event="conversion"), message("page"), message("identify")]
        [rejected] = post(client, *known, message("track", event="Signed Up"), accepted=3)
        assert (rejected["index"], rejected["code"]) == (3, "unsupported_event_type")
        assert collector.query("select code from raw.rejected_events") == [(rejected["code"],)]
        name = "headwater_events_rejected_total code=unsupported_event_type"
        assert samples(client)[name] == 1


def test_identified_users(client: httpx.Client, collector: Collector) -> None:
    traits = {"email": "Ada@Example.com", "name": "Ada", "ficoScore": 720, "segment": "gold"}
    first = message("identify", traits=traits, messageId="1")
    post(client, first, message("identify", anonymousId="a", userId=None, traits={"n": 1}))
    post(client, first, sentAt="2026-01-31T13:00:00Z")  # the answer got lost
    assert client.get("/users").json() == [{"userId": "u", **traits}]
    assert collector.query(
        "select user_id, occurred_at, payload ->> 'segmentSentAt' from raw.users"
    ) == collector.query("select 'u', %s::timestamptz, %s", TIME, LATER)
    # The email finds the user, as if it had come by POST /users.
    assert client.post("/users", json={"email": "ada@example.com", "x": 1}).status_code == 200
    # Nobody's email is taken away by another user's trait, and no odd trait is a fault.
    odd = {"email": "no address", "ficoScore": "high"}
    post(client, message("identify", userId="v", traits=traits))
    post(client, message("identify", userId=8, traits=odd), message("identify", userId="w"))
    users = {user["userId"]: user for user in client.get("/users").json()}
    assert list(users) == ["u", "v", 8, "w"]
    assert (users["v"]["email"], users[8]) == ("Ada@Example.com", {"userId": 8, **odd})
    assert client.post("/users", json={"email": "ada@example.com"}).json()["userId"] == "u"
    assert client.post("/users", json={"email": "new@example.com"}).json()["userId"] == 1


def test_many_users_identified_at_once(client: httpx.Client, collector: Collector) -> None:
    batch = [
        message("identify", userId=f"u{number}", traits={"email": f"{number}@example.com"})
        for number in range(100)
    ]
    post(client, *batch)
    assert collector.query("select count(*), count(distinct email) from raw.user_ids") == [
        (100, 100)
    ]


def test_key_of_user_name_or_body(keyed: Collector) -> None:
    key, reading = (make_key(keyed.database_url, "web", scope) for scope in ("write", "read"))
    url, sent = f"{keyed.url}/v1/track", message("track", event="conversion")
    wait_until(lambda: httpx.post(url, json=sent, auth=(key, "")).status_code == 200)
    assert httpx.post(url, json=sent | {"writeKey": key}).status_code == 200
    batch = httpx.post(f"{keyed.url}/v1/b", json={"writeKey": key, "batch": [sent]})
    assert batch.json()["accepted"] == 1
    assert keyed.query("select distinct source from raw.events") == [("web",)]
    assert key not in str(keyed.query("select payload from raw.events"))
    assert_problem(httpx.post(url, json=sent), 401, "invalid_key")
    assert_problem(httpx.post(url, json=sent | {"writeKey": "x"}), 401, "invalid_key")
    assert_problem(httpx.post(url, json=sent | {"writeKey": None}), 401, "invalid_key")
    assert_problem(httpx.post(url, json=sent | {"writeKey": reading}), 403, "wrong_scope")
    wrong = httpx.post(url, json=sent | {"writeKey": key}, headers=bearer("wrong"))
    assert_problem(wrong, 401, "invalid_key")

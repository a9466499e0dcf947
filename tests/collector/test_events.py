"""POST /events: what is accepted, in which forms, and what lands."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.api import JSON, NDJSON, event
from tests.support.collector import Collector

pytestmark = pytest.mark.every_postgres


def test_one_event(client: httpx.Client, collector: Collector) -> None:
    sent = event(eventId="e-1", activity={"path": "/pricing"}, occurredAt="2026-01-31T12:00:00Z")
    response = client.post("/events", json=sent)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"accepted": 1, "eventIds": ["e-1"], "rejected": []}
    rows = collector.query(
        "select source, key_id, event_id, payload, received_at > now() - interval '1 minute'"
        " from raw.events"
    )
    assert rows == [("default", None, "e-1", sent, True)]


def test_without_event_id_the_server_makes_one(client: httpx.Client, collector: Collector) -> None:
    sent = event(eventId=None)
    answers = [client.post("/events", json=body).json() for body in ([sent, sent], sent)]
    event_ids = [event_id for each in answers for event_id in each["eventIds"]]
    assert len(set(event_ids)) == 3
    rows = collector.query("select event_id, payload from raw.events order by event_row_id")
    assert rows == [(event_id, sent) for event_id in event_ids]


def test_array(client: httpx.Client, collector: Collector) -> None:
    response = client.post("/events", json=[event(eventId="a"), event(eventId="b")])
    assert response.json() == {"accepted": 2, "eventIds": ["a", "b"], "rejected": []}
    rows = collector.query("select event_id from raw.events order by event_row_id")
    assert rows == [("a",), ("b",)]


@pytest.mark.parametrize(
    "media_type", ["application/x-ndjson", "application/ndjson", "Application/JSONL; charset=utf-8"]
)
def test_ndjson_with_blank_lines(
    client: httpx.Client, collector: Collector, media_type: str
) -> None:
    lines = ["", json.dumps(event(eventId="a")), "  \r", json.dumps(event(eventId="b")) + "\r", ""]
    response = client.post(
        "/events", content="\n".join(lines), headers={"Content-Type": media_type}
    )
    assert response.json() == {"accepted": 2, "eventIds": ["a", "b"], "rejected": []}
    assert collector.query("select count(*) from raw.events") == [(2,)]


@pytest.mark.parametrize(
    "media_type", [None, "text/plain", "application/json; charset=utf-8", "application/vnd.x+json"]
)
def test_media_types_of_json(client: httpx.Client, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    response = client.post("/events", content=json.dumps(event()), headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "properties",
    [
        {"userId": 9007199254740991},
        {"userId": -9007199254740991},
        {"userId": 0},
        {"userId": "x" * 128},
        {"userId": "é" * 128},
        {"userId": None, "anonymousId": "a"},
        {"anonymousId": None},
        {"occurredAt": None, "sentAt": None},
        {"occurredAt": "2024-02-29t23:59:60.123456789+15:59"},
        {"occurredAt": "0001-01-01T00:00:00+15:59", "sentAt": "9999-12-31T23:59:59-15:59"},
        {"anything": [1, {"else": None}], "activity": {"nested": {"deep": [1.5, True, "ü"]}}},
    ],
)
def test_accepted_as_sent(
    client: httpx.Client, collector: Collector, properties: dict[str, Any]
) -> None:
    response = client.post("/events", json=event(**properties))
    assert response.status_code == 200, response.text
    assert collector.query("select payload from raw.events") == [(event(**properties),)]


@pytest.mark.parametrize("number", ["1.0", "1e2", "-0.0", "9007199254740991.0"])
def test_whole_numbers_are_user_ids(client: httpx.Client, number: str) -> None:
    body = f'{{"eventType": "page_viewed", "userId": {number}, "activity": {{}}}}'
    assert client.post("/events", content=body, headers=JSON).status_code == 200


def test_payload_is_the_clients_text(client: httpx.Client, collector: Collector) -> None:
    texts = [
        '{"eventType":"page_viewed","userId":1.0,"activity":{"a":1.10,"b":1e400,"\\u0062":"\\\\n\\t"}}',
        '{ "eventType" : "page_viewed",\n\t"userId":"a\\tb", "activity":{"a":"\\ud83d\\ude00"} }',
    ]
    response = client.post("/events", content=f"[{','.join(texts)}]", headers=JSON)
    assert response.status_code == 200
    rows = collector.query(
        "select payload = stored.sent::jsonb from raw.events"
        " full join unnest(%s::text[]) with ordinality as stored(sent, n) on event_row_id = n",
        texts,
    )
    assert rows == [(True,), (True,)]
    digits = "select payload #>> '{activity,a}', payload #>> '{userId}' from raw.events limit 1"
    assert collector.query(digits) == [("1.10", "1.0")]


def test_good_and_bad_events_of_one_array(client: httpx.Client, collector: Collector) -> None:
    response = client.post(
        "/events",
        json=[event(eventId="a"), event(eventType="nope"), 5, event(eventId="b"), event(userId=[])],
    )
    assert response.status_code == 200
    answer = response.json()
    assert (answer["accepted"], answer["eventIds"]) == (2, ["a", "b"])
    assert [(each["index"], each["code"], each.get("field")) for each in answer["rejected"]] == [
        (1, "unsupported_event_type", "eventType"),
        (2, "not_an_object", None),
        (4, "invalid_field", "userId"),
    ]
    assert collector.query("select event_id from raw.events order by 1") == [("a",), ("b",)]
    kept = collector.query(
        "select source, code, message, payload::jsonb from raw.rejected_events order by 2"
    )
    assert [(code, payload) for _, code, _, payload in kept] == [
        ("invalid_field", event(userId=[])),
        ("not_an_object", 5),
        ("unsupported_event_type", event(eventType="nope")),
    ]
    assert {source for source, _, _, _ in kept} == {"default"}
    assert {message for _, _, message, _ in kept} == {
        each["message"] for each in answer["rejected"]
    }


def test_each_line_of_ndjson_stands_alone(client: httpx.Client, collector: Collector) -> None:
    good = json.dumps(event(eventId="a")).encode()
    bad = [b'{"eventType": NaN', b"\xff", b'"\\ud800"', b"[" * 100_000, b'{"a":"\x00"}', good[:-1]]
    response = client.post("/events", content=b"\n\n".join([*bad, good]), headers=NDJSON)
    assert response.status_code == 200
    assert response.json()["eventIds"] == ["a"]
    assert [(each["index"], each["code"]) for each in response.json()["rejected"]] == [
        (0, "malformed_json"),
        (1, "malformed_json"),
        (2, "malformed_json"),
        (3, "too_deep"),
        (4, "malformed_json"),
        (5, "malformed_json"),
    ]
    assert collector.query("select count(*) from raw.rejected_events") == [(6,)]
    assert collector.query("select event_id from raw.events") == [("a",)]


def test_nothing_accepted_of_several(client: httpx.Client, collector: Collector) -> None:
    response = client.post("/events", json=[event(eventType="nope"), event(activity=1)])
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["code"], problem["status"]) == ("nothing_accepted", 422)
    assert [each["index"] for each in problem["rejected"]] == [0, 1]
    assert collector.query("select count(*) from raw.events") == [(0,)]
    assert collector.query("select count(*) from raw.rejected_events") == [(2,)]


def test_5000_events_and_not_more(client: httpx.Client, collector: Collector) -> None:
    assert client.post("/events", json=[event()] * 5000).json()["accepted"] == 5000
    response = client.post("/events", json=[event()] * 5001)
    assert (response.status_code, response.json()["code"]) == (413, "too_many_events")
    assert collector.query("select count(*) from raw.events") == [(5000,)]


def test_rejected_payload_is_capped_and_made_storable(
    client: httpx.Client, collector: Collector
) -> None:
    client.post("/events", json=event(activity=1, note="x" * 100_000))
    client.post(
        "/events", content=b'{"eventType":"a\\u0000","userId":1,"activity":{}}', headers=JSON
    )
    client.post("/events", content=b'\x00{"a":"\xff"}\n{}', headers=NDJSON)
    rows = collector.query(
        "select code, octet_length(payload), strpos(payload, %s) from raw.rejected_events"
        " order by rejected_row_id",
        "\ufffd",
    )
    assert rows == [
        ("invalid_field", 65536, 0),
        ("unsupported_event_type", 48, 0),
        ("malformed_json", 14, 1),
        ("missing_field", 2, 0),
    ]

"""Bad input: each a clear 4xx that names the field, and nothing lands."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.api import JSON, NDJSON, SECRET, assert_problem, event
from tests.support.collector import Collector


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("eventType", [None, 1, ["page_viewed"]]),
        ("activity", [None, 1, SECRET, [SECRET]]),
        ("userId", [True, 1.5, "", SECRET * 9, 2**53, -(2**53), 10**400, [], {}]),
        ("anonymousId", [1, "", SECRET * 9, True]),
        ("eventId", [1, "", SECRET * 9, "a\0b"]),
        (
            "occurredAt",
            [
                1700000000,
                SECRET,
                "2026-01-31",
                "2026-01-31T12:00:00",
                "2026-02-30T12:00:00Z",
                "2026-01-31T24:00:00Z",
                "2026-01-31T12:00:00+16:00",
                "2026-01-31T12:00:00+0100",
                "0000-01-31T12:00:00Z",
                "2026-01-31T12:00:00Z\n",
            ],
        ),
        ("sentAt", [1, "2026-13-01T12:00:00Z"]),
    ],
)
def test_invalid_field(
    client: httpx.Client, collector: Collector, field: str, values: list[Any]
) -> None:
    for value in values:
        response = client.post("/events", json=event(**{field: value}))
        problem = assert_problem(response, 422, "invalid_field")
        assert problem["field"] == field
        assert problem["message"].startswith(f"{field} must be ")
    assert collector.query("select count(*) from raw.events") == [(0,)]
    assert collector.query("select count(*) from raw.rejected_events") == [(len(values),)]


@pytest.mark.parametrize("number", ["1.0000000000000000001", "9007199254740991.4", "1e400", "NaN"])
def test_user_id_that_only_rounds_to_a_whole_number(client: httpx.Client, number: str) -> None:
    body = f'{{"eventType": "page_viewed", "userId": {number}, "activity": {{}}}}'
    assert client.post("/events", content=body, headers=JSON).status_code in (400, 422)


@pytest.mark.parametrize("field", ["eventType", "activity", "userId"])
def test_missing_field(client: httpx.Client, field: str) -> None:
    sent = event()
    del sent[field]
    problem = assert_problem(client.post("/events", json=sent), 422, "missing_field")
    assert problem["field"] == field


def test_unsupported_event_type_is_named(client: httpx.Client) -> None:
    response = client.post("/events", json=event(eventType="page_veiwed" + "x" * 1000))
    problem = assert_problem(response, 422, "unsupported_event_type")
    assert "page_veiwed" in problem["message"]
    assert "dbt_project/seeds/event_types.csv" in problem["message"]
    assert len(problem["message"]) < 200


@pytest.mark.parametrize("value", ["1", '"text"', "null", "true", '[["nested"]]'])
def test_not_an_object(client: httpx.Client, value: str) -> None:
    response = client.post("/events", content=value, headers=JSON)
    code = "nothing_accepted" if value.startswith("[") else "not_an_object"
    assert_problem(response, 422, code)


@pytest.mark.parametrize(
    "broken",
    [
        b"{",
        b"{'a': 1}",
        b'{"eventType": 1, oops}',
        b'{"activity": {"a": NaN}}',
        b'{"activity": {"a": -Infinity}}',
        b'{"activity": {"a": "\xff"}}',
        b'{"activity": {"a": "\xed\xa0\x80"}}',
        b'{"activity": {"a": "\\ud800"}}',
        b'{"activity": {"a": "\\udc00\\ud800"}}',
        b'{"activity": {"\\ud800": 1}}',
        b'{"activity": {"a": "\x00"}}',
        b'{"activity": {"a": 01}}',
        b'{"activity": {}} trailing',
        b'{"activity": {},}',
        '{"activity": {}}'.encode("utf-16"),
    ],
)
def test_not_json(client: httpx.Client, collector: Collector, broken: bytes) -> None:
    assert_problem(client.post("/events", content=broken, headers=JSON), 400, "malformed_json")
    good = json.dumps(event()).encode()
    array = b"[" + good + b"," + broken + b"]"
    assert_problem(client.post("/events", content=array, headers=JSON), 400, "malformed_json")
    assert_problem(client.post("/users", content=broken, headers=JSON), 400, "malformed_json")
    assert collector.query("select count(*) from raw.events") == [(0,)]
    assert client.post("/events", json=event()).status_code == 200


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00", "\\ud800\\u0041", "\\ud800x"])
def test_half_of_a_surrogate_pair_is_named(client: httpx.Client, half: str) -> None:
    broken = f'{{"activity": {{"a": "{half}"}}}}'
    problem = assert_problem(
        client.post("/events", content=broken, headers=JSON), 400, "malformed_json"
    )
    assert "surrogate pair" in problem["message"]


@pytest.mark.parametrize("body", [b"", b" \n", b"[]", b"[ ]"])
def test_no_events(client: httpx.Client, body: bytes) -> None:
    assert_problem(client.post("/events", content=body, headers=JSON), 400, "no_events")


def test_no_lines(client: httpx.Client) -> None:
    assert_problem(client.post("/events", content=b"\n \n", headers=NDJSON), 400, "no_events")


def nested(depth: int) -> bytes:
    """An event whose JSON is `depth` levels deep: itself, its activity, and arrays."""
    arrays = b"[" * (depth - 2) + b"]" * (depth - 2)
    return b'{"eventType":"page_viewed","userId":1,"activity":{"]}":' + arrays + b"}}"


def test_depth(client: httpx.Client, collector: Collector) -> None:
    assert client.post("/events", content=nested(64), headers=JSON).status_code == 200
    wide = event(activity={"list": [{"a": []}] * 1000})
    assert client.post("/events", json=wide).status_code == 200
    for depth in (65, 500, 100_000):
        response = client.post("/events", content=nested(depth), headers=JSON)
        assert_problem(response, 400, "too_deep")
    array = b"[" + nested(64) + b"," + nested(65) + b"]"
    response = client.post("/events", content=array, headers=JSON)
    assert [each["code"] for each in response.json()["rejected"]] == ["too_deep"]
    array = b"[" + nested(64) + b"," + nested(100_000) + b"]"
    assert_problem(client.post("/events", content=array, headers=JSON), 400, "too_deep")
    assert collector.query("select count(*) from raw.events") == [(3,)]


def test_event_larger_than_1_mib(client: httpx.Client) -> None:
    large = event(activity={"a": "x" * 1024 * 1024})
    assert_problem(client.post("/events", json=large), 413, "too_large")
    response = client.post("/events", json=[large, event(eventId="a")])
    assert response.json()["eventIds"] == ["a"]
    assert [each["code"] for each in response.json()["rejected"]] == ["too_large"]


@pytest.mark.parametrize("mebibytes", [5, 11])
def test_body_larger_than_4_mib(client: httpx.Client, mebibytes: int) -> None:
    body = b" " * (mebibytes * 1024 * 1024)
    assert_problem(client.post("/events", content=body, headers=JSON), 413, "body_too_large")
    chunks = iter([b" " * 1024 * 1024] * mebibytes)
    assert_problem(client.post("/events", content=chunks, headers=JSON), 413, "body_too_large")


@pytest.mark.parametrize("path", ["/events", "/users"])
def test_unsupported_media_type(client: httpx.Client, path: str) -> None:
    for media_type in ("application/x-www-form-urlencoded", "image/gif", "json"):
        headers = {"Content-Type": media_type}
        response = client.post(path, content=b"{}", headers=headers)
        assert_problem(response, 415, "unsupported_media_type")
    response = client.post(path, content=b"{}", headers=JSON | {"Content-Encoding": "br"})
    assert_problem(response, 415, "unsupported_content_encoding")


@pytest.mark.parametrize("sent", ["page_view", "PageViewed", "application-submitted"])
def test_what_was_meant_is_asked(client: httpx.Client, sent: str) -> None:
    meant = {"application-submitted": "application_submitted"}.get(sent, "page_viewed")
    response = client.post("/events", json=event(eventType=sent))
    problem = assert_problem(response, 422, "unsupported_event_type")
    assert f"did you mean '{meant}'?" in problem["message"]
    batch = client.post("/events", json=[event(), *[event(eventType=sent)] * 9]).json()
    assert sum("did you mean" in each["message"] for each in batch["rejected"]) == 3
    unlike = client.post("/events", json=event(eventType="zzz")).json()
    assert "did you mean" not in unlike["message"]


def test_not_found(client: httpx.Client) -> None:
    for path in ("/nothing", "/events/", "/EVENTS"):
        assert_problem(client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/events", {"POST"}),
        ("DELETE", "/users", {"GET", "HEAD", "POST"}),
        ("PUT", "/users/1", {"GET", "HEAD"}),
        ("POST", "/healthz", {"GET", "HEAD"}),
    ],
)
def test_method_not_allowed(
    client: httpx.Client, method: str, path: str, allowed: set[str]
) -> None:
    response = client.request(method, path)
    assert_problem(response, 405, "method_not_allowed")
    assert set(response.headers["allow"].split(", ")) == allowed


def test_client_that_goes_away(client: httpx.Client, collector: Collector) -> None:
    host, port = urlsplit(collector.url).netloc.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"
        )
    assert client.post("/events", json=event()).status_code == 200
    assert "Traceback" not in collector.log.read_text()


@pytest.mark.parametrize("number", ["1e131071", "-1E-16000", "7" * 401, "1e-99999999999999999999"])
def test_numbers_that_expand(client: httpx.Client, collector: Collector, number: str) -> None:
    """Refused alone by every door, and kept; what is beside them lands."""
    good = json.dumps(event(eventId="good"))
    odd = good.replace('"activity": {', f'"activity": {{"a": [{{"b": {number}}}]')
    odd_id = good.replace('"userId": 1', f'"userId": {number}')
    assert number in odd
    assert number in odd_id
    for content, headers in (
        (f"[{odd},{good},{odd_id}]", JSON),
        (f"{odd}\n{good}\n{odd_id}", NDJSON),
    ):
        answer = client.post("/events", content=content, headers=headers).json()
        assert answer["accepted"] == 1
        codes = [each["code"] for each in answer["rejected"]]
        assert codes[0] == "not_storable"
        assert codes[1] in ("not_storable", "invalid_field")
    message = f'{{"type": "identify", "userId": "u", "traits": {{"a": {number}}}}}'
    sound = '{"type": "page", "userId": "u"}'
    batch = client.post("/v1/batch", content=f'{{"batch": [{message}, {sound}]}}').json()
    assert (batch["accepted"], batch["rejected"][0]["code"]) == (1, "not_storable")
    user = client.post("/users", content=f'{{"userId": 1, "a": {number}}}', headers=JSON)
    assert_problem(user, 422, "not_storable")
    assert collector.query("select count(*) from raw.events") == [(3,)]
    assert collector.query("select count(*) from raw.rejected_events") == [(5,)]
    assert collector.query("select count(*) from raw.users") == [(0,)]

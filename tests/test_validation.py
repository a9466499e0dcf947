"""Validation as a pure function: whatever the bytes, events, rejections or a problem."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from collector.problems import Problem
from collector.settings import Settings
from collector.times import parse_time
from collector.turns import finished
from collector.validation import Received, read_events, read_user

SETTINGS = Settings.from_environment({})
SUPPORTED = frozenset({"page_viewed"})

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["page_viewed", "2026-01-31T12:00:00Z", "2026-02-30T12:00:00Z", "x" * 129])
    | st.datetimes().map(lambda time: time.isoformat() + "+01:00")
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
fields = ["eventType", "userId", "anonymousId", "activity", "eventId", "occurredAt", "sentAt"]
events = st.fixed_dictionaries({}, optional=dict.fromkeys(fields, values)) | st.fixed_dictionaries(
    {
        "eventType": st.just("page_viewed"),
        "activity": st.dictionaries(st.text(), values),
        "userId": st.integers(-(2**54), 2**54) | st.text(),
    },
    optional={"eventId": st.text() | st.none(), "more": values},
)


# How fast an example is generated says nothing about the collector.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def read(body: bytes, *, lines: bool = False) -> Received:
    return finished(read_events(body, SUPPORTED, SETTINGS, lines=lines))


@given(st.lists(events | values, min_size=1))
def test_any_json_is_accepted_or_refused_with_a_reason(sent: list[Any]) -> None:
    texts = [json.dumps(value).encode() for value in sent]
    received = read(b"[" + b",".join(texts) + b"]")
    positions = [event.position for event in received.events]
    positions += [rejection.position for rejection in received.rejections]
    assert sorted(positions) == list(range(len(sent)))
    for event in received.events:
        assert event.payload == texts[event.position]
        assert 1 <= len(event.event_id) <= 128
        assert "\0" not in event.event_id
        fields = sent[event.position]
        assert fields["eventType"] == "page_viewed"
        assert isinstance(fields["activity"], dict)
        assert fields.get("userId") is not None or fields.get("anonymousId") is not None
        assert not isinstance(fields.get("userId"), bool)
    for rejection in received.rejections:
        assert rejection.payload == texts[rejection.position]
        assert 400 <= rejection.problem.status < 500
        assert rejection.problem.code
        assert rejection.problem.message
    lines = read(b"\n".join(texts), lines=True)
    assert len(lines.events) == len(received.events)


@given(st.binary() | st.binary().map(lambda body: b"[" + body + b"]"), st.booleans())
@example(b"[" * 100_000, False)
@example(b'{"a":' * 100_000, True)
@example(b'{"eventType":"\\ud800"}', False)
@example(b'{"userId":' + b"9" * 5000 + b"}", False)
def test_any_bytes_are_a_problem_at_worst(body: bytes, lines: bool) -> None:
    problem = None
    received = Received([], [], single=True)
    try:
        received = read(body, lines=lines)
    except Problem as raised:
        problem = raised
    assert problem or received.rejections or received.events
    assert problem is None or 400 <= problem.status < 500


@given(values | events)
def test_any_json_is_a_user_or_a_problem(sent: Any) -> None:  # noqa: ANN401
    text = json.dumps(sent)
    try:
        user, payload = read_user(text.encode(), SETTINGS)
    except Problem as raised:
        status = raised.status
    else:
        status = 200
        assert payload == text
        assert user.email is not None or user.user_id is not None
    assert 200 <= status < 500


def test_the_last_of_repeated_properties_counts() -> None:
    body = b'{"eventType":"nope","eventType":"page_viewed","userId":1,"activity":{}}'
    assert len(read(body).events) == 1
    body = b'{"eventType":"page_viewed","userId":1,"userId":null,"activity":{}}'
    assert [rejection.problem.code for rejection in read(body).rejections] == ["missing_field"]


@pytest.mark.parametrize("first", ['"a"', "true", "[1]", "1.5", "1e400"])
def test_a_whole_number_after_another_user_id(first: str) -> None:
    body = f'{{"eventType":"page_viewed","userId":{first},"userId":1.0,"activity":{{}}}}'
    received = read(body.encode())
    assert len(received.events) + len(received.rejections) == 1


def test_escaped_property_names() -> None:
    body = b'{"event\\u0054ype":"page_viewed","userId":1,"activity":{},"eventId":"a"}'
    assert [event.event_id for event in read(body).events] == ["a"]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("2026-01-31t12:00:00.5z", "2026-01-31T12:00:00.500000+00:00"),
        ("2026-01-31 12:00:00-01:30", "2026-01-31T12:00:00-01:30"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59+00:00"),
        ("2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123456+00:00"),
    ],
)
def test_parse_time(text: str, parsed: str) -> None:
    assert parse_time(text).isoformat() == parsed

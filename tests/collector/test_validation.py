"""Validation as a pure function: whatever the bytes, events, rejections or a problem."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
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


@pytest.fixture(scope="module")
def server(postgres_url: str) -> Iterator[psycopg.Connection]:
    """A connection to PostgreSQL."""
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        yield connection


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


# Numbers as JSON writes them: of every length and exponent, around the limits and far beyond.
digits = st.integers(0, 10**12).map(str) | st.sampled_from([1, 399, 400, 401, 999]).map("7".__mul__)
exponents = st.integers(-410, 410) | st.integers(-(10**25), 10**25)
numbers = st.tuples(
    st.sampled_from(["", "-"]),
    digits,
    st.just("") | digits.map(".{}".format),
    st.just("")
    | st.tuples(st.sampled_from(["e", "E", "e+", "E-", "e00"]), exponents.map(abs)).map(
        lambda each: f"{each[0]}{each[1]}"
    ),
).map("".join)
pieces = st.one_of(
    numbers,
    numbers.map('"{}"'.format),
    numbers.map(lambda number: json.dumps(f'\\"[: {number} ,{number}')),
    numbers.map('{{"a" : {} }}'.format),
)


@given(st.lists(st.tuples(pieces, st.sampled_from([1, 3000])), max_size=3), numbers)
@example([("1e131071", 1)], "1")
@example([], "1e-99999999999999999999")
@example([], "0e99999999999999999999")
@example([("1e400", 3000)], "1")
@settings(max_examples=200, deadline=None)
def test_what_is_accepted_can_be_written_out(
    server: psycopg.Connection, sent: list[tuple[str, int]], user_id: str
) -> None:
    """As text it is no larger than an event may be, but for blanks; nothing else is a fault."""
    items = ",".join(",".join([piece] * count) for piece, count in sent)
    values = f'"userId": {user_id}, "a": [{items}]'
    for body in (
        f'{{"eventType": "page_viewed", "activity": {{}}, {values}}}',
        f'{{"eventType": "page_viewed", "userId": 1, "activity": {{{values}}}}}',
    ):
        received = read(body.encode())
        if received.events:
            query = "select octet_length(replace(%s::jsonb::text, ' ', ''))"
            [(size,)] = server.execute(query, [body]).fetchall()
            assert size <= SETTINGS.max_event_bytes
        else:
            code = received.rejections[0].problem.code
            assert code in ("not_storable", "invalid_field", "too_large")


@pytest.mark.parametrize(
    "number",
    [
        "5e-324",
        "4.9406564584124654e-324",
        "1.7976931348623157e308",
        "-2.5E-05",
        "9" * 400,
        "0e0",
        "1e400",
    ],
)
def test_every_double_is_accepted(number: str) -> None:
    event = f'{{"eventType": "page_viewed", "userId": 1, "activity": {{"a": {number}}}}}'
    assert read(event.encode()).events


def test_texts_are_no_numbers() -> None:
    texts = [
        "1e999999",
        " 1e999999",
        ": 1e999999,",
        '\\": 1e999999',
        "9" * 5000,
        "\\",
        "[1e999999]",
    ]
    event = {"eventType": "page_viewed", "userId": 1, "activity": dict.fromkeys(texts, texts)}
    assert read(json.dumps(event).encode()).events

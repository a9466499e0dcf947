"""Whatever JSONB can hold is staged, clamped or put aside with a reason; no build fails on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from functools import cache

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.problems import Problem
from collector.settings import Settings
from collector.times import parse_time
from collector.validation import read_user
from tests.support.warehouse import Warehouse

pytestmark = pytest.mark.every_postgres

RECEIVED_AT = "2026-10-01 12:00:00+00"
HOSTILE_VALUES = [
    "null",
    "true",
    "-0",
    "1e131071",
    "-1e131071",
    "1e-16000",
    "12345678901234567890.12345678901234567890",
    '""',
    '" "',
    '"12x"',
    '"1e5"',
    '"NaN"',
    '"Infinity"',
    '"2024-02-30T00:00:00Z"',
    '"2023-02-29T00:00:00Z"',
    '"0000-01-01T00:00:00Z"',
    '"9999-12-31T23:59:59Z"',
    '"0001-01-01T00:00:00+15:59"',
    '"2024-01-01T00:00:00+16:00"',
    '"2024-01-01T23:59:60Z"',
    '"now"',
    '"infinity"',
    '"\\u0001\\u00e9\\ud83d\\ude00\'\\\\\\""',
    "[]",
    '[1, "a", {"b": null}]',
    "{}",
    '{"a": {"a": {"a": 1}}}',
    json.dumps("n" * 1_000_000),
]
FIELDS = ["eventType", "userId", "anonymousId", "occurredAt", "activity", "eventId", "sentAt"]
PROPERTIES = ["taskId", "taskType", "assignee", "ficoScore", "path", "amountCents", "eventId"]
TYPES = ["task_scheduled", "task_completed", "credit_score_updated", "payment_made", "event_voided"]


# All that JSONB can hold: no NUL, no lone surrogate, no number beyond `numeric`.
strings = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)
times = st.from_regex(
    r"\A(19[7-9]|20[0-2]|[0-9]{3})[0-9]-[01][0-9]-[0-3][0-9][Tt ]"
    r"[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,12})?([Zz]|[+-][012][0-9]:[0-6][0-9])?\Z"
)
integers = st.integers(-(10**400), 10**400).map(str)
powers = st.integers(-16_000, 131_000).map("1e{}".format)
decimals = st.decimals(allow_nan=False, allow_infinity=False).map("{:f}".format)
numbers = integers | powers | decimals
texts = (strings | times | numbers).map(json.dumps)
values = st.recursive(
    texts | numbers | st.sampled_from(HOSTILE_VALUES),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: f"[{','.join(each)}]")
        | st.tuples(texts, inner).map(lambda each: f"{{{each[0]}:{each[1]}}}")
    ),
    max_leaves=4,
)


def generated(strategy: st.SearchStrategy[str], count: int) -> list[str]:
    """Examples of a strategy, always the same: a build takes too long for one each."""
    found: set[str] = set()

    @settings(max_examples=count, derandomize=True, database=None, deadline=None)
    @given(strategy)
    def collect(example: str) -> None:
        found.add(example)

    collect()
    return sorted(found)


@cache
def hostile_payloads() -> list[str]:
    """Every value in every typed field, alone, as JSON text."""
    sound = {
        "eventType": '"page_viewed"',
        "userId": "7",
        "activity": "{}",
        "occurredAt": '"2026-09-30T12:00:00Z"',
    }
    payloads = [
        "{" + ", ".join(f'"{k}": {v}' for k, v in {**sound, field: value}.items()) + "}"
        for field in FIELDS
        for value in HOSTILE_VALUES
    ]
    payloads += [
        f'{{"eventType": "{event_type}", "userId": {user}, "activity": {{"{name}": {value}}}}}'
        for event_type in TYPES
        for name in PROPERTIES
        for user, value in enumerate(HOSTILE_VALUES, start=100)
    ]
    payloads += [
        f'{{"eventType": "page_viewed", "userId": 8, "activity": {{}}, "occurredAt": {time}}}'
        for time in generated(times.map(json.dumps), 200)
    ]
    payloads += [
        "{" + ", ".join(f'"{k}": {v}' for k, v in {**sound, field: value}.items()) + "}"
        for field in FIELDS
        for value in generated(values, 60)
    ]
    payloads += [
        f'{{"eventType": "{event_type}", "userId": 9, "activity": {{"{name}": {value}}}}}'
        for event_type in TYPES
        for name in PROPERTIES
        for value in generated(values, 20)
    ]
    payloads += [
        f'{{"eventType": "page_viewed", "userId": 10, "activity": {{{text}: {text}}}}}'
        for text in generated(strings.map(json.dumps), 300)
    ]
    payloads += [*HOSTILE_VALUES, "{}", '{"eventType": "page_viewed", "activity": {}}']
    return payloads


@pytest.fixture(scope="module")
def hostile(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """A warehouse in whose raw tables nothing is as it should be."""
    with create_warehouse() as warehouse:
        land_hostile_rows(warehouse.database_url)
        warehouse.build()
        yield warehouse


def land_hostile_rows(database_url: str) -> None:
    with closing(psycopg.connect(database_url)) as connection, connection:
        connection.cursor().executemany(
            """
            insert into raw.events (received_at, source, event_id, payload)
            values (%s, %s, %s, %s)
            """,
            [
                (RECEIVED_AT, "default", f"hostile-{number}", payload)
                for number, payload in enumerate(hostile_payloads())
            ],
        )
        connection.cursor().executemany(
            """
            insert into raw.users (received_at, occurred_at, source, user_id, payload)
            values (%s, %s, 'default', 'hostile', %s)
            """,
            [
                (RECEIVED_AT, occurred_at, f'{{"{name}": {value}}}')
                for occurred_at in (RECEIVED_AT, "0001-01-01 00:00+00", "9999-01-01 00:00+00")
                for name in ("email", "name", "ficoScore")
                for value in HOSTILE_VALUES
            ],
        )


def test_build_is_green_and_every_row_accounted_for(hostile: Warehouse) -> None:
    [(raw_rows,)] = hostile.query("select count(*) from raw.events")
    [(staged,)] = hostile.query("select count(*) from staging.stg_events")
    assert staged == raw_rows == len(hostile_payloads())

    rejected = dict(
        hostile.query(
            "select rejection_code, count(*) from staging.stg_events__rejected group by 1"
        )
    )
    assert set(rejected) == {
        "event_type_invalid",
        "user_id_invalid",
        "user_missing",
        "user_illegal",
        "activity_invalid",
        "occurred_at_invalid",
    }
    # Neither a megabyte nor 131,072 digits get past staging as text.
    assert hostile.query(
        "select max(length(user_id)), max(length(event_type)) from marts.fct_events"
    ) == [(25, 256)]


def test_times_are_real_clamped_or_rejected(hostile: Warehouse) -> None:
    fates = {
        str(value): (str(occurred_at), fate)
        for value, occurred_at, fate in hostile.query(
            """
            select
                left(raw_events.payload ->> 'occurredAt', 100),
                staged.occurred_at at time zone 'UTC',
                coalesce(staged.rejection_code, staged.occurred_at_source)
            from staging.stg_events as staged
            inner join raw.events as raw_events using (event_row_id)
            where raw_events.payload
                @> '{"eventType": "page_viewed", "userId": 7, "activity": {}}'
            """
        )
    }
    assert fates["2026-09-30T12:00:00Z"] == ("2026-09-30 12:00:00", "client")
    assert fates["9999-12-31T23:59:59Z"] == ("2026-10-02 12:00:00", "clamped")
    assert fates["0001-01-01T00:00:00+15:59"] == ("1976-10-13 12:00:00", "clamped")
    assert fates["2024-01-01T23:59:60Z"] == ("2024-01-01 23:59:59", "client")
    for no_time in (
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2024-01-01T00:00:00+16:00",
        "now",
        "infinity",
        "",
    ):
        assert fates[no_time][1] == "occurred_at_invalid", no_time


def test_scores_outside_the_range_are_no_scores(hostile: Warehouse) -> None:
    assert hostile.query("select count(*) from marts.fct_credit_scores") == [(0,)]
    assert hostile.query("select bool_or(is_score_invalid) from staging.stg_users") == [(True,)]


def test_generated_times_are_read_as_the_collector_reads_them(hostile: Warehouse) -> None:
    """The rule is written twice, for Python and for PostgreSQL."""
    fates = hostile.query(
        """
        select
            raw_events.payload ->> 'occurredAt',
            staged.occurred_at,
            coalesce(staged.rejection_code, staged.occurred_at_source)
        from staging.stg_events as staged
        inner join raw.events as raw_events using (event_row_id)
        where raw_events.payload -> 'userId' = '8'
        """
    )
    assert {fate for *_, fate in fates} == {"client", "clamped", "occurred_at_invalid"}
    reader = Settings.from_environment({})
    for text, occurred_at, fate in fates:
        body = json.dumps({"userId": 1, "occurredAt": text}).encode()
        if fate == "occurred_at_invalid":
            with pytest.raises(Problem):
                read_user(body, reader)
            continue
        read_user(body, reader)
        if fate == "client":
            # PostgreSQL rounds what Python cuts.
            assert abs(parse_time(text) - occurred_at) <= timedelta(microseconds=1), text


def test_every_string_comes_out_as_it_went_in(hostile: Warehouse) -> None:
    sent = [json.loads(text) for text in generated(strings.map(json.dumps), 300)]
    assert len(sent) > 200
    came_out = hostile.query("select activity from marts.fct_events where user_id = '10'")
    activities = sorted(str(activity) for (activity,) in came_out)
    assert activities == sorted(str({text: text}) for text in sent)


def test_text_comes_out_as_it_went_in(hostile: Warehouse) -> None:
    assert hostile.query(
        r"""
        select distinct assignee from marts.fct_tasks
        where assignee like '%😀%'
        """
    ) == [("\x01é😀'\\\"",)]

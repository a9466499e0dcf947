"""Any JSON, over HTTP into PostgreSQL: what is accepted lands as sent, the rest is kept aside."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.api import JSON, NDJSON
from tests.support.collector import Collector

pytestmark = pytest.mark.every_postgres

# What JSON may have and JSONB may not, or what strains a parser, as JSON text.
HOSTILE = [
    '"\\u0000"',
    '"a\\u0000b"',
    "1e200000",
    "-1e-200000",
    "1e131071",
    "9" * 5000,
    "0." + "1" * 20_000,
    "1.10",
    "-0.0",
    '"\\ud83d\\ude00"',
    '"\\\\u0000"',
    '"\\\\.\\n\\t\\r\\f"',
    '"\u2028\x7f\ufeff\uffff"',
    '{"a":1,"a":2}',
    '{"":{"":[]}}',
    "[" * 60 + "]" * 60,
    "[" * 70 + "]" * 70,
]
# Whole bodies of JSON are spoilt by these, and only their own line of NDJSON.
NOT_JSON = [
    "NaN",
    "-Infinity",
    '"\\ud800"',
    '"\\udc00\\ud800"',
    "01",
    "'a'",
    '"\t"',
    '{"a":1,}',
    "",
]

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
texts = st.recursive(
    scalars.filter(lambda value: value not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
).map(lambda value: json.dumps(value, ensure_ascii=False)) | st.sampled_from(HOSTILE)


@st.composite
def events(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    """The text of an event that only its activity, or one odd property, may spoil."""
    properties = {"eventType": '"page_viewed"', "userId": "1"}
    properties["activity"] = f'{{"a": {draw(values)}}}'
    name = draw(st.sampled_from(["activity", "more", "more", "userId", "occurredAt", "eventType"]))
    if name != "activity":
        properties[name] = draw(values)
    space = draw(st.sampled_from(["", " ", "\t", "\r"]))
    return "{" + ",".join(f'"{key}":{space}{text}' for key, text in properties.items()) + "}"


patient = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def assert_all_is_where_it_belongs(
    collector: Collector, sent: list[str], response: httpx.Response
) -> None:
    """Accepted events are JSONB equal to what was sent, in order; all others are quarantined."""
    assert response.status_code in (200, 422), response.text
    answer: dict[str, Any] = response.json()
    refused = {each["index"]: each["code"] for each in answer["rejected"]}
    assert (response.status_code == 200) == (len(refused) < len(sent))
    accepted = [text for index, text in enumerate(sent) if index not in refused]
    event_ids = answer.get("eventIds", [])
    assert len(event_ids) == len(accepted)
    stored = collector.query(
        """
        select count(*), coalesce(bool_and(events.payload = sent.text::jsonb), true)
        from unnest(%s::text[], %s::text[]) as sent (event_id, text)
        inner join raw.events using (event_id)
        """,
        event_ids,
        accepted,
    )
    assert stored == [(len(accepted), True)]
    kept = collector.query("select code, payload from raw.rejected_events order by 2")
    spoilt = [
        (code, utf8(sent[index]).decode(errors="replace").replace("\0", "\ufffd"))
        for index, code in refused.items()
    ]
    assert sorted(kept) == sorted(spoilt)
    assert collector.query("select count(*) from raw.events") == [(len(accepted),)]


def emptied(collector: Collector) -> None:
    with closing(psycopg.connect(collector.database_url, autocommit=True)) as connection:
        connection.execute("delete from raw.events")
        connection.execute("delete from raw.rejected_events")


@patient
@given(st.lists(events(texts), min_size=1, max_size=8))
def test_array(client: httpx.Client, collector: Collector, sent: list[str]) -> None:
    emptied(collector)
    body = f"[{','.join(sent)}]"
    response = client.post("/events", content=utf8(body), headers=JSON)
    assert_all_is_where_it_belongs(collector, sent, response)


@patient
@given(st.lists(events(texts | st.sampled_from(NOT_JSON)), min_size=1, max_size=8))
def test_ndjson(client: httpx.Client, collector: Collector, sent: list[str]) -> None:
    emptied(collector)
    response = client.post("/events", content=utf8("\n".join(sent)), headers=NDJSON)
    assert_all_is_where_it_belongs(collector, sent, response)


@patient
@given(st.lists(events(texts), max_size=4), events(st.sampled_from(NOT_JSON)))
def test_what_is_not_json_spoils_an_array(
    client: httpx.Client, collector: Collector, good: list[str], bad: str
) -> None:
    emptied(collector)
    body = f"[{','.join([*good, bad])}]"
    response = client.post("/events", content=utf8(body), headers=JSON)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_json")
    assert collector.query("select count(*) from raw.events") == [(0,)]


def test_5000_poison_events(client: httpx.Client, collector: Collector) -> None:
    poison = '{"eventType":"page_viewed","userId":1,"activity":{"a":"\\u0000"}}'
    good = '{"eventType":"page_viewed","userId":1,"activity":{},"eventId":"good"}'
    body = f"[{','.join([poison] * 4999 + [good])}]"
    response = client.post("/events", content=body, headers=JSON)
    assert response.json()["eventIds"] == ["good"]
    assert len(response.json()["rejected"]) == 4999
    assert collector.query("select count(*) from raw.rejected_events") == [(4999,)]
    print(f"5000 poison events: {response.elapsed.total_seconds():.2f} s")  # noqa: T201

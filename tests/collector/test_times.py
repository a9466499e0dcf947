"""Times: one meaning for the collector and for dbt, and the best that can be known of an SDK's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import jinja2
import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from collector.contract import MAX_SCORE, MIN_SCORE
from collector.problems import Problem
from collector.settings import ROOT, Settings
from collector.times import parse_time, sdk_times
from collector.users import Update
from collector.validation import read_user
from tests.support.macros import Adapter, returned

pytestmark = pytest.mark.every_postgres

CASTS = ROOT / "dbt_project" / "macros" / "casts"
SETTINGS = Settings.from_environment({})
MICROSECOND = timedelta(microseconds=1)  # PostgreSQL rounds what Python cuts

# Every form that RFC 3339 has, its limits and just beyond: most are times, and some are not.
two_digits = st.integers(0, 62).map("{:02}".format)
years = st.sampled_from(["0000", "0001", "1582", "1900", "2000", "2024", "9999"])
days = st.tuples(years, st.integers(0, 13), st.integers(0, 32)).map(
    "{0[0]}-{0[1]:02}-{0[2]:02}".format
)
seconds = st.sampled_from(["00", "59", "60", "61"])
fractions = st.just("") | st.integers(0, 10**10).map(".{}".format)
zones = st.sampled_from("Zz") | st.tuples(
    st.sampled_from("+-"), st.integers(0, 17), st.integers(0, 61), st.sampled_from([":", ""])
).map("{0[0]}{0[1]:02}{0[3]}{0[2]:02}".format)
forms = st.tuples(
    days, st.sampled_from("Tt _"), st.integers(0, 24), two_digits, seconds, fractions, zones
).map("{0[0]}{0[1]}{0[2]:02}:{0[3]}:{0[4]}{0[5]}{0[6]}".format)
sound = st.datetimes().map(datetime.isoformat)
times = forms | st.tuples(sound, zones).map("".join)
anything = st.recursive(
    times
    | st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
    | st.sampled_from(["infinity", "now", "-0001-01-01T00:00:00Z", "2024-01-01T00:00:00 BC"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=3,
)


def rendered(server: psycopg.Connection, macro: str, *arguments: str) -> str:
    """A macro of dbt as SQL for psycopg and a server, with the tolerance of clocks at 5 minutes."""
    environment = jinja2.Environment(autoescape=False)  # noqa: S701  it is SQL
    environment.globals |= {
        "adapter": Adapter(),
        "project_setting": {"clock_tolerance_minutes": "5"}.__getitem__,
        "return": returned,
        "execute": True,
        "run_query": lambda query: SimpleNamespace(rows=server.execute(query.encode()).fetchall()),
    }
    source = "".join(path.read_text() for path in sorted(CASTS.glob("*.sql")))
    call = f"{{{{ {macro}({', '.join(map(repr, arguments))}) }}}}"
    return environment.from_string(source + call).render().strip().replace("%", "%%")


@pytest.fixture(scope="module")
def server(postgres_url: str) -> Iterator[psycopg.Connection]:
    """A connection, in a zone that has summer time."""
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute("set time zone 'Europe/Berlin'")
        yield connection


def cast(server: psycopg.Connection, macro: str, values: list[str]) -> list[Any]:
    """What dbt's SQL makes of JSON texts; times as text, since Python's end with the year 9999."""
    query = f"select {rendered(server, macro, 'value')} from unnest(%s::jsonb[]) as value"  # noqa: S608
    return [row[0] for row in server.execute(query.encode(), [values])]


@given(st.lists(anything, min_size=1, max_size=50))
@example(["2016-12-31T23:59:60.5Z", "2016-12-31T23:59:60Z", "9999-12-31T23:59:60.999999999-15:59"])
@settings(deadline=None, max_examples=300)
def test_no_cast_of_staging_can_fail(server: psycopg.Connection, values: list[object]) -> None:
    texts = [json.dumps(value) for value in values]
    for macro in ("json_text", "json_numeric", "json_user_id"):
        cast(server, macro, texts)
    microseconds = (
        f"extract(epoch from {rendered(server, 'json_timestamptz', 'value')})::numeric * 1000000"
    )
    query = f"select ({microseconds})::bigint from unnest(%s::jsonb[]) as value"  # noqa: S608
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    for value, (read,) in zip(values, server.execute(query.encode(), [texts]), strict=True):
        if value is not None and admitted(
            {"userId": 1, "occurredAt": value}
        ):  # what is admitted means the same moment on both sides
            assert abs(parse_time(str(value)) - epoch - timedelta(microseconds=read)) <= MICROSECOND
        else:
            assert read is None, value


@given(st.lists(anything | st.integers(-(2**54), 2**54) | st.floats(-999, 999), min_size=1))
@example([2**53 - 1, 2**53, -(2**53), 1.0, 1.5, -0.0, 0, "x" * 128, "x" * 129, "", " ", "1", True])
@example([299, 300, 850, 851, 720.0, 720.5, "720"])
@settings(deadline=None, max_examples=200)
def test_ids_and_scores_are_the_same_on_both_sides(
    server: psycopg.Connection, values: list[object]
) -> None:
    """The rules of a userId and of a score stand in Python and in SQL."""
    texts = [json.dumps(value) for value in values]
    ids, scores = cast(server, "json_user_id", texts), cast(server, "json_numeric", texts)
    for value, user_id, score in zip(values, ids, scores, strict=True):
        sent = admitted({"userId": value})
        assert (sent and Update.of(0, sent, "").user_id) == user_id
        sent = admitted({"userId": 1, "ficoScore": value})
        if sent and value is not None:
            assert MIN_SCORE <= sent.fico_score == score <= MAX_SCORE


def admitted(user: dict[str, object]) -> Any:  # noqa: ANN401
    """The user as the collector reads it; None where it is refused, or has no id."""
    try:
        sent, _ = read_user(json.dumps(user).encode(), SETTINGS)
    except Problem:
        return None
    return sent


@given(st.lists(st.tuples(times, times, times), min_size=1, max_size=50))
@example([("0001-01-01T00:00:00+15:59", "9999-12-31T23:59:60.9-15:59", "2026-01-01T00:00:00Z")])
@settings(deadline=None, max_examples=100)
def test_no_correction_can_fail(
    server: psycopg.Connection, triples: list[tuple[str, str, str]]
) -> None:
    moments = [rendered(server, "json_timestamptz", f"value -> {n}") for n in range(2)]
    corrected = rendered(server, "skew_corrected_time", "occurred_at", "sent_at", "received_at")
    plausible = rendered(server, "plausible_time", "corrected_at", "received_at")
    query = f"""
        select plausible_at - received_at from (
            select {plausible} as plausible_at, received_at from (
                select {corrected} as corrected_at, received_at from (
                    select
                        {moments[0]} as occurred_at, {moments[1]} as sent_at,
                        timestamptz '2026-01-01 00:00Z' as received_at
                    from unnest(%s::jsonb[]) as value
                ) as sent
            ) as corrected
        ) as plausible
    """  # noqa: S608
    for (ago,) in server.execute(query.encode(), [[json.dumps(each) for each in triples]]):
        assert ago is None or timedelta(hours=-438_000) <= ago <= timedelta(hours=24)


def read(timestamp: object, sent_at: object = None) -> tuple[str | None, str | None]:
    found = sdk_times(*(Raw(json.dumps(each).encode()) for each in (timestamp, sent_at)))
    occurred, sent = (None if each is None else str(json.loads(bytes(each))) for each in found)
    return occurred, sent


NOON = "2026-11-20T12:00:00+00:00"


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-11-20T12:00:00.000:Z",
        "2026-11-20T12:00:00+0000",
        "2026-11-20T13:00:00+01",
        "20261120T120000Z",
        "2026-11-20 12:00:00 UTC",
        "2026-11-20 13:00:00 +0100",
        "2026-11-20T12:00Z",
        " 2026-11-20T12:00:00,000Z ",
        "2026-11-20T11:59:60Z ",
        1795176000,
        1795176000.0,
        1795176000000,
        1795176000000000,
        "1795176000",
        "1795176000000",
    ],
)
def test_times_with_a_zone_are_what_they_say(timestamp: object) -> None:
    occurred, _ = read(timestamp)
    assert occurred is not None
    assert datetime.fromisoformat(NOON) - datetime.fromisoformat(occurred) in (
        timedelta(),
        timedelta(seconds=1),  # the leap second
    )


def test_times_without_a_zone_need_another_of_their_kind() -> None:
    local = "2026-11-20T12:00:00.000001"
    assert read(local, "2026-11-20T12:00:09") == (f"{local}+00:00", "2026-11-20T12:00:09+00:00")
    others: list[object] = [None, "", "2026-11-20", "2026-11-20T12:00:09Z", 1795176000, [], {}]
    for sent_at in others:
        assert read(local, sent_at) == (None, None)
    assert read(NOON, local) == (NOON, None)
    assert read("2026-11-20T12:00:00Z", "nonsense") == ("2026-11-20T12:00:00Z", None)


@given(anything | st.from_regex(r"\A[-0-9T:Z+. ]{0,30}\Z"), anything)
@settings(deadline=None, max_examples=500)
def test_whatever_an_sdk_sends_is_a_time_of_the_contract_or_none(
    timestamp: object, sent_at: object
) -> None:
    for text in read(timestamp, sent_at):
        if text is not None:
            read_user(json.dumps({"userId": 1, "occurredAt": text}).encode(), SETTINGS)


@pytest.mark.parametrize("no_time", [None, "", 0, 12, -1, True, 1e300, "2026-11-20", "now", [], {}])
def test_what_is_no_time(no_time: object) -> None:
    assert read(no_time, NOON) == (None, None)

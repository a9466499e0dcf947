"""Who and what is not to be counted stays out of raw, or is marked there, and no answer tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from scripts.lib.privacy.journal import begin
from scripts.lib.privacy.people import Identity
from tests.support.api import event, samples
from tests.support.collector import Collector, running_collector

pytestmark = pytest.mark.every_postgres

GPC = {"Sec-GPC": "1"}
STORED = "select event_id, payload ->> 'optedOut' from raw.events order by 1"
COUNTED = """
    select count(*), count(distinct payload), bool_and(put_away_at is not null), max(code)
    from raw.rejected_events where payload like 'erased %%'
"""


@contextmanager
def collecting(database: str, **settings: str) -> Iterator[tuple[Collector, httpx.Client]]:
    with (
        running_collector(database, **settings) as collector,
        httpx.Client(base_url=collector.url) as client,
    ):
        yield collector, client


def message(message_id: str, *, counted: bool | None, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    preferences = {} if counted is None else {"Analytics": counted, "Advertising": False}
    consent = {"consent": {"categoryPreferences": preferences}}
    return {"type": "track", "event": "Sold", "messageId": message_id, "userId": "ann",
            "context": consent, **more}  # fmt: skip


def test_signals_mark_events_or_keep_them_out(database: str) -> None:
    batch = [
        message("refused", counted=False),
        message("agreed", counted=True),
        message("unasked", counted=None),
        message("odd", counted=True, context={"consent": [False]}),
        message("traits", counted=False, type="identify", traits={"email": "ann@example.com"}),
    ]
    settings = {"PRIVACY_SIGNALS": "gpc,dnt", "CONSENT_CATEGORY": "Analytics"}
    with collecting(database, **settings) as (collector, client):
        sent = [event(eventId="1", note="} "), event(eventId="2")]
        for headers, body in (
            (GPC, sent[0]),
            ({"DNT": "1"}, [sent[1]]),
            ({"Sec-GPC": "0", "DNT": "0"}, event(eventId="3")),
        ):
            assert client.post("/events", json=body, headers=headers).status_code == 200
        assert client.post("/v1/batch", json={"batch": batch}).json()["accepted"] == 5
        assert collector.query(STORED) == [
            ("1", "gpc"), ("2", "dnt"), ("3", None), ("agreed", None), ("odd", None),
            ("refused", "consent"), ("traits", "consent"), ("unasked", None),
        ]  # fmt: skip
        assert collector.query("select from raw.users") == []
    with collecting(database, OPTED_OUT="raw", **settings) as (collector, client):
        body = [event(eventId="4"), event(eventId="5", eventType="?"), event(eventId="6")]
        answer = client.post("/events", json=body, headers=GPC).json()
        assert (answer["accepted"], answer["eventIds"]) == (2, ["4", "6"])
        assert [each["index"] for each in answer["rejected"]] == [1]
        single = client.post("/events", json=event(eventId="7"), headers=GPC)
        assert single.json()["eventIds"] == ["7"]
        assert client.post("/v1/track", json=message("8", counted=False)).json()["accepted"] == 1
        assert len(collector.query(STORED)) == 8
        assert collector.query(COUNTED) == [(4, 4, True, "opted_out")]
        assert samples(client)["headwater_events_left_out_total source=default"] == 4


def test_people_stay_out_of_raw_by_what_names_them(database: str) -> None:
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        connection.cursor().executemany(
            "insert into raw.opt_outs (changed_at, id_kind, id, is_out) values"
            " (now() + make_interval(days => %s), %s, %s, %s)",
            [
                (-2, "user", "17", True),
                (-2, "anonymous", "phone", True),
                (-2, "user", "back", True),
                (-1, "user", "back", False),
                (1, "user", "tomorrow", True),
            ],
        )
        gone = begin(connection, [Identity("user", "18"), Identity("email", "eve@example.com"),
                                  Identity("anonymous", "tablet")])  # fmt: skip
        gone.finish()
    named: dict[str, dict[str, object]] = {
        "opted out": {"userId": 17.0, "anonymousId": "laptop"},
        "its visitor": {"anonymousId": "phone"},
        "its visitor, named nobody": {"userId": " Undefined", "anonymousId": "phone"},
        "another on the phone": {"userId": "bob", "anonymousId": "phone"},
        "visitor of that name": {"anonymousId": "17"},
        "opted in": {"userId": "back"},
        "not yet": {"userId": "tomorrow"},
        "erased": {"userId": "18"},
        "erased by email": {"userId": "Eve@example.com "},
        "erased visitor": {"anonymousId": "tablet"},
    }
    opted_out = {"opted out", "its visitor", "its visitor, named nobody"}
    erased = {"erased", "erased by email", "erased visitor"}
    body = [
        {"eventType": "page_viewed", "activity": {}, "eventId": name, **ids}
        for name, ids in named.items()
    ]
    for settings, left_out in (
        ({}, set()),
        ({"OPTED_OUT": "raw"}, opted_out),
        ({"AFTER_ERASURE": "refuse"}, erased),
        ({"OPTED_OUT": "raw", "AFTER_ERASURE": "refuse"}, opted_out | erased),
    ):
        with collecting(database, **settings) as (collector, client):
            with closing(psycopg.connect(database, autocommit=True)) as connection:
                connection.execute("truncate raw.events, raw.users, raw.user_ids")
            answer = client.post("/events", json=body).json()
            assert answer["eventIds"] == list(named)
            assert {name for name, _ in collector.query(STORED)} == named.keys() - left_out
            # Users are what the application asks back: only who was erased stays out.
            users = [{"userId": 17}, {"userId": 18}, {"email": " EVE@example.com"}, {"userId": 19}]
            answer = client.post("/users", json=users).json()
            assert (answer["accepted"], answer["rejected"]) == (4, [])
            stored = {user_id for (user_id,) in collector.query("select user_id from raw.users")}
            refused = "AFTER_ERASURE" in settings
            assert stored == {"17", "19"} if refused else stored > {"17", "18", "19"}
            one = client.post("/users", json={"email": "eve@example.com"})
            assert one.json()["email"] == "eve@example.com"
            assert one.json()["userId"] is not None
            identify = {"userId": "18", "messageId": "id", "traits": {"email": "eve@example.com"}}
            assert client.post("/v1/identify", json=identify).json()["accepted"] == 1
            names = [name for (name,) in collector.query("select user_id from raw.users")]
            assert ("18" in names) is not refused

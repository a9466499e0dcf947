"""What Segment's messages are in the marts: their time, whose they are, and unknown names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.collector import Collector, running_collector
from tests.support.segment import message, post
from tests.support.warehouse import Warehouse

pytestmark = pytest.mark.every_postgres

TIMES = """
    select event_id, occurred_at_source, received_at - occurred_at
    from marts.fct_events where event_id like 'time-%'
"""
SECONDS = timedelta(seconds=9)
# By the message's timestamp and sentAt: where the time comes from, and how long before receipt.
SKEWED: dict[str, tuple[str | None, str | None, str, timedelta]] = {
    "1970": ("1970-01-01T00:00:00Z", "1970-01-01T00:05:00Z", "corrected", timedelta(minutes=5)),
    "future": ("2090-01-01T12:00:00Z", "2090-01-01T12:00:09Z", "corrected", timedelta(seconds=9)),
    # From every season to every other: a day is 24 hours, whatever the session's time zone.
    "autumn": ("2020-10-02T00:00:00Z", "2020-12-31T00:00:00Z", "corrected", timedelta(days=90)),
    "summer": ("2020-07-04T00:00:00Z", "2020-12-31T00:00:00Z", "corrected", timedelta(days=180)),
    "spring": ("2020-04-05T00:00:00Z", "2020-12-31T00:00:00Z", "corrected", timedelta(days=270)),
    "too old": ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "clamped", timedelta(hours=438000)),
    "too new": ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "clamped", timedelta(hours=-24)),
    # As analytics_flutter up to 1.1.2 and analytics-swift 1.0.0 write them.
    "no zone": ("2020-01-01T00:00:00.123456", "2020-01-01T00:00:09.123456", "corrected", SECONDS),
    "odd zone": ("2020-01-01T00:00:00.000:Z", "2020-01-01T00:00:09.000:Z", "corrected", SECONDS),
    "epoch": ("1577836800000", "2020-01-01T01:00:09+01:00", "corrected", SECONDS),
    "no zone, unsent": ("2020-01-01T00:00:00.123456", None, "receipt", timedelta()),
    "no timestamp": (None, "2020-01-01T00:00:00Z", "receipt", timedelta()),
}


def track(message_id: str, name: str = "conversion", **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return message("track", messageId=message_id, event=name, **fields)


def owners(warehouse: Warehouse) -> dict[str, str]:
    rows = warehouse.query("select event_id, user_id from marts.fct_events where event_id ~ '^of'")
    return dict(rows)


def test_segments_messages_in_the_marts(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Europe/Berlin")
    with (
        running_collector(warehouse.database_url) as collector,
        httpx.Client(base_url=collector.url) as client,
    ):
        for name, (timestamp, sent_at, _, _) in SKEWED.items():
            post(client, track(f"time-{name}", timestamp=timestamp), sentAt=sent_at)
        post(client, track("time-unsent"), sentAt=None)
        # A batch that was held up for minutes, and one sent after it: neither clock is off by much.
        now = datetime.now(UTC)
        for name, minutes in (("held", 4), ("prompt", 1)):
            happened, sent = (now - timedelta(minutes=minutes, seconds=s) for s in (10, 0))
            stamped = track(f"time-{name}", timestamp=happened.isoformat())
            post(client, stamped, sentAt=sent.isoformat())
        score = {"traits": {"ficoScore": 720, "email": "ada@example.com"}}
        phone = message("identify", timestamp="1970-01-01T00:00:00Z", messageId="phone", **score)
        post(client, phone, sentAt="1970-01-01T01:00:00Z")
        post(client, phone, sentAt="1970-01-01T01:00:07Z")  # the answer got lost
        visitors = ("tablet", "laptop", "old", "another", "watch", "desk")
        post(client, *(track(f"of {each}", userId=None, anonymousId=each) for each in visitors))
        campaign = {"campaign": {"source": "News", "medium": None, "name": "may"}}
        post(client, track("unknown", "Order Completed", context=campaign))
        warehouse.run("--select", "+dim_users", "fct_credit_scores")
        assert_times(warehouse)
        assert_user_once(collector, warehouse)
        assert owners(warehouse) == {f"of {each}": f"anonymous:{each}" for each in visitors}
        [unknown] = warehouse.query(
            "select event_type, event_subject, is_interaction, activity from marts.fct_events"
            " where event_id = 'unknown'"
        )
        utm = {"utmSource": "News", "utmCampaign": "may"}
        assert unknown == ("Order Completed", "unregistered", False, utm)

        post(
            client,
            message("identify", userId="bea", anonymousId="tablet"),
            message("alias", userId="bea", previousId="laptop", anonymousId="another"),
            message("alias", userId=None, previousId="watch", anonymousId="desk"),
            message("identify", userId="bea", anonymousId="desk"),
            message("page", userId="bea", anonymousId="old", properties={"path": "/"}),
        )
        warehouse.run("--select", "+dim_users", "fct_credit_scores")
        assert owners(warehouse) == {f"of {visitor}": "bea" for visitor in visitors}
        users = warehouse.query("select user_id, is_anonymous from marts.dim_users order by 1")
        assert users == [("bea", False), ("u", False)]


def assert_times(warehouse: Warehouse) -> None:
    rows = {row[0]: row[1:] for row in warehouse.query(TIMES)}
    expected = {f"time-{name}": (origin, ago) for name, (_, _, origin, ago) in SKEWED.items()}
    assert {name: rows[name] for name in expected} == expected
    assert rows["time-unsent"][0] == rows["time-held"][0] == rows["time-prompt"][0] == "client"
    assert rows["time-held"][1] > rows["time-prompt"][1] + timedelta(minutes=2)


def assert_user_once(collector: Collector, warehouse: Warehouse) -> None:
    """The score counts from an hour before receipt, whatever the phone says."""
    [(received_at,)] = collector.query("select received_at from raw.users")
    scores = warehouse.query("select user_id, score, valid_from from marts.fct_credit_scores")
    assert scores == [("u", 720, received_at - timedelta(hours=1))]
    [(copies,)] = collector.query("select count(*) from raw.events where event_id = 'phone'")
    [(events,)] = warehouse.query("select count(*) from marts.fct_events where event_id = 'phone'")
    assert (copies, events) == (2, 1)
    activities = warehouse.query("select activity::text from marts.fct_events")
    assert "ada@example.com" not in str(activities)

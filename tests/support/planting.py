"""Unmistakable values of two people, planted wherever an application may send them."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from tests.support.warehouse import Warehouse

EMAIL = "jane.unmistakable@example.com"
PLANTED = (
    "unmistakable", "Qwertz Xyzzy", "person-4711-x", "visitor-8f3e", "before-4711", "plugh-payload",
    "event-of-jane",
)  # fmt: skip


# Of somebody whose userId is an email address.
EMAIL_AS_ID = "Frobozz@example.com"
PLANTED_TOO = ("frobozz", "Zork Grue", "tablet-77aa", "xyzzy-payload")


def event(event_id: str, event_type: str, user_id: object, **activity: Any) -> dict[str, Any]:  # noqa: ANN401
    named = {"userId": user_id} if user_id is not None else {}
    return {"eventId": event_id, "eventType": event_type, "activity": activity, **named}


def plant(warehouse: Warehouse) -> None:
    """Both, in every place that events and users have, and others beside."""
    # A new server's transactions have the numbers of scores, and tables keep some of these.
    warehouse.execute(
        "do $$ begin while pg_current_xact_id()::text::bigint < 1000 loop commit; end loop; end $$"
    )
    warehouse.land(
        event("event-of-eve-1", "page_viewed", None, path="/xyzzy-payload")
        | {"anonymousId": "tablet-77aa"},
        event("event-of-eve-2", "credit_score_updated", EMAIL_AS_ID, ficoScore=805)
        | {"anonymousId": "tablet-77aa"},
        event("event-of-eve-3", "task_scheduled", f" {EMAIL_AS_ID.upper()}", taskType="call"),
        event("event-of-jane-1", "page_viewed", None, path="/a", device="mobile")
        | {"anonymousId": "visitor-8f3e"},
        event("event-of-jane-2", "page_viewed", "person-4711-x", path=f"/hi/{EMAIL}", device=EMAIL)
        | {"anonymousId": "visitor-8f3e"},
        event("event-of-jane-3", "user_aliased", "person-4711-x", previousId="before-4711"),
        event("event-of-jane-4", "page_viewed", None, path="/b", note="plugh-payload")
        | {"anonymousId": "before-4711"},
        event("event-of-jane-5", "credit_score_updated", "person-4711-x", ficoScore=812),
        event("event-of-jane-6", "task_scheduled", "person-4711-x", taskType="plugh-payload")
        | {"segment": {"traits": {"name": "Qwertz Xyzzy"}}},
        event("event-of-jane-7", "event_voided", "person-4711-x", eventId="event-of-bob-3"),
        event("event-of-bob-1", "task_scheduled", "bob", assignee=EMAIL, taskType="call"),
        event(
            "event-of-bob-2", "page_viewed", "bob", path="/?e=jane.unmistakable%40example.com&x=1"
        )
        | {"anonymousId": "visitor-8f3e", "occurredAt": "2026-10-01T12:00:01Z"},
        event("event-of-bob-3", "page_viewed", "bob", path="/c", device="mobile"),
    )
    for user, payload in (
        (EMAIL_AS_ID, {"name": "Zork Grue", "ficoScore": 805}),
        ("person-4711-x", {"email": EMAIL, "name": "Qwertz Xyzzy", "ficoScore": 812}),
        ("bob", {"userId": "bob", "ficoScore": 700, "referredBy": EMAIL.upper()}),
    ):
        warehouse.execute(
            "insert into raw.users (received_at, occurred_at, source, user_id, payload)"
            " values ('2026-10-01 11:00+00', '2026-10-01 11:00+00', 'default', %s, %s)",
            user, Jsonb(payload),
        )  # fmt: skip
        warehouse.execute(
            "insert into raw.user_ids (user_id, email) values (%s, %s)",
            user, payload.get("email"),
        )  # fmt: skip
    warehouse.execute(
        "insert into raw.opt_outs (changed_at, id_kind, id, is_out) values"
        " ('2026-10-05', 'user', 'person-4711-x', true),"
        " ('2026-10-05', 'anonymous', 'visitor-8f3e', true)"
    )
    warehouse.execute(
        "insert into raw.rejected_events (received_at, source, code, message, payload) values"
        " ('2026-10-01', 'default', 'x', 'x', '{\"userId\": \"person-4711-x\", \"plugh-payload'),"
        " ('2026-10-01', 'default', 'x', 'x', '{\"userId\": \"bob\"}')"
    )

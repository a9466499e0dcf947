"""Whose each event is, by a brute-force oracle: visitors, users, aliases, ids of nobody."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from tests.support.identities import Sent, stories
from tests.support.warehouse import MARTS, Warehouse

pytestmark = pytest.mark.every_postgres

WORLDS = 150
ALIASES_IN_A_ROW = 3


def means_nobody(sent_id: str | None, nobody: Iterable[str]) -> bool:
    return sent_id is None or sent_id.strip().lower() in nobody


def owners(landed: list[Sent], nobody: set[str]) -> dict[str, str]:
    """Whose each event is that counts; `landed` is in order of arrival."""
    named = []
    for arrival, event in enumerate(landed):
        user: str | None = event.get("userId")
        ids = [event.get("anonymousId")]
        if event["eventType"] == "user_aliased":
            ids += [event.get("segment", {}).get("anonymousId"), event["activity"]["previousId"]]
        user = None if means_nobody(user, nobody) else user
        if user and user.lstrip("~").startswith("anonymous:"):
            user = f"~{user}"
        visitors = [str(each) for each in ids if not means_nobody(each, nobody)]
        own = "" if means_nobody(ids[0], nobody) else str(ids[0])
        if user or own:
            named.append((event["occurredAt"], arrival, event, user, own, visitors))
    voided = {
        event["activity"]["eventId"]
        for *_, event, _, _, _ in named
        if event["eventType"] == "event_voided"
    }
    usable = sorted(
        (each for each in named if each[2]["eventId"] not in voided),
        key=lambda each: each[:2],
    )
    found: dict[str, tuple[tuple[str, int], str]] = {}
    for at, arrival, _, user, _, visitors in usable:
        for visitor in visitors:
            if user:
                found.setdefault(visitor, ((at, arrival), user))
    for _ in range(ALIASES_IN_A_ROW):
        inherited: dict[str, tuple[tuple[str, int], str]] = {}
        for *_, visitors in usable:
            for visitor in visitors:
                tied = [found[each] for each in visitors if each in found]
                if visitor not in found and tied:
                    inherited[visitor] = min([*tied, *filter(None, [inherited.get(visitor)])])
        found |= inherited
    return {
        event["eventId"]: user or (found[own][1] if own in found else f"anonymous:{own}")
        for _, _, event, user, own, _ in usable
        if event["eventType"] != "event_voided"
    }


def test_owners_are_the_oracles_after_every_build(warehouse: Warehouse) -> None:
    """Also once an id is known to mean nobody that joined strangers before."""
    rng = random.Random(8)
    events = list(stories(rng, WORLDS))
    rng.shuffle(events)
    landed: list[Sent] = []
    for build in range(4):
        nobody = {row["id"] for row in warehouse.seed("illegal_ids")}
        batch = events[build::3] if build < 3 else []
        if build == 3:
            seed = [*warehouse.seed("illegal_ids"), {"id": "kiosk-1"}, {"id": "ann-2"}]
            warehouse.set_seed("illegal_ids", seed)
            nobody |= {"kiosk-1", "ann-2"}
        warehouse.land(*batch, received_at=f"2026-10-0{build + 1} 12:00:00+00")
        landed += batch
        warehouse.run("--select", "+dim_users")
        expected = owners(landed, nobody)
        actual = dict(warehouse.query("select event_id, user_id from marts.fct_events"))
        differing = {
            event: (expected.get(event), actual.get(event))
            for event in {*expected, *actual}
            if expected.get(event) != actual.get(event)
        }
        assert differing == {}
        assert dict(warehouse.query("select user_id, event_count from marts.dim_users")) == {
            user: list(expected.values()).count(user) for user in set(expected.values())
        }
    [(refused,)] = warehouse.query(
        "select count(*) from staging.stg_events where rejection_code = 'user_illegal'"
    )
    assert refused > 50
    warehouse.run()
    warehouse.keep_marts()
    warehouse.run("--full-refresh", reload_raw=True)
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)

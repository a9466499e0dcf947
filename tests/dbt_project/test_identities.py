"""Whose each event is, by a brute-force oracle: visitors, users, aliases, nobody, opt-outs."""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import closing

import psycopg
import pytest

from tests.support.identities import VISITORS, Sent, stories
from tests.support.warehouse import MARTS, Warehouse

pytestmark = pytest.mark.every_postgres

WORLDS = 250
ALIASES_IN_A_ROW = 3
OptOut = tuple[str, str, str, bool]  # kind, id, from when on, whether out or in again


def means_nobody(sent_id: str | None, nobody: Iterable[str]) -> bool:
    return sent_id is None or sent_id.strip().lower() in nobody


def owners(landed: list[Sent], nobody: set[str], opt_outs: list[OptOut]) -> dict[str, str]:
    """Whose each event is that counts; `landed` and `opt_outs` are in order of arrival."""
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

    def whose(visitor: str) -> str:
        return found[visitor][1] if visitor in found else f"anonymous:{visitor}"

    def is_out(person: str, received_at: str) -> bool:
        """By any id of the person: what was last said of the id before the event came."""
        said: dict[tuple[str, str], tuple[str, bool]] = {}
        for kind, id_, changed_at, out in opt_outs:
            told = f"~{id_}" if id_.lstrip("~").startswith("anonymous:") else id_
            theirs = (whose(id_) if kind == "anonymous" else told) == person
            if theirs and said.get((kind, id_), ("",))[0] <= changed_at <= received_at:
                said[kind, id_] = (changed_at, out)
        return any(out for _, out in said.values())

    return {
        event["eventId"]: person
        for _, _, event, user, own, _ in usable
        if event["eventType"] != "event_voided"
        and not is_out(person := user or whose(own), event["received_at"])
    }


def some_opt_outs(rng: random.Random, build: int) -> list[OptOut]:
    """Told before a build: of now, of before, out and in again."""
    ids = [("anonymous", name) for name in VISITORS]
    ids += [("user", name) for name in ("ann", "bob", "anonymous:phone")]
    return [
        (
            kind,
            f"{name}-{world}",
            f"2026-10-0{rng.randint(1, build + 2)} {hour}",
            rng.random() < 0.7,
        )
        for world in rng.sample(range(WORLDS), WORLDS // 2)
        for kind, name in rng.sample(ids, 3)
        for hour in rng.sample(["11:00:00+00", "12:00:00+00", "13:00:00+00"], 1)
    ]


def opt_out(warehouse: Warehouse, said: list[OptOut]) -> None:
    with closing(psycopg.connect(warehouse.database_url)) as connection, connection:
        connection.cursor().executemany(
            "insert into raw.opt_outs (id_kind, id, changed_at, is_out) values (%s, %s, %s, %s)",
            said,
        )


def test_owners_are_the_oracles_after_every_build(warehouse: Warehouse) -> None:
    """Also once an id is known to mean nobody that joined strangers before, and people opted out
    by ids that are found to be theirs later."""
    rng = random.Random(8)
    opt_outs: list[OptOut] = []
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
        received_at = f"2026-10-0{build + 1} 12:00:00+00"
        warehouse.land(*batch, received_at=received_at)
        landed += [{**event, "received_at": received_at} for event in batch]
        if build:  # the first build knows of none
            said = some_opt_outs(rng, build)
            opt_out(warehouse, said)
            opt_outs += said
        warehouse.run("--select", "+dim_users")
        expected = owners(landed, nobody, opt_outs)
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
    assert len(expected) < len(owners(landed, nobody, [])) - 50
    warehouse.run()
    assert warehouse.query(
        "select sum(events_rejected) from marts.rejection_reasons_daily"
        " where rejection_code = 'opted_out'"
    ) == [(len(owners(landed, nobody, [])) - len(expected),)]
    warehouse.keep_marts()
    warehouse.run("--full-refresh", reload_raw=True)
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)

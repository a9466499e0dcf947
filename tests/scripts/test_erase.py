"""Nothing of an erased person is left anywhere, and what is left is as if they had never been."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import pytest

from scripts.lib.base.database import Databases
from scripts.lib.demo.generator import generate
from scripts.lib.privacy.erasure import erase, go_on, preview
from scripts.lib.privacy.export_user import export
from scripts.lib.privacy.people import Identity, all_identities, targets
from scripts.lib.privacy.place import Place, opened_place
from tests.support.identities import VISITORS, stories
from tests.support.planting import EMAIL, EMAIL_AS_ID, PLANTED, PLANTED_TOO, plant
from tests.support.warehouse import MARTS, Warehouse

TABLES = """
    select format('%I.%I', schemaname, name) from (
        select schemaname, tablename as name from pg_tables
        union all
        select schemaname, viewname from pg_views
    ) as relations
    where schemaname !~ '^(pg_|information_schema$)'
"""


def places_of(warehouse: Warehouse, *values: str) -> set[tuple[str, str]]:
    """Each relation and value that is in any of its rows."""
    return {
        (table, value)
        for (table,) in warehouse.query(TABLES)
        for value in values
        if warehouse.query(
            f"select 1 from {table} as t where t::text ilike %s limit 1",  # noqa: S608
            f"%{value}%",
        )
    }


def email_hash(warehouse: Warehouse, email: str) -> str:
    [pads] = warehouse.query("select inner_pad, outer_pad from secret.email_hash_key")
    inner, outer = map(bytes, pads)
    return sha256(outer + sha256(inner + email.encode()).digest()).hexdigest()


@contextmanager
def place_of(warehouse: Warehouse) -> Iterator[Place]:
    url = warehouse.database_url
    with opened_place(Databases(url, url, url, embedded=False)) as place:
        yield place


def identities_of(place: Place, *people: Identity) -> set[Identity]:
    prod = next(iter(targets(place.destination)), None)
    return all_identities(people, place.source, place.destination, prod)


def erased(warehouse: Warehouse, *people: Identity) -> dict[str, int]:
    """Erases and returns rows by table, which are those of the preview."""

    def build() -> None:
        warehouse.run(reports=True)

    with place_of(warehouse) as place:
        identities = identities_of(place, *people)
        previewed, _ = preview(place, identities)
        counts = erase(place, identities, build, print)
        assert counts == previewed
    return dict(counts)


def assert_as_if_never_there(warehouse: Warehouse) -> None:
    """All data tests pass, and a full refresh of what is left changes nothing."""
    warehouse.build()
    warehouse.keep_marts()
    warehouse.run("--full-refresh", reload_raw=True)
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)


def test_nothing_is_left_of_people(warehouse: Warehouse) -> None:
    plant(warehouse)
    warehouse.run()
    assert places_of(warehouse, EMAIL)
    # An email that is an id is in raw alone; elsewhere it is the hash that an email is.
    assert {table for table, _ in places_of(warehouse, EMAIL_AS_ID)} == {
        "raw.events", "raw.events_default", "raw.user_ids", "raw.users",
    }  # fmt: skip
    assert warehouse.query(
        "select distinct user_id, score_band from marts.dim_users where user_id like 'email:%'"
    ) == [(f"email:{email_hash(warehouse, EMAIL_AS_ID.lower())}", "exceptional")]
    before = warehouse.query("select count(*) from raw.rejected_events")
    refused = "select day, rejection_code, events_rejected from marts.rejection_reasons_daily"
    refused_before = warehouse.query(refused)
    accepted = "select sum(events_accepted) from marts.rejection_rates_daily"
    assert warehouse.query(accepted) == [(13,)]

    counts = erased(warehouse, Identity("email", EMAIL), Identity("anonymous", "tablet-77aa"))

    values = (*PLANTED, *PLANTED_TOO, "email:", ": 812", ",812,", ": 805", ",805,")
    assert counts["raw.events"] == counts["staging.stg_events"] == 10
    assert places_of(warehouse, *values) == set()
    assert_as_if_never_there(warehouse)
    assert places_of(warehouse, *values) == set()
    # Of others nothing is gone but that; what she had taken back is there again.
    assert warehouse.query(
        "select event_id, anonymous_id, activity from marts.fct_events order by 1"
    ) == [
        ("event-of-bob-1", None, {"assignee": None, "taskType": "call"}),
        ("event-of-bob-2", None, {"path": "/?e=erased&x=1"}),
        ("event-of-bob-3", None, {"path": "/c", "device": "mobile"}),
    ]
    assert warehouse.query("select count(*) from raw.rejected_events") == before
    # Days count what is left of them; what was refused says nothing of anybody, and stays.
    assert warehouse.query(accepted) == [(3,)]
    assert warehouse.query(refused) == refused_before != []
    [audit] = warehouse.query(
        "select state, cardinality(identity_hashes), counts from raw.erasures"
    )
    assert audit == ("finished", 8, counts)
    assert warehouse.query(
        "select count(*) from raw.erasures"
        " where secret.identity_hash('email', %s) = any(identity_hashes)",
        EMAIL,
    ) == [(1,)]


@pytest.mark.slow
def test_erasing_between_builds_leaves_what_a_full_refresh_makes(warehouse: Warehouse) -> None:
    """Of people with shared devices, aliases, copies, voids; while events of theirs go on coming;
    one erasure fails half-way and is finished after another build."""
    rng = random.Random(20)
    sent = [*stories(rng, 60), *generate(users=30, seed=5).events]
    rng.shuffle(sent)
    sent += sent[:100]
    parts = [sent[start::3] for start in range(3)]
    people = [
        *(Identity("user", f"{name}-{world}") for name in ("ann", "bob") for world in range(60)),
        *(Identity("user", f"anonymous:phone-{world}") for world in range(60)),
        *(Identity("anonymous", f"{name}-{world}") for name in VISITORS for world in range(60)),
        *(Identity("user", str(5_000_000 + number)) for number in range(1, 31)),
    ]
    chosen = [rng.sample(people, 20) for _ in parts]

    def build() -> None:
        warehouse.run()

    def ids_left(identities: set[Identity]) -> set[str]:
        ids = {
            id_
            for kind, id_ in identities
            for id_ in (
                [id_, f"anonymous:{id_}"]
                if kind == "anonymous"
                else [f"~{id_}" if id_.startswith("anonymous:") else id_]
            )
        }
        staged = warehouse.query(
            "select user_id, anonymous_id from staging.stg_events where rejection_code is null"
            " union all select user_id, null from marts.dim_users"
            " union all select seen, anonymous_id from intermediate.int_identities,"
            " unnest(seen_user_ids) as seen"
        )
        return {each for row in staged for each in row if each in ids}

    for number, part in enumerate(parts):
        warehouse.land(*part, received_at=f"2026-10-0{number + 1} 12:00:00+00")
        if number == 0:
            warehouse.run()
        if number < 2:  # the second time, raw has what no build has read
            with place_of(warehouse) as place:
                identities = identities_of(place, *chosen[number])
            assert erased(warehouse, *chosen[number])
            assert ids_left(identities) == set()
    with place_of(warehouse) as place:
        identities = identities_of(place, *chosen[2])
        with pytest.raises(KeyboardInterrupt):
            erase(place, identities, failing_build, print)
    warehouse.land(*sent[:50], received_at="2026-10-04 12:00:00+00")
    warehouse.run()
    with place_of(warehouse) as place:
        assert go_on(place, build, print)
        assert not go_on(place, failing_build, print)
    assert_as_if_never_there(warehouse)
    assert warehouse.query("select distinct state from raw.erasures") == [("finished",)]
    assert (
        warehouse.query(
            "select from secret.erasing_identities union all select from secret.erasing_rows"
        )
        == []
    )


def failing_build() -> None:
    raise KeyboardInterrupt


def test_export_has_all_that_is_held_of_a_person_and_nothing_of_others(
    warehouse: Warehouse,
) -> None:
    plant(warehouse)
    warehouse.run("--select", "+dim_users")
    with place_of(warehouse) as place:
        held = export(place, identities_of(place, Identity("anonymous", "visitor-8f3e")))
    assert held["identities"] == {
        "user": ["person-4711-x"],
        "email": [EMAIL],
        "anonymous": ["before-4711", "visitor-8f3e"],
    }
    sent = held["sent"]
    assert [event["event_id"] for event in sent["events"]] == [
        f"event-of-jane-{number}" for number in range(1, 8)
    ]
    assert [user["payload"]["name"] for user in sent["users"]] == ["Qwertz Xyzzy"]
    assert [len(sent[part]) for part in ("accounts", "refused", "usersThatMentionThem")] == [1] * 3
    assert len(sent["eventsOfOthersThatMentionThem"]) == 2
    [person] = held["computed"]["marts.dim_users"]
    assert person["user_id"] == "person-4711-x"
    assert '"bob"' not in json.dumps({**held, "refused": []})
    # Looking changes nothing.
    assert warehouse.query("select from secret.erasing_rows") == []

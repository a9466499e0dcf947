"""Every committed row of raw reaches every mart exactly once, however the builds fall."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg

from scripts.lib.generator import generate
from tests.warehouse import MARTS, Warehouse, land


def page_view(event_id: str, user_id: object = 1, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "eventId": event_id,
        "eventType": "page_viewed",
        "userId": user_id,
        "activity": {"path": "/"},
        **more,
    }


def event_ids(warehouse: Warehouse) -> list[str]:
    return [i for (i,) in warehouse.query("select event_id from marts.fct_events order by 1")]


def test_transaction_that_commits_late_is_not_missed(warehouse: Warehouse) -> None:
    with closing(psycopg.connect(warehouse.database_url)) as slow:
        land(slow, [page_view("early-id-late-commit")])
        warehouse.land(page_view("late-id-early-commit"))
        warehouse.run()
        # The open transaction holds the cut-off back: nothing after it is read before it ends.
        assert event_ids(warehouse) == []
        slow.commit()
    warehouse.land(page_view("later"))
    warehouse.run()

    assert event_ids(warehouse) == ["early-id-late-commit", "late-id-early-commit", "later"]


def test_resent_events_collapse_across_builds_whatever_their_order(warehouse: Warehouse) -> None:
    first = {"received_at": "2026-10-01 12:00:00+00"}
    second = {"received_at": "2026-10-01 12:00:01+00"}
    warehouse.land(
        page_view("a", activity={"path": "/late"}, **second),
        page_view("b", **first),
        page_view("b", **first),
        page_view("c", **first),
        page_view("a", **first, source="other"),
    )
    warehouse.run()
    warehouse.land(
        page_view("a", activity={"path": "/early"}, **first),
        page_view("b", **second),
    )
    warehouse.run()

    assert warehouse.query(
        """
        select source, event_id, activity ->> 'path', cardinality(duplicate_row_ids), has_conflict
        from staging.stg_events
        order by event_id, source
        """
    ) == [
        ("default", "a", "/early", 1, True),
        ("other", "a", "/", 0, False),
        ("default", "b", "/", 2, False),
        ("default", "c", "/", 0, False),
    ]
    assert event_ids(warehouse) == ["a", "a", "b", "c"]
    warehouse.dbt("test", "--select", "test_type:singular")


def test_void_takes_an_event_out_whichever_comes_first(warehouse: Warehouse) -> None:
    def void(event_id: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        return {
            "eventId": f"void-{event_id}",
            "eventType": "event_voided",
            "userId": 9,
            "activity": {"eventId": event_id},
            **more,
        }

    warehouse.land(page_view("wrong", 1), page_view("right", 2), void("not-here-yet"))
    warehouse.run()
    assert event_ids(warehouse) == ["right", "wrong"]

    warehouse.land(void("wrong"), void("right", source="other"), page_view("not-here-yet", 3))
    warehouse.run()
    assert event_ids(warehouse) == ["right"]
    assert warehouse.query("select user_id from marts.dim_users") == [("2",)]
    warehouse.dbt("test", "--select", "test_type:singular")


def test_changes_of_scores_follow_the_cut_off_with_nothing_new(warehouse: Warehouse) -> None:
    """Also where it moves back; who is not concerned is not written anew."""

    def score(event_id: str, user_id: str, fico_score: int, day: str) -> dict[str, Any]:
        return {
            "eventId": event_id,
            "eventType": "credit_score_updated",
            "userId": user_id,
            "occurredAt": f"{day}T00:00:00Z",
            "activity": {"ficoScore": fico_score},
        }

    def changes(as_of: str) -> list[tuple[Any, ...]]:
        warehouse.run(as_of=as_of)
        return warehouse.query(
            "select user_id, score_change_30d, score_change_90d from marts.credit_profiles"
            " order by user_id"
        )

    warehouse.land(
        score("1", "ann", 600, "2026-06-01"),
        score("2", "ann", 650, "2026-09-15"),
        score("3", "bob", 700, "2026-07-20"),
        score("4", "cat", 720, "2026-01-01"),
    )
    september = [("ann", 50, 50), ("bob", 0, None), ("cat", 0, 0)]
    assert changes("2026-09-20 00:00+00") == september
    versions = dict(warehouse.query("select user_id, xmin::text from marts.credit_profiles"))
    assert changes("2026-10-15 00:00+00") == [("ann", 0, 50), ("bob", 0, None), ("cat", 0, 0)]
    assert changes("2026-10-18 00:00+00") == [("ann", 0, 50), ("bob", 0, 0), ("cat", 0, 0)]
    assert changes("2026-09-20 00:00+00") == september
    assert dict(
        warehouse.query(
            "select user_id, xmin::text = %s from marts.credit_profiles where user_id = 'cat'",
            versions["cat"],
        )
    ) == {"cat": True}


def test_any_split_gives_the_marts_of_a_full_refresh(warehouse: Warehouse) -> None:
    """Batches arrive shuffled and duplicated, between them the definitions change."""
    stream = generate(users=60, seed=7).events
    shares = [stream[start::3] for start in range(3)]
    shares[2] += shares[0][:200] + shares[1][-200:]

    warehouse.land(*shares[0], received_at="2026-11-01 10:00:00+00")
    warehouse.run()
    warehouse.set_seed(
        "score_bands",
        [
            {"band": "low", "band_order": "1", "min_score": "300", "max_score": "649"},
            {"band": "high", "band_order": "2", "min_score": "650", "max_score": "850"},
        ],
    )
    warehouse.set_seed(
        "funnels",
        [
            *warehouse.seed("funnels"),
            {
                "funnel": "quick",
                "step_order": "1",
                "step": "view",
                "event_type": "page_viewed",
                "window_days": "3",
            },
            {
                "funnel": "quick",
                "step_order": "2",
                "step": "apply",
                "event_type": "application_submitted",
                "window_days": "3",
            },
        ],
    )
    warehouse.land(*shares[1], received_at="2026-11-01 09:00:00+00")
    warehouse.run()
    assert warehouse.query(
        "select count(*) > 0 from marts.fct_funnel_progress where funnel = 'quick'"
    ) == [(True,)]
    assert warehouse.query("select distinct band from marts.fct_credit_scores order by 1") == [
        ("high",),
        ("low",),
    ]

    warehouse.land(
        *(event | {"source": "ci"} for event in shares[2][:50]),
        received_at="2026-11-01 09:00:00+00",
    )
    # Staging alone goes ahead, one mart alone catches up, then everything does.
    warehouse.run("--select", "stg_events")
    warehouse.land(*shares[2], received_at="2026-11-01 11:00:00+00")
    warehouse.run("--select", "+fct_tasks")
    warehouse.set_seed(
        "sources",
        [
            *warehouse.seed("sources"),
            {"source": "ci", "is_test": "true"},
        ],
    )
    warehouse.dbt("build")
    warehouse.keep_marts()

    warehouse.run("--full-refresh")
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)
    warehouse.run("--full-refresh", reload_raw=True)
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)
    assert warehouse.query("select count(*) from marts.fct_events where source = 'ci'") == [(0,)]
    assert warehouse.query("select count(*) from marts.fct_events") == [
        (len({event["eventId"] for event in stream}),)
    ]


def test_marks_of_another_cluster_are_not_trusted(warehouse: Warehouse) -> None:
    warehouse.land(page_view("a"), page_view("b"), page_view("b"))
    warehouse.run()
    # What a dump restored into a new cluster looks like: marks of elsewhere, far ahead.
    warehouse.execute(
        "update staging.watermarks set xid_origin = 'cluster 1', read_below_xid = '900000000'"
    )
    warehouse.land(page_view("c"))
    comparison = "of its 4 rows, 3 are known and 1 are new; 0 known ones are no longer there"
    assert comparison in warehouse.run()
    warehouse.land(page_view("d"))
    assert "are known" not in warehouse.run()

    assert event_ids(warehouse) == ["a", "b", "c", "d"]
    warehouse.dbt("test", "--select", "test_type:singular")


def test_rows_read_a_second_time_count_once(warehouse: Warehouse) -> None:
    """Nor does it matter that a source gave the id of a user's update to another user's."""
    staged = """
        select event_id, event_row_id, duplicate_row_ids, other_user_ids, has_conflict
        from staging.stg_events order by 1
    """
    update_user = (
        "insert into raw.users (user_row_id, received_at, occurred_at, source, user_id, payload)"
        " values (%s, now(), now(), 'default', %s, '{}')"
    )
    warehouse.execute(update_user, 1, "ann")
    warehouse.execute(update_user, 2, "bob")
    warehouse.land(*map(page_view, "abbb"), page_view("b", 2))
    warehouse.run()
    before = warehouse.query(staged)
    warehouse.execute("update staging.watermarks set read_below_xid = '0'")
    warehouse.dbt("build")
    assert warehouse.query(staged) == before

    warehouse.execute("delete from raw.users where user_row_id = 2")
    warehouse.execute(update_user, 2, "eve")
    warehouse.execute("update staging.watermarks set xid_origin = 'cluster 1'")
    warehouse.run()
    users = "select user_id from marts.dim_users where is_known order by 1"
    assert warehouse.query(users) == [("ann",), ("eve",)]
    warehouse.keep_marts()
    warehouse.run("--full-refresh")
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)


def test_reload_refuses_when_raw_has_lost_rows(warehouse: Warehouse) -> None:
    """Everything else goes on without them."""
    warehouse.land(page_view("a"), page_view("b"))
    warehouse.run()
    warehouse.land(page_view("c"))
    warehouse.execute("delete from raw.events where event_id = 'b'")

    refused = warehouse.try_dbt("build", "--full-refresh", reload_raw=True)
    assert refused.returncode == 1
    assert "no longer has all rows of" in refused.stdout
    warehouse.run("--full-refresh")
    assert event_ids(warehouse) == ["a", "b", "c"]
    warehouse.dbt("test", "--select", "test_type:singular")


def test_what_reads_nothing_or_changes_nothing_moves_nothing(warehouse: Warehouse) -> None:
    """A build with --empty, the words of a seed, an id that very many share."""
    warehouse.land(*(page_view(f"{user}", user, anonymousId="kiosk") for user in range(1, 6)))
    warehouse.run()
    versions = warehouse.query("select event_id, xmin::text from marts.fct_events order by 1")
    warehouse.set_seed(
        "event_types",
        [{**row, "description": "Reworded"} for row in warehouse.seed("event_types")],
    )
    warehouse.land(page_view("6", 1, anonymousId="kiosk"))
    warehouse.run("--empty")
    warehouse.run()
    now = warehouse.query("select event_id, xmin::text from marts.fct_events order by 1")
    assert now[:-1] == versions
    assert now[-1][0] == "6"
    assert warehouse.query(
        "select user_id from intermediate.int_users__changed"
        " where build_id = (select max(build_id) from intermediate.int_users__changed)"
    ) == [("1",)]


def test_anonymous_activity_joins_the_user_once_known(warehouse: Warehouse) -> None:
    def visit(event_id: str, minute: int, **ids: object) -> dict[str, Any]:
        at = f"2026-09-30T12:{minute:02}:00Z"
        return {**page_view(event_id, None), "occurredAt": at, **ids}

    def users() -> list[tuple[str, ...]]:
        return warehouse.query("select event_id, user_id from marts.fct_events order by event_id")

    warehouse.land(
        visit("a", 1, anonymousId="phone"),
        visit("b", 2, anonymousId="laptop"),
        visit("c", 3, anonymousId="stranger"),
    )
    warehouse.run()
    assert warehouse.query("select user_id, is_anonymous from marts.dim_users order by 1") == [
        ("anonymous:laptop", True),
        ("anonymous:phone", True),
        ("anonymous:stranger", True),
    ]

    # Both devices turn out to be one user's, days later and in different builds.
    warehouse.land(visit("d", 4, anonymousId="phone", userId=7))
    warehouse.run()
    warehouse.land(visit("e", 5, anonymousId="laptop", userId="7"), visit("f", 6, userId=7.0))
    warehouse.run()
    assert users() == [
        ("a", "7"),
        ("b", "7"),
        ("c", "anonymous:stranger"),
        ("d", "7"),
        ("e", "7"),
        ("f", "7"),
    ]
    assert warehouse.query("select user_id, event_count from marts.dim_users order by 1") == [
        ("7", 5),
        ("anonymous:stranger", 1),
    ]

    # A late event shows that the phone was somebody else's first, and is then taken back.
    warehouse.land(visit("g", 0, anonymousId="phone", userId="eve"))
    warehouse.run()
    assert users()[0] == ("a", "eve")
    assert warehouse.query("select user_id, event_count from marts.dim_users order by 1") == [
        ("7", 4),
        ("anonymous:stranger", 1),
        ("eve", 2),
    ]
    void = {"eventType": "event_voided", "userId": "eve", "activity": {"eventId": "g"}}
    warehouse.land({"eventId": "v", **void})
    warehouse.run()
    assert users()[0] == ("a", "7")

    warehouse.keep_marts()
    warehouse.run("--full-refresh")
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)

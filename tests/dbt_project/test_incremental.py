"""Every committed row of raw reaches every mart exactly once, however the builds fall."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from scripts.lib.demo.generator import generate
from tests.support.histories import QUICK, low_limits
from tests.support.warehouse import (
    MARTS,
    Warehouse,
    assert_raw_and_marts_agree,
    event_ids,
    land,
    page_view,
)

pytestmark = pytest.mark.every_postgres

EVENTS = ("--select", "+fct_events")
RAW_IS_IN_EVENTS = ("every_usable_event_is_in_fct_events", "staging_conserves_every_raw_row")


def test_transaction_that_commits_late_is_not_missed(warehouse: Warehouse) -> None:
    with closing(psycopg.connect(warehouse.database_url)) as slow:
        land(slow, [page_view("early-id-late-commit")])
        warehouse.land(page_view("late-id-early-commit"))
        warehouse.run(*EVENTS)
        # The open transaction holds the cut-off back: nothing after it is read before it ends.
        assert event_ids(warehouse) == []
        slow.commit()
    warehouse.land(page_view("later"))
    warehouse.run(*EVENTS)

    assert event_ids(warehouse) == ["early-id-late-commit", "late-id-early-commit", "later"]


def test_any_split_gives_the_marts_of_a_full_refresh(warehouse: Warehouse) -> None:
    """Batches arrive shuffled, twice and over many days; between them the definitions change.

    What is told by the cut-off changes with it: expired attempts, complete cohorts, current weeks.
    """
    stream = generate(users=60, seed=7).events
    shares = [stream[start::3] for start in range(3)]
    shares[2] += shares[0][:200] + shares[1][-200:]

    def over_days(events: list[dict[str, Any]], hour: int) -> Iterator[dict[str, Any]]:
        for index, event in enumerate(events):
            yield {"received_at": f"2026-11-{1 + index % 9:02} {hour}:00:00+00"} | event

    warehouse.land(*over_days(shares[0], 10))
    warehouse.run(as_of="2026-10-11 10:00:00+00")
    warehouse.set_seed("project_settings", low_limits(warehouse))
    warehouse.set_seed("segments", [{"segment": "path", "property": "path"}])
    warehouse.set_seed(
        "score_bands",
        [
            band | {"is_good": str(band["band"] == "high").lower()}
            for band in (
                {"band": "low", "band_order": "1", "min_score": "300", "max_score": "649"},
                {"band": "high", "band_order": "2", "min_score": "650", "max_score": "850"},
            )
        ],
    )
    warehouse.set_seed(
        "funnels",
        [
            *warehouse.seed("funnels"),
            *QUICK,
        ],
    )
    warehouse.land(*over_days(shares[1], 9))
    warehouse.run(as_of="2026-10-24 10:00:00+00")
    assert warehouse.query(
        "select outcome from marts.fct_funnel_progress where funnel = 'quick' group by 1 order by 1"
    ) == [("converted",), ("expired",), ("open",)]
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
    warehouse.land(*over_days(shares[2], 11))
    warehouse.run("--select", "+fct_tasks")
    warehouse.set_seed(
        "sources",
        [
            *warehouse.seed("sources"),
            {"source": "ci", "is_test": "true"},
        ],
    )
    warehouse.run()
    warehouse.dbt("test", "--select", "test_type:singular")
    assert_raw_and_marts_agree(warehouse)
    assert warehouse.query("select count(*) from marts.fct_events where source = 'ci'") == [(0,)]
    voids = {event["eventId"] for event in stream if event["eventType"] == "event_voided"}
    taken_back = {event["activity"]["eventId"] for event in stream if event["eventId"] in voids}
    assert warehouse.query("select count(*) from marts.fct_events") == [
        (len({event["eventId"] for event in stream} - voids - taken_back),)
    ]


def test_days_of_receipt_are_kept_by_builds_that_do_not_touch_them(warehouse: Warehouse) -> None:
    """Nor do a client that tries again, and a source of tests, change a rate."""

    def refuse(payload: str, day: str, source: str = "default") -> None:
        warehouse.execute(
            "insert into raw.rejected_events (received_at, source, code, message, payload)"
            " values (%s, %s, 'unsupported_event_type', '', %s)",
            f"2026-{day} 12:00:00+00", source, payload,
        )  # fmt: skip

    def rates() -> list[tuple[Any, ...]]:
        warehouse.run("--select", "+rejection_rates_daily")
        return warehouse.query(
            "select to_char(day, 'MM-DD'), events_accepted, events_rejected, rejection_rate::float"
            " from marts.rejection_rates_daily order by day"
        )

    first, second, third = (f"2026-10-0{day} 12:00:00+00" for day in (1, 2, 3))
    warehouse.set_seed("sources", [*warehouse.seed("sources"), {"source": "ci", "is_test": "true"}])
    warehouse.land(
        page_view("a", received_at=first),
        page_view("b", received_at=first),
        page_view("bad", received_at=first, occurredAt="yesterday"),
        page_view("c", received_at=second),
        page_view("test", received_at=first, source="ci"),
        page_view("bad test", received_at=first, source="ci", occurredAt="yesterday"),
    )
    for day in ("10-01", "10-01", "10-02"):
        refuse("{}", day)
    refuse("{}", "10-01", "ci")
    expected: list[tuple[Any, ...]] = [("10-01", 2, 2, 0.5), ("10-02", 1, 0, 0.0)]
    assert rates() == expected

    warehouse.land(page_view("d", received_at=third), page_view("a", received_at=third))
    refuse("{}", "10-04")
    expected += [("10-03", 1, 0, 0.0), ("10-04", 0, 0, None)]
    assert rates() == expected
    assert warehouse.query(
        "select to_char(day, 'MM-DD'), rejection_code, events_rejected, times_rejected"
        " from marts.rejection_reasons_daily order by day, rejection_code"
    ) == [
        ("10-01", "occurred_at_invalid", 1, 1),
        ("10-01", "unsupported_event_type", 1, 2),
        ("10-02", "unsupported_event_type", 0, 1),
        ("10-04", "unsupported_event_type", 0, 1),
    ]
    # An earlier copy takes the event to its own day, and leaves the other without any.
    warehouse.land(page_view("d", received_at=second))
    expected[1:3] = [("10-02", 2, 0, 0.0)]
    assert rates() == expected


def test_marks_of_another_cluster_are_not_trusted(warehouse: Warehouse) -> None:
    warehouse.land(page_view("a"), page_view("b"), page_view("b"))
    warehouse.run(*EVENTS)
    # What a dump restored into a new cluster looks like: marks of elsewhere, far ahead.
    warehouse.execute(
        "update staging.watermarks set xid_origin = 'cluster 1', read_below_xid = '900000000'"
    )
    warehouse.land(page_view("c"))
    comparison = "of its 4 rows, 3 are known and 1 are new; 0 known ones are no longer there"
    assert comparison in warehouse.run(*EVENTS)
    warehouse.land(page_view("d"))
    assert "are known" not in warehouse.run(*EVENTS)

    assert event_ids(warehouse) == ["a", "b", "c", "d"]
    warehouse.dbt("test", "--select", *RAW_IS_IN_EVENTS)


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
    warehouse.build()
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
    warehouse.run(*EVENTS)
    warehouse.land(page_view("c"))
    warehouse.execute("delete from raw.events where event_id = 'b'")

    refused = warehouse.try_dbt("run", "--full-refresh", *EVENTS, reload_raw=True)
    assert refused.returncode == 1
    assert "no longer has all rows of" in refused.stdout
    warehouse.run("--full-refresh", *EVENTS)
    assert event_ids(warehouse) == ["a", "b", "c"]
    warehouse.dbt("test", "--select", *RAW_IS_IN_EVENTS)


def test_what_reads_nothing_or_changes_nothing_moves_nothing(warehouse: Warehouse) -> None:
    """A build with --empty, the words of a seed, an id that very many share."""
    what = (*EVENTS, "+int_users__changed")
    warehouse.land(*(page_view(f"{user}", user, anonymousId="kiosk") for user in range(1, 6)))
    warehouse.run(*what)
    rows = "select event_id, xmin::text from intermediate.int_events order by 1"
    versions = warehouse.query(rows)
    warehouse.set_seed(
        "event_types",
        [{**row, "description": "Reworded"} for row in warehouse.seed("event_types")],
    )
    warehouse.land(page_view("6", 1, anonymousId="kiosk"))
    warehouse.run("--empty", *what)
    warehouse.run(*what)
    now = warehouse.query(rows)
    assert now[:-1] == versions
    assert now[-1][0] == "6"
    assert warehouse.query(
        "select user_id from intermediate.int_users__changed"
        " where build_id = (select max(build_id) from intermediate.int_users__changed)"
    ) == [("1",)]

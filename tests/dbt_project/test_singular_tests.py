"""Each singular test of the dbt project passes on sound data and fails on its planted fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from typing import Any

import psycopg
import pytest

from scripts.lib.demo.generator import generate
from tests.support.warehouse import Warehouse

FAULTS = {
    "backlog_is_opened_minus_closed": [
        "update marts.task_completion_daily set backlog = backlog + 1",
        "update marts.fct_tasks set closed_on = opened_on where task_key ="
        " (select min(task_key) from marts.fct_tasks where closed_on is null)",
    ],
    "credit_periods_neither_overlap_nor_gap": [
        "update marts.fct_credit_scores set valid_to = valid_to - interval '1 second'",
        "update marts.fct_credit_scores set valid_to = valid_to + interval '1 second'",
        "update marts.fct_credit_scores set is_current = true",
        "update marts.fct_credit_scores set valid_to = valid_from + interval '1 day'"
        " where is_current",
    ],
    "daily_marts_add_up_to_their_facts": [
        "delete from marts.conversion_funnel_daily where cohort_on ="
        " (select min(cohort_on) from marts.conversion_funnel_daily)",
        "delete from marts.funnel_outcome_daily where cohort_on ="
        " (select max(cohort_on) from marts.funnel_outcome_daily)",
        "update marts.task_completion_daily set tasks_opened = 0 where day ="
        " (select min(opened_on) from marts.fct_tasks)",
        "delete from marts.retention_weekly where weeks_since = 1",
    ],
    "definitions_are_written_as_they_are_compared": [
        "insert into seeds.unwanted_referrals (host, reason) values ('www.Pay.example', 'payment')",
        "insert into seeds.unwanted_referrals (host, reason)"
        " values ('https://pay.example/', 'payment')",
        "update seeds.traffic_sources set name = 'Google.com' where name = 'google.com'",
        "update seeds.illegal_ids set id = 'None' where id = 'none'",
    ],
    "every_usable_event_is_in_fct_events": [
        "delete from marts.fct_events where event_key ="
        " (select min(event_key) from marts.fct_events where event_type = 'payment_made')",
        "update marts.fct_events set event_key = 'unknown' where event_key ="
        " (select max(event_key) from marts.fct_events)",
        "insert into seeds.sources (source, is_test) values ('ci', true)",
        "update staging.stg_events set voids_event_key = (select min(event_key) from"
        " marts.fct_events) where event_type = 'event_voided'",
    ],
    "events_do_not_conflict": [
        "update marts.fct_events set has_conflict = true where event_key ="
        " (select min(event_key) from marts.fct_events)",
    ],
    "events_keep_to_the_tracking_plan": [
        "update intermediate.int_events set activity = '{}', occurred_on = '2026-10-31'"
        " where event_type = 'page_viewed'",
        "update intermediate.int_events set activity = '{\"path\": 1}',"
        " occurred_on = '2026-10-31' where event_type = 'page_viewed'",
    ],
    "funnel_definitions_are_complete": [
        "update seeds.funnels set step_order = step_order + 1",
        "update seeds.funnels set step_order = 9 where step_order = 7",
        "update seeds.funnels set step_order = 3 where step_order = 4",
        "update seeds.funnels set window_days = 30 where step_order = 2",
        "update seeds.funnels set window_days = 30 where step_order is null",
        "update seeds.funnels set outcome = null where step_order is null",
        "update seeds.funnels set outcome = 'expired' where step_order is null",
    ],
    "funnel_steps_never_grow": [
        "update marts.conversion_funnel_daily set reached = reached_previous + 1",
        "update marts.conversion_funnel_daily set reached_previous = entered + 1",
    ],
    "no_personal_values_where_none_are_planned": [
        'update staging.stg_events set activity = activity || \'{"path": "/ann%40example.com"}\''
        " where event_type = 'page_viewed'",
        'update staging.stg_events set activity = activity || \'{"note": "+49 151 23456789"}\'',
        'update staging.stg_events set activity = activity || \'{"to": "4111 1111 1111 1111"}\'',
        "update staging.stg_events set user_id = 'ann@example.com'",
    ],
    "raw_is_read_to_its_end": [
        "insert into raw.events (received_at, source, event_id, payload)"
        " values ('2026-10-01', 'default', 'unread', '{}')",
        "insert into raw.users (received_at, occurred_at, source, user_id, payload)"
        " values ('2026-10-01', '2026-10-01', 'default', 'unread', '{}')",
    ],
    "receipts_add_up_to_staging": [
        "delete from intermediate.int_receipts_daily where result = 'accepted'",
        "update intermediate.int_receipts_daily set day = day - 1",
        "update intermediate.int_receipts_daily set event_count = event_count + 1",
    ],
    "score_bands_cover_the_range_once": [
        "update seeds.score_bands set max_score = max_score - 1 where band = 'poor'",
        "update seeds.score_bands set min_score = min_score - 1 where band = 'fair'",
        "delete from seeds.score_bands where band = 'exceptional'",
    ],
    "staging_conserves_every_raw_row": [
        "update staging.stg_events set event_row_id = -1 where rejection_code is not null",
        "update staging.stg_events set duplicate_row_ids = '{}'",
        "insert into raw.events (received_at, source, event_id, payload, loaded_xid)"
        " values (now(), 'default', 'unread', '{}', '3')",
    ],
}
# What applications do wrong, or what only takes long, stops no build.
WARNINGS = {
    "events_do_not_conflict",
    "events_keep_to_the_tracking_plan",
    "no_personal_values_where_none_are_planned",
    "raw_is_read_to_its_end",
}


@pytest.fixture(scope="module")
def sound(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """A warehouse with something of everything, built with all its tests, which pass."""
    events = generate(users=40, seed=5).events
    with create_warehouse() as warehouse:
        warehouse.land(
            *events,
            {"eventId": "bad", "eventType": "page_viewed", "activity": {}},
            {"eventId": "test", "source": "ci", **events[0]} | {"eventId": "test"},
            {
                "eventId": "void",
                "eventType": "event_voided",
                "userId": 1,
                "activity": {"eventId": events[1]["eventId"]},
            },
        )
        warehouse.build()
        yield warehouse


def test_every_singular_test_has_a_fault(sound: Warehouse) -> None:
    assert set(FAULTS) == {path.stem for path in (sound.project / "tests").glob("*.sql")}


@pytest.mark.parametrize(
    ("test", "fault"), [(test, fault) for test, faults in FAULTS.items() for fault in faults]
)
def test_one_fault_fails_its_test_and_no_other(sound: Warehouse, test: str, fault: str) -> None:
    """The compiled tests run in the transaction of the fault, which is rolled back."""
    compiled = sound.project / "target/compiled/headwater/tests"
    with closing(psycopg.connect(sound.database_url)) as connection:
        assert connection.execute(fault.encode()).rowcount > 0
        failing = [
            name
            for name in FAULTS
            if connection.execute((compiled / f"{name}.sql").read_bytes()).fetchall()
        ]
    assert failing == [test]


def test_dbt_names_every_test_that_fails(sound: Warehouse) -> None:
    """All faults together, as an analyst meets them: dbt fails and says which tests did."""
    for faults in FAULTS.values():
        sound.execute(faults[0])
    finished = sound.try_dbt("test", "--select", "test_type:singular")
    assert finished.returncode == 1
    results: list[dict[str, Any]] = json.loads(
        (sound.project / "target/run_results.json").read_text()
    )["results"]
    assert {
        result["unique_id"]: result["status"]
        for result in results
        if result["unique_id"].startswith("test.")
    } == {f"test.headwater.{test}": "warn" if test in WARNINGS else "fail" for test in FAULTS}
    for test in FAULTS:
        severity = "Warning" if test in WARNINGS else "Failure"
        assert f"{severity} in test {test}" in finished.stdout

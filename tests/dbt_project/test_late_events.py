"""What comes late corrects what it belongs to, and nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from scripts.lib.demo.generator import generate
from tests.support.warehouse import Warehouse

LATE = date(2026, 9, 2)  # 60 days before it is received
RECEIVED = "2026-11-01 00:00:00+00"
HISTORY = [
    ("page_viewed", "2026-08-12T09:00Z", {"path": "/"}),
    ("page_viewed", "2026-09-02T10:00Z", {"path": "/"}),
    ("page_viewed", "2026-09-02T12:00Z", {"path": "/"}),
    ("page_viewed", "2026-10-05T09:00Z", {"path": "/"}),
    ("application_submitted", "2026-09-10T09:00Z", {}),
    ("application_declined", "2026-09-20T09:00Z", {}),
    ("application_submitted", "2026-10-10T09:00Z", {}),
    ("credit_score_updated", "2026-08-05T09:00Z", {"ficoScore": 590}),
    ("credit_score_updated", "2026-08-10T09:00Z", {"ficoScore": 600}),
    ("credit_score_updated", "2026-10-05T09:00Z", {"ficoScore": 700}),
    ("credit_score_updated", "2026-10-20T09:00Z", {"ficoScore": 720}),
    ("task_scheduled", "2026-09-01T09:00Z", {"taskType": "call"}),
    ("task_started", "2026-09-01T09:05Z", {"taskType": "call"}),
    ("task_scheduled", "2026-10-01T09:00Z", {"taskType": "call"}),
    ("payment_made", "2026-10-05T09:00Z", {}),
]


def event(event_id: str, event_type: str, user_id: object, at: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    activity = more.pop("activity", {})
    return {
        "eventId": event_id,
        "eventType": event_type,
        "userId": user_id,
        "occurredAt": at,
        "activity": activity,
        **more,
    }


def test_event_of_60_days_ago_corrects_what_it_belongs_to(warehouse: Warehouse) -> None:
    def stories(*users: str) -> list[dict[str, Any]]:
        return [
            event(f"{user}-{index}", event_type, user, at.replace("Z", ":00Z"), activity=activity)
            for user in users
            for index, (event_type, at, activity) in enumerate(HISTORY)
        ]

    warehouse.land(*generate(users=25, seed=3).events, *stories("ann", "bob"), received_at=RECEIVED)
    warehouse.run()
    warehouse.keep_marts()
    late = [
        event("late-score", "credit_score_updated", "ann", f"{LATE}T08:00:00Z"),
        event("late-view", "page_viewed", "ann", f"{LATE}T10:20:00Z", activity={"path": "/faq"}),
        event("late-asking", "application_submitted", "ann", f"{LATE}T10:30:00Z"),
        event("late-end", "task_completed", "ann", f"{LATE}T15:00:00Z"),
        event("late-payment", "payment_made", "ann", f"{LATE}T16:00:00Z"),
    ]
    late[0]["activity"] = {"ficoScore": 760}
    late[3]["activity"] = {"taskType": "call"}
    warehouse.land(*late, received_at=RECEIVED)
    warehouse.run()

    last_day = date.fromisoformat(RECEIVED[:10])
    asked = date(2026, 9, 10)  # the attempt began then, and now begins at the late day
    ids = {(sent["eventId"],) for sent in late}
    assert changed_rows(warehouse, "fct_events", "event_id") == ids
    assert {mart: changed_rows(warehouse, mart, key) for mart, key in KEYS.items()} == {
        "dim_users": {("ann",)},
        "fct_sessions": {("ann", 2)},
        "fct_funnel_progress": {("ann", "loan_application", 1)},
        "conversion_funnel_daily": {("loan_application", LATE), ("loan_application", asked)},
        "funnel_outcome_daily": {("loan_application", LATE), ("loan_application", asked)},
        "fct_tasks": {("ann", "call", 1)},
        # Open until now, closed on the late day.
        "task_completion_daily": {("call", day) for day in days(date(2026, 9, 1), last_day)},
        # The period that it cut, itself, and the next, whose score was another before.
        "fct_credit_scores": {("ann", 600), ("ann", 760), ("ann", 700)},
        "credit_profiles": {("ann",)},
        "credit_band_daily": {
            (band, day) for band in ("fair", "very_good") for day in days(LATE, date(2026, 10, 5))
        },
        "retention_weekly": set(),
        "attribution": set(),
        "rejection_rates_daily": {("default", date(2026, 11, 1))},  # what was accepted
        "rejection_reasons_daily": set(),
        "tracking_plan_violations": set(),
        "fct_event_attributes": {
            ("page_viewed", "path", LATE),
            ("task_completed", "taskType", LATE),
            ("credit_score_updated", "ficoScore", LATE),
        },
    }


KEYS = {
    "dim_users": "user_id",
    "fct_sessions": "user_id, session_number",
    "fct_funnel_progress": "user_id, funnel, attempt",
    "conversion_funnel_daily": "funnel, cohort_on",
    "funnel_outcome_daily": "funnel, cohort_on",
    "fct_tasks": "user_id, task_type, work_item_number",
    "task_completion_daily": "task_type, day",
    "fct_credit_scores": "user_id, score",
    "credit_profiles": "user_id",
    "credit_band_daily": "band, day",
    "retention_weekly": "cohort_week, active_week",
    "attribution": "user_id, funnel",
    "rejection_rates_daily": "source, day",
    "rejection_reasons_daily": "source, day",
    "tracking_plan_violations": "event_type, occurred_on",
    "fct_event_attributes": "event_type, property, occurred_on",
}


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def changed_rows(warehouse: Warehouse, mart: str, key: str) -> set[tuple[Any, ...]]:
    """Keys of the rows that are only in the kept or only in the present mart."""
    return set(
        warehouse.query(
            f"""
            select distinct {key} from (
                (table kept.{mart} except all table marts.{mart})
                union all
                (table marts.{mart} except all table kept.{mart})
            ) as differing
            """  # noqa: S608
        )
    )

"""Every mart is, cell by cell, what an oracle says that was written from the documentation alone.

Users send events late, twice, with wrong clocks and take them back, over days and from several
sources; between builds the definitions change. Days are those of zones in which one of 23 or 25
hours begins or ends at midnight.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.generated import histories, land
from tests.support.kinds import REFERRERS
from tests.support.oracle.comparison import differences, given_by
from tests.support.warehouse import Warehouse
from tests.support.worlds import LARGE, SMALL, World, define

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# What both have, so that there is something to get wrong.
VARIETY: dict[str, set[object]] = {
    "fct_events.occurred_at_source": {"client", "corrected", "receipt", "clamped"},
    "fct_events.has_conflict": {True, False},
    "fct_events.event_subject": {"unregistered", "identity", "product"},
    "fct_event_attributes.violation": {"missing", "wrong_type", None},
    "fct_event_attributes.data_type": {"boolean", "text", "numeric", "timestamp"},
    "rejection_reasons_daily.rejection_code": {
        "unsupported_event_type", "user_illegal", "user_id_invalid", "occurred_at_invalid",
        "activity_invalid", "opted_out",
    },
    "rejection_rates_daily.source": {"default", "web"},
    "dim_users.is_anonymous": {True, False},
    "dim_users.is_known": {True, False},
    "fct_sessions.traffic_source": {
        "newsletter", "gmail", "google", "news.example", "unknown", "direct", "facebook",
    },
    "fct_sessions.is_visit": {True, False},
    "retention_weekly.users_active = 0": {True, False},
    "retention_weekly.is_complete": {True, False},
    "fct_funnel_progress.outcome": {
        "open", "expired", "converted", "sold", "paid", "declined", "left",
    },
    "fct_funnel_progress.attempt": {1, 2, 3},
    "conversion_funnel_daily.is_complete": {True, False, None},
    "conversion_funnel_daily.segment": {"all", "source", "band", "path", "level"},
    "conversion_funnel_daily.segment_value": {"(other)", "unknown", "web", "good"},
    "conversion_funnel_daily.entered = users_entered": {True, False},
    "attribution.touch_count": {1, 2, 3, 4},
    "attribution.session_key is null": {True, False},
    "fct_tasks.task_type": {"call", "visit", "unspecified"},
    "fct_tasks.assignee_count": {0, 1, 2},
    "task_completion_daily.tasks_reopened": {0, 1},
    "task_completion_daily.is_complete": {True, False},
    "fct_credit_scores.score_source": {"event", "user"},
    "credit_band_daily.band": {"unknown", "poor", "fair", "good", "very_good", "exceptional"},
}  # fmt: skip


@pytest.mark.parametrize("world", [SMALL, pytest.param(LARGE, marks=pytest.mark.slow)])
def test_marts_are_what_the_documentation_says(warehouse: Warehouse, world: World) -> None:
    builds = len(world.zones)
    sent = histories(1, world.users, builds, world.monday, world.midnights)
    for build, zone in enumerate(world.zones):
        # Windows end between builds, at the moment of the last one, and after it.
        is_last = build == builds - 1
        as_of = world.monday + (21 * DAY if is_last else 2 * DAY + (1 + build) * HOUR)
        define(warehouse, changed=build > 0, zone=zone)
        land(warehouse, [each for each in sent if each.build == build])
        warehouse.run(as_of=as_of.isoformat())
        found = differences(warehouse, given_by(warehouse, as_of, REFERRERS))
        assert found == [], "\n\n".join(map(str, found))
    for column, values in VARIETY.items():
        mart, what = column.split(".", 1)
        query = f"select distinct {what} from marts.{mart}"  # noqa: S608
        assert {value for (value,) in warehouse.query(query)} >= values, column

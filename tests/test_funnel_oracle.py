"""Funnels, sessions and tasks are what a brute-force oracle says, user by user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.histories import (
    funnel,
    funnels_by_marts,
    funnels_by_oracle,
    landed,
    rows_by_user,
    shortest_difference,
)
from tests.support.oracle import sessions, tasks
from tests.support.warehouse import Warehouse

USERS = 600
MONDAY = datetime(2026, 9, 7, tzinfo=UTC)
RECEIVED = datetime(2026, 10, 1, tzinfo=UTC)


FUNNELS = [
    *funnel("one_step", "conversion"),
    *funnel("one_step_named", "conversion => sold", "offer_declined -> lost", window_days="1"),
    *funnel("two_steps", "page_viewed", "conversion"),
    *funnel("same_type_twice", "page_viewed", "page_viewed", "conversion"),
    *funnel("same_type_only", "page_viewed", "page_viewed", window_days="1"),
    *funnel(
        "filtered",
        "page_viewed path=/pricing",
        "page_viewed path=/cart",
        "conversion product=car",
        "page_viewed path=/leave -> left",
    ),
    *funnel("leaving", "page_viewed", "conversion", "page_viewed path=/leave -> left"),
    *funnel(
        "loan",
        "application_submitted",
        "offer_sent",
        "conversion => paid",
        "application_declined -> declined",
    ),
    *funnel(
        "loan_in_time",
        "application_submitted",
        "offer_sent",
        "conversion => paid",
        "application_declined -> declined",
        window_days="2",
    ),
]

VISITS = [("page_viewed", {"path": path}) for path in ("/pricing", "/cart", "/leave", "/")]
SALES = [("conversion", {"product": product}) for product in ("car", "home")]
LOANS: list[tuple[str, dict[str, str]]] = [
    (event_type, {})
    for event_type in ("application_submitted", "offer_sent", "application_declined")
]
TASK_EVENTS = ("task_scheduled", "task_started", "task_completed", "task_abandoned")
WORK = [
    (event_type, activity)
    for event_type in TASK_EVENTS
    for activity in (
        {"taskType": "call"},
        {"taskType": "visit"},
        {"taskType": "call", "taskId": "t-1"},
    )
]
# Few times, so that many events share an instant, or lie exactly at the end of a window (24 and
# 48 hours) or of a session (30 minutes).
HOURS = (0, 1, 2, 23, 24, 25, 47, 48, 49, 72)
MINUTES = (0, 0, 0, 29, 30, 31)


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The events of one user: what, when, in which of two builds and at what second of it."""
    subject = draw(st.sampled_from([VISITS + SALES, LOANS + SALES, WORK, VISITS + LOANS + SALES]))
    moments = st.tuples(st.sampled_from(HOURS), st.sampled_from(MINUTES))
    times = draw(st.lists(moments, min_size=1, max_size=16))
    if draw(st.booleans()):
        times.sort()
    found = []
    for hours, minutes in times:
        event_type, activity = draw(st.sampled_from(subject))
        found.append(
            {
                "eventType": event_type,
                "activity": activity,
                "occurredAt": (MONDAY + timedelta(hours=hours, minutes=minutes)).isoformat(),
                "build": draw(st.integers(0, 1)),
                "received_at": RECEIVED + timedelta(seconds=draw(st.integers(0, 2))),
            }
        )
    return found


def generated_histories() -> list[list[dict[str, Any]]]:
    """What hypothesis comes up with, to go through dbt together: a build takes seconds."""
    found: list[list[dict[str, Any]]] = []

    @settings(
        max_examples=USERS,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(histories())
    def collect(history: list[dict[str, Any]]) -> None:
        found.append(history)

    collect()
    return found


@pytest.fixture(scope="module")
def generated(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """Generated users, whose events arrive in two builds, out of order."""
    batches: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for user, history in enumerate(generated_histories()):
        for index, event in enumerate(history):
            batches[event.pop("build")].append(
                event | {"userId": user, "eventId": f"{user}.{index}"}
            )
    with create_warehouse() as warehouse:
        warehouse.set_seed("funnels", FUNNELS)
        for batch in batches:
            warehouse.land(*batch)
            warehouse.run()
        yield warehouse


def test_funnels(generated: Warehouse) -> None:
    histories = landed(generated)
    expected = funnels_by_oracle(histories, FUNNELS)
    assert shortest_difference(histories, expected, funnels_by_marts(generated)) is None

    # The histories have what there is to get wrong: every outcome, and many attempts.
    attempts = [
        (name, number, out) for rows in expected.values() for name, number, _, out, _ in rows
    ]
    assert {(name, outcome) for name, _, outcome in attempts} == {
        ("one_step", "converted"),
        ("one_step_named", "sold"),
        *((name, "open") for name in {row["funnel"] for row in FUNNELS[3:]}),
        *((name, "converted") for name in ("two_steps", "same_type_twice", "same_type_only")),
        *((name, "converted") for name in ("filtered", "leaving")),
        *((name, "left") for name in ("filtered", "leaving")),
        *((name, outcome) for name in ("loan", "loan_in_time") for outcome in ("paid", "declined")),
    }
    assert {name for name, number, _ in attempts if number == 3} >= {"loan", "loan_in_time"}

    assert generated.query(
        """
        select
            bool_and(is_converted = (converted_at is not null)),
            bool_and(is_converted = (cardinality(reached_at) = steps.last_step)),
            bool_and(furthest_step_order = cardinality(reached_at)),
            bool_and(seconds_to_convert = extract(epoch from converted_at - started_at))
        from marts.fct_funnel_progress
        inner join (select funnel, max(step_order) as last_step from seeds.funnels group by 1)
            as steps using (funnel)
        """
    ) == [(True, True, True, True)]


def test_sessions(generated: Warehouse) -> None:
    histories = landed(generated)
    types = {
        row["event_type"]
        for row in generated.seed("event_types")
        if row["is_interaction"] == "true"
    }
    expected = rows_by_user(
        (
            user,
            n,
            session[0].occurred_at,
            session[-1].occurred_at,
            len(session),
            session[0].event_type,
        )
        for user, events in histories.items()
        for n, session in enumerate(
            sessions(
                (event for event in events if event.event_type in types), timedelta(minutes=30)
            ),
            start=1,
        )
    )
    actual = rows_by_user(
        generated.query(
            """
            select user_id, session_number, started_at, ended_at, event_count, entry_event_type
            from marts.fct_sessions
            """
        )
    )
    assert shortest_difference(histories, expected, actual) is None
    assert sum(len(rows) for rows in expected.values()) > 1000


def test_tasks(generated: Warehouse) -> None:
    histories = landed(generated)
    expected = rows_by_user(
        (
            user,
            task.task_type,
            task.number or 0,
            task.events[-1].event_type,
            task.events[0].occurred_at,
            *(task.times(event_type) for event_type in TASK_EVENTS),
        )
        for user, events in histories.items()
        for task in tasks(event for event in events if event.event_type in TASK_EVENTS)
    )
    actual = rows_by_user(
        generated.query(
            """
            select
                user_id, task_type, coalesce(work_item_number, 0), 'task_' || status, opened_at,
                times_scheduled, times_started, times_completed, times_abandoned
            from marts.fct_tasks
            """
        )
    )
    assert shortest_difference(histories, expected, actual) is None
    assert sum(len(rows) for rows in expected.values()) > 250

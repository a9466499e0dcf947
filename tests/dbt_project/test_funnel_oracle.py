"""Funnels, sessions and tasks are what a brute-force oracle says, and so are their counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import astuple
from datetime import UTC, date, datetime, timedelta
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
from tests.support.oracle import Event, backlogs, retention, sessions, tasks, touches, visit
from tests.support.warehouse import Warehouse

USERS = 800
WINDOW, HALF_LIFE, MOST_TOUCHES = timedelta(days=1), timedelta(days=2), 4
MONDAY = datetime(2026, 9, 7, tzinfo=UTC)
RECEIVED = datetime(2026, 10, 1, tzinfo=UTC)
# Of the two builds. Windows end between them, at the second one's very moment, and after it.
AS_OF = (MONDAY + timedelta(hours=49), MONDAY + timedelta(days=21))
LIMITS = {
    "retention_weeks": 3,
    "carry_forward_days": 5,
    "segment_values": 2,
    "attribution_window_days": WINDOW.days,
    "attribution_half_life_days": HALF_LIFE.days,
    "attribution_max_touches": MOST_TOUCHES,
}


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
    *funnel("levels", "page_viewed level=5", "conversion"),
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

# What a referrer stands for: source and medium, or nothing.
REFERRERS = {
    "": None,
    " HTTPS://user:pw@WWW.News.example.:8443/@x": ("news.example", "referral"),
    "https://www.google.com/": ("google", "organic"),
    "android-app://com.google.android.gm/": ("gmail", "email"),
    "https://loans.example/account": None,
    "https://m.checkout.stripe.com/pay": None,
    "https://shop.example/": None,  # the event's own url has this host
}
SOURCES = {"fb": "facebook"}
PLACES: list[dict[str, Any]] = [
    {"path": "/"},
    *({"path": "/", "level": level} for level in (5, 5.0, "5", "5.0", "05", 5.5, True, None)),
    *({"referrer": each, "url": "http://SHOP.example/x"} for each in REFERRERS),
    {"utmSource": "Newsletter ", "utmMedium": "Email", "utmCampaign": "Spring"},
    {"utmSource": "fb", "referrer": "https://www.google.com/"},
    {"utmCampaign": "spring"},
]
TRAFFIC: list[tuple[str, dict[str, Any]]] = [("page_viewed", place) for place in PLACES]
VISITS: list[tuple[str, dict[str, Any]]] = [
    ("page_viewed", {"path": path}) for path in ("/pricing", "/cart", "/leave", "/")
]
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
# 48 hours) or of a session (30 minutes). Between the third day and the last nothing happens at all.
HOURS = (0, 1, 2, 23, 24, 25, 47, 48, 49, 72, 480)
MINUTES = (0, 0, 0, 29, 30, 31)


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The events of one user: what, when, in which of two builds and on which day received."""
    subjects = [VISITS + SALES, LOANS + SALES, WORK, VISITS + LOANS + SALES, TRAFFIC + SALES]
    subject = draw(st.sampled_from(subjects))
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
                "received_at": RECEIVED + draw(st.integers(0, 2)) * timedelta(days=1),
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
    return found + [told(story) for story in RARE]


# What chance may not come up with: a third attempt at a loan, more touches than are kept.
Story = list[tuple[str, dict[str, Any]]]
RARE: list[Story] = [
    [("application_submitted", {}), ("application_declined", {})] * 3,
    [("page_viewed", place) for place in (PLACES[-3], PLACES[-2], *PLACES[:3])] + SALES[:1],
    [("page_viewed", place) for place in PLACES if "url" in place] + SALES[:1],
    [("page_viewed", {"path": "/"})] * 6 + SALES[:1],
]


def told(story: Story) -> list[dict[str, Any]]:
    """A story with 40 minutes between its events, received in turns by both builds."""
    return [
        {
            "eventType": event_type,
            "activity": activity,
            "occurredAt": (MONDAY + number * timedelta(minutes=40)).isoformat(),
            "build": number % 2,
            "received_at": RECEIVED,
        }
        for number, (event_type, activity) in enumerate(story)
    ]


@pytest.fixture(scope="module")
def generated(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """Generated users, whose events arrive in two builds, out of order."""
    batches: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for user, history in enumerate(generated_histories(), start=1):
        for index, event in enumerate(history):
            batches[event.pop("build")].append(
                event | {"userId": user, "eventId": f"{user}.{index}"}
            )
    with create_warehouse() as warehouse:
        warehouse.set_seed("funnels", FUNNELS)
        warehouse.set_seed("segments", [{"segment": "path", "property": "path"}])
        warehouse.set_seed(
            "project_settings",
            [
                row | {"value": str(LIMITS.get(row["setting"], row["value"]))}
                for row in warehouse.seed("project_settings")
            ],
        )
        for batch, as_of in zip(batches, AS_OF, strict=True):
            warehouse.land(*batch)
            warehouse.run(as_of=as_of.isoformat())
        yield warehouse


def test_funnels(generated: Warehouse) -> None:
    histories = landed(generated)
    expected = funnels_by_oracle(histories, FUNNELS, AS_OF[-1])
    assert shortest_difference(histories, expected, funnels_by_marts(generated)) is None

    # The histories have what there is to get wrong: every outcome, and many attempts.
    attempts = [
        (name, number, out) for rows in expected.values() for name, number, _, out, _ in rows
    ]
    assert {(name, outcome) for name, _, outcome in attempts} == {
        ("one_step", "converted"),
        ("one_step_named", "sold"),
        *((name, "open") for name in {row["funnel"] for row in FUNNELS[3:]}),
        *((row["funnel"], "expired") for row in FUNNELS[3:] if row["window_days"]),
        *((name, "converted") for name in ("two_steps", "same_type_twice", "same_type_only")),
        *((name, "converted") for name in ("filtered", "leaving", "levels")),
        *((name, "left") for name in ("filtered", "leaving")),
        *((name, outcome) for name in ("loan", "loan_in_time") for outcome in ("paid", "declined")),
    }
    assert {name for name, number, _ in attempts if number == 3} >= {"loan", "loan_in_time"}

    assert generated.query(
        """
        select
            bool_and(is_converted = (converted_at is not null)),
            bool_and(is_complete is not distinct from (expires_at <= %s)),
            bool_and((outcome = 'expired') = (ended_at is null and coalesce(is_complete, false))),
            bool_and(is_converted = (cardinality(reached_at) = steps.last_step)),
            bool_and(furthest_step_order = cardinality(reached_at)),
            bool_and(seconds_to_convert = extract(epoch from converted_at - started_at))
        from marts.fct_funnel_progress
        inner join (select funnel, max(step_order) as last_step from seeds.funnels group by 1)
            as steps using (funnel)
        """,
        AS_OF[-1],
    ) == [(True,) * 6]


def test_daily_funnels(generated: Warehouse) -> None:
    """Counts of the attempts, the two values with most of each segment told apart."""
    attempts = generated.query(
        """
        select user_id, funnel, cohort_on, segments, cardinality(reached_at), outcome
        from marts.fct_funnel_progress
        """
    )
    values: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for _, name, day, segments, *_ in attempts:
        for segment, value in segments.items():
            values[name, day, segment][value] += 1
    most = {
        group: sorted(counts, key=lambda value: (-counts[value], value))[:2]
        for group, counts in values.items()
    }
    users: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    outcomes: Counter[tuple[Any, ...]] = Counter()
    for user, name, day, segments, reached, outcome in attempts:
        for segment, value in segments.items():
            label = value if value in most[name, day, segment] else "(other)"
            outcomes[name, outcome, day, segment, label] += 1
            for step in range(1, reached + 1):
                users[name, step, day, segment, label].append(user)
    assert {key[4] for key in users} >= {"(other)", "unknown", "/pricing"}

    steps = {row["funnel"]: int(row["step_order"]) for row in FUNNELS if row["step_order"]}
    windows = {row["funnel"]: row["window_days"] for row in FUNNELS}

    def is_complete(name: str, day: date) -> bool | None:
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        window = windows[name]
        return midnight + timedelta(days=int(window)) <= AS_OF[-1] if window else None

    expected = {}
    for name, step, day, *cut in users:
        if step == 1:
            entered = users[name, 1, day, *cut]
            for order in range(1, steps[name] + 1):
                reached_by = users.get((name, order, day, *cut), [])
                counts = (len(entered), len(reached_by), len({*entered}), len({*reached_by}))
                expected[name, order, day, *cut] = (*counts, is_complete(name, day))
    rows = generated.query(
        """
        select
            funnel, step_order, cohort_on, segment, segment_value,
            entered, reached, users_entered, users_reached, is_complete
        from marts.conversion_funnel_daily
        """
    )
    assert {row[:5]: row[5:] for row in rows} == expected
    assert {count for *_, count in expected.values()} == {True, False, None}
    assert any(counts[0] != counts[2] for counts in expected.values())
    rows = generated.query(
        """
        select funnel, outcome, cohort_on, segment, segment_value, attempts, is_complete
        from marts.funnel_outcome_daily
        """
    )
    assert {row[:5]: row[5:] for row in rows} == {
        key: (count, is_complete(key[0], key[2])) for key, count in outcomes.items()
    }


def interactions_by_user(warehouse: Warehouse) -> dict[str, list[Event]]:
    types = {
        row["event_type"]
        for row in warehouse.seed("event_types")
        if row["is_interaction"] == "true"
    }
    return {
        user: [event for event in events if event.event_type in types]
        for user, events in landed(warehouse).items()
    }


def sessions_by_oracle(warehouse: Warehouse) -> dict[str, list[list[Event]]]:
    return {
        user: sessions(events, timedelta(minutes=30))
        for user, events in interactions_by_user(warehouse).items()
    }


def test_sessions(generated: Warehouse) -> None:
    expected = rows_by_user(
        (
            user,
            n,
            session[0].occurred_at,
            session[-1].occurred_at,
            len(session),
            session[0].event_type,
            next((e.activity["path"] for e in session if e.activity.get("path")), ""),
            *astuple(visit(session, REFERRERS, SOURCES))[1:],
        )
        for user, found in sessions_by_oracle(generated).items()
        for n, session in enumerate(found, start=1)
    )
    actual = rows_by_user(
        generated.query(
            """
            select
                user_id, session_number, started_at, ended_at, event_count, entry_event_type,
                coalesce(entry_path, ''), traffic_source, traffic_medium, traffic_campaign, is_visit
            from marts.fct_sessions
            """
        )
    )
    assert shortest_difference(landed(generated), expected, actual) is None
    assert sum(len(rows) for rows in expected.values()) > 1000
    origins = {row[6] for rows in expected.values() for row in rows}
    assert origins == {
        "direct", "news.example", "google", "gmail", "newsletter", "facebook", "unknown",
    }  # fmt: skip


def test_attribution(generated: Warehouse) -> None:
    """The touches of each conversion and their credits by each rule, to a hundred thousandth."""
    visits = {
        user: [visit(session, REFERRERS, SOURCES) for session in found]
        for user, found in sessions_by_oracle(generated).items()
    }
    expected = {
        (key, *touch[:2]): [float(credit) for credit in touch[2]]
        for key, user, at in generated.query(
            "select progress_key, user_id, converted_at from marts.fct_funnel_progress"
            " where is_converted"
        )
        for touch in touches(visits.get(user, []), at, WINDOW, MOST_TOUCHES, HALF_LIFE)
    }
    actual = {
        (key, touched_at, source): [float(credit) for credit in shares]
        for key, touched_at, source, *shares in generated.query(
            """
            select
                progress_key, touched_at, traffic_source, first_touch_credit, last_touch_credit,
                last_non_direct_credit, linear_credit, position_based_credit, time_decay_credit
            from marts.attribution
            """
        )
    }
    assert actual.keys() == expected.keys()
    differing = [
        (touch, expected[touch], shares)
        for touch, shares in actual.items()
        if shares != pytest.approx(expected[touch], abs=1e-5)
    ]
    assert differing == []
    assert max(Counter(key for key, *_ in actual).values()) == MOST_TOUCHES
    assert generated.query(
        """
        select count(*) from (
            select progress_key from marts.attribution group by 1 having
                (sum(first_touch_credit), sum(last_touch_credit), sum(last_non_direct_credit),
                sum(linear_credit), sum(position_based_credit), sum(time_decay_credit))
                <> (1, 1, 1, 1, 1, 1)
        ) as uneven
        """
    ) == [(0,)]


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


def test_days_of_tasks(generated: Warehouse) -> None:
    """What happened to tasks on each day; where nothing did, for how long the backlog goes on."""
    by_type = defaultdict(list)
    for events in landed(generated).values():
        for task in tasks(event for event in events if event.event_type in TASK_EVENTS):
            by_type[task.task_type].append(task)
    expected = {
        (task_type, day): counts
        for task_type, found in by_type.items()
        for day, counts in backlogs(found, AS_OF[-1].date(), LIMITS["carry_forward_days"]).items()
    }
    rows = generated.query(
        """
        select
            task_type, day,
            tasks_opened, tasks_reopened, tasks_completed, tasks_abandoned, backlog
        from marts.task_completion_daily
        """
    )
    assert {row[:2]: row[2:] for row in rows} == expected
    # September 10th, the days that it is carried over, the 27th, and one more.
    assert [day.day for task_type, day in sorted(expected) if task_type == "call"] == [
        *range(7, 16), 27, 28,
    ]  # fmt: skip
    assert all(counts[1] for (_, day), counts in expected.items() if day.day in (8, 9))
    assert (
        generated.query(
            """
        select daily.task_type, daily.day
        from marts.task_completion_daily as daily
        left join marts.fct_tasks as tasks
            on daily.task_type = tasks.task_type and daily.day = tasks.opened_on
        group by daily.task_day_key
        having
            count(*) filter (where task_key is not null and closed_on is null) <> opened_still_open
            or count(completed_at) <> opened_then_completed
            or is_complete <> (day < %s and opened_still_open = 0)
        """,
            AS_OF[-1].date(),
        )
        == []
    )


def test_retention(generated: Warehouse) -> None:
    """Nobody is active in the second week, and nobody yet in the fourth."""
    expected = retention(
        (
            [event.occurred_at.date() for event in events]
            for events in interactions_by_user(generated).values()
        ),
        AS_OF[-1].date(),
        LIMITS["retention_weeks"],
    )
    rows = generated.query(
        """
        select cohort_week, active_week, cohort_users, users_active, is_complete
        from marts.retention_weekly
        """
    )
    assert {row[:2]: row[2:] for row in rows} == expected
    first = MONDAY.date()
    counts = [expected[first, first + timedelta(weeks=number)] for number in range(4)]
    assert [is_over for *_, is_over in counts] == [True, True, True, False]
    assert counts[1][1] == counts[3][1] == 0 < counts[2][1]

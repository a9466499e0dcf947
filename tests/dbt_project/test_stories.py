"""What becomes of some users' events over several builds, told side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.warehouse import MARTS, Warehouse, event_ids, page_view

pytestmark = pytest.mark.every_postgres


def resent_events_collapse_whatever_their_order(warehouse: Warehouse) -> Story:
    first = {"received_at": "2026-10-01 12:00:00+00"}
    second = {"received_at": "2026-10-01 12:00:01+00"}
    yield [
        page_view("resent-a", activity={"path": "/late"}, **second),
        page_view("resent-b", **first),
        page_view("resent-b", **first),
        page_view("resent-c", **first),
        page_view("resent-a", **first, source="other"),
    ]
    yield [
        page_view("resent-a", activity={"path": "/early"}, **first),
        page_view("resent-b", **second),
    ]
    assert warehouse.query(
        """
        select source, event_id, activity ->> 'path', cardinality(duplicate_row_ids), has_conflict
        from staging.stg_events
        where event_id like 'resent-%'
        order by event_id, source
        """
    ) == [
        ("default", "resent-a", "/early", 1, True),
        ("other", "resent-a", "/", 0, False),
        ("default", "resent-b", "/", 2, False),
        ("default", "resent-c", "/", 0, False),
    ]
    ids = ["resent-a", "resent-a", "resent-b", "resent-c"]
    assert [i for i in event_ids(warehouse) if i.startswith("resent-")] == ids


def void_takes_an_event_out_whichever_comes_first(warehouse: Warehouse) -> Story:
    def void(event_id: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        return {
            "eventId": f"void-{event_id}",
            "eventType": "event_voided",
            "userId": "voider",
            "activity": {"eventId": event_id},
            **more,
        }

    def voided_and_not() -> list[str]:
        ids = ("wrong", "right", "not-here-yet")
        return [event_id for event_id in event_ids(warehouse) if event_id in ids]

    yield [page_view("wrong", "v1"), page_view("right", "v2"), void("not-here-yet")]
    assert voided_and_not() == ["right", "wrong"]
    yield [void("wrong"), void("right", source="other"), page_view("not-here-yet", "v3")]
    assert voided_and_not() == ["right"]
    assert warehouse.query("select user_id from marts.dim_users where user_id like 'v%'") == [
        ("v2",)
    ]


def copy_that_was_received_first_but_read_last_counts(warehouse: Warehouse) -> Story:
    """It takes its event away from the user, and from the voided event, that the other named."""
    first = {"received_at": "2026-10-01 12:00:00+00", "occurredAt": "2026-09-30T12:00:00Z"}
    second = first | {"received_at": "2026-10-01 12:00:01+00"}
    sale = {"eventType": "conversion", "activity": {}, **first}
    void = {"eventId": "void", "eventType": "event_voided", "userId": 9}
    yield [
        page_view("visit", "ann", **second),
        {"eventId": "sale", "userId": "cat", **sale},
        {"eventId": "gift", "userId": "dan", **sale},
        {**void, "activity": {"eventId": "sale"}, **second},
    ]
    yield [
        page_view("visit", "bob", **first),
        {**void, "activity": {"eventId": "gift"}, **first},
    ]
    assert warehouse.query(
        "select user_id, event_id from marts.fct_events"
        " where user_id in ('ann', 'bob', 'cat', 'dan') order by 1"
    ) == [("bob", "visit"), ("cat", "sale")]
    assert warehouse.query(
        "select user_id, event_count from marts.fct_sessions"
        " where user_id in ('ann', 'bob', 'cat', 'dan') order by 1"
    ) == [("bob", 1), ("cat", 1)]


def anonymous_activity_joins_the_user_once_known(warehouse: Warehouse) -> Story:
    def visit(event_id: str, minute: int, **ids: object) -> dict[str, Any]:
        at = f"2026-09-30T12:{minute:02}:00Z"
        return {**page_view(f"visit-{event_id}", None), "occurredAt": at, **ids}

    def users() -> list[tuple[str, ...]]:
        return warehouse.query(
            "select right(event_id, 1), user_id from marts.fct_events"
            " where event_id like 'visit-%' order by event_id"
        )

    def known(column: str) -> list[tuple[Any, ...]]:
        return warehouse.query(
            f"select user_id, {column} from marts.dim_users"  # noqa: S608
            " where user_id ~ '^(7|eve|anonymous:.*)$' order by 1"
        )

    yield [
        visit("a", 1, anonymousId="phone"),
        visit("b", 2, anonymousId="laptop"),
        visit("c", 3, anonymousId="stranger"),
    ]
    assert known("is_anonymous") == [
        ("anonymous:laptop", True),
        ("anonymous:phone", True),
        ("anonymous:stranger", True),
    ]

    # Both devices turn out to be one user's, days later and in different builds.
    yield [visit("d", 4, anonymousId="phone", userId=7)]
    yield [visit("e", 5, anonymousId="laptop", userId="7"), visit("f", 6, userId=7.0)]
    assert users() == [
        ("a", "7"),
        ("b", "7"),
        ("c", "anonymous:stranger"),
        ("d", "7"),
        ("e", "7"),
        ("f", "7"),
    ]
    assert known("event_count") == [("7", 5), ("anonymous:stranger", 1)]

    # A late event shows that the phone was somebody else's first, and is then taken back.
    yield [visit("g", 0, anonymousId="phone", userId="eve")]
    assert users()[0] == ("a", "eve")
    assert known("event_count") == [("7", 4), ("anonymous:stranger", 1), ("eve", 2)]
    void = {"eventType": "event_voided", "userId": "eve", "activity": {"eventId": "visit-g"}}
    yield [{"eventId": "void-g", **void}]
    assert users()[0] == ("a", "7")


def what_comes_on_a_day_changes_the_marts_of_days_before(warehouse: Warehouse) -> Story:
    """So no mart by day can be built of the days alone that raw has something new of."""
    task = {"taskId": "late-task", "taskType": "late"}

    def event(name: str, at: str, **activity: str) -> dict[str, Any]:
        whole = {"userId": "late", "activity": activity, "occurredAt": at, "received_at": at}
        return {"eventId": f"late-{name}-{at}", "eventType": name, **whole}

    def days() -> set[tuple[Any, ...]]:
        return set(
            warehouse.query("""
                select 'conversion', cohort_on::text, conversion_funnel_daily::text
                from marts.conversion_funnel_daily where cohort_on < '2026-09-10'
                union all
                select 'outcome', cohort_on::text, funnel_outcome_daily::text
                from marts.funnel_outcome_daily where cohort_on < '2026-09-10'
                union all
                select 'tasks', day::text, task_completion_daily::text
                from marts.task_completion_daily where day < '2026-09-10'
            """)
        )

    yield [
        event("application_submitted", "2026-09-01T12:00:00Z"),
        event("task_scheduled", "2026-09-02T12:00:00Z", **task),
    ]
    before = days()
    yield [
        event("application_partly_submitted", "2026-09-20T11:00:00Z"),
        event("application_declined", "2026-09-20T12:00:00Z"),
        event("task_completed", "2026-09-20T12:00:00Z", **task),
    ]
    assert {(mart, day) for mart, day, _ in before ^ days()} == {
        ("conversion", "2026-09-01"),
        ("outcome", "2026-09-01"),
        ("tasks", "2026-09-02"),
    }


Story = Iterator[list[dict[str, Any]]]
STORIES = (
    resent_events_collapse_whatever_their_order,
    void_takes_an_event_out_whichever_comes_first,
    copy_that_was_received_first_but_read_last_counts,
    anonymous_activity_joins_the_user_once_known,
    what_comes_on_a_day_changes_the_marts_of_days_before,
)


@dataclass(slots=True)
class Told:
    """What became of the stories, by name."""

    warehouse: Warehouse
    failures: dict[str, AssertionError] = field(default_factory=dict)


@pytest.fixture(scope="module")
def told(create_warehouse: Callable[[], AbstractContextManager[Warehouse]]) -> Iterator[Told]:
    """All stories, side by side: each has users of its own, and a build costs seconds.

    A story yields what lands before the next build, and goes on after it.
    """
    with create_warehouse() as warehouse:
        told = Told(warehouse)
        running = {story.__name__: story(warehouse) for story in STORIES}
        while running:
            landing = []
            for name, story in list(running.items()):
                try:
                    landing += next(story)
                except StopIteration:
                    del running[name]
                except AssertionError as failure:
                    told.failures[name] = failure
                    del running[name]
            if running:
                warehouse.land(*landing)
                warehouse.run()
        yield told


@pytest.mark.parametrize("story", [story.__name__ for story in STORIES])
def test_story(told: Told, story: str) -> None:
    if story in told.failures:
        raise told.failures[story]


def test_stories_end_in_the_marts_of_a_full_refresh(told: Told) -> None:
    told.warehouse.dbt("test", "--select", "test_type:singular")
    told.warehouse.keep_marts()
    told.warehouse.run("--full-refresh", reload_raw=True)
    assert told.warehouse.differences() == dict.fromkeys(MARTS, 0)

"""All marts, as the documentation has them, from what is given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol, TypeVar

from tests.support.oracle import attribution, credit, funnels, quality, sessions, tasks, users
from tests.support.oracle.given import Given
from tests.support.oracle.intake import Event, usable

Row = dict[str, Any]


class Owned(Protocol):
    """Something of a user."""

    @property
    def user(self) -> str:
        """Whose it is."""


Thing = TypeVar("Thing", bound=Owned)


def by_user(things: Iterable[Thing]) -> dict[str, list[Thing]]:
    """The things of each user, in their order."""
    found: dict[str, list[Thing]] = defaultdict(list)
    for thing in things:
        found[thing.user].append(thing)
    return dict(found)


def marts(given: Given) -> dict[str, list[Row]]:
    """The rows of each mart by its name."""
    all_events = usable(given)
    events = by_user(all_events)
    updates = by_user(users.user_updates(given))
    histories = {
        user: credit.periods(given, events.get(user, []), updates.get(user, []))
        for user in {*events, *updates}
    }

    def attempts_of(user: str) -> list[funnels.Progress]:
        def band_at(moment: datetime) -> str | None:
            period = credit.at(histories[user], moment)
            return period.band if period else None

        return list(funnels.progress(given, user, events[user], band_at))

    progress = {user: attempts_of(user) for user in events}
    visits = {user: list(sessions.sessions(given, events[user])) for user in events}
    cuts = funnels.cohorts(given, (each for found in progress.values() for each in found))
    attributes = list(quality.fct_event_attributes(given, all_events))
    task_rows = [row for user in events for row in tasks.fct_tasks(given, events[user])]
    rates, reasons = quality.rejections(given)
    bands = {user: history[-1].band for user, history in histories.items() if history}
    profiles = (
        credit.credit_profile(given, user, history, events.get(user, []))
        for user, history in histories.items()
    )
    return {
        "fct_events": [fct_event(given, event) for event in all_events],
        "fct_event_attributes": attributes,
        "tracking_plan_violations": list(quality.tracking_plan_violations(attributes)),
        "rejection_rates_daily": rates,
        "rejection_reasons_daily": reasons,
        "dim_users": list(users.dim_users(given, events, updates, bands)),
        "fct_sessions": [visit for found in visits.values() for visit in found],
        "retention_weekly": list(users.retention_weekly(given, all_events)),
        "fct_funnel_progress": [each.row for found in progress.values() for each in found],
        "conversion_funnel_daily": list(funnels.conversion_funnel_daily(given, cuts)),
        "funnel_outcome_daily": list(funnels.funnel_outcome_daily(given, cuts)),
        "attribution": [
            row
            for user, found in progress.items()
            for row in attribution.attribution(given, visits[user], found)
        ],
        "fct_tasks": task_rows,
        "task_completion_daily": list(tasks.task_completion_daily(given, task_rows)),
        "fct_credit_scores": [
            row
            for user, history in histories.items()
            for row in credit.fct_credit_scores(user, history)
        ],
        "credit_profiles": [row for row in profiles if row],
        "credit_band_daily": list(credit.credit_band_daily(given, histories, events, progress)),
    }


def fct_event(given: Given, event: Event) -> Row:
    """An event as a row of its mart."""
    subjects = {row["event_type"]: row["subject"] for row in given.seeds["event_types"]}
    return {
        "event_key": event.key,
        "event_row_id": event.arrival[1],
        "event_id": event.event_id,
        "user_id": event.user,
        "anonymous_id": event.anonymous_id,
        "source": event.source,
        "event_type": event.event_type,
        "event_subject": subjects.get(event.event_type, "unregistered"),
        "occurred_at_source": event.occurred_at_source,
        "activity": quality.activity_in_marts(given, event, shown=True),
        "is_interaction": event.is_interaction,
        "is_identified": event.is_identified,
        "has_conflict": event.has_conflict,
        "occurred_on": given.day(event.occurred_at),
        "occurred_at": event.occurred_at,
        "received_at": event.arrival[0],
    }

"""Users and who of them comes back."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from tests.support.oracle.given import Given
from tests.support.oracle.intake import Event, happened, is_opted_out, told_from_visitors
from tests.support.oracle.values import moment, rate


@dataclass(frozen=True, slots=True)
class UserUpdate:
    """A create or update of a user as it counts."""

    user: str
    source: str
    payload: Mapping[str, Any]
    occurred_at: datetime
    arrival: tuple[datetime, int]


def user_updates(given: Given) -> list[UserUpdate]:
    """Updates of users, in order: none of a test, of nobody or of who had opted out."""
    illegal = {each["id"] or "null" for each in given.seeds["illegal_ids"]}
    is_out = is_opted_out(given)
    found = [
        UserUpdate(
            told_from_visitors(row.user_id),
            row.source,
            row.payload,
            happened(
                row.occurred_at, moment(row.payload.get("segmentSentAt")), row.received_at, given
            )[0],
            (row.received_at, row.row_id),
        )
        for row in given.updates
        if row.source not in given.test_sources
        and row.user_id.strip().lower() not in illegal
        and not is_out(told_from_visitors(row.user_id), row.received_at)
    ]
    return sorted(found, key=lambda update: (update.occurred_at, update.arrival))


def dim_users(
    given: Given,
    events: Mapping[str, list[Event]],
    updates: Mapping[str, list[UserUpdate]],
    bands: Mapping[str, str],
) -> Iterator[dict[str, object]]:
    """One row per user."""
    for user in {*events, *updates}:
        seen: list[Event | UserUpdate] = [*updates.get(user, []), *events.get(user, [])]
        times = [each.occurred_at for each in seen]
        emails = [
            email
            for update in updates.get(user, [])
            if isinstance(email := update.payload.get("email"), str)
        ]
        yield {
            "user_id": user,
            "email_hash": _email_hash(emails[-1], given) if emails else None,
            "first_source": min(seen, key=lambda each: each.occurred_at).source,
            "score_band": bands.get(user),
            "event_count": len(events.get(user, [])),
            "is_known": user in updates,
            "is_anonymous": user not in updates
            and not any(event.is_identified for event in events[user]),
            "first_seen_at": min(times),
            "last_seen_at": max(times),
        }


def _email_hash(email: str, given: Given) -> str:
    inner, outer = given.email_pads
    text = email.strip().lower().encode()
    return hashlib.sha256(outer + hashlib.sha256(inner + text).digest()).hexdigest()


def retention_weekly(given: Given, events: Iterable[Event]) -> Iterator[dict[str, object]]:
    """One row per cohort week and week."""
    by_user: dict[str, set[date]] = defaultdict(set)
    for event in events:
        if event.is_interaction:
            by_user[event.user].add(monday(given.day(event.occurred_at)))
    weeks_of = list(by_user.values())
    for cohort_week in {min(weeks) for weeks in weeks_of}:
        cohort = [weeks for weeks in weeks_of if min(weeks) == cohort_week]
        last = max(monday(given.today), *(week for weeks in cohort for week in weeks))
        for number in range(given.number("retention_weeks") + 1):
            week = cohort_week + timedelta(weeks=number)
            if week <= last:
                active = sum(week in weeks for weeks in cohort)
                yield {
                    "cohort_week": cohort_week,
                    "active_week": week,
                    "weeks_since": number,
                    "cohort_users": len(cohort),
                    "users_active": active,
                    "retention_rate": rate(active, len(cohort)),
                    "is_complete": week + timedelta(weeks=1) <= given.today,
                }


def monday(day: date) -> date:
    """The first day of its week."""
    return day - timedelta(days=day.weekday())

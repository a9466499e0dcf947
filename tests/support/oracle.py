"""What the marts have to say, worked out the slow way, one user at a time, in plain Python.

Written from the docs blocks `funnel_attempts`, `work_items`, `carried_forward`, `traffic_source`,
`touches` and `attribution_rules` of dbt_project/models/docs.md and the descriptions of the marts,
not from their SQL. Days are of UTC.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it was sent; `arrival` decides between events of one instant."""

    event_type: str
    activity: Mapping[str, Any]
    occurred_at: datetime
    arrival: tuple[datetime, int]


@dataclass(slots=True)
class Attempt:
    """One attempt of a user at a funnel, in the words of `fct_funnel_progress`."""

    reached_at: list[datetime]
    outcome: str = "open"
    ended_at: datetime | None = None

    def end(self, outcome: str, at: datetime) -> None:
        self.outcome, self.ended_at = outcome, at


def in_order(events: Iterable[Event]) -> list[Event]:
    """By when they happened, ties by arrival."""
    return sorted(events, key=lambda event: (event.occurred_at, event.arrival))


def attempts(
    events: Iterable[Event], definition: Sequence[Mapping[str, str]], as_of: datetime
) -> list[Attempt]:
    """The attempts of one user at one funnel, as they stand at a moment.

    `definition` is the funnel's rows of the seed.
    """
    steps = {int(row["step_order"]): row for row in definition if row["step_order"]}
    ends = [row for row in definition if not row["step_order"]]
    days = {row["window_days"] for row in steps.values()} - {""}
    window = timedelta(days=int(days.pop())) if days else timedelta.max
    found: list[Attempt] = []
    for event in in_order(events):
        attempt = found[-1] if found else None
        if (
            attempt is None
            or attempt.ended_at is not None
            or event.occurred_at - attempt.reached_at[0] > window
        ):
            if not _is(event, steps[1]):
                continue
            attempt = Attempt([event.occurred_at])
            found.append(attempt)
        elif _is(event, steps[len(attempt.reached_at) + 1]):
            attempt.reached_at.append(event.occurred_at)
        else:
            for end in ends:
                if _is(event, end):
                    attempt.end(end["outcome"], event.occurred_at)
            continue
        if len(attempt.reached_at) == len(steps):
            attempt.end(steps[len(steps)]["outcome"] or "converted", event.occurred_at)
    for attempt in found:
        if attempt.ended_at is None and window <= as_of - attempt.reached_at[0]:
            attempt.outcome = "expired"
    return found


def _is(event: Event, row: Mapping[str, str]) -> bool:
    """Whether an event is one of a step's or an end's."""
    return event.event_type == row["event_type"] and (
        not row["property"] or is_value(event.activity.get(row["property"]), row["property_value"])
    )


def is_value(value: object, text: str) -> bool:
    """Whether a value of an activity is the one that a seed names."""
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, int | float):
        try:
            return value == float(text)
        except ValueError:
            return False
    return value == text


def sessions(interactions: Iterable[Event], gap: timedelta) -> list[list[Event]]:
    """One user's interactions, cut wherever nothing was done for longer than `gap`."""
    ordered = in_order(interactions)
    found = [ordered[:1]] if ordered else []
    for before, event in pairwise(ordered):
        if event.occurred_at - before.occurred_at > gap:
            found.append([])
        found[-1].append(event)
    return found


@dataclass(slots=True)
class Task:
    """A task of one user; `number` is the work item's where no id was sent."""

    task_type: str
    number: int | None
    events: list[Event] = field(default_factory=list)

    def times(self, event_type: str) -> int:
        return sum(event.event_type == event_type for event in self.events)

    def moves(self) -> list[tuple[date, str]]:
        """What happened to it, on which day: opened, reopened, completed, abandoned."""
        found = [(self.events[0].occurred_at.date(), "opened")]
        was_closed = False
        for event in self.events:
            is_closing = event.event_type in ("task_completed", "task_abandoned")
            if is_closing and not was_closed:
                move = event.event_type.removeprefix("task_")
                found.append((event.occurred_at.date(), move))
            if was_closed and not is_closing:
                found.append((event.occurred_at.date(), "reopened"))
            was_closed = is_closing
        return found


def tasks(task_events: Iterable[Event]) -> list[Task]:
    """The tasks of one user: by id, or else the n-th scheduling of their type."""
    by_id: dict[str, Task] = {}
    numbered: dict[str, list[Task]] = defaultdict(list)
    for event in in_order(task_events):
        task_type = event.activity["taskType"]
        if task_id := event.activity.get("taskId"):
            task = by_id.setdefault(task_id, Task(task_type, None))
        else:
            items = numbered[task_type]
            is_scheduling = event.event_type == "task_scheduled"
            if not items or (is_scheduling and items[-1].times("task_scheduled")):
                items.append(Task(task_type, len(items) + 1))
            task = items[-1]
        task.events.append(event)
    return [*by_id.values(), *(item for items in numbered.values() for item in items)]


@dataclass(frozen=True, slots=True)
class Visit:
    """Where a session came from, in the words of `fct_sessions`."""

    started_at: datetime
    source: str
    medium: str
    campaign: str
    is_visit: bool


def visit(
    session: Sequence[Event],
    referrers: Mapping[str, tuple[str, str] | None],
    sources: Mapping[str, str],
) -> Visit:
    """The traffic of a session.

    `referrers` says what each referrer that occurs stands for, `sources` what a campaign's does.
    """
    named = ("utmSource", "utmMedium", "utmCampaign")
    campaigns = [
        [str(event.activity.get(name, "")).strip().lower() for name in named] for event in session
    ]
    campaign = next((each for each in campaigns if any(each)), None)
    origins = [referrers[event.activity.get("referrer", "")] for event in session]
    origin = next((each for each in origins if each), None)
    viewed = any(event.event_type in ("page_viewed", "screen_viewed") for event in session)
    if campaign:
        words = (
            sources.get(campaign[0], campaign[0]) or "unknown",
            campaign[1] or "none",
            campaign[2] or "none",
        )
    else:
        words = (*(origin or ("direct", "none")), "none")
    return Visit(session[0].occurred_at, *words, viewed or bool(campaign or origin))


Touch = tuple[datetime | None, str, tuple[Fraction, ...]]


def touches(
    visits: Iterable[Visit], at: datetime, window: timedelta, most: int, half_life: timedelta
) -> list[Touch]:
    """When, from where and with which credits a conversion at `at` was touched.

    The credits: first touch, last touch, last non-direct, linear, position-based, time decay.
    """
    before = [each for each in visits if each.is_visit and at - window <= each.started_at <= at]
    if not before:
        return [(None, "unknown", (Fraction(1),) * 6)]
    others = [each for each in before if each.source != "direct"]
    kept = [
        each
        for index, each in enumerate(before)
        if index == 0 or index > len(before) - most + 1 or each in others[-1:]
    ]
    credited = [each for each in kept if each.source != "direct"] or kept
    ages = [(credited[-1].started_at - each.started_at) / half_life for each in credited]
    weights = [Fraction(0.5**age) for age in ages]
    found: list[Touch] = []
    for each in kept:
        rules = [Fraction(each is kept[0]), Fraction(each is kept[-1]), Fraction(0)]
        shares = [Fraction(0)] * 3
        if each in credited:
            place, count = credited.index(each), len(credited)
            rules[2] = Fraction(place == count - 1)
            middle = Fraction(1, 5 * (count - 2)) if count > 2 else Fraction(1, count)
            is_end = place in (0, count - 1)
            shares = [
                Fraction(1, count),
                Fraction(2, 5) if count > 2 and is_end else middle,
                weights[place] / sum(weights),
            ]
        found.append((each.started_at, each.source, (*rules, *shares)))
    return found


def backlogs(
    tasks: Iterable[Task], today: date, carry_forward_days: int
) -> dict[date, tuple[int, ...]]:
    """What happened to the tasks of one type on each day: moves in their order, and the backlog."""
    days: dict[date, Counter[str]] = defaultdict(Counter)
    for task in tasks:
        for day, move in task.moves():
            days[day][move] += 1
    found = {}
    backlog = 0
    for day, following in pairwise([*sorted(days), date.max]):
        moves = days[day]
        backlog += moves["opened"] + moves["reopened"] - moves["completed"] - moves["abandoned"]
        kinds = ("opened", "reopened", "completed", "abandoned")
        found[day] = (*(moves[kind] for kind in kinds), backlog)
        for later in range(1, carry_forward_days + 1):
            carried = day + timedelta(days=later)
            if backlog and carried < following and carried <= today:
                found[carried] = (0, 0, 0, 0, backlog)
    return found


def retention(
    active_days: Iterable[Iterable[date]], today: date, limit: int
) -> dict[tuple[date, date], tuple[int, int, bool]]:
    """By cohort week and week: users, of these active, whether the week is over.

    `active_days` has the days of each user.
    """
    users = [{monday(day) for day in days} for days in active_days]
    found = {}
    for cohort_week in {min(weeks) for weeks in users if weeks}:
        cohort = [weeks for weeks in users if weeks and min(weeks) == cohort_week]
        last = max(monday(today), *(week for weeks in cohort for week in weeks))
        for number in range(limit + 1):
            week = cohort_week + timedelta(weeks=number)
            if week <= last:
                active = sum(week in weeks for weeks in cohort)
                is_over = week + timedelta(weeks=1) <= today
                found[cohort_week, week] = (len(cohort), active, is_over)
    return found


def monday(day: date) -> date:
    """The first day of its week."""
    return day - timedelta(days=day.weekday())

"""What the marts have to say, worked out the slow way, one user at a time, in plain Python.

Written from the docs blocks `funnel_attempts` and `work_items` of dbt_project/models/docs.md and
the description of `fct_sessions`, not from their SQL.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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


def attempts(events: Iterable[Event], definition: Sequence[Mapping[str, str]]) -> list[Attempt]:
    """The attempts of one user at one funnel; `definition` is the funnel's rows of the seed."""
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
    return found


def _is(event: Event, row: Mapping[str, str]) -> bool:
    """Whether an event is one of a step's or an end's."""
    return event.event_type == row["event_type"] and (
        not row["property"] or event.activity.get(row["property"]) == row["property_value"]
    )


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

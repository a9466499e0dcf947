"""Tasks, and what happened to them on each day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

from tests.support.oracle.given import Given
from tests.support.oracle.intake import Event, in_order
from tests.support.oracle.values import percentiles, rate, seconds, text

TASK_EVENTS = ("task_scheduled", "task_started", "task_completed", "task_abandoned")
CLOSING = TASK_EVENTS[2:]


@dataclass(slots=True)
class Task:
    """A task of one user; `number` is the work item's where no id was sent."""

    task_id: str | None
    number: int | None
    events: list[Event] = field(default_factory=list)

    def times(self, event_type: str) -> int:
        """How often it happened."""
        return sum(event.event_type == event_type for event in self.events)

    def first(self, event_type: str) -> Event | None:
        """The first of its kind."""
        return next((each for each in self.events if each.event_type == event_type), None)

    def task_type(self) -> str:
        """The first that an event names."""
        return next((each for event in self.events if (each := _type(event))), "unspecified")

    def changes(self, given: Given) -> list[dict[str, str]]:
        """When it was closed and taken up again, since it was opened."""
        found = []
        was_closed = False
        for event in self.events:
            is_closing = event.event_type in CLOSING
            if is_closing != was_closed:
                status = event.event_type.removeprefix("task_") if is_closing else "reopened"
                found.append({"day": given.day(event.occurred_at).isoformat(), "status": status})
            was_closed = is_closing
        return found


def _type(event: Event) -> str | None:
    return text(event.activity.get("taskType")) or text(event.activity.get("taskName"))


def tasks(events: Iterable[Event]) -> list[Task]:
    """The tasks of one user: by id, or else the n-th scheduling of their type."""
    by_id: dict[str, Task] = {}
    numbered: dict[str, list[Task]] = defaultdict(list)
    for event in in_order(events):
        if event.event_type not in TASK_EVENTS:
            continue
        if task_id := text(event.activity.get("taskId")):
            task = by_id.setdefault(task_id, Task(task_id, None))
        else:
            items = numbered[_type(event) or "unspecified"]
            is_scheduling = event.event_type == "task_scheduled"
            if not items or (is_scheduling and items[-1].times("task_scheduled")):
                items.append(Task(None, len(items) + 1))
            task = items[-1]
        task.events.append(event)
    return [*by_id.values(), *(item for items in numbered.values() for item in items)]


def fct_tasks(given: Given, events: Iterable[Event]) -> Iterator[dict[str, object]]:
    """The tasks of one user, one row each."""
    for task in tasks(events):
        last = task.events[-1]
        opened_at = task.events[0].occurred_at
        scheduled, started = task.first("task_scheduled"), task.first("task_started")
        assignees = [
            each for event in task.events if (each := text(event.activity.get("assignee")))
        ]
        is_completed = last.event_type == "task_completed"
        waits = scheduled and started and scheduled.occurred_at <= started.occurred_at
        yield {
            "user_id": last.user,
            "task_id": task.task_id,
            "task_type": task.task_type(),
            "work_item_number": task.number,
            "status": last.event_type.removeprefix("task_"),
            "assignee": assignees[-1] if assignees else None,
            "assignee_count": len(set(assignees)),
            "opened_on": given.day(opened_at),
            "closed_on": given.day(last.occurred_at) if last.event_type in CLOSING else None,
            "status_changes": task.changes(given),
            "opened_at": opened_at,
            "scheduled_at": scheduled and scheduled.occurred_at,
            "started_at": started and started.occurred_at,
            "completed_at": last.occurred_at if is_completed else None,
            "abandoned_at": last.occurred_at if last.event_type == "task_abandoned" else None,
            "times_scheduled": task.times("task_scheduled"),
            "times_started": task.times("task_started"),
            "times_completed": task.times("task_completed"),
            "times_abandoned": task.times("task_abandoned"),
            "wait_seconds": seconds(started.occurred_at - scheduled.occurred_at)
            if waits and started and scheduled
            else None,
            "cycle_seconds": seconds(last.occurred_at - started.occurred_at)
            if is_completed and started
            else None,
        }


def task_completion_daily(
    given: Given, rows: Iterable[dict[str, object]]
) -> Iterator[dict[str, object]]:
    """One row per task type and day."""
    by_type: dict[str, list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        by_type[str(row["task_type"])].append(row)
    for task_type, found in by_type.items():
        for day, moves in _days(given, found).items():
            opened = [row for row in found if row["opened_on"] == day]
            still_open = sum(row["closed_on"] is None for row in opened)
            completed = sum(row["completed_at"] is not None for row in opened)
            times = {
                f"{kind}_seconds_p{share}": value
                for kind in ("wait", "cycle")
                for share, value in zip(
                    (50, 90, 95),
                    percentiles(
                        [row[f"{kind}_seconds"] for row in opened if row[f"{kind}_seconds"] is not None],  # type: ignore[misc]  # noqa: E501
                        50, 90, 95,
                    ),
                    strict=True,
                )
            }  # fmt: skip
            yield {
                "task_type": task_type,
                "day": day,
                "tasks_opened": len(opened),
                "tasks_reopened": moves["reopened"],
                "tasks_completed": moves["completed"],
                "tasks_abandoned": moves["abandoned"],
                "backlog": moves["backlog"],
                "opened_still_open": still_open,
                "opened_then_completed": completed,
                "opened_then_reworked": sum(_reworked(row) for row in opened),
                "opened_then_reassigned": sum(row["assignee_count"] > 1 for row in opened),  # type: ignore[operator]
                "completion_rate": rate(completed, len(opened)),
                "is_complete": day < given.today and still_open == 0,
                **times,
            }


def _reworked(row: dict[str, object]) -> bool:
    """Taken up or ended more than once."""
    return row["times_started"] > 1 or row["times_completed"] > 1  # type: ignore[operator]


def _days(given: Given, rows: Iterable[dict[str, object]]) -> dict[date, Counter[str]]:
    """What happened on each day, and the backlog at its end; carried over days without anything."""
    days: dict[date, Counter[str]] = defaultdict(Counter)
    for row in rows:
        days[row["opened_on"]]["opened"] += 1  # type: ignore[index]
        for change in row["status_changes"]:  # type: ignore[attr-defined]
            days[date.fromisoformat(change["day"])][change["status"]] += 1
    found = {}
    backlog = 0
    for day, following in pairwise([*sorted(days), date.max]):
        moves = days[day]
        backlog += moves["opened"] + moves["reopened"] - moves["completed"] - moves["abandoned"]
        found[day] = moves + Counter(backlog=backlog)
        for later in range(1, given.number("carry_forward_days") + 1):
            carried = day + timedelta(days=later)
            if backlog and carried < following and carried <= given.today:
                found[carried] = Counter(backlog=backlog)
    return found

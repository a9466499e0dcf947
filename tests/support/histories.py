"""Funnels to try, the histories of users in raw, and their comparison with the marts."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from collector.settings import ROOT
from tests.support.oracle.funnels import attempts
from tests.support.oracle.intake import Event
from tests.support.warehouse import Warehouse

BPI2012 = ROOT.parent / "shared" / "data" / "bpi2012_events.csv.gz"
BPI2012_MAPPING = ROOT / "scripts" / "mappings" / "bpi2012.yml"
UCI_CREDIT = ROOT.parent / "shared" / "data" / "uci_credit_events.csv.gz"
UCI_CREDIT_MAPPING = ROOT / "scripts" / "mappings" / "uci_credit.yml"
BPI2012_IS_THERE = pytest.mark.skipif(
    not BPI2012.exists(), reason=f"the event log is not committed; put it at {BPI2012}"
)

Histories = Mapping[str, list[Event]]
ByUser = Mapping[str, Any]


def funnel(name: str, *steps: str, window_days: str = "") -> list[dict[str, str]]:
    """Rows of seed `funnels`: a step is an event type or `EVENT_TYPE PROPERTY=VALUE`, the last
    one `... => OUTCOME` where it names its outcome; an end is `... -> OUTCOME`."""
    rows: list[dict[str, str]] = []
    for order, step in enumerate(steps, start=1):
        is_end = " -> " in step
        what, _, outcome = step.replace(" => ", " -> ").partition(" -> ")
        event_type, _, condition = what.partition(" ")
        name_of_property, _, value = condition.partition("=")
        rows.append(
            {
                "funnel": name,
                "step_order": "" if is_end else str(order),
                "step": f"{order}. {what}",
                "event_type": event_type,
                "property": name_of_property,
                "property_value": value,
                "window_days": window_days,
                "outcome": outcome,
            }
        )
    return rows


QUICK = funnel("quick", "page_viewed", "application_submitted", window_days="3")


def low_limits(warehouse: Warehouse) -> list[dict[str, str]]:
    """Limits of the marts that a small history reaches."""
    limits = {"retention_weeks": "4", "carry_forward_days": "3", "segment_values": "2"}
    return [
        row | {"value": limits.get(row["setting"], row["value"])}
        for row in warehouse.seed("project_settings")
    ]


def landed(warehouse: Warehouse) -> Histories:
    """The events of each user, from raw, where they stand as they were sent."""
    found: dict[str, list[Event]] = defaultdict(list)
    for payload, received_at, row_id in warehouse.query(
        "select payload, received_at, event_row_id from raw.events"
    ):
        found[str(payload["userId"])].append(
            Event(
                payload["eventType"],
                payload["activity"],
                datetime.fromisoformat(payload["occurredAt"]),
                (received_at, row_id),
            )
        )
    return found


def rows_by_user(rows: Iterable[tuple[Any, ...]]) -> ByUser:
    """Rows that begin with a user's id, sorted, without it."""
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for user, *row in rows:
        found[user].append(tuple(row))
    return {user: sorted(rows) for user, rows in found.items()}


def funnels_by_oracle(histories: Histories, seed: list[dict[str, str]], as_of: datetime) -> ByUser:
    """(funnel, attempt, step times, outcome, its time) by the oracle."""
    return rows_by_user(
        (user, name, number, attempt.reached_at, attempt.outcome, attempt.ended_at)
        for name in {row["funnel"] for row in seed}
        for user, events in histories.items()
        for number, attempt in enumerate(
            attempts(events, [row for row in seed if row["funnel"] == name], as_of), start=1
        )
    )


def funnels_by_marts(warehouse: Warehouse) -> ByUser:
    """(funnel, attempt, step times, outcome, its time) by `fct_funnel_progress`."""
    return rows_by_user(
        warehouse.query(
            """
            select user_id, funnel, attempt, reached_at, outcome, ended_at
            from marts.fct_funnel_progress
            """
        )
    )


def shortest_difference(histories: Histories, expected: ByUser, actual: ByUser) -> object:
    """None where all users are equal; else the one with the fewest events that is not."""
    users = [user for user in {*expected, *actual} if expected.get(user) != actual.get(user)]
    if not users:
        return None
    user = min(users, key=lambda user: len(histories[user]))
    return histories[user], {"expected": expected.get(user), "actual": actual.get(user)}


def every_nth_user(log: Path, number: int, to: Path) -> Path:
    """A log of events with those of every so-manieth user alone."""
    with gzip.open(log, "rt", newline="") as rows, to.open("w", newline="") as file:
        table = csv.reader(rows)
        names = next(table)
        writer = csv.writer(file)
        writer.writerow(names)
        user = next(i for i, name in enumerate(names) if name in ("case_id", "client_id"))
        writer.writerows(row for row in table if int(row[user]) % number == 0)
    return to

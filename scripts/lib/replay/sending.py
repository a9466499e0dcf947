"""Sends what was made of rows to the collector and counts what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from scripts.lib.base.client import Client, Limits, Rejection
from scripts.lib.replay.outcome import Outcome

Place = tuple[str, int]  # name of the file, and row
P = TypeVar("P")
Describe = Callable[[str, int], str]


def _row(_name: str, number: int) -> str:
    return f"row {number}"


def send_events(
    client: Client,
    events: Sequence[tuple[Place, bytes]],
    outcome: Outcome,
    describe: Describe = _row,
) -> None:
    """Sends events, each already JSON, in as many requests as the collector's limits want."""
    for body in in_bodies(events, client.limits):
        receipt = client.send_events([event for _, event in body])
        places = [place for place, _ in body]
        _count(outcome, places, receipt.accepted, receipt.rejected, describe)


def send_users(
    client: Client,
    users: Sequence[tuple[Place, dict[str, Any]]],
    outcome: Outcome,
    describe: Describe = _row,
) -> None:
    """Sends users, each one's updates in order."""
    receipt = client.send_users([user for _, user in users])
    places = [place for place, _ in users]
    _count(outcome, places, receipt.accepted, receipt.rejected, describe)


def in_bodies(events: Iterable[tuple[P, bytes]], limits: Limits) -> Iterator[list[tuple[P, bytes]]]:
    """Events in the portions that fit into one request each."""
    body: list[tuple[P, bytes]] = []
    size = 0
    for place, event in events:
        if body and (size + len(event) > limits.body_bytes or len(body) >= limits.events):
            yield body
            body, size = [], 0
        body.append((place, event))
        size += len(event) + 1
    if body:
        yield body


def _count(
    outcome: Outcome,
    places: Sequence[Place],
    accepted: int,
    rejected: Sequence[Rejection],
    describe: Describe,
) -> None:
    outcome.accepted += accepted
    for rejection in rejected:
        place = describe(*places[rejection.index])
        outcome.refuse(place, rejection.code, rejection.message)

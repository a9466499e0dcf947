"""Sends what was made of rows to the collector and counts what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from scripts.lib.client import Client, Limits, Rejection, encode
from scripts.lib.replay.outcome import Outcome

Placed = tuple[str, bytes]  # where it comes from, and the event or user as JSON


def send_events(client: Client, events: Sequence[Placed], outcome: Outcome) -> None:
    """Sends events in as many requests as the collector's limits want."""
    for body in in_bodies(events, client.limits):
        receipt = client.send_events([event for _, event in body])
        _count(outcome, [place for place, _ in body], receipt.accepted, receipt.rejected)


def send_users(
    client: Client, users: Sequence[tuple[str, dict[str, Any]]], outcome: Outcome
) -> None:
    """Sends users, each one's updates in order."""
    receipt = client.send_users([user for _, user in users])
    _count(outcome, [place for place, _ in users], receipt.accepted, receipt.rejected)


def in_bodies(events: Iterable[Placed], limits: Limits) -> Iterator[list[Placed]]:
    """Events in the portions that fit into one request each."""
    body: list[Placed] = []
    size = 0
    for place, event in events:
        if body and (size + len(event) > limits.body_bytes or len(body) >= limits.events):
            yield body
            body, size = [], 0
        body.append((place, event))
        size += len(event) + 1
    if body:
        yield body


def as_json(user: dict[str, Any]) -> bytes:
    """A user as it is sent."""
    return encode(user)


def _count(
    outcome: Outcome, places: Sequence[str], accepted: int, rejected: Sequence[Rejection]
) -> None:
    outcome.accepted += accepted
    for rejection in rejected:
        outcome.refuse(places[rejection.index], rejection.code, rejection.message)

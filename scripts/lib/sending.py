"""Sends numbered rows to the collector and counts what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from scripts.lib.client import Client, Rejection, encode
from scripts.lib.outcome import Outcome

BODY_BYTES = 2 << 20  # half of what the collector takes in one request


def encoded(
    items: Iterable[tuple[int, bytes | dict[str, Any]]], fingerprint: str
) -> list[tuple[int, bytes]]:
    """Numbered events as JSON, those without an eventId under one of `fingerprint` and number."""
    events = []
    for number, item in items:
        if isinstance(item, bytes):
            events.append((number, item))
            continue
        item.setdefault("eventId", f"{fingerprint[:16]}-{number}")
        events.append((number, encode(item)))
    return events


def send_events(client: Client, items: Sequence[tuple[int, bytes]], outcome: Outcome) -> None:
    """Sends numbered events, each already JSON."""
    for body in in_bodies(items):
        receipt = client.send_events([event for _, event in body])
        _count(outcome, [number for number, _ in body], receipt.accepted, receipt.rejected)


def in_bodies(events: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Numbered events, in the portions that fit into one request each."""
    body: list[tuple[int, bytes]] = []
    size = 0
    for number, event in events:
        if body and size + len(event) > BODY_BYTES:
            yield body
            body, size = [], 0
        body.append((number, event))
        size += len(event) + 1
    if body:
        yield body


def send_users(
    client: Client, items: Sequence[tuple[int, dict[str, Any]]], outcome: Outcome
) -> None:
    """Sends numbered users."""
    receipt = client.send_users([item for _, item in items])
    _count(outcome, [number for number, _ in items], receipt.accepted, receipt.rejected)


def _count(
    outcome: Outcome, rows: Sequence[int], accepted: int, rejected: Sequence[Rejection]
) -> None:
    outcome.accepted += accepted
    for rejection in rejected:
        outcome.reject(rows[rejection.index], rejection.code, rejection.message)

"""Sends numbered rows to the collector and counts what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from scripts.lib.client import Client, Rejection, encode
from scripts.lib.outcome import Outcome

BODY_BYTES = 2 << 20  # half of what the collector takes in one request


def encoded(
    items: Iterable[tuple[int, dict[str, Any]]], fingerprint: str
) -> list[tuple[int, bytes]]:
    """Numbered events as JSON, those without an eventId under one of `fingerprint` and number."""
    events = []
    for number, item in items:
        item.setdefault("eventId", f"{fingerprint[:16]}-{number}")
        events.append((number, encode(item)))
    return events


def send_events(client: Client, items: Sequence[tuple[int, bytes]], outcome: Outcome) -> None:
    """Sends numbered events, each already JSON."""
    rows: list[int] = []
    events: list[bytes] = []
    size = 0

    def flush() -> None:
        if events:
            receipt = client.send_events(events)
            _count(outcome, rows, receipt.accepted, receipt.rejected)

    for number, event in items:
        if size + len(event) > BODY_BYTES:
            flush()
            rows, events, size = [], [], 0
        rows.append(number)
        events.append(event)
        size += len(event) + 1
    flush()


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

"""How the replication of raw stands: `scripts/link --status`."""

from __future__ import annotations

import time

from scripts.lib.base.cli import UserError, counted, say
from scripts.lib.base.database import Databases
from scripts.lib.base.replication import COPIED, End, opened

ERROR_SECONDS = 20  # in which a subscription that fails does so again: it tries anew after 5


def errors_go_on(source: End, destination: End) -> bool:
    """Whether the subscription fails again, before it has got to where the source is now.

    Its count of errors never goes back: past ones, as of a restart of the source, mean nothing.
    """
    first = destination.subscription()
    position = source.position()
    until = time.monotonic() + ERROR_SECONDS
    while first and time.monotonic() < until:
        time.sleep(0.5)
        now = destination.subscription()
        if now is None or now.errors > first.errors:
            return now is not None
        copied = all(state == COPIED for _, state in destination.tables())
        if copied and source.has_confirmed(first.slot_name, position):
            return False
    return False


def show_status(databases: Databases) -> int:
    """Prints how the replication stands; returns 1 where something needs attention."""
    with (
        opened("destination", databases.destination) as destination,
        opened("source", databases.migration) as source,
    ):
        subscription = destination.subscription()
        slots = {slot.slot_name: slot for slot in source.slots()}
        problems = []
        for name, slot in slots.items():
            state = "lost" if slot.is_lost else "read" if slot.active else "read by nobody"
            say(f"source: slot {name}, {state}, {slot.lag_bytes or 0:,} bytes behind")
        if subscription is None:
            raise UserError("the destination has no subscription: run scripts/link")
        for table, state in destination.tables():
            say(f"destination: {table} is {state}")
        own = slots.get(subscription.slot_name or "")
        if own is None or own.is_lost:
            problems.append("the source keeps no WAL for the destination: scripts/link --replace")
        elif not subscription.is_enabled:
            problems.append("the subscription is disabled: scripts/link enables it")
        elif not subscription.is_running or not own.active:
            problems.append("the destination does not read: its server's log says why")
        elif subscription.errors and errors_go_on(source, destination):
            problems.append(
                "the destination fails again and again: the logs of both servers say why. Rows "
                "with numbers too long to be sent: scripts/status --raw"
            )
        missed, beat_seconds = destination.heartbeats()
        if beat_seconds is not None:
            say(f"destination: has what the collector landed {beat_seconds:,} s ago")
        if missed:
            problems.append(
                f"the destination lacks {missed:,} heartbeats of the source, and rows of their "
                "time, as one restored from a snapshot of its disk does: scripts/link --replace"
            )
        seconds = subscription.confirmed_seconds_ago
        last = "never heard of" if seconds is None else f"last heard of {seconds:,} s ago"
        say(f"destination: source {last}, {counted(subscription.errors, 'error')} so far")
    for problem in problems:
        say(f"wrong: {problem}")
    return 1 if problems else 0

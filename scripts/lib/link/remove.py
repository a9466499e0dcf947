"""Undoes the replication of raw: `scripts/link --remove`."""

from __future__ import annotations

import time

from psycopg.errors import ObjectInUse

from scripts.lib.base.cli import UserError, say
from scripts.lib.base.database import Databases
from scripts.lib.base.replication import NAME, End, opened

_FORGET = (
    f"alter subscription {NAME} disable",
    f"alter subscription {NAME} set (slot_name = none)",
    f"drop subscription {NAME}",
)
# The second are those of tables whose first copy is under way.
_SLOTS_OF_DESTINATION = """
    select slot_name from pg_replication_slots
    where slot_name = %(name)s
        or (
            database = current_database()
            and slot_name ~ ('^pg_[0-9]+_sync_[0-9]+_' || split_part(%(name)s, '_', 2) || '$')
        )
"""
RELEASE_SECONDS = 10  # for a slot to be let go by whoever reads it
_DROP_PUBLICATION = f"drop publication if exists {NAME}"


def forget_subscription(destination: End) -> None:
    """Drops the subscription without asking the source. Raises UserError where it may not."""
    with destination.asked(), destination.connection.transaction():
        for statement in _FORGET:
            destination.connection.execute(statement.encode())
    say(f"destination: dropped the subscription {NAME}; the rows of raw stay")


def drop_slots(source: End, slot_name: str) -> None:
    """Drops the slot of a destination and those of its unfinished copies, where there are any.

    Raises UserError where one is in use for longer than `RELEASE_SECONDS`.
    """
    deadline = time.monotonic() + RELEASE_SECONDS
    names = source.connection.execute(_SLOTS_OF_DESTINATION, {"name": slot_name}).fetchall()
    for (name,) in names:
        while True:
            try:
                source.connection.execute("select pg_drop_replication_slot(%s)", [name])
            except ObjectInUse:
                if time.monotonic() > deadline:
                    raise UserError(f"the slot {name} of the source is still read") from None
                time.sleep(0.1)
            else:
                break
        say(f"source: dropped the slot {name}")


def unlink(databases: Databases) -> int:
    """Drops subscription, slot and publication, and returns 0; rows stay on both sides.

    Where a side is unreachable, does the other's part, says what is left to do, and returns 1.
    """
    slot_name, unreachable = _unlink_destination(databases)
    try:
        with opened("source", databases.migration) as source:
            _unlink_source(source, slot_name)
    except UserError as error:
        if unreachable:
            raise UserError(f"{unreachable}; {error}") from error
        say(f"{error}\nWhen it is back, run this again, or there:")
        say(f"select pg_drop_replication_slot('{slot_name}');")
        say(f"and, where no other destination reads from it: {_DROP_PUBLICATION};")
        return 1
    if unreachable:
        say(f"{unreachable}\nWhen it is back, run this again, or there: {'; '.join(_FORGET)};")
        return 1
    return 0


def foretell_removal(databases: Databases) -> int:
    """Says what `unlink` would drop, and returns 0. Raises UserError where a side is away."""
    with (
        opened("destination", databases.destination) as destination,
        opened("source", databases.migration) as source,
    ):
        if destination.subscription():
            say(f"destination: would drop the subscription {NAME}; the rows of raw would stay")
        names = [slot.slot_name for slot in source.slots()]
        others = [name for name in names if name != destination.slot_name]
        if destination.slot_name in names:
            say(f"source: would drop the slot {destination.slot_name}")
        kept = f"keep the publication for {', '.join(others)}" if others else "drop the publication"
        say(f"source: would {kept}\nNothing was changed.")
    return 0


def _unlink_destination(databases: Databases) -> tuple[str, str]:
    """Name of the destination's slot, or why it is not known."""
    try:
        with opened("destination", databases.destination) as destination:
            if destination.subscription():
                forget_subscription(destination)
            return destination.slot_name, ""
    except UserError as error:
        return "", str(error)


def _unlink_source(source: End, slot_name: str) -> None:
    names = [slot.slot_name for slot in source.slots()]
    if not slot_name and len(names) == 1:  # the destination is gone, and there is no other
        [slot_name] = names
    others = [name for name in names if name != slot_name]
    drop_slots(source, slot_name)
    if others:
        say(f"source: kept the publication for {', '.join(others)}")
        say("One that nobody reads any more: select pg_drop_replication_slot('NAME');")
        return
    with source.asked("It takes its owner: set MIGRATION_DATABASE_URL."):
        source.connection.execute(_DROP_PUBLICATION.encode())
    say(f"source: no publication {NAME} any more")

"""Where people are held: the source, and a database where dbt builds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from psycopg.errors import UndefinedTable

from collector.connection import described, open_connection
from scripts.lib.base.cli import UserError
from scripts.lib.base.database import Databases
from scripts.lib.base.replication import End, opened
from scripts.lib.privacy.people import Connection

ARRIVE_SECONDS = 300  # that a destination has to get what the source had
_ONE_AT_A_TIME = "select pg_advisory_lock(hashtext('headwater'), hashtext('erasures'))"


@dataclass(frozen=True, slots=True)
class Place:
    """The source and one destination, connected as the owners of raw.

    Both are one connection where nothing is replicated. `name` is the destination's in the audit:
    its slot in the source.
    """

    source: Connection
    destination: Connection
    ends: tuple[End, End] | None
    name: str

    def others(self) -> set[str]:
        """The other destinations of the source."""
        if not self.ends:
            return set()
        return {slot.slot_name for slot in self.ends[0].slots()} - {self.name}

    def await_arrival(self, say: Callable[[str], None]) -> None:
        """Waits until the destination has what the source has now. Raises UserError."""
        if not self.ends:
            return
        source = self.ends[0]
        position = source.position()
        until = time.monotonic() + ARRIVE_SECONDS
        while not source.has_confirmed(self.name, position):
            is_read = self.name in {slot.slot_name for slot in source.slots()}
            if not is_read or time.monotonic() > until:
                raise UserError(
                    "the destination has not got what the source has: see scripts/link --status, "
                    "and run this again when it has"
                )
            say("Waiting for the destination to get what the source has ...")
            time.sleep(2)


@contextmanager
def opened_place(databases: Databases) -> Iterator[Place]:
    """Connects to both databases, one command at a time. Raises UserError where it cannot."""
    with ExitStack() as stack:
        source = stack.enter_context(closing(open_connection(databases.migration, autocommit=True)))
        try:
            source.execute("select from raw.erasures limit 0")
        except UndefinedTable:
            raise UserError(
                f"{described(databases.migration)} lacks what this needs: run scripts/migrate"
            ) from None
        source.execute(_ONE_AT_A_TIME)
        if databases.destination != databases.source:
            one = stack.enter_context(opened("source", databases.migration))
            other = stack.enter_context(opened("destination", databases.destination))
            if (one.cluster, one.database) != (other.cluster, other.database):
                yield Place(source, other.connection, (one, other), other.slot_name)
                return
        yield Place(source, source, None, "here")

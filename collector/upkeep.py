"""What a collector that runs for years does beside collecting: see the migrations of its functions.

Partitions of `raw.events` are made ahead, and where raw is replicated a heartbeat goes along, by
which the destination sees whether it lacks anything.
"""

from __future__ import annotations

import time
from typing import Any

from psycopg import AsyncConnection

PARTITION_SECONDS = 3600.0  # between two looks at the partitions, of which there is a year
HEARTBEAT_SECONDS = 10.0  # what is lost between two of them alone is not seen


class Upkeep:
    """Remembers what is due when."""

    def __init__(self) -> None:
        self._partitions_due = self._heartbeat_due = 0.0

    async def tend(self, connection: AsyncConnection[Any], *, replicated: bool) -> None:
        """Does what is due, on a connection in autocommit. Raises psycopg.Error."""
        now = time.monotonic()
        if now >= self._partitions_due:
            await connection.execute("select raw.keep_event_partitions()")
            self._partitions_due = now + PARTITION_SECONDS
        if replicated and now >= self._heartbeat_due:
            await connection.execute("select raw.beat()")
            self._heartbeat_due = now + HEARTBEAT_SECONDS

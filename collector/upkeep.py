"""What a collector that runs for years does beside collecting: see the migrations of its functions.

Partitions of `raw.events` are made ahead, and where raw is replicated a heartbeat goes along, by
which the destination sees whether it lacks anything.
"""

from __future__ import annotations

import logging
import time

import psycopg
from psycopg_pool import AsyncConnectionPool

from collector.connection import Connection

PARTITION_SECONDS = 3600.0  # between two looks at the partitions, of which there is a year
HEARTBEAT_SECONDS = 10.0  # what is lost between two of them alone is not seen

logger = logging.getLogger("collector")


class Upkeep:
    """Remembers what is due when."""

    def __init__(self) -> None:
        self._partitions_due = self._heartbeat_due = 0.0

    async def tend(self, pool: AsyncConnectionPool[Connection], *, replicated: bool) -> None:
        """Does what is due. What fails is tried again when it is due again: collecting goes on."""
        now = time.monotonic()
        due = []
        if now >= self._partitions_due:
            due.append("select raw.keep_event_partitions()")
            self._partitions_due = now + PARTITION_SECONDS
        if replicated and now >= self._heartbeat_due:
            due.append("select raw.beat()")
            self._heartbeat_due = now + HEARTBEAT_SECONDS
        for statement in due:
            try:
                async with pool.connection() as connection, connection.used():
                    await connection.execute(statement)
            except psycopg.Error as error:
                logger.warning("%s failed: %s", statement, type(error).__name__)

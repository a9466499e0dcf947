"""The source database: pools of connections, whether it is there, and which API keys are valid."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from collector.connection import Connection, pool_of
from collector.keys import Keys
from collector.migrate import KNOWN
from collector.problems import AWAY, BUSY, NOT_MIGRATED, STUCK, Cause, Problem, cause_of
from collector.settings import Settings
from collector.upkeep import Upkeep

WRITERS = 2  # one collects the next batch while the other waits for the disk
LOOK_SECONDS = 2  # until a revoked key stops working
LOOK_SECONDS_WHILE_AWAY = 0.25
LOOK_ANSWER_SECONDS = 3
_REPLICATION = (Path(__file__).parent / "queries" / "replication.sql").read_bytes()
# NaN where the times of other roles' transactions may not be seen.
_LOOK = """
    select
        has_table_privilege('raw.events', 'insert'),
        (
            select coalesce(extract(epoch from clock_timestamp() - opened_at), 'NaN')::float
            from raw.oldest_transaction()
        ),
        raw.applied_migrations()
"""
# 64 KiB that do not compress, so that it takes space; it is rolled back.
_TRY_TO_STORE = """
    set local lock_timeout to '1s';
    insert into raw.events (received_at, source, event_id, payload)
    select now(), '', '', to_jsonb(string_agg(md5(random()::text), ''))
    from generate_series(1, 2048)
"""

# What the log says of a pool when it begins to fail, and when it works again.
_SAID = {
    "writer": ("Events cannot be stored", "Events are being stored again"),
    "users": ("Users cannot be stored or read", "Users are being stored and read again"),
    "watch": ("Not ready", "Ready again"),
}

logger = logging.getLogger("collector")
# The pool warns at each attempt to reconnect; `Database` says once what fails, and why.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


class Database:
    """Pools that reconnect by themselves, and a look at the database every now and then.

    While it is known to be away, requests are refused at once.
    """

    def __init__(self, settings: Settings) -> None:
        self.keys = Keys(settings)
        self.replication: list[dict[str, Any]] = []
        self.oldest_transaction_seconds = 0.0
        self.newer_schema = ""  # what the schema has that this version does not know, in words
        self.writers = pool_of(settings, "writer", WRITERS)
        self.users = pool_of(settings, "users", 4, wait_seconds=3)
        self._watch = pool_of(settings, "watch", 1, answer_seconds=LOOK_ANSWER_SECONDS)
        self._away: Cause | None = None  # why requests are refused at once
        self._storing = True  # False after a commit that failed, until a look can store
        self._said: dict[str, str] = {}  # by pool: the reason in the log
        self._lost = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._upkeep = Upkeep()

    @property
    def reachable(self) -> bool:
        """Whether the database answered when it was last asked."""
        return self._away is None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Opens the pools without waiting for connections and looks until the end of the block."""
        async with self.writers, self.users, self._watch, asyncio.TaskGroup() as group:
            task = group.create_task(self._look_again_and_again())
            yield
            task.cancel()
            if self._looking:
                self._looking.cancel()

    @asynccontextmanager
    async def connect(self, pool: AsyncConnectionPool[Connection]) -> AsyncIterator[Connection]:
        """A connection of a pool.

        Raises `Problem` while the database is known to be away, psycopg.Error for what else fails.
        """
        if pool is not self._watch:
            self.require()
        try:
            connection = await pool.getconn()
            try:
                async with connection.used():
                    yield connection
            finally:
                await pool.putconn(connection)
        except psycopg.Error as error:
            failure = error
            if isinstance(error, PoolTimeout) and pool is not self.users:
                # These pools have a connection for each of their users: it cannot be made.
                failure = psycopg.OperationalError("no connection")
            self._note(pool, failure)
            raise failure from error
        self._note(pool, None)

    def require(self) -> None:
        """Raises `Problem` while the database is known to be away, or not to answer."""
        if self._away:
            raise self._away.problem()

    async def ready(self) -> None:
        """Looks once, however many ask meanwhile. Raises what says why nothing can be stored."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(lambda look: look.cancelled() or look.exception())
        await asyncio.shield(self._looking)

    async def _look(self) -> None:
        """Loads the keys and sees whether events can be stored. Raises what says why not."""
        async with self.connect(self._watch) as connection:
            row = await (await connection.execute(_LOOK)).fetchone()
            await self.keys.refresh(connection)
            cursor = connection.cursor(row_factory=dict_row)
            self.replication = await (await cursor.execute(_REPLICATION)).fetchall()
            if row and row[0] and not self._storing:
                await self._try_to_store(connection)
        if self._away:  # all connections may be lost, not only the one that told so
            await self.writers.drain()
            await self.users.drain()
            self._away = None
        may_store, seconds, applied = row or (False, None, None)
        self.oldest_transaction_seconds = seconds or 0.0
        self._compare_schema(applied)
        if not may_store:
            raise NOT_MIGRATED.problem()

    def _compare_schema(self, applied: list[str] | None) -> None:
        """Says once that the schema is of a later version; later ones only add to it."""
        unknown = ", ".join(sorted({*(applied or ())} - KNOWN))
        newer = f"The raw schema is of a later version, with {unknown}: update the collector"
        if unknown and not self.newer_schema:
            logger.warning(newer)
        self.newer_schema = newer if unknown else ""

    async def _try_to_store(self, connection: Connection) -> None:
        """Notices that events can be stored again. Raises `Problem` where they cannot yet."""
        try:
            async with connection.transaction(force_rollback=True):
                await connection.execute(_TRY_TO_STORE)
        except psycopg.Error as error:
            if (cause := cause_of(error)) in (AWAY, STUCK):
                raise
            raise cause.problem(error) from error
        self._storing = True

    def _note(self, pool: AsyncConnectionPool[Connection], error: psycopg.Error | None) -> None:
        """Keeps, and says once, what a failure tells of the database."""
        cause = cause_of(error) if error else None
        if cause == BUSY or isinstance(error, psycopg.DataError):  # the client's own
            return
        fails, works = _SAID[pool.name]
        reason = cause.reason if cause else ""
        if reason != self._said.get(pool.name, ""):
            if cause:  # by name: PostgreSQL's texts can repeat a row
                logger.warning("%s: %s: %s", fails, type(error).__name__, reason)
                self._lost.set()  # one look at once, not one a failure
            else:
                logger.info(works)
            self._said[pool.name] = reason
        if cause == AWAY or (cause and pool is self._watch and cause.passes):
            self._away = cause
        if cause and pool is self.writers:
            self._storing = False

    async def _look_again_and_again(self) -> None:
        while True:
            with suppress(Problem, psycopg.Error):
                await self.ready()
            if self.reachable:
                # On a connection of users: whoever asks /readyz meanwhile does not wait for it.
                await self._upkeep.tend(self.users, replicated=bool(self.replication))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._lost.wait(), LOOK_SECONDS)
                self._lost.clear()
            else:
                await asyncio.sleep(LOOK_SECONDS_WHILE_AWAY)

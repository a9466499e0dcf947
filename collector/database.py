"""The source database: pools of connections, whether it is there, and which API keys are valid."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege, InvalidParameterValue
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, TooManyRequests

from collector.keys import Keys
from collector.problems import Problem, try_again
from collector.settings import Settings
from collector.upkeep import Upkeep

ROLE = "headwater_collector"
WRITERS = 2  # one collects the next batch while the other waits for the disk
LOOK_SECONDS = 2  # until a revoked key stops working
LOOK_SECONDS_WHILE_AWAY = 0.25
_REPLICATION = (Path(__file__).parent / "queries" / "replication.sql").read_bytes()
# NaN where the times of other roles' transactions may not be seen.
_LOOK = """
    select
        has_table_privilege('raw.events', 'insert'),
        (
            select coalesce(extract(epoch from clock_timestamp() - opened_at), 'NaN')::float
            from raw.oldest_transaction()
        )
"""
_NOT_MIGRATED = (
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedTable,
)
_SHUTDOWN = "57P"
_CANNOT_STORE = ("25006", "53100", "58")  # a read-only database, a full disk, a faulty one
# 64 KiB that do not compress, so that it takes space; it is rolled back.
_TRY_TO_STORE = """
    insert into raw.events (received_at, source, event_id, payload)
    select now(), '', '', to_jsonb(string_agg(md5(random()::text), ''))
    from generate_series(1, 2048)
"""

logger = logging.getLogger("collector")
# The pool warns at each attempt to reconnect; the writer says when storage goes and comes back.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


class Database:
    """Pools that reconnect by themselves, and a look at the database every now and then.

    While it is known to be away, requests are refused at once.
    """

    def __init__(self, settings: Settings) -> None:
        self.keys = Keys()
        self.reachable = True
        self.replication: list[dict[str, Any]] = []
        self.storing = True  # False after the disk was full, or the like, until a look finds space
        self.oldest_transaction_seconds = 0.0
        self.writers = _pool(settings, "writer", WRITERS)
        self.users = _pool(settings, "users", 4)
        self._watch = _pool(settings, "watch", 1)
        self._lost = asyncio.Event()
        self._upkeep = Upkeep()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Opens the pools without waiting for connections and looks until the end of the block."""
        async with self.writers, self.users, self._watch, asyncio.TaskGroup() as group:
            task = group.create_task(self._look_again_and_again())
            yield
            task.cancel()

    @asynccontextmanager
    async def connect(self, pool: AsyncConnectionPool) -> AsyncIterator[AsyncConnection]:
        """A connection of a pool; raises `Problem` or psycopg.Error while there is none."""
        self.require()
        try:
            async with pool.connection() as connection:
                yield connection
        except psycopg.Error as error:
            self._note(error)
            raise

    def require(self) -> None:
        """Raises `Problem` while the database is known to be away."""
        if not self.reachable:
            raise try_again(503, "storage_unavailable", "The database is unavailable")

    async def look(self) -> None:
        """Looks once and loads the keys. Raises what says why events cannot be stored."""
        try:
            async with self._watch.connection() as connection:
                row = await (await connection.execute(_LOOK)).fetchone()
                await self.keys.refresh(connection)
                cursor = connection.cursor(row_factory=dict_row)
                self.replication = await (await cursor.execute(_REPLICATION)).fetchall()
                if row and row[0] and not self.storing:
                    await self._try_to_store(connection)
                await self._upkeep.tend(connection, replicated=bool(self.replication))
        except psycopg.OperationalError as error:
            self._note(error)
            raise
        except _NOT_MIGRATED:
            row = None
        if not self.reachable:  # all connections may be lost, not only the one that told so
            await asyncio.gather(self.writers.check(), self.users.check())
            self.reachable = True
        may_store, seconds = row or (False, None)
        self.oldest_transaction_seconds = seconds or 0.0
        if not may_store:
            reason = "The raw schema is missing, or its grants: run scripts/migrate"
            raise try_again(503, "not_migrated", reason)

    async def _try_to_store(self, connection: AsyncConnection) -> None:
        """Notices that there is space again. Raises `Problem` where there is none yet."""
        try:
            async with connection.transaction(force_rollback=True):
                await connection.execute(_TRY_TO_STORE)
        except psycopg.Error as error:
            self._note(error)
            reason = f"The database is there and cannot store ({type(error).__name__})"
            raise try_again(503, "storage_unavailable", reason) from error
        self.storing = True

    def _note(self, error: psycopg.Error) -> None:
        """What an error tells: an operational one without SQLSTATE, that the database is away."""
        state = error.sqlstate or ""
        if state.startswith(_CANNOT_STORE):
            self.storing = False
        lost = isinstance(error, psycopg.OperationalError) and not isinstance(
            error, TooManyRequests
        )
        if lost and (not state or state.startswith(_SHUTDOWN)):
            self.reachable = False
            self._lost.set()

    async def _look_again_and_again(self) -> None:
        while True:
            with suppress(Problem, psycopg.Error):
                await self.look()
            if self.reachable:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._lost.wait(), LOOK_SECONDS)
                self._lost.clear()
            else:
                await asyncio.sleep(LOOK_SECONDS_WHILE_AWAY)


async def configure(connection: AsyncConnection) -> None:
    """Makes commits durable and takes the collector's role, where the login role may."""
    await connection.execute("set synchronous_commit to on")
    try:
        await connection.execute(f"set role {ROLE}")
    except (InsufficientPrivilege, InvalidParameterValue):
        logger.warning("Running with the rights of the login role, which may not become %s", ROLE)


def _pool(settings: Settings, name: str, size: int) -> AsyncConnectionPool:
    name = f"headwater {name}"
    return AsyncConnectionPool(
        str(settings.source_database_url),
        kwargs={"autocommit": True, "application_name": name, "client_encoding": "utf8"},
        configure=configure,
        min_size=size,
        max_size=size,
        max_waiting=1000,  # requests; more are answered 429
        timeout=1,  # seconds until a request is answered 503
        reconnect_timeout=4,  # seconds of ever longer pauses, then the next request tries anew
        open=False,
    )

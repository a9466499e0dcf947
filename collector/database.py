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

ROLE = "headwater_collector"
WRITERS = 2  # one collects the next batch while the other waits for the disk
LOOK_SECONDS = 2  # until a revoked key stops working
LOOK_SECONDS_WHILE_AWAY = 0.25
_REPLICATION = (Path(__file__).parent / "queries" / "replication.sql").read_bytes()
_MAY_STORE = "select has_table_privilege('raw.events', 'insert')"
_NOT_MIGRATED = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)

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
        self.writers = _pool(settings, "writer", WRITERS)
        self.users = _pool(settings, "users", 4)
        self._watch = _pool(settings, "watch", 1)
        self._lost = asyncio.Event()

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
        except psycopg.OperationalError as error:
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
                row = await (await connection.execute(_MAY_STORE)).fetchone()
                await self.keys.refresh(connection)
                cursor = connection.cursor(row_factory=dict_row)
                self.replication = await (await cursor.execute(_REPLICATION)).fetchall()
        except psycopg.OperationalError as error:
            self._note(error)
            raise
        except _NOT_MIGRATED:
            row = None
        if not self.reachable:  # all connections may be lost, not only the one that told so
            await asyncio.gather(self.writers.check(), self.users.check())
            self.reachable = True
        if row != (True,):
            reason = "The raw schema is missing, or its grants: run scripts/migrate"
            raise try_again(503, "not_migrated", reason)

    def _note(self, error: psycopg.OperationalError) -> None:
        """An error without SQLSTATE is not the database's own: it is away; 57P is its shutdown."""
        gone = error.sqlstate is None or error.sqlstate.startswith("57P")
        if gone and not isinstance(error, TooManyRequests):
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

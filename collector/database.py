"""Pools of connections to the source database; they reconnect by themselves."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from collector.settings import Settings

# The pool warns at each attempt to reconnect; the writer says when storage goes and comes back.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


def open_pool(settings: Settings, name: str, size: int) -> AsyncConnectionPool:
    """A pool, not yet open, whose statements each commit, and durably."""
    return AsyncConnectionPool(
        str(settings.source_database_url),
        kwargs={"autocommit": True, "application_name": f"headwater {name}"},
        configure=_make_durable,
        min_size=size,
        max_size=size,
        max_waiting=1000,  # requests; more are answered 429
        timeout=1,  # seconds until a request is answered 503
        reconnect_timeout=4,  # seconds of ever longer pauses, then the next request tries anew
        open=False,
    )


@asynccontextmanager
async def connect(pool: AsyncConnectionPool) -> AsyncIterator[AsyncConnection]:
    """A connection of the pool. When one is lost, the others are looked at too."""
    try:
        async with pool.connection() as connection:
            yield connection
    except psycopg.OperationalError:
        await pool.check()
        raise


async def _make_durable(connection: AsyncConnection) -> None:
    await connection.execute("set synchronous_commit to on")

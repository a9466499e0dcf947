"""Connections to the source database: what holds on each of them, and that none waits for ever."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Self

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import InsufficientPrivilege, InvalidParameterValue
from psycopg_pool import AsyncConnectionPool

from collector.problems import Stuck
from collector.settings import Settings

ROLE = "headwater_collector"
# What PostgreSQL has by itself and statements here rely on: `alter role` or `alter database` may
# have set what makes the same statement fail, or mean something else.
DEFAULTS = {
    "default_transaction_isolation": "read committed",
    "DateStyle": "ISO",  # of whichever order of day and month
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "array_nulls": "on",
}
# Only what is otherwise: behind a pooler the session may be others' afterwards.
_BY_DEFAULT = f"""
    select set_config(name, value, '{{0}}' = 'local')
    from (values {", ".join(map(str, DEFAULTS.items()))}) as defaults (name, value)
    where split_part(current_setting(name), ',', 1) <> value
"""  # noqa: S608
# {0} is empty for a session, `local` for a transaction.
_SESSION = f"""
    {_BY_DEFAULT};
    set {{0}} synchronous_commit to on;
    set {{0}} lock_timeout to '5s';
    set {{0}} statement_timeout to '10s';
    set {{0}} idle_in_transaction_session_timeout to '30s';
    select set_config('log_error_verbosity', 'terse', '{{0}}' = 'local')
    where has_parameter_privilege('log_error_verbosity', 'set');
"""  # terse: without details and context, which repeat payloads
_BECOME = f"set {{0}} role {ROLE};"
# What libpq does about a peer that is gone (its documentation, 34.1.2). A URL may say otherwise.
_NETWORK = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",  # milliseconds
}

logger = logging.getLogger("collector")


class Connection(AsyncConnection[Any]):
    """A connection that is cut where no answer comes in time.

    Behind a pooler (PgBouncer) the next transaction may be on another server connection, whose
    session is shared with strangers: there nothing is set or prepared beyond a transaction.
    """

    answer_seconds: float = 12  # after PostgreSQL's own limits, above
    why_not = ""  # what the last attempt to connect, of any of them, met
    may_become_role = True
    pooled = False

    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> Self:  # noqa: ANN401
        """As psycopg's; says once why it fails, which the pool keeps to itself."""
        try:
            connection = await super().connect(conninfo, **options)
        except psycopg.Error as error:
            why_not = " ".join(str(error).split())  # of libpq: no password, no row
            if why_not != Connection.why_not:
                logger.warning("No connection to the database: %s", why_not)
            Connection.why_not = why_not
            raise
        Connection.why_not = ""
        return connection

    async def configure(self, answer_seconds: float = answer_seconds) -> None:
        """Finds out what is at the other end, and sets what has to hold."""
        self.answer_seconds = answer_seconds
        [pid] = await (await self.execute("select pg_backend_pid()")).fetchone() or [0]
        self.pooled = pid != self.info.backend_pid  # a pooler makes one up
        if self.pooled:
            self.prepare_threshold = None
            await self.set_isolation_level(IsolationLevel.READ_COMMITTED)
        else:
            await self.execute(_session("", become=False))
        try:
            async with self.transaction():
                await self.execute(_BECOME.format("local" if self.pooled else "").encode())
        except (InsufficientPrivilege, InvalidParameterValue):
            self.may_become_role = False
            logger.warning(
                "Running with the rights of the login role, which may not become %s", ROLE
            )

    async def wait(self, gen: PQGen[Any], *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        """As psycopg's, which waits for the server here and nowhere else.

        Raises `Stuck` where that takes longer than `answer_seconds`.
        """
        is_cut = False

        def cut() -> None:
            nonlocal is_cut
            is_cut = True
            with suppress(OSError), socket.socket(fileno=os.dup(self.fileno())) as own:
                own.shutdown(socket.SHUT_RDWR)  # whoever waits for it gets an error now

        timer = asyncio.get_running_loop().call_later(self.answer_seconds, cut)
        try:
            return await super().wait(gen, *arguments, **options)
        except psycopg.Error as error:
            if is_cut:
                raise Stuck(f"no answer in {self.answer_seconds} s") from error
            raise
        finally:
            timer.cancel()

    @asynccontextmanager
    async def used(self) -> AsyncIterator[Self]:
        """The connection for one use, with all that has to hold on it."""
        if not self.pooled:
            yield self
            return
        async with self.transaction():
            await self.execute(_session("local", become=self.may_become_role))
            yield self


def _session(scope: str, *, become: bool) -> bytes:
    return (_SESSION + (_BECOME if become else "")).format(scope).encode()


def open_connection(
    database_url: str = "",
    *,
    autocommit: bool = False,
    **options: Any,  # noqa: ANN401
) -> psycopg.Connection[Any]:
    """As psycopg's, for commands, with `DEFAULTS` whatever the role or the database has set."""
    connection = psycopg.connect(database_url, autocommit=True, **options)
    connection.execute(_BY_DEFAULT.format("").encode())
    connection.autocommit = autocommit
    return connection


def described(database_url: str) -> str:
    """A database in words, without the password."""
    parts = conninfo_to_dict(database_url)
    return f"{parts.get('dbname', 'the default database')} on {parts.get('host', 'localhost')}"


def pool_of(
    settings: Settings,
    name: str,
    size: int,
    *,
    answer_seconds: float = Connection.answer_seconds,
    wait_seconds: float = 1,
) -> AsyncConnectionPool[Connection]:
    """A pool of `size` connections, not open yet; none free within `wait_seconds` is an error."""
    url = settings.source_database_url
    given = conninfo_to_dict(url)
    network = {key: value for key, value in _NETWORK.items() if key not in given}
    return AsyncConnectionPool(
        url,
        connection_class=Connection,
        kwargs={
            "autocommit": True,
            "application_name": f"headwater {name}",
            "client_encoding": "utf8",
            **network,
        },
        configure=partial(Connection.configure, answer_seconds=answer_seconds),
        name=name,
        min_size=size,
        max_size=size,
        max_waiting=1000,  # requests; more are answered 429
        timeout=wait_seconds,
        reconnect_timeout=4,  # seconds of ever longer pauses, then the next request tries anew
        open=False,
    )

"""Group commit: the events of requests in flight share one COPY and one commit.

There is no timer: what queues up while a commit is under way is the next batch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg
from psycopg import AsyncConnection

from collector.database import connect, open_pool
from collector.problems import problem_of, try_again
from collector.settings import Settings
from collector.validation import Event, Received, Rejection

SOURCE = "default"
CONNECTIONS = 2  # one collects the next batch while the other waits for the disk
MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_QUARANTINED_BYTES = 64 * 1024

_COPY_EVENTS = "copy raw.events (received_at, source, event_id, payload) from stdin"
_COPY_REJECTED = "copy raw.rejected_events (received_at, source, code, message, payload) from stdin"

logger = logging.getLogger("collector")


class Submission(NamedTuple):
    """The events of one request on their way, and what tells the request that they are stored."""

    received: Received
    received_at: str
    size: int
    done: asyncio.Future[None]


Row = tuple[Submission, Event]


class Writer:
    """Stores events; `write` returns after the commit."""

    def __init__(self, settings: Settings) -> None:
        self._pool = open_pool(settings, "writer", CONNECTIONS)
        self._queue: asyncio.Queue[Submission] = asyncio.Queue()
        self._max_waiting_bytes = settings.max_waiting_bytes
        self._waiting_bytes = 0
        self._available = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps the connections and the tasks that store batches."""
        async with self._pool, asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._store_batches()) for _ in range(CONNECTIONS)]
            yield
            for task in tasks:
                task.cancel()

    async def write(self, received: Received, size: int) -> None:
        """Commits the events of one request of `size` bytes and keeps its rejections.

        Moves events that PostgreSQL refuses to the rejections. Raises `Problem` where too much is
        waiting, and where it is not known that all is committed.
        """
        if self._waiting_bytes and self._waiting_bytes + size > self._max_waiting_bytes:
            raise try_again(429, "overloaded", "Too much is waiting to be stored")
        done = asyncio.get_running_loop().create_future()
        self._waiting_bytes += size
        try:
            now = datetime.now(UTC).isoformat()
            self._queue.put_nowait(Submission(received, now, size, done))
            await done
        finally:
            self._waiting_bytes -= size

    async def _store_batches(self) -> None:
        while True:
            batch = [await self._queue.get()]
            size = batch[0].size
            while size < MAX_BATCH_BYTES and not self._queue.empty():
                batch.append(self._queue.get_nowait())
                size += batch[-1].size
            failure: Exception | None = None
            try:
                async with connect(self._pool) as connection:
                    await _store(connection, batch)
            except Exception as error:  # whatever happens to a batch, the next one is stored
                failure = error
            self._note(failure)
            for submission in batch:
                if submission.done.done():  # its client is gone
                    continue
                if failure:
                    submission.done.set_exception(problem_of(failure))
                else:
                    submission.done.set_result(None)

    def _note(self, failure: Exception | None) -> None:
        if failure and self._available:  # by name: PostgreSQL's texts can repeat a row
            logger.warning("Events cannot be stored: %s", type(failure).__name__)
        elif not failure and not self._available:
            logger.info("Events are being stored again")
        self._available = failure is None


async def _store(connection: AsyncConnection, batch: Sequence[Submission]) -> None:
    """Commits a batch. Without rejections the COPY of its events is a transaction by itself."""
    rows = [(submission, event) for submission in batch for event in submission.received.events]
    rejected = any(submission.received.rejections for submission in batch)
    try:
        async with connection.transaction() if rejected else nullcontext():
            await _quarantine(connection, batch)
            await _copy_events(connection, rows)
    except psycopg.DataError:
        async with connection.transaction():
            await _store_but_refused(connection, rows)
            await _quarantine(connection, batch)


async def _store_but_refused(connection: AsyncConnection, rows: Sequence[Row]) -> None:
    """Stores all but the rows that PostgreSQL refuses: it finds them by bisection."""
    try:
        async with connection.transaction():
            await _copy_events(connection, rows)
    except psycopg.DataError as error:
        if len(rows) == 1:
            [(submission, event)] = rows
            rejection = Rejection(event.position, problem_of(error), event.payload.encode())
            submission.received.events.remove(event)
            submission.received.rejections.append(rejection)
        else:
            middle = len(rows) // 2
            await _store_but_refused(connection, rows[:middle])
            await _store_but_refused(connection, rows[middle:])


async def _copy_events(connection: AsyncConnection, rows: Sequence[Row]) -> None:
    if rows:
        async with connection.cursor() as cursor, cursor.copy(_COPY_EVENTS) as copy:
            for submission, (_, event_id, payload) in rows:
                await copy.write_row((submission.received_at, SOURCE, event_id, payload))


async def _quarantine(connection: AsyncConnection, batch: Sequence[Submission]) -> None:
    """Keeps refused events with the reason; where that fails, those beside them still land."""
    rows = []
    for submission in batch:
        for _, problem, payload in submission.received.rejections:
            text = payload[:MAX_QUARANTINED_BYTES].decode(errors="replace")
            row = (submission.received_at, SOURCE, problem.code, problem.message, text)
            rows.append([value.replace("\0", "\ufffd") for value in row])
    if not rows:
        return
    try:
        async with (
            connection.transaction(),
            connection.cursor() as cursor,
            cursor.copy(_COPY_REJECTED) as copy,
        ):
            for values in rows:
                await copy.write_row(values)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        logger.error("Refused events cannot be kept: %s", type(error).__name__)

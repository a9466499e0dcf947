"""Group commit: the events of requests in flight share one COPY and one commit.

There is no timer: what queues up while a commit is under way is the next batch.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from functools import cache
from time import perf_counter

import psycopg
from msgspec import Struct, to_builtins
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus
from psycopg.rows import scalar_row

from collector.database import WRITERS, Database
from collector.keys import Key
from collector.metrics import Metrics
from collector.problems import STUCK, Problem, cause_of, not_storable, problem_of, try_again
from collector.quarantine import BYTES_AT_A_TIME, has_refused, quarantine
from collector.validation import Event, Received, Rejection

MAX_BATCH_BYTES = 4 * 1024 * 1024
STUCK_SECONDS = 3  # far above any commit; a lock, or a server or disk that hangs

_COPY_EVENTS = "copy raw.events (source, key_id, received_at, event_id, payload) from stdin"
# One round trip less than COPY, once prepared: for an event that comes alone.
_INSERT_EVENT = """
    insert into raw.events (source, key_id, received_at, event_id, payload)
    values (%s, %s, %s, %s, %s)
"""
_FAULTS = "select raw.jsonb_fault(payload) from unnest(%s::text[]) as payload"

logger = logging.getLogger("collector")


class Submission(Struct, frozen=True):
    """The events of one request on their way, and what tells the request that they are stored."""

    received: Received
    received_at: str
    key: Key
    route: str
    prefix: bytes  # source, key_id and received_at as COPY reads them
    size: int
    done: asyncio.Future[None]


class Writer:
    """Stores events; `write` returns after the commit."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._waiting: deque[Submission] = deque()
        self._arrived = asyncio.Event()
        self._metrics = metrics
        self._under_way: dict[int, float] = {}  # batches, by when their storing began

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps the tasks that store batches."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._store_batches()) for _ in range(WRITERS)]
            yield
            for task in tasks:
                task.cancel()

    def require(self) -> None:
        """Raises `Problem` where a batch waits for so long that something is stuck."""
        seconds = perf_counter() - min(self._under_way.values(), default=perf_counter())
        if seconds > STUCK_SECONDS:
            reason = f"{STUCK.reason}: events have waited for their commit for {seconds:.0f} s"
            raise try_again(503, STUCK.code, reason)

    async def write(self, received: Received, key: Key, route: str, size: int) -> None:
        """Commits the events of one request of `size` bytes and keeps its rejections.

        Moves events that PostgreSQL refuses to the rejections. Raises `Problem` where it is not
        known that all is committed.
        """
        self._database.require()
        done = asyncio.get_running_loop().create_future()
        now = to_builtins(datetime.now(UTC))  # several times as fast as isoformat()
        prefix = b"%b\t%b" % (_columns_of(key), now.encode())
        self._waiting.append(Submission(received, now, key, route, prefix, size, done))
        self._arrived.set()
        await done

    async def check(self, received: Received) -> None:
        """Moves events that PostgreSQL would refuse to the rejections; stores nothing."""
        async with self._database.connect(self._database.writers) as connection:
            await _without_refused(connection, [(received, event) for event in received.events])

    async def _store_batches(self) -> None:
        while True:
            batch = await self._next_batch()
            failure: Exception | None = None
            started = perf_counter()
            self._under_way[id(batch)] = started
            try:
                async with self._database.connect(self._database.writers) as connection:
                    await _store(connection, batch)
            except Exception as error:  # whatever happens to a batch, the next one is stored
                failure = error
            else:
                self._metrics.commit_seconds.observe(perf_counter() - started)
                events = sum(len(each.received.events) for each in batch)
                self._metrics.commit_events.observe(events)
            del self._under_way[id(batch)]
            for submission in batch:
                if submission.done.done():  # its client is gone
                    continue
                if failure:
                    submission.done.set_exception(_problem_of_batch(failure))
                else:
                    submission.done.set_result(None)

    async def _next_batch(self) -> list[Submission]:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        batch: list[Submission] = []
        size = 0
        while self._waiting and size < MAX_BATCH_BYTES:
            batch.append(self._waiting.popleft())
            size += batch[-1].size
        return batch


def _problem_of_batch(failure: Exception) -> Exception:
    """A batch as a whole is no client's fault."""
    if isinstance(failure, psycopg.Error):
        return cause_of(failure).problem(failure)
    if not isinstance(failure, Problem):  # by name: a text can repeat a row
        logger.error("Events cannot be stored: %s", type(failure).__name__)
    return problem_of(failure)


async def _store(connection: AsyncConnection, batch: Sequence[Submission]) -> None:
    """Commits a batch. Without rejections the COPY of its events is a transaction by itself."""
    rows = [(submission, event) for submission in batch for event in submission.received.events]
    rejected = any(map(has_refused, batch))
    within = connection.info.transaction_status == TransactionStatus.INTRANS
    try:
        async with connection.transaction() if rejected or within else nullcontext():
            await quarantine(connection, batch)
            await _add_events(connection, rows)
    except psycopg.DataError:
        received = [(submission.received, event) for submission, event in rows]
        storable = await _without_refused(connection, received)
        rows = [row for row, good in zip(rows, storable, strict=True) if good]
        async with connection.transaction():
            await quarantine(connection, batch)
            await _add_events(connection, rows)


async def _without_refused(
    connection: AsyncConnection, rows: Sequence[tuple[Received, Event]]
) -> list[bool]:
    """Moves the events that JSONB cannot hold to the rejections; tells for each whether it can."""
    cursor = connection.cursor(row_factory=scalar_row)
    await cursor.execute(_FAULTS, [[event.payload.decode() for _, event in rows]])
    faults = await cursor.fetchall()
    for (received, event), fault in zip(rows, faults, strict=True):
        if fault is not None:
            rejection = Rejection(event.position, not_storable(fault), event.payload)
            received.rejections.append(rejection)
    for received in {id(received): received for received, _ in rows}.values():
        refused = {rejection.position for rejection in received.rejections}
        received.events[:] = [each for each in received.events if each.position not in refused]
    return [fault is None for fault in faults]


@cache
def _columns_of(key: Key) -> bytes:
    """Source and key_id in the text format of COPY."""
    key_id = b"\\N" if key.key_id is None else b"%d" % key.key_id
    return b"%b\t%b" % (_escape(key.name.encode()), key_id)


def _escape(text: bytes) -> bytes:
    """A value in the text format of COPY."""
    text = text.replace(b"\\", rb"\\").replace(b"\n", rb"\n")
    return text.replace(b"\r", rb"\r").replace(b"\t", rb"\t")


async def _add_events(
    connection: AsyncConnection, rows: Sequence[tuple[Submission, Event]]
) -> None:
    if len(rows) == 1 and len(rows[0][1].payload) < BYTES_AT_A_TIME:
        [(submission, event)] = rows
        key, payload = submission.key, event.payload.decode()
        values = [key.name, key.key_id, submission.received_at, event.event_id, payload]
        await connection.execute(_INSERT_EVENT, values)
    elif rows:
        async with connection.cursor() as cursor, cursor.copy(_COPY_EVENTS) as copy:
            lines = bytearray()
            for submission, event in rows:
                event_id, text = _escape(event.event_id.encode()), _escape(event.payload)
                lines += b"%b\t%b\t%b\n" % (submission.prefix, event_id, text)
                if len(lines) > BYTES_AT_A_TIME:
                    await copy.write(bytes(lines))
                    lines.clear()
            await copy.write(bytes(lines))

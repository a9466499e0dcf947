"""What is kept of events that are not stored: why they were refused, of others a count."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg
from psycopg import AsyncConnection

from collector.validation import Rejection

if TYPE_CHECKING:
    from collector.writer import Submission

MAX_QUARANTINED_BYTES = 64 * 1024
BYTES_AT_A_TIME = 64 * 1024  # of a COPY, so that a batch is not in memory once more
_COPY_REJECTED = """
    copy raw.rejected_events
    (received_at, source, key_id, route, code, message, payload, put_away_at) from stdin
"""

logger = logging.getLogger("collector")


def _rejected_row(submission: Submission, rejection: Rejection) -> tuple[object, ...]:
    _, problem, payload = rejection
    text = payload[:MAX_QUARANTINED_BYTES].decode(errors="replace")
    texts = [value.replace("\0", "\ufffd") for value in (problem.message, text)]
    key, at = submission.key, submission.received_at
    return at, key.name, key.key_id, submission.route, problem.code, *texts, None


def _left_out_row(submission: Submission) -> tuple[object, ...]:
    """That an event came, and nothing of it. Each has a text of its own, by which it is counted."""
    key, text = submission.key, f"erased {os.urandom(16).hex()}"
    at = submission.received_at
    return at, key.name, key.key_id, submission.route, "opted_out", "Not to be counted.", text, at


def has_refused(submission: Submission) -> bool:
    """Whether a request has anything for the quarantine."""
    return bool(submission.received.rejections or submission.received.left_out)


async def quarantine(connection: AsyncConnection, batch: Sequence[Submission]) -> None:
    """Keeps refused events with the reason; where that fails, those beside them still land."""
    if not any(map(has_refused, batch)):
        return
    try:
        async with (
            connection.transaction(),
            connection.cursor() as cursor,
            cursor.copy(_COPY_REJECTED) as copy,
        ):
            size = 0
            for submission in batch:
                for _ in submission.received.left_out:
                    await copy.write_row(_left_out_row(submission))
                for rejection in submission.received.rejections:
                    await copy.write_row(_rejected_row(submission, rejection))
                    size += len(rejection.payload)
                    if size > BYTES_AT_A_TIME:
                        size = 0
                        await asyncio.sleep(0)  # others have their turn
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        logger.error("Refused events cannot be kept: %s", type(error).__name__)

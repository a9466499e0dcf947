"""Users: one id per email, whatever is concurrent, and one row per create or update."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Raw
from msgspec.json import Decoder
from psycopg import AsyncConnection, sql
from psycopg.errors import DeadlockDetected, UniqueViolation
from psycopg.rows import scalar_row

from collector.contract import UserFields
from collector.keys import Key
from collector.problems import Problem
from collector.times import parse_time

_QUERIES = Path(__file__).parent / "queries"
_CREATE_ID = (_QUERIES / "create_user_id.sql").read_bytes()
_STATES = sql.SQL((_QUERIES / "user_states.sql").read_text())
_ONE_STATE = _STATES.format(condition=sql.SQL("user_ids.user_id = %(user_id)s"))
_STATES_AFTER = _STATES.format(condition=sql.SQL("user_ids.user_number > %(after)s"))
_FIND_BY_ID = "select user_id from raw.user_ids where user_id = %(user_id)s for update"
_FIND_BY_EMAIL = "select user_id from raw.user_ids where email = %(email)s for update"
# Every update with an email writes a row, whoever has the address: the same work, the same time.
_SET_EMAIL = """
    update raw.user_ids set email = case
        when exists (
            select from raw.user_ids as others
            where others.email = %(email)s and others.user_id <> %(user_id)s
        ) then email
        else %(email)s
    end
    where user_id = %(user_id)s
"""
_ADD_ROW = """
    insert into raw.users (received_at, occurred_at, source, key_id, user_id, payload)
    select
        %(received_at)s, %(occurred_at)s, %(source)s, %(key_id)s, %(user_id)s, %(payload)s::jsonb
    where not exists (
        select from raw.users
        where user_id = %(user_id)s and occurred_at = %(occurred_at)s and source = %(source)s
            and payload - 'segmentSentAt' = %(payload)s::jsonb - 'segmentSentAt'
    )
"""  # a request sent again adds nothing, where it says when it happened
SPACE = " \t\n\v\f\r"  # around an email; the macro email_hash has the same
_NUMBER = "select user_number from raw.user_ids where user_id = %s"

ATTEMPTS = 5
_RACE = (DeadlockDetected, UniqueViolation)
_object, _NULL = Decoder(dict[str, Raw]), Raw(b"null")
# Of a user's properties as text (one update has half of it), and of a page before its last user.
STATE_BYTES = 2 * 1024 * 1024
ROWS_AT_A_TIME = 4


def canonical_user_id(user_id: float | str) -> str:
    """The one text of a user id: whole numbers as plain digits (1.0 is 1), texts as they are."""
    return user_id if isinstance(user_id, str) else str(int(user_id))


async def save_user(
    connection: AsyncConnection, user: UserFields, payload: str, key: Key
) -> tuple[str, bool]:
    """Creates or updates a user; returns its id and whether it is new.

    Raises psycopg.DataError where JSONB cannot hold the payload.
    """
    [saved] = await save_users(connection, [(user, payload)], key)
    return saved


async def save_users(
    connection: AsyncConnection, updates: Iterable[tuple[UserFields, str]], key: Key
) -> list[tuple[str, bool]]:
    """Creates or updates users, given with their payloads, in one transaction.

    A userId says who it is; an email by itself finds whom it belongs to. With a userId it becomes
    that user's, unless it is another's already: then it goes on to find that one, and nothing that
    is answered tells so. Returns the ids, in their order, and which are new.
    """
    # In one order, so that few transactions wait for each other.
    ordered = sorted(updates, key=lambda update: str(update[0].user_id))
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with connection.transaction():
                return [await _add(connection, user, text, key) for user, text in ordered]
        except _RACE:  # a concurrent transaction took an email first; now that is seen
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


async def _add(
    connection: AsyncConnection, user: UserFields, payload: str, key: Key
) -> tuple[str, bool]:
    """Adds an update; returns the user's id and whether it is new."""
    received_at = datetime.now(UTC)
    user_id = None if user.user_id is None else canonical_user_id(user.user_id)
    values: dict[str, Any] = {
        "email": user.email and user.email.strip(SPACE).lower(),
        "user_id": user_id,
        "received_at": received_at,
        "occurred_at": parse_time(user.occurred_at) if user.occurred_at else received_at,
        "source": key.name,
        "key_id": key.key_id,
        "payload": payload,
    }
    async with connection.cursor(row_factory=scalar_row) as cursor:
        created = False
        find = _FIND_BY_EMAIL if user_id is None else _FIND_BY_ID
        new = values if user_id is None else {**values, "email": None}
        while (found := await (await cursor.execute(find, values)).fetchone()) is None:
            created = await (await cursor.execute(_CREATE_ID, new)).fetchone() is not None
        values["user_id"] = found
        if user_id is not None and values["email"]:
            await cursor.execute(_SET_EMAIL, values)
        await cursor.execute(_ADD_ROW, values)
    return found, created


def answer_of(payload: str, user_id: str) -> dict[str, object]:
    """What a write key gets to see of a user: what it sent, and the id.

    An id that the request did not have is a number where it is one: 1 and "1" are the same user.
    """
    answer: dict[str, object] = dict(_object.decode(payload))
    if answer.get("userId", _NULL) == _NULL:
        is_number = user_id.isascii() and user_id.isdecimal() and len(user_id) < 16
        number = int(user_id) if is_number else 0
        answer["userId"] = number if str(number) == user_id else user_id
    return answer


async def find_user(connection: AsyncConnection, user_id: str) -> bytes:
    """The newest state of one user, by canonical id; raises `Problem` where there is none."""
    states, _ = await _fetch(connection, _ONE_STATE, 1, user_id=user_id)
    if not states:
        raise Problem(404, "not_found", "There is no user with this userId.")
    return states[0]


async def list_users(
    connection: AsyncConnection, after: str | None, limit: int
) -> tuple[list[bytes], str]:
    """Up to `limit` users in order of creation, from the one after the user `after` on.

    Fewer where they are large. Returns also the id of the last one, if there are more. Raises
    `Problem` where there is no user `after`.
    """
    number = 0
    if after is not None:
        row = await (await connection.execute(_NUMBER, [after])).fetchone()
        if row is None:
            raise Problem(422, "invalid_parameter", "after must be the id of a user.", "after")
        [number] = row
    return await _fetch(connection, _STATES_AFTER, limit, after=number)


async def _fetch(
    connection: AsyncConnection, query: sql.Composed, limit: int, **values: object
) -> tuple[list[bytes], str]:
    """States as JSON, and the id of the last where there are more. No more is held than is asked
    for: the first states of `STATE_BYTES` together, and a few beyond."""
    states: list[bytes] = []
    last, size = "", 0
    async with (
        connection.transaction(),
        connection.cursor("states", binary=True) as cursor,
    ):
        cursor.itersize = ROWS_AT_A_TIME
        await cursor.execute(query, {**values, "limit": limit + 1, "max_bytes": STATE_BYTES})
        async for user_id, state in cursor:
            if len(states) == limit or size >= STATE_BYTES:
                return states, last
            states.append(state)
            size += len(state)
            last = user_id
    return states, ""

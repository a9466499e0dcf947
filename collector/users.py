"""Users: one id per email, whatever is concurrent, and one row per create or update."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from msgspec import Raw
from msgspec.structs import replace
from psycopg import AsyncConnection, sql
from psycopg.rows import scalar_row

from collector.keys import Key
from collector.problems import Problem
from collector.validation import UserFields, parse_time

USERS_PER_PAGE = 100
MAX_USERS_PER_PAGE = 1000
_QUERIES = Path(__file__).parent / "queries"
_CREATE_ID = (_QUERIES / "create_user_id.sql").read_bytes()
_STATES = sql.SQL((_QUERIES / "user_states.sql").read_text())
_ONE_STATE = _STATES.format(condition=sql.SQL("user_ids.user_id = %(user_id)s"))
_STATES_AFTER = _STATES.format(condition=sql.SQL("user_ids.user_number > %(after)s"))
_FIND_ID = """
    select user_id from raw.user_ids
    where user_id = %(user_id)s or email = %(email)s
    order by user_number for update
"""
_SET_EMAIL = """
    update raw.user_ids set email = %(email)s
    where user_id = %(user_id)s and email is distinct from %(email)s
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
_NUMBER = "select user_number from raw.user_ids where user_id = %s"

UserState = tuple[str, Raw]  # canonical id, and newest state as JSON text


def canonical_user_id(user_id: float | str) -> str:
    """The one text of a user id: whole numbers as plain digits (1.0 is 1), texts as they are."""
    return user_id if isinstance(user_id, str) else str(int(user_id))


async def save_user(
    connection: AsyncConnection, user: UserFields, payload: str, key: Key
) -> tuple[UserState, bool]:
    """Creates or updates a user in one transaction; returns its state and whether it is new.

    Raises `Problem` where email and userId belong to two users, psycopg.DataError where JSONB
    cannot hold the payload.
    """
    async with connection.transaction():
        user_id, created = await _add(connection, user, payload, key)
        [state] = await _fetch(connection, _ONE_STATE, user_id=user_id, limit=1)
    return state, created


async def save_users(
    connection: AsyncConnection, updates: Iterable[tuple[UserFields, str]], key: Key
) -> None:
    """Creates or updates users by userId, given with their payloads, in one transaction.

    An email that belongs to another user goes on to find that one.
    """
    async with connection.transaction():
        # In one order, so that no two transactions wait for each other.
        for user, payload in sorted(updates, key=lambda update: str(update[0].user_id)):
            try:
                async with connection.transaction():
                    await _add(connection, user, payload, key)
            except Problem:
                await _add(connection, replace(user, email=None), payload, key)


async def _add(
    connection: AsyncConnection, user: UserFields, payload: str, key: Key
) -> tuple[str, bool]:
    """Adds an update; returns the user's id and whether it is new."""
    received_at = datetime.now(UTC)
    values: dict[str, Any] = {
        "email": user.email and user.email.lower(),
        "user_id": None if user.user_id is None else canonical_user_id(user.user_id),
        "received_at": received_at,
        "occurred_at": parse_time(user.occurred_at) if user.occurred_at else received_at,
        "source": key.name,
        "key_id": key.key_id,
        "payload": payload,
    }
    async with connection.cursor(row_factory=scalar_row) as cursor:
        created = False
        while not (user_ids := await (await cursor.execute(_FIND_ID, values)).fetchall()):
            created = await (await cursor.execute(_CREATE_ID, values)).fetchone() is not None
        if values["user_id"] not in (None, user_ids[0]) or len(user_ids) > 1:
            raise _two_users()
        values["user_id"] = user_ids[0]
        if values["email"]:
            try:
                await cursor.execute(_SET_EMAIL, values)
            except psycopg.errors.UniqueViolation:
                raise _two_users() from None
        await cursor.execute(_ADD_ROW, values)
    return values["user_id"], created


async def find_user(connection: AsyncConnection, user_id: str) -> UserState:
    """The newest state of one user, by canonical id; raises `Problem` where there is none."""
    states = await _fetch(connection, _ONE_STATE, user_id=user_id, limit=1)
    if not states:
        raise Problem(404, "not_found", "There is no user with this userId.")
    return states[0]


async def list_users(connection: AsyncConnection, after: str | None, limit: int) -> list[UserState]:
    """Up to `limit` users in order of creation, from the one after the user `after` on.

    Raises `Problem` where there is no user `after`.
    """
    number = 0
    if after is not None:
        row = await (await connection.execute(_NUMBER, [after])).fetchone()
        if row is None:
            raise Problem(422, "invalid_parameter", "after must be the id of a user.", "after")
        [number] = row
    return await _fetch(connection, _STATES_AFTER, after=number, limit=limit)


def page_limit(text: str | None) -> int:
    """How many users a page is to have; raises `Problem` where the text is no such number."""
    if text is None:
        return USERS_PER_PAGE
    if text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_USERS_PER_PAGE:
        return int(text)
    message = f"limit must be a number from 1 to {MAX_USERS_PER_PAGE}."
    raise Problem(422, "invalid_parameter", message, "limit")


async def _fetch(
    connection: AsyncConnection, query: sql.Composed, **values: object
) -> list[UserState]:
    rows = await (await connection.execute(query, values)).fetchall()
    return [(user_id, Raw(json)) for user_id, json in rows]


def _two_users() -> Problem:
    message = "email and userId belong to two different users; send one of them."
    return Problem(422, "conflicting_user", message, "email")

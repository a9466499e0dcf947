"""Users as they are read: the newest state of one, or of a page of them."""

from __future__ import annotations

from pathlib import Path

from psycopg import AsyncConnection, sql

from collector.problems import Problem

_QUERY = sql.SQL((Path(__file__).parent / "queries" / "user_states.sql").read_text())
_ONE_STATE = _QUERY.format(condition=sql.SQL("user_ids.user_id = %(user_id)s"))
_STATES_AFTER = _QUERY.format(condition=sql.SQL("user_ids.user_number > %(after)s"))
_NUMBER = "select user_number from raw.user_ids where user_id = %s"
# Of a user's properties as text (one update has half of it), and of a page before its last user.
STATE_BYTES = 2 * 1024 * 1024
ROWS_AT_A_TIME = 4


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

"""Users as they are written: one id per email, whatever is concurrent, one row per update.

A userId says who it is. An email by itself finds whom it belongs to; with a userId it becomes that
user's, unless it is another's already: then it goes on to find that one, and nothing that is
answered tells so.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from psycopg import AsyncConnection, DataError
from psycopg.errors import DeadlockDetected, UniqueViolation

from collector.contract import UserFields, UserId
from collector.json_text import NULL, OBJECT, read_each, texts_of
from collector.keys import Key
from collector.problems import Problem, problem_of
from collector.settings import Settings
from collector.times import parse_time
from collector.validation import read_user

USER_BYTES = 1024  # what a user of a batch takes in memory besides its text
SPACE = " \t\n\v\f\r"  # around an email; the macro email_hash has the same
ATTEMPTS = 5
_RACES = (DeadlockDetected, UniqueViolation)  # another transaction took an id or an email first
_QUERIES = Path(__file__).parent / "queries"
_FIND = (_QUERIES / "find_user_ids.sql").read_bytes()
_NUMBERS = (_QUERIES / "new_user_numbers.sql").read_bytes()
_CREATE = (_QUERIES / "create_user_ids.sql").read_bytes()
_SET_EMAILS = (_QUERIES / "set_emails.sql").read_bytes()
_ADD = (_QUERIES / "add_users.sql").read_bytes()


class Update(NamedTuple):
    """What a request says of a user; `position` counts the users of the request from 0.

    `user_id` is as `text_of` has it.
    """

    position: int
    user_id: str | None
    email: str | None  # whatever its case and the space around it
    occurred_at: datetime | None
    payload: str

    @classmethod
    def of(cls, position: int, user: UserFields, payload: str) -> Update:
        """The update in the forms that are compared and stored."""
        return cls(
            position,
            text_of(user.user_id),
            (user.email and user.email.strip(SPACE).lower()) or None,
            parse_time(user.occurred_at) if user.occurred_at else None,
            payload,
        )


def text_of(user_id: UserId | None) -> str | None:
    """The one text of a user id: whole numbers as plain digits (1.0 is 1), texts as they are."""
    return user_id if user_id is None or isinstance(user_id, str) else str(int(user_id))


class Saved(NamedTuple):
    """Whom an update went to, and whether it made that user."""

    user_id: str
    is_new: bool


def read_users(
    body: bytes, settings: Settings, take: Callable[[int], None], *, lines: bool
) -> Generator[None, None, tuple[list[Update], dict[int, Problem]]]:
    """Reads the users of an array or, with `lines`, one a line (NDJSON); yields now and then.

    A bad one is refused alone, by position. `take` counts what they hold besides their text. Raises
    `Problem` where the body is no batch, or has more than `settings.max_events`.
    """
    texts = yield from texts_of(body, settings.max_events, "users", lines=lines)
    del body  # the texts are copies
    take(USER_BYTES * len(texts))
    updates: list[Update] = []
    refused: dict[int, Problem] = {}
    yield from read_each(
        texts,
        lambda position, text: updates.append(Update.of(position, *read_user(text, settings))),
        lambda position, problem, _: refused.update({position: problem}),
    )
    return updates, refused


async def save_users(
    connection: AsyncConnection, updates: Sequence[Update], key: Key
) -> tuple[dict[int, Saved], dict[int, Problem]]:
    """Creates or updates users as if one by one, in their order.

    Returns by position whom they went to, and why JSONB cannot hold others.
    """
    saved: dict[int, Saved] = {}
    refused: dict[int, Problem] = {}
    for different in _rounds(updates):
        try:
            saved |= await _save(connection, different, key)
        except (*_RACES, DataError) as error:
            if len(different) == 1 and isinstance(error, _RACES):
                raise
            for update in different:  # all but the one at fault are saved
                try:
                    saved |= await _save(connection, [update], key)
                except DataError as fault:
                    refused[update.position] = problem_of(fault)
    return saved, refused


def _rounds(updates: Sequence[Update]) -> Iterator[list[Update]]:
    """The updates in portions that name each user and each email once, in their order."""
    portion: list[Update] = []
    named: set[tuple[str, str | None]] = set()
    for update in updates:
        names = {("id", update.user_id), ("email", update.email)} - {("id", None), ("email", None)}
        if names & named:
            yield portion
            portion, named = [], set()
        portion.append(update)
        named |= names
    if portion:
        yield portion


async def _save(
    connection: AsyncConnection, updates: Sequence[Update], key: Key
) -> dict[int, Saved]:
    """Saves updates that name different users, in one transaction.

    Raises psycopg.DataError where JSONB cannot hold one, and what `_RACES` are where several depend
    on each other, or one meets others again and again.
    """
    for attempts_left in reversed(range(ATTEMPTS if len(updates) == 1 else 1)):
        try:
            async with connection.transaction():
                return await _save_once(connection, updates, key)
        except _RACES:  # what the other transaction took is seen the next time
            if not attempts_left:
                raise
    raise AssertionError("the last attempt returns or raises")


async def _save_once(
    connection: AsyncConnection, updates: Sequence[Update], key: Key
) -> dict[int, Saved]:
    values: dict[str, Any] = {
        "user_ids": [each.user_id for each in updates if each.user_id is not None],
        "emails": [each.email for each in updates if each.email],
    }
    rows = await (await connection.execute(_FIND, values)).fetchall()
    known = {user_id for user_id, _ in rows}
    owners = {email: user_id for user_id, email in rows if email is not None}
    if _depend(updates, owners):
        raise UniqueViolation
    new = [
        each
        for each in updates
        if (each.email not in owners if each.user_id is None else each.user_id not in known)
    ]
    ids = {each.position: each.user_id or owners.get(each.email or "", "") for each in updates}
    if new:
        numbers = iter(await new_numbers(connection, sum(each.user_id is None for each in new)))
        ids |= {each.position: each.user_id or next(numbers) for each in new}
        values = {
            "user_ids": [ids[each.position] for each in new],
            # One with an id gets its email below, as one that is known does.
            "emails": [each.email if each.user_id is None else None for each in new],
        }
        if (await connection.execute(_CREATE, values)).rowcount < len(new):
            raise UniqueViolation
    named = [each for each in updates if each.user_id and each.email]
    if named:
        values = {
            "user_ids": [each.user_id for each in named],
            "emails": [each.email for each in named],
        }
        await connection.execute(_SET_EMAILS, values)
    received_at = datetime.now(UTC)
    values = {
        "received_at": received_at,
        "source": key.name,
        "key_id": key.key_id,
        "user_ids": list(ids.values()),
        "occurred_at": [each.occurred_at or received_at for each in updates],
        "payloads": [each.payload for each in updates],
    }
    await connection.execute(_ADD, values)
    made = {each.position for each in new}
    return {position: Saved(user_id, position in made) for position, user_id in ids.items()}


def _depend(updates: Sequence[Update], owners: dict[str, str]) -> bool:
    """Whether an update is about an email whose owner gets another one by an earlier update."""
    moved: set[str] = set()
    for each in updates:
        if owners.get(each.email or "", each.user_id) in moved:
            return True
        if each.user_id and each.email:
            moved.add(each.user_id)
    return False


async def new_numbers(connection: AsyncConnection, count: int) -> list[str]:
    """Ids for so many users without one of their own."""
    found: list[str] = []
    while len(found) < count:
        values = {"count": count - len(found)}
        rows = await (await connection.execute(_NUMBERS, values)).fetchall()
        found += [number for (number,) in rows]
    return found


def answer_of(payload: str, user_id: str) -> dict[str, object]:
    """What a write key gets to see of a user: what it sent, and the id.

    An id that the request did not have is a number where it is one: 1 and "1" are the same user.
    """
    answer: dict[str, object] = dict(OBJECT.decode(payload))
    if answer.get("userId", NULL) == NULL:
        is_number = user_id.isascii() and user_id.isdecimal() and len(user_id) < 16
        number = int(user_id) if is_number else 0
        answer["userId"] = number if str(number) == user_id else user_id
    return answer

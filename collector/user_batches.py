"""Users in batches: the same as one by one, by a few statements for thousands of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncConnection

from collector.contract import UserFields, UserReceipt, refusals
from collector.json_text import elements_of
from collector.keys import Key
from collector.problems import Problem, problem_of
from collector.settings import Settings
from collector.times import parse_time
from collector.turns import STEP_BYTES
from collector.users import SPACE, canonical_user_id, save_user
from collector.validation import LINES, read_user

USER_BYTES = 1024  # what a user of a batch takes in memory besides its text
_QUERIES = Path(__file__).parent / "queries"
_FIND = (_QUERIES / "find_user_ids.sql").read_bytes()
_CREATE = (_QUERIES / "create_user_ids.sql").read_bytes()
_ADD = (_QUERIES / "add_users.sql").read_bytes()
_SET_EMAILS = """
    update raw.user_ids set email = given.email
    from unnest(%(user_ids)s::text[], %(emails)s::text[]) as given (user_id, email)
    where user_ids.user_id = given.user_id
"""
_NUMBERS = """
    select number::text from (
        select nextval('raw.user_id_seq') as number from generate_series(1, %(count)s)
    ) as numbers
    where not exists (select from raw.user_ids where user_ids.user_id = numbers.number::text)
"""
# Another transaction took an id or an email first.
_RACES = (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected)


class Update(NamedTuple):
    """One user of a batch; `position` counts those of the request from 0."""

    position: int
    user: UserFields
    payload: str

    @property
    def user_id(self) -> str | None:
        """The id in the one text of it."""
        return None if self.user.user_id is None else canonical_user_id(self.user.user_id)

    @property
    def email(self) -> str | None:
        """The email, whatever its case and the space around it."""
        return self.user.email and self.user.email.strip(SPACE).lower()


class Batch(NamedTuple):
    """The users of a request, and why others were refused, by position."""

    updates: list[Update]
    rejected: dict[int, Problem]


def is_batch(body: bytes) -> bool:
    """Whether a body that is not NDJSON has several users."""
    return body.lstrip()[:1] == b"["


def read_batch(
    body: bytes, settings: Settings, take: Callable[[int], None], *, lines: bool
) -> Generator[None, None, Batch]:
    """Reads the users of an array or, with `lines`, one a line (NDJSON); yields now and then.

    `take` counts what they hold besides their text. A bad one is refused alone. Raises `Problem`
    where the body is no batch, or has more than `settings.max_events`.
    """
    if lines:
        texts = [found[0] for found in islice(LINES.finditer(body), settings.max_events + 1)]
    else:
        texts = yield from elements_of(body, settings.max_events)
    if len(texts) > settings.max_events:
        message = f"A request may have {settings.max_events} users at most; send several."
        raise Problem(413, "too_many_users", message)
    del body  # the texts are copies
    take(USER_BYTES * len(texts))
    batch = Batch([], {})
    size = 0
    for position, text in enumerate(texts):
        size += len(text)
        if size > STEP_BYTES:
            size = 0
            yield
        try:
            batch.updates.append(Update(position, *read_user(text, settings)))
        except Problem as problem:
            problem.__traceback__ = problem.__context__ = None  # they hold on to all that was read
            batch.rejected[position] = problem
    return batch


async def save_batch(connection: AsyncConnection, batch: Batch, key: Key) -> UserReceipt:
    """Creates or updates users in their order; returns what is answered.

    Raises `Problem` where none is accepted.
    """
    rejected = batch.rejected
    saved: dict[int, str] = {}
    for different in _rounds(batch.updates):
        try:
            async with connection.transaction():
                saved |= await _save(connection, different, key)
        except (*_RACES, psycopg.DataError):  # one by one: all but the one at fault are saved
            for update in different:
                try:
                    [user_id, _] = await save_user(connection, update.user, update.payload, key)
                    saved[update.position] = user_id
                except (Problem, psycopg.DataError) as error:
                    rejected[update.position] = problem_of(error)
    refused = refusals(rejected.items())
    if not saved:
        message = "No user was accepted; rejected says why."
        raise Problem(422, "nothing_accepted", message, members={"rejected": refused})
    return UserReceipt(len(saved), [saved[position] for position in sorted(saved)], refused)


def _rounds(updates: Sequence[Update]) -> Iterator[list[Update]]:
    """The updates in portions that name each user once, in their order.

    An email by itself also comes in a later portion than one that is given to a user: it may have
    been that user's until then.
    """
    batch: list[Update] = []
    named: set[tuple[str, str]] = set()
    gives_email = False
    for update in updates:
        names = {("id", update.user_id or ""), ("email", update.email or "")} - _NOBODY
        if names & named or (gives_email and update.user_id is None):
            yield batch
            batch, named, gives_email = [], set(), False
        batch.append(update)
        named |= names
        gives_email |= len(names) > 1
    if batch:
        yield batch


_NOBODY = {("id", ""), ("email", "")}


async def _save(connection: AsyncConnection, updates: Sequence[Update], key: Key) -> dict[int, str]:
    """Saves updates of different users; returns their ids by position.

    A userId says who it is. An email finds whom it belongs to, where there is no userId; with one
    it becomes that user's, unless it is another's.
    """
    known, owners = await _found(connection, updates)
    new = [each for each in updates if _id_of(each, known, owners) is None]
    if new:
        numbers = iter(await _numbers(connection, sum(each.user_id is None for each in new)))
        ids = [each.user_id or next(numbers) for each in new]
        emails = [None if each.email in owners else each.email for each in new]
        values: dict[str, Any] = {"user_ids": ids, "emails": emails}
        rows = await (await connection.execute(_CREATE, values)).fetchall()
        if len(rows) < len(new):
            raise psycopg.errors.UniqueViolation  # by a race: one by one finds who was faster
        for user_id, email in rows:
            known[user_id] = email
            if email is not None:
                owners[email] = user_id
    moved = [
        (each.user_id, each.email)
        for each in updates
        if each.user_id and each.email and each.email not in owners
    ]
    if moved:
        ids, emails = map(list, zip(*moved, strict=True))
        await connection.execute(_SET_EMAILS, {"user_ids": ids, "emails": emails})
        owners |= {email: user_id for user_id, email in moved if email and user_id}
    received_at = datetime.now(UTC)
    user_ids = {each.position: _id_of(each, known, owners) or "" for each in updates}
    values = {
        "received_at": received_at,
        "source": key.name,
        "key_id": key.key_id,
        "user_ids": list(user_ids.values()),
        "occurred_at": [
            parse_time(each.user.occurred_at) if each.user.occurred_at else received_at
            for each in updates
        ],
        "payloads": [each.payload for each in updates],
    }
    await connection.execute(_ADD, values)
    return user_ids


def _id_of(update: Update, known: dict[str, str | None], owners: dict[str, str]) -> str | None:
    if update.user_id is not None:
        return update.user_id if update.user_id in known else None
    return owners.get(update.email or "")


async def _found(
    connection: AsyncConnection, updates: Sequence[Update]
) -> tuple[dict[str, str | None], dict[str, str]]:
    """The users that there are: emails by id, and ids by email."""
    values = {
        "user_ids": [each.user_id for each in updates if each.user_id is not None],
        "emails": [each.email for each in updates if each.email],
    }
    rows = await (await connection.execute(_FIND, values)).fetchall()
    known: dict[str, str | None] = dict(rows)
    return known, {email: user_id for user_id, email in rows if email is not None}


async def _numbers(connection: AsyncConnection, count: int) -> list[str]:
    """Ids for users without one of their own, that no client gave to one of its users."""
    found: list[str] = []
    while len(found) < count:
        values = {"count": count - len(found)}
        found += [
            number for (number,) in await (await connection.execute(_NUMBERS, values)).fetchall()
        ]
    return found

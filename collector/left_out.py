"""Events and users that are not to be counted, by what they say or by whose they are.

What an answer says does not tell them from others: a write key reads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw
from msgspec.structs import replace
from psycopg import AsyncConnection
from psycopg.rows import scalar_row
from starlette.requests import Request

from collector.database import Database
from collector.json_text import OBJECT, decoded
from collector.registry import illegal_ids
from collector.settings import Settings
from collector.users import Saved, Update, new_numbers, text_of
from collector.validation import EVENT, Event, Received

# Browsers' Global Privacy Control (https://w3c.github.io/gpc/) and Do Not Track.
HEADERS = {"gpc": "sec-gpc", "dnt": "dnt"}
# Where an SDK of Segment says it: https://segment.com/docs/privacy/consent-management/.
CONSENT = ("segment", "context", "consent", "categoryPreferences")
_LEFT_OUT = b"select raw.left_out(%s::text[], %s::text[], %s::text[], %s, %s)"


class LeftOut:
    """Who and what is left out, by the settings."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.opted_out = settings.opted_out == "raw"
        self.erased = settings.after_erasure == "refuse"
        self.nobody = illegal_ids()

    async def sort(self, request: Request, received: Received) -> None:
        """Marks events that are not to be counted, and leaves out those not to be stored."""
        signal = self._signal(request)
        if signal or self.settings.consent_category:
            received.events[:] = [self._marked(each, signal) for each in received.events]
        if self.opted_out:
            received.leave_out({each.position for each in received.events if not each.is_counted})
        if (self.opted_out or self.erased) and received.events:
            ids = [EVENT.decode(each.payload) for each in received.events]
            users = [self._legal(text_of(each.user_id)) for each in ids]
            visitors = [self._legal(each.anonymous_id) for each in ids]
            async with self.database.connect(self.database.users) as connection:
                places = await self._find(connection, users, visitors, [None] * len(ids))
            received.leave_out({received.events[place].position for place in places})

    async def sort_users(
        self, connection: AsyncConnection, updates: Sequence[Update]
    ) -> tuple[Sequence[Update], dict[int, Saved]]:
        """The updates to store, and by position whom those of erased people seem to go to."""
        if not self.erased or not updates:
            return updates, {}
        users = [each.user_id for each in updates]
        emails = [each.email for each in updates]
        places = await self._find(connection, users, [None] * len(users), emails, users=True)
        numbers = iter(await new_numbers(connection, len(places)))
        seeming = {
            updates[place].position: Saved(updates[place].user_id or next(numbers), True)
            for place in places
        }
        return [each for each in updates if each.position not in seeming], seeming

    async def _find(
        self,
        connection: AsyncConnection,
        user_ids: Sequence[str | None],
        anonymous_ids: Sequence[str | None],
        emails: Sequence[str | None],
        *,
        users: bool = False,
    ) -> list[int]:
        """The places, from 0, of who is left out. Users are stored, though they opted out."""
        cursor = connection.cursor(row_factory=scalar_row)
        values = [
            [each and each.replace("\0", "") for each in column]
            for column in (user_ids, anonymous_ids, emails)
        ]
        await cursor.execute(_LEFT_OUT, [*values, self.opted_out and not users, self.erased])
        return [place - 1 for place in await cursor.fetchall()]

    def _signal(self, request: Request) -> str:
        for name in self.settings.privacy_signals:
            if request.headers.get(HEADERS[name]) == "1":
                return name
        return ""

    def _marked(self, event: Event, signal: str) -> Event:
        """The event, with what its sender wants in its payload, where that is not to be counted."""
        reason = signal or ("consent" if self._is_refused(event.payload) else "")
        if not reason:
            return event
        payload = event.payload.rstrip()[:-1] + b',"optedOut":"%b"}' % reason.encode()
        return replace(event, payload=payload, is_counted=False)

    def _is_refused(self, payload: bytes) -> bool:
        said: Raw | None = Raw(payload)
        for name in (*CONSENT, self.settings.consent_category):
            said = (decoded(OBJECT, said) or {}).get(name)  # of another form, it says nothing
        return said == Raw(b"false")

    def _legal(self, id_: str | None) -> str | None:
        return None if id_ is None or id_.strip().lower() in self.nobody else id_

"""The audit of erasures, which is also the journal by which one goes on that was killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from scripts.lib.privacy.people import Connection, Identity, name_people

_UNFINISHED = """
    select erasure_id, state = 'raw', destinations, counts from raw.erasures
    where state <> 'finished' order by erasure_id limit 1
"""
_BEGIN = """
    insert into raw.erasures (identity_hashes)
    select array_agg(secret.identity_hash(kind, id) order by kind, id) from named_people
    returning erasure_id
"""
_NOTE_IDENTITIES = """
    insert into secret.erasing_identities (erasure_id, kind, id)
    select %s, kind, id from named_people
"""
_IDENTITIES = "select kind, id from secret.erasing_identities where erasure_id = %s"
_GONE_FROM_RAW = "update raw.erasures set state = 'raw', counts = %s where erasure_id = %s"
_DONE = "update raw.erasures set destinations = destinations || %s::text where erasure_id = %s"
_COUNT = "update raw.erasures set counts = %s where erasure_id = %s"
_FINISHED = """
    update raw.erasures set state = 'finished', finished_at = now() where erasure_id = %s
"""
_FORGET = (
    "delete from secret.erasing_identities where erasure_id = %s",
    "delete from secret.erasing_rows where erasure_id = %s",
)


@dataclass(slots=True)
class Erasure:
    """One that has begun: rows by table, and the destinations that are done."""

    source: Connection
    erasure_id: int
    is_gone_from_raw: bool
    destinations: list[str]
    counts: Counter[str]

    def identities(self) -> list[Identity]:
        """Whom it is about."""
        return [Identity(*row) for row in self.source.execute(_IDENTITIES, [self.erasure_id])]

    def gone_from_raw(self, counts: Counter[str]) -> None:
        """Notes that the source has nothing of them; in the transaction in which that is so."""
        self.counts += counts
        self.source.execute(_GONE_FROM_RAW, [Jsonb(self.counts), self.erasure_id])

    def count(self, counts: Counter[str]) -> None:
        """Notes what was erased elsewhere."""
        self.counts += counts
        self.source.execute(_COUNT, [Jsonb(self.counts), self.erasure_id])

    def done(self, destination: str) -> None:
        """Notes that a destination has nothing of them either."""
        self.destinations.append(destination)
        self.source.execute(_DONE, [destination, self.erasure_id])

    def finish(self) -> None:
        """Forgets whom it was about: the audit stays."""
        with self.source.transaction():
            for statement in _FORGET:
                self.source.execute(statement.encode(), [self.erasure_id])
            self.source.execute(_FINISHED, [self.erasure_id])


def begin(source: Connection, identities: Collection[Identity]) -> Erasure:
    """Notes an erasure before anything is erased."""
    with source.transaction():
        name_people(source, identities)
        [erasure_id] = source.execute(_BEGIN).fetchone() or (0,)
        source.execute(_NOTE_IDENTITIES, [erasure_id])
    return Erasure(source, erasure_id, False, [], Counter())


def unfinished(source: Connection) -> Erasure | None:
    """The first that was begun and not finished."""
    row = source.execute(_UNFINISHED).fetchone()
    return Erasure(source, row[0], row[1], row[2], Counter(row[3])) if row else None

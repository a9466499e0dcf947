"""Prepares batches of records: what is to be sent of them, and what is known of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from scripts.lib.base.client import encode
from scripts.lib.replay.batches import Batch, Place
from scripts.lib.replay.identity import Identity
from scripts.lib.replay.making import Maker, look_at
from scripts.lib.replay.outcome import Outcome
from scripts.lib.replay.reading.files import logical_name
from scripts.lib.replay.replacing import free
from scripts.lib.replay.state import Run, Sent, State

MAX_TIME = len("2026-01-31T12:00:00.000000Z")  # PostgreSQL keeps no more


class Prepared(NamedTuple):
    """What is to be sent of a batch and remembered of it; `part` counts the rest.

    `times` are those of its events; None where they cannot be compared by their texts.
    """

    texts: Sequence[bytes]
    place_of: Callable[[int], Place]
    noted: Sent | None
    part: Outcome
    times: set[str] | None = None

    def may_overtake(self, other: Prepared) -> bool:
        """Whether it does not matter which of both batches arrives first.

        Marts order events by time, and those of one time by arrival.
        """
        if not self.times or not other.times:
            return False
        forms = {(len(at), at[10]) for at in (min(self.times), min(other.times))}
        return len(forms) == 1 and self.times.isdisjoint(other.times)


def comparable(times: set[str | None]) -> set[str] | None:
    """Times in UTC that are written alike, to the microsecond at most; None of others."""
    texts = {at for at in times if isinstance(at, str)}
    forms = {(len(at), at[10:11], at[-1:]) for at in texts}
    [(length, _, zone)] = forms if len(forms) == 1 else [(0, "", "")]
    is_alike = len(texts) == len(times) and zone == "Z" and length <= MAX_TIME
    return texts if is_alike else None


class Preparer:
    """Prepares the batches of one history, one after the other from its first record.

    `sent` is where what this and other runs sent is found.
    """

    def __init__(
        self, maker: Maker, identity: Identity, sent: tuple[State, Run] | None = None
    ) -> None:
        self._maker, self._sent = maker, sent
        self.identity = identity
        self._digest = blake2b(digest_size=16)

    def digest(self) -> str:
        """What tells the records so far from others."""
        return self._digest.hexdigest()

    def prepare(self, batch: Batch, part: Outcome, only: Sequence[str] = ()) -> Prepared:
        """Makes what a batch is to send; with `only`, the events of these types alone.

        Counts in `part` what became of the records, and the events that are not sent.
        """
        self._digest.update(batch.fingerprint())
        may_stand = batch.checksums is not None and not (self._maker.options.replace or only)
        return (may_stand and self._as_they_stand(batch, part)) or self._made(batch, part, only)

    def _as_they_stand(self, batch: Batch, part: Outcome) -> Prepared | None:
        """Lines of which nothing is to be said; None where one has to be looked at.

        The short way, since most of the time of such a history goes into taking it apart.
        """
        lines = [row for row in batch.rows if isinstance(row, bytes)]
        heads = self._maker.heads(lines)
        if heads is None:
            return None
        noted = None
        if self._maker.kind == "events":
            noted = Sent([head.event_id or "" for head in heads], batch.checksums or [])
            voided = self._sent and self._sent[0].voided(noted.event_ids)
            if voided or not self.identity.are_new(noted):
                return None
        part.mapped = part.events = len(heads)
        times = comparable({head.occurred_at for head in heads}) if noted else None
        return Prepared(lines, batch.place, noted, part, times)

    def _made(self, batch: Batch, part: Outcome, only: Sequence[str]) -> Prepared:
        """What is made of records one by one."""
        made, places = [], []
        for place, row in zip(batch.places, batch.rows, strict=True):
            for each in self._maker.made(place, row, part):
                made.append(each)
                places.append(place)
        self._maker.note(part)
        part.events = len(made)
        if self._maker.kind == "users":
            return Prepared([encode(user) for user in made], places.__getitem__, None, part)
        times = {each.get("occurredAt") if isinstance(each, dict) else None for each in made}
        named = self.identity.name(made, [logical_name(place.name) for place in places])
        if self._sent:
            named = free(named, *self._sent, replaces=self._maker.options.replace)
        for place, event in zip(places, named, strict=True):
            if event.standing == "repeated":
                part.repeated += 1
            elif event.standing == "conflict":
                part.conflicts += 1
                text = f"another event under the eventId {event.event_id!r}"
                part.example("conflict", place, text)
        noted = Sent([event.event_id for event in named], [event.content for event in named])
        if only:
            left = [n for n, each in enumerate(named) if look_at(each.text).event_type in only]
            part.already = len(named) - len(left)
            named, places = [named[n] for n in left], [places[n] for n in left]
        # Those that dbt moves to the edge of what is plausible have the time of others then.
        alike = None if self._maker.options.allow_times else comparable(times)
        return Prepared([event.text for event in named], places.__getitem__, noted, part, alike)

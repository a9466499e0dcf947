"""Makes events and users of the records of a history, and counts those that it makes nothing of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from scripts.lib.replay.batches import Place
from scripts.lib.replay.identity import Raw
from scripts.lib.replay.mapping.rules import RowMapping
from scripts.lib.replay.mapping.times import is_plausible
from scripts.lib.replay.mapping.values import RowError
from scripts.lib.replay.outcome import Outcome
from scripts.lib.replay.reading.documents import decoded_lines, parsed
from scripts.lib.replay.reading.records import BadRow, Row

BATCH_ROWS = 5000


@dataclass(frozen=True, slots=True)
class Options:
    """What a replay may do besides: see `scripts/replay --help`."""

    users: bool = False
    restart: bool = False
    replace: bool = False
    allow_times: bool = False
    skip_unsupported: bool = False
    dataset: str = ""
    batch_rows: int = BATCH_ROWS


class Head(msgspec.Struct, rename="camel", gc=False):
    """What a replay looks at in an event that is sent as it stands."""

    event_id: str | None = None
    event_type: str | None = None
    occurred_at: str | None = None


class Look(msgspec.Struct, rename="camel", gc=False):
    """What an event says, whatever it is, that is told before or sent by type."""

    event_type: Any = None
    occurred_at: Any = None


_heads = msgspec.json.Decoder(Head)
look_at = msgspec.json.Decoder(Look).decode


class Maker:
    """Makes what is to be sent of one history."""

    def __init__(
        self, rules: RowMapping | None, options: Options, supported: frozenset[str]
    ) -> None:
        self.rules, self.options, self.supported = rules, options, supported
        self.kind = rules.target if rules else "users" if options.users else "events"
        self.now = datetime.now(UTC)
        # Days of which every time is plausible, whatever its offset: most need not be read.
        self.days = f"{self.now.year - 49:04}", self.now.date().isoformat()

    def made(self, place: Place, row: Row, part: Outcome) -> list[Raw | dict[str, Any]]:
        """What is to be sent of one record; counts the record once, whatever it is."""
        if self.kind == "users":
            found = self._mapped(place, row, part)
            if found and self._is_wrong_time(found[0].get("occurredAt"), place, part):
                return []
            part.mapped += bool(found)
            return list(found)
        if isinstance(row, bytes):
            try:
                head = _heads.decode(row)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                head = Head()
            if head.event_id:
                if self._is_refused(head.event_type, head.occurred_at, place, part):
                    return []
                part.mapped += 1
                return [Raw(head.event_id, row)]
        events = self._mapped(place, row, part)
        for event in events:
            if self._is_refused(event.get("eventType"), event.get("occurredAt"), place, part):
                return []  # all events of a row, or none: a row is counted once
        part.mapped += bool(events)
        return list(events)

    def _mapped(self, place: Place, row: Row, part: Outcome) -> list[dict[str, Any]]:
        """What the mapping makes of a record; counts those that it makes nothing of."""
        if isinstance(row, bytes):
            row = parsed(row)
        if isinstance(row, BadRow):
            part.reject(place, row.code, row.message)
            return []
        if self.rules is None:
            return [row]
        if self.rules.needs_place:
            row = {**row, "$row": place.number, "$file": place.name}
        try:
            made = self.rules.apply(row)
        except RowError as error:
            part.reject(place, error.code, str(error))
            return []
        if made is None:
            part.skipped += 1
            return []
        return made

    def heads(self, rows: Sequence[Row]) -> list[Head] | None:
        """The heads of lines that are sent as they stand; None where one has to be looked at."""
        heads = decoded_lines(rows, _heads.decode_lines)
        if heads is None:
            return None
        oldest, today = self.days
        times = {head.occurred_at for head in heads}
        days = {at[:10] for at in times if at is not None}
        if not all(oldest < day < today for day in days):
            return None
        if self.kind == "users":
            return heads
        if not {head.event_type for head in heads} <= self.supported:
            return None
        return heads if all(head.event_id for head in heads) else None

    def _is_refused(self, kind: object, at: object, place: Place, part: Outcome) -> bool:
        if isinstance(kind, str) and kind not in self.supported:
            part.unsupported[kind] = part.unsupported.get(kind, 0) + 1
            if self.options.skip_unsupported:
                part.skipped += 1
            else:
                message = f"eventType {kind[:80]!r} is not supported"
                part.reject(place, "unsupported_event_type", message)
            return True
        return self._is_wrong_time(at, place, part)

    def _is_wrong_time(self, at: object, place: Place, part: Outcome) -> bool:
        if not isinstance(at, str) or self.options.allow_times:
            return False
        if self.days[0] < at[:10] < self.days[1]:
            return False
        try:
            if is_plausible(at, self.now):
                return False
        except (ValueError, TypeError):
            return False  # the collector says what is wrong with it
        part.reject(place, "implausible_time", f"{at} is over 50 years ago, or to come")
        return True

    def note(self, part: Outcome) -> None:
        """Puts what the mapping noted since the last time into `part`."""
        if self.rules:
            notes = self.rules.notes.take()
            part.left_out, part.times = dict(notes.left_out), dict(notes.times)

"""Makes events and users of the records of a history, and counts those that it makes nothing of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from scripts.lib.replay.documents import parsed
from scripts.lib.replay.files import History
from scripts.lib.replay.identity import Raw
from scripts.lib.replay.mapping import MappingError, RowMapping
from scripts.lib.replay.outcome import Outcome
from scripts.lib.replay.rows import BadRow, Record
from scripts.lib.replay.times import is_plausible
from scripts.lib.replay.values import RowError, cell

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


class Head(msgspec.Struct, rename="camel"):
    """What a replay looks at in an event that is sent as it stands."""

    event_id: str | None = None
    event_type: str | None = None
    occurred_at: str | None = None


head_of = msgspec.json.Decoder(Head).decode


class Maker:
    """Makes what is to be sent of one history."""

    def __init__(
        self,
        rules: RowMapping | None,
        options: Options,
        supported: frozenset[str],
        *,
        several: bool,
    ) -> None:
        self.rules, self.options, self.supported = rules, options, supported
        self.several = several
        self.needs_place = rules is not None and rules.needs_place
        self.now = datetime.now(UTC)
        # Days of which every time is plausible, whatever its offset: most need not be read.
        self.days = f"{self.now.year - 49:04}", self.now.date().isoformat()

    def place(self, name: str, number: int) -> str:
        """Where a record is, for a person."""
        return f"{name}, row {number}" if self.several else f"row {number}"

    def applied(self, name: str, record: Record, part: Outcome) -> list[dict[str, Any]]:
        """What the mapping makes of a record; counts those that it makes nothing of."""
        row = record.row
        if isinstance(row, BadRow):
            part.reject(self.place(name, record.place), row.code, row.message)
            return []
        if isinstance(row, bytes) or self.rules is None:
            return [] if isinstance(row, bytes) else [row]
        if self.needs_place:
            row = {**row, "$row": record.place, "$file": name}
        try:
            made = self.rules.apply(row)
        except RowError as error:
            part.reject(self.place(name, record.place), error.code, str(error))
            return []
        if made is None:
            part.skipped += 1
            return []
        return made

    def events_of(self, name: str, record: Record, part: Outcome) -> list[Raw | dict[str, Any]]:
        """The events of one record that can be sent; counts the record once, whatever it is."""
        row = record.row
        if isinstance(row, bytes):
            try:
                head = head_of(row)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                head = Head()
            if head.event_id:
                if self._is_refused(head.event_type, head.occurred_at, name, record, part):
                    return []
                part.mapped += 1
                return [Raw(head.event_id, row.strip())]
            record = Record(record.place, parsed(row))
        made = self.applied(name, record, part)
        for event in made:
            kind, occurred_at = event.get("eventType"), event.get("occurredAt")
            if self._is_refused(kind, occurred_at, name, record, part):
                return []  # all events of a row, or none: a row is counted once
        part.mapped += bool(made)
        return list(made)

    def lines_of(self, rows: Sequence[object]) -> list[tuple[str, bytes]] | None:
        """The ids and lines of events that are sent as they stand; None where one is not so."""
        oldest, today = self.days
        found = []
        try:
            for row in rows:
                head = head_of(row)  # type: ignore[arg-type]
                at = head.occurred_at
                if (
                    not head.event_id
                    or head.event_type not in self.supported
                    or (at is not None and not oldest < at[:10] < today)
                ):
                    return None
                found.append((head.event_id, row.strip()))  # type: ignore[attr-defined]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
            return None
        return found

    def _is_refused(
        self, kind: object, occurred_at: object, name: str, record: Record, part: Outcome
    ) -> bool:
        if isinstance(kind, str) and kind not in self.supported:
            part.unsupported[kind] = part.unsupported.get(kind, 0) + 1
            if self.options.skip_unsupported:
                part.skipped += 1
            else:
                message = f"eventType {kind[:80]!r} is not supported"
                part.reject(self.place(name, record.place), "unsupported_event_type", message)
            return True
        if not isinstance(occurred_at, str) or self.days[0] < occurred_at[:10] < self.days[1]:
            return False
        return self._is_wrong_time(occurred_at, name, record, part)

    def _is_wrong_time(self, occurred_at: object, name: str, record: Record, part: Outcome) -> bool:
        if not isinstance(occurred_at, str):
            return False
        try:
            if self.options.allow_times or is_plausible(occurred_at, self.now):
                return False
        except (ValueError, TypeError):
            return False  # the collector says what is wrong with it
        message = f"{occurred_at} is over 50 years ago, or to come"
        part.reject(self.place(name, record.place), "implausible_time", message)
        return True

    def users_of(self, name: str, record: Record, part: Outcome) -> list[dict[str, Any]]:
        """The user of one record, if it can be sent; counts the record once, whatever it is."""
        made = self.applied(name, record, part)
        if made and self._is_wrong_time(made[0].get("occurredAt"), name, record, part):
            return []
        part.mapped += bool(made)
        return made

    def note(self, part: Outcome) -> None:
        """Puts what the mapping noted since the last time into `part`."""
        if self.rules:
            notes = self.rules.notes.take()
            part.left_out, part.times = dict(notes.left_out), dict(notes.times)


def check_columns(rules: RowMapping, history: History, rows: Sequence[dict[str, Any]]) -> None:
    """Raises MappingError where the mapping names what the history does not have."""
    if history.columns is not None:
        heads = set(history.columns)
        wrong = rules.missing(
            history.columns, lambda name: name in heads or name.partition(".")[0] in heads
        )
    elif rows:
        paths = list(dict.fromkeys(path for row in rows[:200] for path in _paths(row)))
        known = set(paths)
        for row in rows[200:]:
            known.update(row)
        wrong = rules.missing(
            paths, lambda name: name in known or any(_is_there(row, name) for row in rows)
        )
    else:
        return
    if wrong:
        files = ", ".join(path.name for path in history.files[:3])
        raise MappingError(
            f"{files}: {wrong}. Where it is there in later rows only: optional: true"
        )


def _is_there(row: dict[str, Any], path: str) -> bool:
    if cell(row, path) is not None:
        return True
    value: Any = row
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True


def _paths(row: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in row.items():
        yield prefix + name
        if isinstance(value, dict) and prefix.count(".") < 3:
            yield from _paths(value, f"{prefix}{name}.")


def unsupported_text(types: Sequence[str]) -> str:
    """What to do about event types that the collector does not support."""
    rows = "\n".join(
        f"  {name},product,true,{name.replace('_', ' ').capitalize()}" for name in types
    )
    return (
        f"the collector does not support these event types yet: {', '.join(types)}. Nothing is "
        f"sent. Add them to dbt_project/seeds/event_types.csv:\n{rows}\n"
        "and what is planned of their attributes to event_properties.csv, start the collector "
        "again, and give this command again. Or leave them out with --skip-unsupported."
    )

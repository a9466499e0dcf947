"""What a mapping makes of a row: events, or a user."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from scripts.lib.replay.mapping.values import Reader, Row, RowError, UnmappedError, as_text
from scripts.lib.replay.reading.records import FileOptions

EVENT_FIELDS = ("eventType", "userId", "anonymousId", "occurredAt", "sentAt", "eventId", "activity")
_USER_FIELDS = ("userId", "email", "occurredAt")
_TEXTS = ("eventType", "eventId", "anonymousId")
ROW_COLUMNS = ("$row", "$file")  # of every row: its number or line, and the name of its file


@dataclass(slots=True)
class Notes:
    """What did not cost a row but is worth telling, counted; `take` empties it."""

    left_out: Counter[str] = field(default_factory=Counter)
    times: Counter[str] = field(default_factory=Counter)

    def take(self) -> Notes:
        """What was noted since the last time."""
        taken = Notes(self.left_out, self.times)
        self.left_out, self.times = Counter(), Counter()
        return taken


class Source(NamedTuple):
    """Where the value of a field comes from; None stands for an empty cell, left out.

    Only events of types that fit one of `only`, where there is one, carry the field.
    """

    name: str
    read: Reader
    required: bool = False
    only: tuple[Callable[[str], bool], ...] = ()


class Item:
    """One event, or user, that a row becomes; `types` are event types that the mapping names."""

    def __init__(
        self,
        fields: Sequence[Source],
        activity: Sequence[Source],
        where: Callable[[Row], bool] | None,
        types: frozenset[str],
    ) -> None:
        self.fields, self.where, self.types = fields, where, types

        @lru_cache(maxsize=1000)
        def attributes(event_type: str) -> Sequence[Source]:
            return [
                source
                for source in activity
                if not source.only or any(fits(event_type) for fits in source.only)
            ]

        self.attributes = attributes


@dataclass(frozen=True, slots=True)
class RowMapping:
    """A parsed mapping file."""

    target: Literal["events", "users"]
    items: tuple[Item, ...]
    where: Callable[[Row], bool] | None
    skip_unmapped: bool
    columns: tuple[frozenset[str], ...]
    needs_place: bool  # whether it asks for the number of a row or the name of its file
    file: FileOptions
    dataset: str
    notes: Notes
    meaning: object  # the document as YAML has it, without its spelling

    @property
    def event_types(self) -> frozenset[str]:
        """The event types that it names."""
        return frozenset().union(*(item.types for item in self.items))

    def apply(self, row: Row) -> list[dict[str, Any]] | None:
        """The events or the user of one row; None where it is skipped. Raises RowError."""
        if self.where and not self.where(row):
            return None
        made = []
        try:
            for item in self.items:
                if item.where is None or item.where(row):
                    made.append(self._made(item, row))
        except UnmappedError:
            if self.skip_unmapped:
                return None
            raise
        return made or None

    def _made(self, item: Item, row: Row) -> dict[str, Any]:
        result: dict[str, Any] = {}
        if self.target == "users":
            self._fill(result, item.fields, row, _USER_FIELDS)
            if "userId" not in result and "email" not in result:
                raise RowError("missing", "email and userId: empty in this row")
            return result
        self._fill(result, item.fields, row, EVENT_FIELDS)
        if "eventType" not in result:
            raise RowError("missing", "eventType: empty in this row")
        if "userId" not in result and "anonymousId" not in result:
            raise RowError("missing", "userId and anonymousId: empty in this row")
        for name in _TEXTS:
            if name in result and type(result[name]) is not str:
                result[name] = as_text(result[name])
        activity = result.setdefault("activity", {})
        if not isinstance(activity, dict):
            raise RowError("wrong_type", "activity is no object in this row")
        self._fill(activity, item.attributes(result["eventType"]), row, ())
        return result

    def _fill(
        self,
        result: dict[str, Any],
        sources: Iterable[Source],
        row: Row,
        needed: Sequence[str],
    ) -> None:
        """Adds the fields of a row; one that cannot be read is left out, but for those needed."""
        for name, read, required, _ in sources:
            try:
                value = read(row)
            except RowError as error:
                if name in needed:
                    raise
                self._leave_out(error)
                continue
            if value is not None:
                result[name] = value
            elif required:
                raise RowError("missing", f"{name}: empty in this row")

    def _leave_out(self, error: RowError) -> None:
        if isinstance(error, UnmappedError) and self.skip_unmapped:
            raise error
        self.notes.left_out[str(error)] += 1

    def missing(self, seen: Iterable[str], has: Callable[[str], bool]) -> str | None:
        """What is wrong where the file lacks a column; `seen` are the names to offer instead."""
        for group in self.columns:
            if group & set(ROW_COLUMNS) or any(has(name) for name in group):
                continue
            name = sorted(group)[0]
            names = list(seen)
            near = difflib.get_close_matches(name, names, 1)
            hint = f" (is it {near[0]!r}?)" if near else ""
            return f"the mapping names the column {name!r}{hint}; the file has {', '.join(names)}"
        return None

"""Reads from a mapping file where each field comes from, and which rows it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from scripts.lib.replay.mapping import values
from scripts.lib.replay.mapping.checks import MappingError, known, members_of, texts_of
from scripts.lib.replay.mapping.rules import Notes, Source
from scripts.lib.replay.mapping.times import EPOCHS, TimeError, TimeReader, zone
from scripts.lib.replay.mapping.values import Reader, Row, RowError

TIMES = ("occurredAt", "sentAt")
SOURCE_KEYS = (
    "from", "value", "values", "others", "type", "decimal", "thousands", "format", "time_zone",
    "shift_days", "only", "where", "required", "optional",
)  # fmt: skip
_CONDITIONS = ": must be a text, a list, {not: …}, {empty: true} or {is: …, optional: true}"
_TYPES = ("text", "number", "boolean", "json", "time")


class Fields:
    """Reads the fields of one mapping, and what it says of all of them.

    `names` are the columns that the mapping names, and `columns` those that have to be there, in
    groups of which one will do.
    """

    def __init__(self, top: Mapping[str, Any]) -> None:
        self.notes = Notes()
        self.names: set[str] = set()
        self.columns: list[frozenset[str]] = []
        self._nulls = frozenset(texts_of(top.get("null_values", []), "null_values"))
        self._time_zone = zone_of(top, "the file")

    def sources(self, members: object, where: str, *, attributes: bool = False) -> list[Source]:
        """The fields of a part of the mapping. Raises MappingError."""
        return [
            self._source(name, spec, f"{where}.{name}", attributes=attributes)
            for name, spec in members_of(members, where).items()
        ]

    def _source(self, name: str, spec: object, where: str, *, attributes: bool) -> Source:
        if isinstance(spec, str | list):
            spec = {"from": spec}
        members = members_of(spec, where)
        known(members, SOURCE_KEYS, where)
        if ("from" in members) == ("value" in members):
            raise MappingError(f"{where}: needs one of 'from' and 'value'")
        only = tuple(map(values.matcher, texts_of(members.get("only", []), f"{where}.only")))
        if only and not attributes:
            raise MappingError(f"{where}: 'only' is for fields of event.activity")
        required = _flag(members, "required", where, name == "occurredAt" and not attributes)
        if "value" in members:
            constant = members["value"]
            read: Reader = lambda _: constant  # noqa: E731
            groups: list[frozenset[str]] = []
        else:
            read, groups = self._from(members["from"], where)
        if not _flag(members, "optional", where, default=False):
            self.columns += groups
        if "where" in members:
            read = _guarded(read, self.where(members["where"], f"{where}.where"))
        if "values" in members:
            others = members.get("others", "error")
            if others not in ("error", "keep", "leave_out"):
                raise MappingError(f"{where}.others: must be error, keep or leave_out")
            entries = members_of(members["values"], f"{where}.values")
            read = values.translated(read, entries, where, others)
        read = self._typed(read, name, members, where, attributes=attributes)
        return Source(name, read, required, only)

    def _from(self, spec: object, where: str) -> tuple[Reader, list[frozenset[str]]]:
        texts = spec if isinstance(spec, list) else [spec]
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise MappingError(
                f"{where}.from: must be the name of a column, a text with {{columns}}, or a list "
                "of them, of which the first that is not empty counts"
            )
        found = [values.template_reader(text, self._nulls) for text in texts]
        self.names.update(name for _, names in found for name in names)
        if len(found) == 1:
            [(read, names)] = found
            return read, [frozenset([name]) for name in names]
        every = frozenset(name for _, names in found for name in names)
        return values.first_of(read for read, _ in found), [every]

    def _typed(
        self, read: Reader, name: str, members: Mapping[str, Any], where: str, *, attributes: bool
    ) -> Reader:
        is_time = name in TIMES and not attributes
        kind = members.get("type", "time" if is_time else None)
        if kind is not None and kind not in _TYPES:
            raise MappingError(f"{where}.type: must be {', '.join(_TYPES)}, not {kind!r}")
        for key, kinds in (
            ("decimal", ("number",)), ("thousands", ("number",)),
            ("format", ("time",)), ("time_zone", ("time",)), ("shift_days", ("time",)),
        ):  # fmt: skip
            if key in members and kind not in kinds:
                raise MappingError(f"{where}: {key!r} is for type: {kinds[0]}")
        match kind:
            case "number":
                marks = members.get("decimal", "."), members.get("thousands", "")
                sizes = [len(mark) if isinstance(mark, str) else -1 for mark in marks]
                if sizes not in ([1, 0], [1, 1]) or marks[0] == marks[1]:
                    raise MappingError(f"{where}: decimal and thousands are one character each")
                return values.converted(read, values.number(where, *marks))
            case "boolean":
                return values.converted(read, values.boolean(where))
            case "json":
                return values.converted(read, values.json(where))
            case "text":
                return values.converted(read, values.as_text)
            case "time":
                return self._timed(read, members, where)
        return read

    def _timed(self, read: Reader, members: Mapping[str, Any], where: str) -> Reader:
        formats = texts_of(members.get("format", []), f"{where}.format")
        for each in formats:
            if each != "iso" and each not in EPOCHS and "%" not in each:
                raise MappingError(
                    f"{where}.format: must be iso, {', '.join(EPOCHS)}, or a text with the codes "
                    f"of strptime like %d.%m.%Y %H:%M, not {each!r}"
                )
        days = members.get("shift_days", 0)
        if not isinstance(days, int) or abs(days) > 3_000_000:
            raise MappingError(f"{where}.shift_days: must be a whole number of days")
        time_zone = zone_of(members, where) or self._time_zone
        reader = TimeReader(
            formats,
            time_zone,
            timedelta(days=days),
            self._tell,
            local_epochs="time_zone" in members,
        )

        def time(value: object) -> str:
            try:
                return reader.read(value)
            except (TimeError, OverflowError) as error:
                raise RowError("invalid_time", f"{where} {error}") from None

        return values.converted(read, time)

    def _tell(self, text: str) -> None:
        self.notes.times[text] += 1

    def where(self, spec: object, where: str) -> Callable[[Row], bool]:
        """Tells of a row whether all conditions hold. Raises MappingError."""
        conditions = []
        for column, each in members_of(spec, where).items():
            self.names.add(column)
            fits = _condition(each, f"{where}.{column}")
            optional = isinstance(each, dict) and "optional" in each
            if not optional and not fits(None):  # one that holds without it does not ask for it
                self.columns.append(frozenset([column]))
            conditions.append((values.column_reader(column, self._nulls), fits))

        def holds(row: Row) -> bool:
            return all(fits(read(row)) for read, fits in conditions)

        return holds


def _guarded(read: Reader, where: Callable[[Row], bool]) -> Reader:
    return lambda row: read(row) if where(row) else None


def _condition(spec: object, where: str) -> Callable[[object], bool]:
    """Tells whether a value is as a `where` says: a text, a list of them, `not` or `empty`."""
    if isinstance(spec, dict):
        if set(spec) == {"is", "optional"} and spec["optional"] is True:
            return _condition(spec["is"], where)
        if set(spec) == {"empty"} and isinstance(spec["empty"], bool):
            return lambda value: (value is None) == spec["empty"]
        if set(spec) == {"not"}:
            fits = _condition(spec["not"], where)
            return lambda value: not fits(value)
        raise MappingError(where + _CONDITIONS)
    each = spec if isinstance(spec, list) else [spec]
    if not each or any(isinstance(one, dict | list) or one is None for one in each):
        raise MappingError(where + _CONDITIONS)
    patterns = [values.matcher(values.as_text(one)) for one in each]

    def fits_one(value: object) -> bool:
        return value is not None and any(fits(values.as_text(value)) for fits in patterns)

    return fits_one


def zone_of(members: Mapping[str, Any], where: str) -> str | None:
    """The time zone that a part of the mapping names. Raises MappingError where there is none."""
    name = members.get("time_zone")
    if name is None:
        return None
    try:
        zone(str(name))
    except ValueError as error:
        raise MappingError(f"{where}: time_zone: {error}") from None
    return str(name)


def _flag(members: Mapping[str, Any], name: str, where: str, default: bool) -> bool:
    value = members.get(name, default)
    if not isinstance(value, bool):
        raise MappingError(f"{where}.{name}: must be true or false")
    return value

"""Mapping files of `scripts/replay`: how a row of a history becomes events or a user.

docs/replay.md describes every key.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import yaml

from scripts.lib.base.cli import UserError
from scripts.lib.replay import values
from scripts.lib.replay.rows import FileOptions
from scripts.lib.replay.times import EPOCHS, TimeError, TimeReader, zone
from scripts.lib.replay.values import Reader, Row, RowError, UnmappedError

EVENT_FIELDS = ("eventType", "userId", "anonymousId", "occurredAt", "sentAt", "eventId", "activity")
TIMES = ("occurredAt", "sentAt")
NEEDED = {"events": (("eventType",), ("userId", "anonymousId")), "users": (("email", "userId"),)}
TOP_KEYS = (
    "event", "events", "user", "unmapped", "where", "null_values", "time_zone", "file", "dataset",
)  # fmt: skip
SOURCE_KEYS = (
    "from", "value", "values", "others", "type", "decimal", "thousands", "format", "time_zone",
    "shift_days", "only", "where", "required", "optional",
)  # fmt: skip
_TYPES = ("text", "number", "boolean", "json", "time")
_ROW_COLUMNS = ("$row", "$file")  # of every row: its number or line, and the name of its file


class MappingError(UserError):
    """The mapping file is wrong; says where and what to write instead."""


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


@dataclass(frozen=True, slots=True)
class Source:
    """Where the value of one field comes from; None stands for an empty cell, left out."""

    read: Reader
    columns: tuple[frozenset[str], ...]  # of each, one at least has to be there
    only: tuple[Callable[[str], bool], ...] = ()
    required: bool = False

    def applies_to(self, event_type: str) -> bool:
        """Whether events of this type carry the field."""
        return not self.only or any(fits(event_type) for fits in self.only)


@dataclass(frozen=True, slots=True)
class Item:
    """One event, or user, that a row becomes."""

    fields: Mapping[str, Source]
    activity: Mapping[str, Source]
    where: Callable[[Row], bool] | None
    types: frozenset[str]  # event types that the mapping itself names


@dataclass(frozen=True, slots=True)
class RowMapping:
    """A parsed mapping file."""

    target: Literal["events", "users"]
    items: tuple[Item, ...]
    where: Callable[[Row], bool] | None
    skip_unmapped: bool
    columns: tuple[frozenset[str], ...]
    file: FileOptions
    dataset: str
    notes: Notes
    meaning: object  # the document as YAML has it, without its spelling

    @property
    def needs_place(self) -> bool:
        """Whether it asks for the number of a row or the name of its file."""
        return any(name in group for group in self.columns for name in _ROW_COLUMNS)

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
        is_event = self.target == "events"
        for name, source in item.fields.items():
            try:
                value = source.read(row)
            except RowError as error:
                if is_event or name in ("userId", "email", "occurredAt"):
                    raise
                self._leave_out(error)
                continue
            if value is not None:
                result[name] = value
            elif source.required:
                raise RowError("missing", f"{name}: empty in this row")
        if not is_event:
            if "userId" not in result and "email" not in result:
                raise RowError("missing", "email and userId: empty in this row")
            return result
        if "eventType" not in result:
            raise RowError("missing", "eventType: empty in this row")
        if "userId" not in result and "anonymousId" not in result:
            raise RowError("missing", "userId and anonymousId: empty in this row")
        for name in ("eventType", "eventId", "anonymousId"):
            if name in result and type(result[name]) is not str:
                result[name] = values.as_text(result[name])
        activity = result.setdefault("activity", {})
        if not isinstance(activity, dict):
            raise RowError("wrong_type", "activity is no object in this row")
        self._add_attributes(activity, item, result["eventType"], row)
        return result

    def _add_attributes(
        self, activity: dict[str, Any], item: Item, event_type: str, row: Row
    ) -> None:
        for name, source in item.activity.items():
            if source.only and not source.applies_to(event_type):
                continue
            try:
                value = source.read(row)
            except RowError as error:
                self._leave_out(error)
                continue
            if value is not None:
                activity[name] = value
            elif source.required:
                raise RowError("missing", f"activity.{name}: empty in this row")

    def _leave_out(self, error: RowError) -> None:
        if isinstance(error, UnmappedError) and self.skip_unmapped:
            raise error
        self.notes.left_out[str(error)] += 1

    def missing(self, seen: Iterable[str], has: Callable[[str], bool]) -> str | None:
        """What is wrong where the file lacks a column; `seen` are the names to offer instead."""
        for group in self.columns:
            if group & set(_ROW_COLUMNS) or any(has(name) for name in group):
                continue
            name = sorted(group)[0]
            names = list(seen)
            near = difflib.get_close_matches(name, names, 1)
            hint = f" (is it {near[0]!r}?)" if near else ""
            return f"the mapping names the column {name!r}{hint}; the file has {', '.join(names)}"
        return None


def load_mapping(path: Path) -> RowMapping:
    """Reads a mapping file. Raises MappingError, naming the key that is wrong."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MappingError(f"{path}: cannot be read: {error}") from error
    try:
        return parse_mapping(document)
    except MappingError as error:
        raise MappingError(f"{path}: {error}") from None


def parse_mapping(document: object) -> RowMapping:
    """Checks the content of a mapping file. Raises MappingError, naming the key that is wrong."""
    return _Parser(_mapping(document, "the file")).parsed()


class _Parser:
    """One pass over a document; what it says of all fields is at hand for each of them."""

    def __init__(self, top: Mapping[str, Any]) -> None:
        _known(top, TOP_KEYS, "the file")
        self.top = top
        self.notes = Notes()
        self.nulls = frozenset(_texts(top.get("null_values", []), "null_values"))
        self.time_zone = self._time_zone(top, "the file")
        self.columns: list[frozenset[str]] = []

    def parsed(self) -> RowMapping:
        top = self.top
        if [key in top for key in ("event", "events", "user")].count(True) != 1:
            raise MappingError("the file needs one of 'event', 'events' and 'user'")
        unmapped = top.get("unmapped", "error")
        if unmapped not in ("error", "skip"):
            raise MappingError("unmapped: must be 'error' or 'skip'")
        target: Literal["events", "users"] = "users" if "user" in top else "events"
        if "events" in top:
            if not isinstance(top["events"], list) or not top["events"]:
                raise MappingError("events: must be a list of events")
            items = [self._item(each, f"events[{n}]") for n, each in enumerate(top["events"])]
        else:
            key = "user" if "user" in top else "event"
            items = [self._item(top[key], key)]
        where = self._where(top["where"], "where") if "where" in top else None
        dataset = top.get("dataset", "")
        if not isinstance(dataset, str):
            raise MappingError("dataset: must be a text")
        return RowMapping(
            target, tuple(items), where, unmapped == "skip", tuple(self.columns),
            self._file(top.get("file")), dataset, self.notes, top,
        )  # fmt: skip

    def _item(self, spec: object, key: str) -> Item:
        members = dict(_mapping(spec, key))
        is_event = key != "user"
        activity: dict[str, Source] = {}
        where = members.pop("where", None) if is_event else None
        if is_event:
            _known(members, EVENT_FIELDS, key)
            if isinstance(members.get("activity"), dict) and not _is_source(members["activity"]):
                activity = self._sources(
                    members.pop("activity"), f"{key}.activity", attributes=True
                )
        for names in NEEDED["events" if is_event else "users"]:
            if not any(name in members for name in names):
                raise MappingError(f"{key}: needs {' or '.join(names)}")
        types: set[str] = set()
        kind = members.get("eventType")
        if isinstance(kind, dict):
            types = {str(each) for each in (kind.get("values") or {}).values()} | {
                str(kind[name]) for name in ("value",) if name in kind
            }
        return Item(
            self._sources(members, key),
            activity,
            self._where(where, f"{key}.where") if where is not None else None,
            frozenset(types - {"None"}),
        )

    def _sources(
        self, members: object, where: str, *, attributes: bool = False
    ) -> dict[str, Source]:
        return {
            name: self._source(name, spec, f"{where}.{name}", attributes=attributes)
            for name, spec in _mapping(members, where).items()
        }

    def _source(self, name: str, spec: object, where: str, *, attributes: bool) -> Source:
        if isinstance(spec, str | list):
            spec = {"from": spec}
        members = _mapping(spec, where)
        _known(members, SOURCE_KEYS, where)
        if ("from" in members) == ("value" in members):
            raise MappingError(f"{where}: needs one of 'from' and 'value'")
        only = tuple(map(values.matcher, _texts(members.get("only", []), f"{where}.only")))
        if only and not attributes:
            raise MappingError(f"{where}: 'only' is for fields of event.activity")
        required = self._flag(members, "required", where, name == "occurredAt" and not attributes)
        if "value" in members:
            constant = members["value"]
            read: Reader = lambda _: constant  # noqa: E731
            groups: list[frozenset[str]] = []
        else:
            read, groups = self._from(members["from"], where)
        if not self._flag(members, "optional", where, default=False):
            self.columns += groups
        if "where" in members:
            read = _guarded(read, self._where(members["where"], f"{where}.where"))
        if "values" in members:
            others = members.get("others", "error")
            if others not in ("error", "keep", "leave_out"):
                raise MappingError(f"{where}.others: must be error, keep or leave_out")
            entries = _mapping(members["values"], f"{where}.values")
            read = values.translated(read, entries, where, others)
        read = self._typed(read, name, members, where, attributes=attributes)
        return Source(read, tuple(groups), only, required)

    def _from(self, spec: object, where: str) -> tuple[Reader, list[frozenset[str]]]:
        texts = spec if isinstance(spec, list) else [spec]
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise MappingError(
                f"{where}.from: must be the name of a column, a text with {{columns}}, or a list "
                "of them, of which the first that is not empty counts"
            )
        found = [values.template_reader(text, self.nulls) for text in texts]
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
                if not all(isinstance(mark, str) and len(mark) <= 1 for mark in marks):
                    raise MappingError(f"{where}: decimal and thousands are one character each")
                return values.number_reader(read, where, *marks)
            case "boolean":
                return values.boolean_reader(read, where)
            case "json":
                return values.json_reader(read, where)
            case "text":
                return values.text_reader(read)
            case "time":
                return self._timed(read, members, where)
        return read

    def _timed(self, read: Reader, members: Mapping[str, Any], where: str) -> Reader:
        formats = _texts(members.get("format", []), f"{where}.format")
        for each in formats:
            if each != "iso" and each not in EPOCHS and "%" not in each:
                raise MappingError(
                    f"{where}.format: must be iso, {', '.join(EPOCHS)}, or a text with the codes "
                    f"of strptime like %d.%m.%Y %H:%M, not {each!r}"
                )
        days = members.get("shift_days", 0)
        if not isinstance(days, int) or abs(days) > 3_000_000:
            raise MappingError(f"{where}.shift_days: must be a whole number of days")
        time_zone = self._time_zone(members, where) or self.time_zone
        reader = TimeReader(formats, time_zone, timedelta(days=days), self._tell)

        def read_time(row: Row) -> str | None:
            value = read(row)
            if value is None:
                return None
            try:
                return reader.read(value)
            except (TimeError, OverflowError) as error:
                raise RowError("invalid_time", f"{where} {error}") from None

        return read_time

    def _tell(self, text: str) -> None:
        self.notes.times[text] += 1

    def _where(self, spec: object, where: str) -> Callable[[Row], bool]:
        conditions = []
        for column, each in _mapping(spec, where).items():
            fits = _condition(each, f"{where}.{column}")
            optional = isinstance(each, dict) and "optional" in each
            if not optional and not fits(None):  # one that holds without it does not ask for it
                self.columns.append(frozenset([column]))
            conditions.append((values.column_reader(column, self.nulls), fits))

        def holds(row: Row) -> bool:
            return all(fits(read(row)) for read, fits in conditions)

        return holds

    def _file(self, spec: object) -> FileOptions:
        if spec is None:
            return FileOptions()
        members = dict(_mapping(spec, "file"))
        _known(members, tuple(each.name for each in fields(FileOptions)), "file")
        if members.get("separator") in ("\\t", "tab"):
            members["separator"] = "\t"
        skip = members.get("skip_lines", 0)
        if not isinstance(skip, int) or skip < 0:
            raise MappingError("file.skip_lines: must be a number of lines")
        for key in ("separator", "quote"):
            if key in members and (not isinstance(members[key], str) or len(members[key]) != 1):
                raise MappingError(f"file.{key}: must be one character")
        columns = _texts(members.get("columns", []), "file.columns")
        if len(set(columns)) < len(columns):
            raise MappingError("file.columns: has a name twice")
        if "format" in members and members["format"] not in (
            "csv",
            "json",
            "parquet",
            "excel",
            "xes",
        ):
            raise MappingError("file.format: must be csv, json, parquet, excel or xes")
        try:
            "".encode(members.get("encoding", "utf-8"))
        except (LookupError, TypeError):
            raise MappingError(f"file.encoding: there is no {members['encoding']!r}") from None
        return FileOptions(**{**members, "columns": columns})

    @staticmethod
    def _time_zone(members: Mapping[str, Any], where: str) -> str | None:
        name = members.get("time_zone")
        if name is None:
            return None
        try:
            zone(str(name))
        except ValueError as error:
            raise MappingError(f"{where}: time_zone: {error}") from None
        return str(name)

    @staticmethod
    def _flag(members: Mapping[str, Any], name: str, where: str, default: bool) -> bool:
        value = members.get(name, default)
        if not isinstance(value, bool):
            raise MappingError(f"{where}.{name}: must be true or false")
        return value


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
        raise MappingError(
            f"{where}: must be a text, a list, {{not: …}}, {{empty: true}} "
            "or {is: …, optional: true}"
        )
    each = spec if isinstance(spec, list) else [spec]
    if not each or any(isinstance(one, dict | list) or one is None for one in each):
        raise MappingError(
            f"{where}: must be a text, a list, {{not: …}}, {{empty: true}} "
            "or {is: …, optional: true}"
        )
    patterns = [values.matcher(values.as_text(one)) for one in each]

    def fits_one(value: object) -> bool:
        return value is not None and any(fits(values.as_text(value)) for fits in patterns)

    return fits_one


def _is_source(spec: Mapping[str, Any]) -> bool:
    """Whether `activity` is the source of a whole object rather than the fields of one."""
    return isinstance(spec.get("from"), str) and spec.get("type") == "json"


def _texts(value: object, where: str) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise MappingError(f"{where}: must be a text or a list of them")
    return tuple(texts)


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not value:
        raise MappingError(f"{where}: must be a mapping of names to values")
    for name in value:
        if not isinstance(name, str):
            raise MappingError(f"{where}: the key {name!r} must be text; put it in quotes")
    return value


def _known(members: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in members:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f", is it {near[0]!r}?" if near else ""
            raise MappingError(f"{where}: unknown key {name!r}; known are {', '.join(known)}{hint}")

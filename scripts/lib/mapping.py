"""Mapping files of `scripts/replay`: how a row of a history becomes an event or a user.

docs/replay.md describes every key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from scripts.lib.cli import UserError

Row = Mapping[str, Any]
Reader = Callable[[Row], object]
EVENT_FIELDS = ("eventType", "userId", "anonymousId", "occurredAt", "sentAt", "eventId", "activity")
_SOURCE_KEYS = ("from", "value", "values", "type", "only")
_COLUMN = re.compile(r"\{([^{}]+)\}")
_BOOLEANS = {"true": True, "t": True, "yes": True, "1": True} | {
    "false": False, "f": False, "no": False, "0": False
}  # fmt: skip


class MappingError(UserError):
    """The mapping file is wrong; says where and what to write instead."""


class RowError(Exception):
    """One row cannot be mapped; `code` is for counting, the text for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnmappedError(RowError):
    """The row's event type is in no entry of `values`."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the value of one field comes from; None stands for an empty cell, left out."""

    read: Reader
    columns: frozenset[str]
    only: tuple[str, ...] = ()

    def applies_to(self, event_type: str) -> bool:
        """Whether events of this type carry the field."""
        return not self.only or any(fnmatchcase(event_type, pattern) for pattern in self.only)


@dataclass(frozen=True, slots=True)
class RowMapping:
    """A parsed mapping file."""

    target: Literal["events", "users"]
    fields: Mapping[str, Source]
    activity: Mapping[str, Source]
    skip_unmapped: bool

    @property
    def columns(self) -> frozenset[str]:
        """Every column that the mapping names."""
        sources = [*self.fields.values(), *self.activity.values()]
        return frozenset().union(*(source.columns for source in sources))

    def apply(self, row: Row) -> dict[str, Any] | None:
        """The event or user of one row; None where it is skipped. Raises RowError."""
        result: dict[str, Any] = {}
        for name, source in self.fields.items():
            try:
                value = source.read(row)
            except UnmappedError:
                if self.skip_unmapped:
                    return None
                raise
            if value is not None:
                result[name] = value
        if self.target == "events":
            event_type = str(result.get("eventType", ""))
            activity = result.setdefault("activity", {})
            for name, source in self.activity.items():
                if source.applies_to(event_type):
                    value = source.read(row)
                    if value is not None:
                        activity[name] = value
        return result


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
    top = _mapping(document, "the file")
    _known(top, ("event", "user", "unmapped"), "the file")
    if ("event" in top) == ("user" in top):
        raise MappingError("the file needs one of 'event' and 'user'")
    unmapped = top.get("unmapped", "error")
    if unmapped not in ("error", "skip"):
        raise MappingError("unmapped: must be 'error' or 'skip'")
    key = "event" if "event" in top else "user"
    members = dict(_mapping(top[key], key))
    activity: dict[str, Source] = {}
    if key == "event":
        _known(members, EVENT_FIELDS, key)
        if isinstance(members.get("activity"), dict):
            activity = _sources(members.pop("activity"), "event.activity", may_restrict=True)
    required = (
        (("eventType",), ("userId", "anonymousId")) if key == "event" else (("email", "userId"),)
    )
    for names in required:
        if not any(name in members for name in names):
            raise MappingError(f"{key}: needs {' or '.join(names)}")
    target: Literal["events", "users"] = "events" if key == "event" else "users"
    return RowMapping(target, _sources(members, key), activity, unmapped == "skip")


def _sources(members: object, where: str, *, may_restrict: bool = False) -> dict[str, Source]:
    return {
        name: _source(spec, f"{where}.{name}", may_restrict=may_restrict)
        for name, spec in _mapping(members, where).items()
    }


def _source(spec: object, where: str, *, may_restrict: bool) -> Source:
    if isinstance(spec, str):
        spec = {"from": spec}
    members = _mapping(spec, where)
    _known(members, _SOURCE_KEYS, where)
    if ("from" in members) == ("value" in members):
        raise MappingError(f"{where}: needs one of 'from' and 'value'")
    only = _patterns(members.get("only", []), f"{where}.only")
    if only and not may_restrict:
        raise MappingError(f"{where}: 'only' is for fields of event.activity")
    if "value" in members:
        constant = members["value"]
        return Source(lambda _: constant, frozenset(), only)
    if not isinstance(members["from"], str):
        raise MappingError(f"{where}.from: must be the name of a column or a text with {{columns}}")
    read, columns = _reader(members["from"])
    if "values" in members:
        read = _translated(read, _mapping(members["values"], f"{where}.values"), where)
    kind = members.get("type", "text")
    if kind not in ("text", "number", "boolean"):
        raise MappingError(f"{where}.type: must be text, number or boolean, not {kind!r}")
    if kind != "text":
        read = _typed(read, kind, where)
    return Source(read, columns, only)


def _reader(text: str) -> tuple[Reader, frozenset[str]]:
    names = _COLUMN.findall(text)
    if not names:
        return lambda row: _cell(row, text), frozenset([text])

    def fill(row: Row) -> str | None:
        cells = [_cell(row, name) for name in names]
        if any(cell is None for cell in cells):
            return None
        remaining = iter(cells)
        return _COLUMN.sub(lambda _: str(next(remaining)), text)

    return fill, frozenset(names)


def _cell(row: Row, name: str) -> object:
    """The value of a column, or of a member of nested JSON by its dotted path."""
    value = row.get(name)
    if value is None and "." in name:
        head, _, rest = name.partition(".")
        nested = row.get(head)
        return _cell(nested, rest) if isinstance(nested, dict) else None
    return None if value == "" else value


def _translated(read: Reader, values: Mapping[str, Any], where: str) -> Reader:
    @cache
    def translate(text: str) -> object:
        for pattern, value in values.items():
            if fnmatchcase(text, pattern):
                return value
        raise UnmappedError("unmapped", f"{where}.values has no entry for {text!r}")

    def translated(row: Row) -> object:
        value = read(row)
        return None if value is None else translate(str(value))

    return translated


def _typed(read: Reader, kind: str, where: str) -> Reader:
    def typed(row: Row) -> object:
        value = read(row)
        if value is None:
            return None
        try:
            if kind == "boolean":
                return _BOOLEANS[str(value).strip().lower()]
            number = Decimal(str(value).strip())
            if number.is_finite():
                return number
        except (KeyError, InvalidOperation):
            pass
        raise RowError("wrong_type", f"{where} is not a {kind} in this row")

    return typed


def _patterns(value: object, where: str) -> tuple[str, ...]:
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not all(isinstance(p, str) for p in patterns):
        raise MappingError(f"{where}: must be an event type or a list of them")
    return tuple(patterns)


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
            raise MappingError(f"{where}: unknown key {name!r}; known are {', '.join(known)}")

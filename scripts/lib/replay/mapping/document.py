"""Mapping files of `scripts/replay`: how a row of a history becomes events or a user.

docs/replay.md describes every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import yaml

from scripts.lib.replay.mapping.checks import MappingError, known, members_of, texts_of
from scripts.lib.replay.mapping.fields import Fields
from scripts.lib.replay.mapping.rules import EVENT_FIELDS, ROW_COLUMNS, Item, RowMapping, Source
from scripts.lib.replay.reading.records import FORMATS, FileOptions

NEEDED = {"events": (("eventType",), ("userId", "anonymousId")), "users": (("email", "userId"),)}
TOP_KEYS = (
    "event", "events", "user", "unmapped", "where", "null_values", "time_zone", "file", "dataset",
)  # fmt: skip


def load_mapping(path: Path) -> RowMapping:
    """Reads a mapping file. Raises MappingError, naming the key that is wrong."""
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        document = yaml.load(path.read_text(encoding="utf-8"), loader)  # noqa: S506  a safe one
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MappingError(f"{path}: cannot be read: {error}") from error
    try:
        return parse_mapping(document)
    except MappingError as error:
        raise MappingError(f"{path}: {error}") from None


def parse_mapping(document: object) -> RowMapping:
    """Checks the content of a mapping file. Raises MappingError, naming the key that is wrong."""
    top = members_of(document, "the file")
    known(top, TOP_KEYS, "the file")
    if [key in top for key in ("event", "events", "user")].count(True) != 1:
        raise MappingError("the file needs one of 'event', 'events' and 'user'")
    unmapped = top.get("unmapped", "error")
    if unmapped not in ("error", "skip"):
        raise MappingError("unmapped: must be 'error' or 'skip'")
    dataset = top.get("dataset", "")
    if not isinstance(dataset, str):
        raise MappingError("dataset: must be a text")
    target: Literal["events", "users"] = "users" if "user" in top else "events"
    made = Fields(top)
    if "events" in top:
        if not isinstance(top["events"], list) or not top["events"]:
            raise MappingError("events: must be a list of events")
        items = [_item(made, each, f"events[{n}]") for n, each in enumerate(top["events"])]
    else:
        key = "user" if "user" in top else "event"
        items = [_item(made, top[key], key)]
    return RowMapping(
        target=target,
        items=tuple(items),
        where=made.where(top["where"], "where") if "where" in top else None,
        skip_unmapped=unmapped == "skip",
        columns=tuple(made.columns),
        needs_place=not made.names.isdisjoint(ROW_COLUMNS),
        file=_file(top["file"]) if "file" in top else FileOptions(),
        dataset=dataset,
        notes=made.notes,
        meaning=top,
    )


def _item(made: Fields, spec: object, key: str) -> Item:
    members = dict(members_of(spec, key))
    is_event = key != "user"
    activity: list[Source] = []
    where = members.pop("where", None) if is_event else None
    if is_event:
        known(members, EVENT_FIELDS, key)
        if isinstance(members.get("activity"), dict) and not _is_source(members["activity"]):
            activity = made.sources(members.pop("activity"), f"{key}.activity", attributes=True)
    for names in NEEDED["events" if is_event else "users"]:
        if not any(name in members for name in names):
            raise MappingError(f"{key}: needs {' or '.join(names)}")
    return Item(
        fields=made.sources(members, key),
        activity=activity,
        where=made.where(where, f"{key}.where") if where is not None else None,
        types=_types_of(members.get("eventType")),
    )


def _types_of(kind: object) -> frozenset[str]:
    """The event types that a mapping itself names."""
    if not isinstance(kind, dict):
        return frozenset()
    types = [kind.get("value"), *(kind.get("values") or {}).values()]
    return frozenset(str(each) for each in types if each is not None)


def _is_source(spec: Mapping[str, Any]) -> bool:
    """Whether `activity` is the source of a whole object rather than the fields of one."""
    return isinstance(spec.get("from"), str) and spec.get("type") == "json"


def _file(spec: object) -> FileOptions:
    members = dict(members_of(spec, "file"))
    known(members, tuple(each.name for each in fields(FileOptions)), "file")
    if members.get("separator") in ("\\t", "tab"):
        members["separator"] = "\t"
    skip = members.get("skip_lines", 0)
    if not isinstance(skip, int) or skip < 0:
        raise MappingError("file.skip_lines: must be a number of lines")
    for key in ("separator", "quote"):
        if key in members and (not isinstance(members[key], str) or len(members[key]) != 1):
            raise MappingError(f"file.{key}: must be one character")
    columns = texts_of(members.get("columns", []), "file.columns")
    if len(set(columns)) < len(columns):
        raise MappingError("file.columns: has a name twice")
    if members.get("format", "csv") not in FORMATS:
        raise MappingError(f"file.format: must be one of {', '.join(FORMATS)}")
    try:
        "".encode(members.get("encoding", "utf-8"))
    except (LookupError, TypeError):
        raise MappingError(f"file.encoding: there is no {members['encoding']!r}") from None
    return FileOptions(**{**members, "columns": columns})

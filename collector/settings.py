"""The collector's settings, read from environment variables: each is declared once, as a field.

The table of docs/reference.md, `x-limits` of the OpenAPI document and what a malformed value is
answered come from the declarations. `scripts/lib` adds the settings of its commands to them in the
same way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parent.parent
_Value = TypeVar("_Value")


def setting(
    default: _Value, meaning: str, read: Callable[[str], _Value] | None = None, *, like: str = ""
) -> _Value:
    """Declares a setting; `like` names another one, of which it has the value where it is unset.

    `read` makes a value of a text, and raises ValueError with what the text must be.
    """
    metadata = {"meaning": meaning, "read": read or str, "like": like}
    value: _Value = field(default=default, metadata=metadata)
    return value


def number(low: int, high: int) -> Callable[[str], int]:
    """Reads a whole number within a range."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and low <= int(text[:20]) <= high):
            raise ValueError(f"a number from {low} to {high}")
        return int(text)

    return read


def one_of(*values: str) -> Callable[[str], str]:
    """Reads one of some words."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(" or ".join(values))
        return text

    return read


def some_of(*values: str) -> Callable[[str], tuple[str, ...]]:
    """Reads some of a few words, separated by commas."""

    def read(text: str) -> tuple[str, ...]:
        found = several(text)
        if not set(found) <= set(values):
            raise ValueError(" or ".join(values) + ", or both, comma-separated")
        return found

    return read


def several(text: str) -> tuple[str, ...]:
    """Reads names of hosts or origins, in which case means nothing, separated by commas."""
    return tuple(filter(None, map(str.strip, text.lower().split(","))))


class HiddenError(ValueError):
    """What a text must be; it is not to be quoted, since it can hold a password."""


def url_of_database(text: str) -> str:
    """Reads where a database is, as libpq does, but for what it only seems to understand."""
    rule = (
        "as postgresql://USER:PASSWORD@HOST:5432/DATABASE, with % for what is no letter or digit"
        " in the password (@ is %40, / is %2F, : is %3A)"
    )
    try:
        found = conninfo_to_dict(text)
    except (ProgrammingError, UnicodeError):
        raise HiddenError(rule) from None
    host, port, name = (str(found.get(part) or "") for part in ("host", "port", "dbname"))
    is_url = text.startswith(("postgresql:", "postgres:"))
    if "@" in host or (not port.replace(",", "").isdigit() and port) or (is_url and "@" in name):
        raise HiddenError(rule)  # a part of the password was taken for it
    return text


_bytes = number(1, 2**30)
_seconds = number(1, 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one process, all with safe defaults. Sizes are bytes, times seconds."""

    database_url: str = setting(
        "", "One PostgreSQL for everything; without it, the embedded one", url_of_database
    )
    source_database_url: str = setting(
        "", "Where raw events and users land", url_of_database, like="database_url"
    )
    host: str = setting(
        "127.0.0.1", "Address that the collector, or scripts/site --serve, listens on"
    )
    port: int = setting(3000, "Port the collector listens on", number(0, 65535))
    workers: int = setting(
        1, "Processes that share PORT, each with its metrics on a port after it", number(1, 64)
    )
    max_header_bytes: int = setting(2**15, "Largest request line and headers", _bytes)
    header_timeout_seconds: int = setting(10, "Longest time to send the headers in", _seconds)
    max_body_bytes: int = setting(2**22, "Largest body of a request", _bytes)
    max_inflated_bytes: int = setting(2**24, "Largest body once inflated", _bytes)
    max_event_bytes: int = setting(2**20, "Largest event or user", _bytes)
    max_events: int = setting(5000, "Most events in a request", number(1, 50_000))
    max_waiting_bytes: int = setting(
        2**25, "Most bytes being read or waiting to be stored; more answers 429", _bytes
    )
    body_timeout_seconds: int = setting(30, "Longest time to send a body in", _seconds)
    segment_unknown_events: str = setting(
        "accept",
        "Events that Segment's SDKs track under names that no seed lists: accept or reject",
        one_of("accept", "reject"),
    )
    allowed_hosts: tuple[str, ...] = setting(
        (), "Hosts besides localhost that keyless requests and local sites may name, or *", several
    )
    cors_origins: tuple[str, ...] = setting(
        (), "Origins whose pages may call the API, comma-separated, or *", several
    )
    forwarded_allow_ips: str = setting("", "Proxies whose X-Forwarded-* headers are believed, or *")
    opted_out: str = setting(
        "marts",
        "Where people are left out who opted out: of the marts, or of raw, too",
        one_of("marts", "raw"),
    )
    privacy_signals: tuple[str, ...] = setting(
        (),
        "Headers of browsers with which an event is not counted: gpc, dnt",
        some_of("gpc", "dnt"),
    )
    consent_category: str = setting(
        "", "Category of Segment's context.consent without which a message is not counted"
    )
    after_erasure: str = setting(
        "accept",
        "What comes of people who were erased: accept (as of new ones) or refuse",
        one_of("accept", "refuse"),
    )
    log_requests: str = setting(
        "off", "Whether each request is a line of the log, in JSON: on or off", one_of("off", "on")
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Reads the settings; raises ValueError with the variable's name where one is malformed.

        An empty variable counts as unset.
        """
        values: dict[str, Any] = {}
        for each in fields(cls):
            name, declared = each.name.upper(), each.metadata
            if text := environment.get(name):
                try:
                    values[each.name] = declared["read"](text)
                except HiddenError as rule:
                    raise ValueError(f"{name} must be {rule}") from None
                except ValueError as rule:
                    raise ValueError(f"{name} must be {rule}, not {text!r}") from None
            elif declared["like"] in values:
                values[each.name] = values[declared["like"]]
        return cls(**values)


class Documented(NamedTuple):
    """A setting in the words of docs/reference.md; the default may be the name of another one."""

    name: str
    default: str
    meaning: str


def documented(settings: type[Settings]) -> list[Documented]:
    """What there is to set, in the order of the declarations."""
    return [
        Documented(
            each.name.upper(),
            each.metadata["like"].upper() or str(each.default or ""),
            each.metadata["meaning"],
        )
        for each in fields(settings)
    ]

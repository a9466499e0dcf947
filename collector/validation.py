"""From the bytes of a request to what may be stored, and why the rest may not. No I/O.

The contract is in docs/reference.md. msgspec checks the JSON and the types in one pass,
`check_cost` what it would take; what else JSON may have and JSONB may not (`\\u0000`) is left to
PostgreSQL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Generator
from decimal import Decimal
from typing import NamedTuple, TypeVar

from msgspec import Raw, Struct
from msgspec.json import Decoder

from collector.contract import RULES, EventFields, UserFields
from collector.json_text import NOT_JSON, check_cost, json_problem, read_each, texts_of
from collector.problems import Problem
from collector.registry import unsupported
from collector.settings import Settings
from collector.times import parse_time


class UserIdText(Struct, gc=False, rename="camel"):
    """A user id as it was written."""

    user_id: Raw


class Event(Struct, frozen=True):
    """An event that may be stored: `payload` is the client's own JSON text."""

    position: int
    event_id: str
    payload: bytes
    is_counted: bool = True  # False where its sender asked for that


class Rejection(NamedTuple):
    """An event that is refused; `position` counts the events of the request from 0."""

    position: int
    problem: Problem
    payload: bytes


class Received(Struct, frozen=True):
    """The events of one request: those accepted and those refused.

    Some of those accepted are left out: nothing is kept of them but that they came.
    """

    events: list[Event]
    rejections: list[Rejection]
    single: bool  # one event by itself, not one of an array or of lines
    left_out: list[Event] = []

    @property
    def accepted(self) -> list[Event]:
        """Those that the client is told were accepted, in their order."""
        if not self.left_out:
            return self.events
        return sorted([*self.events, *self.left_out], key=lambda event: event.position)

    def leave_out(self, positions: Collection[int]) -> None:
        """Leaves out events."""
        self.left_out.extend(each for each in self.events if each.position in positions)
        self.events[:] = [each for each in self.events if each.position not in positions]

    def refuse(self, position: int, problem: Problem, text: bytes) -> None:
        """Adds a rejection."""
        self.rejections.append(Rejection(position, problem, text))


_FIELD_AT_FAULT = re.compile(r"(missing required field|at) `(?:\$\.)?(\w+)`$")
_Fields = TypeVar("_Fields", EventFields, UserFields)
EVENT, _user = Decoder(EventFields), Decoder(UserFields)
_user_id_text = Decoder(UserIdText)
SUGGESTIONS = 3  # a request: what was meant takes long to find


def read_events(
    body: bytes, supported: frozenset[str], settings: Settings, *, lines: bool
) -> Generator[None, None, Received]:
    """Reads one event, an array of them or, with `lines`, one a line (NDJSON); yields often.

    A bad event is refused alone. Raises `Problem` where that cannot be: an array that is not JSON,
    nothing at all, or more than `settings.max_events`.
    """
    single = not lines and body.lstrip()[:1] != b"["
    if single:
        texts = [body] if body.strip() else []
    else:
        texts = yield from texts_of(body, settings.max_events, "events", lines=lines)
    if not texts:
        raise Problem(400, "no_events", "The body has no events: send one, an array or NDJSON.")
    del body  # the texts are copies
    received = Received([], [], single)
    made = ""  # starts the eventIds of the events that come without one

    def read(position: int, text: bytes) -> None:
        nonlocal made
        suggest = len(received.rejections) < SUGGESTIONS
        event_id = read_event(text, supported, settings, suggest=suggest)
        if event_id is None:
            made = made or os.urandom(16).hex()
            event_id = f"{made}-{position}"
        received.events.append(Event(position, event_id, text))

    yield from read_each(texts, read, received.refuse)
    return received


def read_user(body: bytes, settings: Settings) -> tuple[UserFields, str]:
    """Reads a user and the client's own JSON text of it; raises `Problem` naming what is wrong."""
    user = _decode(_user, body, settings)
    if isinstance(user.fico_score, float) and not user.fico_score.is_integer():
        raise _invalid("ficoScore")
    if user.email is None and user.user_id is None:
        raise Problem(422, "missing_field", "A user needs an email or a userId.", "email")
    return user, body.decode()


def read_event(
    text: bytes, supported: frozenset[str], settings: Settings, *, suggest: bool
) -> str | None:
    """The eventId, if there is one; raises `Problem` naming what is wrong.

    `suggest`: also which event type may have been meant.
    """
    event = _decode(EVENT, text, settings)
    if event.event_type not in supported:
        raise unsupported(event.event_type, supported, suggest=suggest)
    if event.user_id is None and event.anonymous_id is None:
        raise Problem(422, "missing_field", "An event needs a userId or an anonymousId.", "userId")
    _check_time("sentAt", event.sent_at)
    return event.event_id


def _decode(decoder: Decoder[_Fields], text: bytes, settings: Settings) -> _Fields:
    if len(text) > settings.max_event_bytes:
        message = f"One event or user may have {settings.max_event_bytes} bytes at most."
        raise Problem(413, "too_large", message)
    try:
        text.decode()  # msgspec looks at the texts that it keeps, not at the others
        fields = decoder.decode(text)
    except NOT_JSON as error:
        raise json_problem(error, text, _broken_rule) from None
    check_cost(text, settings.max_event_bytes)
    if isinstance(fields.user_id, float):  # rounded, maybe to a whole number
        exact = Decimal(bytes(_user_id_text.decode(text).user_id).decode())
        if exact != exact.to_integral_value():
            raise _invalid("userId")
    _check_time("occurredAt", fields.occurred_at)
    return fields


def _check_time(name: str, text: str | None) -> None:
    try:
        _ = text and parse_time(text)
    except ValueError:
        raise _invalid(name) from None


def _invalid(name: str) -> Problem:
    return Problem(422, "invalid_field", f"{name} must be {RULES[name]}.", name)


def _broken_rule(error: str) -> Problem | None:
    """The problem that an error of msgspec names; None where the text is not even an object."""
    fault = _FIELD_AT_FAULT.search(error)
    if not fault:
        return None
    kind, name = fault.groups()
    if kind == "at":
        return _invalid(name)
    return Problem(422, "missing_field", f"{name} is missing.", name)

"""Messages of Segment's SDKs as events and users of the contract. No I/O.

What the SDKs send is Segment's HTTP Tracking API, https://segment.com/docs/connections/spec/. The
payload of such an event has the contract's fields, and under `segment` the rest of the message.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Annotated, Any, NamedTuple, TypeVar

from msgspec import DecodeError, Meta, Raw
from msgspec.json import Decoder, encode

from collector.problems import Problem
from collector.settings import Settings
from collector.validation import (
    NOT_JSON,
    Email,
    Event,
    Received,
    Rejection,
    UserFields,
    UserId,
    elements_of,
    json_problem,
    read_event,
)

# The event type that a call becomes; a track call has its own.
EVENT_TYPES = {
    "track": "",
    "identify": "user_identified",
    "page": "page_viewed",
    "screen": "screen_viewed",
    "group": "group_joined",
    "alias": "user_aliased",
}
# By the last part of the path: browsers send to /v1/t, /v1/b and so on.
CALLS = {name: name for name in ("batch", *EVENT_TYPES)}
CALLS |= {name[0]: name for name in CALLS}
# What the contract has other names for than the SDKs.
NAMES = {
    "activity": "properties",
    "eventId": "messageId",
    "eventType": "event",
    "occurredAt": "timestamp",
}
CAMPAIGN = {"utmSource": "source", "utmMedium": "medium", "utmCampaign": "name"}
MAX_PYTHON_BYTES = 1024 * 1024  # Python's SDK sends half of it at most

Fields = dict[str, Raw]
_Value = TypeVar("_Value")
_object = Decoder(Fields)
_text, _user_id, _email = Decoder(str), Decoder[UserId](UserId), Decoder[str](Email)
# As long as staging keeps it.
_event_name = Decoder[str](Annotated[str, Meta(min_length=1, max_length=256)])
_NULL, _EMPTY = Raw(b"null"), Raw(b'""')


class Identified(NamedTuple):
    """What an identify call says of a user; `position` is that of its event."""

    position: int
    user: UserFields
    payload: str


class Messages(NamedTuple):
    """The messages of one request; `write_key` is empty where the body has none."""

    received: Received
    identified: list[Identified]
    write_key: str


def read_messages(
    body: bytes, call: str, supported: frozenset[str], settings: Settings
) -> Messages:
    """Reads the message of a call, or those of a batch; a bad one is refused alone.

    Raises `Problem` where the body is not a JSON object, or a batch not an array of at most
    `settings.max_events` messages.
    """
    common, texts = _opened(body, call, settings.max_events)
    write_key = _decoded(_text, common.pop("writeKey", None)) or ""
    if call != "batch":
        common, texts = {}, [encode(common)]
    messages = Messages(Received([], [], call != "batch"), [], write_key)
    made = os.urandom(16).hex()  # starts the eventIds of the messages that come without one
    for position, text in enumerate(texts):
        sent = text
        try:
            message = _merged(common, text)
            sent = encode(message)
            event_id, payload, user = _read(call, message, supported, settings)
        except Problem as problem:
            problem.__traceback__ = problem.__context__ = None  # they hold on to all that was read
            messages.received.rejections.append(Rejection(position, _renamed(problem), sent))
            continue
        event = Event(position, event_id or f"{made}-{position}", payload)
        messages.received.events.append(event)
        if user:
            messages.identified.append(Identified(position, *user))
    return messages


def _opened(body: bytes, call: str, max_events: int) -> tuple[Fields, list[bytes]]:
    """The fields of a body, without those of its batch, and the messages of that."""
    try:
        body.decode()
        fields = _object.decode(body)
        batch = bytes(fields.pop("batch", _NULL)) if call == "batch" else b"[]"
        if not batch.startswith(b"["):
            raise Problem(400, "malformed_batch", "A batch needs an array, batch.", "batch")
        texts = elements_of(batch, max_events)
    except NOT_JSON as error:
        found = _opened_by_python(body) if call == "batch" else None
        if found is None:
            raise json_problem(error, body) from None
        fields, texts = found
    if len(texts) > max_events:
        message = f"A batch may have {max_events} messages at most; send several."
        raise Problem(413, "too_many_events", message)
    return fields, texts


def _opened_by_python(body: bytes) -> tuple[Fields, list[bytes]] | None:
    r"""As `_opened`, by the JSON of Python's SDK, which may have NaN or half a surrogate pair.

    None where it is not even that. The messages come out as they went in, to be refused alone.
    """
    try:
        fields: dict[str, Any] = json.loads(body) if len(body) <= MAX_PYTHON_BYTES else {}
        texts = [json.dumps(message).encode() for message in fields.pop("batch")]
        return {name: Raw(json.dumps(each).encode()) for name, each in fields.items()}, texts
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None


def _merged(common: Fields, text: bytes) -> Fields:
    """A message with what its batch says of all; raises `Problem` where it is no object."""
    try:
        message = _object.decode(text)
    except NOT_JSON as error:
        raise json_problem(error, text) from None
    message.pop("writeKey", None)  # a credential is not kept
    for name, value in common.items():
        both = [_decoded(_object, each) for each in (value, message.get(name))]
        if both[0] and both[1]:
            message[name] = Raw(encode(both[0] | both[1]))
        elif message.get(name, _NULL) == _NULL:
            message[name] = value
    return message


def _read(
    call: str, message: Fields, supported: frozenset[str], settings: Settings
) -> tuple[str | None, bytes, tuple[UserFields, str] | None]:
    """The eventId, if there is one, the payload, and the user of an identify call."""
    kind = _decoded(_text, message.get("type")) or "" if call == "batch" else call
    if kind not in EVENT_TYPES:
        names = ", ".join(EVENT_TYPES)
        raise Problem(422, "invalid_field", f"type must be one of {names}.", "type")
    event_type = EVENT_TYPES[kind]
    if kind == "track":
        event_type = _decoded(_event_name, message.get("event")) or ""
        if not event_type:
            reason = "event must be a text of 1 to 256 characters."
            raise Problem(422, "invalid_field", reason, "event")
        if settings.segment_unknown_events == "accept":
            supported = frozenset([event_type])
    fields: dict[str, Raw | None] = {
        "eventType": Raw(encode(event_type)),
        "eventId": message.get("messageId"),
        "userId": message.get("userId"),
        "anonymousId": message.get("previousId" if kind == "alias" else "anonymousId"),
        "occurredAt": message.get("timestamp"),
        "activity": _activity(kind, message),
        "segment": Raw(encode(message)),  # what is left of it
    }
    given = _present(fields)
    payload = encode(given)
    event_id = read_event(payload, supported, settings)
    identified = kind == "identify" and "userId" in given
    return event_id, payload, _identified(given, message) if identified else None


def _activity(kind: str, message: Fields) -> Raw:
    """The attributes of the event. Takes the properties out of the message."""
    if kind in ("group", "alias"):
        name = "groupId" if kind == "group" else "previousId"
        return Raw(encode({name: message.get(name, _NULL)}))
    if kind == "identify":
        return Raw(b"{}")  # traits are personal, they are the user's
    properties = message.pop("properties", _NULL)
    if properties == _NULL:
        properties = Raw(b"{}")
    own = _decoded(_object, properties)
    if kind == "track" or own is None:  # if it is no object, it is refused for that
        return properties
    context = _decoded(_object, message.get("context")) or {}
    campaign = _decoded(_object, context.get("campaign")) or {}
    added = {name: campaign.get(each) for name, each in CAMPAIGN.items()}
    added["screen" if kind == "screen" else "name"] = message.get("name")
    added["category"] = message.get("category")
    return Raw(encode(_present(added) | own))


def _identified(given: Fields, message: Fields) -> tuple[UserFields, str]:
    """The user of an identify call: its traits with its id and times."""
    traits = message.get("traits", _NULL)
    payload = {} if traits == _NULL else _decoded(_object, traits)
    if payload is None:
        raise Problem(422, "invalid_field", "traits must be an object.", "traits")
    occurred_at = _decoded(_text, given.get("occurredAt"))
    email = _decoded(_email, payload.get("email"))  # others are kept, but find nobody
    user_id = _decoded(_user_id, given["userId"])
    user = UserFields(user_id=user_id, email=email, occurred_at=occurred_at)
    payload["userId"] = given["userId"]
    if occurred_at and "sentAt" in message:
        payload["segmentSentAt"] = message["sentAt"]
    return user, encode(payload).decode()


def _present(fields: dict[str, Raw | None]) -> Fields:
    """The fields that have a value: an SDK says null or an empty text where it has none."""
    given = {name: value for name, value in fields.items() if value is not None}
    return {name: value for name, value in given.items() if value not in (_NULL, _EMPTY)}


def _decoded(decoder: Decoder[_Value], text: Raw | None) -> _Value | None:
    """The value of a text, or None where it is missing or of another type."""
    try:
        return None if text is None else decoder.decode(text)
    except DecodeError:
        return None


def _renamed(problem: Problem) -> Problem:
    """The problem in the words of Segment's messages."""
    field = problem.field or ""
    name = NAMES.get(field, field)
    return replace(problem, field=name or None, message=problem.message.replace(field, name))

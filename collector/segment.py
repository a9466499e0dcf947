"""A message of Segment's SDKs as an event and a user of the contract. No I/O.

What the SDKs send is Segment's HTTP Tracking API, https://segment.com/docs/connections/spec/. The
payload of such an event has the contract's fields, and under `segment` the rest of the message.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Raw
from msgspec.json import Decoder, encode

from collector.contract import Email, UserFields, UserId
from collector.json_text import NULL, OBJECT, Fields, decoded
from collector.problems import Problem
from collector.settings import Settings
from collector.times import sdk_times
from collector.validation import read_event

# The event type that a call becomes; a track call has its own.
EVENT_TYPES = {
    "track": "",
    "identify": "user_identified",
    "page": "page_viewed",
    "screen": "screen_viewed",
    "group": "group_joined",
    "alias": "user_aliased",
}
# What the contract has other names for than the SDKs.
NAMES = {
    "activity": "properties",
    "eventId": "messageId",
    "eventType": "event",
}
CAMPAIGN = {"utmSource": "source", "utmMedium": "medium", "utmCampaign": "name"}

TEXT, _user_id, _email = Decoder(str), Decoder[UserId](UserId), Decoder[str](Email)
# As long as staging keeps it.
_event_name = Decoder[str](Annotated[str, Meta(min_length=1, max_length=256)])
_EMPTY = Raw(b'""')


def read_message(
    call: str, message: Fields, supported: frozenset[str], settings: Settings, *, suggest: bool
) -> tuple[str | None, bytes, tuple[UserFields, str] | None]:
    """The eventId, if there is one, the payload, and the user of an identify call."""
    kind = decoded(TEXT, message.get("type")) or "" if call == "batch" else call
    if kind not in EVENT_TYPES:
        names = ", ".join(EVENT_TYPES)
        raise Problem(422, "invalid_field", f"type must be one of {names}.", "type")
    event_type = EVENT_TYPES[kind]
    if kind == "track":
        event_type = decoded(_event_name, message.get("event")) or ""
        if not event_type:
            reason = "event must be a text of 1 to 256 characters."
            raise Problem(422, "invalid_field", reason, "event")
        if settings.segment_unknown_events == "accept":
            supported = frozenset([event_type])
    occurred_at, sent_at = sdk_times(message.get("timestamp"), message.get("sentAt"))
    fields: dict[str, Raw | None] = {
        "eventType": Raw(encode(event_type)),
        "eventId": message.get("messageId"),
        "userId": message.get("userId"),
        "anonymousId": message.get("previousId" if kind == "alias" else "anonymousId"),
        "occurredAt": occurred_at,
        "segmentSentAt": None if sent_at == message.get("sentAt") else sent_at,
        "activity": _activity(kind, message),
        "segment": Raw(encode(message)),  # what is left of it
    }
    given = _present(fields)
    payload = encode(given)
    event_id = read_event(payload, supported, settings, suggest=suggest)
    identified = kind == "identify" and "userId" in given
    return event_id, payload, _identified(given, message) if identified else None


def _activity(kind: str, message: Fields) -> Raw:
    """The attributes of the event. Takes the properties out of the message."""
    if kind in ("group", "alias"):
        name = "groupId" if kind == "group" else "previousId"
        return Raw(encode({name: message.get(name, NULL)}))
    if kind == "identify":
        return Raw(b"{}")  # traits are personal, they are the user's
    properties = message.pop("properties", NULL)
    if properties == NULL:
        properties = Raw(b"{}")
    own = decoded(OBJECT, properties)
    if kind == "track" or own is None:  # if it is no object, it is refused for that
        return properties
    context = decoded(OBJECT, message.get("context")) or {}
    campaign = decoded(OBJECT, context.get("campaign")) or {}
    added = {name: campaign.get(each) for name, each in CAMPAIGN.items()}
    added["screen" if kind == "screen" else "name"] = message.get("name")
    added["category"] = message.get("category")
    return Raw(encode(_present(added) | own))


def _identified(given: Fields, message: Fields) -> tuple[UserFields, str]:
    """The user of an identify call: its traits with its id and times."""
    traits = message.get("traits", NULL)
    payload = {} if traits == NULL else decoded(OBJECT, traits)
    if payload is None:
        raise Problem(422, "invalid_field", "traits must be an object.", "traits")
    occurred_at = decoded(TEXT, given.get("occurredAt"))
    email = decoded(_email, payload.get("email"))  # others are kept, but find nobody
    user_id = decoded(_user_id, given["userId"])
    user = UserFields(user_id=user_id, email=email, occurred_at=occurred_at)
    payload["userId"] = given["userId"]
    if occurred_at and "sentAt" in message:
        payload["segmentSentAt"] = given.get("segmentSentAt", message["sentAt"])
    return user, encode(payload).decode()


def _present(fields: dict[str, Raw | None]) -> Fields:
    """The fields that have a value: an SDK says null or an empty text where it has none."""
    given = {name: value for name, value in fields.items() if value is not None}
    return {name: value for name, value in given.items() if value not in (NULL, _EMPTY)}


def renamed(problem: Problem) -> Problem:
    """The problem in the words of Segment's messages."""
    field = problem.field or ""
    name = NAMES.get(field, field)
    return replace(problem, field=name or None, message=problem.message.replace(field, name))

"""From raw to events that count: copies, times, refusals, voids, and whose they are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.oracle.given import Given, Row
from tests.support.oracle.values import moment

Arrival = tuple[datetime, int]
IsOut = Callable[[str, datetime], bool]
EARLIEST, LATEST = timedelta(days=50 * 365), timedelta(days=1)
CAMPAIGN = {"utmSource": "source", "utmMedium": "medium", "utmCampaign": "name"}


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it counts; `arrival` decides between events of one instant."""

    event_type: str
    activity: Mapping[str, Any]
    occurred_at: datetime
    arrival: Arrival
    source: str = "default"
    event_id: str = ""
    user_id: str | None = None
    anonymous_id: str | None = None
    aliased_ids: tuple[str, ...] = ()
    occurred_at_source: str = "client"
    rejection_code: str | None = None
    has_conflict: bool = False
    is_identified: bool = True
    is_interaction: bool = field(default=False, compare=False)

    @property
    def key(self) -> tuple[str, str]:
        """What is one event, however often it was sent."""
        return self.source, self.event_id

    @property
    def user(self) -> str:
        """Whose it is."""
        assert self.user_id is not None
        return self.user_id


def in_order(events: Iterable[Event]) -> list[Event]:
    """By when they happened, ties by arrival."""
    return sorted(events, key=lambda event: (event.occurred_at, event.arrival))


def staged(given: Given) -> list[Event]:
    """Each event once, refused and voided ones too: of copies the first to arrive."""
    copies: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for row in sorted(given.rows, key=lambda row: (row.received_at, row.row_id)):
        event = _read(row, given)
        copies[event.key].append(event)
    return [
        replace(first, has_conflict=any(_differ(first, other) for other in others))
        for first, *others in copies.values()
    ]


def usable(given: Given) -> list[Event]:
    """Events that are in the marts, with whose they are: none of who had opted out."""
    counting, is_out = _counting(given)
    return [event for event in counting if not is_out(event.user, event.arrival[0])]


def opted_out(given: Given) -> list[Event]:
    """Events that are in no mart, since their person had opted out when they came."""
    counting, is_out = _counting(given)
    return [event for event in counting if is_out(event.user, event.arrival[0])]


def is_opted_out(given: Given) -> IsOut:
    """Tells of a person and a moment whether the person had opted out."""
    return _counting(given)[1]


def _counting(given: Given) -> tuple[list[Event], IsOut]:
    """Events, none refused, voided or of a test, and who of their people had opted out."""
    events = [event for event in staged(given) if event.rejection_code is None]
    voids = [event for event in events if event.event_type == "event_voided"]
    voided = {(void.source, void.activity.get("eventId")) for void in voids}
    counted = [
        event
        for event in events
        if event.event_type != "event_voided"
        and event.key not in voided
        and event.source not in given.test_sources
    ]
    interactions = {
        row["event_type"] for row in given.seeds["event_types"] if row["is_interaction"] == "true"
    }
    owners = _owners(counted)
    found = in_order(
        replace(
            event,
            user_id=event.user_id
            or owners.get(str(event.anonymous_id))
            or f"anonymous:{event.anonymous_id}",
            is_identified=bool(event.user_id) or event.anonymous_id in owners,
            is_interaction=event.event_type in interactions,
        )
        for event in counted
    )
    return found, _is_out(given, owners)


def _is_out(given: Given, owners: Mapping[str, str]) -> IsOut:
    """By any id that is the person's: what was last said of the id up to the moment counts."""
    said: dict[str, dict[tuple[str, str], list[tuple[datetime, int, bool]]]] = defaultdict(dict)
    for row in given.opt_outs:
        person = told_from_visitors(row.id)
        if row.id_kind == "anonymous":
            person = owners.get(row.id, f"anonymous:{row.id}")
        changes = said[person].setdefault((row.id_kind, row.id), [])
        changes.append((row.changed_at, row.row_id, row.is_out))

    def is_out(person: str, moment: datetime) -> bool:
        known = [
            [change for change in changes if change[0] <= moment]
            for changes in said.get(person, {}).values()
        ]
        return any(max(changes)[2] for changes in known if changes)

    return is_out


def _differ(first: Event, other: Event) -> bool:
    """Whether two copies say something else."""
    both_said_when = {first.occurred_at_source, other.occurred_at_source} == {"client"}
    said = [(e.event_type, e.user_id, e.anonymous_id, e.activity) for e in (first, other)]
    return said[0] != said[1] or (both_said_when and first.occurred_at != other.occurred_at)


def _owners(events: Iterable[Event]) -> dict[str, str]:
    """The user of each anonymous id that has one."""
    ordered = in_order(events)
    owners: dict[str, tuple[datetime, Arrival, str]] = {}
    ties = []
    for event in ordered:
        ids = [*([event.anonymous_id] if event.anonymous_id else []), *event.aliased_ids]
        if event.user_id:
            for each in ids:
                owners.setdefault(each, (event.occurred_at, event.arrival, event.user_id))
        ties.append(ids if event.event_type == "user_aliased" else [])
    for _ in range(3):
        found: dict[str, list[tuple[datetime, Arrival, str]]] = defaultdict(list)
        for ids in ties:
            for each in ids:
                if each not in owners:
                    found[each] += [owners[other] for other in ids if other in owners]
        owners |= {each: min(candidates) for each, candidates in found.items() if candidates}
    return {each: user for each, (_, _, user) in owners.items()}


def _read(row: Row, given: Given) -> Event:
    payload = row.payload
    illegal = {each["id"] or "null" for each in given.seeds["illegal_ids"]}

    def legal(value: object) -> str | None:
        found = canonical_id(value)
        return None if found is None or found.strip().lower() in illegal else found

    event_type = payload.get("eventType")
    user_id = legal(payload.get("userId"))
    user_id = user_id and told_from_visitors(user_id)
    anonymous_id = legal(payload.get("anonymousId"))
    activity: Any = payload.get("activity")
    message = payload.get("segment", {})
    others: set[str] = set()
    if event_type == "user_aliased":
        named = (message.get("anonymousId"), (activity or {}).get("previousId"))
        others = {each for value in named if (each := legal(value))} - {str(anonymous_id)}
    occurred_at, occurred_at_source = occurred(row, given)
    rejection_code = None
    if isinstance(payload.get("optedOut"), str):
        rejection_code = "opted_out"
    elif not isinstance(event_type, str) or not event_type:
        rejection_code = "event_type_invalid"
    elif payload.get("userId") is not None and canonical_id(payload["userId"]) is None:
        rejection_code = "user_id_invalid"
    elif canonical_id(payload.get("userId")) is canonical_id(payload.get("anonymousId")) is None:
        rejection_code = "user_missing"
    elif user_id is anonymous_id is None:
        rejection_code = "user_illegal"
    elif not isinstance(activity, dict):
        rejection_code = "activity_invalid"
    elif payload.get("occurredAt") is not None and moment(payload["occurredAt"]) is None:
        rejection_code = "occurred_at_invalid"
    if isinstance(activity, dict):
        campaign = message.get("context", {}).get("campaign", {})
        added = {name: campaign.get(each) for name, each in CAMPAIGN.items()}
        activity = {name: each for name, each in added.items() if each is not None} | activity
    return Event(
        str(event_type),
        activity,
        occurred_at,
        (row.received_at, row.row_id),
        row.source,
        row.event_id,
        user_id,
        anonymous_id,
        tuple(sorted(others)),
        occurred_at_source,
        rejection_code,
    )


def canonical_id(value: object) -> str | None:
    """A number or text that names somebody, numbers as plain digits."""
    if isinstance(value, bool) or value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, str):
        return value if 1 <= len(value) <= 128 else None
    whole = int(value) if value == int(value) else None  # type: ignore[call-overload]
    return str(whole) if whole is not None and abs(whole) < 2**53 else None


def told_from_visitors(user_id: str) -> str:
    """A user's id, which none of a visitor's is."""
    return f"~{user_id}" if user_id.lstrip("~").startswith("anonymous:") else user_id


def occurred(row: Row, given: Given) -> tuple[datetime, str]:
    """When an event happened, and how that is known."""
    message = row.payload.get("segment")
    if message:
        said, sent = sdk_moment(message.get("timestamp")), sdk_moment(message.get("sentAt"))
        if said and not said.tzinfo and (not sent or sent.tzinfo):
            said = None  # the zone of the clock is not known
        if said and sent and bool(said.tzinfo) != bool(sent.tzinfo):
            sent = None
        said, sent = (each and each.replace(tzinfo=each.tzinfo or UTC) for each in (said, sent))
    else:
        said, sent = moment(row.payload.get("occurredAt")), None
    return happened(said, sent, row.received_at, given)


def happened(
    said: datetime | None, sent: datetime | None, received_at: datetime, given: Given
) -> tuple[datetime, str]:
    """By what the client says, when it sent that, and when it was received."""
    tolerance = timedelta(minutes=given.number("clock_tolerance_minutes"))
    best = said
    if said and sent and abs(received_at - sent) > tolerance:
        best = received_at - (sent - said)
    kept = min(max(best or received_at, received_at - EARLIEST), received_at + LATEST)
    if best is None:
        return kept, "receipt"
    if kept != best:
        return kept, "clamped"
    return kept, "client" if best == said else "corrected"


def sdk_moment(value: object) -> datetime | None:
    """A time in a form of docs/segment.md, naive where it has no zone."""
    if isinstance(value, int | str) and re.fullmatch(r"\d{10}(\d{3})?(\d{3})?(\d{3})?", str(value)):
        unit = 10 ** (len(str(value)) - 10)
        return datetime.fromtimestamp(int(value) // unit, UTC) + timedelta(
            microseconds=int(value) % unit * 10**6 // unit
        )
    if not isinstance(value, str) or not re.search("[T ]", value):
        return None
    return datetime.fromisoformat(re.sub(r":?Z$", "+00:00", value))

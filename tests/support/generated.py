"""Histories of users that have what there is to get wrong, from a seed, and how they land."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import psycopg

from collector.json_text import OBJECT
from collector.registry import supported_event_types
from collector.segment import read_message
from collector.settings import Settings
from tests.support.kinds import BROKEN, SCORES, SUBJECTS, Activity
from tests.support.warehouse import Warehouse

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# What a phone's clock can be off by, around the tolerance of five minutes.
SKEWS = [timedelta(minutes=minutes) for minutes in (0, 4, -5, 5.5, -360, 60 * 24 * 900)]
# Few times, so that many events share an instant, or lie exactly at the end of a window (24 and
# 48 hours) or of a session (30 minutes). Between the third day and the last nothing happens at all.
HOURS = (0, 1, 2, 23, 24, 25, 47, 48, 49, 72, 480)
MINUTES = (0, 0, 0, 29, 30, 31)


@dataclass(frozen=True, slots=True)
class Sent:
    """A row for one of the four tables of raw, to land before a build."""

    build: int
    received_at: datetime
    source: str
    event_id: str | None = None
    payload: Activity | str = ""
    user: tuple[str, datetime] | None = None
    refused_for: str | None = None
    opt_out: tuple[str, str, bool] | None = None  # kind, id, whether out


def histories(
    seed: int, users: int, builds: int, monday: datetime, midnights: Sequence[datetime]
) -> list[Sent]:
    """What so many users send in the three weeks from `monday`, landing before several builds.

    Some of it lies around `midnights`.
    """
    rng = random.Random(seed)
    moments = [
        monday + hours * HOUR + timedelta(minutes=minutes) for hours in HOURS for minutes in MINUTES
    ]
    around = (-HOUR, timedelta(minutes=-1), timedelta(), HOUR / 2, HOUR, HOUR * 1.5, 2 * HOUR)
    moments += [midnight + offset for midnight in midnights for offset in around]
    found: list[Sent] = []
    for number in range(1, users + 1):
        found += _user(rng, number, builds, moments, monday + 22 * DAY)
    return found


def _user(
    rng: random.Random, number: int, builds: int, moments: list[datetime], received: datetime
) -> Iterator[Sent]:
    subject = rng.choice(SUBJECTS)
    source = rng.choice(["default", "default", "web", "ci"])
    ids = _ids(rng, number)
    times = [rng.choice(moments) for _ in range(rng.randint(1, 14))]
    if rng.random() < 0.5:
        times.sort()
    for index, at in enumerate(times):
        event_type, activity = rng.choice(subject)
        received_at = received + rng.randint(0, 3) * DAY + rng.randint(0, 3) * 6 * HOUR
        event: Activity = {"eventType": event_type, **rng.choice(ids), "activity": activity}
        event["occurredAt"] = _written(rng, at)
        if rng.random() < 0.1:
            del event["occurredAt"]
            received_at = at  # the moment of its receipt is all that is known
        elif rng.random() < 0.03:
            event["occurredAt"] = rng.choice(["1970-01-01T00:00:00Z", "2027-01-01T00:00:00Z"])
        if rng.random() < 0.04:
            event |= rng.choice(BROKEN)
        sent = Sent(
            rng.randrange(builds), received_at, source, f"{number}.{index}",
            {name: value for name, value in event.items() if value is not None},
        )  # fmt: skip
        if rng.random() < 0.15 and event_type == "page_viewed":
            sent = _by_sdk(rng, sent, at)
        yield sent
        yield from _again(rng, sent, builds, ids)
    if rng.random() < 0.1:
        yield from _opt_outs(rng, number, builds, received)
    if number % 12 == 0:
        yield from _chain(rng, number, builds, rng.choice(moments), received)
    # The last build asks for the scores of 30 and 90 days before it.
    ages = [age * DAY + timedelta(seconds=second) for age in (31, 91) for second in (-1, 0, 1)]
    for _ in range(rng.choice([0, 0, 1, 3])):
        at = rng.choice([min(times), rng.choice(moments), received - rng.choice(ages)])
        traits: Activity = {"email": f" User{number % 50}.{rng.randint(0, 1)}@Example.com "}
        traits |= {"ficoScore": rng.choice(SCORES)} if rng.random() < 0.7 else {}
        yield Sent(
            rng.randrange(builds),
            # No event arrives at the same moment: which of the two was first is nowhere said.
            received + timedelta(microseconds=rng.randint(1, 10**9)),
            rng.choice(["default", "web", "ios"]),
            payload=traits,
            user=(str(number), at),
        )


def _opt_outs(rng: random.Random, number: int, builds: int, received: datetime) -> Iterator[Sent]:
    """One of the ids of a user, or a shared one, opts out, maybe in again; told late, maybe."""
    kind, id_ = rng.choice(
        [("user", str(number)), ("anonymous", f"a{number}"), ("anonymous", f"kiosk{number % 10}")]
    )
    for out in rng.choice([(True,), (True, False), (False, True), (True, False, True)]):
        at = received + rng.randint(-1, 4) * DAY
        yield Sent(rng.randrange(builds), at, "", opt_out=(kind, id_, out))


def _chain(
    rng: random.Random, number: int, builds: int, at: datetime, received: datetime
) -> Iterator[Sent]:
    """Visitors whom aliases tie together one by one; the first of them is a user."""
    ids = [f"{number}.tied{place}" for place in range(6)]
    pairs = [(str(number), ids[0]), *pairwise(ids)]
    for place, (one, other) in enumerate(pairs):
        named = {"userId": one} if place == 0 else {"anonymousId": one}
        alias = {"eventType": "user_aliased", **named, "activity": {"previousId": other}}
        view = {"eventType": "page_viewed", "anonymousId": other, "activity": {"path": "/"}}
        for kind, event in (("alias", alias), ("view", view)):
            yield Sent(
                rng.randrange(builds), received, "web", f"{number}.{place}.{kind}",
                event | {"occurredAt": _written(rng, at)},
            )  # fmt: skip


def _ids(rng: random.Random, number: int) -> list[Activity]:
    """How a user's events name it: by ids in several forms, on several devices, or on a shared one.

    A user may never be named, or be named like a visitor, or like nobody.
    """
    devices: list[Activity] = [{"anonymousId": f"{device}{number}"} for device in "ab"]
    devices.append({"anonymousId": f"kiosk{number % 10}"})
    named: list[Activity] = [{"userId": each} for each in (number, float(number), str(number))]
    kind = rng.random()
    if kind < 0.6:
        return named
    if kind < 0.65:
        return [{"userId": f"anonymous:a{number + 1}"}, {"userId": f"~anonymous:a{number + 1}"}]
    if kind < 0.7:
        return devices[:2]
    if kind < 0.75:
        return [{"userId": "GUEST ", "anonymousId": "Undefined"}, *devices, *named]
    if kind < 0.8:
        return [{"userId": "visitor0", "anonymousId": f"a{number}"}, {"userId": "visitor0"}]
    return [*devices, *(one | other for one in devices for other in named[:1]), *named]


def _again(rng: random.Random, sent: Sent, builds: int, ids: Sequence[Activity]) -> Iterator[Sent]:
    """Copies of an event, what takes it back, and what ties ids together."""
    assert isinstance(sent.payload, dict)
    later = (rng.randrange(builds), sent.received_at + rng.randint(-2, 2) * 6 * HOUR, sent.source)
    if rng.random() < 0.08:
        other = rng.random() < 0.4 and {"activity": {"path": "/cart", "product": "car"}}
        yield Sent(*later, sent.event_id, sent.payload | (other or {}))
    if rng.random() < 0.05:
        activity = {"eventId": sent.event_id}
        void = {"eventType": "event_voided", "userId": 1, "activity": activity}
        source = sent.source if rng.random() < 0.8 else "ios"
        yield Sent(later[0], later[1], source, f"{sent.event_id}.void", void)
        if rng.random() < 0.3:
            void = void | {"activity": {"eventId": f"{sent.event_id}.void"}}
            yield Sent(later[0], later[1], source, f"{sent.event_id}.void.void", void)
    if rng.random() < 0.06:
        one, other = (rng.choice(ids) for _ in range(2))
        previous = other.get("anonymousId") or other.get("userId")
        alias = {"eventType": "user_aliased", **one, "activity": {"previousId": previous}}
        if "occurredAt" in sent.payload:
            alias["occurredAt"] = sent.payload["occurredAt"]
        yield Sent(*later, f"{sent.event_id}.alias", alias)
    if rng.random() < 0.05:
        refused = f'{{"eventType": "?", "userId": {sent.event_id}}}'
        for code in rng.choices(["unsupported_event_type", "invalid_field"], k=rng.randint(1, 3)):
            received_at = sent.received_at + rng.randint(0, 2) * DAY
            yield Sent(rng.randrange(builds), received_at, sent.source, payload=refused,
                       refused_for=code)  # fmt: skip


def _by_sdk(rng: random.Random, sent: Sent, at: datetime) -> Sent:
    """The same page view as an SDK of Segment sends it, by its own clock."""
    assert isinstance(sent.payload, dict)
    skew = rng.choice(SKEWS)
    forms: list[Callable[[datetime], object]] = [
        lambda moment: moment.isoformat().replace("+00:00", "Z"),
        lambda moment: moment.isoformat(timespec="milliseconds").replace("+00:00", ":Z"),
        lambda moment: moment.isoformat().replace("+00:00", "+0000"),
        lambda moment: int(moment.timestamp()),
        lambda moment: int(moment.timestamp()) * 1000,
        lambda moment: moment.replace(tzinfo=None).isoformat(),
        lambda moment: str(moment.date()),
    ]
    form = rng.choice(forms)
    message = {
        name: sent.payload[name] for name in ("userId", "anonymousId") if name in sent.payload
    }
    properties = sent.payload.get("activity")
    message |= {
        "type": "page",
        "messageId": sent.event_id,
        "timestamp": form(at + skew),
        "properties": properties if isinstance(properties, dict) else {},
        "context": rng.choice([{}, {"campaign": {"source": "FB", "name": "sdk"}}]),
    }
    if rng.random() < 0.85:
        message["sentAt"] = form(sent.received_at + skew)
    settings = Settings.from_environment({})
    if not {"userId", "anonymousId"} & message.keys() or isinstance(message.get("userId"), dict):
        return sent
    fields = OBJECT.decode(json_text(message))
    _, payload, _ = read_message("page", fields, supported_event_types(), settings, suggest=False)
    kept = json.loads(payload, parse_float="number:{}".format, parse_int="number:{}".format)
    return replace(sent, payload=kept)


def _written(rng: random.Random, at: datetime) -> str:
    """A moment in one of the ways that RFC 3339 has for it."""
    zone = rng.choice([timedelta(), timedelta(hours=5, minutes=30), timedelta(hours=-8)])
    text = (at + zone).strftime("%Y-%m-%dT%H:%M:%S")
    sign = "-" if zone < timedelta() else "+"
    minutes = abs(zone) // timedelta(minutes=1)
    return f"{text}{sign}{minutes // 60:02}:{minutes % 60:02}" if zone else f"{text}.000Z"


def json_text(value: object) -> str:
    """JSON, in which `number:1e400` is a number."""
    return re.sub(r'"number:([^"]*)"', r"\1", json.dumps(value))


def land(warehouse: Warehouse, sent: Iterable[Sent]) -> None:
    """Puts rows into raw as the collector would, in one transaction."""
    with (
        closing(psycopg.connect(warehouse.database_url)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        for each in sent:
            payload = each.payload if isinstance(each.payload, str) else json_text(each.payload)
            if each.user:
                cursor.execute(
                    "insert into raw.users (received_at, source, payload, user_id, occurred_at)"
                    " values (%s, %s, %s, %s, %s)",
                    (each.received_at, each.source, payload, *each.user),
                )
            elif each.opt_out:
                cursor.execute(
                    "insert into raw.opt_outs (changed_at, id_kind, id, is_out)"
                    " values (%s, %s, %s, %s)",
                    (each.received_at, *each.opt_out),
                )
            elif each.refused_for:
                cursor.execute(
                    "insert into raw.rejected_events (received_at, source, payload, code, message)"
                    " values (%s, %s, %s, %s, '')",
                    (each.received_at, each.source, payload, each.refused_for),
                )
            else:
                cursor.execute(
                    "insert into raw.events (received_at, source, payload, event_id)"
                    " values (%s, %s, %s, %s)",
                    (each.received_at, each.source, payload, each.event_id),
                )

"""One user's story in the generated stream: sign-up, visits, score changes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

# Shares of a day's visits by hour, and of a week's by weekday (Monday first): made up, with the
# shape of consumer web traffic.
HOURS = [2, 1, 1, 1, 1, 2, 4, 7, 9, 9, 9, 9, 10, 9, 8, 8, 8, 9, 10, 12, 13, 11, 7, 4]
WEEKDAYS = [1.0, 1.0, 0.95, 0.95, 0.85, 0.6, 0.7]
PATHS = {"/": 6, "/loans": 5, "/loans/calculator": 4, "/pricing": 4, "/faq": 2, "/about": 1}
MEMBER_PATHS = PATHS | {"/account": 6, "/account/documents": 3, "/account/payments": 3}
SITE = "https://loans.example"  # in seed unwanted_referrals
# Where visits come from, by what their first page says: made up. Advertisements and searches bring
# strangers; those who signed up come by themselves or from the newsletter.
ORIGINS: dict[str, dict[str, Any]] = {
    "direct": {},
    "search": {"referrer": "https://search.example/"},
    "news": {"referrer": "https://news.example/loans-compared"},
    "social": {"referrer": "https://social.example/"},
    "ad": {
        "referrer": "https://search.example/",
        "utmSource": "search.example",
        "utmMedium": "cpc",
        "utmCampaign": "compare-loans",
    },
    "reminder": {"utmSource": "social.example", "utmMedium": "paid", "utmCampaign": "come-back"},
    "newsletter": {"utmSource": "newsletter", "utmMedium": "email", "utmCampaign": "weekly"},
}
STRANGERS = {"direct": 4, "search": 6, "news": 3, "social": 3, "ad": 6}
MEMBERS = {"direct": 10, "search": 3, "social": 1, "reminder": 2, "newsletter": 5}
DEVICES = {"desktop": 5, "mobile": 6, "tablet": 1}
FIRST_NAMES = ["Ana", "Ben", "Chen", "Emeka", "Fatima", "Goran", "Hana", "Iris", "Lena", "Omar"]
LAST_NAMES = ["Adeyemi", "Berg", "Costa", "Dubois", "Evans", "Haddad", "Ito", "Kaur", "Lopez"]
BUREAUS = ["Equifax", "Experian", "TransUnion"]
ZONES = [0, 1, 2, 3, 5, -5, -8]
Choice = TypeVar("Choice")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Device:
    """A further device of a user: its id of the visitor, and by how much its clock is off.

    It tells the time of its own zone.
    """

    kind: str
    anonymous_id: str
    clock: timedelta
    zone: timezone


@dataclass(slots=True)
class Told:
    """An event of a story: when it happened, and for how long it is held up on its way."""

    at: datetime
    event: dict[str, Any]
    held_up: timedelta = timedelta()


class Journey:
    """The story of one user between two moments, told by its methods into `updates` and `events`.

    `updates` are bodies of POST /users; `events` are not yet in order. `taken_back` has each
    `event_voided` with the event that it takes back, whose `eventId` it is to name. `chance`
    decides on what is not of every story, so that it changes nothing else of one.
    """

    def __init__(
        self,
        rng: random.Random,
        chance: random.Random,
        user_id: int,
        since: datetime,
        until: datetime,
    ) -> None:
        self.rng = rng
        self.chance = chance
        self.user_id = user_id
        self.since = since
        self.until = until
        self.signed_up = until
        self.score = _clamped(rng.gauss(690, 80))
        self.device = self.weighted(DEVICES)
        self.last_path = "/"
        self.updates: list[dict[str, Any]] = []
        self.events: list[Told] = []
        self.taken_back: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def sign_up(self) -> None:
        """A few anonymous page views, then the sign-up; working days have more of them."""
        days = (self.until - self.since).days
        while True:
            at = self._visit_time(self.rng.uniform(0, days))
            if self.rng.random() < WEEKDAYS[at.weekday()]:
                break
        anonymous_id = f"visitor-{self.rng.getrandbits(64):016x}"
        for number in range(self.rng.choice([0, 0, 1, 2, 3])):
            at = self.page(at, anonymous_id=anonymous_id, arrives=number == 0)
        self.signed_up = at
        first, last = self.rng.choice(FIRST_NAMES), self.rng.choice(LAST_NAMES)
        email = f"{first}.{last}.{self.user_id}@example.com".lower()
        self._update(at, email=email, name=f"{first} {last}", ficoScore=self.score)
        self.event(at, "user_signed_up", {"device": self.device}, anonymousId=anonymous_id)

    def browse(self) -> None:
        """Visits until the end, most of them soon after the sign-up; some users are keen."""
        days = (self.until - self.signed_up) / DAY
        visits = round(self.rng.expovariate(1 / 3.5) * days / 45 + self.rng.random())
        further = self._further_device() if self.chance.random() < 0.3 else None
        for _ in range(visits):
            device = further if self.chance.random() < 0.4 else None
            told = len(self.events)
            day = (self.signed_up - self.since) / DAY + days * self.rng.betavariate(1, 2)
            at = max(self._visit_time(day), self.signed_up + timedelta(seconds=5))
            for number in range(1 + round(self.rng.expovariate(1 / 3))):
                at = self.page(at, arrives=number == 0, device=device)
            if device and self.chance.random() < 0.1:  # offline until it comes home
                for each in self.events[told:]:
                    each.held_up = at - each.at + self.chance.uniform(0.2, 3) * DAY

    def change_scores(self) -> None:
        """Now and then a new score, told by a bureau or by an update of the user."""
        at = self.signed_up + self.rng.uniform(10, 40) * DAY
        while at < self.until:
            if self.rng.random() < 0.45:
                self.score = _clamped(self.score + self.rng.gauss(3, 18))
                if self.rng.random() < 0.3:
                    self._update(at, ficoScore=self.score)
                else:
                    report = {"ficoScore": self.score, "bureau": self.rng.choice(BUREAUS)}
                    self.event(at, "credit_score_updated", report)
            at += self.rng.uniform(25, 35) * DAY

    def page(
        self,
        at: datetime,
        path: str | None = None,
        anonymous_id: str | None = None,
        arrives: bool = False,
        device: Device | None = None,
    ) -> datetime:
        """A page view at `at`, the first of a visit where the user `arrives`.

        A further device now and then forgets who its user is. Returns when the next one may come.
        """
        paths = PATHS if anonymous_id else MEMBER_PATHS
        page: dict[str, Any] = {"path": path or self.weighted(paths), "device": self.device}
        # Drawn for every page, so that which one is the first changes nothing else of the story.
        origin = ORIGINS[self.weighted(STRANGERS if anonymous_id else MEMBERS)]
        page |= origin if arrives else {"referrer": SITE + self.last_path}
        self.last_path = page["path"]
        if anonymous_id:
            self.event(at, "page_viewed", page, userId=None, anonymousId=anonymous_id)
        elif device:
            page["device"] = device.kind
            shown = min(max(at + device.clock, self.since), self.until - timedelta(seconds=1))
            ids: dict[str, object] = {"anonymousId": device.anonymous_id}
            if not arrives and self.chance.random() < 0.2:
                ids["userId"] = None
            ids["occurredAt"] = _text(shown.astimezone(device.zone))
            self.event(at, "page_viewed", page, **ids)
        else:
            self.event(at, "page_viewed", page)
        return at + timedelta(seconds=3 + self.rng.expovariate(1 / 45))

    def _update(self, at: datetime, **properties: object) -> None:
        if at < self.until:
            self.updates.append({"userId": self.user_id, **properties, "occurredAt": _text(at)})

    def event(
        self, at: datetime, event_type: str, activity: dict[str, Any] | None = None, **ids: object
    ) -> None:
        """Adds an event, unless it comes after the end of the story."""
        if at < self.until:
            event = {"eventType": event_type, "userId": self.user_id, "occurredAt": _text(at)}
            event |= {**ids, "activity": activity or {}}
            told = Told(at, {k: v for k, v in event.items() if v is not None})
            self.events.append(told)

    def take_back(self, at: datetime) -> None:
        """Voids the last event, unless that comes after the end of the story."""
        if at < self.until:
            wrong = self.events[-1].event
            self.event(at, "event_voided")
            self.taken_back.append((self.events[-1].event, wrong))

    def _further_device(self) -> Device:
        wrong = self.chance.random() < 0.2
        return Device(
            self.chance.choice(list(DEVICES)),
            f"visitor-{self.chance.getrandbits(64):016x}",
            timedelta(minutes=self.chance.uniform(-12, 12) if wrong else 0),
            timezone(timedelta(hours=self.chance.choice(ZONES))),
        )

    def _visit_time(self, day: float) -> datetime:
        hour = self.rng.choices(range(24), HOURS)[0]
        return self.since + int(day) * DAY + (hour + self.rng.random()) * HOUR

    def weighted(self, weights: Mapping[Choice, int]) -> Choice:
        """One of the keys, as often as its weight says."""
        return self.rng.choices(list(weights), list(weights.values()))[0]


def _clamped(score: float) -> int:
    return round(min(850, max(300, score)))


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

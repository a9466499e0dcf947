"""One user's story in the generated stream: sign-up, visits, score changes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
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
Choice = TypeVar("Choice")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Journey:
    """The story of one user between two moments, told by its methods into `updates` and `events`.

    `updates` are bodies of POST /users; `events` are (occurred at, body), not yet in order.
    """

    def __init__(self, rng: random.Random, user_id: int, since: datetime, until: datetime) -> None:
        self.rng = rng
        self.user_id = user_id
        self.since = since
        self.until = until
        self.signed_up = until
        self.score = _clamped(rng.gauss(690, 80))
        self.device = self.weighted(DEVICES)
        self.last_path = "/"
        self.updates: list[dict[str, Any]] = []
        self.events: list[tuple[datetime, dict[str, Any]]] = []

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
        for _ in range(visits):
            day = (self.signed_up - self.since) / DAY + days * self.rng.betavariate(1, 2)
            at = max(self._visit_time(day), self.signed_up + timedelta(seconds=5))
            for number in range(1 + round(self.rng.expovariate(1 / 3))):
                at = self.page(at, arrives=number == 0)

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
    ) -> datetime:
        """A page view at `at`, the first of a visit where the user `arrives`.

        Returns when the next one may come.
        """
        paths = PATHS if anonymous_id else MEMBER_PATHS
        page: dict[str, Any] = {"path": path or self.weighted(paths), "device": self.device}
        # Drawn for every page, so that which one is the first changes nothing else of the story.
        origin = ORIGINS[self.weighted(STRANGERS if anonymous_id else MEMBERS)]
        page |= origin if arrives else {"referrer": SITE + self.last_path}
        self.last_path = page["path"]
        if anonymous_id:
            self.event(at, "page_viewed", page, userId=None, anonymousId=anonymous_id)
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
            event = {"eventType": event_type, "userId": self.user_id, **ids}
            event |= {"occurredAt": _text(at), "activity": activity or {}}
            self.events.append((at, {k: v for k, v in event.items() if v is not None}))

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

"""A realistic stream for the demo: users of a loan company over 90 days, seeded.

The same seed gives the same bytes on every machine and day: the stream ends at a fixed date. A
user's story depends on the seed and the user's number only, so a stream with more users contains
the one with fewer, and sending both doubles nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from scripts.lib.demo.application import apply_for_loan
from scripts.lib.demo.journey import Journey

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 90
USERS_PER_SEED = 1_000_000
LATE_SHARE = 0.02
DUPLICATE_SHARE = 0.01
UNSUPPORTED_SHARE = 0.002
UNSUPPORTED_TYPE = "page_scrolled"


@dataclass(frozen=True, slots=True)
class Stream:
    """What is to be sent, in this order: all of `users`, then all of `events`.

    About 2 % of the events come late, some by days, 1 % are sent twice under one eventId, and 0.2 %
    are of a type that the collector does not support. Some users have a second device, with its
    own zone and a clock that can be off. `voids` events are taken back.
    """

    users: list[dict[str, Any]]
    events: list[dict[str, Any]]
    duplicates: int
    unsupported: int
    voids: int

    @property
    def distinct_events(self) -> int:
        """How many different events a collector is to keep."""
        return len(self.events) - self.duplicates - self.unsupported


def generate(users: int = 2000, seed: int = 1) -> Stream:
    """The stream of `users` users. `seed` is a whole number from 1 to 1,000,000."""
    updates: list[dict[str, Any]] = []
    sendings: list[tuple[datetime, str, dict[str, Any]]] = []
    duplicates = unsupported = voids = 0
    for number in range(1, users + 1):
        rng = random.Random(f"{seed}-{number}")
        chance = random.Random(f"{seed}-{number}-chance")
        user_id = seed * USERS_PER_SEED + number
        journey = Journey(rng, chance, user_id, UNTIL - timedelta(days=DAYS), UNTIL)
        journey.sign_up()
        journey.browse()
        apply_for_loan(journey)
        journey.change_scores()
        updates.extend(journey.updates)
        story = sorted(journey.events, key=lambda told: told.at)
        for index, told in enumerate(story):
            told.event["eventId"] = f"demo-{seed}-{number}-{index}"
        for void, wrong in journey.taken_back:
            void["activity"] = {"eventId": wrong["eventId"]}
        voids += len(journey.taken_back)
        for told in story:
            event, sent_at = told.event, told.at + told.held_up
            if rng.random() < LATE_SHARE:
                sent_at += timedelta(hours=rng.expovariate(1 / 12))
            sendings.append((sent_at, event["eventId"], event))
            if rng.random() < UNSUPPORTED_SHARE:
                unsupported += 1
                other = {**event, "eventType": UNSUPPORTED_TYPE, "eventId": f"{event['eventId']}-x"}
                sendings.append((sent_at, other["eventId"], other))
            elif rng.random() < DUPLICATE_SHARE:
                duplicates += 1
                again = sent_at + timedelta(seconds=rng.uniform(1, 600))
                sendings.append((again, event["eventId"], event))
    sendings.sort(key=lambda sending: sending[:2])
    return Stream(updates, [event for _, _, event in sendings], duplicates, unsupported, voids)

"""Events of people who are hard to tell apart: visitors, users, aliases, ids of nobody."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

NOBODY = ["undefined", "NULL", "[object Object]", "00000000-0000-0000-0000-000000000000", " NaN"]
VISITORS = ["phone", "laptop", "desk", "tablet", "kiosk"]
Sent = dict[str, Any]


def stories(rng: random.Random, worlds: int) -> Iterator[Sent]:
    """Events of worlds apart, in a random order: few ids each, so that much is tied together."""
    for world in range(worlds):
        visitors = [f"{name}-{world}" for name in VISITORS] + rng.sample(NOBODY, 2)
        users = [f"ann-{world}", f"bob-{world}", f"anonymous:phone-{world}", rng.choice(NOBODY)]
        sent: list[Sent] = []
        for number in range(rng.randint(2, 9)):
            at = f"2026-09-{rng.randint(1, 3):02}T10:00:00Z"
            event: Sent = {"eventId": f"{world}.{number}", "occurredAt": at, "activity": {}}
            kind = rng.choice(["view", "view", "identify", "alias", "alias", "void"])
            if kind == "void" and sent:
                event |= {"eventType": "event_voided", "userId": "clerk"}
                event["activity"] = {"eventId": rng.choice(sent)["eventId"]}
            elif kind == "alias":
                # As Segment's alias arrives: the previous id is the contract's anonymousId.
                previous, own = rng.sample(visitors, 2)
                event |= {"eventType": "user_aliased", "activity": {"previousId": previous}}
                if rng.random() < 0.5:
                    event |= {"anonymousId": previous, "segment": {"anonymousId": own}}
                else:
                    event |= {"anonymousId": own}
                if rng.random() < 0.3:
                    event["userId"] = rng.choice(users)
            else:
                event |= {"eventType": "page_viewed", "anonymousId": rng.choice(visitors)}
                if kind == "identify":
                    event["userId"] = rng.choice(users)
            sent.append(event)
        yield from sent

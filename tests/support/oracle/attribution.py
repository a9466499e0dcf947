"""The visits that a conversion is owed to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from tests.support.oracle.funnels import Progress
from tests.support.oracle.given import Given
from tests.support.oracle.sessions import Session

RULES = ("first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay")


def attribution(
    given: Given, sessions: Sequence[Session], progress: Sequence[Progress]
) -> Iterator[dict[str, object]]:
    """The rows of one user, one per conversion and touch."""
    for each in progress:
        if not each.is_converted:
            continue
        at = each.attempt.reached_at[-1]
        touches = _touches(given, sessions, at)
        credits_of = _credits(given, touches) if touches else [(Fraction(1),) * len(RULES)]
        for number, shares in enumerate(credits_of, start=1):
            touch = touches[number - 1] if touches else {}
            traffic = ("traffic_source", "traffic_medium", "traffic_campaign")
            yield {
                "progress_key": each.key,
                "session_key": touch.get("session_key"),
                "user_id": each.user,
                "funnel": each.funnel,
                "converted_on": given.day(at),
                "converted_at": at,
                "touched_at": touch.get("started_at"),
                "touch_number": number,
                "touch_count": len(credits_of),
                **{name: touch.get(name, "unknown") for name in traffic},
                **{f"{rule}_credit": share for rule, share in zip(RULES, shares, strict=True)},
            }


def _is_direct(session: Session) -> bool:
    return session["traffic_source"] == "direct"


def _touches(given: Given, sessions: Sequence[Session], at: datetime) -> list[Session]:
    """The visits that count, oldest first."""
    window = timedelta(days=given.number("attribution_window_days"))
    before = [
        each
        for each in sessions
        if each["is_visit"]
        and isinstance(started_at := each["started_at"], datetime)
        and at - window <= started_at <= at
    ]
    others = [each for each in before if not _is_direct(each)]
    most = given.number("attribution_max_touches")
    return [
        each
        for index, each in enumerate(before)
        if index == 0 or index > len(before) - most + 1 or each in others[-1:]
    ]


def _credits(given: Given, touches: Sequence[Session]) -> list[tuple[Fraction, ...]]:
    """Of each touch, by the six rules."""
    half_life = timedelta(days=given.number("attribution_half_life_days"))
    credited = [each for each in touches if not _is_direct(each)] or touches
    times = [each["started_at"] for each in credited]
    ages = [(times[-1] - each) / half_life for each in times]  # type: ignore[operator]
    weights = [Fraction(0.5**age) for age in ages]
    count = len(credited)
    found = []
    for each in touches:
        shares = [Fraction(each is touches[0]), Fraction(each is touches[-1]), *[Fraction(0)] * 4]
        if each in credited:
            place = credited.index(each)
            middle = Fraction(1, 5 * (count - 2)) if count > 2 else Fraction(1, count)
            is_end = place in (0, count - 1)
            shares[2:] = [
                Fraction(place == count - 1),
                Fraction(1, count),
                Fraction(2, 5) if count > 2 and is_end else middle,
                weights[place] / sum(weights),
            ]
        found.append(tuple(shares))
    return found

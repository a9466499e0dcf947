"""Scores through time, and what users in each band do."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

from tests.support.oracle.funnels import Progress
from tests.support.oracle.given import Given
from tests.support.oracle.intake import Event
from tests.support.oracle.users import UserUpdate
from tests.support.oracle.values import number, rate

LOWEST, HIGHEST = 300, 850  # FICO's published range
PAYMENTS = ("payment_made", "payment_missed", "payment_not_due")


@dataclass(frozen=True, slots=True)
class Report:
    """Somebody said that a user has a score."""

    score: int
    score_source: str
    source: str
    occurred_at: datetime
    arrival: tuple[datetime, int]


@dataclass(slots=True)
class Period:
    """A time during which a user has one score."""

    report: Report
    band: str
    until: datetime | None = None

    @property
    def since(self) -> datetime:
        """When it begins."""
        return self.report.occurred_at


def score(value: object) -> int | None:
    """A score, from a number or a text that is one."""
    found = number(value)
    if found is None or not LOWEST <= found <= HIGHEST:
        return None
    return int(found.quantize(Decimal(1), ROUND_HALF_UP))


def periods(given: Given, events: Iterable[Event], updates: Iterable[UserUpdate]) -> list[Period]:
    """One user's."""
    sent: list[tuple[Event | UserUpdate, str, object]] = [
        (event, "event", event.activity.get("ficoScore"))
        for event in events
        if event.event_type == "credit_score_updated"
    ]
    sent += [(update, "user", update.payload.get("ficoScore")) for update in updates]
    reports: dict[datetime, Report] = {}
    for each, score_source, value in sorted(sent, key=lambda item: item[0].arrival):
        if (found := score(value)) is not None:
            reports[each.occurred_at] = Report(
                found, score_source, each.source, each.occurred_at, each.arrival
            )
    result: list[Period] = []
    for at in sorted(reports):
        report = reports[at]
        if not result or result[-1].report.score != report.score:
            if result:
                result[-1].until = at
            result.append(Period(report, _band(given, report.score)))
    return result


def _band(given: Given, of: int) -> str:
    [band] = [
        row["band"]
        for row in given.seeds["score_bands"]
        if int(row["min_score"]) <= of <= int(row["max_score"])
    ]
    return band


def at(history: Iterable[Period], moment: datetime) -> Period | None:
    """The period of a moment."""
    found = [each for each in history if each.since <= moment]
    return found[-1] if found else None


def fct_credit_scores(user: str, history: Sequence[Period]) -> Iterator[dict[str, object]]:
    """One row per user and period."""
    before: Period | None = None
    for each in history:
        yield {
            "user_id": user,
            "score": each.report.score,
            "previous_score": before.report.score if before else None,
            "band": each.band,
            "previous_band": before.band if before else None,
            "score_source": each.report.score_source,
            "source": each.report.source,
            "valid_from": each.since,
            "valid_to": each.until,
            "is_current": each.until is None,
        }
        before = each


def credit_profile(
    given: Given, user: str, history: Sequence[Period], events: Iterable[Event]
) -> dict[str, object] | None:
    """The row of a user with a score or a payment."""
    payments = [event for event in events if event.event_type in PAYMENTS]
    if not history and not payments:
        return None
    made, missed, not_due = (
        [event.occurred_at for event in payments if event.event_type == kind] for kind in PAYMENTS
    )
    scores = [each.report.score for each in history]
    current = history[-1] if history else None

    def change(days: int) -> int | None:
        then = at(history, given.as_of - timedelta(days=days))
        return current.report.score - then.report.score if current and then else None

    return {
        "user_id": user,
        "current_score": current and current.report.score,
        "current_band": current and current.band,
        "current_since": current and current.since,
        "score_change_30d": change(30),
        "score_change_90d": change(90),
        "min_score": min(scores, default=None),
        "max_score": max(scores, default=None),
        "score_count": len(history),
        "payments_made": len(made),
        "payments_missed": len(missed),
        "payments_not_due": len(not_due),
        "on_time_rate": rate(len(made), len(made) + len(missed)),
        "last_payment_at": max(made, default=None),
        "last_missed_at": max(missed, default=None),
    }


def credit_band_daily(
    given: Given,
    histories: dict[str, list[Period]],
    events: dict[str, list[Event]],
    progress: dict[str, list[Progress]],
) -> Iterator[dict[str, object]]:
    """One row per band and day."""
    counts: dict[date, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for user in {*histories, *events}:
        history = histories.get(user, [])
        done = [
            (event.occurred_at, event.event_type)
            for event in events.get(user, [])
            if event.event_type in PAYMENTS[:2]
        ]
        done += [
            (each.attempt.reached_at[-1], "conversion")
            for each in progress.get(user, [])
            if each.is_converted
        ]
        moves = [(each.since, each.band) for each in history]
        early = [moment for moment, _ in done if at(history, moment) is None]
        if early:
            moves.insert(0, (min(early), "unknown"))
        for (_, before), (moment, band) in pairwise([(given.as_of, ""), *moves]):
            if band != before:
                counts[given.day(moment)][band]["entered"] += 1
                counts[given.day(moment)][before]["left"] += bool(before)
        for moment, what in done:
            period = at(history, moment)
            counts[given.day(moment)][period.band if period else "unknown"][what] += 1
    bands = {row["band"]: int(row["band_order"]) for row in given.seeds["score_bands"]}
    users: Counter[str] = Counter()
    for day, following in pairwise([*sorted(counts), date.max]):
        for later in range(given.number("carry_forward_days") + 1):
            this = day + timedelta(days=later)
            if this != day and (this >= following or this > given.today):
                break
            for band, order in {**bands, "unknown": 0}.items():
                found = counts[day][band] if this == day else Counter()
                users[band] += found["entered"] - found["left"]
                made, missed = found["payment_made"], found["payment_missed"]
                yield {
                    "band": band,
                    "band_order": order,
                    "day": this,
                    "users": users[band],
                    "users_entered": found["entered"],
                    "users_left": found["left"],
                    "conversions": found["conversion"],
                    "payments_made": made,
                    "payments_missed": missed,
                    "on_time_rate": rate(made, made + missed),
                }

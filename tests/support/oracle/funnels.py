"""Attempts at funnels, and what they add up to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from tests.support.oracle.given import Given, Seed
from tests.support.oracle.intake import Event, in_order
from tests.support.oracle.values import is_value, percentiles, rate, seconds, shown


@dataclass(slots=True)
class Attempt:
    """One attempt of a user at a funnel."""

    first: Event
    reached_at: list[datetime]
    outcome: str = "open"
    ended_at: datetime | None = None

    def end(self, outcome: str, at: datetime) -> None:
        """It ends now."""
        self.outcome, self.ended_at = outcome, at


def window_of(definition: Seed) -> timedelta | None:
    """How long an attempt may take."""
    days = {row["window_days"] for row in definition} - {""}
    return timedelta(days=int(days.pop())) if days else None


def attempts(events: Iterable[Event], definition: Seed, as_of: datetime) -> list[Attempt]:
    """The attempts of one user at one funnel, whose rows of the seed are `definition`."""
    steps = {int(row["step_order"]): row for row in definition if row["step_order"]}
    ends = [row for row in definition if not row["step_order"]]
    window = window_of(definition) or timedelta.max

    def is_of(event: Event, row: object) -> bool:
        assert isinstance(row, dict)
        return event.event_type == row["event_type"] and (
            not row["property"]
            or is_value(event.activity.get(row["property"]), row["property_value"])
        )

    found: list[Attempt] = []
    for event in in_order(events):
        attempt = found[-1] if found else None
        if (
            attempt is None
            or attempt.ended_at is not None
            or event.occurred_at - attempt.reached_at[0] > window
        ):
            if not is_of(event, steps[1]):
                continue
            attempt = Attempt(event, [event.occurred_at])
            found.append(attempt)
        elif is_of(event, steps[len(attempt.reached_at) + 1]):
            attempt.reached_at.append(event.occurred_at)
        else:
            for end in ends:
                if is_of(event, end):
                    attempt.end(end["outcome"], event.occurred_at)
            continue
        if len(attempt.reached_at) == len(steps):
            attempt.end(steps[len(steps)]["outcome"] or "converted", event.occurred_at)
    for attempt in found:
        if attempt.ended_at is None and window <= as_of - attempt.reached_at[0]:
            attempt.outcome = "expired"
    return found


@dataclass(slots=True)
class Progress:
    """An attempt as a row of `fct_funnel_progress`, and what the daily marts ask of it."""

    user: str
    funnel: str
    number: int
    attempt: Attempt
    segments: dict[str, str]
    is_converted: bool
    row: dict[str, object]

    @property
    def key(self) -> tuple[str, str, int]:
        """What is one attempt."""
        return self.user, self.funnel, self.number


def progress(
    given: Given, user: str, events: list[Event], band_at: Callable[[datetime], str | None]
) -> Iterator[Progress]:
    """The attempts of one user at all funnels."""
    for funnel in {row["funnel"] for row in given.seeds["funnels"]}:
        definition = [row for row in given.seeds["funnels"] if row["funnel"] == funnel]
        steps = {int(row["step_order"]): row["step"] for row in definition if row["step_order"]}
        window = window_of(definition)
        for number, attempt in enumerate(attempts(events, definition, given.as_of), start=1):
            first, last = attempt.reached_at[0], attempt.reached_at[-1]
            segments = {
                "all": "all",
                "source": attempt.first.source,
                "band": band_at(first) or "unknown",
            } | {
                row["segment"]: shown(attempt.first.activity.get(row["property"])) or "unknown"
                for row in given.seeds["segments"]
            }
            is_converted = len(attempt.reached_at) == len(steps)
            row = {
                "progress_key": (user, funnel, number),
                "user_id": user,
                "funnel": funnel,
                "attempt": number,
                "entry_event_key": attempt.first.key,
                "source": attempt.first.source,
                "segments": segments,
                "cohort_on": given.day(first),
                "started_at": first,
                "reached_at": attempt.reached_at,
                "furthest_step_order": len(attempt.reached_at),
                "furthest_step": steps[len(attempt.reached_at)],
                "outcome": attempt.outcome,
                "ended_at": attempt.ended_at,
                "expires_at": window and first + window,
                "is_complete": None if window is None else first + window <= given.as_of,
                "is_converted": is_converted,
                "converted_at": last if is_converted else None,
                "seconds_to_convert": seconds(last - first) if is_converted else None,
            }
            yield Progress(user, funnel, number, attempt, segments, is_converted, row)


Cut = tuple[str, date, str, str]  # funnel, day, segment, its value


def cohorts(given: Given, everybody: Iterable[Progress]) -> dict[Cut, list[Progress]]:
    """The attempts of each cohort by segment, those with few attempts together."""
    found: dict[tuple[str, date, str], list[Progress]] = defaultdict(list)
    for each in everybody:
        for segment in each.segments:
            found[each.funnel, given.day(each.attempt.reached_at[0]), segment].append(each)
    cuts: dict[Cut, list[Progress]] = defaultdict(list)
    for (funnel, day, segment), members in found.items():
        counts = Counter(each.segments[segment] for each in members)
        most = sorted(counts, key=lambda value: (-counts[value], value))
        told_apart = most[: given.number("segment_values")]
        for each in members:
            value = each.segments[segment]
            cuts[funnel, day, segment, value if value in told_apart else "(other)"].append(each)
    return cuts


def conversion_funnel_daily(
    given: Given, cuts: dict[Cut, list[Progress]]
) -> Iterator[dict[str, object]]:
    """One row per funnel, step, cohort day and segment."""
    for (funnel, day, segment, value), members in cuts.items():
        definition = [row for row in given.seeds["funnels"] if row["funnel"] == funnel]
        steps = {int(row["step_order"]): row["step"] for row in definition if row["step_order"]}
        before = members
        for order in sorted(steps):
            reached = [each for each in members if len(each.attempt.reached_at) >= order]
            times = [
                seconds(each.attempt.reached_at[order - 1] - each.attempt.reached_at[0])
                for each in reached
            ]
            p50, p90 = percentiles(times, 50, 90)
            yield {
                "funnel": funnel,
                "step_order": order,
                "step": steps[order],
                "cohort_on": day,
                "segment": segment,
                "segment_value": value,
                "entered": len(members),
                "users_entered": len({each.user for each in members}),
                "reached_previous": len(before),
                "reached": len(reached),
                "users_reached": len({each.user for each in reached}),
                "step_rate": rate(len(reached), len(before)),
                "overall_rate": Fraction(len(reached), len(members)),
                **_completeness(given, definition, day),
                "seconds_to_reach_p50": p50,
                "seconds_to_reach_p90": p90,
            }
            before = reached


def funnel_outcome_daily(
    given: Given, cuts: dict[Cut, list[Progress]]
) -> Iterator[dict[str, object]]:
    """One row per funnel, outcome, cohort day and segment."""
    for (funnel, day, segment, value), members in cuts.items():
        definition = [row for row in given.seeds["funnels"] if row["funnel"] == funnel]
        for outcome in {each.attempt.outcome for each in members}:
            these = [each.attempt for each in members if each.attempt.outcome == outcome]
            times = [seconds(each.ended_at - each.reached_at[0]) for each in these if each.ended_at]
            p50, p90 = percentiles(times, 50, 90)
            yield {
                "funnel": funnel,
                "outcome": outcome,
                "cohort_on": day,
                "segment": segment,
                "segment_value": value,
                "attempts": len(these),
                "outcome_rate": Fraction(len(these), len(members)),
                **_completeness(given, definition, day),
                "seconds_to_end_p50": p50,
                "seconds_to_end_p90": p90,
            }


def _completeness(given: Given, definition: Seed, day: date) -> dict[str, object]:
    window = window_of(definition)
    completes_at = None if window is None else given.end(day) + window
    is_complete = None if completes_at is None else completes_at <= given.as_of
    return {"completes_at": completes_at, "is_complete": is_complete}

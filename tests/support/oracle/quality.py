"""What was sent against the tracking plan, and what was refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from tests.support.oracle.given import Given
from tests.support.oracle.intake import Event, opted_out, staged
from tests.support.oracle.values import TEXT_LENGTH, moment, number, rate

Attribute = dict[str, object]
LOGIN = re.compile(r"((?:https?|ftp|wss?)://)[^/\s]*@", re.IGNORECASE)


def fct_event_attributes(given: Given, events: Iterable[Event]) -> Iterator[Attribute]:
    """One row per event and planned property that is sent or required."""
    for event in events:
        activity = activity_in_marts(given, event)
        for plan in given.seeds["event_properties"]:
            value = activity.get(plan["property"])
            is_required = plan["is_required"] == "true"
            if (
                plan["event_type"] != event.event_type
                or plan["pii_class"] == "direct_identifier"
                or (value is None and not is_required)
            ):
                continue
            typed = {
                "text_value": value[:TEXT_LENGTH] if isinstance(value, str) else None,
                "numeric_value": number(value),
                "boolean_value": value if isinstance(value, bool) else None,
                "timestamp_value": moment(value),
            }
            kept = typed[f"{plan['data_type']}_value"]
            row: Attribute = {
                "event_key": event.key,
                "event_type": event.event_type,
                "occurred_on": given.day(event.occurred_at),
                "property": plan["property"],
                "data_type": plan["data_type"],
                **dict.fromkeys(typed),
                "violation": None,
            }
            if value is None:
                row["violation"] = "missing"
            elif kept is None:
                row["violation"] = "wrong_type"
            if plan["pii_class"] == "none":
                row[f"{plan['data_type']}_value"] = kept
            yield row


def tracking_plan_violations(attributes: Iterable[Attribute]) -> Iterator[dict[str, object]]:
    """One row per event type, property and day with any violation."""
    counts: dict[tuple[object, ...], Counter[object]] = {}
    for row in attributes:
        key = (row["event_type"], row["property"], row["occurred_on"])
        counts.setdefault(key, Counter())[row["violation"]] += 1
    for (event_type, name, day), found in counts.items():
        if found["missing"] or found["wrong_type"]:
            yield {
                "event_type": event_type,
                "property": name,
                "occurred_on": day,
                "events_missing": found["missing"],
                "events_wrong_type": found["wrong_type"],
                "events_checked": found.total(),
            }


def rejections(given: Given) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The rows of `rejection_rates_daily` and of `rejection_reasons_daily`."""
    accepted: Counter[tuple[str, date]] = Counter()
    first: Counter[tuple[str, date, str]] = Counter()
    every: Counter[tuple[str, date, str]] = Counter()
    for event in staged(given):
        day = given.day(event.arrival[0])
        if event.rejection_code is None:
            accepted[event.source, day] += 1
        else:
            first[event.source, day, event.rejection_code] += 1
            every[event.source, day, event.rejection_code] += 1
    for event in opted_out(given):
        day = given.day(event.arrival[0])
        accepted[event.source, day] -= 1
        first[event.source, day, "opted_out"] += 1
        every[event.source, day, "opted_out"] += 1
    known = set()
    for refusal in sorted(given.refusals, key=lambda each: (each.received_at, each.row_id)):
        key = (refusal.source, given.day(refusal.received_at), refusal.code)
        every[key] += 1
        first[key] += (refusal.source, refusal.payload) not in known
        known.add((refusal.source, refusal.payload))
    reasons: list[dict[str, object]] = [
        {
            "source": source,
            "day": day,
            "rejection_code": code,
            "events_rejected": first[source, day, code],
            "times_rejected": times,
        }
        for (source, day, code), times in every.items()
        if source not in given.test_sources
    ]
    rates: list[dict[str, object]] = []
    for source, day in {*accepted, *((source, day) for source, day, _ in every)}:
        if source not in given.test_sources:
            rejected = sum(count for key, count in first.items() if key[:2] == (source, day))
            total = accepted[source, day] + rejected
            rates.append(
                {
                    "source": source,
                    "day": day,
                    "events_accepted": accepted[source, day],
                    "events_rejected": rejected,
                    "rejection_rate": rate(rejected, total),
                }
            )
    return rates, reasons


def activity_in_marts(given: Given, event: Event, *, shown: bool = False) -> dict[str, Any]:
    """Without logins of URLs and what identifies somebody; where shown, without any class."""
    personal = {
        plan["property"]
        for plan in given.seeds["event_properties"]
        if plan["event_type"] == event.event_type
        and plan["pii_class"] != "none"
        and (shown or plan["pii_class"] == "direct_identifier")
    }
    return {
        name: LOGIN.sub(r"\1", value) if isinstance(value, str) else value
        for name, value in event.activity.items()
        if name not in personal
    }

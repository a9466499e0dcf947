"""Visits, and where they came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

from tests.support.oracle.given import Given
from tests.support.oracle.intake import Event, in_order
from tests.support.oracle.values import seconds, text

VIEWS = ("page_viewed", "screen_viewed")
Session = dict[str, object]


def sessions(given: Given, events: Iterable[Event]) -> Iterator[Session]:
    """One user's, as rows of `fct_sessions`."""
    gap = timedelta(minutes=given.number("session_gap_minutes"))
    ordered = in_order(event for event in events if event.is_interaction)
    found = [ordered[:1]] if ordered else []
    for before, event in pairwise(ordered):
        if event.occurred_at - before.occurred_at > gap:
            found.append([])
        found[-1].append(event)
    for number, session in enumerate(found, start=1):
        first, last = session[0], session[-1]
        views = [event for event in session if event.event_type in VIEWS]
        paths = [path for event in views if (path := text(event.activity.get("path")))]
        devices = [each for event in session if (each := text(event.activity.get("device")))]
        yield {
            "session_key": first.key,
            "user_id": first.user,
            "session_number": number,
            "source": first.source,
            "device": devices[0] if devices else None,
            "entry_event_type": first.event_type,
            "entry_path": paths[0] if paths else None,
            "exit_path": paths[-1] if paths else None,
            **_traffic(given, session),
            "started_on": given.day(first.occurred_at),
            "started_at": first.occurred_at,
            "ended_at": last.occurred_at,
            "duration_seconds": seconds(last.occurred_at - first.occurred_at),
            "event_count": len(session),
            "view_count": len(views),
            "is_bounce": len(session) == 1,
        }


def _traffic(given: Given, session: Sequence[Event]) -> dict[str, object]:
    """The first campaign, else the first referrer, else nothing."""
    named = ("utmSource", "utmMedium", "utmCampaign")
    campaigns = [
        [(text(event.activity.get(name)) or "").strip().lower() for name in named]
        for event in session
    ]
    campaign = next((each for each in campaigns if any(each)), None)
    referrers = [str(event.activity.get("referrer") or "") for event in session]
    origin = next((found for each in referrers if (found := given.referrers[each])), None)
    if campaign:
        one_name = {row["name"]: row["source"] for row in given.seeds["traffic_sources"]}
        source, medium, name = campaign
        words = (one_name.get(source, source) or "unknown", medium or "none", name or "none")
    else:
        words = (*(origin or ("direct", "none")), "none")
    viewed = any(event.event_type in VIEWS for event in session)
    return {
        "traffic_source": words[0],
        "traffic_medium": words[1],
        "traffic_campaign": words[2],
        "is_visit": viewed or bool(campaign or origin),
    }

"""The registry of supported events: the seed that dbt joins to is read by the collector too."""

from __future__ import annotations

import csv
from difflib import get_close_matches
from functools import lru_cache

from collector.problems import Problem
from collector.settings import ROOT

SEED = "dbt_project/seeds/event_types.csv"


def supported_event_types() -> frozenset[str]:
    """The column `event_type`; raises OSError or KeyError where the seed is not readable.

    Excel begins a file with a BOM.
    """
    with (ROOT / SEED).open(encoding="utf-8-sig", newline="") as file:
        return frozenset(row["event_type"] for row in csv.DictReader(file))


def unsupported(event_type: str, supported: frozenset[str], *, suggest: bool) -> Problem:
    """The problem of an event type that no seed lists; `suggest` takes up to some milliseconds."""
    nearest = _nearest(event_type[:64], supported) if suggest else ""
    meant = f"did you mean {nearest!r}? " if nearest else ""
    message = f"eventType {event_type[:64]!r} is not supported; {meant}{SEED} lists what is."
    return Problem(422, "unsupported_event_type", message, "eventType")


@lru_cache(256)  # a client's mistake comes with each of its events
def _nearest(event_type: str, supported: frozenset[str]) -> str:
    return next(iter(get_close_matches(event_type, sorted(supported), 1)), "")

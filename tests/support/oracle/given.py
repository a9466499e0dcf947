"""What the oracle is given: the rows of raw, the seeds, the moment of the build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Seed = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `raw.events`."""

    row_id: int
    received_at: datetime
    source: str
    event_id: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Update:
    """A row of `raw.users`."""

    row_id: int
    received_at: datetime
    occurred_at: datetime
    source: str
    user_id: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row of `raw.rejected_events`."""

    row_id: int
    received_at: datetime
    source: str
    code: str
    payload: str


@dataclass(frozen=True, slots=True)
class OptOut:
    """A row of `raw.opt_outs`."""

    row_id: int
    changed_at: datetime
    id_kind: str
    id: str
    is_out: bool


@dataclass(frozen=True, slots=True)
class Given:
    """All that the marts are made from.

    `referrers` says what each referrer that occurs stands for, `email_pads` are the two forms of
    the secret key of the email hash, inner and outer.
    """

    rows: Sequence[Row]
    updates: Sequence[Update]
    refusals: Sequence[Refusal]
    opt_outs: Sequence[OptOut]
    seeds: Mapping[str, Seed]
    as_of: datetime
    referrers: Mapping[str, tuple[str, str] | None]
    email_pads: tuple[bytes, bytes]

    def setting(self, name: str) -> str:
        """A value of seed `project_settings`."""
        [value] = [row["value"] for row in self.seeds["project_settings"] if row["setting"] == name]
        return value

    def number(self, name: str) -> int:
        """A value of seed `project_settings` that is a number."""
        return int(self.setting(name))

    def day(self, moment: datetime) -> date:
        """The day of the reporting time zone on which a moment falls."""
        return moment.astimezone(ZoneInfo(self.setting("time_zone"))).date()

    def end(self, day: date) -> datetime:
        """When the day is over: the first moment at which another one has begun."""
        midnight = datetime.combine(day + timedelta(days=1), time(), self.as_of.tzinfo)
        moments = (midnight + timedelta(minutes=15 * number) for number in range(-80, 80))
        return next(moment for moment in moments if self.day(moment) > day)

    @property
    def today(self) -> date:
        """The day of the build."""
        return self.day(self.as_of)

    @property
    def test_sources(self) -> set[str]:
        """Sources that are in no mart."""
        return {row["source"] for row in self.seeds["sources"] if row["is_test"] == "true"}

"""The marts as they were known at a past moment: `scripts/dbt as-of`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import psycopg

from collector.connection import open_connection
from collector.registry import read_seed
from scripts.lib.base.cli import UserError, parser, read_settings, say
from scripts.lib.base.database import open_databases
from scripts.lib.base.settings import schema_name
from scripts.lib.dbt.run import run_dbt
from scripts.lib.dbt.seeds import require_sound_seeds
from scripts.lib.dbt.target import PROJECT

DESCRIPTION = """Build the marts as they were known at a past moment into schemas of their own: from
what had been received by then, with what depends on age as of then, by the definitions of today.
Those of the time are in git: run this in a checkout of then."""
# Data tests say of builds of today whether they are sound.
BUILD = (
    *("build", "--full-refresh", "--no-defer"),
    *("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"),
)
# What retention has dropped from raw is in staging only, without its copies.
_LOST = """
    select count(*) from staging.stg_events as staged
    where
        staged.received_at <= %(moment)s
        and not exists (
            select from raw.events as landed
            where
                landed.event_row_id = staged.event_row_id
                and landed.received_at = staged.received_at
        )
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """A past moment, and what the schemas of its marts are called."""

    at: datetime
    schema: str

    @property
    def variables(self) -> dict[str, object]:
        """The variables of dbt by which it builds what was known then."""
        at = self.at.isoformat()
        return {"as_of": at, "received_until": at, "reload_raw": True}


def read_moment(text: str) -> Moment:
    """Reads a day, which means its end in the reporting time zone, or a time with its zone."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    try:
        at = _end_of(day) if day else datetime.fromisoformat(text)
        if at.tzinfo:
            at.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter at either end of the calendar
        raise argparse.ArgumentTypeError(
            "must be a day or a time with its zone, as 2026-03-31 or 2026-03-31T12:00+02:00"
        ) from None
    if not at.tzinfo:
        raise argparse.ArgumentTypeError("has no time zone: write one, as 2026-03-31T12:00+02:00")
    if at > datetime.now(UTC):
        raise argparse.ArgumentTypeError("is not over yet: write a day before, or a time")
    name = f"{day:%Y_%m_%d}" if day else f"{at.astimezone(UTC):%Y_%m_%d_%H%M%S}"
    return Moment(at, schema_name(f"as_of_{name}"))


def _end_of(day: date) -> datetime:
    require_sound_seeds(PROJECT)
    _, rows = read_seed(PROJECT / "seeds/project_settings.csv")
    [zone] = [row["value"] for _, row in rows if row["setting"] == "time_zone"]
    midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone))
    return midnight - timedelta(microseconds=1)


def as_of(arguments: Sequence[str]) -> int:
    """`scripts/dbt as-of`."""
    command = parser("dbt as-of", DESCRIPTION)
    command.add_argument("moment", type=read_moment, help="a day, for its end, or a time")
    moment = command.parse_args(arguments).moment
    settings = replace(read_settings(), dbt_target="dev", dbt_schema=moment.schema)
    with open_databases(settings) as databases:
        url = databases.destination
        if lost := _lost(url, moment.at):
            raise UserError(
                f"raw no longer has {lost:,} of the events that had been received by then, so what"
                " was known cannot be told: restore a backup of raw that has them"
            )
        arguments = [*BUILD, "--vars", json.dumps(moment.variables)]
        status = run_dbt(arguments, settings, url, say=partial(say, to=sys.stderr))
    if status == 0:
        say(
            f"As of {moment.at:%Y-%m-%d %H:%M %Z}: {moment.schema}_marts. With DBT_TARGET=dev and "
            f"DBT_SCHEMA={moment.schema} scripts/report shows it, scripts/dbt drop-dev drops it."
        )
    return status


def _lost(database_url: str, at: datetime) -> int:
    with open_connection(database_url) as connection:
        try:
            [(lost,)] = connection.execute(_LOST, {"moment": at}).fetchall()
        except psycopg.errors.UndefinedTable:  # nothing is built: all there is is in raw
            return 0
    return int(lost)

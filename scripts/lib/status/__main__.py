"""Says whether builds succeed and come on time: `scripts/status`, for monitoring."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import psycopg
import urllib3
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from collector import __version__
from collector.connection import described
from scripts.lib.base.cli import UserError, parser, read_settings, run
from scripts.lib.base.database import open_databases, refusal
from scripts.lib.base.static import say
from scripts.lib.dbt.run import layer_schema
from scripts.lib.status.unwritable import show_unwritable_rows

MAX_AGE_MINUTES = 60
MONTHS_AHEAD = 3  # of partitions; the collector, builds and scripts/migrate make a year of them
_MONTHS_AHEAD = """
    select coalesce(extract(year from span) * 12 + extract(month from span), 0)::integer
    from age(raw.event_partitions_end() at time zone 'UTC', now() at time zone 'UTC') as span
"""
# Of what builds everything, tests included: how the last that ended did, and the last that was
# good. A build of a part says nothing about the rest; a killed one never ends.
_BUILDS = """
    select
        now() - max(started_at) filter (where failures = 0),
        max(started_at) filter (where failures = 0),
        (array_agg(failures order by build_id desc))[1],
        (array_agg(finished_at order by build_id desc))[1],
        (array_agg(reason order by build_id desc))[1]
    from builds
    where is_whole and finished_at is not null
"""
_LAG = """
    select
        raw_table,
        coalesce(unread_rows, 0),
        coalesce(extract(epoch from now() - oldest_received_at), 0)::float
    from unnest(array['raw.events', 'raw.users']) as raw_tables (raw_table)
    left join stg_raw_lag using (raw_table)
"""


@dataclass(frozen=True, slots=True)
class Status:
    """How it is about the builds of one database; `text` is for people.

    `last_good` is when the last good build began, `failures` what failed in the last one, and `lag`
    has the rows of each raw table that are in no build, and the seconds since the oldest came.
    """

    status: Literal["ok", "failed", "missed", "unreachable", "partitions"]
    database: str
    text: str
    last_good: datetime | None = None
    failures: int | None = None
    lag: tuple[tuple[str, int, float], ...] = ()


def builds_status(database_url: str, max_age: timedelta, schema: str) -> Status:
    """Whether the last whole build, as `schema` knows of it, succeeded, and began within `max_age`.

    Raises UserError where the role of the connection may not see that.
    """
    database = described(database_url)
    try:
        with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
            connection.execute("select set_config('search_path', quote_ident(%s), false)", [schema])
            try:
                [(age, began, failures, ended, reason)] = connection.execute(_BUILDS).fetchall()
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
                if refused := refusal(connection, [schema]):
                    raise UserError(refused) from error
                age = began = failures = reason = None
            lag = _lag(connection)
    except psycopg.OperationalError:
        return Status("unreachable", database, f"{database} cannot be reached")
    if failures:
        text = f"dbt build, ended {ended:%Y-%m-%d %H:%M %Z}: {failures} failed or were skipped"
        if reason:
            text += f": {reason}"
        return Status("failed", database, text, began, failures, lag)
    if age is None:
        text = "No dbt build of everything has succeeded yet"
        return Status("missed", database, text, None, None, lag)
    text = f"The last good dbt build began {began:%Y-%m-%d %H:%M %Z}"
    if age > max_age:
        text = f"{text}, more than {_minutes(max_age)} ago"
        return Status("missed", database, text, began, failures, lag)
    return Status("ok", database, text, began, failures, lag)


def partitions_status(status: Status, *database_urls: str) -> Status:
    """`status`, unless it is ok and one of the databases has no partitions for `MONTHS_AHEAD`.

    One that cannot be reached, or that the role may not ask, is passed over.
    """
    for url in dict.fromkeys(database_urls if status.status == "ok" else ()):
        with suppress(psycopg.Error), psycopg.connect(url, connect_timeout=10) as connection:
            [(months,)] = connection.execute(_MONTHS_AHEAD).fetchall()
            if months < MONTHS_AHEAD:
                database = described(url)
                text = f"raw.events of {database} has partitions for {months} more months only"
                text += ": run scripts/migrate"
                return replace(status, status="partitions", database=database, text=text)
    return status


def _lag(connection: psycopg.Connection[Any]) -> tuple[tuple[str, int, float], ...]:
    """What no build has read yet; nothing where no build has made the view, or it is not ours."""
    try:
        return tuple(connection.execute(_LAG).fetchall())
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return ()


def write_metrics(file: str, status: Status) -> None:
    """Writes `status` as metrics of Prometheus, for the textfile collector of its node_exporter.

    The file is replaced as a whole. Raises UserError where it cannot be written.
    """
    registry = CollectorRegistry()

    def gauge(name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"headwater_{name}", meaning, labels, registry=registry)

    gauge("info", "The installed version", "version").labels(__version__).set(1)
    state = gauge("builds_status", "1 for how it is about the builds, 0 for the others", "status")
    for name in ("ok", "failed", "missed", "unreachable", "partitions"):
        state.labels(name).set(name == status.status)
    if status.last_good:
        gauge("last_good_build_timestamp_seconds", "When the last good build began").set(
            status.last_good.timestamp()
        )
    if status.failures is not None:
        gauge("last_build_failures", "What failed or was skipped in the last build").set(
            status.failures
        )
    rows = gauge("unread_rows", "Rows of raw that are in no build yet", "table")
    age = gauge("unread_seconds", "How long ago the oldest of them was received", "table")
    for table, unread, seconds in status.lag:
        rows.labels(table).set(unread)
        age.labels(table).set(seconds)
    try:
        write_to_textfile(file, registry)
    except OSError as error:
        raise UserError(f"--textfile {file} cannot be written: {error.strerror}") from error


def alert(url: str, status: Status) -> None:
    """Posts `status` as JSON. Raises UserError where nobody takes it."""
    message = {name: getattr(status, name) for name in ("status", "database", "text")}
    try:
        answer = urllib3.request(
            "POST", url, body=msgspec.json.encode(message), timeout=10, retries=False,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        # Not the error itself, which quotes the URL: it is as good as a password.
        raise UserError(f"ALERT_WEBHOOK_URL: no answer ({type(error).__name__})") from None
    if answer.status >= 300:
        raise UserError(f"ALERT_WEBHOOK_URL answered {answer.status}")


def _minutes(span: timedelta) -> str:
    return f"{span // timedelta(minutes=1)} minutes"


def _number(text: str) -> int:
    minutes = int(text)
    if not 1 <= minutes <= 525_600:
        raise ValueError
    return minutes


def main() -> int:
    """`scripts/status`."""
    settings = read_settings()
    arguments = parser(
        "status",
        "Say whether the last dbt build of everything succeeded and is recent. Where not, exit\n"
        "with 1 and post what is wrong to ALERT_WEBHOOK_URL, if that is set, as JSON with\n"
        "the members status (failed, missed, unreachable or partitions), database and text.",
    )
    arguments.add_argument(
        "--max-age",
        type=_number,
        default=MAX_AGE_MINUTES,
        metavar="MINUTES",
        help="how long ago the last good build may have begun (%(default)s)",
    )
    arguments.add_argument(
        "--textfile",
        metavar="FILE",
        help="also write it as metrics, for the textfile collector of Prometheus' node_exporter",
    )
    arguments.add_argument(
        "--raw",
        action="store_true",
        help="look through all of raw instead, for rows that cannot be written out",
    )
    options = arguments.parse_args()
    with open_databases(settings, migrated=False) as databases:
        if options.raw:
            return show_unwritable_rows(dict.fromkeys((databases.migration, databases.destination)))
        age = timedelta(minutes=options.max_age)
        status = builds_status(databases.destination, age, layer_schema(settings, "staging"))
        status = partitions_status(status, databases.source, databases.destination)
    say(f"{status.status}: {status.text}")
    if options.textfile:
        write_metrics(options.textfile, status)
    if status.status == "ok":
        return 0
    if settings.alert_webhook_url:
        alert(settings.alert_webhook_url, status)
    return 1


if __name__ == "__main__":
    run(main)

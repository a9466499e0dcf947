"""Says whether builds succeed and come on time: `scripts/status`, for monitoring."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Literal

import msgspec
import psycopg
import urllib3

from scripts.lib.cli import UserError, parser, read_settings, run
from scripts.lib.database import described, open_databases, refusal
from scripts.lib.static import say

MAX_AGE_MINUTES = 60
# Of what builds everything, tests included: how the last that ended did, and the last that was
# good. A build of a part says nothing about the rest; a killed one never ends.
_BUILDS = """
    select
        now() - max(started_at) filter (where failures = 0),
        max(started_at) filter (where failures = 0),
        (array_agg(failures order by build_id desc))[1],
        (array_agg(finished_at order by build_id desc))[1]
    from builds
    where is_whole and finished_at is not null
"""


# Rows stored before the collector had a limit: what they expand to cannot be dumped, replicated or
# answered. Reads all of raw.
_LONG_NUMBERS = """
    select {row_id}, source from raw.{table}
    where exists (
        select from jsonb_path_query(payload, 'strict $.** ? (@.type() == "number")') as number
        where abs(number::numeric) >= 1e1000 or scale(number::numeric) > 1000
    )
    order by 1
"""
_ROW_IDS = {"events": "event_row_id", "users": "user_row_id"}


def unwritable_rows(database_url: str) -> list[str]:
    """Rows of raw with numbers of more than a thousand digits, each as a line that names it.

    Raises UserError where the role of the connection may not read raw.
    """
    lines = []
    with psycopg.connect(database_url, connect_timeout=10) as connection:
        for table, row_id in _ROW_IDS.items():
            query = _LONG_NUMBERS.format(table=table, row_id=row_id)
            try:
                rows = connection.execute(query.encode()).fetchall()
            except psycopg.errors.InsufficientPrivilege as error:
                raise UserError(
                    f"{described(database_url)}: {error.diag.message_primary}"
                ) from None
            lines += [f"raw.{table}: {row_id} {number}, from {source!r}" for number, source in rows]
    return lines


def show_unwritable_rows(urls: Iterable[str]) -> int:
    """Prints the rows of raw that cannot be written out, and what to do; returns 1 where any is."""
    found = False
    for url in urls:
        lines = unwritable_rows(url)
        found = found or bool(lines)
        say(f"{described(url)}: {len(lines):,} rows of raw have numbers too long to be written out")
        for line in lines:
            say(f"  {line}")
    if found:
        say(
            "No backup, replication or answer can have them. As the owner of raw delete each, on\n"
            "both sides where raw is replicated: delete from raw.events where event_row_id = ...\n"
            "Then build anew: scripts/dbt build --full-refresh --vars 'reload_raw: true'"
        )
    return int(found)


@dataclass(frozen=True, slots=True)
class Status:
    """How it is about the builds of one database; `text` is for people."""

    status: Literal["ok", "failed", "missed", "unreachable"]
    database: str
    text: str


def builds_status(database_url: str, max_age: timedelta, schema: str = "staging") -> Status:
    """Whether the last whole build succeeded, and began within `max_age`.

    Raises UserError where the role of the connection may not see that.
    """
    database = described(database_url)
    try:
        with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
            connection.execute("select set_config('search_path', %s, false)", [schema])
            try:
                [(age, began, failures, ended)] = connection.execute(_BUILDS).fetchall()
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
                if reason := refusal(connection, [schema]):
                    raise UserError(reason) from error
                age = began = failures = None
    except psycopg.OperationalError:
        return Status("unreachable", database, f"{database} cannot be reached")
    if failures:
        text = f"dbt build, ended {ended:%Y-%m-%d %H:%M %Z}: {failures} failed or were skipped"
        return Status("failed", database, text)
    if age is None:
        return Status("missed", database, "No dbt build of everything has succeeded yet")
    text = f"The last good dbt build began {began:%Y-%m-%d %H:%M %Z}"
    if age > max_age:
        return Status("missed", database, f"{text}, more than {_minutes(max_age)} ago")
    return Status("ok", database, text)


def alert(url: str, status: Status) -> None:
    """Posts `status` as JSON. Raises UserError where nobody takes it."""
    try:
        answer = urllib3.request(
            "POST", url, body=msgspec.json.encode(asdict(status)), timeout=10, retries=False,
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
        "the members status (failed, missed or unreachable), database and text.",
    )
    arguments.add_argument(
        "--max-age",
        type=_number,
        default=MAX_AGE_MINUTES,
        metavar="MINUTES",
        help="how long ago the last good build may have begun (%(default)s)",
    )
    arguments.add_argument("--schema", default="staging", help="of dbt (default: %(default)s)")
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
        status = builds_status(databases.destination, age, options.schema)
    say(f"{status.status}: {status.text}")
    if status.status == "ok":
        return 0
    if settings.alert_webhook_url:
        alert(settings.alert_webhook_url, status)
    return 1


if __name__ == "__main__":
    run(main)

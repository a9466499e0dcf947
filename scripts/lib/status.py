"""Says whether builds succeed and come on time: `scripts/status`, for monitoring."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Literal

import msgspec
import psycopg
import urllib3

from scripts.lib.cli import UserError, parser, read_settings, run
from scripts.lib.database import described, open_databases, refusal
from scripts.lib.dbt import layer_schema
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


@dataclass(frozen=True, slots=True)
class Status:
    """How it is about the builds of one database; `text` is for people."""

    status: Literal["ok", "failed", "missed", "unreachable"]
    database: str
    text: str


def builds_status(database_url: str, max_age: timedelta, schema: str) -> Status:
    """Whether the last whole build, as `schema` knows of it, succeeded, and began within `max_age`.

    Raises UserError where the role of the connection may not see that.
    """
    database = described(database_url)
    try:
        with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
            connection.execute("select set_config('search_path', quote_ident(%s), false)", [schema])
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
    options = arguments.parse_args()
    with open_databases(settings, migrated=False) as databases:
        age = timedelta(minutes=options.max_age)
        status = builds_status(databases.destination, age, layer_schema(settings, "staging"))
    say(f"{status.status}: {status.text}")
    if status.status == "ok":
        return 0
    if settings.alert_webhook_url:
        alert(settings.alert_webhook_url, status)
    return 1


if __name__ == "__main__":
    run(main)

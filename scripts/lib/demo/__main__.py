"""Shows the whole way once: `scripts/demo`."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from collector.connection import described, open_connection
from scripts.lib.base.cli import UserError, between, open_console, parser, read_settings, run
from scripts.lib.base.client import Client, encode
from scripts.lib.base.database import Databases, open_databases
from scripts.lib.base.running import running_collector
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.run import run_dbt
from scripts.lib.demo.generator import UNSUPPORTED_TYPE, generate
from scripts.lib.migrate import migrate_all
from scripts.lib.report import show
from scripts.lib.site.build import build_site

BATCH = 2000
NEXT = """
[bold]Next[/bold]
  open {site}
                     the same and more as charts; scripts/site builds it again
  scripts/psql       ask: select * from marts.conversion_funnel_daily
  scripts/docs       every model and column, with lineage
  scripts/serve      the collector, ready for your own events
  scripts/dbt build  the marts brought up to date after new events"""
_LANDED = "select distinct event_id from raw.events where event_id = any(%s)"
_HAS_EVENTS = "select exists (select from raw.events)"
_DBT_STEP = re.compile(r"(\d+) of (\d+) (?!START)")


def demo(settings: Settings, users: int, seed: int, console: Console, *, force: bool) -> None:
    """Sends the generated stream, builds, prints.

    Raises UserError when a part fails, and, without `force`, before it would put invented events
    among those of a database of one's own: raw forgets nothing.
    """
    with open_databases(settings) as databases, _progress(console) as progress:
        if databases.source != databases.destination:
            raise UserError("the demo needs one database for both: set DATABASE_URL only")
        if not databases.embedded:
            migrate_all(databases)
        _send(settings, databases, users, seed, progress, force=force)
        _build(settings, databases, progress)
        progress.add_task("Building the site", total=None)
        site = build_site(settings, databases.destination, settings.data_directory / "site")
        progress.stop()
        show(settings, databases.destination, console)
    console.print(NEXT.format(site=escape(str(site.index))), soft_wrap=True)


def _send(  # noqa: PLR0913
    settings: Settings,
    databases: Databases,
    users: int,
    seed: int,
    progress: Progress,
    *,
    force: bool,
) -> None:
    stream = generate(users, seed)
    events = _missing(databases.source, stream.events)
    if len(events) == len(stream.events) and not (force or databases.embedded):
        with open_connection(databases.source) as connection:
            if connection.execute(_HAS_EVENTS).fetchone() == (True,):
                raise UserError(
                    f"{described(databases.source)} has events already, and invented ones would "
                    "stay among them. Unset DATABASE_URL for the embedded PostgreSQL, name an "
                    "empty database, or take --force."
                )
    if not events:
        progress.console.print(f"The stream of seed {seed} has landed before; nothing is sent.")
        return
    log = settings.data_directory / "demo-collector.log"
    with (
        running_collector(databases.source, log) as collector,
        closing(Client(collector.url, settings.api_key)) as client,
    ):
        task = progress.add_task("Sending users", total=len(stream.users))
        for start in range(0, len(stream.users), 200):
            receipt = client.send(
                "/users", [encode(user) for user in stream.users[start : start + 200]]
            )
            if receipt.rejected:
                raise UserError(f"the collector refused a user: {receipt.rejected[0].message}")
            progress.advance(task, receipt.accepted)
        task = progress.add_task("Sending events", total=len(events))
        accepted = rejected = 0
        started = time.monotonic()
        size = min(BATCH, client.limits.events)
        for start in range(0, len(events), size):
            batch = events[start : start + size]
            answer = client.send("/events", [encode(event) for event in batch])
            accepted += answer.accepted
            rejected += len(answer.rejected)
            progress.advance(task, len(batch))
    progress.console.print(
        f"Sent {len(stream.users):,} updates of users and {accepted + rejected:,} events over HTTP "
        f"({accepted / (time.monotonic() - started):,.0f} events/s): {accepted:,} accepted "
        f"(of them {stream.duplicates:,} duplicates, {stream.voids:,} that take one back), "
        f"{rejected:,} of an unsupported type refused."
    )


def _missing(database_url: str, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that have not landed yet, so that a repeated demo sends nothing twice."""
    ids = list({event["eventId"] for event in events})
    with open_connection(database_url) as connection:
        landed = {event_id for (event_id,) in connection.execute(_LANDED, [ids])}
    missing = [event for event in events if event["eventId"] not in landed]
    return missing if any(e["eventType"] != UNSUPPORTED_TYPE for e in missing) else []


def _build(settings: Settings, databases: Databases, progress: Progress) -> None:
    task = progress.add_task("dbt build", total=None)
    output: deque[str] = deque(maxlen=200)

    def follow(line: str) -> None:
        output.append(line)
        if step := _DBT_STEP.search(line):
            progress.update(task, total=int(step[2]), advance=1)

    started = time.monotonic()
    status = run_dbt(
        ["--no-use-colors", "build"],
        settings,
        databases.destination,
        say=progress.console.print,
        on_line=follow,
    )
    if status:
        tail = "\n".join(list(output)[-40:])
        raise UserError(f"dbt build failed; scripts/dbt build shows it again:\n{tail}")
    progress.console.print(
        f"dbt build: {progress.tasks[task].completed:.0f} seeds, models and tests "
        f"in {time.monotonic() - started:.1f} s."
    )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def main() -> int:
    """`scripts/demo`."""
    arguments = parser(
        "demo",
        "Start PostgreSQL and the collector, send a generated stream over HTTP, run dbt build,\n"
        "build the insights site and print one screen of answers. Repeating it is safe and\n"
        "doubles nothing.",
    )
    arguments.add_argument(
        "--users", type=between(1, 100_000), default=2000, help="how many (%(default)s)"
    )
    arguments.add_argument(
        "--seed", type=between(1, 1_000_000), default=1, help="another stream (%(default)s)"
    )
    arguments.add_argument(
        "--force", action="store_true", help="even into a database of your own that has events"
    )
    options = arguments.parse_args()
    console = open_console()
    settings = replace(read_settings(), dbt_target="prod")
    demo(settings, options.users, options.seed, console, force=options.force)
    return 0


if __name__ == "__main__":
    run(main)

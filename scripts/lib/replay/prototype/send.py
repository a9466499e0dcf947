"""Sends the prototype's users and events to the collector, and compares its tables with the marts.

The part of `scripts/replay` behind `--from-prisma`.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from itertools import islice
from typing import Any

import psycopg
from rich.console import Console
from rich.progress import Progress

from scripts.lib.base.cli import open_console, printable
from scripts.lib.base.client import Client, encode
from scripts.lib.base.database import open_databases
from scripts.lib.base.settings import Settings
from scripts.lib.replay.outcome import Outcome
from scripts.lib.replay.prototype.compare import NotBuiltError, compare, show
from scripts.lib.replay.prototype.source import connect, count, identity, rows_after
from scripts.lib.replay.state import Run, State

KINDS = ("users", "events")  # in this order, so that a user is known before its events


def move_in(  # noqa: PLR0913  the options of the command
    settings: Settings,
    source_url: str,
    destination_url: str | None,
    collector_url: str,
    *,
    restart: bool,
    batch_rows: int,
) -> int:
    """Sends what was not sent before, then compares and prints; returns the exit status.

    0 where nothing was refused and nothing differs, or the marts are not built yet. Raises
    UserError, or CollectorError when the collector stays unreachable; a repeated run continues
    after the last acknowledged batch.
    """
    console = open_console()
    with ExitStack() as stack:
        source = stack.enter_context(closing(connect(source_url)))
        destination = stack.enter_context(closing(connect(destination_url or source_url)))
        client = stack.enter_context(closing(Client(collector_url, settings.api_key)))
        client.check()
        refused = 0
        for kind in KINDS:
            outcome = _send(source, kind, client, settings, console, restart, batch_rows)
            refused += sum(outcome.refused.values())
            _print(console, kind, outcome, count(source, kind, outcome.rows))
        if not _has_tables(destination):
            console.print(
                f"{destination.info.dbname} has no table Conversion: name the prototype's "
                "destination with --prisma-destination to compare it with the marts."
            )
            return 1 if refused else 0
        databases = stack.enter_context(open_databases(settings))
        try:
            comparison = compare(source, destination, databases.destination, refused)
        except NotBuiltError as error:
            console.print(
                f"Not compared, {error}. Next: scripts/dbt build, then this command again."
            )
            return 1 if refused else 0
        show(comparison, console)
        return 1 if refused or comparison.differences else 0


def _send(  # noqa: PLR0913, PLR0917
    source: psycopg.Connection[Any],
    kind: str,
    client: Client,
    settings: Settings,
    console: Console,
    restart: bool,
    batch_rows: int,
) -> Outcome:
    """Sends the rows of one kind by id; `rows` of the outcome is the last id acknowledged."""
    name = f"prototype {identity(source)}"
    run = Run(f"{name}\n{kind}", name)
    with (
        State(settings.data_directory, client.url, client.source()) as state,
        Progress(console=console, disable=not console.is_terminal, transient=True) as bar,
    ):
        outcome = Outcome() if restart else state.load(run)[0]
        rows = rows_after(source, kind, outcome.rows)
        task = bar.add_task(f"Sending {kind}", total=count(source, kind, 2**31) or None)
        while batch := list(islice(rows, batch_rows)):
            receipt = client.send(f"/{kind}", [encode(each) for _, each in batch])
            ids = [f"id {row_id}" for row_id, _ in batch]
            outcome.count(receipt, ids.__getitem__)
            outcome.rows = batch[-1][0]
            state.save(run, outcome)
            bar.update(task, completed=outcome.accepted + sum(outcome.refused.values()))
    return outcome


def _print(console: Console, kind: str, outcome: Outcome, in_source: int) -> None:
    sent = outcome.accepted + sum(outcome.refused.values())
    before = f" (those up to id {outcome.resumed_after:,} by an earlier run)"
    console.print(
        f"{sent:,} {kind} sent{before if outcome.resumed_after else ''}: "
        f"{outcome.accepted:,} accepted, {sent - outcome.accepted:,} refused"
    )
    for code, refusals in sorted(outcome.refused.items()):
        console.print(f"  {refusals:,} {code}", markup=False)
    for example in outcome.examples:
        console.print(f"  {printable(example)}", markup=False, highlight=False)
    if in_source != sent:
        console.print(
            f"  The prototype now has {in_source:,} up to the last id sent: some were added late "
            "or deleted. --restart sends all again, which doubles nothing in the marts."
        )


def _has_tables(connection: psycopg.Connection[Any]) -> bool:
    [(found,)] = connection.execute("select to_regclass('\"Conversion\"') is not null").fetchall()
    return bool(found)

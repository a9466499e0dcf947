"""One screen of answers from the built marts: `scripts/report`, and the end of the demo."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import Any

import psycopg
from rich.bar import Bar
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from scripts.lib.cli import UserError, parser, read_settings, run
from scripts.lib.database import open_databases, refusal
from scripts.lib.replication import lag_text

BAR_WIDTH = 16
Rows = list[tuple[Any, ...]]

_HEADING = """
    select
        count(*),
        count(distinct user_id),
        min(occurred_at),
        max(occurred_at),
        count(*) filter (where has_conflict)
    from fct_events
"""
_FUNNELS = """
    select funnel, step, sum(reached)::bigint, step_order
    from conversion_funnel_daily
    where segment = 'all'
    group by funnel, step, step_order
    order by funnel, step_order
"""
_OUTCOMES = """
    select
        funnel,
        outcome,
        count(*),
        percentile_cont(0.5) within group (order by seconds_to_convert)
            filter (where is_converted) / 86400
    from fct_funnel_progress
    group by funnel, outcome
    order by count(*) desc, outcome
"""
_TASKS = """
    select
        coalesce(task_type, 'unknown'),
        count(*),
        count(*) filter (where status = 'completed'),
        count(*) filter (where status = 'abandoned'),
        count(*) filter (where status in ('scheduled', 'started')),
        percentile_cont(0.5) within group (order by wait_seconds) / 3600,
        percentile_cont(0.5) within group (order by cycle_seconds) / 3600
    from fct_tasks
    group by 1
    order by 2 desc, 1
"""
_BANDS = """
    with

    profiles as (

        select
            current_band as band,
            count(*) as users,
            sum(payments_made) as made,
            sum(payments_missed) as missed
        from credit_profiles
        where current_band is not null
        group by 1

    ),

    bands as (

        select band, min(band_order) as band_order, sum(conversions) as conversions
        from credit_band_daily
        group by 1

    )

    select
        bands.band,
        coalesce(profiles.users, 0),
        coalesce(bands.conversions, 0)::bigint,
        coalesce(profiles.made + profiles.missed, 0)::bigint,
        profiles.made / nullif(profiles.made + profiles.missed, 0)
    from bands
    left join profiles using (band)
    order by bands.band_order
"""
_LAG = """
    select
        raw_table,
        unread_rows,
        date_trunc('second', now() - oldest_received_at)::text,
        held_rows,
        coalesce(
            'backend ' || holder_pid || ' in database ' || holder_database,
            'the prepared transaction ' || holder_prepared_transaction,
            'a transaction'
        ),
        date_trunc('second', now() - holder_opened_at)::text
    from stg_raw_lag
    order by raw_table
"""


def show(database_url: str, console: Console, schema: str = "marts") -> None:
    """Prints the screen from the marts in `schema`. Raises UserError where there are none."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("select set_config('search_path', %s, false)", [schema])

        def rows(query: str) -> Rows:
            return connection.execute(query.encode()).fetchall()

        try:
            heading, funnels, outcomes = rows(_HEADING)[0], rows(_FUNNELS), rows(_OUTCOMES)
            tasks, bands = rows(_TASKS), rows(_BANDS)
        except psycopg.errors.UndefinedTable as error:
            reason = refusal(connection, [schema])
            raise UserError(
                reason or f"the schema {schema} has no marts yet; run scripts/dbt build"
            ) from error
        lag = raw_lag(connection, schema)
    console.print(_title(*heading))
    console.print()
    tables = [*_funnel_tables(funnels, outcomes), *_tables(tasks, bands)]
    console.print(Columns(tables, padding=(1, 4)))
    if lag:
        console.print(f"\n[dim]{escape(lag)}[/dim]", highlight=False, soft_wrap=True)


def raw_lag(connection: psycopg.Connection[Any], schema: str = "marts") -> str:
    """How much of raw is not in the marts in `schema` and who holds it back; lines of text.

    Empty where the role of the connection may not see that.
    """
    staging = f"{schema.removesuffix('marts')}staging"
    connection.execute("select set_config('search_path', %s, false)", [staging])
    try:
        rows = connection.execute(_LAG.encode()).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return ""
    lines = []
    for table, unread, age, held, holder, opened in rows:
        since = f", open for {opened}," if opened else ""
        wait = f"; {held:,} of them wait for {holder}{since} to end" if held else ""
        next_step = "" if held else ": run scripts/dbt build"
        text = f"{unread:,} rows of {table} are not built yet, the first received {age} ago"
        lines.append(f"{text}{wait}{next_step}.")
    return "\n".join(lines) or "Every row that landed is built."


def _title(
    events: int, users: int, first: datetime | None, last: datetime | None, conflicts: int
) -> str:
    if not first or not last:
        return "[bold]No events yet[/bold]"
    days = f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
    text = f"[bold]{events:,} events of {users:,} users[/bold], {days}"
    if conflicts:
        text += f"\n{conflicts:,} of them came with others of the same eventId: the first counts"
    return text


def _funnel_tables(funnels: Rows, outcomes: Rows) -> Iterator[RenderableType]:
    for funnel, steps in groupby(funnels, key=lambda row: row[0]):
        table = _table(f"Funnel {funnel}", "step", "attempts", "of previous", "of first", "")
        first = previous = 0
        for _, step, reached, _ in steps:
            first, previous = first or reached, previous or reached
            table.add_row(
                escape(step),
                f"{reached:,}",
                _percent(reached, previous),
                _percent(reached, first),
                Bar(max(first, 1), 0, reached, width=BAR_WIDTH, color="cyan"),
            )
            previous = reached
        ends = [row for row in outcomes if row[0] == funnel]
        parts = [f"{count:,} {outcome}" for _, outcome, count, _ in ends]
        days = [f"median {row[3]:.1f} days" for row in ends if row[3] is not None]
        yield _captioned(table, ", ".join([*parts, *days]))


def _tables(tasks: Rows, bands: Rows) -> Iterator[RenderableType]:
    if tasks:
        table = _table(
            "Tasks", "type", "tasks", "done", "", "abandoned", "open", "wait h", "cycle h"
        )
        for kind, count, completed, abandoned, still_open, wait, cycle in tasks:
            rate = _percent(completed, count)
            done = Bar(count, 0, completed, width=6, color="green")
            table.add_row(
                escape(kind), f"{count:,}", rate, done, f"{abandoned:,}", f"{still_open:,}",
                _hours(wait), _hours(cycle),
            )  # fmt: skip
        yield _captioned(table, "medians: wait from schedule to start, cycle from start to end")
    if bands:
        table = _table("Credit bands", "band", "users", "conversions", "payments", "on time", "")
        most = max(users for _, users, *_ in bands) or 1
        for band, users, conversions, payments, on_time in bands:
            table.add_row(
                escape(band), f"{users:,}", f"{conversions:,}", f"{payments:,}",
                "" if on_time is None else f"{on_time:.1%}",
                Bar(most, 0, users, width=BAR_WIDTH, color="cyan"),
            )  # fmt: skip
        yield table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(
        title=escape(title),
        title_style="bold",
        title_justify="left",
        box=None,
        header_style="dim",
        padding=(0, 1),
    )
    table.add_column(first, no_wrap=True, max_width=24)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _captioned(table: Table, caption: str) -> RenderableType:
    return Group(table, Text(f" {caption}", style="dim", no_wrap=True))


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _hours(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def main() -> int:
    """`scripts/report`."""
    arguments = parser("report", "Print one screen of answers from the built marts.")
    arguments.add_argument("--schema", default="marts", help="default: %(default)s")
    options = arguments.parse_args()
    with open_databases(read_settings()) as databases:
        console = Console()
        show(databases.destination, console, options.schema)
        if databases.source != databases.destination:
            console.print(lag_text(databases.source, databases.destination), style="dim")
    return 0


if __name__ == "__main__":
    run(main)

"""One screen of answers from the built marts: `scripts/report`, and the end of the demo."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg
from rich.bar import Bar
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from scripts.lib.base.cli import counted, open_console, parser, plain, run
from scripts.lib.base.database import open_databases
from scripts.lib.base.replication import lag_text
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.reports import Connection, read
from scripts.lib.dbt.target import read_target

BAR_WIDTH = 16
WIDTH = 78  # characters, of the widest table
HOUR, DAY = 3600, 86_400  # seconds
Rows = list[dict[str, Any]]

_FUNNELS = "select * from rpt_funnel_totals order by funnel, step_order"
_OUTCOMES = "select * from rpt_outcome_totals order by attempts desc, outcome"
_TASKS = "select * from rpt_task_totals order by tasks_opened desc, task_type"
_BANDS = "select * from rpt_band_totals order by band_order"
_LAG = """
    select
        raw_table,
        unread_rows,
        date_trunc('second', now() - oldest_received_at)::text as age,
        held_rows,
        coalesce(
            'backend ' || holder_pid || ' in database ' || holder_database,
            'the prepared transaction ' || holder_prepared_transaction,
            'a transaction'
        ) as holder,
        date_trunc('second', now() - holder_opened_at)::text as opened
    from stg_raw_lag
    order by raw_table
"""


def show(settings: Settings, database_url: str, console: Console) -> None:
    """Prints the screen, of the target in `settings`. Raises UserError where nothing is built."""

    def query(connection: Connection) -> tuple[dict[str, Any], list[RenderableType], str]:
        def rows(query: str) -> Rows:
            return connection.execute(query.encode()).fetchall()

        [totals] = rows("select * from rpt_totals")
        tables = [
            *_funnel_tables(rows(_FUNNELS), rows(_OUTCOMES)),
            *_tables(rows(_TASKS), rows(_BANDS)),
        ]
        return totals, tables, raw_lag(connection)

    totals, tables, lag = read(settings, database_url, query)
    console.print(_title(totals))
    console.print()
    if console.is_terminal:
        console.print(Columns(tables, padding=(1, 4)))
    else:  # as wide as it needs to be, so that all would stand side by side
        console.print(*tables, sep="\n\n")
    if lag:
        console.print(f"\n[dim]{plain(lag)}[/dim]", highlight=False, soft_wrap=True)


def raw_lag(connection: Connection) -> str:
    """How much of raw is not in the marts and who holds it back; lines of text.

    Empty where the role of the connection may not see that.
    """
    try:
        with connection.transaction():
            rows = connection.execute(_LAG.encode()).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return ""
    lines = []
    for row in rows:
        since = f", open for {row['opened']}," if row["opened"] else ""
        held, holder = row["held_rows"], row["holder"]
        wait = f"; {held:,} of them wait for {holder}{since} to end" if held else ""
        next_step = "" if held else ": run scripts/dbt build"
        unread, table, age = row["unread_rows"], row["raw_table"], row["age"]
        text = f"{unread:,} rows of {table} are not built yet, the first received {age} ago"
        lines.append(f"{text}{wait}{next_step}.")
    return "\n".join(lines) or "Every row that landed is built."


def _title(totals: dict[str, Any]) -> str:
    if not totals["events"]:
        return "[bold]No events yet[/bold]"
    count = f"{counted(totals['events'], 'event')} of {counted(totals['users'], 'user')}"
    days = " to ".join(dict.fromkeys(str(totals[end]) for end in ("first_on", "last_on")))
    text = f"[bold]{count}[/bold], {days}"
    if totals["conflicts"]:
        text += f"\n{totals['conflicts']:,} came with others of the same eventId: the first counts"
    return text


def _funnel_tables(funnels: Rows, outcomes: Rows) -> Iterator[RenderableType]:
    for funnel, steps in groupby(funnels, key=itemgetter("funnel")):
        table = _table(
            f"Funnel {funnel}", "step", "attempts", "of previous", "of first, so far", ""
        )
        for row in steps:
            table.add_row(
                plain(row["step"]),
                f"{row['reached']:,}",
                _percent(row["step_rate"]),
                _percent(row["overall_rate"]),
                Bar(max(row["entered"], 1), 0, row["reached"], width=BAR_WIDTH, color="cyan"),
            )
        ends = [row for row in outcomes if row["funnel"] == funnel]
        parts = [f"{row['attempts']:,} {row['outcome']}" for row in ends]
        times = [row["seconds_to_convert_p50"] for row in ends]
        medians = [f"median {seconds / DAY:.1f} days" for seconds in times if seconds is not None]
        yield _captioned(table, ", ".join([*parts, *medians]))


def _tables(tasks: Rows, bands: Rows) -> Iterator[RenderableType]:
    if tasks:
        table = _table(
            "Tasks", "type", "tasks", "done", "", "abandoned", "open", "wait h", "cycle h"
        )
        for row in tasks:
            done = Bar(row["tasks_opened"], 0, row["tasks_completed"], width=6, color="green")
            table.add_row(
                plain(row["task_type"]), f"{row['tasks_opened']:,}",
                _percent(row["completion_rate"]), done,
                f"{row['tasks_abandoned']:,}", f"{row['backlog']:,}",
                _hours(row["wait_seconds_p50"]), _hours(row["cycle_seconds_p50"]),
            )  # fmt: skip
        yield _captioned(table, "medians: wait from schedule to start, cycle from start to end")
    if bands:
        table = _table(
            "Credit bands", "band", "users now", "", "conversions", "payments", "on time"
        )
        most = max(row["users"] for row in bands) or 1
        for row in bands:
            table.add_row(
                plain(row["band"]), f"{row['users']:,}",
                Bar(most, 0, row["users"], width=BAR_WIDTH, color="cyan"),
                f"{row['conversions']:,}", f"{row['payments_due']:,}",
                _percent(row["on_time_rate"]),
            )  # fmt: skip
        yield _captioned(table, "conversions and payments by the band at that time")


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(
        title=plain(title),
        title_style="bold",
        title_justify="left",
        box=None,
        header_style="dim",
        padding=(0, 1),
    )
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _captioned(table: Table, caption: str) -> RenderableType:
    return Group(table, Text(f" {caption}", style="dim", no_wrap=True))


def _percent(rate: Decimal | None) -> str:
    return "" if rate is None else f"{rate:.1%}"


def _hours(seconds: Decimal | None) -> str:
    return "" if seconds is None else f"{seconds / HOUR:.1f}"


def main() -> int:
    """`scripts/report`."""
    parser("report", "Print one screen of answers from the built marts.").parse_args()
    settings = read_target()
    with open_databases(settings) as databases:
        console = open_console(least_width=WIDTH)
        show(settings, databases.destination, console)
        if databases.source != databases.destination:
            console.print(plain(lag_text(databases.source, databases.destination)), style="dim")
    return 0


if __name__ == "__main__":
    run(main)

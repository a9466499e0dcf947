"""The prototype's three destination tables beside the marts: equal, or what differs and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from collector.connection import open_connection
from scripts.lib.base.cli import printable
from scripts.lib.replay.prototype.source import QUERIES

EXAMPLES = 5
TABLES = {
    "Conversion": "conversions",
    "TaskCompletion": "task_completions",
    "CreditProfile": "credit_profiles",
}
# Copied from the prototype's source; Prisma keeps times in UTC.
_SOURCE = {
    "prototype_users": """
        select id, "ficoScore", "createdAt" at time zone 'UTC' from "User"
    """,
    "prototype_events": """
        select
            id, id, "userId", "eventType", "createdAt" at time zone 'UTC',
            case "eventType"
                when 'conversion' then activity -> 'amountCents'
                when 'task_completed' then activity -> 'durationMs'
                when 'credit_score_updated' then activity -> 'ficoScore'
            end
        from "Event"
    """,
}
_DESTINATION = {
    "prototype_conversions": """
        select "eventId", "userId", product, "amountCents", "convertedAt" at time zone 'UTC'
        from "Conversion"
    """,
    "prototype_task_completions": """
        select
            "eventId", "userId", "taskId", "taskName", "durationMs",
            "completedAt" at time zone 'UTC'
        from "TaskCompletion"
    """,
    "prototype_credit_profiles": """
        select
            "userId", "ficoScore", "scoreBand", "tasksCompleted", conversions, "totalCents",
            "lastEventAt" at time zone 'UTC'
        from "CreditProfile"
    """,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of one of the tables that the marts have otherwise, or that only one side has.

    `prototype` and `marts` are the two rows by column; None where there is none.
    """

    table: str
    key: str
    prototype: dict[str, Any] | None
    marts: dict[str, Any] | None
    reason: str

    def __str__(self) -> str:
        """The row and the columns that differ, the prototype's value first."""
        if self.prototype is None or self.marts is None:
            return f"{self.key}: {'not in the marts' if self.prototype else 'only in the marts'}"
        pairs = [(name, value, self.marts[name]) for name, value in self.prototype.items()]
        differing = [f"{name} {value} / {other}" for name, value, other in pairs if value != other]
        return f"{self.key}: {', '.join(differing)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many rows each table and the marts have, and those that differ."""

    rows: dict[str, tuple[int, int]]
    differences: list[Difference]


class NotBuiltError(Exception):
    """The marts do not have yet what has landed."""


def compare(
    source: psycopg.Connection[Any],
    destination: psycopg.Connection[Any],
    database_url: str,
    refused: int,
) -> Comparison:
    """Compares the prototype's `destination` with the marts, after `refused` rows of `source`.

    Raises NotBuiltError where more than the refused rows are not in staging.
    """
    with open_connection(database_url) as marts:
        marts.execute("set search_path to marts, staging")
        marts.execute((QUERIES / "tables.sql").read_bytes())
        for origin, tables in ((source, _SOURCE), (destination, _DESTINATION)):
            for table, query in tables.items():
                _copy(origin, query, marts, table)
        try:
            [(pending,)] = marts.execute((QUERIES / "pending.sql").read_bytes()).fetchall()
            if pending > refused:
                raise NotBuiltError(f"{pending - refused:,} users and events are not built yet")
            marts.execute((QUERIES / "moved_events.sql").read_bytes())
            rows, differences = {}, []
            for table, query in TABLES.items():
                compared = marts.execute((QUERIES / f"{query}.sql").read_bytes()).fetchall()
                rows[table] = (
                    sum(bool(row[1]) for row in compared),
                    sum(bool(row[2]) for row in compared),
                )
                differences += [Difference(table, *row) for row in compared if row[1] != row[2]]
        except psycopg.errors.UndefinedTable as error:
            raise NotBuiltError("there are no marts yet") from error
        marts.rollback()
    return Comparison(rows, differences)


def _copy(
    origin: psycopg.Connection[Any], query: str, marts: psycopg.Connection[Any], table: str
) -> None:
    with (
        origin.cursor().copy(f"copy ({query}) to stdout".encode()) as rows,
        marts.cursor().copy(f"copy {table} from stdin".encode()) as copied,
    ):
        for block in rows:
            copied.write(block)
    marts.execute(f"analyze {table}".encode())


def show(comparison: Comparison, console: Console) -> None:
    """Prints the comparison: a line a table, and the differing rows by reason."""
    table = Table(box=None, header_style="dim", padding=(0, 1))
    table.add_column("prototype's table")
    for name in ("rows", "in the marts", "equal", "differing"):
        table.add_column(name, justify="right")
    for name, (here, there) in comparison.rows.items():
        differing = [row for row in comparison.differences if row.table == name]
        equal = here - sum(row.prototype is not None for row in differing)
        table.add_row(name, f"{here:,}", f"{there:,}", f"{equal:,}", f"{len(differing):,}")
    console.print(table)
    groups: dict[tuple[str, str], list[Difference]] = {}
    for row in comparison.differences:
        groups.setdefault((row.table, row.reason), []).append(row)
    for (name, reason), rows in groups.items():
        console.print(f"{name}, {len(rows):,}: {reason}", markup=False, highlight=False)
        for row in rows[:EXAMPLES]:
            console.print(f"  {printable(str(row))}", markup=False, highlight=False)
        if len(rows) > EXAMPLES:
            console.print(f"  and {len(rows) - EXAMPLES:,} more")
    if not comparison.differences:
        console.print("The marts equal the prototype's tables.")

"""dbt, whose errors keep the rows of the database to themselves. Run in place of the program `dbt`.

PostgreSQL repeats rows and values in the details of an error, and dbt prints them, and writes them
to dbt.log and run_results.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2  # type: ignore[import-untyped]
from dbt.adapters.postgres.connections import PostgresConnectionManager

# SQLSTATE classes whose details name objects, roles or processes, never values (PostgreSQL's
# documentation, Appendix A): dependent objects, collisions, syntax and rights, object state.
_WITHOUT_VALUES = ("2B", "40", "42", "55")
_DATA_EXCEPTION = "22"  # its message itself ends with the value, after a colon
_HIDDEN = "(not shown: it can hold a row's values; scripts/psql shows it)"
_handled = PostgresConnectionManager.exception_handler


def without_values(error: psycopg2.Error) -> str:
    """The text of an error of PostgreSQL without what repeats values."""
    text, diag = str(error), error.diag
    state, message = error.pgcode or "", diag.message_primary or ""
    start, colon, value = message.partition(":")
    if state.startswith(_DATA_EXCEPTION) and colon and value:
        text = text.replace(message, f"{start} {_HIDDEN}")
        message = f"{start} {_HIDDEN}"
    if diag.internal_query:  # made by a function, maybe of values; its lines are in the text
        return f"{message}\n{_HIDDEN}"
    if not state.startswith(_WITHOUT_VALUES):
        for part in (diag.message_detail, diag.context):
            text = text.replace(part, _HIDDEN) if part else text
    return text


@contextmanager
def _exception_handler(manager: PostgresConnectionManager, sql: str) -> Iterator[None]:
    with _handled(manager, sql):
        try:
            yield
        except psycopg2.DatabaseError as error:
            raise type(error)(without_values(error)) from None


def hide_values() -> None:
    """Has dbt's adapter of this process do so."""
    PostgresConnectionManager.exception_handler = _exception_handler  # type: ignore[assignment, method-assign]


def main() -> None:
    """Runs dbt with the arguments of this process."""
    from dbt.cli.main import cli  # noqa: PLC0415  slow

    hide_values()
    cli(prog_name="dbt")


if __name__ == "__main__":
    main()

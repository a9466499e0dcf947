"""dbt, whose errors keep the rows of the database to themselves.

And which parses the project anew where what it kept of an earlier time is at fault, ends in a
line when it is interrupted, and goes on in silence where nobody reads what it says.

PostgreSQL repeats rows and values in the details of an error, and dbt prints them, and writes them
to dbt.log and run_results.json.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2  # type: ignore[import-untyped]
from dbt.adapters.contracts.connection import Connection
from dbt.adapters.postgres.connections import PostgresConnectionManager
from dbt.cli import requires
from dbt.config.runtime import RuntimeConfig
from dbt.constants import PARTIAL_PARSE_FILE_NAME
from dbt.contracts.graph.manifest import Manifest
from dbt.events.types import MainEncounteredError, MainStackTrace
from dbt.parser.manifest import ManifestLoader
from dbt_common.events.base_types import BaseEvent
from dbt_common.events.functions import fire_event
from dbt_common.exceptions import DbtBaseException

# SQLSTATE classes whose details name objects, roles or processes, never values (PostgreSQL's
# documentation, Appendix A): dependent objects, collisions, syntax and rights, object state.
_WITHOUT_VALUES = ("2B", "40", "42", "55")
_DATA_EXCEPTION = "22"  # its message itself ends with the value, after a colon
_HIDDEN = "(not shown: it can hold a row's values; scripts/psql shows it)"
_handled = PostgresConnectionManager.exception_handler
_cancel_as = PostgresConnectionManager.cancel


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


def mend() -> None:
    """Has dbt of this process do all of that."""
    _hide_values()
    _parse_anew_where_it_fails()
    _end_in_a_line()
    logging.StreamHandler.handleError = _handle_error  # type: ignore[assignment, method-assign]


def _end_in_a_line() -> None:
    """dbt takes Ctrl-C for an error, with a traceback, and may not end its own queries."""
    PostgresConnectionManager.cancel = _cancel  # type: ignore[method-assign]
    requires.fire_event = _fire  # type: ignore[assignment, attr-defined]


def _cancel(manager: PostgresConnectionManager, connection: Connection) -> None:
    """As dbt's, by the role that logged in: the one that its connections take may end nobody."""
    manager.add_query("set role none")
    _cancel_as(manager, connection)  # type: ignore[no-untyped-call]


def _fire(event: BaseEvent, *options: Any) -> None:  # noqa: ANN401
    is_interrupt = isinstance(sys.exc_info()[1], KeyboardInterrupt)
    if not (is_interrupt and isinstance(event, MainEncounteredError | MainStackTrace)):
        fire_event(event, *options)


def _handle_error(handler: logging.StreamHandler[Any], record: logging.LogRecord) -> None:
    """A closed pipe, as of `| head`: of each further line Python would show where it was logged."""
    if isinstance(sys.exc_info()[1], BrokenPipeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, handler.stream.fileno())
        os.close(nowhere)
    else:
        logging.Handler.handleError(handler, record)


def _hide_values() -> None:
    PostgresConnectionManager.exception_handler = _exception_handler  # type: ignore[assignment, method-assign]


def _parse_anew_where_it_fails() -> None:
    """Throws away what it kept of a parse, where parsing by that fails.

    It can outlive what it was made of: a metric taken back together with its measure is missed for
    ever. What is wrong in the files themselves fails again.
    """
    load = ManifestLoader.get_full_manifest
    if load.__qualname__ == _get_full_manifest.__qualname__:
        return

    def get_full_manifest(config: RuntimeConfig, **options: Any) -> Manifest:  # noqa: ANN401
        return _get_full_manifest(load, config, **options)

    get_full_manifest.__qualname__ = _get_full_manifest.__qualname__
    ManifestLoader.get_full_manifest = get_full_manifest  # type: ignore[method-assign]


def _get_full_manifest(
    load: Callable[..., Manifest],
    config: RuntimeConfig,
    **options: Any,  # noqa: ANN401
) -> Manifest:
    kept = Path(config.project_target_path) / PARTIAL_PARSE_FILE_NAME
    if not kept.exists():
        return load(config, **options)
    try:
        return load(config, **options)
    except DbtBaseException:
        kept.unlink(missing_ok=True)
        return load(config, **{**options, "reset": True})

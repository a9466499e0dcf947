"""The prototype's databases: connecting to them, and the rows that are to be sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import psycopg
from psycopg import pq
from psycopg.rows import dict_row

from collector.connection import open_connection
from scripts.lib.base.cli import UserError

QUERIES = Path(__file__).parent / "queries"
_IDENTITY = """
    select (select system_identifier from pg_control_system()), to_regclass('"Event"')::oid::bigint
"""


def connect(url: str) -> psycopg.Connection[Any]:
    """Opens a database of the prototype for reading, all queries on one state of it.

    Takes Prisma's URLs: `schema` names the schema (public), its other parameters that libpq does
    not know are left out. Raises UserError, which never quotes the URL, where that fails.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres") or parts.netloc.count("@") > 1:
        raise UserError(
            "--from-prisma and --prisma-destination take URLs like "
            "postgresql://USER:PASSWORD@HOST:5432/DATABASE, other characters percent-encoded"
        )
    parameters = parse_qsl(parts.query)
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    query = urlencode([(name, value) for name, value in parameters if name in known])
    try:
        connection = open_connection(parts._replace(query=query).geturl(), connect_timeout=10)
    except psycopg.ProgrammingError:
        raise UserError("the URL of the prototype is not one that PostgreSQL takes") from None
    except psycopg.OperationalError as error:
        raise UserError(f"the prototype's database: {str(error).strip()}") from None
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    schema = dict(parameters).get("schema", "public")
    connection.execute("select set_config('search_path', quote_ident(%s), false)", [schema])
    return connection


def identity(connection: psycopg.Connection[Any]) -> str:
    """What tells this prototype from others. Raises UserError where the database holds none."""
    [(system, table)] = connection.execute(_IDENTITY).fetchall()
    if table is None:
        raise UserError(
            f'the database {connection.info.dbname} has no table "Event" of the prototype; '
            "?schema=NAME in the URL names another schema than public"
        )
    return f"prisma {system} {table}"


def rows_after(
    connection: psycopg.Connection[Any], kind: str, after: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The `users` or `events` with ids above `after`, by id, as the collector takes them."""
    query = (QUERIES / f"send_{kind}.sql").read_bytes()
    with connection.cursor(name=kind, row_factory=dict_row) as cursor:
        for row in cursor.execute(query, {"after": after}):
            if kind == "events":
                row["activity"] = msgspec.Raw(row["activity"].encode())
            yield int(row["eventId"] if kind == "events" else row["userId"]), row


def count(connection: psycopg.Connection[Any], kind: str, last: int) -> int:
    """How many of the `users` or `events` have an id of at most `last`."""
    table = "Event" if kind == "events" else "User"
    query = f'select count(*) from "{table}" where id <= %s'  # noqa: S608
    [(rows,)] = connection.execute(query.encode(), [last]).fetchall()
    return int(rows)

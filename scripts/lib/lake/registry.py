"""Which lakes have rows of a database: the database keeps that itself, in raw.lakes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, NamedTuple

import psycopg

from scripts.lib.base.cli import UserError

Connection = psycopg.Connection[Any]
PACKAGES = {"pyarrow": "pyarrow>=26", "adbc_driver_postgresql": "adbc-driver-postgresql>=1.13"}
# As macro xid_origin has it, and the database: those of one cluster share its ids.
_ORIGIN = """
    select concat_ws(
        ' ',
        'cluster', system_identifier,
        'database', pg_database.oid,
        'timeline', left(pg_walfile_name(pg_current_wal_lsn()), 8)
    )
    from pg_control_system()
    cross join pg_database
    where pg_database.datname = current_database()
"""
_LAKES = """
    select uri, database_name, xid_origin, exported_below::text::bigint from raw.lakes order by uri
"""
_REGISTER = """
    insert into raw.lakes (uri, database_name, xid_origin) values (%s, %s, %s)
    on conflict do nothing
"""
_ADVANCE = """
    update raw.lakes
    set xid_origin = %s, exported_below = %s::text::xid8, exported_at = now()
    where uri = %s
"""
_BE_ALONE = "select pg_try_advisory_lock(hashtext('headwater'), hashtext('erasures'))"
_UNFINISHED = "select 1 from raw.erasures where state <> 'finished'"


def require_extra() -> None:
    """Raises UserError where the extra `lake` is not installed."""
    if missing := [package for name, package in PACKAGES.items() if not find_spec(name)]:
        packages = " ".join(f"'{package}'" for package in missing)
        raise UserError(f"the extra `lake` is not installed: run .venv/bin/pip install {packages}")


class Registered(NamedTuple):
    """A lake that has rows of this database, under the name `database`, up to its mark."""

    uri: str
    database: str
    origin: str
    below_xid: int


def xid_origin(connection: Connection) -> str:
    """Who gives out the transaction ids of a database."""
    [origin] = connection.execute(_ORIGIN).fetchone() or ("",)
    return str(origin)


def lakes(connection: Connection) -> list[Registered]:
    """All lakes of a database."""
    return [Registered(*row) for row in connection.execute(_LAKES)]


def register(connection: Connection, lake: Registered) -> None:
    """Notes a lake before rows are written there."""
    connection.execute(_REGISTER, [lake.uri, lake.database, lake.origin])


def advance(connection: Connection, lake: Registered) -> None:
    """Notes how far a lake is, once it is there."""
    connection.execute(_ADVANCE, [lake.origin, str(lake.below_xid), lake.uri])


def forget(connection: Connection, uri: str) -> bool:
    """Forgets a lake that is no more; whether it was known."""
    return connection.execute("delete from raw.lakes where uri = %s", [uri]).rowcount > 0


def be_alone(connection: Connection) -> None:
    """Keeps other exports, and erasures, away for as long as the connection lasts.

    Raises UserError where there is one.
    """
    if connection.execute(_BE_ALONE).fetchone() != (True,):
        raise UserError(
            "another scripts/export, scripts/erase or scripts/retain is at work on this database: "
            "run this again when it is done"
        )


def is_erasing(connection: Connection) -> bool:
    """Whether an erasure was begun and not finished."""
    return connection.execute(_UNFINISHED).fetchone() is not None


def require_no_erasure(connection: Connection) -> None:
    """Raises UserError where one was begun and not finished: a lake is to get nothing meanwhile."""
    if is_erasing(connection):
        raise UserError("an erasure is unfinished: scripts/erase --resume, then this again")

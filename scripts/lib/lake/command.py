"""What `scripts/export` does: finds its place in a lake, and writes there what is new."""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

from psycopg.errors import UndefinedTable

from collector.connection import described, open_connection
from scripts.lib.base.cli import UserError, counted, say
from scripts.lib.base.database import Databases, open_databases, require_sessions
from scripts.lib.base.settings import Settings
from scripts.lib.lake.compact import compact
from scripts.lib.lake.export import export_rows, export_unknown_rows, horizon
from scripts.lib.lake.folder import Lake, Share, lake_uri, open_lake, registered_share
from scripts.lib.lake.layout import COLUMNS, DATABASE_NAME, Manifest
from scripts.lib.lake.registry import (
    Connection,
    Registered,
    advance,
    be_alone,
    forget,
    is_erasing,
    lakes,
    register,
    require_no_erasure,
    xid_origin,
)

_FROM_ELSEWHERE = "select 1 from raw.{table} where loaded_xid >= '{following}' limit 1"


def export(settings: Settings, options: argparse.Namespace) -> int:
    """Exports, and compacts where that was asked for; 0."""
    lake = open_lake(options.to)
    with open_databases(settings) as databases, opened_source(databases) as connection:
        be_alone(connection)
        require_no_erasure(connection)
        below_xid, following = horizon(connection)
        _require_own_rows(connection, following)
        share, is_continued = _place(connection, lake, options, following)
        share.sweep()
        started = time.monotonic()
        manifest, url = share.manifest, databases.migration
        if is_continued:
            steps = export_rows(url, share, below_xid, options.step)
        else:
            manifest.origin = xid_origin(connection)
            steps = export_unknown_rows(url, share, below_xid)
        counts: Counter[str] = Counter()
        for table, rows in steps:
            counts[table] += rows
            say(f"{counts[table]:12,}  {table}")
        advance(
            connection,
            Registered(lake.uri, manifest.database, manifest.origin, manifest.below_xid),
        )
        seconds = time.monotonic() - started
        say(
            f"exported {counted(counts.total(), 'row')} in {seconds:.1f} s to {lake.name}, as "
            f"{manifest.database}"
        )
        if options.compact:
            before, after = compact(share)
            say(f"compacted {before:,} files to {after:,}")
    return 0


def name_files(place: str, table: str) -> int:
    """Prints where the files of a table are, of all databases; 0."""
    lake = open_lake(place)
    if not lake.manifests():
        raise UserError(f"{lake.name} is no lake: scripts/export --to makes one")
    for path in lake.files(table):
        say(path)
    return 0


def forget_lake(settings: Settings, place: str) -> int:
    """Forgets a lake, whether it can be reached or not; 0.

    Also while an erasure is unfinished: it may be so for want of this lake.
    """
    with open_databases(settings) as databases, opened_source(databases) as connection:
        be_alone(connection)
        known = [lake.uri for lake in lakes(connection)]
        [uri] = [uri for uri in known if uri == place] or [lake_uri(place)]
        if not forget(connection, uri):
            names = ", ".join(known) or "none"
            raise UserError(f"no lake of this database is called so; there are: {names}")
        is_awaited = is_erasing(connection)
    say(f"forgot {uri}: what it holds is no longer erased by scripts/erase")
    if is_awaited:
        say("An erasure is unfinished: scripts/erase --resume goes on with it.")
    return 0


@contextmanager
def opened_source(databases: Databases) -> Iterator[Connection]:
    """Connects to the source as the owner of raw, in a session of its own."""
    require_sessions(databases.migration, "MIGRATION_DATABASE_URL")
    with closing(open_connection(databases.migration, autocommit=True)) as connection:
        try:
            connection.execute("select from raw.lakes limit 0")
        except UndefinedTable:
            raise UserError(
                f"{described(databases.migration)} lacks what this needs: run scripts/migrate"
            ) from None
        yield connection


def _require_own_rows(connection: Connection, following: int) -> None:
    """Refuses rows that another cluster stamped: their ids would be given out here later."""
    for table in COLUMNS:
        query = _FROM_ELSEWHERE.format(table=table, following=following)
        if connection.execute(query.encode()).fetchone():
            raise UserError(
                f"raw.{table} holds rows that were landed in another cluster, as after a restore: "
                "run scripts/migrate first"
            )


def _place(
    connection: Connection, lake: Lake, options: argparse.Namespace, following: int
) -> tuple[Share, bool]:
    """What this database has in the lake, and whether its marks mean what they say."""
    origin = xid_origin(connection)
    known = {each.uri: each for each in lakes(connection)}.get(lake.uri)
    name = options.name or (known.database if known else _own_name(connection))
    if not DATABASE_NAME.fullmatch(name):
        raise UserError("a database is called by letters, digits and _ in a lake: give it --as")
    if known and known.database != name:
        raise UserError(f"this database is called {known.database} in {lake.name}: leave out --as")
    if known:
        share = registered_share(connection, known)
    else:
        share = _new_share(connection, lake, Manifest(name, origin))
    manifest = share.manifest
    holds = manifest.origin == origin and manifest.highest_xid <= following
    if not holds and not options.reconcile:
        raise UserError(
            "transaction ids of this database are others than in its manifest: it was restored, or "
            "failed over. Run this once with --reconcile, which compares all rows"
        )
    return share, holds and not options.reconcile


def _new_share(connection: Connection, lake: Lake, empty: Manifest) -> Share:
    """What this database has in a lake that raw.lakes does not name: nothing, or it was forgotten.

    The manifest comes first, then the lake is noted, then rows are written: a place that takes
    nothing is no lake, and there are rows in none that is not noted.
    """
    manifest = lake.manifest(empty.database)
    if manifest and manifest.origin != empty.origin:
        raise UserError(
            f"another database is called {empty.database} in {lake.name}: give this one a name by "
            "--as"
        )
    share = Share(lake, manifest or empty, connection)
    if manifest is None:
        share.publish([])
    register(connection, Registered(lake.uri, empty.database, empty.origin, 0))
    return share


def _own_name(connection: Connection) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", connection.info.dbname)[:63]

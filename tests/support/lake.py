"""Lakes of tests: exported in this process or in one that is killed, and read as by users."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from types import FrameType
from typing import Any

import duckdb
import psycopg

from scripts.lib.base.settings import Settings
from scripts.lib.lake import command
from scripts.lib.lake.folder import open_lake
from scripts.lib.lake.layout import COLUMNS
from tests.support.forking import Forks, forks

Row = tuple[Any, ...]
_READ_AS = {"payload": "payload::text", "loaded_xid": "loaded_xid::text::bigint"}


def export(database_url: str, to: Path | str, **options: Any) -> None:  # noqa: ANN401
    """`scripts/export` in this process."""
    asked = {"name": "", "step": 1000, "reconcile": False, "compact": False, **options}
    settings = Settings.from_environment({"DATABASE_URL": database_url})
    command.export(settings, argparse.Namespace(to=str(to), **asked))


def rows_in(lake: Path, table: str, columns: Iterable[str] = ()) -> list[Row]:
    """All rows of a table of a lake, by the files that its manifests name."""
    files = open_lake(str(lake)).files(table)
    if not files:
        return []
    with duckdb.connect() as reader:
        reader.execute("set timezone = 'UTC'")
        query = f"select {', '.join(columns or COLUMNS[table])} from read_parquet(?)"  # noqa: S608
        return reader.execute(query, [files]).fetchall()


def assert_lake_is_raw(database_url: str, lake: Path) -> int:
    """The lake has each row of raw below its marks once, and no other; returns how many.

    When a refusal was put away is left out: the lake knows that as of its export.
    """
    count = 0
    [manifest] = open_lake(str(lake)).manifests()
    with closing(psycopg.connect(database_url)) as connection:
        for table, marked in manifest.tables.items():
            names = [name for name in COLUMNS[table] if name != "put_away_at"]
            columns = ", ".join(_READ_AS.get(name, name) for name in names)
            query = f"select {columns} from raw.{table} where loaded_xid < %s::text::xid8"  # noqa: S608
            landed = connection.execute(query.encode(), [str(marked.below_xid)]).fetchall()
            assert sorted(rows_in(lake, table, names), key=repr) == sorted(landed, key=repr)
            count += len(landed)
    return count


def killed_exports(database_url: str, to: Path) -> AbstractContextManager[Forks]:
    """Exports, all but the first killed with SIGKILL anywhere in their work: `killed` or `done`."""
    return forks("tests.support.lake", database_url, str(to))


def _serve(database_url: str, to: str) -> None:
    """Counts work in calls of Python: how long it takes depends on the machine."""
    rng = random.Random(0)
    calls = 0  # of the newest export that came to its end
    for _ in sys.stdin:
        last = rng.randrange(calls) if calls else -1
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.write(writer, str(_export_until(last, database_url, to)).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as counted:
            calls = int(counted.read() or calls)
        _, status = os.waitpid(child, 0)
        sys.stdout.write("killed\n" if os.WIFSIGNALED(status) else "done\n")
        sys.stdout.flush()


def _export_until(last: int, database_url: str, to: str) -> int:
    """Exports, and is killed at this call of Python; returns how many there were if it was not."""
    calls = 0

    def count(_frame: FrameType, kind: str, _argument: object) -> None:
        nonlocal calls
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        calls += kind == "call"

    sys.setprofile(count)
    export(database_url, to, step=20, compact=True)
    sys.setprofile(None)
    return calls


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2])

"""Lakes of tests: exported in this process or in one that is killed, and read as by users."""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from collector.settings import ROOT
from scripts.lib.base.settings import Settings
from scripts.lib.lake import command
from scripts.lib.lake.folder import open_lake
from scripts.lib.lake.layout import COLUMNS

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


@contextmanager
def killed_exports(database_url: str, to: Path, seconds: float) -> Iterator[Killer]:
    """Exports that are killed with SIGKILL within so many seconds."""
    command = [sys.executable, "-P", "-m", "tests.support.lake", database_url, str(to)]
    with subprocess.Popen(
        [*command, str(seconds)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Killer(process)
        assert process.stdin
        process.stdin.close()


class Killer:
    """The process whose children export."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def strike(self) -> bool:
        """Has one export begin and kills it; whether it was still at it."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline() == "killed\n"


def _serve(database_url: str, to: str, seconds: float) -> None:
    """Forks, since starting Python with Arrow takes longer than an export of a few rows."""
    rng = random.Random(0)
    for _ in sys.stdin:
        if (child := os.fork()) == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            export(database_url, to, step=20, compact=True)
            os._exit(0)
        time.sleep(rng.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        sys.stdout.write("killed\n" if os.WIFSIGNALED(status) else "done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], float(sys.argv[3]))

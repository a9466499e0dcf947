"""Databases with a history in raw, and dbt on them, run as its users run it: `scripts/dbt`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from collector.settings import ROOT
from scripts.lib.base.cli import UserError
from scripts.lib.bench.bench import Bench, run_command
from scripts.lib.bench.load import SQL
from scripts.lib.bench.server import execute, query

SMALL, LARGE, NONE = 20_000, 200_000, 0  # users
EVENTS_PER_USER = 10
NEW_EVENTS = 10_000
NEW_USERS = 2_000
AS_OF = "2026-11-01 00:00:00+00"  # the end of the history that land_history.sql lands
STATISTICS_SECONDS = 1.5  # until those of ended sessions are in
_ROUND = re.compile(r"^Run \d+ (\w+).* in ([\d.]+) s")
_TABLE_BLOCKS = """
    select relname, coalesce(heap_blks_read, 0) + coalesce(heap_blks_hit, 0)
        + coalesce(idx_blks_read, 0) + coalesce(idx_blks_hit, 0)
        + coalesce(toast_blks_read, 0) + coalesce(toast_blks_hit, 0)
    from pg_statio_user_tables
"""
_ALL_BLOCKS = """
    select blks_read + blks_hit from pg_stat_database where datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of dbt: wall-clock seconds, start included, and its models' own seconds.

    `blocks` are the blocks of 8 KiB that were read or found in the cache, catalogs included;
    `table_blocks` those of each table.
    """

    wall_seconds: float
    model_seconds: dict[str, float]
    blocks: int
    table_blocks: dict[str, int]

    @property
    def sum_seconds(self) -> float:
        """Seconds of all models together."""
        return sum(self.model_seconds.values())


@dataclass(slots=True)
class Warehouse:
    """A database to run dbt on. It has a target folder of its own, so that dbt parses once.

    `as_of` is the cut-off of its builds; None for that of the moment. `tree` is the checkout whose
    commands work on it.
    """

    database_url: str
    folder: Path
    users: int
    first: Run | None = None
    batches: int = 0
    as_of: str | None = AS_OF
    tree: Path = ROOT

    @property
    def events(self) -> str:
        """How many events the history has, to be read."""
        return f"{self.users * EVENTS_PER_USER:,}"

    def dbt(self, *arguments: str) -> Run:
        """Runs dbt, which has to succeed. Raises UserError with the end of its output."""
        before, tables_before = self._read()
        started = time.monotonic()
        self.run("dbt", "--no-use-colors", *arguments, *self._vars())
        wall_seconds = time.monotonic() - started
        time.sleep(STATISTICS_SECONDS)
        after, tables_after = self._read()
        return Run(
            wall_seconds,
            _model_seconds(self.folder / "target" / "run_results.json"),
            after - before,
            {name: count - tables_before.get(name, 0) for name, count in tables_after.items()},
        )

    @contextmanager
    def rounds(self, pause: int) -> Iterator[Callable[[], float]]:
        """One process that runs dbt again and again: a function that waits for its next round.

        It returns the round's seconds, and raises UserError with the end of the output where dbt
        fails.
        """
        every = ("--every", str(pause), "--no-use-colors")
        with subprocess.Popen(
            [self.tree / "scripts" / "dbt", *every, "run", *self._vars()],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:

            def next_round() -> float:
                lines: list[str] = []
                for line in process.stdout or ():
                    lines.append(line)
                    found = _ROUND.match(line)
                    if found and found[1] == "failed":
                        break
                    if found:
                        return float(found[2])
                raise UserError(f"dbt failed:\n{''.join(lines[-40:])}")

            try:
                yield next_round
            finally:
                process.terminate()

    def land_increment(self) -> None:
        """Lands 10,000 new events of 2,000 users."""
        self.batches += 1
        values = {"users": self.users, "new_users": NEW_USERS, "new_events": NEW_EVENTS}
        land_script(self.database_url, "land_increment", values | {"batch": self.batches})

    def environment(self) -> dict[str, str]:
        """The environment of a command that is to work on this warehouse."""
        return {
            **{name: value for name, value in os.environ.items() if "DATABASE_URL" not in name},
            "PYTHONPATH": str(self.tree),
            "DATABASE_URL": self.database_url,
            "HEADWATER_DATA": str(self.folder),
            "DBT_TARGET": "prod",
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_LOG_PATH": str(self.folder / "logs"),
        }

    def run(self, script: str, *arguments: str) -> None:
        """Runs a command on this warehouse, which has to succeed."""
        run_command([str(self.tree / "scripts" / script), *arguments], self.environment())

    def _vars(self) -> tuple[str, str]:
        return "--vars", json.dumps({"as_of": self.as_of} if self.as_of else {})

    def _read(self) -> tuple[int, dict[str, int]]:
        [(everything,)] = query(self.database_url, _ALL_BLOCKS)
        return int(everything), dict(query(self.database_url, _TABLE_BLOCKS))


def landed(bench: Bench, name: str, users: int) -> Warehouse:
    """A database with the history of so many users in raw, seeds loaded, nothing built yet.

    A database landed before is copied. dbt has parsed the project, as a first build on a machine
    does once.
    """
    template = f"landed_{users}"
    [(exists,)] = query(
        bench.server.url,
        "select exists (select from pg_database where datname = %s)",
        f"headwater_bench_{template}",
    )
    warehouse = Warehouse(bench.server.database(template), bench.folder / name, users)
    if not exists:
        bench.say(f"landing {users * EVENTS_PER_USER:,} events in raw")
        bench.server.create(template)
        if users:
            land_script(warehouse.database_url, "land_history", {"users": users})
        execute(warehouse.database_url, "vacuum analyze")
    bench.say(f"copying {users * EVENTS_PER_USER:,} events to a fresh database")
    warehouse.database_url = bench.server.create(name, template=template)
    warehouse.dbt("seed")
    bench.server.settle()
    return warehouse


def built(bench: Bench, users: int) -> Warehouse:
    """A warehouse of that size after its first build, the same one whenever it is asked for."""
    if users not in bench.warehouses:
        warehouse = landed(bench, f"built_{users}", users)
        bench.say(f"first build of {users * EVENTS_PER_USER:,} events")
        warehouse.first = warehouse.dbt("run")
        execute(warehouse.database_url, "vacuum analyze")
        bench.warehouses[users] = warehouse
    kept: Warehouse = bench.warehouses[users]
    return kept


def land_script(database_url: str, script: str, values: dict[str, int]) -> None:
    """Runs a landing script in one transaction. Values go in as literals: it is two statements."""
    statements = (SQL / f"{script}.sql").read_text()
    with closing(psycopg.connect(database_url)) as connection, connection:
        cursor = psycopg.ClientCursor(connection)
        cursor.execute(statements.encode(), values)


def _model_seconds(results: Path) -> dict[str, float]:
    return {
        result["unique_id"].split(".")[-1]: result["execution_time"]
        for result in json.loads(results.read_text())["results"]
        if result["unique_id"].startswith("model.")
    }

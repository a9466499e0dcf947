"""A destination database under test, and dbt on it, run as `scripts/dbt` runs it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from scripts.lib.base.cli import UserError, read_settings
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.environment import dbt_environment
from scripts.lib.dbt.lock import run_name, writing_lock
from scripts.lib.dbt.run import READ_NAME, WRITING
from scripts.lib.dbt.target import target_path, target_schema

if TYPE_CHECKING:
    from scripts.lib.dbt.runner import KeepingRunner

AS_OF = "2026-11-01 00:00:00+00"
MARTS = (
    "fct_events",
    "fct_event_attributes",
    "tracking_plan_violations",
    "rejection_rates_daily",
    "rejection_reasons_daily",
    "dim_users",
    "fct_sessions",
    "retention_weekly",
    "fct_funnel_progress",
    "conversion_funnel_daily",
    "funnel_outcome_daily",
    "attribution",
    "fct_tasks",
    "task_completion_daily",
    "fct_credit_scores",
    "credit_profiles",
    "credit_band_daily",
)


@cache
def runner() -> KeepingRunner:
    """The dbt of this process: all warehouses share what it parsed."""
    from scripts.lib.dbt.runner import KeepingRunner  # noqa: PLC0415  takes seconds to import

    return KeepingRunner(late={"as_of", "as_of_xid"})


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A database, and a copy of the dbt project whose seeds a test may change."""

    database_url: str
    project: Path

    def dbt(self, *arguments: str, **variables: object) -> str:
        """Runs dbt, which has to succeed, and returns what it printed."""
        finished = self.try_dbt(*arguments, **variables)
        assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]
        return finished.stdout

    def run(self, *arguments: str, reports: bool = False, **variables: object) -> str:
        """Loads the seeds and builds the models, without the data tests.

        The views of models/reports are built where asked for: nothing in the project reads them.
        """
        without = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
        without += [] if reports else ["--exclude", "path:models/reports"]
        return self.dbt("build", *without, *arguments, **variables)

    def build(self, *arguments: str, **variables: object) -> str:
        """Builds with the data tests. The unit tests see no data: test_dbt_project runs them."""
        return self.dbt("build", "--exclude-resource-type", "unit_test", *arguments, **variables)

    def manifest(self) -> dict[str, Any]:
        """What dbt knows of the project since it last ran, on the target of this process."""
        path = self.project / target_path(read_settings()) / "manifest.json"
        manifest: dict[str, Any] = json.loads(path.read_text())
        return manifest

    def try_dbt(self, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        """Runs dbt as `scripts/dbt` does, but within this process, and returns how it ended."""
        command = [
            "--no-use-colors",
            *arguments,
            *("--project-dir", str(self.project)),
            *("--vars", json.dumps({"as_of": AS_OF, **variables})),
        ]
        said: list[str] = []
        printed = io.StringIO()
        writes = not WRITING.isdisjoint(arguments)
        with ExitStack() as stack:
            try:
                settings = stack.enter_context(self.environment())
            except UserError as error:
                return subprocess.CompletedProcess(command, 1, "", f"error: {error}")
            schema = target_schema(arguments, settings)
            name = run_name(schema) if writes else READ_NAME
            stack.enter_context(patch.dict(os.environ, PGAPPNAME=name))
            if writes:
                stack.enter_context(writing_lock(self.database_url, said.append, schema))
            stack.enter_context(redirect_stdout(printed))
            result = runner().invoke(command)
        if isinstance(result.exception, KeyboardInterrupt | SystemExit):
            raise result.exception
        if result.exception:
            said.append(str(result.exception))
        status = 0 if result.success else 2 if result.exception else 1
        return subprocess.CompletedProcess(command, status, printed.getvalue(), "\n".join(said))

    @contextmanager
    def environment(self) -> Iterator[Settings]:
        """Gives this process the environment in which dbt finds database and profile."""
        given = {
            "DATABASE_URL": self.database_url,
            "HEADWATER_DATA": str(self.project.parent),
            # Nobody reads the log, which is a tenth of the work.
            "DBT_LOG_LEVEL_FILE": os.environ.get("DBT_LOG_LEVEL_FILE", "none"),
        }
        with patch.dict(os.environ, given):
            settings = read_settings()
            os.environ.update(dbt_environment(settings, self.database_url))
            yield settings

    def query(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with closing(psycopg.connect(self.database_url, autocommit=True)) as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    def execute(self, statement: str, *values: object) -> None:
        """Runs a statement."""
        with closing(psycopg.connect(self.database_url, autocommit=True)) as connection:
            connection.execute(statement.encode(), values or None)

    def land(self, *events: dict[str, Any], received_at: str = "2026-10-01 12:00:00+00") -> None:
        """Puts events into raw.events as the collector would, in one transaction."""
        with closing(psycopg.connect(self.database_url)) as connection, connection:
            land(connection, events, received_at)

    def set_seed(self, seed: str, rows: Iterable[dict[str, str]]) -> None:
        """Replaces the rows of a seed in this warehouse's project."""
        path = self.project / "seeds" / f"{seed}.csv"
        names = path.read_text().splitlines()[0].split(",")
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows(rows)

    def seed(self, seed: str) -> list[dict[str, str]]:
        """The rows of a seed in this warehouse's project."""
        with (self.project / "seeds" / f"{seed}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def keep_marts(self) -> None:
        """Copies the marts as they are now aside, for `differences`."""
        self.execute("drop schema if exists kept cascade")
        self.execute("create schema kept")
        for mart in MARTS:
            self.execute(f"create table kept.{mart} as table marts.{mart}")

    def differences(self) -> dict[str, int]:
        """Rows by mart that are in only one of the kept and the present marts."""
        counts = {}
        for mart in MARTS:
            [(count,)] = self.query(
                f"""
                select count(*) from (
                    (table kept.{mart} except all table marts.{mart})
                    union all
                    (table marts.{mart} except all table kept.{mart})
                ) as differing
                """  # noqa: S608
            )
            counts[mart] = count
        return counts


def land(
    connection: psycopg.Connection[Any],
    events: Iterable[dict[str, Any]],
    received_at: str = "2026-10-01 12:00:00+00",
) -> None:
    """Puts events into raw.events within the connection's transaction."""
    insert = sql.SQL(
        "insert into raw.events (received_at, source, event_id, payload) values (%s, %s, %s, %s)"
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            insert,
            [
                (
                    event.get("received_at", received_at),
                    event.get("source", "default"),
                    event["eventId"],
                    Jsonb({k: v for k, v in event.items() if k not in ("received_at", "source")}),
                )
                for event in events
            ],
        )


def page_view(event_id: str, user_id: object = 1, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """An event for `Warehouse.land`."""
    return {
        "eventId": event_id,
        "eventType": "page_viewed",
        "userId": user_id,
        "activity": {"path": "/"},
        **more,
    }


def event_ids(warehouse: Warehouse) -> list[str]:
    """The ids of all events in the marts, in order."""
    return [i for (i,) in warehouse.query("select event_id from marts.fct_events order by 1")]


def assert_raw_and_marts_agree(warehouse: Warehouse) -> None:
    """Each event of raw is in the marts once, with all its copies counted; a reload is the same."""
    assert (
        warehouse.query(
            """
            select source, event_id, count(*) from raw.events group by 1, 2
            except all
            select source, event_id, 1 + cardinality(duplicate_row_ids) from staging.stg_events
            """
        )
        == []
    )
    warehouse.keep_marts()
    warehouse.run("--full-refresh", reload_raw=True)
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)

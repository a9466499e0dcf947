"""A destination database under test, and dbt on it, run as its users run it: `scripts/dbt`."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from collector.settings import ROOT

AS_OF = "2026-11-01 00:00:00+00"
MARTS = (
    "fct_events",
    "fct_event_attributes",
    "tracking_plan_violations",
    "rejection_rates_daily",
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

    def manifest(self) -> dict[str, Any]:
        """What dbt knows of the project since it last ran."""
        manifest: dict[str, Any] = json.loads((self.project / "target/manifest.json").read_text())
        return manifest

    def try_dbt(self, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
        """Runs dbt and returns how it ended."""
        return subprocess.run(
            [
                ROOT / "scripts" / "dbt",
                "--no-use-colors",
                *arguments,
                *("--project-dir", str(self.project)),
                *("--vars", json.dumps({"as_of": AS_OF, **variables})),
            ],
            env={
                **os.environ,
                "DATABASE_URL": self.database_url,
                "HEADWATER_DATA": str(self.project.parent),
            },
            capture_output=True,
            text=True,
            check=False,
        )

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

"""scripts/replay --from-prisma: the prototype moves in, and its tables are compared with the marts.

The rows of the first tests are made here; the last one runs the prototype's own etl.ts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from collector.settings import ROOT
from tests.support.collector import Collector, rows_of, running_collector, wait_until
from tests.support.node import node_is_missing
from tests.support.warehouse import Warehouse

SEEDED = 3000
STACK = ROOT.parent / "shared" / "peers" / "seed-stack"
SOURCE = """
    create table "User" (
        id serial primary key, email text not null unique, name text not null,
        "ficoScore" integer not null, "createdAt" timestamp(3) not null
    );
    create table "Event" (
        id serial primary key, "eventType" text not null, "userId" integer not null,
        activity jsonb not null, "createdAt" timestamp(3) not null
    );
"""
DESTINATION = """
    create table "Conversion" (
        "eventId" integer primary key, "userId" integer not null, product text not null,
        "amountCents" integer not null, "convertedAt" timestamp(3) not null
    );
    create table "TaskCompletion" (
        "eventId" integer primary key, "userId" integer not null, "taskId" text not null,
        "taskName" text not null, "durationMs" integer not null, "completedAt" timestamp(3) not null
    );
    create table "CreditProfile" (
        "userId" integer primary key, email text not null, "ficoScore" integer not null,
        "scoreBand" text not null, "tasksCompleted" integer not null,
        conversions integer not null, "totalCents" integer not null, "lastEventAt" timestamp(3)
    );
"""
USERS = """
    insert into "User" values
    (1, 'ada@example.com', 'Ada', 700, '2026-01-01 10:00'),
    (2, 'bob@example.com', 'Bob', 640, '2026-01-02 10:00'),
    (3, 'cy@example.com', 'Cy', 200, '2026-01-03 10:00'),
    (4, 'dee@example.com', 'Dee', 810, '2026-01-04 10:00');
"""
EVENTS = """
    insert into "Event" (id, "userId", "eventType", activity, "createdAt") values
    (1, 1, 'conversion', '{"product": "card", "amountCents": 500}', '2026-02-01 10:00:00.123'),
    (2, 1, 'task_completed', '{"taskId": "t1", "taskName": "Upload"}', '2026-02-02 10:00'),
    (3, 1, 'credit_score_updated', '{"ficoScore": 750}', '2026-02-03 10:00'),
    (4, 2, 'credit_score_updated', '{"ficoScore": "650"}', '2026-02-04 10:00'),
    (5, 4, 'conversion', '{"product": "loan", "amountCents": "700"}', '2026-02-05 10:00'),
    (6, 4, 'coffee_drunk', '{}', '2026-02-06 10:00')
"""
# What etl.ts makes of the above.
TABLES = """
    insert into "Conversion" values
    (1, 1, 'card', 500, '2026-02-01 10:00:00.123'), (5, 4, 'loan', 0, '2026-02-05 10:00');
    insert into "TaskCompletion" values (2, 1, 't1', 'Upload', 0, '2026-02-02 10:00');
    insert into "CreditProfile" values
    (1, 'ada@example.com', 750, 'very_good', 1, 1, 500, '2026-02-03 10:00'),
    (2, 'bob@example.com', 0, 'poor', 0, 0, 0, '2026-02-04 10:00'),
    (3, 'cy@example.com', 200, 'poor', 0, 0, 0, null),
    (4, 'dee@example.com', 810, 'exceptional', 0, 1, 0, '2026-02-06 10:00');
"""
LATE_EVENT = """
    insert into "Event" ("eventType", "userId", activity, "createdAt")
    values ('conversion', 1, '{"product": "late", "amountCents": 1}', '2026-03-01')
"""


@dataclass(frozen=True, slots=True)
class Prototype:
    """The prototype's two databases."""

    source: str
    destination: str


@pytest.fixture
def prototype(postgres_url: str) -> Iterator[Prototype]:
    """The prototype's databases, without tables."""
    with (
        _database(postgres_url, "hw_prototype_source") as source,
        _database(postgres_url, "hw_prototype_destination") as destination,
    ):
        yield Prototype(source, destination)


@contextmanager
def _database(server_url: str, name: str) -> Iterator[str]:
    _execute(server_url, f"create database {name}")
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        _execute(server_url, f"drop database {name} with (force)")


def _execute(url: str, statements: str) -> None:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(statements.encode())


@pytest.fixture
def collector(warehouse: Warehouse) -> Iterator[Collector]:
    """A collector that lands where dbt reads."""
    with running_collector(warehouse.database_url) as collector:
        yield collector


def command(collector: Collector, prototype: Prototype, *arguments: str) -> list[str]:
    """The command; its source's URL has parameters of Prisma's, as these often do."""
    separator = "&" if urlsplit(prototype.source).query else "?"
    source = f"{prototype.source}{separator}schema=public&connection_limit=5"
    own = ["--prisma-destination", prototype.destination, "--url", collector.url]
    return [str(ROOT / "scripts" / "replay"), "--from-prisma", source, *own, *arguments]


def environment(collector: Collector, folder: Path) -> dict[str, str]:
    """The environment of the command."""
    own = {"DATABASE_URL": collector.database_url, "HEADWATER_DATA": str(folder)}
    return {"PATH": os.environ["PATH"], "COLUMNS": "200", **own}


def move_in(
    collector: Collector, prototype: Prototype, folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command."""
    return subprocess.run(
        command(collector, prototype, *arguments),
        env=environment(collector, folder),
        capture_output=True,
        text=True,
        check=False,
    )


def test_moves_in_and_says_what_differs_and_why(
    collector: Collector, warehouse: Warehouse, prototype: Prototype, tmp_path: Path
) -> None:
    _execute(prototype.source, SOURCE + USERS + EVENTS)
    _execute(prototype.destination, DESTINATION + TABLES)
    first = move_in(collector, prototype, tmp_path, "--batch", "2")
    assert "6 events sent: 5 accepted, 1 refused" in first.stdout, first.stdout + first.stderr
    assert "id 3: ficoScore must be an integer from 300 to 850" in first.stdout
    assert "Next: scripts/dbt build" in first.stdout
    assert first.returncode == 1  # for what was refused

    warehouse.run()
    second = move_in(collector, prototype, tmp_path)
    lines = " ".join(second.stdout.split())
    assert "Conversion 2 2 1 1 TaskCompletion 1 1 1 0 CreditProfile 4 3 1 3" in lines
    for reason, row in (
        ("amountCents is no number, which the prototype writes as 0", "5: amount_cents 0 / 700"),
        ("the user was refused or has another id", "3: not in the marts"),
        (
            "the prototype's score is outside FICO's range",
            "2: fico_score 0 / 650, score_band poor / fair",
        ),
        (
            "1 of its events missing, first 6 refused by the collector: unsupported_event_type; "
            "amountCents is no number, which the prototype writes as 0",
            "4: total_cents 0 / 700, last_event_at",
        ),
    ):
        assert f"1: {reason} {row}" in lines, second.stdout
    assert "unexplained" not in lines
    assert second.returncode == 1
    # Both runs together sent each row once.
    assert rows_of(collector.database_url, "select count(*) from raw.events") == [(5,)]
    assert rows_of(collector.database_url, "select count(*) from raw.users") == [(3,)]


@pytest.mark.slow
@pytest.mark.skipif(not STACK.is_dir(), reason="no ../shared/peers/seed-stack beside the checkout")
@pytest.mark.skipif(bool(node_is_missing(20, 19)), reason=node_is_missing(20, 19))
def test_equals_what_etl_ts_makes(
    collector: Collector, warehouse: Warehouse, prototype: Prototype, tmp_path: Path
) -> None:
    run = _installed(prototype, tmp_path / "stack")
    _execute(prototype.source, (STACK / "prisma/source/schema.sql").read_text())
    _execute(prototype.destination, (STACK / "prisma/dest/schema.sql").read_text())
    run("node", "dist/scripts/seed.js", "200", str(SEEDED))
    # The seed makes all users after their events; here that stays so for one alone.
    _execute(prototype.source, """update "User" set "createdAt" = '2024-12-31' where id <> 192""")
    run("node", "dist/scripts/etl.js")
    _execute(prototype.source, LATE_EVENT)

    with subprocess.Popen(
        command(collector, prototype, "--batch", "20"), env=environment(collector, tmp_path)
    ) as process:
        wait_until(lambda: _landed(collector)[0] > 100)
        process.kill()
    assert 100 < _landed(collector)[0] < SEEDED
    again = move_in(collector, prototype, tmp_path)
    assert f"{SEEDED + 1:,} events sent (those up to id" in again.stdout, (
        again.stdout + again.stderr
    )
    assert again.returncode == 0
    rows, different = _landed(collector)
    assert different == SEEDED + 1
    assert rows <= SEEDED + 1 + 20

    warehouse.run()
    stale = " ".join(move_in(collector, prototype, tmp_path).stdout.split())
    assert "Conversion 900 901 900 1 TaskCompletion 1,800 1,800 1,800 0" in stale
    assert "1: the ETL of the prototype has not run since 3001: only in the marts" in stale
    assert "1: the ETL of the prototype has not refreshed the row 1: conversions" in stale
    run("node", "dist/scripts/etl.js")
    fresh = move_in(collector, prototype, tmp_path)
    lines = " ".join(fresh.stdout.split())
    assert "Conversion 901 901 901 0 TaskCompletion 1,800 1,800 1,800 0" in lines, fresh.stdout
    assert "CreditProfile 200 200 199 1" in lines
    assert "1: ids and times are in another order, and marts go by time 192: fico_score" in lines


def test_refused_urls_are_not_quoted(tmp_path: Path) -> None:
    for url in (
        "postgresql://me:s3cr3t@1.2.3.4:port/db",
        "postgresql://me:s3cr/3t@localhost/db",
        "postgresql://me:p@s3cr3t@localhost/db",
        "postgresql://me:s3cr3t@localhost:1/db",
        "s3cr3t",
    ):
        finished = subprocess.run(
            [ROOT / "scripts" / "replay", "--from-prisma", url],
            env={"PATH": os.environ["PATH"], "HEADWATER_DATA": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 1
        assert finished.stderr.startswith("error: ")
        assert "s3cr" not in finished.stdout + finished.stderr


def _installed(prototype: Prototype, folder: Path) -> Callable[..., None]:
    """Installs the prototype's stack as its README says, and returns what runs it."""
    shutil.copytree(STACK, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    own = {
        "SOURCE_DATABASE_URL": prototype.source.replace(":@/", "@localhost/"),
        "DEST_DATABASE_URL": prototype.destination.replace(":@/", "@localhost/"),
    }

    def run(*arguments: str) -> None:
        finished = subprocess.run(
            arguments,
            cwd=folder,
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-2000:]

    run("npm", "install", "--no-audit", "--no-fund")
    run("npm", "run", "build")
    return run


def _landed(collector: Collector) -> tuple[int, int]:
    """Rows of raw.events, and different eventIds among them."""
    query = "select count(*), count(distinct event_id) from raw.events"
    [(rows, different)] = collector.query(query)
    return int(rows), int(different)

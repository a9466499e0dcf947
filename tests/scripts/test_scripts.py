"""The entry points in scripts/: help, errors that say what to do, one writing dbt run at a time."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from psycopg import sql

from collector.settings import ROOT
from scripts.lib.dbt.lock import RUN_NAME, writing_lock
from tests.support.collector import rows_of, wait_until
from tests.support.warehouse import Warehouse

SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir() if path.is_file())
HAND_ON = {"dbt", "mf", "psql", "test"}  # their arguments, to another program
PROJECT = """
name: scratch
version: 0.1.0
config-version: 2
profile: scratch
flags: {send_anonymous_usage_stats: false}
"""
PROFILE = """
scratch:
  target: prod
  outputs:
    prod:
      type: postgres
      host: "{{ env_var('PGHOST') }}"
      port: "{{ env_var('PGPORT', '5432') | int }}"
      user: "{{ env_var('PGUSER') }}"
      password: "{{ env_var('PGPASSWORD', '') }}"
      dbname: "{{ env_var('PGDATABASE') }}"
      schema: scratch
      application_name: "{{ env_var('PGAPPNAME') }}"
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(database: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a script on `database`, from another folder than the project's."""
    running = []

    def start(script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [ROOT / "scripts" / script, *arguments],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "HEADWATER_DATA": str(tmp_path / "data"),
                "DATABASE_URL": database,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        with process:
            process.kill()


@pytest.fixture
def dbt(start: Start, tmp_path: Path) -> Start:
    """Runs a scratch dbt project whose one table is made by the given SQL."""
    (tmp_path / "models").mkdir()
    (tmp_path / "dbt_project.yml").write_text(PROJECT)
    (tmp_path / "profiles.yml").write_text(PROFILE)

    def dbt(sql: str, *options: str) -> subprocess.Popen[str]:
        (tmp_path / "models" / "model.sql").write_text("{{ config(materialized='table') }}" + sql)
        here = str(tmp_path)
        return start("dbt", *options, "run", "--project-dir", here, DBT_PROFILES_DIR=here)

    return dbt


def sleeping(database: str) -> int:
    """How many backends of dbt run the scratch model."""
    rows = rows_of(
        database,
        "select count(*) from pg_stat_activity where application_name = %s and"
        " datname = current_database() and state = 'active' and query like '%%pg_sleep%%'",
        RUN_NAME,
    )
    return int(rows[0][0])


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_and_a_wrong_argument(script: str, tmp_path: Path) -> None:
    def run(argument: str) -> subprocess.CompletedProcess[str]:
        command = [str(ROOT / "scripts" / script), argument]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    result = run("--help")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"usage: scripts/{script}")
    if script not in HAND_ON:
        wrong = run("--nonsense")
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert re.fullmatch(rf"error: .*; see scripts/{script}( \w+)? --help\n", wrong.stderr)


def test_psql_opens_the_destination(start: Start, database: str) -> None:
    output, errors = start("psql", "-Atc", "select current_database()").communicate()
    assert (output.strip(), errors) == (urlsplit(database).path[1:], "")


def test_serve_without_schema_says_migrate(start: Start, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("drop schema raw cascade")
        connection.execute("drop schema secret cascade")
        connection.execute("drop table public.headwater_migrations")
    serve = start("serve", PORT="0")
    _, errors = serve.communicate()
    assert serve.returncode == 1
    assert "run scripts/migrate" in errors

    applied, _ = start("migrate").communicate()
    assert "0001_raw" in applied
    again, _ = start("migrate").communicate()
    assert "up to date" in again


def test_malformed_setting_is_named(start: Start) -> None:
    process = start("serve", PORT="http")
    _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.startswith("error: PORT must be a number")


def test_taken_port_is_said(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("serve", PORT=str(taken.getsockname()[1]))
        _, errors = process.communicate()
    assert process.returncode == 1
    assert "set HOST and PORT" in errors


def test_unreachable_database_is_said_without_a_traceback(start: Start) -> None:
    url = "postgresql://nobody:hidden@127.0.0.1:1/none"
    process = start("report", DATABASE_URL=url)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "DATABASE_URL" in errors
    assert "Traceback" not in errors
    assert "hidden" not in errors


def test_report_before_a_build_says_what_to_do(start: Start) -> None:
    process = start("report")
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "run scripts/dbt build" in errors


def test_dbt_passes_its_status_on(dbt: Start) -> None:
    good = dbt("select 1 as one")
    assert good.communicate()[0]
    assert good.returncode == 0
    bad = dbt("select 1 / 0 as one")
    assert "division by zero" in bad.communicate()[0]
    assert bad.returncode == 1


def test_second_writing_run_waits_for_the_first(dbt: Start, database: str) -> None:
    with writing_lock(database, print):
        process = dbt("select 1 as one")
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("Waiting for another dbt run (its backend ")
        assert rows_of(database, "select to_regclass('scratch.model')") == [(None,)]
    process.communicate()
    assert process.returncode == 0
    assert rows_of(database, "select one from scratch.model") == [(1,)]


def test_lock_is_held_until_dbt_itself_is_gone(dbt: Start, database: str) -> None:
    process = dbt("select 1 as one from pg_sleep(600)")
    wait_until(lambda: sleeping(database) > 0)
    (child,) = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    lock = "select pg_try_advisory_lock(hashtext('headwater'), hashtext('dbt'))"
    assert rows_of(database, lock) == [(False,)]
    child.kill()

    said: list[str] = []
    with writing_lock(database, said.append):
        wait_until(lambda: sleeping(database) == 0)
    assert said[-1].startswith("Ended what a killed dbt run left behind: backend ")


@pytest.mark.parametrize("options", [(), ("--every", "0")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_dbt_leaves_no_query_behind(
    dbt: Start, database: str, number: signal.Signals, options: tuple[str, ...]
) -> None:
    process = dbt("select 1 as one from pg_sleep(600)", *options)
    wait_until(lambda: sleeping(database) > 0)
    process.send_signal(number)
    process.communicate()
    assert process.returncode == 128 + number
    wait_until(lambda: sleeping(database) == 0)


def test_repeated_dbt_goes_on_after_a_failure(
    dbt: Start, database: str, postgres_url: str, tmp_path: Path
) -> None:
    process = dbt("select count(*) as earlier from public.absent", "--every", "0.1")
    assert process.stdout is not None
    outcomes = (line.split()[2] for line in process.stdout if line.startswith("Run "))
    assert next(outcomes) == "failed"
    with psycopg.connect(database) as connection:
        connection.execute("create table public.absent (id integer)")
        connection.execute("grant select on public.absent to headwater_transformer")
    assert "succeeded" in itertools.islice(outcomes, 20)
    earlier = "select earlier from scratch.model"
    assert rows_of(database, earlier) == [(0,)]
    # What it parsed is kept for as long as it is as it was.
    model = tmp_path / "models" / "model.sql"
    model.write_text("{{ config(materialized='table') }} select 7 as earlier")
    assert any(rows_of(database, earlier) == [(7,)] for _ in itertools.islice(outcomes, 20))

    name = urlsplit(database).path[1:]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        closing = sql.SQL("alter database {} allow_connections {}")
        connection.execute(closing.format(sql.Identifier(name), sql.Literal(False)))
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
        )
        try:
            assert "failed" in itertools.islice(outcomes, 20)
            assert next(outcomes) == "failed"  # not even the lock can be had
        finally:
            connection.execute(closing.format(sql.Identifier(name), sql.Literal(True)))
    assert "succeeded" in itertools.islice(outcomes, 200)


@pytest.mark.parametrize("pause", ["", "-1", "soon", "nan", "1e9"])
def test_pause_that_is_none(start: Start, pause: str) -> None:
    _, errors = start("dbt", "--every", pause, "run").communicate()
    assert errors == "error: --every needs a number of seconds from 0 to 86400\n"


def test_docs_in_one_file(start: Start, tmp_path: Path) -> None:
    target = {"DBT_TARGET_PATH": str(tmp_path / "target"), "DBT_LOG_PATH": str(tmp_path / "logs")}
    process = start("docs", "--static", "site/docs.html", **target)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "Nothing is built yet" in output
    assert "conversion_funnel_daily" in (tmp_path / "site" / "docs.html").read_text()


def test_demo_keeps_out_of_a_database_with_events(start: Start, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "insert into raw.events (received_at, source, event_id, payload)"
            " values (now(), 'shop', 'real', '{}')"
        )
    process = start("demo", "--users", "20")
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "has events already, and invented ones would stay among them" in errors
    assert rows_of(database, "select event_id from raw.events") == [("real",)]


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for an embedded server: the path of a unix socket is limited."""
    folder = Path(tempfile.mkdtemp(prefix="hw-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_demo_twice_doubles_nothing(start: Start, short_path: Path) -> None:
    environment = {
        "DATABASE_URL": "",
        "HEADWATER_DATA": str(short_path),
        "DBT_TARGET_PATH": str(short_path / "target"),
        "DBT_LOG_PATH": str(short_path / "logs"),
        "COLUMNS": "100",
    }
    screens = []
    for sent in ("events over HTTP", "nothing is sent"):
        process = start("demo", "--users", "60", **environment)
        output, errors = process.communicate()
        assert process.returncode == 0, output + errors
        assert sent in output
        screens.append(output[output.index(" users, ") :])
    assert screens[0] == screens[1]
    assert "Funnel loan_application" in screens[0]
    assert "scripts/docs" in screens[0]
    assert not (short_path / "postgres" / "postmaster.pid").exists()


@pytest.mark.slow
def test_sql_of_increments_is_clean_as_well(
    warehouse: Warehouse, start: Start, tmp_path: Path
) -> None:
    """Where marts are built, dbt compiles what an increment runs: scripts/lint sees it too."""
    warehouse.run()
    target = {"DBT_TARGET_PATH": str(tmp_path / "target"), "DBT_LOG_PATH": str(tmp_path / "logs")}
    process = start("lint", DATABASE_URL=warehouse.database_url, **target)
    output, errors = process.communicate()
    assert process.returncode == 0, output + errors

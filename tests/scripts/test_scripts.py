"""The entry points in scripts/: help, errors that say what to do, the demo."""

from __future__ import annotations

import base64
import fcntl
import gzip
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from collector.settings import ROOT
from scripts.lib.dbt.target import PROJECT
from tests.support.collector import rows_of
from tests.support.scripts import Start
from tests.support.warehouse import Warehouse


def test_url_for_other_programs(start: Start, database: str, tmp_path: Path) -> None:
    assert start("psql", "--url").communicate() == (f"{database}\n", "")
    own = {"HEADWATER_DATA": str(tmp_path / "own"), "DATABASE_URL": ""}
    url, told = start("psql", "--url", **own).communicate()
    assert url.endswith(f"host={tmp_path}/own/postgres\n")
    assert "runs as long as one of the scripts" in told


def test_embedded_server_stops_with_the_last_that_was_not_killed(
    start: Start, tmp_path: Path
) -> None:
    own = {"HEADWATER_DATA": str(tmp_path), "DATABASE_URL": "", "PORT": "0"}
    killed, other = (start("serve", **own) for _ in range(2))
    for each in (killed, other):
        assert each.stdout
        assert each.stdout.readline().startswith("Collector on")
    killed.kill()
    killed.wait()
    running = tmp_path / "postgres/postmaster.pid"
    assert running.exists()
    other.terminate()
    other.wait()
    assert not running.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is sure to have C.UTF-8")
def test_embedded_server_sorts_by_bytes_whatever_the_locale(start: Start, tmp_path: Path) -> None:
    own = {"HEADWATER_DATA": str(tmp_path), "DATABASE_URL": "", "LC_ALL": "POSIX"}
    asked = "select datcollate, datctype, lower('\u00c4') from pg_database limit 1"
    assert start("psql", "-Atc", asked, **own).communicate()[0] == "C|C.UTF-8|\u00e4\n"


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


@pytest.mark.parametrize("workers", [1, 3])
def test_taken_port_is_all_that_is_said(start: Start, workers: int) -> None:
    """Also where it is the port of one process of several, at which its metrics are."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] - (workers > 1)
        process = start("serve", PORT=str(port), WORKERS=str(workers))
        output, errors = process.communicate()
    assert (process.returncode, output) == (1, "")
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


def test_docs_in_one_file(start: Start, tmp_path: Path) -> None:
    target = {"DBT_TARGET_PATH": str(tmp_path / "target"), "DBT_LOG_PATH": str(tmp_path / "logs")}
    # As another process that makes docs, or a site, has it.
    metrics = tmp_path / "mf" / "staging" / "lock"
    metrics.parent.mkdir(parents=True)
    with ExitStack() as stack:
        for path in (tmp_path / "docs.lock", metrics):
            fcntl.flock(stack.enter_context(path.open("w")), fcntl.LOCK_EX)
        own = target | {"HEADWATER_DATA": str(tmp_path)}
        site = start("site", "--no-docs", "--output", "site", **own)
        process = start("docs", "--static", "site/docs.html", **own)
        answer = start("mf", "list", "metrics", **own)
        for each in (site, process, answer):
            assert each.stderr
            assert each.stderr.readline().startswith("Waiting for another command")
            assert each.poll() is None
        answer.kill()
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert site.wait() == 0
    assert (tmp_path / "site" / "index.html").exists()
    assert "Nothing is built yet" in output
    page = (tmp_path / "site" / "docs.html").read_text()
    manifest, catalog = (
        json.loads(gzip.decompress(base64.b64decode(packed)))
        for packed in re.findall('unpack\\("([^"]+)"\\)', page)
    )
    assert "model.headwater.conversion_funnel_daily" in manifest["nodes"]
    assert catalog["nodes"] == {}


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


@pytest.mark.slow
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
def test_sql_of_increments_is_clean_as_well(warehouse: Warehouse, tmp_path: Path) -> None:
    """Where marts are built, dbt compiles what an increment runs: scripts/lint sees it too."""
    warehouse.run()
    models = [
        node["original_file_path"]
        for node in warehouse.manifest()["nodes"].values()
        if node["config"]["materialized"] == "incremental"
    ]
    assert len(models) > 20
    linted = subprocess.run(
        [sys.executable, "-P", "-m", "scripts.lib.dbt.lint_sql", *map(PROJECT.joinpath, models)],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HEADWATER_DATA": str(tmp_path),
            "DATABASE_URL": warehouse.database_url,
            "DBT_TARGET_PATH": str(tmp_path / "target"),
            "DBT_LOG_PATH": str(tmp_path / "logs"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr

"""Developers at work on one database at once, and one who presses Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from scripts.lib.dbt.state import keep_manifest
from scripts.lib.demo.generator import generate
from tests.support.scripts import Start, starting
from tests.support.warehouse import Warehouse, page_view

pytestmark = pytest.mark.slow

WAIT_SECONDS = 300
MODELS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
LOANS = """
    select user_id, attempt, outcome, reached_at::text from {}.fct_funnel_progress
    where funnel = 'loan_application'
"""
# Who waits for a table, and for whom.
WAITING = """
    select application_name, pg_blocking_pids(pid)
    from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
"""
LEFT = """
    select application_name, query from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
        and backend_type = 'client backend' and application_name <> 'holder'
"""


@pytest.fixture(scope="module")
def prod(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """Prod, built and kept; of the checkout the window of the loan's funnel is another."""
    with create_warehouse() as warehouse:
        funnels = warehouse.seed("funnels")
        for row in funnels:
            row["window_days"] = row["window_days"] or "9"
        warehouse.set_seed("funnels", funnels)
        warehouse.land(*generate(users=40, seed=5).events)
        warehouse.run(reports=True)
        with psycopg.connect(warehouse.database_url) as connection:
            connection.execute("update staging.builds set is_whole = true, project = 'as it was'")
            keep_manifest(connection, warehouse.project / "target/manifest.json", "staging")
        yield warehouse


@pytest.fixture
def run(prod: Warehouse, tmp_path: Path) -> Iterator[Start]:
    """Starts a script on prod's database as a developer."""
    with starting(prod.database_url, tmp_path) as start:

        def started(
            script: str, *arguments: str, schema: str = "dev_ann", target: str = "dev"
        ) -> subprocess.Popen[str]:
            return start(
                script,
                *arguments,
                DBT_TARGET=target,
                DBT_SCHEMA=schema,
                DBT_TARGET_PATH=str(tmp_path / schema / target),
                DBT_LOG_PATH=str(tmp_path / "logs"),
                PGOPTIONS="-c lock_timeout=0",  # a machine that is busy takes its time
            )

        yield started


@contextmanager
def locked(prod: Warehouse, table: str) -> Iterator[psycopg.Connection]:
    """Nobody else gets at a table for the block."""
    with psycopg.connect(prod.database_url, application_name="holder") as holder:
        holder.execute(f"lock table {table} in access exclusive mode".encode())
        yield holder


def waiting(
    prod: Warehouse, wanted: set[str], process: subprocess.Popen[str]
) -> list[tuple[str, list[int]]]:
    """Waits until each of `wanted` waits for a table, and says who does and for whom."""
    until = time.monotonic() + WAIT_SECONDS
    found: list[tuple[str, list[int]]] = []
    while time.monotonic() < until and process.poll() is None:
        found = prod.query(WAITING)
        if all(any(name.startswith(each) for name, _ in found) for each in wanted):
            return found
        time.sleep(0.1)
    raise AssertionError(found, process.poll(), process.communicate(timeout=1))


def ended(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0, output + errors
    return output + errors


def interrupt(process: subprocess.Popen[str]) -> None:
    """Presses Ctrl-C: it ends, with all that it has started, and without a word about it."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    said = "".join(process.communicate(timeout=60))
    assert process.returncode == 130, said
    assert "rror" not in said
    assert "Traceback" not in said
    assert psutil.wait_procs(children, timeout=10)[1] == []


def nothing_is_left(prod: Warehouse) -> None:
    until = time.monotonic() + 10
    while left := prod.query(LEFT):
        assert time.monotonic() < until, left
        time.sleep(0.1)


def test_ctrl_c_in_a_diff_leaves_nothing_behind(prod: Warehouse, run: Start) -> None:
    """Neither while it builds nor while it compares, for which alone it reads the second table."""
    for table in ("intermediate.int_events", "marts.funnel_outcome_daily"):
        with locked(prod, table):
            process = run("diff")
            waiting(prod, {"headwater-dbt dev_ann_staging"}, process)
            interrupt(process)
            nothing_is_left(prod)
    assert "seed funnels" in ended(run("diff"))
    ended(run("dbt", "drop-dev"))


def test_ctrl_c_in_as_of_leaves_nothing_behind(prod: Warehouse, run: Start) -> None:
    with locked(prod, "raw.users"):
        process = run("dbt", "as-of", "2026-10-20")
        waiting(prod, {"headwater-dbt as_of_2026_10_20_staging"}, process)
        interrupt(process)
        nothing_is_left(prod)
    assert "as_of_2026_10_20_marts" in ended(run("dbt", "as-of", "2026-10-20"))
    ended(run("dbt", "drop-dev", schema="as_of_2026_10_20"))


def test_developers_and_prod_do_not_wait_for_each_other(prod: Warehouse, run: Start) -> None:
    prod.land(page_view("later"))
    names = {
        "headwater-dbt dev_ann_staging": run("diff"),
        "headwater-dbt dev_ben_staging": run(
            *("dbt", "build", *MODELS, "--select", "state:modified+"), schema="dev_ben"
        ),
        "headwater-dbt": run(
            *("dbt", "build", *MODELS, "--project-dir", str(prod.project)), target="prod"
        ),
    }
    with locked(prod, "intermediate.int_events") as holder:
        found = waiting(prod, set(names), names["headwater-dbt"])
        assert {pid for _, pids in found for pid in pids} == {holder.info.backend_pid}
    for process in names.values():
        ended(process)

    loans = {
        schema: set(prod.query(LOANS.format(f"{schema}marts")))
        for schema in ("", "dev_ann_", "dev_ben_")
    }
    assert loans["dev_ann_"] == loans["dev_ben_"] != loans[""]
    assert "expired" in {outcome for *_, outcome, _ in loans[""]}
    assert "expired" not in {outcome for *_, outcome, _ in loans["dev_ann_"]}
    assert prod.query("select from marts.fct_events where event_id = 'later'") == [()]

    ended(run("dbt", "drop-dev"))
    assert prod.query("select from pg_namespace where nspname ~ '^dev_ann_'") == []
    assert set(prod.query(LOANS.format("dev_ben_marts"))) == loans["dev_ben_"]

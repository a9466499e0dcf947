"""Whoever reads the marts for long stops no build, and no build stops other readers for long."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from collector.settings import ROOT
from scripts.lib.dbt.lock import writing_lock
from scripts.lib.demo.generator import generate
from tests.support.warehouse import MARTS, Warehouse


@contextmanager
def reader(warehouse: Warehouse) -> Iterator[None]:
    """Somebody who reads all marts in a transaction that stays open."""
    connect = psycopg.connect(warehouse.database_url, application_name="notebook")
    with closing(connect) as connection:
        for mart in MARTS:
            connection.execute(f"select count(*) from marts.{mart}".encode())  # noqa: S608
        yield


def test_builds_go_on_beside_an_open_reader(warehouse: Warehouse) -> None:
    events = generate(users=10, seed=37).events
    warehouse.land(*events[::2])
    warehouse.run()
    low = {"band": "low", "band_order": "1", "min_score": "300", "max_score": "649"}
    high = {"band": "high", "band_order": "2", "min_score": "650", "max_score": "850"}
    bands = [low | {"is_good": "false"}, high | {"is_good": "true"}]
    with reader(warehouse):
        warehouse.land(*events[1::2])
        warehouse.set_seed("score_bands", bands)
        warehouse.build()
        found = warehouse.query("select distinct band from marts.credit_band_daily")
        assert {("high",), ("low",)} <= set(found)
        # Changed code puts another table in the place of the one that is read.
        mart = warehouse.project / "models/tasks/marts/fct_tasks.sql"
        mart.write_text(mart.read_text() + "where true\n")
        refused = warehouse.try_dbt("build")
        assert refused.returncode == 1
        reason = "fct_tasks could not be replaced while it is read by backend "
        assert reason in refused.stdout
        assert "notebook" in refused.stdout
    status = subprocess.run(
        [ROOT / "scripts" / "status"],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": warehouse.database_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert reason in status.stdout
    warehouse.keep_marts()
    warehouse.run()
    warehouse.run("--full-refresh")
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)


def test_each_target_has_its_own_lock(database: str) -> None:
    said: list[str] = []
    with (
        writing_lock(database, said.append),
        writing_lock(database, said.append, "dev_ann_staging"),
    ):
        assert said == []

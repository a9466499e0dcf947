"""docs/analysts.md, followed word for word: its commands run as they stand, in their order."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from collector.settings import ROOT
from scripts.lib.demo.generator import generate
from tests.support.warehouse import Warehouse

PAGE = (ROOT / "docs" / "analysts.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)\n```$", PAGE, re.DOTALL | re.MULTILINE)
# What tests of its own run, and where.
ELSEWHERE = {
    "scripts/check": "scripts/test_check.py",
    # Where something is modified: of nothing dbt says that there is nothing to do, and fails.
    "scripts/dbt build --select state:modified+": "scripts/test_dbt_dev.py",
    "scripts/diff --against": "scripts/test_diff.py",
    "scripts/dbt as-of": "dbt_project/test_as_of.py",
    "DBT_TARGET=dev DBT_SCHEMA=as_of": "dbt_project/test_as_of.py",
    "DBT_SCHEMA=as_of": "dbt_project/test_as_of.py",
}


def followed(block: str) -> str:
    """The lines of a block that are run here."""
    return "\n".join(line for line in block.splitlines() if not line.startswith(tuple(ELSEWHERE)))


def test_what_is_run_elsewhere_is_on_the_page() -> None:
    lines = "\n".join(BLOCKS).splitlines()
    for beginning, file in ELSEWHERE.items():
        assert any(line.startswith(beginning) for line in lines), beginning
        assert (ROOT / "tests" / file).exists(), file


@pytest.mark.slow
def test_commands_of_the_page_run_one_after_the_other(warehouse: Warehouse, tmp_path: Path) -> None:
    """On one build of prod: that of the block on backfills, which keeps what it was made from."""
    warehouse.land(*generate(users=20, seed=3).events)
    warehouse.run(reports=True)
    [backfill] = [block for block in BLOCKS if "backfill" in block]
    run = [backfill, *(block for block in BLOCKS if block != backfill and followed(block))]
    assert len(run) > 3
    failed = []
    for block in run:
        finished = subprocess.run(
            ["/bin/sh", "-e", "-c", followed(block).replace("scripts/", f"{ROOT}/scripts/")],
            cwd=tmp_path,
            env={
                **os.environ,
                "DATABASE_URL": warehouse.database_url,
                "HEADWATER_DATA": str(warehouse.project.parent),
                "USER": "ann",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if finished.returncode:
            failed.append(f"{block}\n{finished.stdout[-3000:]}")
    assert failed == []
    [(views,)] = warehouse.query("select count(*) from pg_views where schemaname = 'dev_ann_marts'")
    assert views > 10
    assert (tmp_path / "answer.csv").read_text().startswith("metric_time__month,active_users")

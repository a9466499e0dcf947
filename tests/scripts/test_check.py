"""`scripts/check` finds what is wrong with a change, and says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from collector.settings import ROOT
from tests.support.collector import rows_of

STAYS = shutil.ignore_patterns(".*", "target", "logs", "tests", "__pycache__")
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@example.com")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of its own with the project in it."""
    copy = shutil.copytree(ROOT, tmp_path / "checkout", ignore=STAYS)
    shutil.copytree(ROOT / "dbt_project/tests", copy / "dbt_project/tests")
    shutil.copy(ROOT / ".sqlfluff", copy)
    for command in (["init", "-q"], ["add", "-A"], [*IDENTITY, "commit", "-qm", "all"]):
        subprocess.check_call(["git", *command], cwd=copy)
    return copy


def check(checkout: Path, database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "scripts.lib.dbt.check", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(checkout),
            "DATABASE_URL": database_url,
            "HEADWATER_DATA": str(checkout.parent / "data"),
            "USER": "ann",
        },
        cwd=checkout.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def verdicts(printed: str) -> dict[str, str]:
    """What each check said, without the times."""
    lines = [line.split("  ", 1) for line in printed.splitlines()]
    return {
        line[1].strip().rsplit(" (", 1)[0]: line[0].strip()
        for line in lines
        if line[0].strip() in ("ok", "FAILED")
    }


@pytest.mark.slow
def test_sound_change_passes_and_each_fault_is_found(checkout: Path, database: str) -> None:
    passed = check(checkout, database)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert verdicts(passed.stdout) == dict.fromkeys(
        ("seeds", "YAML", "parse", "names and layers", "unit tests"), "ok"
    )
    assert passed.stdout.endswith("check: ok\n")
    schemas = "select schema_name from information_schema.schemata where schema_name ~ 'marts|stag'"
    assert sorted(rows_of(database, schemas)) == [("check_ann_marts",), ("check_ann_staging",)]

    models = checkout / "dbt_project/models"
    (models / "core/intermediate/users_raw.sql").write_text(
        "SELECT payload from {{ source('raw', 'users') }}\n"
    )
    tasks = models / "tasks/marts/fct_tasks.sql"
    text = tasks.read_text().replace("replace(last_event_type, 'task_', '')", "'scheduled'")
    assert text != tasks.read_text()
    tasks.write_text(text)

    failed = check(checkout, database)
    assert failed.returncode == 1
    assert verdicts(failed.stdout) == {
        "seeds": "ok",
        "YAML": "ok",
        "parse": "ok",
        "names and layers": "FAILED",
        "SQL style": "FAILED",
        "unit tests": "FAILED",
    }
    for said in (
        "users_raw",
        "CP01",
        "work_items_are_numbered_and_reopened",
        "check: 3 failed",
    ):
        assert said in failed.stdout, failed.stdout


def test_project_that_dbt_cannot_read(checkout: Path, database: str) -> None:
    models = checkout / "dbt_project/models"
    (models / "core/marts/broken.sql").write_text("select * from {{ ref('nowhere') }}\n")
    spine = models / "core/intermediate/int_time_spine.yml"
    spine.write_text(spine.read_text().replace("data_tests:", "data_test:"))
    segments = checkout / "dbt_project/seeds/segments.csv"
    segments.write_text(segments.read_text() + "all,device,\n")
    failed = check(checkout, database)
    assert failed.returncode == 1
    assert verdicts(failed.stdout) == dict.fromkeys(("seeds", "YAML", "parse"), "FAILED")
    assert "dbt_project/seeds/segments.csv line 3: segment 'all'" in failed.stdout
    assert "models/core/intermediate/int_time_spine.yml: $.models[0].columns[0]" in failed.stdout
    assert "nowhere" in failed.stdout
    assert "before dbt can read the project" in failed.stdout


def test_help_needs_no_database() -> None:
    printed = subprocess.check_output([ROOT / "scripts" / "check", "--help"], text=True)
    assert "usage: scripts/check" in printed

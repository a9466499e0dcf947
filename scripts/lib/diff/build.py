"""Builds what a change of the dbt project concerns, beside what prod has."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from collector.connection import open_connection
from collector.settings import ROOT
from scripts.lib.base.cli import UserError, say
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.environment import dbt_environment
from scripts.lib.dbt.lock import run_name, writing_lock
from scripts.lib.dbt.seeds import require_sound_seeds
from scripts.lib.dbt.state import prod_state
from scripts.lib.dbt.target import PROJECT, STAGING, layer_schema
from scripts.lib.dbt.within import Dbt
from scripts.lib.diff.built import Built, CutOff

# How far prod has read: the change is built from the same rows, at the same time.
_CUT_OFF = """
    select as_of, read_below_xid::text, (select max(build_id) from staging.builds)
    from staging.watermarks
    where model_name = 'staging.stg_events'
"""
_NOT_BUILT = "prod has nothing to compare with yet: run scripts/dbt build on what is in use"


def cut_off(connection: psycopg.Connection) -> CutOff:
    """How far prod has read. Raises UserError where it is not built."""
    try:
        found = connection.execute(_CUT_OFF).fetchone()
    except psycopg.errors.UndefinedTable:
        found = None
    if not found:
        raise UserError(_NOT_BUILT)
    return CutOff(*found)


def enter(settings: Settings, database_url: str) -> str:
    """Has dbt of this process build into the schemas of `settings`; returns that of staging."""
    schema = layer_schema(settings, STAGING)
    os.environ.update(dbt_environment(settings, database_url))
    os.environ["DBT_TARGET_PATH"] += "/diff"
    os.environ["PGAPPNAME"] = run_name(schema)
    return schema


def build_change(dbt: Dbt, database_url: str, schema: str, against: str) -> Built:
    """Builds into the target of a schema of staging what differs from `against`.

    That is `prod`, for what prod was last built from, or a revision of git. What is not concerned
    is read where prod has it. Raises UserError where that cannot be.
    """
    require_sound_seeds(Path(os.environ["DBT_PROJECT_DIR"]))
    target = Path(os.environ["DBT_PROJECT_DIR"]) / os.environ["DBT_TARGET_PATH"]
    with open_connection(database_url, autocommit=True) as connection:
        until = cut_off(connection)
    if against == "prod":
        state = prod_state(database_url, os.environ["PGOPTIONS"], target / "prod")
        if not state:
            raise UserError(f"{_NOT_BUILT}, or name a revision of git: --against main")
    else:
        state = _state_of(against, target / "revisions", dbt)
    with writing_lock(database_url, partial(say, to=sys.stderr), schema):
        ids = _build(dbt, state, target, until)
        manifests = ((each / "manifest.json").read_bytes() for each in (state, target))
        before, now = map(json.loads, manifests)
    return Built(before, now, ids, until)


def _build(dbt: Dbt, state: Path, target: Path, until: CutOff) -> frozenset[str]:
    """Builds what differs from `state`, and what is made of it; returns the ids."""
    results = target / "run_results.json"
    results.unlink(missing_ok=True)
    if output := dbt.run(
        *("build", "--select", "state:modified+"),
        *("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"),
        *("--state", str(state), "--defer", "--favor-state"),
        as_of=until.as_of.isoformat(),
        as_of_xid=until.xid,
    ):
        raise UserError(f"the change cannot be built:\n{output.strip()}")
    if not results.exists():  # nothing is concerned
        return frozenset()
    ids = (result["unique_id"] for result in json.loads(results.read_bytes())["results"])
    return frozenset(name for name in ids if not name.startswith("operation."))


def _state_of(revision: str, folder: Path, dbt: Dbt) -> Path:
    """The folder with the manifest of a revision of git, which is parsed once."""
    named = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if named.returncode:
        raise UserError(f"{revision!r} is neither prod nor a revision of git")
    commit = named.stdout.strip()
    state = folder / commit
    if (state / "manifest.json").exists():
        return state
    archive = ["git", "archive", "--format=zip", commit, PROJECT.name]
    packed = subprocess.run(archive, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    with TemporaryDirectory() as checkout:
        with zipfile.ZipFile(io.BytesIO(packed)) as files:
            files.extractall(checkout)
        project = Path(checkout) / PROJECT.name
        if output := dbt.run(
            *("parse", "--project-dir", str(project), "--target", "prod"),
            *("--target-path", str(state)),
        ):
            raise UserError(f"the project of {revision} cannot be read:\n{output.strip()}")
    return state

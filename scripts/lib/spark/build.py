"""Builds the marts from a lake: dbt on a session of Spark, into a folder that appears whole."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from collector.settings import ROOT
from scripts.lib.base.cli import UserError, say
from scripts.lib.base.database import open_databases
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.seeds import require_sound_seeds
from scripts.lib.lake.folder import open_lake
from scripts.lib.spark.cluster import local_cluster, require_spark
from scripts.lib.spark.inputs import databases_of, key_of, make_views

CURRENT = "current"
_BUILDS = "builds"
# The site and the report read PostgreSQL; of their views nothing is made here.
_BUILD = (
    "build",
    "--exclude",
    "path:models/reports",
    "--resource-type",
    "model",
    "--resource-type",
    "seed",
)


def build(settings: Settings, options: argparse.Namespace) -> int:
    """Builds, and has `current` name the new build once all of it is there; dbt's status."""
    require_spark()
    require_sound_seeds(options.project)
    lake, place = open_lake(options.lake), Path(options.to).absolute()
    _require_place(place)
    names = databases_of(lake)
    with open_databases(settings) as databases:
        key = key_of(databases.migration)
    folder = place / _BUILDS / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    given = _settings(options)
    with ExitStack() as stack:
        unpublished = stack.enter_context(ExitStack())
        folder.mkdir(parents=True)
        unpublished.callback(shutil.rmtree, folder, ignore_errors=True)
        master = options.master or stack.enter_context(local_cluster(options.workers)).master
        # Loads Spark, which is an extra.
        from scripts.lib.spark.session import session  # noqa: PLC0415

        with session(master, folder, given) as spark:
            make_views(spark, lake, names, key)
            status = _run_dbt(settings, options)
        if status == 0:
            unpublished.pop_all()
            _publish(folder)
            say(f"{place / CURRENT} is the build of {folder.name}")
    return status


def _settings(options: argparse.Namespace) -> dict[str, str]:
    given = {}
    for each in options.conf:
        name, equals, value = each.partition("=")
        if not equals or not name.startswith("spark."):
            raise UserError(f"--conf {each}: give spark.NAME=VALUE")
        given[name] = value
    if options.event_log:
        events = Path(options.event_log).absolute()
        events.mkdir(parents=True, exist_ok=True)
        log = {"enabled": "true", "dir": events.as_uri(), "compress": "false"}
        given |= {f"spark.eventLog.{name}": value for name, value in log.items()}
    return given


def _run_dbt(settings: Settings, options: argparse.Namespace) -> int:
    from dbt.cli.main import dbtRunner  # noqa: PLC0415  slow
    from dbt.contracts.graph.manifest import Manifest  # noqa: PLC0415

    from scripts.lib.spark.project import adapt  # noqa: PLC0415

    state = settings.data_directory / "spark"
    state.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "profiles.yml.example", state / "profiles.yml")
    common = ["--project-dir", str(options.project), "--profiles-dir", str(state)]
    common += ["--target", "spark", "--target-path", str(state / "target")]
    common += ["--log-path", str(state / "logs")]
    if options.as_of:
        common += ["--vars", json.dumps({"as_of": options.as_of.isoformat(" ")})]
    with patch.dict(os.environ, DBT_TARGET="spark"):
        parsed = dbtRunner().invoke(["--quiet", "parse", *common]).result
        if not isinstance(parsed, Manifest):
            return 1  # dbt has said why
        adapt(parsed)
        return 0 if dbtRunner(parsed).invoke([*_BUILD, *common]).success else 1


def _require_place(place: Path) -> None:
    if place.exists() and not place.is_dir():
        raise UserError(f"{place} is no folder")
    if place.exists() and any(place.iterdir()) and not (place / _BUILDS).is_dir():
        raise UserError(f"{place} is not empty and has no builds of this: name another folder")


def _publish(folder: Path) -> None:
    """Puts `current` on a build at once, and leaves the one before to who still reads it."""
    place = folder.parent.parent
    new = place / f".{CURRENT}"
    new.unlink(missing_ok=True)
    new.symlink_to(Path(_BUILDS) / folder.name)
    new.replace(place / CURRENT)
    for old in sorted(folder.parent.iterdir())[:-2]:
        shutil.rmtree(old)

"""Builds the marts from a lake: dbt on a session of Spark, into a folder that appears whole."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from collector.settings import ROOT
from scripts.lib.base.cli import UserError, say
from scripts.lib.base.database import open_databases
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.seeds import require_sound_seeds
from scripts.lib.lake.folder import open_lake
from scripts.lib.spark.cluster import local_cluster, require_spark
from scripts.lib.spark.ending import Ended, ended_by_signals
from scripts.lib.spark.inputs import databases_of, key_of, make_views, require_readable
from scripts.lib.spark.place import CURRENT, publish, require_apart, unfinished

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunner, dbtRunnerResult

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
    lake, place = open_lake(options.lake), Path(options.to).absolute()
    if lake.root:
        require_readable(lake.root)
        require_apart(place, lake.root)
    require_spark()
    require_sound_seeds(options.project)
    names = databases_of(lake)
    with open_databases(settings) as databases:
        key = key_of(databases.migration)
    given = _settings(options)
    with unfinished(place) as folder:
        with ended_by_signals(), ExitStack() as stack:
            master = options.master or stack.enter_context(local_cluster(options.workers)).master
            # Loads Spark, which is an extra.
            from scripts.lib.spark.session import session  # noqa: PLC0415

            with session(master, folder, given) as spark:
                make_views(spark, lake, names, key)
                status = _run_dbt(settings, options, place)
        if status == 0:
            say(f"{place / CURRENT} is the build of {publish(folder)}")
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


def _run_dbt(settings: Settings, options: argparse.Namespace, place: Path) -> int:
    from dbt.cli.main import dbtRunner  # noqa: PLC0415  slow
    from dbt.contracts.graph.manifest import Manifest  # noqa: PLC0415

    from scripts.lib.spark.project import adapt  # noqa: PLC0415

    # By place, as there can be builds of several at a time.
    state = settings.data_directory / "spark" / sha256(bytes(place)).hexdigest()[:8]
    state.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "profiles.yml.example", state / "profiles.yml")
    common = ["--project-dir", str(options.project), "--profiles-dir", str(state)]
    common += ["--target", "spark", "--target-path", str(state / "target")]
    common += ["--log-path", str(state / "logs")]
    if options.as_of:
        common += ["--vars", json.dumps({"as_of": options.as_of.isoformat(" ")})]
    with patch.dict(os.environ, DBT_TARGET="spark"):
        parsed = _invoke(dbtRunner(), "--quiet", "parse", *common).result
        if not isinstance(parsed, Manifest):
            return 1  # dbt has said why
        adapt(parsed)
        tests = ("--resource-type", "unit_test", "--resource-type", "test") if options.test else ()
        return 0 if _invoke(dbtRunner(parsed), *_BUILD, *tests, *common).success else 1


def _invoke(runner: dbtRunner, *arguments: str) -> dbtRunnerResult:
    answer = runner.invoke([*arguments])
    if isinstance(answer.exception, Ended):  # all that is raised dbt returns
        raise answer.exception
    return answer

"""Answers in metrics: `scripts/mf` runs MetricFlow on the destination database."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from functools import partial
from pathlib import Path

from collector.connection import open_connection
from scripts.lib.base.cli import UserError, run, say
from scripts.lib.base.database import open_databases
from scripts.lib.base.files import alone, put_whole
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.environment import dbt_environment
from scripts.lib.dbt.look import fingerprint
from scripts.lib.dbt.run import run_dbt
from scripts.lib.dbt.target import (
    PROJECT,
    SEMANTIC_MANIFEST,
    STAGING,
    layer_schema,
    read_target,
    target_path,
)

USAGE = """usage: scripts/mf ARGUMENTS OF METRICFLOW

Ask for metrics, which dbt_project/models/*/_semantic_models.yml define.
Examples: scripts/mf list metrics
          scripts/mf query --metrics conversion_rate --group-by metric_time__week
          scripts/mf query --metrics completion_rate,cycle_time --group-by task__task_type
          scripts/mf query --saved-query site_funnel
          scripts/mf query --help   for MetricFlow's own help

The marts have to be built (scripts/dbt build)."""
_HAS_MARTS = "select from pg_class where relnamespace = to_regnamespace(%s) limit 1"


def main() -> int:
    """`scripts/mf`: every argument but --help goes to MetricFlow."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        say(USAGE)
        return 0 if arguments else 2
    if not importlib.util.find_spec("dbt_metricflow"):
        raise UserError(
            "MetricFlow is not installed: it is the optional extra `semantic`. "
            "Run .venv/bin/pip install 'dbt-metricflow==0.15.*'"
        )
    settings = read_target()
    with open_databases(settings) as databases:
        url = databases.destination
        environment = dbt_environment(settings, url)
        if arguments[0] == "query":
            _require_marts(settings, url)
        folder = parsed(settings, url, environment)
        # Takes a second, and reads the environment.
        from scripts.lib.dbt import connectors  # noqa: PLC0415

        os.environ |= environment | {connectors.FOLDER: str(folder)}
        connectors.command(arguments)
    return 0


def _require_marts(settings: Settings, database_url: str) -> None:
    schema = layer_schema(settings, "marts")
    with open_connection(database_url) as connection:
        if connection.execute(_HAS_MARTS, [schema]).fetchone() is None:
            raise UserError(f"the schema {schema} has no marts yet; run scripts/dbt build")


def parsed(settings: Settings, database_url: str, environment: dict[str, str]) -> Path:
    """The folder with the semantic manifest of the project as it is, parsed anew where it differs.

    Each target has its own. Raises UserError where dbt cannot read the project.
    """
    folder = settings.data_directory / "mf" / layer_schema(settings, STAGING)
    waiting = partial(say, "Waiting for another command that parses the project ...", to=sys.stderr)
    with alone(folder / "lock", waiting):
        about = folder / "about"
        project = fingerprint(PROJECT, environment)
        if not about.exists() or about.read_text() != project:
            _parse(settings, database_url, folder / "target")
            parsed_manifest = folder / "target" / SEMANTIC_MANIFEST
            put_whole(folder / SEMANTIC_MANIFEST, parsed_manifest.read_bytes())
            about.write_text(project)
    return folder


def _parse(settings: Settings, database_url: str, folder: Path) -> None:
    """Has dbt parse into a folder, which it fills in place."""
    folder.mkdir(exist_ok=True)
    before = PROJECT / target_path(settings) / "partial_parse.msgpack"
    if before.exists() and not (folder / before.name).exists():
        shutil.copyfile(before, folder / before.name)  # saves dbt seconds
    output: list[str] = []
    status = run_dbt(
        ["parse", "--target-path", str(folder)],
        settings,
        database_url,
        say=output.append,
        on_line=output.append,
    )
    if status:
        raise UserError("dbt parse failed:\n" + "\n".join(output[-20:]))


if __name__ == "__main__":
    run(main)

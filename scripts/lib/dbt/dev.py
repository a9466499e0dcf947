"""A developer's schemas: what they read where nothing is built, and how they go again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from psycopg import sql

from collector.connection import open_connection
from scripts.lib.base.cli import UserError, parser, say
from scripts.lib.base.database import open_databases
from scripts.lib.base.settings import Settings, given_schema, schema_name
from scripts.lib.dbt.environment import dbt_environment
from scripts.lib.dbt.lock import writing_lock
from scripts.lib.dbt.state import prod_state
from scripts.lib.dbt.target import PROJECT, STAGING, layer_schema, option, read_target

_THERE = "select nspname::text from pg_namespace where nspname = any (%s) order by 1"
DESCRIPTION = """Drop the schemas of a developer, those of scripts/check included: all that a name's
builds have made. DBT_SCHEMA says whose; without it they are yours. Prod is not touched."""


def check_schema() -> str:
    """What the names of schemas of scripts/check begin with."""
    return schema_name("check_" + given_schema().removeprefix("dev_"))


def reading_prod(
    arguments: Sequence[str], settings: Settings, database_url: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """The variables by which dbt knows what prod was last built from, for a run elsewhere.

    It compares the project with that (`state:modified`), clones it, and reads there what the target
    has not built (`--defer`). None where dbt's arguments name a state, or prod is not built: then
    what needs one is refused (UserError). `retry` looks in a state for the run that it repeats.
    """
    target = option(arguments, "-t", "--target", default=settings.dbt_target)
    has_own = "retry" in arguments or any(each.startswith("--state") for each in arguments)
    if target == "prod" or has_own:
        return {}
    folder = settings.data_directory / "state"
    state = prod_state(database_url, environment["PGOPTIONS"], folder)
    if not state and any("state:" in each or each == "clone" for each in arguments):
        raise UserError("prod has nothing built yet: run scripts/dbt build with DBT_TARGET=prod")
    return {"DBT_STATE": str(state), "DBT_DEFER": "true"} if state else {}


def drop_dev(arguments: Sequence[str]) -> int:
    """`scripts/dbt drop-dev`."""
    parser("dbt drop-dev", DESCRIPTION).parse_args(arguments)
    settings = replace(read_target(), dbt_target="dev")
    with open_databases(settings) as databases:
        dropped = [
            schema
            for name in (settings.dbt_schema, check_schema())
            for schema in _drop(replace(settings, dbt_schema=name), databases.destination)
        ]
    say(
        f"Dropped {', '.join(dropped)}." if dropped else f"There is no {settings.dbt_schema}_marts."
    )
    return 0


def _drop(settings: Settings, database_url: str) -> list[str]:
    schemas = [layer_schema(settings, layer) for layer in _layers(PROJECT)]
    options = dbt_environment(settings, database_url)["PGOPTIONS"]
    staging = layer_schema(settings, STAGING)
    with (
        writing_lock(database_url, say, staging),
        open_connection(database_url, options=options) as connection,
    ):
        there = [name for (name,) in connection.execute(_THERE, [schemas])]
        if there:
            names = sql.SQL(", ").join(map(sql.Identifier, there))
            connection.execute(sql.SQL("drop schema {} cascade").format(names))
    return there


def _layers(project: Path) -> set[str]:
    """The layers that the project's configuration names."""

    def named(part: Any) -> Iterator[str]:  # noqa: ANN401  YAML
        if isinstance(part, dict):
            if "+schema" in part:
                yield part["+schema"]
            for each in part.values():
                yield from named(each)

    return {*named(yaml.safe_load((project / "dbt_project.yml").read_text()))}

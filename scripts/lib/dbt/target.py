"""Where dbt builds: the folder of the project, and the schemas of its targets."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from collector.settings import ROOT
from scripts.lib.base.cli import UserError, read_settings, say
from scripts.lib.base.settings import Settings, given_schema

PROJECT = ROOT / "dbt_project"
VIEWS_STAND = "HEADWATER_VIEWS_STAND"  # in dbt's environment, not empty: views are as they were
SEMANTIC_MANIFEST = "semantic_manifest.json"  # as dbt calls it
STAGING = "staging"  # a target is called by its schema of this layer
# Where scripts/psql looks for a name without a schema, in this order.
READ_LAYERS = ("marts", "reports", "intermediate", STAGING, "seeds")


def read_target() -> Settings:
    """The settings, of a command that works on what dbt builds: says where, if that is not prod.

    Raises UserError where DBT_TARGET is no target of the profile.
    """
    settings = read_settings()
    if settings.dbt_target != "prod":
        _require_target(settings.dbt_target)
        given = given_schema()
        made = "" if given == settings.dbt_schema else f", made of {given!r}"
        say(f"Schemas {settings.dbt_schema}_marts and so on{made}.", to=sys.stderr)
    return settings


def _require_target(target: str) -> None:
    if "DBT_PROFILES_DIR" in os.environ:  # with targets of its own
        return
    profile = yaml.load((ROOT / "profiles.yml.example").read_text(), yaml.CSafeLoader)
    targets = profile["headwater"]["outputs"]
    if target not in targets:
        raise UserError(f"DBT_TARGET is {target!r}: it has to be one of {', '.join(targets)}")


def layer_schema(settings: Settings, layer: str) -> str:
    """The schema into which dbt builds a layer (`staging`, `marts`, `reports` ...).

    By the same rule as the macro `generate_schema_name`: the layer's own name in `prod`.
    """
    return layer if settings.dbt_target == "prod" else f"{settings.dbt_schema}_{layer}"


def target_path(settings: Settings) -> Path:
    """Where dbt leaves what it has parsed and done, apart for each target: parsing takes seconds.

    DBT_TARGET_PATH wins. Relative to the folder of the project.
    """
    own = "target" if settings.dbt_target == "prod" else f"target/{settings.dbt_schema}"
    return Path(os.environ.get("DBT_TARGET_PATH") or own)


def target_schema(arguments: Sequence[str], settings: Settings) -> str:
    """The staging schema, by which a target is called, of the one that dbt's arguments name."""
    target = option(arguments, "-t", "--target", default=settings.dbt_target)
    return layer_schema(replace(settings, dbt_target=target), STAGING)


def project_folder(arguments: Sequence[str], environment: Mapping[str, str]) -> Path:
    """The folder of the project that dbt reads, by its arguments or its environment."""
    return Path(option(arguments, "--project-dir", default=environment["DBT_PROJECT_DIR"]))


def option(arguments: Sequence[str], *names: str, default: str) -> str:
    """The value of an option of dbt, as the last of `names` among the arguments has it."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    values = [value for name, value in itertools.pairwise(words) if name in names]
    return values[-1] if values else default

"""Where dbt builds: the folder of the project, and the schemas of its targets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from collector.settings import ROOT
from scripts.lib.base.settings import Settings

PROJECT = ROOT / "dbt_project"
STAGING = "staging"  # a target is called by its schema of this layer


def layer_schema(settings: Settings, layer: str) -> str:
    """The schema into which dbt builds a layer (`staging`, `marts`, `reports` ...).

    By the same rule as the macro `generate_schema_name`: the layer's own name in `prod`.
    """
    return layer if settings.dbt_target == "prod" else f"{settings.dbt_schema}_{layer}"


def target_schema(arguments: Sequence[str], settings: Settings) -> str:
    """The staging schema, by which a target is called, of the one that dbt's arguments name."""
    options = [word for argument in arguments for word in argument.split("=", 1)]
    for option, value in itertools.pairwise(options):
        if option in ("-t", "--target"):
            settings = replace(settings, dbt_target=value)
    return layer_schema(settings, STAGING)

"""MetricFlow's two connections to dbt, without dbt: the manifest as it is kept, and psycopg.

They have the names under which MetricFlow's command imports them. With dbt it spends seconds on
imports and on validating the project before it answers anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

from metricflow.data_table.mf_table import MetricFlowDataTable
from metricflow.protocols.sql_client import SqlEngine
from metricflow.sql.render.postgres import PostgresSQLSqlPlanRenderer
from metricflow.sql.render.sql_plan_renderer import SqlPlanRenderer
from metricflow_semantic_interfaces.implementations.semantic_manifest import (
    PydanticSemanticManifest,
)
from metricflow_semantics.model.dbt_manifest_parser import (
    parse_manifest_from_dbt_generated_manifest,
)
from metricflow_semantics.sql.sql_bind_parameters import SqlBindParameterSet

from collector.connection import open_connection
from scripts.lib.dbt.target import SEMANTIC_MANIFEST

FOLDER = "HEADWATER_MF"  # the variable that names the folder with the manifest, which has logs too
_PLACE = "dbt_metricflow.cli.dbt_connectors"
_NO_PARAMETERS = SqlBindParameterSet()


class AdapterBackedSqlClient:
    """A client of the database that libpq's variables name.

    Statements have no parameters: MetricFlow writes values into their SQL. Where one has, it is
    refused with ValueError.
    """

    sql_engine_type = SqlEngine.POSTGRES
    sql_plan_renderer: ClassVar[SqlPlanRenderer] = PostgresSQLSqlPlanRenderer()

    def __init__(self, _adapter: None) -> None:
        self._connection = open_connection(autocommit=True, application_name="headwater-mf")

    def query(
        self, stmt: str, sql_bind_parameter_set: SqlBindParameterSet = _NO_PARAMETERS
    ) -> MetricFlowDataTable:
        """The rows of a statement."""
        _require_none(sql_bind_parameter_set.param_dict)
        cursor = self._connection.execute(stmt.encode())
        names = [column.name for column in cursor.description or ()]
        return MetricFlowDataTable.create_from_rows(names, cursor.fetchall())

    def execute(
        self, stmt: str, sql_bind_parameter_set: SqlBindParameterSet = _NO_PARAMETERS
    ) -> None:
        """Runs a statement."""
        _require_none(sql_bind_parameter_set.param_dict)
        self._connection.execute(stmt.encode())

    def dry_run(
        self, stmt: str, sql_bind_parameter_set: SqlBindParameterSet = _NO_PARAMETERS
    ) -> None:
        """Raises psycopg.Error where a statement cannot be run."""
        self.execute(f"explain {stmt}", sql_bind_parameter_set)

    def render_bind_parameter_key(self, bind_parameter_key: str) -> str:
        """Raises ValueError: statements have no parameters."""
        raise ValueError(_no_parameters([bind_parameter_key]))

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def _require_none(parameters: Collection[str]) -> None:
    if parameters:
        raise ValueError(_no_parameters(parameters))


def _no_parameters(names: Collection[str]) -> str:
    return (
        f"Statements of scripts/mf take no parameters, and one has {', '.join(names)}: "
        "write the values into its SQL"
    )


@dataclass(frozen=True, slots=True)
class dbtArtifacts:  # noqa: N801
    """What MetricFlow reads of a project: its semantic manifest."""

    semantic_manifest: PydanticSemanticManifest
    adapter: None = None

    @classmethod
    def load_from_project_metadata(cls, _metadata: dbtProjectMetadata) -> dbtArtifacts:
        """Reads the manifest that is kept."""
        return cls(cls.build_semantic_manifest_from_dbt_project_root(Path()))

    @staticmethod
    def build_semantic_manifest_from_dbt_project_root(
        project_root: Path,
    ) -> PydanticSemanticManifest:
        """Reads the manifest that is kept."""
        kept = Path(os.environ[FOLDER]) / SEMANTIC_MANIFEST
        return parse_manifest_from_dbt_generated_manifest(kept.read_text())


class dbtProjectMetadata:  # noqa: N801
    """Where a project is, and its logs."""

    def __init__(self) -> None:
        self.project_path = Path.cwd()
        self.project = SimpleNamespace(log_path=os.environ[FOLDER])

    @classmethod
    def load_from_paths(
        cls,
        profiles_path: Path,
        project_path: Path,
    ) -> dbtProjectMetadata:
        """Nothing has to be loaded."""
        return cls()


class UpdateChecker:
    """In place of the look on the package index for a newer version: it finds none."""

    def check(self, *_: object) -> None:
        """Nothing is looked up."""


def command(arguments: Sequence[str]) -> None:
    """Runs MetricFlow's command, which ends with SystemExit, on these connections."""
    module = sys.modules[__name__]
    places = [f"{_PLACE}.{name}" for name in ("adapter_backed_client", "dbt_config_accessor")]
    sys.modules.update(dict.fromkeys([*places, "update_checker"], module))
    from dbt_metricflow.cli.main import cli  # noqa: PLC0415  after its connections

    cli(list(arguments), prog_name="scripts/mf")

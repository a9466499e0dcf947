"""The dbt project as a whole: it parses without a warning, its YAML is what dbt knows."""

from __future__ import annotations

import json
from pathlib import Path

import dbt.jsonschemas
import pytest
import yaml
from jsonschema import Draft7Validator

from collector.settings import ROOT
from tests.warehouse import MARTS, Warehouse

PROJECT = ROOT / "dbt_project"
SCHEMAS = Path(dbt.jsonschemas.__file__).parent
PROPERTY_FILES = sorted(
    path for folder in ("models", "seeds", "tests") for path in (PROJECT / folder).rglob("*.yml")
)


@pytest.mark.parametrize("path", PROPERTY_FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_properties_have_no_key_that_dbt_does_not_know(path: Path) -> None:
    # On Postgres dbt itself lets misspelt keys pass.
    schema = json.loads((SCHEMAS / "resources" / "latest.json").read_text())
    errors = Draft7Validator(schema).iter_errors(yaml.safe_load(path.read_text()))
    assert [f"{error.json_path}: {error.message[:200]}" for error in errors] == []


def test_project_file_has_no_key_that_dbt_does_not_know() -> None:
    # The newer schema that dbt ships knows no incremental strategy but dbt's own.
    schema = json.loads((SCHEMAS / "project" / "0.0.85.json").read_text())
    project = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())
    errors = Draft7Validator(schema).iter_errors(project)
    assert [f"{error.json_path}: {error.message[:200]}" for error in errors] == []


def test_empty_database_builds_without_a_warning(warehouse: Warehouse) -> None:
    printed = warehouse.dbt("build", "--show-all-deprecations", "--no-partial-parse")

    assert "WARN=0 ERROR=0 SKIP=0" in printed
    assert "warning" not in printed.lower().replace("0 warnings", "")
    assert "deprecat" not in printed.lower()
    for mart in MARTS:
        assert warehouse.query(f"select count(*) from marts.{mart}") == [(0,)]  # noqa: S608


def test_every_model_is_described_keyed_and_documented(warehouse: Warehouse) -> None:
    warehouse.dbt("parse")
    manifest = warehouse.manifest()
    models = {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }
    keyed = {
        node["attached_node"].split(".")[-1]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
        and node.get("test_metadata", {}).get("name") in ("unique", "unique_combination")
        and node["attached_node"]
    }
    assert set(MARTS) <= set(models)
    for name, model in models.items():
        assert model["description"], name
        assert all(column["description"] for column in model["columns"].values()), name
        if model["config"]["materialized"] != "ephemeral":
            assert name in keyed
        if model["schema"] == "marts":
            assert model["config"]["contract"]["enforced"], name


def test_columns_of_the_database_are_those_of_the_documentation(
    warehouse: Warehouse,
) -> None:
    warehouse.run()
    manifest = warehouse.manifest()
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model" and node["config"]["materialized"] != "ephemeral":
            columns = warehouse.query(
                """
                select column_name from information_schema.columns
                where table_schema = %s and table_name = %s
                """,
                node["schema"],
                node["name"],
            )
            assert {name for (name,) in columns} == set(node["columns"]), node["name"]


def test_only_staging_reads_raw() -> None:
    readers = {
        path.stem: path.parent.name
        for path in (PROJECT / "models").rglob("*.sql")
        if "source('raw'" in path.read_text()
    }
    # base_events is ephemeral: a part of stg_events with a name of its own.
    assert set(readers) == {"base_events", "stg_events", "stg_users", "stg_rejected_events"}
    assert set(readers.values()) == {"staging"}

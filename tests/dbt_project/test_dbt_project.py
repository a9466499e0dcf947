"""The dbt project as a whole: it parses without a warning, its YAML is what dbt knows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from scripts.lib.dbt.properties import unknown_keys
from scripts.lib.dbt.target import PROJECT
from tests.support.warehouse import MARTS, Warehouse

IGNORED = shutil.ignore_patterns("target", "logs")


def test_yaml_has_no_key_that_dbt_does_not_know() -> None:
    # On Postgres dbt itself lets misspelt keys pass.
    assert list(unknown_keys(PROJECT)) == []


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("dbt_project.yml", "+persist_docs:", "+persist_doc:"),
        ("models/core/marts/dim_users.yml", "data_tests:", "data_test:"),
        ("models/core/marts/dim_users.yml", "config: {meta:", "config: {mete:"),
        ("seeds/_seeds.yml", "description:", "describtion:"),
        ("tests/_tests.yml", "description:", "config: {severety: warn}\n    description:"),
        ("models/_groups.yml", "owner:", "owners:"),
        ("models/reports/_reports__exposures.yml", "depends_on:", "depend_on:"),
        ("models/conversion/_semantic_models.yml", "entities:", "entity:"),
        ("models/conversion/_semantic_models.yml", "agg: count\n", "aggregate: count\n"),
        ("models/conversion/_semantic_models.yml", "numerator:", "nominator:"),
        ("models/conversion/_semantic_models.yml", "model: ref", "models: ref"),
        ("models/core/intermediate/int_time_spine.yml", "time_spine:", "timespine:"),
        ("models/tasks/intermediate/int_tasks_daily.yml", "  - name: int", "  name: int"),
    ],
)
def test_misspelt_keys_are_found(tmp_path: Path, file: str, right: str, wrong: str) -> None:
    project = shutil.copytree(PROJECT, tmp_path / "dbt_project", ignore=IGNORED)
    text = (project / file).read_text()
    assert right in text
    (project / file).write_text(text.replace(right, wrong, 1))

    [fault, *_] = unknown_keys(project)
    assert fault.startswith(f"{file}: ")


@pytest.fixture(scope="module")
def empty(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[tuple[Warehouse, str]]:
    """A warehouse built from nothing, with all tests, and what dbt printed."""
    with create_warehouse() as warehouse:
        yield warehouse, warehouse.dbt("build", "--show-all-deprecations", "--no-partial-parse")


@pytest.mark.every_postgres
def test_empty_database_builds_without_a_warning(empty: tuple[Warehouse, str]) -> None:
    warehouse, printed = empty
    assert "WARN=0 ERROR=0 SKIP=0" in printed
    assert "warning" not in printed.lower().replace("0 warnings", "")
    assert "deprecat" not in printed.lower()
    for mart in MARTS:
        assert warehouse.query(f"select count(*) from marts.{mart}") == [(0,)]  # noqa: S608


def test_every_model_is_described_keyed_and_documented(empty: tuple[Warehouse, str]) -> None:
    warehouse, _ = empty
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
        if model["schema"] in ("marts", "reports"):
            assert model["config"]["contract"]["enforced"], name


@pytest.mark.every_postgres
def test_columns_of_the_database_are_those_of_the_documentation(
    empty: tuple[Warehouse, str],
) -> None:
    warehouse, _ = empty
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
    entities = {"base_events", "stg_events", "stg_users", "stg_opt_outs", "stg_rejected_events"}
    assert set(readers) == {*entities, "stg_raw_lag", "stg_source_freshness"}
    assert set(readers.values()) == {"staging"}


def test_rates_are_written_once() -> None:
    divisions = re.compile(
        r"/\s*nullif\(|::numeric\s*/|/\s*[\w.]*(?:entered|reached|attempts|users|tasks)"
    )
    assert divisions.search("round(reached::numeric / nullif(entered, 0), 6)")
    for path in (PROJECT / "models").rglob("*.sql"):
        assert not divisions.search(path.read_text()), f"{path.name}: use rate(part, whole)"


@pytest.mark.every_postgres
def test_settings_that_no_model_could_do_with_build_nothing(
    empty: tuple[Warehouse, str],
) -> None:
    warehouse, _ = empty
    right = warehouse.seed("project_settings")
    values = {"segment_values": "0", "time_zone": "Nowhere/At_all", "session_gap_minutes": "30 min"}
    wrong = [
        row | {"value": values.get(row["setting"], row["value"])}
        for row in right
        if row["setting"] != "retention_weeks"
    ]
    repeated = next(row for row in right if row["setting"] == "carry_forward_days")
    warehouse.set_seed("project_settings", [*wrong, repeated, repeated | {"setting": "carry_on"}])
    refused = warehouse.try_dbt("build", "--select", "project_settings", "stg_users")
    assert refused.returncode == 1
    for fault in (
        "carry_forward_days is there 2 times",
        "carry_on is no setting",
        "retention_weeks is missing",
        "segment_values is '0', which is no whole number from 1 to 1000000",
        "session_gap_minutes is '30 min', which is no whole number from 1",
        "time_zone is 'Nowhere/At_all', which is no time zone that PostgreSQL knows",
        "Correct dbt_project/seeds/project_settings.csv",
    ):
        assert fault in refused.stdout
    assert "SKIP=1" in refused.stdout

    # What is loaded stays as it was; nor is anything built by what somebody took from it.
    warehouse.set_seed("project_settings", right)
    warehouse.run("--select", "stg_users")
    warehouse.execute("delete from seeds.project_settings where setting = 'retention_weeks'")
    refused = warehouse.try_dbt("run", "--select", "stg_users")
    assert refused.returncode != 0
    assert "retention_weeks is missing" in refused.stdout + refused.stderr
    warehouse.run("--select", "project_settings")


def test_relations_with_an_alias_are_rendered() -> None:
    """With --empty dbt puts an alias of its own behind the others (dbt-core#9967)."""
    aliased = re.compile(r"{{ (?:ref|source)\([^.}]*\) }} as \w")
    for folder in ("models", "tests"):
        for path in (PROJECT / folder).rglob("*.sql"):
            assert not aliased.findall(path.read_text()), path

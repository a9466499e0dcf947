"""A developer's target: its names, prod as its ground, and how it goes again."""

from __future__ import annotations

import os
import re
from pathlib import Path
from unittest.mock import patch

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scripts.lib.base.settings import Settings, schema_name
from scripts.lib.dbt.lock import writing_lock
from scripts.lib.dbt.state import keep_manifest
from tests.support.collector import rows_of
from tests.support.scripts import Start
from tests.support.warehouse import Warehouse, page_view

LONGEST = "_intermediate"
SCHEMAS = "select nspname::text from pg_namespace where nspname ~ '^(dev|check)_' order by 1"


@given(st.lists(st.text(st.characters(exclude_characters="\0"), max_size=70), min_size=2))
@example(["jean-luc", "jean.luc", "jean luc", "jean_luc", "Jean_Luc", "JEAN_LUC"])
@example(
    ["ä" * 60, "ä" * 61, "o'brien", "CORP\\bob", "李", "", "pg_x", "1st", '"', "x" * 40, "x" * 41]
)
def test_every_name_becomes_one_of_its_own_that_postgresql_takes(names: list[str]) -> None:
    made = {name: schema_name(f"dev_{name}") for name in names}
    assert len(set(made.values())) == len(made)
    for schema in made.values():
        assert re.fullmatch("[a-z_][a-z0-9_]*", schema)
        assert not schema.startswith("pg_")
        assert len(schema + LONGEST) <= 63
        assert schema_name(schema) == schema
        # What dbt's connections call themselves tells developers apart as well.
        assert len(f"headwater-dbt {schema}_staging") <= 63


def test_plain_names_stay_and_others_are_told() -> None:
    assert Settings.from_environment({"USER": "ann"}).dbt_schema == "dev_ann"
    assert Settings.from_environment({"USER": "ann", "DBT_SCHEMA": "slim"}).dbt_schema == "slim"
    assert Settings.from_environment({"USER": "Jürgen"}).dbt_schema.startswith("dev_jurgen_")
    assert schema_name("1st").startswith("dev_1st_")


def of_ann(more: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a developer whose name PostgreSQL does not take."""
    return {"DBT_TARGET": "dev", "USER": "Ann O'Neil", **(more or {})}


def test_developers_do_not_wait_for_each_other_nor_prod_for_them(database: str) -> None:
    said: list[str] = []
    with (
        writing_lock(database, said.append),
        writing_lock(database, said.append, "dev_ann_staging"),
        writing_lock(database, said.append, "dev_ben_staging"),
    ):
        assert said == []


@pytest.mark.parametrize(
    ("command", "target", "said"),
    [
        (["report"], "Prod", "DBT_TARGET is 'Prod': it has to be one of prod, dev, spark"),
        (["dbt", "clone"], "dev", "prod has nothing built yet: run scripts/dbt build with"),
        (["dbt", "build", "-s", "state:modified+"], "dev", "prod has nothing built yet"),
        (["mf", "query", "--metrics", "backlog"], "dev", "schema dev_ann_marts has no marts yet"),
    ],
)
def test_what_is_not_there_yet_is_said_in_a_line(
    start: Start, command: list[str], target: str, said: str
) -> None:
    process = start(*command, USER="ann", DBT_TARGET=target)
    _, errors = process.communicate()
    assert process.returncode == 1
    *before, last = errors.splitlines()
    assert last.startswith("error: ")
    assert said in last
    assert before in ([], ["Schemas dev_ann_marts and so on."])


@pytest.mark.slow
def test_developer_begins_with_prod_builds_a_part_and_leaves_nothing(
    warehouse: Warehouse, start: Start, database: str, tmp_path: Path
) -> None:
    """All commands that read what dbt builds obey the target."""
    del database
    warehouse.land(page_view("one"))
    warehouse.run(reports=True)
    with psycopg.connect(warehouse.database_url) as connection:
        connection.execute("update staging.builds set is_whole = true, project = 'as it was'")
        manifest, half = warehouse.project / "target/manifest.json", tmp_path / "half.json"
        half.write_bytes(manifest.read_bytes()[:-9])  # as where dbt is just writing it
        for written, kept in ((half, 0), (manifest, 1)):
            keep_manifest(connection, written, "staging")
            found = connection.execute("select count(manifest) from staging.builds").fetchone()
            assert found == (kept,)
    schema = schema_name("dev_Ann O'Neil")

    def run(script: str, *arguments: str) -> str:
        process = start(script, *arguments, DATABASE_URL=warehouse.database_url, **of_ann())
        output, errors = process.communicate()
        assert process.returncode == 0, output + errors
        told = f"""Schemas {schema}_marts and so on, made of "dev_Ann O'Neil".\n"""
        assert errors.startswith(told), errors
        return output

    run("dbt", "--quiet", "clone")
    assert run("psql", "-Atc", "select count(*) from fct_events") == "1\n"
    kind = "select relkind from pg_class where oid = to_regclass('{}.fct_events')"
    [(view,)] = warehouse.query(kind.format(f"{schema}_marts"))
    assert view in ("v", b"v")
    assert "1 event of 1 user" in run("report")
    run("dbt", "--quiet", "run", "--select", "fct_tasks", "+dim_users")
    run("dbt", "--quiet", "build", "--empty", "--exclude-resource-type", "unit_test")
    with warehouse.environment():  # prod goes on, and takes what shows it along
        warehouse.run("--full-refresh", "--select", "+fct_events")
    run("dbt", "--quiet", "run", "--select", "attribution")  # reads prod where it has nothing
    assert "Dropped " in run("dbt", "drop-dev")
    assert rows_of(warehouse.database_url, SCHEMAS) == []
    assert "There is no " in run("dbt", "drop-dev")
    assert warehouse.query("select count(*) from marts.fct_events") == [(1,)]


def test_what_was_parsed_of_files_that_are_gone_is_parsed_anew(warehouse: Warehouse) -> None:
    """dbt's cache fails for ever about a metric that was taken back (dbt-core#5444, #13004)."""
    models = warehouse.project / "models"
    changed = [models / "tasks/_semantic_models.yml", models / "tasks/marts/fct_tasks.yml"]
    before = [path.read_text() for path in changed]
    measure = "      - name: cycle_seconds_p50\n"
    added = "      - {name: tasks_two, description: Two., agg: count, expr: task_key}\n"
    assert before[0].count(measure) == 1
    with_measure = before[0].replace(measure, added + measure)
    metric = (
        "  - name: tasks_two\n    label: Two\n    description: Two.\n    type: simple\n"
        "    type_params: {measure: tasks_two}\n"
    )
    warehouse.dbt("parse")
    changed[0].write_text(with_measure.replace("\nmetrics:\n", f"\nmetrics:\n{metric}"))
    changed[1].write_text(before[1].replace("One row per", "Two: one row per"))
    warehouse.dbt("parse")
    for path, text in zip(changed, before, strict=True):
        path.write_text(text)
    warehouse.dbt("parse")

    changed[0].write_text(before[0].replace(measure, ""))
    with patch.dict(os.environ):
        refused = warehouse.try_dbt("parse")  # what is wrong in a file is still said
    assert refused.returncode != 0
    changed[0].write_text(before[0])
    warehouse.dbt("parse")

"""What docs/connect.md says of the marts to those who connect other tools."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from collector.settings import ROOT
from scripts.lib.demo.generator import generate
from tests.support.warehouse import MARTS, Warehouse

PAGE = (ROOT / "docs" / "connect.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
KEYS = """
    select conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint
    where contype = 'f' and connamespace = 'marts'::regnamespace order by 1
"""


def table(first: str) -> list[tuple[str, str]]:
    """The first names in code of both columns of the page's table."""
    rows = PAGE[PAGE.index(f"| {first} |") :].split("\n\n")[0].splitlines()[2:]
    return [(found[0], found[1]) for row in rows for found in [re.findall(r"`([\w.]+)`", row)]]


@pytest.fixture(scope="module")
def built(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """The marts that the page's examples read."""
    with create_warehouse() as warehouse:
        warehouse.land(*generate(users=60, seed=4).events)
        warehouse.run(
            "--select", "+conversion_funnel_daily", "+task_completion_daily", "+credit_profiles",
            "+attribution", "+dim_users",
        )  # fmt: skip
        yield warehouse


def test_joins_are_those_that_builds_test(parsed_project: Path) -> None:
    manifest = Warehouse("", parsed_project).manifest()
    relations = set()
    for node in manifest["nodes"].values():
        if (node.get("test_metadata") or {}).get("name") == "relationships":
            child = node["attached_node"].split(".")[-1]
            [parent] = re.findall(r"ref\('(\w+)'\)", node["test_metadata"]["kwargs"]["to"])
            field = node["test_metadata"]["kwargs"]["field"]
            if {child, parent} <= set(MARTS):
                relations.add((f"{child}.{node['column_name']}", f"{parent}.{field}"))
    assert set(table("from")) == relations


def test_what_cannot_be_charted_is_flat_elsewhere(parsed_project: Path) -> None:
    manifest = Warehouse("", parsed_project).manifest()
    marts = {n["name"]: n["columns"] for n in manifest["nodes"].values() if n["name"] in MARTS}
    nested = {
        f"{mart}.{name}"
        for mart, columns in marts.items()
        for name, column in columns.items()
        if re.search(r"json|\[\]", column["data_type"])
    }
    flat = dict(table("column"))
    assert set(flat) == nested
    for place in flat.values():
        mart, _, column = place.partition(".")
        assert mart in marts
        assert not column or column in marts[mart]


@pytest.mark.slow
@pytest.mark.parametrize("query", QUERIES, ids=[query.split()[-1] for query in QUERIES])
def test_first_questions_have_answers(built: Warehouse, query: str) -> None:
    # As Grafana expands its macro.
    asked = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 between '2026-08-01' and '2026-11-01'", query)
    assert len(built.query(asked)) > 2


def keys(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """The foreign keys between marts."""
    return warehouse.query(KEYS)


@pytest.mark.slow
def test_relations_are_declared_and_stand_in_the_way_of_no_build(built: Warehouse) -> None:
    declare = ("run-operation", "declare_relations")
    [(version,)] = built.query("select current_setting('server_version_num')::integer")
    if version < 180000:
        assert "needs PostgreSQL 18" in built.try_dbt(*declare).stdout
        return
    built.dbt(*declare)
    declared = keys(built)
    assert [mart for mart, _ in declared] == [
        "marts.attribution",
        "marts.credit_profiles",
        "marts.fct_funnel_progress",
        "marts.fct_tasks",
    ]
    assert all(definition.endswith("NOT ENFORCED") for _, definition in declared)
    built.land(*generate(users=70, seed=5).events)
    some = ("--select", "+fct_tasks", "+attribution", "+dim_users")
    built.run(*some)
    assert keys(built) == declared
    built.run(*some, "--full-refresh")
    assert keys(built) == []
    built.dbt(*declare)
    assert keys(built) == declared

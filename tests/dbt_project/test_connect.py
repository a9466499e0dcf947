"""What docs/connect.md says of the marts to those who connect other tools."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from operator import itemgetter
from pathlib import Path
from typing import Any

import psycopg
import pytest

from collector.settings import ROOT
from scripts.lib.demo.generator import generate
from tests.support.warehouse import MARTS, Warehouse

PAGE = (ROOT / "docs" / "connect.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
MARTS_BOARD = json.loads((ROOT / "docs/deploy/grafana/marts.json").read_text())
PANELS = {panel["title"]: panel["targets"][0] for panel in MARTS_BOARD["panels"]}
# The same, from what the site draws. Of a funnel the first step and the last one.
SITE = {
    "Conversion rate by week": """
        select date_trunc('week', day)::date, funnel,
            sum(complete_conversions) / nullif(sum(complete_attempts), 0)
        from reports.rpt_funnels_daily where day between %s and %s group by 1, 2
    """,
    "Attempts by step": """
        select funnel, sum(attempts), sum(conversions)
        from reports.rpt_funnels_daily where day between %s and %s group by 1
    """,
    "Open tasks": """
        select day, task_type, backlog from reports.rpt_tasks_daily where day between %s and %s
    """,
    "Users by score band": """
        select day, band, users from reports.rpt_credit_bands_daily where day between %s and %s
    """,
    "Refused": """
        select day, rejection_code, events_rejected
        from reports.rpt_rejections_daily where day between %s and %s
    """,
}
# What the role of this connection may read, and what it may do besides, by schema.
RIGHTS = """
    select nspname::text, count(*),
        count(*) filter (where has_table_privilege(pg_class.oid, 'select')),
        count(*) filter (where has_table_privilege(
            pg_class.oid, 'insert, update, delete, truncate, references, trigger'
        )) + max(has_schema_privilege(pg_namespace.oid, 'create')::integer)
    from pg_class
    inner join pg_namespace on pg_namespace.oid = relnamespace
    where relkind in ('r', 'p', 'v') and nspname !~ '^pg_|^information_schema$'
        and has_schema_privilege(pg_namespace.oid, 'usage')
    group by 1
"""
FORBIDDEN = (
    "select from raw.events",
    "select from staging.stg_users",
    "select from intermediate.int_events",
    "select from secret.email_hash_key",
    "delete from marts.credit_band_daily",
    "create table marts.mine as select 1 as one",
    "create table public.mine as select 1 as one",
    "create schema mine",
    "set role headwater_transformer",
)
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
        warehouse.execute(
            "insert into raw.rejected_events (received_at, source, code, message, payload)"
            " select timestamptz '2026-09-20 12:00Z' + n * interval '1 day', 'default',"
            " 'unsupported_event_type', 'no', n::text from generate_series(-9, 9) as n"
        )
        warehouse.run(
            "--select", "+conversion_funnel_daily", "+task_completion_daily", "+credit_profiles",
            "+attribution", "+dim_users", "+rpt_funnels_daily", "+rpt_tasks_daily",
            "+rpt_credit_bands_daily", "+rpt_rejections_daily", reports=True,
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


def expanded(query: str, first: str, last: str) -> str:
    """A query as Grafana's manual of its PostgreSQL data source says that it is sent."""
    asked = re.sub(
        r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN '{first}T00:00:00Z' AND '{last}T23:59:59Z'", query
    )
    assert "$__" not in asked
    return asked


@pytest.mark.slow
@pytest.mark.parametrize("query", QUERIES, ids=[query.split()[-1] for query in QUERIES])
def test_first_questions_have_answers(built: Warehouse, query: str) -> None:
    assert len(built.query(expanded(query, "2026-08-01", "2026-11-01"))) > 2


@pytest.mark.slow
@pytest.mark.parametrize("title", PANELS)
def test_panels_of_grafana_have_the_numbers_of_the_site(built: Warehouse, title: str) -> None:
    [(first, last)] = built.query("select min(day), max(day) from reports.rpt_tasks_daily")
    for end in (first + (last - first) / 2, last):
        rows = built.query(expanded(PANELS[title]["rawSql"], str(first), str(end)))
        site = built.query(SITE[title], first, end)
        if PANELS[title]["format"] == "time_series":  # Grafana wants them in order, each once
            assert rows == sorted(rows, key=itemgetter(0))
            assert len({row[:2] for row in rows}) == len(rows) > 2
            assert sorted(rows) == sorted(site)
        else:  # a row for each step
            counts: dict[str, list[int]] = {}
            for funnel, _, attempts, _ in rows:
                counts.setdefault(funnel, []).append(attempts)
            assert [(each, steps[0], steps[-1]) for each, steps in counts.items()] == sorted(site)


def keys(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """The foreign keys between marts."""
    return warehouse.query(KEYS)


def test_role_of_the_page_reads_marts_and_reports_and_does_nothing_else(built: Warehouse) -> None:
    [create] = re.findall(r"`(create role bi .*?;)`", PAGE)
    built.execute(create)
    try:
        for again in ((), ("--full-refresh",)):  # tables made anew are as open, and no more
            built.run("--select", "+rpt_credit_bands_daily", *again, reports=True)
            with psycopg.connect(built.database_url, user="bi", autocommit=True) as connection:
                found = {
                    schema: (relations - readable, others)
                    for schema, relations, readable, others in connection.execute(RIGHTS)
                    if readable or others
                }
                assert found == {"marts": (0, 0), "reports": (0, 0)}
                connection.execute("select from marts.credit_band_daily")
                for statement in FORBIDDEN:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(statement.encode())
    finally:
        built.execute("drop role bi")


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

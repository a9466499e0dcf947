"""dbt builds as headwater_transformer wherever its login may; analysts read the marts only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from collector.migrate import migrate
from scripts.lib.dbt.environment import ROLE
from scripts.lib.demo.generator import generate
from tests.support.warehouse import MARTS, Warehouse

pytestmark = pytest.mark.every_postgres

# Tried in a running session of dbt, which its own code may leave no way around.
ATTEMPTS = """
{{ config(
    materialized='table', schema='attempts', pre_hook="
        create or replace function attempts.outcome(statement text) returns text
        language plpgsql as $$
        begin
            execute statement;
            return 'done';
        exception when others then
            return sqlerrm;
        end
        $$
    "
) }}
select
    current_user::text as role_name,
    statement,
    attempts.outcome(statement) as outcome
from (
    values
    ('insert into raw.events (received_at, source, event_id, payload) values (now(), 0, 0, null)'),
    ('delete from raw.events'),
    ('update raw.users set source = null'),
    ('truncate raw.rejected_events'),
    ('select from raw.api_keys'),
    ('update secret.email_hash_key set only_row = true'),
    ('create table raw.x ()'),
    ('alter table raw.events add column x text'),
    ('select raw.ensure_event_partitions(24)')
) as attempts (statement)
"""
LAYERS = ("failing_rows", "intermediate", "marts", "reports", "seeds", "staging")
OWNERS = """
    select distinct pg_namespace.nspname, relowner::regrole::text, nspowner::regrole::text
    from pg_class
    inner join pg_namespace on pg_namespace.oid = relnamespace
    where nspname ~ '(staging|intermediate|marts|reports|seeds|failing_rows)$'
    order by 1
"""


@contextmanager
def analyst(warehouse: Warehouse) -> Iterator[psycopg.Connection[Any]]:
    """A connection with the rights of an analyst."""
    with closing(psycopg.connect(warehouse.database_url, autocommit=True)) as connection:
        connection.execute("set session authorization headwater_analyst")
        yield connection


def test_transformer_builds_and_analyst_reads_the_marts_only(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    (warehouse.project / "models/attempts.sql").write_text(ATTEMPTS)
    (warehouse.project / "tests/nobody_comes.sql").write_text("select from {{ ref('dim_users') }}")
    warehouse.land(*generate(users=5, seed=1).events)
    warehouse.run(reports=True)
    failed = warehouse.try_dbt("test", "--select", "test_type:singular")
    assert "ERROR=1" in failed.stdout

    attempts = warehouse.query("select role_name, statement, outcome from attempts.attempts")
    assert len(attempts) == 9
    for role, statement, outcome in attempts:
        assert role == ROLE
        assert outcome.startswith(("permission denied for", "must be owner of")), statement
    assert warehouse.query(OWNERS) == [(schema, ROLE, ROLE) for schema in LAYERS]
    with analyst(warehouse) as connection:
        for mart in MARTS:
            connection.execute(f"select from marts.{mart} limit 1".encode())
        connection.execute("select from reports.rpt_totals")
        for forbidden in (
            "select from staging.stg_events",
            "select from intermediate.int_users__updates",
            "select from failing_rows.nobody_comes",
            "select from raw.users",
            "delete from marts.fct_events",
            "create table marts.x ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())

    # Nobody but their maker reads the schemas of a developer.
    monkeypatch.setenv("DBT_TARGET", "dev")
    monkeypatch.setenv("DBT_SCHEMA", "mine")
    warehouse.run("--select", "+int_time_spine", "+retention_weekly")
    with analyst(warehouse) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select from mine_marts.retention_weekly")


def test_what_another_role_built_is_handed_over(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build without the roles works, and so do builds after them, once migrated."""
    mart = ("--select", "+rpt_rejections_daily")
    roles = ("headwater_transformer", "headwater_analyst")
    for role in roles:
        warehouse.execute(f"alter role {role} rename to {role}_absent")
    try:
        warehouse.run(*mart, reports=True)
        monkeypatch.setenv("DBT_TARGET", "dev")
        monkeypatch.setenv("DBT_SCHEMA", "mine")
        warehouse.run("--select", "stg_rejected_events")
        monkeypatch.delenv("DBT_TARGET")
    finally:
        for role in roles:
            warehouse.execute(f"alter role {role}_absent rename to {role}")
    built = warehouse.query(OWNERS)
    assert ROLE not in str(built)
    with analyst(warehouse) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select from marts.rejection_rates_daily")
    refused = warehouse.try_dbt("build")
    assert refused.returncode != 0
    assert "run scripts/migrate" in refused.stderr

    migrate(warehouse.database_url)
    assert warehouse.query(OWNERS) == [(schema, ROLE, ROLE) for schema, *_ in built]
    warehouse.run(*mart, reports=True)
    warehouse.run("--full-refresh", "--select", "rejection_rates_daily")
    with analyst(warehouse) as connection:
        connection.execute("select from marts.rejection_rates_daily")

"""What docs/analysts.md promises: backfills of a new column, builds of what changed only."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from collector.settings import ROOT
from scripts.lib.demo.generator import generate
from tests.support.warehouse import MARTS, Warehouse, page_view

COLUMN = "weekday"
EVENTS = "intermediate.int_events"
TASKS = "marts.fct_tasks"
COUNTED = """
    select user_id, count(*) as events, max(event_row_id) as newest
    from {{ ref('int_events') }}
    {% if is_incremental() %} where event_row_id > (select max(newest) from {{ this }}) {% endif %}
    group by 1
"""


def add_column(warehouse: Warehouse) -> None:
    """Adds a column to two models of the project's copy: one by user, one by event."""
    for name, anchor, expression in (
        ("core/intermediate/int_events", "        events.received_at\n", "events.occurred_at"),
        ("tasks/marts/fct_tasks", "        times_scheduled,\n", "opened_at"),
    ):
        sql = warehouse.project / f"models/{name}.sql"
        text = sql.read_text()
        added = (
            f"        extract(isodow from {expression} at time zone 'UTC')::integer as {COLUMN},\n"
        )
        assert text.count(anchor) == 1
        sql.write_text(text.replace(anchor, added + anchor))
        properties = sql.with_suffix(".yml")
        column = f"      - {{name: {COLUMN}, data_type: integer, description: 1 is Monday.}}\n"
        columns, *unit_tests = properties.read_text().partition("\nunit_tests:")
        properties.write_text("".join([columns.rstrip("\n"), "\n", column, *unit_tests]))


def written(warehouse: Warehouse, table: str, group: str) -> dict[str, set[str]]:
    """By day or user: the transactions that wrote its rows."""
    rows = warehouse.query(
        f"select {group}::text, xmin::text from {table}"  # noqa: S608
    )
    groups: dict[str, set[str]] = {}
    for key, transaction in rows:
        groups.setdefault(key, set()).add(transaction)
    return groups


def damage_tasks(warehouse: Warehouse) -> None:
    """Has no row what it would be computed to be: rows that are so are not written anew."""
    warehouse.execute(f"update {TASKS} set {COLUMN} = 0")  # noqa: S608


def tasks_by_damage(warehouse: Warehouse) -> tuple[set[str], set[str]]:
    """The users all of whose tasks were computed anew, and those of whose tasks none was."""
    whole, damaged = (
        {user for (user,) in warehouse.query(f"select user_id from {TASKS} where {condition}")}  # noqa: S608
        for condition in (f"{COLUMN} > 0", f"{COLUMN} = 0")
    )
    assert whole.isdisjoint(damaged)
    return whole, damaged


def changed(before: dict[str, set[str]], now: dict[str, set[str]]) -> set[str]:
    """The groups all of whose rows were written anew; the others have all rows as they were."""
    anew = {key for key in now if not now[key] & before[key]}
    assert all(now[key] == before[key] for key in set(now) - anew)
    return anew


@pytest.mark.slow
def test_new_column_has_its_history_and_backfills_go_by_days_or_users(
    warehouse: Warehouse,
) -> None:
    both = ("--select", "+int_events", "+fct_tasks")
    warehouse.land(*generate(users=40, seed=3).events, received_at="2026-11-01 00:00:00+00")
    warehouse.run(*both)
    add_column(warehouse)
    warehouse.run(*both)
    for table in (EVENTS, TASKS):
        missing = f"select count(*) from {table} where {COLUMN} is null"  # noqa: S608
        assert warehouse.query(missing) == [(0,)]

    by_day = written(warehouse, EVENTS, "occurred_on")
    damage_tasks(warehouse)
    assert len(by_day) > 20
    printed = warehouse.dbt(
        *("run-operation", "backfill"),
        *("--args", "{first_day: 2026-09-01, last_day: 2026-09-20}"),
    )
    assert re.search(r"[1-9]\d* events and 0 user updates count as changed", printed)
    warehouse.run(*both)
    backfilled = {day for day in by_day if "2026-09-01" <= day <= "2026-09-20"}
    assert changed(by_day, written(warehouse, EVENTS, "occurred_on")) == backfilled
    assert backfilled
    # Tables by user are recomputed for whole users: those with events on these days.
    active = {
        user
        for (user,) in warehouse.query(
            "select user_id from intermediate.int_events where occurred_on between '2026-09-01' and"
            " '2026-09-20'"
        )
    }
    mended, damaged = tasks_by_damage(warehouse)
    assert mended == active & (mended | damaged)
    assert mended

    ann, ben = sorted(damaged)[:2]
    damage_tasks(warehouse)
    warehouse.dbt("run-operation", "backfill", "--args", f"{{users: [{ann}, '{ben}', 'o''brien']}}")
    warehouse.run()
    assert tasks_by_damage(warehouse)[0] == {ann, ben}

    warehouse.dbt(
        *("run-operation", "backfill"), "--args", "{first_day: 2026-01-01, last_day: 2026-12-31}"
    )
    warehouse.run()
    warehouse.keep_marts()
    warehouse.run("--full-refresh")
    assert warehouse.differences() == dict.fromkeys(MARTS, 0)


@pytest.mark.parametrize(
    "arguments",
    [
        "{}",
        "{first_day: 2026-01-01}",
        "{users: []}",
        "{first_day: 2026-01-02, last_day: 2026-01-01}",
        "{first_day: 2026-01-01, last_day: 2026-01-02, users: [1]}",
    ],
)
def test_backfill_of_nothing_in_particular(warehouse: Warehouse, arguments: str) -> None:
    refused = warehouse.try_dbt("run-operation", "backfill", "--args", arguments)
    assert refused.returncode != 0
    assert "backfill takes first_day and last_day, or users, as in" in refused.stdout


def test_backfill_before_the_first_build(warehouse: Warehouse) -> None:
    refused = warehouse.try_dbt("run-operation", "backfill", "--args", "{users: [1]}")
    assert refused.returncode != 0
    assert "run dbt build" in refused.stdout


@pytest.mark.slow
def test_changed_model_and_what_follows_it_is_built_elsewhere(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.land(*generate(users=20, seed=3).events)
    warehouse.run()
    state = tmp_path / "state"
    state.mkdir()
    shutil.copy(warehouse.project / "target/manifest.json", state)
    tasks = warehouse.project / "models/tasks/marts/fct_tasks.sql"
    changed = tasks.read_text().replace(
        "        times_abandoned,\n", "        0::bigint as times_abandoned,\n"
    )
    assert changed != tasks.read_text()
    tasks.write_text(changed)

    monkeypatch.setenv("DBT_TARGET", "dev")
    monkeypatch.setenv("DBT_SCHEMA", "slim")
    warehouse.run("--select", "state:modified+", "--defer", "--state", str(state))

    assert warehouse.query(
        """
        select table_schema, table_name from information_schema.tables
        where table_schema like 'slim%' and table_schema <> 'slim_staging'
        order by 1, 2
        """
    ) == [
        ("slim_intermediate", "int_task_times_daily"),
        ("slim_intermediate", "int_tasks_daily"),
        ("slim_marts", "fct_tasks"),
        ("slim_marts", "task_completion_daily"),
    ]
    # Bookkeeping of its own, data of the other.
    assert warehouse.query(
        "select table_name from information_schema.tables where table_schema = 'slim_staging'"
        " order by 1"
    ) == [
        ("alerts_told",),
        ("builds",),
        ("changed_rows",),
        ("failed_nodes",),
        ("mart_columns",),
        ("seed_lines",),
        ("watermarks",),
    ]
    rows = "select task_key, status, opened_on from {}.fct_tasks order by 1"
    days = "select task_type, day, backlog from {}.task_completion_daily order by 1, 2"
    assert warehouse.query(rows.format("marts"))
    for query in (rows, days):
        assert warehouse.query(query.format("slim_marts")) == warehouse.query(query.format("marts"))

    # The other goes on, by numbers of its own: what is built here follows it all the same.
    warehouse.land(*generate(users=25, seed=4).events)
    monkeypatch.setenv("DBT_TARGET", "prod")
    warehouse.run()
    monkeypatch.setenv("DBT_TARGET", "dev")
    warehouse.run("--select", "state:modified+", "--defer", "--state", str(state))
    for query in (rows, days):
        assert warehouse.query(query.format("slim_marts")) == warehouse.query(query.format("marts"))


def test_commands_of_the_page_exist() -> None:
    page = (ROOT / "docs/analysts.md").read_text()
    for script in re.findall(r"scripts/([a-z]+)", page):
        assert (ROOT / "scripts" / script).exists(), script
    for name in re.findall(r"`(dbt_project/[\w./-]+)`", page):
        assert (ROOT / name).exists(), name


def test_other_strategies_work_as_dbt_has_them(warehouse: Warehouse) -> None:
    """Those of dbt itself, and one that a project adds by dbt's own interface."""
    (warehouse.project / "macros" / "mine.sql").write_text(
        "{% macro get_incremental_mine_sql(arg_dict) %}"
        "{{ return(get_incremental_delete_insert_sql(arg_dict)) }}{% endmacro %}"
    )
    strategies = {
        "append": "append", "delete+insert": "replaced", "merge": "merged", "mine": "mine"
    }  # fmt: skip
    for strategy, model in strategies.items():
        (warehouse.project / f"models/core/intermediate/{model}.sql").write_text(
            f"{{{{ config(incremental_strategy='{strategy}', unique_key='user_id') }}}}" + COUNTED
        )
    select = ("--select", *(f"+{model}" for model in strategies.values()))
    warehouse.land(page_view("one", "ann"), page_view("two", "bob"))
    warehouse.run(*select)
    warehouse.land(page_view("three", "ann"), page_view("four", "ann"))
    warehouse.run(*select)
    for strategy, model in strategies.items():
        rows = warehouse.query(
            f"select user_id, events from intermediate.{model} order by 1, 2"  # noqa: S608
        )
        earlier = [("ann", 1)] if strategy == "append" else []
        assert rows == [*earlier, ("ann", 2), ("bob", 1)], strategy
    # Code that was changed has them computed anew, as those of this project.
    path = warehouse.project / "models/core/intermediate/merged.sql"
    path.write_text(path.read_text().replace("count(*) as", "10 * count(*) as"))
    assert "merged was changed: computed anew" in warehouse.run(*select)
    merged = "select user_id, events from intermediate.merged order by 1"
    assert warehouse.query(merged) == [("ann", 30), ("bob", 10)]


def test_what_no_model_makes_any_more_is_told_and_dropped(warehouse: Warehouse) -> None:
    warehouse.run("--select", "segments")
    warehouse.execute("create schema if not exists marts")
    warehouse.execute("create table marts.fct_old (id bigint)")
    warehouse.execute("create view seeds.old_view as table marts.fct_old")
    warehouse.execute("create table marts.of_somebody ()")
    assert "makes" not in warehouse.run("--select", "segments")
    warehouse.execute("comment on table marts.fct_old is 'One row per old thing.'")
    warehouse.execute("comment on view seeds.old_view is 'One row per old thing.'")

    # What a test found has no description: nothing else is in its schema, unless it names another.
    (warehouse.project / "tests" / "hers.sql").write_text(
        "{{ config(schema='of_somebody') }} select 1 as one where false"
    )
    warehouse.execute("create schema of_somebody create table hers ()")
    warehouse.execute("create schema failing_rows authorization headwater_transformer")
    warehouse.execute("create table failing_rows.old_test (user_id text)")
    warehouse.execute("alter table failing_rows.old_test owner to headwater_transformer")

    told = warehouse.run("--select", "segments")
    gone = "seeds.old_view, failing_rows.old_test, marts.fct_old"
    assert f"No model, seed or test makes {gone} any more" in told
    drop = ("run-operation", "drop_gone")
    assert "would drop table marts.fct_old" in warehouse.dbt(*drop)
    warehouse.execute("create view public.mine as table marts.fct_old")
    refused = warehouse.try_dbt(*drop, "--args", "{dry_run: false}")
    assert "view mine depends on table marts.fct_old" in refused.stdout
    assert warehouse.query("select to_regclass('seeds.old_view') is not null") == [(True,)]
    warehouse.execute("drop view public.mine")
    warehouse.dbt(*drop, "--args", "{dry_run: false}")
    assert "Nothing is gone" in warehouse.dbt(*drop)
    assert warehouse.query("select count(*) from marts.of_somebody") == [(0,)]
    assert warehouse.query("select count(*) > 0 from seeds.segments") == [(True,)]

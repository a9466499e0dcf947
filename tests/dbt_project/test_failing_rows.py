"""A build says the first rows that make a data test fail, nothing personal of them, and where a
row stems from a seed the line of its file."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest

from collector.registry import read_seed
from scripts.lib.dbt.environment import ROLE
from tests.support.warehouse import Warehouse, page_view


def said_of(printed: str) -> list[tuple[str, str]]:
    """The failing rows that a run of dbt said, with the names of their tests."""
    lines = [line for line in printed.splitlines() if " fails with " in line]
    parts = [line.partition(" fails with ") for line in lines]
    return sorted((before.rpartition(" ")[2], row) for before, _, row in parts)


def test_first_rows_of_failing_tests_are_said_without_personal_data(warehouse: Warehouse) -> None:
    people = ["17", "+49 170 1234567", "555-234-5678"]
    warehouse.land(*(page_view(f"of-{user}", user) for user in people))
    warehouse.run("--select", "+dim_users", "+rejection_rates_daily")
    warehouse.execute(
        "do $$ declare name text; begin for name in select conname from pg_constraint"
        " where conrelid = 'marts.dim_users'::regclass and contype = 'p' loop execute"
        " format('alter table marts.dim_users drop constraint %I', name); end loop; end $$"
    )
    warehouse.execute("insert into marts.dim_users select * from marts.dim_users")
    failed = warehouse.try_dbt("test", "--select", "dim_users,test_name:unique")
    assert failed.returncode == 1
    rows = [row for _, row in said_of(failed.stdout)]
    assert rows == [
        "user_id (personal), n_records 2",
        "user_id (personal), n_records 2",
        "user_id 17, n_records 2",
    ]
    assert "example.com" not in failed.stdout
    # The rows of a mart name what was defined.
    warehouse.execute(
        "insert into marts.rejection_rates_daily"
        ' select (jsonb_populate_record(rates, \'{"receipt_key": "copy"}\')).*'
        " from marts.rejection_rates_daily as rates"
    )
    failed = warehouse.try_dbt(
        "test", "--select", "rejection_rates_daily,test_name:unique_combination"
    )
    [(_, row)] = said_of(failed.stdout)
    assert row.startswith("source default, day 2026-10-01, copies 2")
    assert row.endswith(", dbt_project/seeds/sources.csv line 2")


def shuffled(
    warehouse: Warehouse, seed: str, wrong: Sequence[Mapping[str, str]], dice: random.Random
) -> None:
    """Writes a seed with further rows, in another order, some described in several lines."""
    rows = [*warehouse.seed(seed), *(dict(row) for row in wrong)]
    dice.shuffle(rows)
    for row in rows:
        if "description" in row and dice.random() < 0.5:
            row["description"] = f'{row["description"]},\n"quoted" \n and on'
    warehouse.set_seed(seed, rows)


def place(warehouse: Warehouse, seed: str, **where: str) -> str:
    """The lines of a seed's file that have these values, by the reader that the collector has."""
    rows = read_seed(warehouse.project / "seeds" / f"{seed}.csv")[1]
    lines = [str(line) for line, row in rows if where.items() <= row.items()]
    assert lines
    return f"dbt_project/seeds/{seed}.csv line{'s' * (len(lines) > 1)} {', '.join(lines)}"


@pytest.mark.parametrize("number", range(2))
def test_rows_that_stem_from_a_seed_name_its_line(warehouse: Warehouse, number: int) -> None:
    dice = random.Random(number)
    described = {"description": "x"}
    kind = dice.choice(warehouse.seed("event_types"))
    event_type = kind["event_type"]
    band = dice.choice(warehouse.seed("score_bands"))
    plan = {"event_type": event_type, "property": "price", "data_type": "money"}
    plan |= {"is_required": "false", "pii_class": "none", **described}
    steps = [
        {"funnel": "gap", "step_order": "1", "step": "a", "event_type": event_type},
        {"funnel": "gap", "step_order": "3", "step": "b", "event_type": "nothing"},
        {"funnel": "gap", "step": "c", "event_type": event_type},
    ]
    wrong: dict[str, list[dict[str, str]]] = {
        "event_types": [kind],
        "event_properties": [plan],
        "funnels": steps,
        "score_bands": [{**band, "band": "a_second", "band_order": "9"}],
        "illegal_ids": [{"id": "Nobody", **described}],
        "unwanted_referrals": [],
        "traffic_sources": [],
    }
    for seed, rows in wrong.items():
        shuffled(warehouse, seed, rows, dice)
    failed = warehouse.try_dbt("build", "--select", *wrong, "--indirect-selection", "buildable")
    assert failed.returncode == 1
    expected = {
        "unique_event_types_event_type": (
            f"event_type {event_type}, n_records 2, "
            + place(warehouse, "event_types", event_type=event_type)
        ),
        "accepted_values_event_properties_data_type__text__numeric__boolean__timestamp": (
            "data_type money, n_records 1, "
            + place(warehouse, "event_properties", data_type="money")
        ),
        "relationships_funnels_event_type__event_type__ref_event_types_": (
            "event_type nothing, " + place(warehouse, "funnels", event_type="nothing")
        ),
        "funnel_definitions_are_complete": (
            "funnel gap, " + place(warehouse, "funnels", funnel="gap")
        ),
        "score_bands_cover_the_range_once": place(
            warehouse, "score_bands", band=min("a_second", band["band"])
        ),
        "definitions_are_written_as_they_are_compared": (
            "id Nobody, " + place(warehouse, "illegal_ids", id="Nobody")
        ),
    }
    assert dict(said_of(failed.stdout)) == expected


@pytest.mark.every_postgres
def test_views_are_there_for_as_long_as_their_tests_fail(warehouse: Warehouse) -> None:
    """A random history of rows that come and go, and of views and tables left by earlier builds."""
    dice = random.Random(5)
    names = [f"has_no_{number}" for number in range(8)]
    for number, name in enumerate(names):
        config = {"severity": dice.choice(["warn", "error"]), "limit": dice.choice([1, 500])}
        config |= dice.choice([{}, {"fail_calc": "coalesce(sum(number), 0)"}])
        query = f"select number from found where number = {number + 1}"  # noqa: S608
        test = warehouse.project / f"tests/{name}.sql"
        test.write_text(f"{{{{ config(**{config}) }}}} {query}")
    warehouse.execute("create table found as select 0 as number")
    warehouse.execute("grant select on found to public")
    warehouse.dbt("seed", "--select", "sources")
    for step in range(7):
        wrong = {name for name in names if dice.random() < 0.5} if step else set()
        numbers = [names.index(name) + 1 for name in wrong] * 2
        warehouse.execute("truncate found")
        warehouse.execute("insert into found select unnest(%s::integer[])", numbers)
        if step == 3:  # as a build left it that keeps rows as tables
            kind = "create table failing_rows.{0} (); alter table failing_rows.{0} owner to {1}"
            warehouse.execute("drop schema failing_rows cascade")
            warehouse.execute("create schema failing_rows")
            warehouse.execute(f"grant all on schema failing_rows to {ROLE}")
            for name in names[:4]:
                warehouse.execute(kind.format(name, ROLE))
        warehouse.try_dbt("test", "--select", *names)
        views = {
            name: warehouse.query(f"select count(*) > 0 from failing_rows.{name}")  # noqa: S608
            for (name,) in warehouse.query(
                "select relname::text from pg_class"
                " where relnamespace = to_regnamespace('failing_rows') and relkind in ('v', 'r')"
            )
        }
        assert views == {name: [(True,)] for name in wrong}

"""`scripts/diff` says what a change does to the marts, why, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from unittest.mock import patch

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.lib.base.cli import UserError, read_settings
from scripts.lib.dbt.state import keep_manifest
from scripts.lib.dbt.within import Dbt
from scripts.lib.demo.generator import generate
from scripts.lib.diff.__main__ import FAILURES
from scripts.lib.diff.build import build_change, enter
from scripts.lib.diff.compare import compare
from scripts.lib.diff.comparison import Comparison, Move, Relation, Wanted
from scripts.lib.diff.effects import Effects, effects
from scripts.lib.diff.page import MOST_LINES, page
from tests.support.warehouse import Warehouse, page_view, runner

PERSONAL = "+49 170 1234567"  # as the id of a user; an email is there as its hash only
WINDOW = {"loan_application": "9"}  # days


def keep_prod(warehouse: Warehouse) -> None:
    """Notes that prod was just built from the project as it is."""
    with warehouse.environment(), psycopg.connect(warehouse.database_url) as connection:
        connection.execute("update staging.builds set is_whole = true, project = 'as it was'")
        keep_manifest(connection, warehouse.project / "target/manifest.json", "staging")


def diff(warehouse: Warehouse, against: str = "prod") -> Effects:
    """What `scripts/diff` finds, in the process of the tests."""
    with (
        patch.dict(os.environ, {"DBT_TARGET": "dev", "DBT_SCHEMA": "dev_ann"}),
        warehouse.environment(),
    ):
        schema = enter(read_settings(), warehouse.database_url)
        os.environ["DBT_PROJECT_DIR"] = str(warehouse.project)
        built = build_change(Dbt(runner()), warehouse.database_url, schema, against)
        with psycopg.connect(warehouse.database_url, autocommit=True) as connection:
            return effects(connection, built)


@pytest.fixture
def prod(warehouse: Warehouse) -> Warehouse:
    """A warehouse that is built and in use."""
    stream = generate(users=60, seed=5)
    warehouse.land(page_view("personal", PERSONAL), *stream.events)
    warehouse.run(reports=True)
    keep_prod(warehouse)
    return warehouse


def change_window(warehouse: Warehouse) -> None:
    funnels = warehouse.seed("funnels")
    for row in funnels:
        row["window_days"] = WINDOW.get(row["funnel"], row["window_days"])
    warehouse.set_seed("funnels", funnels)


def outcomes(warehouse: Warehouse, schema: str) -> dict[str, int]:
    """Attempts at the loan by outcome."""
    return dict(
        warehouse.query(
            f"select outcome, count(*) from {schema}.fct_funnel_progress"  # noqa: S608
            " where funnel = 'loan_application' group by 1"
        )
    )


def test_change_is_told_with_its_reasons(prod: Warehouse) -> None:
    prod.land(page_view("later"))  # prod has not read it yet: it is no part of the change
    assert diff(prod).built == 0

    change_window(prod)
    found = diff(prod)
    assert found.changed == ["seed funnels"]
    assert [(each.seed, each.value) for each in found.definitions] == [
        ("funnels", "loan_application")
    ] * 9
    before, now = outcomes(prod, "marts"), outcomes(prod, "dev_ann_marts")
    attempts = {
        each.labels["outcome"]: (int(each.before or 0), int(each.now or 0), each.why)
        for each in found.numbers
        if each.name == "attempts"
    }
    assert {outcome: each[:2] for outcome, each in attempts.items()} == {
        outcome: (before.get(outcome, 0), now.get(outcome, 0))
        for outcome in before | now
        if before.get(outcome, 0) != now.get(outcome, 0)
    }
    expired = now["expired"]
    assert attempts["expired"][2] == f"{expired} attempts whose window is now 9 days (was none)"
    assert all(each.why for each in found.numbers)  # nothing else was changed

    marts = {mart.name: mart for mart in found.marts}
    progress = marts["fct_funnel_progress"]
    assert (progress.added, progress.removed) == (0, 0)
    assert progress.columns["outcome"] == sum(move.rows for move in progress.moves["outcome"])
    assert progress.columns["outcome"] >= expired
    assert "fct_tasks" not in marts
    assert "fct_sessions" not in marts
    assert all(len(mart.examples) <= 10 for mart in found.marts)


@pytest.mark.slow
def test_changed_model_keeps_personal_data_to_itself(prod: Warehouse) -> None:
    users = prod.project / "models/core/marts/dim_users.sql"
    text = users.read_text()
    without = f"select * from final where user_id <> '{PERSONAL}'"  # noqa: S608
    users.write_text(text.replace("select * from final", without))
    found = diff(prod)
    assert found.changed == ["model dim_users"]
    [mart] = [mart for mart in found.marts if mart.name == "dim_users"]
    assert (mart.added, mart.removed, mart.changed) == (0, 1, 0)
    assert FAILURES["removed"](found)
    assert [row.label for row in mart.examples] == [["(personal)"]]
    assert PERSONAL not in page(found, "title")

    users.write_text(text + "\n-- A word about it.\n")
    of_revision = diff(prod, "HEAD")
    assert "model dim_users" in of_revision.changed
    assert not any(mart.has_other_rows for mart in of_revision.marts if mart.name == "dim_users")


ROWS = st.dictionaries(
    st.integers(0, 12), st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 2)), max_size=9
)


def differing(before: Mapping[int, object], now: Mapping[int, object]) -> tuple[int, int, int]:
    """Rows added, removed and changed."""
    both = before.keys() & now.keys()
    return (
        len(now.keys() - both),
        len(before.keys() - both),
        sum(before[key] != now[key] for key in both),
    )


@pytest.fixture(scope="module")
def tables(create_database: object) -> Iterator[psycopg.Connection]:
    """Two versions of a table."""
    with create_database() as url, psycopg.connect(url, autocommit=True) as connection:  # type: ignore[operator]
        for schema in ("old", "new"):
            connection.execute(f"create schema {schema}")
            connection.execute(f"create table {schema}.mart (id integer, word text, n integer)")
        yield connection


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(before=ROWS, now=ROWS)
def test_rows_are_compared_as_an_oracle_does(
    tables: psycopg.Connection,
    before: dict[int, tuple[str | None, int]],
    now: dict[int, tuple[str | None, int]],
) -> None:
    for schema, rows in (("old", before), ("new", now)):
        tables.execute(f"truncate {schema}.mart")
        for key, values in rows.items():
            tables.execute(
                f"insert into {schema}.mart values (%s, %s, %s)",  # noqa: S608
                [key, *values],
            )
    old, new = (Relation(schema, "mart", ["id"], ["id"], ["n"]) for schema in ("old", "new"))
    found = compare(tables, old, new, Wanted("nullif(value = 'b', false)", ["word"]))
    assert (found.added, found.removed, found.changed) == differing(before, now)
    both = before.keys() & now.keys()
    columns = {
        name: sum(before[key][place] != now[key][place] for key in both)
        for place, name in enumerate(("word", "n"))
    }
    assert found.columns == {name: count for name, count in columns.items() if count}
    assert sum(move.rows for move in found.moves.get("word", [])) == found.columns.get("word", 0)
    shown = {value for row in found.examples for pair in row.values.values() for value in pair}
    assert shown <= {"a", "(personal)", None}  # neither numbers nor what looks like b
    assert len(found.examples) == min(10, sum(differing(before, now)))


def test_key_that_is_there_twice_is_told(tables: psycopg.Connection) -> None:
    tables.execute("truncate old.mart, new.mart")
    tables.execute("insert into old.mart values (1, 'a', 1)")
    tables.execute("insert into new.mart values (1, 'a', 1), (1, 'b', 1)")
    old, new = (Relation(schema, "mart", ["id"], ["id"], []) for schema in ("old", "new"))
    found = compare(tables, old, new, Wanted("null"))
    assert (found.twice, found.has_other_rows) == (1, True)
    text = page(Effects(built=1, marts=[found]), "title")
    assert "1 keys are there more than once" in text


def test_columns_that_are_others_break_a_contract() -> None:
    mart = Comparison("fct_x", ["id"], new_columns=["more"])
    found = Effects(built=1, marts=[mart])
    assert FAILURES["columns"](found)
    assert not FAILURES["breaking"](found)
    mart.retyped["n"] = ("integer", "text")
    mart.gone_columns.append("less")
    assert FAILURES["breaking"](found)
    found.gone.append("fct_y")
    text = page(found, "title")
    for line in (
        "- **breaks**: `fct_y` is gone",
        "- `fct_x` has a new column `more`",
        "- **breaks**: `fct_x` has lost `less`",
        "- **breaks**: `fct_x`.`n` is text and was integer",
    ):
        assert line in text


def test_long_lists_end_and_texts_stay_in_their_cells() -> None:
    mart = Comparison("fct_x", ["id"], changed=1)
    mart.new_columns = [f"column_{number}" for number in range(MOST_LINES + 5)]
    mart.moves["word"] = [Move("", "a|b", "*c*\n" + "d" * 99, 1)]
    text = page(Effects(built=1, marts=[mart]), "title")
    assert "- and 5 more" in text
    assert "- `word` a\\|b → \\*c\\* " + "d" * 75 + "…: 1" in text


def test_revision_that_is_none_is_told(warehouse: Warehouse) -> None:
    with pytest.raises(UserError, match=r"run scripts/dbt build on what is in use$"):
        diff(warehouse)
    warehouse.run("--select", "+stg_events")
    with pytest.raises(UserError, match="or name a revision of git"):
        diff(warehouse)  # by an earlier version
    with pytest.raises(UserError, match="'--help' is neither prod nor a revision of git"):
        diff(warehouse, "--help")

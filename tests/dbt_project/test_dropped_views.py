"""Views come back as they were where what they read is dropped beside them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from scripts.lib.dbt.environment import ROLE
from scripts.lib.demo.generator import generate
from tests.support.warehouse import Warehouse

FACTS = ("fct_events", "fct_sessions", "fct_credit_scores")
VIEWS = """
    select format('%I.%I', schemaname, viewname), definition
    from pg_views
    where
        schemaname in ('staging', 'intermediate', 'marts', 'reports')
        and viewname <> 'stg_rejected_events'  -- each build has another one
    order by 1
"""


@pytest.fixture(scope="module")
def warehouse(
    create_warehouse: Callable[[], AbstractContextManager[Warehouse]],
) -> Iterator[Warehouse]:
    """One for all: each test ends with the views that it began with."""
    with create_warehouse() as warehouse:
        warehouse.land(*generate(users=5, seed=31).events)
        warehouse.run(reports=True)
        yield warehouse


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_views_of_what_is_dropped_beside_them(warehouse: Warehouse, seed: int) -> None:
    """An earlier version's view may read what a build replaces while it makes the view anew."""
    rng = random.Random(seed)
    made = dict(warehouse.query(VIEWS))
    fact = rng.choice(FACTS)
    warehouse.execute(
        f"""
        set role {ROLE};
        create table marts.kept as table marts.{fact};
        drop view marts.{fact} cascade;
        alter table marts.kept rename to {fact};
        """
    )
    left = dict(warehouse.query(VIEWS))
    for view in rng.sample(sorted(left), min(len(left), 8)):
        warehouse.execute(
            f"set role {ROLE}; create or replace view {view} as select own.* from"  # noqa: S608
            f" ({left[view].rstrip(';')}) as own where exists (select from marts.{fact}) or true"
        )
    warehouse.run(reports=True)
    assert dict(warehouse.query(VIEWS)) == made

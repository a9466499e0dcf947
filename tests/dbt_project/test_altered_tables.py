"""A table whose columns somebody altered by hand is computed anew by the next ordinary run."""

from __future__ import annotations

import random

import pytest

from scripts.lib.demo.generator import generate
from tests.support.warehouse import MARTS, Warehouse

ALTERATIONS = (
    "add column by_hand integer default 7",
    'drop column "{column}" cascade',
    'rename column "{column}" to by_hand',
    'alter column "{column}" type {other} using null',
)
# Views stand in the way of another type, and go with the column.
WITHOUT_VIEWS = """
    select format('drop view if exists %%s cascade', ev_class::regclass)
    from pg_depend
    inner join pg_rewrite on pg_depend.objid = pg_rewrite.oid
    where refobjid = %s::regclass and classid = 'pg_rewrite'::regclass
    limit 1
"""
COLUMNS = """
    select attname, atttypid::regtype::text from pg_attribute
    where attrelid = %s::regclass and attnum > 0 and not attisdropped and not attnotnull
    order by attnum
"""


def alter(warehouse: Warehouse, table: str, dice: random.Random) -> str:
    """Alters a table at random; returns how."""
    column, kind = dice.choice(warehouse.query(COLUMNS, table))
    statement = dice.choice(ALTERATIONS).format(
        column=column, other="text" if kind != "text" else "jsonb"
    )
    while " type " in statement and (views := warehouse.query(WITHOUT_VIEWS, table)):
        warehouse.execute(views[0][0])
    warehouse.execute(f"alter table {table} {statement}")
    return f"{table}: {statement}"


@pytest.mark.slow
def test_altered_tables_are_computed_anew(warehouse: Warehouse) -> None:
    dice = random.Random(7)
    warehouse.land(*generate(users=20, seed=7).events)
    warehouse.run()
    warehouse.keep_marts()
    tables = [
        f"{node['schema']}.{node['alias']}"
        for node in warehouse.manifest()["nodes"].values()
        if node["resource_type"] == "model" and node["config"]["materialized"] == "incremental"
    ]
    altered = [alter(warehouse, table, dice) for table in sorted(dice.sample(tables, 16))]
    printed = warehouse.run()
    assert warehouse.differences() == dict.fromkeys(MARTS, 0), altered
    for line in altered:
        table = line.partition(":")[0].partition(".")[2]
        assert f"{table} was changed: computed anew" in printed, altered
    assert "was changed" not in warehouse.run()

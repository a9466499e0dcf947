"""Columns of marts and properties of events that come, go or change their type are noticed."""

from __future__ import annotations

import json
import random
from datetime import date, timedelta
from typing import Any

import pytest

from tests.support.warehouse import Warehouse, page_view

pytestmark = pytest.mark.every_postgres

FIRST = date(2026, 10, 1)


def sent_on(day: int, **activity: object) -> dict[str, Any]:
    """A page view on a day of October, received at its end."""
    noon = f"{FIRST + timedelta(days=day - 1)}T12:00:00Z"
    return page_view(f"{day} {json.dumps(activity)}", activity=activity, occurredAt=noon) | {
        "received_at": "2026-10-31 23:00:00+00"
    }


def build(warehouse: Warehouse) -> None:
    warehouse.run("--select", "+rpt_property_changes", reports=True)


def changes(warehouse: Warehouse) -> list[tuple[str, int, str, str | None, str | None]]:
    """What is shown of properties: name, day of October, change, types before and after."""
    return warehouse.query(
        "select property, extract(day from changed_on)::integer, change, type_before, type_after"
        " from reports.rpt_property_changes where event_type = 'page_viewed' order by 1, 2"
    )


def test_properties_that_come_go_and_change(warehouse: Warehouse) -> None:
    events = [
        sent_on(
            day,
            path="/",
            **({"plan": "a"} if day < 18 else {}),
            **({"amount": 1 if day < 12 else "1"}),
            **({"trial": True, "nothing": None} if day >= 15 else {}),
            **({"rare": {"x": 1}} if day % 4 == 0 else {}),
        )
        for day in range(1, 25)
    ]
    expected = [
        ("amount", 12, "type changed", "number", "string"),
        ("plan", 18, "removed", "string", None),
        ("trial", 15, "added", None, "boolean"),
    ]
    # Whatever comes first: the days are those on which it happened.
    random.Random(1).shuffle(events)
    warehouse.land(*events[:10])
    build(warehouse)
    warehouse.land(*events[10:])
    build(warehouse)
    assert changes(warehouse) == expected
    # What was only late did not go; on the last day what stays away may yet come.
    late = [sent_on(day, plan="a", amount="1") for day in range(18, 24)]
    warehouse.land(*late)
    build(warehouse)
    assert changes(warehouse) == [expected[0], expected[2]]
    # A name as clients like, and a day on which a type is mixed, count once.
    warehouse.land(
        sent_on(23, path=["/"], **{"ann@example.com": 1}), sent_on(23, path={}), sent_on(25, plan=1)
    )
    build(warehouse)
    [amount, path, plan, trial] = [row for row in changes(warehouse) if "hidden" not in row[0]]
    assert (amount, trial) == (expected[0], expected[2])
    assert path == ("path", 23, "type changed", "string", "array, object")
    assert plan == ("plan", 25, "type changed", "string", "number")
    [hidden] = [row for row in changes(warehouse) if "hidden" in row[0]]
    assert hidden[1:] == (23, "added", None, "number")
    assert "example" not in hidden[0]


def test_columns_that_come_go_and_change(warehouse: Warehouse) -> None:
    def alter(*statements: str) -> None:
        for statement in statements:
            warehouse.execute(statement)
        warehouse.run("--select", "project_settings", "rpt_column_changes", reports=True)

    def found() -> list[tuple[str | None, ...]]:
        return warehouse.query(
            "select mart, column_name, change, type_before, type_after"
            " from reports.rpt_column_changes order by build_id desc, 1, 2"
        )

    alter()
    alter("create table marts.dim_a (id bigint, name text)")
    alter("create table marts.dim_b (id bigint)")
    assert found() == []
    alter("alter table marts.dim_a add column size numeric(4, 1), alter id type text")
    first = [
        ("dim_a", "id", "type changed", "bigint", "text"),
        ("dim_a", "size", "added", None, "numeric(4,1)"),
    ]
    assert found() == first
    alter("drop table marts.dim_b", "alter table marts.dim_a drop column size")
    second = [
        ("dim_a", "size", "removed", "numeric(4,1)", None),
        ("dim_b", "id", "removed", "bigint", None),
    ]
    assert found() == [*second, *first]
    # As it was before, and in another order: nothing but what came back.
    alter(
        "drop table marts.dim_a",
        "create view marts.dim_a as select 1::integer as size, null::text as name, ''::text as id",
    )
    third = [("dim_a", "size", "added", None, "integer")]
    assert found() == [*third, *second, *first]
    alter()
    assert found() == [*third, *second, *first]

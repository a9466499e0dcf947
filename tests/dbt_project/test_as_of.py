"""`scripts/dbt as-of`: any mart as it was known at a past moment is what was built then."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from psycopg.types.json import Jsonb

from scripts.lib.dbt.as_of import BUILD, read_moment
from scripts.lib.demo.generator import generate
from tests.support.warehouse import MARTS, Warehouse, page_view

THEN = "2026-10-20 09:30:00+00"
MOMENT = read_moment("2026-10-20T09:30Z")


def land_history(warehouse: Warehouse) -> tuple[list[str], list[dict[str, object]]]:
    """Lands a part of a history as received before the moment; returns the rest, for after it.

    What comes later concerns what was there: copies that differ, an event taken back, an alias, a
    score, and what was refused.
    """
    stream = generate(users=50, seed=8)
    events = sorted(stream.events, key=lambda event: str(event["occurredAt"]))
    early, late = events[: len(events) // 2], events[len(events) // 2 :]
    visit = {"userId": None, "anonymousId": "visitor"}
    early += [page_view("taken-back"), page_view("copied"), page_view("visit", **visit)]
    late += [
        page_view("copied", user_id=2),
        {"eventId": "void", "eventType": "event_voided", "userId": 1,
         "activity": {"eventId": "taken-back"}},
        {"eventId": "alias", "eventType": "user_aliased", "userId": "17",
         "activity": {"previousId": "visitor"}},
    ]  # fmt: skip
    warehouse.land(*early, received_at="2026-10-20 09:29:59+00")
    refuse(warehouse, "2026-10-20 09:00:00+00")
    score(warehouse, 700, "2026-10-19 12:00:00+00")
    return early, late  # type: ignore[return-value]


def refuse(warehouse: Warehouse, received_at: str) -> None:
    warehouse.execute(
        "insert into raw.rejected_events (received_at, source, code, message, payload)"
        " values (%s, 'default', 'unknown_event_type', 'no', '{}')",
        received_at,
    )


def score(warehouse: Warehouse, score: int, received_at: str) -> None:
    warehouse.execute(
        "insert into raw.users (received_at, occurred_at, source, user_id, payload)"
        " values (%s, %s, 'default', '17', %s)",
        received_at,
        received_at,
        Jsonb({"userId": "17", "ficoScore": score}),
    )


def test_marts_of_a_past_moment_are_those_that_were_built_then(warehouse: Warehouse) -> None:
    _, late = land_history(warehouse)
    warehouse.run(as_of=THEN)
    warehouse.keep_marts()
    warehouse.land(*late, received_at="2026-10-20 09:30:01+00")
    refuse(warehouse, "2026-10-21 00:00:00+00")
    score(warehouse, 500, "2026-10-22 12:00:00+00")
    warehouse.run()
    differing = {mart for mart, rows in warehouse.differences().items() if rows}
    assert {"fct_events", "dim_users", "fct_tasks", "credit_profiles"} <= differing

    with patch.dict(os.environ, {"DBT_TARGET": "dev", "DBT_SCHEMA": MOMENT.schema}):
        warehouse.dbt(*BUILD, **MOMENT.variables)
    for mart in MARTS:
        then = f"{MOMENT.schema}_marts.{mart}"
        [(rows, others)] = warehouse.query(
            f"""
            select
                (select count(*) from {then}),
                (select count(*) from (
                    (table {then} except all table kept.{mart})
                    union all
                    (table kept.{mart} except all table {then})
                ) as differing)
            """  # noqa: S608
        )
        assert others == 0, mart
        assert rows or mart == "tracking_plan_violations", mart


def test_a_day_means_its_end_where_it_is_reported() -> None:
    assert read_moment("2026-03-31").at == datetime(2026, 3, 31, 23, 59, 59, 999_999, UTC)
    assert read_moment("2026-03-31").schema == "as_of_2026_03_31"
    assert MOMENT.schema == "as_of_2026_10_20_093000"


@pytest.mark.parametrize(
    "text",
    ["2026-02-30", "march", "", "2026-03-31T12:00", "9999-12-31", "0001-01-01T00:00+14:00"],
)
def test_moment_that_is_none_is_told(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="2026-03-31T12:00"):
        read_moment(text)


@pytest.mark.parametrize(
    "text", [f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}", "9000-01-01"]
)
def test_moment_that_is_not_over_is_told(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not over yet"):
        read_moment(text)

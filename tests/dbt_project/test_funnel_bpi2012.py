"""Funnels of a real log, BPI Challenge 2012, with steps in an order that it does not have."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from itertools import islice

import psycopg
import pytest

from scripts.lib.base.client import encode
from scripts.lib.replay.mapping.document import load_mapping
from scripts.lib.replay.reading.files import History
from tests.support.histories import (
    BPI2012,
    BPI2012_IS_THERE,
    BPI2012_MAPPING,
    funnel,
    funnels_by_marts,
    funnels_by_oracle,
    landed,
    shortest_difference,
)
from tests.support.warehouse import AS_OF, Warehouse

# An approved application is registered and activated at the same instant, in whatever order.
THREE_AT_ONCE = ("application_activated", "application_registered", "application_approved")
COPY = "copy raw.events (received_at, source, event_id, payload) from stdin"
ALL = 262_200


def land_log(warehouse: Warehouse, rows: int) -> None:
    """Puts rows of the log into raw as a replay over HTTP would, in file order."""
    rules = load_mapping(BPI2012_MAPPING)
    with (
        closing(psycopg.connect(warehouse.database_url)) as connection,
        connection,
        connection.cursor().copy(COPY) as copied,
    ):
        history = (
            row for _, block in History([BPI2012], rules.file).blocks() for row in block.rows
        )
        for row in islice(history, rows):
            assert isinstance(row, dict)
            [event] = rules.apply(row) or []
            copied.write_row(
                ("2026-10-01 00:00+00", "default", event["eventId"], encode(event).decode())
            )


@BPI2012_IS_THERE
@pytest.mark.parametrize("rows", [20_000, pytest.param(ALL, marks=pytest.mark.slow)])
def test_funnels_in_another_order(warehouse: Warehouse, rows: int) -> None:
    """Every application is as the oracle has it; to count who has an event does not give that."""
    seed = warehouse.seed("funnels")
    steps = {row["step"]: row for row in seed if row["funnel"] == "loan_application"}
    steps["offer_sent_back"]["step_order"] = "4"
    steps["accepted"]["step_order"] = "6"
    seed += funnel(
        "second_offer",
        "offer_created",
        "offer_cancelled",
        "offer_created",
        "offer_accepted",
        "application_declined -> declined",
        "application_cancelled -> cancelled",
    )
    seed += funnel("three_at_once", *THREE_AT_ONCE)
    warehouse.set_seed("funnels", seed)
    land_log(warehouse, rows)
    warehouse.run("--select", "+fct_funnel_progress")

    histories = landed(warehouse)
    expected = funnels_by_oracle(histories, seed, datetime.fromisoformat(AS_OF))
    assert shortest_difference(histories, expected, funnels_by_marts(warehouse)) is None
    if rows < ALL:
        return

    assert len(histories) == 13_087

    def reached(name: str) -> list[int]:
        return [
            count
            for (count,) in warehouse.query(
                """
                select count(distinct user_id)
                from generate_series(1, 7) as steps (step_order)
                inner join marts.fct_funnel_progress on furthest_step_order >= step_order
                where funnel = %s
                group by step_order
                order by step_order
                """,
                name,
            )
        ]

    def having(name: str) -> list[int]:
        rows = [row for row in seed if row["funnel"] == name and row["step_order"]]
        return [
            sum(row["event_type"] in types for types in event_types)
            for row in sorted(rows, key=lambda row: row["step_order"])
        ]

    event_types = [{event.event_type for event in events} for events in histories.values()]
    assert having("loan_application") == [13_087, 13_087, 7_367, 3_254, 5_015, 5_113, 2_246]
    assert reached("loan_application") == [13_087, 13_087, 7_367, 3_254]
    assert having("second_offer") == [5_015, 2_660, 5_015, 2_243]
    assert reached("second_offer") == [5_015, 2_020, 1_438, 706]
    assert having("three_at_once") == [2_246, 2_246, 2_246]
    assert reached("three_at_once") == [2_246, 941, 154]

"""The marts of a warehouse beside what the oracle says, cell by cell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from tests.support.oracle.given import Given, OptOut, Refusal, Row, Update
from tests.support.oracle.marts import marts
from tests.support.warehouse import MARTS, Warehouse

# What names a row of each mart; its key column is a hash, and no definition.
NAMED_BY = {
    "fct_events": ("event_key",),
    "fct_event_attributes": ("event_key", "property"),
    "tracking_plan_violations": ("event_type", "property", "occurred_on"),
    "rejection_rates_daily": ("source", "day"),
    "rejection_reasons_daily": ("source", "day", "rejection_code"),
    "dim_users": ("user_id",),
    "fct_sessions": ("session_key",),
    "retention_weekly": ("cohort_week", "active_week"),
    "fct_funnel_progress": ("progress_key",),
    "conversion_funnel_daily": ("funnel", "step_order", "cohort_on", "segment", "segment_value"),
    "funnel_outcome_daily": ("funnel", "outcome", "cohort_on", "segment", "segment_value"),
    "attribution": ("progress_key", "touch_number"),
    "fct_tasks": ("user_id", "task_id", "task_type", "work_item_number"),
    "task_completion_daily": ("task_type", "day"),
    "fct_credit_scores": ("user_id", "valid_from"),
    "credit_profiles": ("user_id",),
    "credit_band_daily": ("band", "day"),
}
SEEDS = (
    "event_properties", "event_types", "funnels", "illegal_ids", "project_settings",
    "score_bands", "segments", "sources", "traffic_sources",
)  # fmt: skip
Table = dict[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A cell, or a row, that is not what the oracle says; `history` is the user's, as sent."""

    mart: str
    row: tuple[Any, ...]
    column: str
    expected: object
    actual: object
    history: tuple[object, ...] = ()

    def __str__(self) -> str:
        sent = "".join(f"\n    {each}" for each in self.history)
        named = f"{self.mart} {self.row} {self.column}"
        return f"{named}: expected {self.expected!r}, is {self.actual!r}{sent}"


def given_by(
    warehouse: Warehouse, as_of: datetime, referrers: Mapping[str, tuple[str, str] | None]
) -> Given:
    """What is in raw, in the seeds and in the secret of a warehouse."""
    with closing(psycopg.connect(warehouse.database_url)) as connection:
        _load_numbers_exactly(connection)
        [pads] = connection.execute("select inner_pad, outer_pad from secret.email_hash_key")
        return Given(
            [Row(*row) for row in connection.execute(
                "select event_row_id, received_at, source, event_id, payload from raw.events")],
            [Update(*row) for row in connection.execute(
                "select user_row_id, received_at, occurred_at, source, user_id, payload"
                " from raw.users")],
            [Refusal(*row) for row in connection.execute(
                "select rejected_row_id, received_at, source, code, payload"
                " from raw.rejected_events")],
            [OptOut(*row) for row in connection.execute(
                "select opt_out_row_id, changed_at, id_kind, id, is_out from raw.opt_outs")],
            {name: warehouse.seed(name) for name in SEEDS},
            as_of,
            referrers,
            pads,
        )  # fmt: skip


def differences(warehouse: Warehouse, given: Given) -> list[Difference]:
    """Where marts are not what the oracle says: of each column of each mart the shortest history.

    Also the marts of which there is nothing to compare.
    """
    expected = {name: _table(name, rows) for name, rows in marts(given).items()}
    actual = {name: _table(name, rows) for name, rows in _built(warehouse).items()}
    found = [
        Difference(name, (), "", "rows", "none") for name, rows in expected.items() if not rows
    ]
    lengths = Counter(row["user_id"] for row in expected["fct_events"].values())
    shortest: dict[tuple[str, str], Difference] = {}
    for name in MARTS:
        for difference in _differing(name, expected[name], actual[name]):
            user = _user(difference, expected, actual)
            key = (name, difference.column)
            known = shortest.get(key)
            if known is None or lengths[user] < lengths[_user(known, expected, actual)]:
                shortest[key] = difference
    for difference in shortest.values():
        user = _user(difference, expected, actual)
        keys = {
            row["event_key"]
            for events in (expected["fct_events"], actual["fct_events"])
            for row in events.values()
            if row["user_id"] == user
        }
        history = [
            (row.received_at.isoformat(), row.source, row.payload)
            for row in given.rows
            if (row.source, row.event_id) in keys
        ]
        history += [
            (each.received_at.isoformat(), each.source, each.payload)
            for each in given.updates
            if each.user_id == user
        ]
        found.append(replace(difference, history=tuple(history)))
    return found


def _user(difference: Difference, *tables: dict[str, Table]) -> str | None:
    """Whose row it is, if it is anybody's."""
    for table in tables:
        row = table[difference.mart].get(difference.row, {})
        if "user_id" in row:
            return str(row["user_id"])
    return None


def _differing(name: str, expected: Table, actual: Table) -> Iterator[Difference]:
    for row in {*expected, *actual}:
        if row not in expected or row not in actual:
            yield Difference(name, row, "(row)", expected.get(row), actual.get(row))
            continue
        one, other = expected[row], actual[row]
        for column in {*one, *other}:
            if column not in one or column not in other:
                yield Difference(name, row, column, column in one, column in other)
            elif not _equal(one[column], other[column]):
                yield Difference(name, row, column, one[column], other[column])


def _equal(expected: object, actual: object) -> bool:
    """Whether a cell is as expected, a number to as many decimals as it has."""
    if isinstance(expected, Fraction) and isinstance(actual, Decimal):
        places = -int(actual.as_tuple().exponent)
        return abs(expected - Fraction(actual)) <= Fraction(1, 10**places)
    return expected == actual


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    table = {tuple(row[column] for column in NAMED_BY[name]): row for row in rows}
    assert len(table) == len(rows), f"{name} has rows of one name"
    return table


def _built(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    """The rows of all marts; instead of keys of events and attempts what they stand for."""
    with closing(psycopg.connect(warehouse.database_url, row_factory=dict_row)) as connection:
        _load_numbers_exactly(connection)

        def rows(query: str) -> list[dict[str, Any]]:
            return connection.execute(query.encode()).fetchall()

        events: dict[str, tuple[object, ...]] = {
            row["event_key"]: (row["source"], row["event_id"])
            for row in rows("select event_key, source, event_id from staging.stg_events")
        }
        attempts: dict[str, tuple[object, ...]] = {
            row["progress_key"]: (row["user_id"], row["funnel"], row["attempt"])
            for row in rows("select * from marts.fct_funnel_progress")
        }
        meanings: dict[str, dict[str, tuple[object, ...]]] = {
            "event_key": events, "entry_event_key": events, "session_key": events,
            "progress_key": attempts,
        }  # fmt: skip
        return {
            name: [
                {
                    column: meanings[column].get(value) if column in meanings else value
                    for column, value in row.items()
                    if column in meanings or not column.endswith("_key")
                }
                for row in rows(f"select * from marts.{name}")  # noqa: S608
            ]
            for name in MARTS
        }


def _load_numbers_exactly(connection: psycopg.Connection[Any]) -> None:
    set_json_loads(partial(json.loads, parse_float=Decimal), connection)

"""How rows of a view travel to a page: by column, in few bytes, each funnel by itself."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

Dataset = dict[str, Any]
Row = tuple[Any, ...]


def encode(columns: list[str], rows: list[Row], first: date) -> Dataset:
    """The rows as lists of a column's values, for `app.js`.

    Days are counted from `first`. Texts, and numbers of arrays that are no counts, are replaced by
    their place in the list of the column's `levels`.
    """
    levels: dict[str, dict[object, int]] = {}

    def place(column: str, value: object) -> int:
        known = levels.setdefault(column, {})
        return known.setdefault(value, len(known))

    def encoded(column: str, value: object) -> object:
        if isinstance(value, str):
            return place(column, value)
        if isinstance(value, date):
            return (value - first).days
        if isinstance(value, Decimal):
            return _number(value)
        if isinstance(value, list) and value and isinstance(value[0], Decimal):
            return [place(column, _number(item)) for item in value]
        return value

    values = {
        column: [encoded(column, row[index]) for row in rows]
        for index, column in enumerate(columns)
    }
    return {
        "values": values,
        "levels": {column: list(known) for column, known in levels.items()},
    }


def by_funnel(columns: list[str], rows: list[Row], first: date) -> dict[str, Dataset]:
    """The rows of each funnel, encoded; a page loads those of the one that it shows."""
    at = columns.index("funnel")

    def funnel(row: Row) -> str:
        return str(row[at])

    return {
        name: encode(columns, list(own), first)
        for name, own in groupby(sorted(rows, key=funnel), funnel)
    }


def _number(value: Decimal) -> float:
    return int(value) if value == value.to_integral_value() else float(value)

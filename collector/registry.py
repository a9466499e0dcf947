"""The registry of supported events: the seed that dbt joins to is read by the collector too."""

from __future__ import annotations

import csv
from difflib import get_close_matches
from functools import lru_cache
from io import StringIO
from pathlib import Path

from collector.problems import Problem
from collector.settings import ROOT

SEED = "dbt_project/seeds/event_types.csv"


class SeedError(Exception):
    """A seed that cannot be read. The text says file, line and remedy."""


def supported_event_types() -> frozenset[str]:
    """The column `event_type`. Raises OSError and SeedError."""
    columns, rows = read_seed(ROOT / SEED)
    if "event_type" not in columns:
        raise SeedError(f"{SEED} line 1: there is no column event_type: add it")
    for line, row in rows:
        if not row["event_type"].strip():
            raise SeedError(f"{SEED} line {line}: event_type is empty: name it or delete the line")
    return frozenset(row["event_type"] for _, row in rows)


def illegal_ids() -> list[str]:
    """Ids that mean nobody, in lower case. Raises OSError and SeedError."""
    _, rows = read_seed(ROOT / "dbt_project/seeds/illegal_ids.csv")
    return [row["id"] for _, row in rows]


def read_seed(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns of a seed and its rows, each with the number of its first line.

    Raises OSError, and SeedError where it is not UTF-8 with commas and a value for each column in
    each row. Excel begins a file with a BOM; that is taken.
    """
    place = f"dbt_project/seeds/{path.name} line"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SeedError(
            f"{place} {line}: byte {error.object[error.start]:#04x} is not UTF-8: "
            "save the file as UTF-8 (in Excel: CSV UTF-8)"
        ) from None
    reader = csv.reader(StringIO(text), strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for row in reader:
            rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise SeedError(
            f"{place} {line}: {error}: close each quote, and double one within a value"
        ) from None
    columns = rows[0][1] if rows else []
    if len(columns) < 2 and any(each in text for each in ";\t"):
        raise SeedError(f"{place} 1: {columns} has no comma: separate the values by commas")
    if not columns or not all(columns) or len(set(columns)) < len(columns):
        raise SeedError(f"{place} 1: {columns} has to name each column once: delete empty ones")
    for line, row in rows[1:]:
        if not any(each.strip() for each in row):
            raise SeedError(f"{place} {line}: the line is empty: delete it")
        if len(row) != len(columns):
            raise SeedError(
                f"{place} {line}: {len(row)} values for {len(columns)} columns: write a comma "
                "between any two, and quotes around a value that has one"
            )
    return columns, [(line, dict(zip(columns, row, strict=True))) for line, row in rows[1:]]


def unsupported(event_type: str, supported: frozenset[str], *, suggest: bool) -> Problem:
    """The problem of an event type that no seed lists; `suggest` takes up to some milliseconds."""
    nearest = _nearest(event_type[:64], supported) if suggest else ""
    meant = f"did you mean {nearest!r}? " if nearest else ""
    message = f"eventType {event_type[:64]!r} is not supported; {meant}{SEED} lists what is."
    return Problem(422, "unsupported_event_type", message, "eventType")


@lru_cache(256)  # a client's mistake comes with each of its events
def _nearest(event_type: str, supported: frozenset[str]) -> str:
    return next(iter(get_close_matches(event_type, sorted(supported), 1)), "")

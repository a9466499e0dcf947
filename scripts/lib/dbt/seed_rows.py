"""A row of a seed, and how it is named in what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# A whole number as PostgreSQL's type holds it, and in one way only.
INTEGER = r"-?(0|[1-9][0-9]{0,8})"
_NO_VALUE = ("", "null")  # dbt reads both so, in either case
_SHOWN = 80  # characters of a value that are told


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a seed. Its values are as dbt reads them, an empty text where it reads none."""

    seed: str
    line: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        value = self.values[column]
        return "" if value.strip().lower() in _NO_VALUE else value

    def wrong(self, column: str, remedy: str) -> str:
        """One line: file, line, column, value, and what to do."""
        value = self[column]
        shown = repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")
        return f"{place(self.seed, self.line)}: {column} {shown} {remedy}"


Seeds = Mapping[str, Sequence[Row]]


def place(seed: str, line: int) -> str:
    """File and line."""
    return f"dbt_project/seeds/{seed}.csv line {line}"

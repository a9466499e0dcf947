"""What is to be compared, and what a comparison found."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from psycopg import sql

EXAMPLES = 10


class Relation(NamedTuple):
    """A table or view.

    `key` tells its rows apart, `label` does so for people; `personal` are columns that nobody is
    shown.
    """

    schema: str
    name: str
    key: Sequence[str]
    label: Sequence[str]
    personal: Collection[str]

    @property
    def identifier(self) -> sql.Identifier:
        """For a statement."""
        return sql.Identifier(self.schema, self.name)


class Move(NamedTuple):
    """How many rows of a `group` have another value in a column; None where there is no row."""

    group: str
    before: str | None
    now: str | None
    rows: int


class Example(NamedTuple):
    """A row that differs: its label, what became of it, and its columns before and now."""

    label: Sequence[str]
    what: str
    values: Mapping[str, tuple[str | None, str | None]]


@dataclass(slots=True)
class Comparison:
    """What differs between two versions of a table.

    `columns` has the rows in which each differs, `moves` the changes of value of columns with few,
    `moves_by` the same by the values of a further column.
    """

    name: str
    label: Sequence[str]
    rows_before: int = 0
    rows_now: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    twice: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    new_columns: list[str] = field(default_factory=list)
    gone_columns: list[str] = field(default_factory=list)
    retyped: dict[str, tuple[str, str]] = field(default_factory=dict)
    moves: dict[str, list[Move]] = field(default_factory=dict)
    moves_by: dict[tuple[str, str], list[Move]] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)

    @property
    def has_other_rows(self) -> bool:
        """Whether any row is there on one side only, or is another."""
        return bool(self.added or self.removed or self.changed or self.twice)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a comparison.

    `hides` is SQL that is null of a text `value` that may be shown; `groups` are columns by whose
    values changes are told apart as well.
    """

    hides: str
    groups: Collection[str] = ()
    examples: int = EXAMPLES

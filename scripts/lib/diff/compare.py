"""Compares two versions of a table row by row, joined by its key."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

EXAMPLES = 10
MOST_MOVES = 12  # of a column with more different changes of value, none says much
PERSONAL = "(personal)"
_COLUMNS = """
    select attname::text, format_type(atttypid, atttypmod)
    from pg_attribute
    where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
    order by attnum
"""
# Of two versions of a table the rows that differ: b1 is the first column before, n1 now.
_DIFFERING = """
    create temporary table differing on commit drop as
    select {columns}, before.is_there is null as is_added, now.is_there is null as is_removed
    from (select *, true as is_there from {before}) as before
    full join (select *, true as is_there from {now}) as now on {joined}
    where before.is_there is null or now.is_there is null or {differs}
"""
_TWICE = "select count(*) from (select from {table} group by {key} having count(*) > 1) as keys"


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


def columns_of(connection: psycopg.Connection, relation: Relation) -> dict[str, str]:
    """The columns of a relation with their types; none where there is no such relation."""
    name = relation.identifier.as_string(connection)
    return dict(connection.execute(_COLUMNS, [name]).fetchall())


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a comparison.

    `hides` is SQL that is null of a text `value` that may be shown; `groups` are columns by whose
    values changes are told apart as well.
    """

    hides: str
    groups: Collection[str] = ()
    examples: int = EXAMPLES


def compare(
    connection: psycopg.Connection, before: Relation, now: Relation, wanted: Wanted
) -> Comparison:
    """Compares two versions of a table."""
    types_before, types = columns_of(connection, before), columns_of(connection, now)
    shared = [name for name in types if name in types_before]
    found = Comparison(now.name, now.label)
    found.new_columns = [name for name in types if name not in types_before]
    found.gone_columns = [name for name in types_before if name not in types]
    found.retyped = {
        name: (types_before[name], types[name])
        for name in shared
        if types[name] != types_before[name]
    }
    found.rows_before, found.rows_now = (_count(connection, each) for each in (before, now))
    if not set(now.key) <= set(shared) or not now.key:
        return found
    if twice := max(_twice(connection, each, now.key) for each in (before, now)):
        found.twice = twice
        return found
    with connection.transaction():
        _keep_differing(connection, before, now, {name: types[name] for name in shared}, found)
        table = _Differing(connection, now, shared, wanted.hides)
        table.count(found)
        if found.has_other_rows:
            table.tell_moves(found, types, wanted.groups)
            found.examples = table.examples(wanted.examples, found.columns)
    return found


def _count(connection: psycopg.Connection, relation: Relation) -> int:
    statement = sql.SQL("select count(*) from {}").format(relation.identifier)
    [(rows,)] = connection.execute(statement).fetchall()
    return int(rows)


def _twice(connection: psycopg.Connection, relation: Relation, key: Sequence[str]) -> int:
    names = sql.SQL(", ").join(map(sql.Identifier, key))
    statement = sql.SQL(_TWICE).format(table=relation.identifier, key=names)
    [(keys,)] = connection.execute(statement).fetchall()
    return int(keys)


def _keep_differing(
    connection: psycopg.Connection,
    before: Relation,
    now: Relation,
    types: Mapping[str, str],
    found: Comparison,
) -> None:
    """Has the rows that differ in a temporary table."""

    def column(side: str, name: str, *, as_text: bool = False) -> sql.Composable:
        found = sql.SQL("{}.{}").format(sql.Identifier(side), sql.Identifier(name))
        return found + sql.SQL("::text") if as_text else found

    pairs, kept, joined = [], [], []
    for number, name in enumerate(types, 1):
        as_text = name in found.retyped or types[name] == "json"
        sides = [column(side, name, as_text=as_text) for side in ("before", "now")]
        kept += [
            sql.SQL("{} as {}").format(each, sql.Identifier(f"{letter}{number}"))
            for letter, each in zip("bn", sides, strict=True)
        ]
        if name in now.key:
            texts = [column(side, name, as_text=True) for side in ("before", "now")]
            joined.append(sql.SQL("coalesce({}, '') = coalesce({}, '')").format(*texts))
        else:
            pairs.append(sql.SQL("{} is distinct from {}").format(*sides))
    connection.execute(
        sql.SQL(_DIFFERING).format(
            columns=sql.SQL(", ").join(kept),
            before=before.identifier,
            now=now.identifier,
            joined=sql.SQL(" and ").join(joined),
            differs=sql.SQL(" or ").join([sql.SQL("false"), *pairs]),
        )
    )


class _Differing:
    """The temporary table of rows that differ."""

    def __init__(
        self, connection: psycopg.Connection, relation: Relation, names: Sequence[str], hides: str
    ) -> None:
        self._connection = connection
        self._relation = relation
        self._names = names
        self._numbers = {name: number for number, name in enumerate(names, 1)}
        self._hides = hides

    def _rows(self, query: LiteralString, **parts: sql.Composable) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql.SQL(query).format(**parts)).fetchall()

    def _side(self, letter: str, name: str) -> sql.Identifier:
        return sql.Identifier(f"{letter}{self._numbers[name]}")

    def count(self, found: Comparison) -> None:
        """Counts what became of the rows, and in which columns they differ."""
        counts = [
            sql.SQL(
                "count(*) filter (where not is_added and not is_removed and {} is distinct from {})"
            ).format(self._side("b", name), self._side("n", name))
            for name in self._names
        ]
        [(found.added, found.removed, found.changed, *rows)] = self._rows(
            "select count(*) filter (where is_added), count(*) filter (where is_removed),"
            " count(*) filter (where not is_added and not is_removed), {counts} from differing",
            counts=sql.SQL(", ").join(counts),
        )
        found.columns = {name: n for name, n in zip(self._names, rows, strict=True) if n}

    def tell_moves(
        self, found: Comparison, types: Mapping[str, str], groups: Collection[str]
    ) -> None:
        """Tells from what to what texts changed, where that is in a few ways only."""
        hidden = {*self._relation.personal, *self._relation.key}
        texts = [
            name
            for name in self._names
            if types[name] in ("text", "boolean") and name not in hidden
            and not name.endswith(("_key", "_id"))
        ]  # fmt: skip
        for name in texts:
            if name in found.columns:
                moves = self._moves(sql.SQL("''"), name, sql.SQL("not is_added and not is_removed"))
                if len(moves) <= MOST_MOVES:
                    found.moves[name] = moves
            for group in groups:
                if group in self._names and group != name:
                    grouped = sql.SQL("coalesce({}, {})::text").format(
                        self._side("n", group), self._side("b", group)
                    )
                    found.moves_by[group, name] = self._moves(grouped, name, sql.SQL("true"))

    def _moves(self, group: sql.Composable, name: str, condition: sql.SQL) -> list[Move]:
        rows = self._rows(
            "select {group}, {before}::text, {now}::text, count(*) from differing"
            " where {condition} and {before} is distinct from {now}"
            " group by 1, 2, 3 order by 4 desc, 1, 2, 3 limit 500",
            condition=condition,
            group=group,
            before=self._side("b", name),
            now=self._side("n", name),
        )
        return [Move(*row) for row in rows]

    def examples(self, number: int, rows_by_column: Mapping[str, int]) -> list[Example]:
        """Rows that differ; those come first that are on both sides and differ where few do."""

        def shown(letter: str, name: str) -> sql.Composable:
            if name in self._relation.personal:  # only that it is another
                return sql.SQL("case when {} and {} is distinct from {} then {} end").format(
                    letter == "n", self._side("b", name), self._side("n", name), PERSONAL
                )
            return sql.SQL(
                "(select case when hides is null then value else {personal} end from"
                " (select value, ({hides}) as hides"
                " from (select {column}::text as value) as texts) as looked_at)"
            ).format(
                personal=PERSONAL,
                hides=sql.SQL(self._hides),
                column=self._side(letter, name),
            )

        rarest = sorted(rows_by_column, key=lambda name: rows_by_column[name])[:3]
        order: list[sql.Composable] = [
            sql.SQL("{} is not distinct from {}").format(
                self._side("b", name), self._side("n", name)
            )
            for name in rarest
        ]
        order += [self._side(side, name) for name in self._relation.label for side in "nb"]
        rows = self._rows(
            "select is_added, is_removed, {values} from"
            " (select * from differing order by is_added or is_removed, {order} limit {number})"
            " as chosen",
            values=sql.SQL(", ").join(shown(side, name) for name in self._names for side in "bn"),
            order=sql.SQL(", ").join(order),
            number=sql.Literal(number),
        )
        return [self._example(*row) for row in rows]

    def _example(
        self,
        is_added: bool,
        is_removed: bool,
        *values: str | None,
    ) -> Example:
        pairs = dict(zip(self._names, zip(values[::2], values[1::2], strict=True), strict=True))
        differing = {
            name: pair
            for name, pair in pairs.items()
            if pair[0] != pair[1] and name not in self._relation.key
        }
        name = [pairs[part][not is_removed] or "" for part in self._relation.label]
        return Example(
            name, "added" if is_added else "removed" if is_removed else "changed", differing
        )

"""The rows in which two versions of a table differ, in a temporary table, and what they show."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from scripts.lib.diff.comparison import Comparison, Example, Move, Relation

MOST_MOVES = 12  # of a column with more different changes of value, none says much
PERSONAL = "(personal)"


class Differing:
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

"""From which columns of which tables a query makes its own: what sqlglot reads, followed inwards.

Properties of JSON are followed as columns are, so that `activity -> 'device'` is more than
`activity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from sqlglot import exp, parse_one
from sqlglot.errors import ParseError
from sqlglot.optimizer import Scope, build_scope
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from scripts.lib.dbt.uses import Dialect, Path, uses

ROWS = "*"  # in place of a column: how many rows there are


class Place(NamedTuple):
    """A column of a relation (`schema.table`), or a property in it where it holds JSON."""

    relation: str
    column: str
    path: Path = ()

    def __str__(self) -> str:
        if self.column == ROWS:
            return f"rows of {self.relation}"
        return ".".join((self.relation, self.column, *self.path))


@dataclass(frozen=True)
class Tables:
    """The columns of each relation, and those relations that others are looked up in: seeds."""

    columns: Mapping[str, Sequence[str]]
    lookups: frozenset[str]

    @cached_property
    def schema(self) -> MappingSchema:
        """The same as sqlglot wants it."""
        schemas: dict[str, dict[str, object]] = {}
        for relation, columns in self.columns.items():
            schema, table = relation.split(".")
            schemas.setdefault(schema, {})[table] = dict.fromkeys(columns, "text")
        return MappingSchema({**schemas}, dialect=Dialect)


class Query:
    """A query of `tables`. Raises sqlglot.SqlglotError where `sql` is none."""

    def __init__(self, sql: str, tables: Tables) -> None:
        self._tables = tables
        tree = parse_one(sql, dialect=Dialect)
        for table in list(tree.find_all(exp.Table)):
            table.set("catalog", None)
            if record := _record(table):
                table.replace(record)
        query = qualify(
            tree,
            dialect=Dialect,
            schema=tables.schema,
            validate_qualify_columns=False,
            identify=False,
        )
        top = build_scope(query)
        if top is None:
            raise ParseError(f"no select: {sql[:200]}")
        self._top = top
        self._is_recursive = any(each.recursive for each in tree.find_all(exp.With))
        self._asked: set[tuple[int, str | int, Path]] = set()
        self._found: dict[tuple[int, str | int, Path], set[Place]] = {}

    @property
    def columns(self) -> list[str]:
        """The names of its columns, in order."""
        query = self._top.expression
        return query.named_selects if isinstance(query, exp.Query) else []

    def origins(self, column: str, path: Path = ()) -> set[Place]:
        """The places in tables whose values `column`, or its property `path`, has.

        With what is looked up in a seed goes what it is looked up by. Where a column takes no
        value, as a flag made by `case`, those that decide it; for a count of rows the tables whose
        rows are counted, with ROWS as column. ROWS itself may be asked for.
        """
        if column == ROWS:
            return {Place(relation, ROWS) for relation in self._rows(self._top)}
        found: set[Place] = set()
        while True:
            before = found
            found = self._column(self._top, column, path)
            if found == before or not self._is_recursive:
                return found
            self._asked.clear()

    def _column(self, scope: Scope, column: str | int, path: Path) -> set[Place]:
        """The origins of a column of a scope, by its name or its place."""
        key = (id(scope), column, path)
        if key not in self._asked:
            self._asked.add(key)
            self._found[key] = self._follow(scope, column, path)
        return self._found.get(key, set())  # in a recursive query what is found so far

    def _follow(self, scope: Scope, column: str | int, path: Path) -> set[Place]:
        expression = scope.expression
        if isinstance(expression, exp.SetOperation):
            index = expression.named_selects.index(column) if isinstance(column, str) else column
            parts = (self._column(part, index, path) for part in scope.set_operation_scopes)
            return set().union(*parts)
        if isinstance(expression, exp.Select):
            selects = dict(enumerate(expression.selects))
            select = ({each.alias_or_name: each for each in expression.selects} | selects)[column]
            return self._value(scope, select, path)
        if scope.subquery_scopes:  # around a query: `lateral (select ...) as x (a, b)`
            names = expression.alias_column_names
            inner = names.index(column) if isinstance(column, str) and column in names else column
            return self._column(scope.subquery_scopes[0], inner, path)
        return self._value(scope, expression, path)  # a function in `from`

    def _value(self, scope: Scope, expression: exp.Expr, path: Path) -> set[Place]:
        used = list(uses(expression, path))
        subqueries = {id(each.expression): each for each in scope.subquery_scopes}
        found: set[Place] = set()
        for use in [use for use in used if use.is_value] or used:
            if isinstance(use.expression, exp.Column):
                found |= self._source(scope, use.expression, use.path)
            elif inner := subqueries.get(id(use.expression)):
                found |= self._column(inner, 0, use.path)
        if not found and expression.find(exp.AggFunc):  # of nothing, or of ones
            found = {Place(relation, ROWS) for relation in self._rows(scope)}
        return found

    def _source(self, scope: Scope, column: exp.Column, path: Path) -> set[Place]:
        around: Scope | None = scope
        while around and column.table not in around.sources:
            around = around.parent
        if not around:
            return set()
        source = around.sources[column.table]
        if isinstance(source, Scope):
            found = self._column(_whole(source, around), column.name, path)
        elif not source.db:  # a function in `from`
            found = self._value(around, source.this, path)
        elif (relation := _relation(source)) in self._tables.columns:
            found = {Place(relation, column.name, path)}
        else:  # what builds note
            found = set()
        if found and all(place.relation in self._tables.lookups for place in found):
            found = found | self._looked_up_by(around, column.table)
        return found

    def _looked_up_by(self, scope: Scope, table: str) -> set[Place]:
        """The places that a table is joined by."""
        found: set[Place] = set()
        for join in scope.expression.args.get("joins") or []:
            on = join.args.get("on")
            if on and join.this.alias_or_name == table:
                for use in uses(on, ()):
                    if isinstance(use.expression, exp.Column) and use.expression.table != table:
                        found |= self._source(scope, use.expression, use.path)
        return found

    def _rows(self, scope: Scope) -> set[str]:
        """The relations whose rows a query has, one by one or in groups: those of its `from`."""
        expression = scope.expression
        if isinstance(expression, exp.SetOperation):
            return set().union(*(self._rows(part) for part in scope.set_operation_scopes))
        if not isinstance(expression, exp.Select):
            return set().union(*(self._rows(inner) for inner in scope.subquery_scopes[:1]))
        first = expression.args.get("from_")
        for each in (*([first] if first else []), *(expression.args.get("joins") or [])):
            source = scope.sources.get(each.this.alias_or_name)
            if isinstance(source, Scope) and (rows := self._rows(source)):
                return rows
            if isinstance(source, exp.Table) and _relation(source) in self._tables.columns:
                return {_relation(source)}
        return set()


def _whole(source: Scope, scope: Scope) -> Scope:
    """The recursive query around `scope`, of which sqlglot has the first part alone as source."""
    around: Scope | None = scope
    while around:
        if around.expression is source.expression.parent:
            return around
        around = around.parent
    return source


def _record(table: exp.Table) -> exp.Table | None:
    """The table of whose rows `jsonb_populate_record(null::table, ...)` in a `from` is one."""
    call = table.this
    if not isinstance(call, exp.Anonymous) or call.name.lower() != "jsonb_populate_record":
        return None
    schema, name = call.expressions[0].to.args["kind"].flatten()
    return exp.table_(name.copy(), db=schema.copy(), alias=table.alias)


def _relation(table: exp.Table) -> str:
    return f"{table.db}.{table.name}"

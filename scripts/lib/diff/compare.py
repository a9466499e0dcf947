"""Compares two versions of a table row by row, joined by its key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql

from scripts.lib.diff.comparison import Comparison, Relation, Wanted
from scripts.lib.diff.differing import Differing

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


def columns_of(connection: psycopg.Connection, relation: Relation) -> dict[str, str]:
    """The columns of a relation with their types; none where there is no such relation."""
    name = relation.identifier.as_string(connection)
    return dict(connection.execute(_COLUMNS, [name]).fetchall())


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
        table = Differing(connection, now, shared, wanted.hides)
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

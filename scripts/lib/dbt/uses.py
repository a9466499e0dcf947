"""What an expression of PostgreSQL uses: columns and subqueries, and of JSON which properties."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, NamedTuple

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.tokenizer_core import TokenType

ANY = "*"  # in place of a property: the one that another column names
_OBJECTS = {"jsonb_build_object", "json_build_object"}
_AGGREGATED = (exp.JSONBObjectAgg, exp.JSONObjectAgg)
# The parts of an expression whose values it takes, and those that decide which.
_PARTS: dict[type[exp.Expr], tuple[tuple[str, ...], tuple[str, ...]]] = {
    exp.Case: (("ifs", "default"), ("this",)),
    exp.If: (("true", "false"), ("this",)),
    exp.Filter: (("this",), ("expression",)),
    exp.Order: (("this",), ("expressions",)),
    exp.Window: (("this",), ("partition_by", "order")),
}
Path = tuple[str, ...]


class Dialect(Postgres):
    """PostgreSQL's, in which `f(a -> 'b')` takes a property and is no lambda."""

    class Parser(PostgresParser):
        """Without what `->` means elsewhere."""

        LAMBDAS: ClassVar = {
            token: parse
            for token, parse in PostgresParser.LAMBDAS.items()
            if token is not TokenType.ARROW
        }


class Use(NamedTuple):
    """A column or subquery in an expression, the property asked of it, whether it is the value."""

    expression: exp.Expr
    path: Path
    is_value: bool


def uses(expression: exp.Expr, path: Path) -> Iterator[Use]:
    """What an expression, of whose value the property `path` is asked, uses."""
    if isinstance(expression, (exp.Column, *exp.UNWRAPPED_QUERIES)):
        yield Use(expression, path, is_value=True)
        return
    values: Iterable[tuple[exp.Expr, Path]] = ()
    deciding: Iterable[exp.Expr] = ()
    if isinstance(expression, exp.JSONExtract | exp.JSONExtractScalar):
        key = expression.expression
        values = [(expression.this, (*_keys(key), *path))]
        deciding = () if isinstance(key, exp.JSONPath) else (key,)
    elif isinstance(expression, exp.Anonymous) and expression.name.lower() in _OBJECTS:
        pairs = zip(expression.expressions[::2], expression.expressions[1::2], strict=True)
        values = [(value, path[1:]) for key, value in pairs if path[:1] in ((), (key.name,))]
    elif isinstance(expression, _AGGREGATED):
        values, deciding = [(expression.expression, path[1:])], [expression.this]
    elif isinstance(expression, exp.Sub) and path:  # less a property: no value of another one
        values, deciding = [(expression.this, path)], [expression.expression]
    elif isinstance(expression, exp.WithinGroup):  # as `percentile_cont(0.5)`: of what it orders by
        ordered = expression.expression.expressions
        values = [(each, path) for each in (expression.this, *ordered)]
    elif parts := _PARTS.get(type(expression)):
        values = [(each, path) for each in _listed(expression, parts[0])]
        deciding = _listed(expression, parts[1])
    else:
        values = [(each, path) for each in expression.iter_expressions()]
    for each, under in values:
        yield from uses(each, under)
    for each in deciding:
        yield from (use._replace(is_value=False) for use in uses(each, ()))


def _listed(expression: exp.Expr, parts: Iterable[str]) -> list[exp.Expr]:
    found: list[exp.Expr] = []
    for part in parts:
        value = expression.args.get(part)
        found += value if isinstance(value, list) else [value] if value else []
    return found


def _keys(key: exp.Expr) -> Path:
    """The properties that the right side of `->` or `->>` names; positions in arrays are none."""
    if not isinstance(key, exp.JSONPath):
        return (ANY,)
    return tuple(str(part.this) for part in key.expressions if isinstance(part, exp.JSONPathKey))

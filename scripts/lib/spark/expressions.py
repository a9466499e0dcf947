"""The two dialects, and how an expression of Spark is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from sqlglot import exp, parse_one
from sqlglot.dialects.postgres import Postgres
from sqlglot.dialects.spark import Spark
from sqlglot.tokenizer_core import TokenType

# Each for its kind of expression; what it returns stands in the place of what it was given.
Rules = dict[type[exp.Expr], Callable[[Any], exp.Expr]]


class PostgreSQL(Postgres):
    """What the models are written in."""

    class Parser(Postgres.Parser):  # type: ignore[misc, valid-type]
        # `f(payload -> 'key')` asks for a value; no function here takes a lambda.
        LAMBDAS = {  # noqa: RUF012
            token: parse
            for token, parse in Postgres.Parser.LAMBDAS.items()
            if token is not TokenType.ARROW
        }


class SparkSQL(Spark):
    """What Spark is sent."""

    class Generator(Spark.Generator):  # type: ignore[misc, valid-type]
        EXPRESSIONS_WITHOUT_NESTED_CTES: ClassVar[set[object]] = set()
        # All that sqlglot would do to a `select` is done here: Spark has QUALIFY.
        TRANSFORMS = {  # noqa: RUF012
            kind: sql for kind, sql in Spark.Generator.TRANSFORMS.items() if kind is not exp.Select
        }


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A call of a function."""
    return exp.Anonymous(this=name, expressions=[each.copy() for each in arguments])


def raw(sql: str, **nodes: exp.Expr) -> exp.Expr:
    """An expression of Spark with nodes in it, where it has `:name`."""
    return exp.replace_placeholders(
        parse_one(sql, read=Spark), **{k: v.copy() for k, v in nodes.items()}
    )


def text(value: str) -> exp.Expr:
    """A text."""
    return exp.Literal.string(value)


def spark_type(name: str) -> str:
    """Spark's name of a type of PostgreSQL."""
    kind = exp.DataType.build(name, dialect=PostgreSQL)
    return typed(kind).sql(SparkSQL)


def typed(kind: exp.DataType) -> exp.DataType:
    """A type as Spark has it, where sqlglot has no other."""
    for each in list(kind.find_all(exp.DataType)):
        if each.is_type("jsonb", "json"):
            each.set("this", exp.DataType.Type.VARIANT)
        elif each.is_type("decimal") and not each.expressions:
            each.set(
                "expressions", [exp.DataTypeParam(this=exp.Literal.number(n)) for n in (38, 20)]
            )
    return kind
